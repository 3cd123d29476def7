"""Gradient descent's theorems hold, and refuse every wrong construction."""

from dataclasses import replace

import pytest
from helpers.mutations import changed_filters, changed_weights, differs, exchanged_outputs, refuses

import constructions as C
from precls_theory import Refuted
from precls_theory.proofs.symbolic import flint_variables, sympy_variables
from precls_theory.theorems.descent.gd_doubling import prove_doubling
from precls_theory.theorems.descent.gd_gram import gradient_descent_schedule, heavy_ball_schedule, prove_gram
from precls_theory.theorems.descent.gd_residual import prove_residual
from precls_theory.theorems.descent.gd_tight import prove_increments, prove_tight
from precls_theory.theorems.descent.layouts import prove_last_row, unmasked

STEPS = {"residual": 2, "gram": 3, "doubling": 4, "tight": 5}
CASES = [(form, layout) for form in STEPS for layout in "AES"]


def prove(network, make=flint_variables):
    form = network.parameters.get("form")
    if form == "gram":
        prove_gram(network, gradient_descent_schedule(network), make)
    elif form is None:
        prove_gram(network, heavy_ball_schedule(network), make)
    else:
        {"residual": prove_residual, "doubling": prove_doubling, "tight": prove_tight}[form](network, make)


def build(form, layout, n=2, d=2, **changes):
    parameters = {"n_steps": STEPS[form], "step_size": "1/3"} | changes
    return C.gradient_descent(n_points=n, n_dims=d, form=form, layout=layout, **parameters)


@pytest.mark.parametrize(("form", "layout"), CASES)
@pytest.mark.parametrize(("n", "d"), [(1, 1), (1, 3), (3, 1), (2, 2)])
def test_holds_at_small_sizes_in_both_engines(form, layout, n, d):
    network = build(form, layout, n, d)
    prove(network)
    prove(network, sympy_variables)


@pytest.mark.parametrize(("form", "layout"), CASES)
def test_every_changed_weight_is_refused(form, layout):
    for what, wrong in changed_weights(build(form, layout)):
        assert refuses(prove, wrong), what


@pytest.mark.parametrize(("form", "layout"), CASES)
def test_shifted_filters_and_exchanged_outputs_are_refused(form, layout):
    network = build(form, layout)
    wrongs = [(what, wrong) for what, wrong in changed_filters(network) if differs(network, wrong)]
    assert wrongs
    for what, wrong in [*wrongs, ("outputs exchanged", exchanged_outputs(network))]:
        assert refuses(prove, wrong), what


@pytest.mark.parametrize(("form", "layout"), CASES)
def test_other_parameters_than_claimed_are_refused(form, layout):
    network = build(form, layout)
    for changes in ({"n_steps": 2 * STEPS[form]}, {"step_size": "1/2"}):
        with pytest.raises(Refuted):
            prove(replace(network, parameters=network.parameters | changes))


@pytest.mark.parametrize("form", ["gram", "doubling", "tight"])
def test_layout_s_without_its_mask_is_refused(form):
    """Without the masking layer the start row counts as a data row: G + x xᵀ."""
    with pytest.raises(Refuted):
        prove(replace(build(form, "S"), layers=build(form, "E").layers))


@pytest.mark.parametrize(("form", "layout"), [("residual", "E"), *((form, "S") for form in STEPS)])
def test_a_mask_one_row_off_is_refused(form, layout):
    network = build(form, layout)
    moved = {((row + 1) % network.n_rows, channel): one for (row, channel), one in network.positions.items()}
    assert moved
    with pytest.raises(Refuted):
        prove(replace(network, positions=moved))


def test_an_increment_with_the_wrong_sign_is_refused():
    prove_increments()
    with pytest.raises(Refuted, match="inclusive"):
        prove_increments(sign=-1)


@pytest.mark.parametrize(("form", "k"), [("gram", 3), ("doubling", 4)])
def test_the_last_row_of_layout_s_without_a_mask(form, k):
    network = unmasked(2, 2, k, form)
    prove_last_row(network, form)
    for what, wrong in [*changed_weights(network), *changed_filters(network)]:
        assert refuses(prove_last_row, wrong, form) or not differs(network, wrong), what
    with pytest.raises(Refuted):
        prove_last_row(unmasked(2, 2, k, form, skip=False), form)


def test_the_mode_matters():
    with pytest.raises(Refuted):
        prove(replace(build("residual", "A"), mode="causal"))
    with pytest.raises(Refuted):
        prove(replace(build("gram", "A"), mode="circular"))


def test_heavy_ball_refuses_another_momentum():
    network = C.heavy_ball(n_points=2, n_dims=2, n_steps=3, step_size="1/3", momentum="1/2")
    prove(network)
    with pytest.raises(Refuted, match="entry"):
        prove(replace(network, parameters=network.parameters | {"momentum": "1/4"}))
    for _, wrong in changed_weights(network):
        with pytest.raises(Refuted):
            prove(wrong)


def test_a_refutation_carries_a_point_that_shows_it():
    network = build("gram", "A")
    _, wrong = next(changed_weights(network))
    with pytest.raises(Refuted) as refusal:
        prove(wrong)
    assert refusal.value.counterexample["value"] != "0"
    assert refusal.value.counterexample["point"]
