"""Degrees and least depths: the theorems hold, and refuse networks and recursions that they should."""

import math
from dataclasses import replace

import numpy as np
import pytest
from helpers.mutations import changed_weights, differs, refuses
from hypothesis import given
from hypothesis import strategies as st

import constructions as C
from precls_theory import Refuted
from precls_theory.proofs.symbolic import prove_gd_step
from precls_theory.theorems.descent.degree import (
    degree_bounds,
    degree_on_ray,
    input_degrees,
    least_depth,
    model_recursion,
    prove_degree,
    prove_degree_not_more,
    prove_depth_optimal,
    prove_model_degrees,
)
from precls_theory.theorems.descent.gd_whole_networks import prove_by_residues
from precls_theory.theorems.descent.width import prove_block_width, prove_products


def build(form="tight", k=5, n=2, d=2, layout="A", step="1/3"):
    return C.gradient_descent(n_points=n, n_dims=d, n_steps=k, step_size=step, form=form, layout=layout)


@given(st.integers(1, 10**9))
def test_least_depth_is_the_formula(k):
    assert least_depth(k) == int(math.log2(k) + 1e-12) + 2 == (2 * k + 1 - 1).bit_length()


def test_a_network_that_takes_another_number_of_steps_is_refused():
    network = build(k=5)
    prove_degree(network)
    claims_six = replace(network, parameters=network.parameters | {"n_steps": 6})
    with pytest.raises(Refuted, match="degree 13, got 11"):
        prove_degree(claims_six)


def test_a_step_size_of_zero_has_another_degree():
    with pytest.raises(Refuted, match="got 1"):
        prove_degree(build("gram", k=2, step="0"))


def test_a_gram_form_that_multiplies_once_more_is_refused():
    network = build("gram", k=3)
    prove_degree_not_more(network)
    with pytest.raises(Refuted):
        prove_degree_not_more(replace(network, parameters=network.parameters | {"n_steps": 4}))


@pytest.mark.parametrize(("form", "k"), [("gram", 3), ("residual", 1), ("gram", 4)])
def test_slower_forms_are_not_depth_optimal(form, k):
    prove_depth_optimal(build(k=k))
    with pytest.raises(Refuted, match="layers"):
        prove_depth_optimal(build(form, k))


def test_the_finer_argument_needs_a_local_gate():
    prove_model_degrees(4, 10)
    with pytest.raises(Refuted):
        prove_model_degrees(4, 10, lambda before: model_recursion(before, gate_is_local=False))


@given(st.sampled_from(["residual", "gram", "tight"]), st.integers(1, 4), st.sampled_from("AES"))
def test_degree_bounds_hold_and_are_attained(form, k, layout):
    network = build(form, k, n=3, d=2, layout=layout)
    bound = degree_bounds(network, input_degrees(network))[-1]
    read = bound[list(network.task.columns), network.task.readout_rows[0]].max()
    assert degree_on_ray(network, start=True) == 2 * k + 1 <= read <= 2**network.depth


def test_degree_in_the_rows_before_the_last():
    """In a real network: 2k from zero, within 2^L − 1."""
    network = build("tight", 3, n=3, d=1)
    degrees = input_degrees(network)
    degrees[:, -1] = np.minimum(degrees[:, -1], 0)
    degrees[2:] = -1  # x_init = 0
    bound = degree_bounds(network, degrees)[-1]
    assert 2 * 3 <= bound[network.task.columns[0], -1] <= 2**network.depth - 1


@pytest.mark.parametrize("form", ["residual", "gram", "doubling", "tight"])
def test_whole_networks_with_a_changed_weight_are_refused(form):
    network = build(form, 2, n=3, d=2, layout="S")
    prove_by_residues(network, seed=1)
    for what, wrong in changed_weights(network, stride=7):
        assert refuses(prove_by_residues, wrong, 1) or not differs(network, wrong), what


def test_products_of_a_symmetric_square():
    prove_products(5)
    prove_block_width(build("doubling", 4, d=5))
    claims_less = build("doubling", 4, d=4)
    with pytest.raises(Refuted, match="hidden channels"):
        prove_block_width(replace(claims_less, parameters=claims_less.parameters | {"n_dims": 5}))


def test_one_step_is_proved_at_the_papers_size():
    prove_gd_step(20, 5)
