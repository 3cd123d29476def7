"""The published block: what it is, what it is not, where it converges; wrong versions are refused."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from helpers.mutations import changed_filters, changed_weights, exchanged_outputs, refuses
from hypothesis import given
from hypothesis import strategies as st

import constructions as C
from precls_theory import Refuted
from precls_theory.proofs.symbolic import sympy_variables
from precls_theory.theorems.descent.published_block import (
    limit,
    prove_block,
    prove_first_application,
    prove_one_point,
    prove_scalars,
    prove_sweep,
    second_application,
    smallest_counterexample,
    smallest_unsolved,
)


def block(n=2, d=2, k=2, step="1/3"):
    return C.published_block(n_points=n, n_dims=d, n_applications=k, step_size=step)


def test_every_changed_weight_filter_and_output_is_refused():
    network = block()
    prove_block(network)
    prove_block(network, sympy_variables)
    for what, wrong in [*changed_weights(network), *changed_filters(network), ("", exchanged_outputs(network))]:
        assert refuses(prove_block, wrong), what
    for changes in ({"step_size": "1/2"}, {"n_applications": 1}):
        assert refuses(prove_block, replace(network, parameters=network.parameters | changes))
    assert refuses(prove_block, replace(network, mode="circular"))


def test_the_second_application_is_refused_as_gradient_descent():
    """The whole point: one application is a step, and two are not two."""
    prove_first_application(3, 2)
    prove_one_point(3)
    difference, _, _ = second_application()
    assert str(difference[0]) != "0"


@given(st.integers(1, 4), st.integers(1, 3), st.integers(0, 10**6))
def test_first_application_agrees_with_the_gram_form(n, d, seed):
    rng = np.random.default_rng(seed)
    A, b, x = (rng.integers(-3, 4, shape) for shape in ((n, d), (n,), (d,)))
    published = block(n, d, 1, "1/3")
    descent = C.gradient_descent(n_points=n, n_dims=d, n_steps=1, step_size=Fraction(n, 3), form="gram")
    left = published.decode(published.evaluate(published.encode(A, b, x)))
    right = descent.decode(descent.evaluate(descent.encode(A, b, x)))
    assert (left == right).all()


def test_the_smallest_counterexample_shows_the_difference():
    found = smallest_counterexample()
    assert found["norm"] == 3
    assert found["block"] != found["gradient_descent"]
    network = block(2, 1, 2, "1/10")
    A, b = np.array([[found["a_1"]], [found["a_2"]]]), np.array([found["b_1"], found["b_2"]])
    output = network.decode(network.evaluate(network.encode(A, b, np.array([found["x_init"]]))))
    assert str(output[0]) == found["block"]


def test_a_sum_that_leaves_out_its_own_row_is_refused():
    def exclusive(array, axis):
        return np.add.accumulate(array, axis=axis) - array

    prove_scalars(3, 2)
    with pytest.raises(Refuted):
        prove_scalars(3, 2, sums=exclusive)


def test_a_reflected_sweep_is_refused():
    prove_sweep(3, 2)
    with pytest.raises(Refuted, match="Kaczmarz"):
        prove_sweep(3, 2, sign=-1)


def test_the_run_converges_to_the_sweep_and_not_to_the_solution():
    rng = np.random.default_rng(3)
    A, x_star, start = rng.integers(-2, 3, (4, 2)), rng.integers(-3, 4, 2), rng.integers(-3, 4, 2)
    A[(A == 0).all(axis=1)] = 1
    b = A @ x_star
    expected = limit(A.astype(object), b.astype(object), start.astype(object))
    network = block(4, 2, 1, "1/8")
    model = network.to_torch(rows="all")
    u = network.encode(*(torch.tensor(value, dtype=torch.float64) for value in (A, b, start)))
    for _ in range(2000):
        u[..., 3:] = model(u)[..., list(network.task.columns)]
    reached = u[-1, 3:].numpy()
    assert np.abs(reached - expected.astype(float)).max() < 1e-12
    assert np.abs(reached - x_star).max() > 1e-3
    L = np.tril(A @ A.T).astype(float)
    matrix = np.eye(2) - A.T @ np.linalg.solve(L, A)
    assert np.abs(matrix @ (start - x_star) - (reached - x_star)).max() < 1e-12
    assert smallest_unsolved()["limit"] == ["-1/2", "1/2"]


def test_encoding_repeats_the_start_and_checks_shapes():
    network = block(3, 2)
    u = network.encode(np.ones((5, 3, 2)), np.ones((5, 3)), np.array([1.0, 2.0]))
    assert (u[..., 3:] == [1.0, 2.0]).all()
    with pytest.raises(ValueError, match="A must have shape"):
        network.encode(np.ones((2, 2)), np.ones(3), np.ones(2))
