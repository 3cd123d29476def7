"""Newton's iteration in its three forms, and refinement: exact over Q."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from helpers.problems import gradient_descent, newton, regressions, sizes
from hypothesis import given
from hypothesis import strategies as st

import constructions as C


def depth(form: str, n_iters: int, refinements: int) -> int:
    if form == "direct":
        return 2 * n_iters + 1 if n_iters else 2
    return n_iters + (2 if form == "doubling" else 3) + 3 * refinements


@given(
    st.data(), sizes, st.sampled_from(["direct", "residual", "doubling"]), st.integers(0, 3), st.integers(0, 2),
    st.fractions(Fraction(1, 50), 1, max_denominator=50),
)  # fmt: skip
def test_newton_and_refinement(data, size, form, n_iters, refinements, alpha):
    refinements = 0 if form == "direct" else refinements
    A, b, _ = data.draw(regressions(*size))
    net = C.newton(n_points=size[0], n_dims=size[1], n_iters=n_iters, alpha=alpha, form=form, refinements=refinements)
    assert net.depth == depth(form, n_iters, refinements)
    output = net.evaluate(net.encode(A, b))
    np.testing.assert_array_equal(net.decode(output), newton(A, b, n_iters, alpha, refinements))
    if refinements:  # circular: every row answers the whole problem
        assert (output == output[:1]).all()


@given(st.data(), sizes, st.integers(0, 3))
def test_newton_is_gradient_descent_from_zero(data, size, n_iters):
    """M_t c is 2^t gradient steps from zero, for singular G too."""
    A, b, x = data.draw(regressions(*size))
    alpha = Fraction(1, 30)
    net = C.newton(n_points=size[0], n_dims=size[1], n_iters=n_iters, alpha=alpha)
    steps = gradient_descent(A, b, 0 * x, 2**n_iters, alpha * size[0])
    np.testing.assert_array_equal(net.decode(net.evaluate(net.encode(A, b))), steps)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"form": "direct", "refinements": 1}, "form='residual'"),
        ({"form": "quick"}, "form must be one of"),
        ({"n_iters": -1}, "n_iters"),
        ({"alpha": "1/0"}, "alpha"),
    ],
)
def test_errors_say_what_to_do(change, message):
    with pytest.raises(ValueError, match=message):
        C.newton(**({"n_points": 2, "n_dims": 2, "n_iters": 1, "alpha": 1} | change))


def test_newton_takes_no_starting_point():
    net = C.newton(n_points=2, n_dims=1, n_iters=1, alpha="1/4")
    with pytest.raises(ValueError, match="starts from zero"):
        net.encode(np.ones((2, 1)), np.ones(2), np.ones(1))
