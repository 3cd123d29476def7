"""Gradient descent in every form and layout, heavy ball and Chebyshev: exact over Q, and as deep as claimed."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import flint
import numpy as np
import pytest
import sympy
import torch
from helpers.problems import array, gradient_descent, integer_regression, layouts, regressions, sizes, step_sizes
from hypothesis import given
from hypothesis import strategies as st

import constructions as C

FORMS = ("residual", "gram", "doubling", "tight")


def masked(form: str, layout: str) -> bool:
    return layout == "S" or (layout == "E" and form == "residual")


def depth(form: str, layout: str, n_steps: int) -> int:
    log2 = n_steps.bit_length() - 1
    base = {"residual": 2 * n_steps + 1, "gram": n_steps + 1, "doubling": log2 + 2, "tight": log2 + 2}[form]
    return base + masked(form, layout)


@given(st.data(), sizes, layouts, st.sampled_from(FORMS), st.integers(1, 6), step_sizes)
def test_network_is_gradient_descent(data, size, layout, form, n_steps, step):
    if form == "doubling":
        n_steps = 2 ** (n_steps // 3)
    A, b, x = data.draw(regressions(*size))
    net = C.gradient_descent(
        n_points=size[0], n_dims=size[1], n_steps=n_steps, step_size=step, form=form, layout=layout
    )
    assert net.depth == depth(form, layout, n_steps)
    np.testing.assert_array_equal(
        net.decode(net.evaluate(net.encode(A, b, x))), gradient_descent(A, b, x, n_steps, step)
    )


@given(st.data(), sizes, st.sampled_from("AS"), st.sampled_from(FORMS), step_sizes)
def test_every_row_is_exact(data, size, layout, form, step):
    A, b, x = data.draw(regressions(*size))
    net = C.gradient_descent(n_points=size[0], n_dims=size[1], n_steps=2, step_size=step, form=form, layout=layout)
    rows = net.evaluate(net.encode(A, b, x))[:, list(net.task.columns)]
    for row in net.task.exact_rows:
        seen = net.task.points_seen(row)
        part = step * seen / size[0]  # the network divides by N at every row
        expected = gradient_descent(A[:seen], b[:seen], x, 2, part) if seen else x
        np.testing.assert_array_equal(rows[row], expected)


@given(st.data(), sizes, layouts, st.integers(1, 4), step_sizes)
def test_heavy_ball(data, size, layout, n_steps, step):
    A, b, x = data.draw(regressions(*size))
    net = C.heavy_ball(n_points=size[0], n_dims=size[1], n_steps=n_steps, step_size=step, momentum="1/3", layout=layout)
    assert net.depth == n_steps + 1 + (layout == "S")
    expected = gradient_descent(A, b, x, n_steps, step, Fraction(1, 3))
    np.testing.assert_array_equal(net.decode(net.evaluate(net.encode(A, b, x))), expected)


@pytest.mark.parametrize("n_steps", [1, 2, 5])
def test_chebyshev_error_polynomial_is_the_scaled_chebyshev_polynomial(n_steps):
    # On the eigenvalue λ = a²  (N = 1) the error is multiplied by T_k((d − λ)/(ρ d)) / T_k(1/ρ).
    low, high, eigenvalue = Fraction(1), Fraction(9), Fraction(4)
    centre, rho = (low + high) / 2, (high - low) / (high + low)

    def T(k: int, x: Fraction) -> Fraction:
        previous, current = Fraction(1), x
        for _ in range(k - 1):
            previous, current = current, 2 * x * current - previous
        return current

    net = C.chebyshev(n_points=1, n_dims=1, n_steps=n_steps, lower=low, upper=high)
    error = net.decode(net.evaluate(net.encode(array([[2]]), array([0]), array([1]))))[0]
    assert error == T(n_steps, (centre - eigenvalue) / (rho * centre)) / T(n_steps, 1 / rho)


@pytest.mark.parametrize(
    ("form", "limit"),
    [("residual", 5 * 5 + 1), ("gram", 66), ("doubling", 55 + 55), ("tight", 310)],
)
def test_width_at_the_size_of_the_paper(form, limit):
    """At D=5: 5D + 1 residual, Θ(D²) Gram, 55 products of P and as many for q and x, at most 310 for tight."""
    net = C.gradient_descent(n_points=20, n_dims=5, n_steps=8, step_size="1/10", form=form)
    assert net.width <= limit


def test_layout_a_is_not_layout_s():
    """Taking layout S for A gives other values: the layouts are told apart by what they compute."""
    A, b, x = integer_regression(4, 2)
    net = C.gradient_descent(n_points=5, n_dims=2, n_steps=1, step_size="1/2", form="gram", layout="A")
    wrong = np.concatenate([np.array([[*x, 0]]), np.c_[A, b]])
    u = net.encode(wrong[:, :2], wrong[:, 2], x)
    assert (net.decode(net.evaluate(u)) != gradient_descent(A, b, x, 1, Fraction(2, 5))).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"form": "doubling", "n_steps": 3}, "tight"),
        ({"form": "newton"}, "form must be one of"),
        ({"layout": "B"}, "layout must be one of"),
        ({"n_steps": 0}, "n_steps must be an integer of at least 1"),
        ({"n_dims": -1}, "n_dims"),
        ({"step_size": "a tenth"}, "rational"),
    ],
)
def test_errors_say_what_to_do(change, message):
    arguments = {"n_points": 4, "n_dims": 2, "n_steps": 4, "step_size": Fraction(1, 10)} | change
    with pytest.raises(ValueError, match=message):
        C.gradient_descent(**arguments)


@pytest.mark.parametrize("step", [0.1, np.float32(0.1), np.float64(0.1)])
def test_float_step_is_refused(step):
    with pytest.raises(TypeError, match="exact"):
        C.gradient_descent(n_points=4, n_dims=2, n_steps=4, step_size=step)


@pytest.mark.parametrize("step", [True, None, "1/0", "nan", Fraction(1, 10**4300), "9" * 10_000])
def test_what_is_no_step_size_is_refused(step):
    with pytest.raises(ValueError, match="step_size"):
        C.gradient_descent(n_points=4, n_dims=2, n_steps=4, step_size=step)


@pytest.mark.parametrize(
    "step", [Fraction(1, 10), "0.1", "1/10", Decimal("0.1"), sympy.Rational(1, 10), flint.fmpq(1, 10)], ids=type
)
def test_rationals_of_any_library_make_the_same_network(step, tmp_path):
    net = C.gradient_descent(n_points=np.int64(2), n_dims=1, n_steps=np.int32(2), step_size=step)
    net.save(tmp_path / "net.safetensors")
    loaded = C.load(tmp_path / "net.safetensors")
    assert Fraction(loaded.parameters["step_size"]) == Fraction(1, 10)
    data = {"A": [[1], [2]], "b": [3, 5], "x_init": [1]}
    expected = gradient_descent(array([[1], [2]]), array([3, 5]), array([1]), 2, Fraction(1, 10))
    assert (loaded.decode(loaded.evaluate(loaded.encode(**data))) == expected).all()


def test_chebyshev_needs_an_interval():
    with pytest.raises(ValueError, match="0 < lower < upper"):
        C.chebyshev(n_points=2, n_dims=1, n_steps=1, lower=2, upper=1)


@pytest.mark.parametrize("bad", ["A", "b", "x_init"])
def test_encode_refuses_wrong_shapes_and_nan(bad):
    net = C.gradient_descent(n_points=3, n_dims=2, n_steps=1, step_size="1/2")
    good = {"A": np.ones((3, 2)), "b": np.ones(3), "x_init": np.ones(2)}
    with pytest.raises(ValueError, match=f"{bad} must have shape"):
        net.encode(**(good | {bad: np.ones((3, 3, 3))[..., :1]}))
    with pytest.raises(ValueError, match=f"{bad} holds NaN"):
        net.encode(**(good | {bad: good[bad] * np.nan}))


@pytest.mark.parametrize(
    "bad", [sympy.nan, sympy.oo, sympy.Symbol("x") + sympy.zoo, flint.arb("nan"), flint.arb("inf"), np.inf]
)
def test_encode_refuses_what_is_not_finite_in_any_ring(bad):
    net = C.gradient_descent(n_points=1, n_dims=1, n_steps=1, step_size="1/2")
    with pytest.raises(ValueError, match="b holds NaN or infinite"):
        net.encode([[1]], [bad], [1])


@pytest.mark.parametrize("bad", ["three", None, object(), 1j])
def test_encode_refuses_what_is_no_number(bad):
    net = C.gradient_descent(n_points=1, n_dims=1, n_steps=1, step_size="1/2")
    with pytest.raises((TypeError, ValueError), match="b"):
        net.encode([[1]], [bad], [1])


@pytest.mark.parametrize("make", [np.zeros, torch.zeros])
def test_encode_names_batches_that_do_not_agree(make):
    net = C.gradient_descent(n_points=3, n_dims=2, n_steps=1, step_size="1/2")
    with pytest.raises(ValueError, match=r"A has \(4,\), b has \(5,\)"):
        net.encode(make((4, 3, 2)), make((5, 3)))


def test_encode_keeps_the_widest_dtype_and_refuses_integer_tensors():
    net = C.gradient_descent(n_points=3, n_dims=2, n_steps=1, step_size="1/2")
    assert net.encode(torch.zeros(3, 2), torch.zeros(3, dtype=torch.float64)).dtype == torch.float64
    with pytest.raises(ValueError, match="floating-point tensor"):
        net.encode(torch.zeros(3, 2, dtype=torch.int64), torch.zeros(3, dtype=torch.int64))


def test_the_docstring_states_the_step():
    """η is not the whole step: it is divided by N."""
    assert "x ← x − (η/N) Aᵀ(A x − b)" in (C.gradient_descent.__doc__ or "")
    network = C.gradient_descent(n_points=2, n_dims=1, n_steps=1, step_size=1)
    assert network.decode(network.evaluate(network.encode([[1], [3]], [1, 1], [0]))) == [Fraction(4, 2)]
