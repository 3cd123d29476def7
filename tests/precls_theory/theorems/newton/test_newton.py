"""Newton's theorems hold, and refuse every wrong construction and every wrong identity."""

from dataclasses import replace

import pytest
from helpers.mutations import changed_filters, changed_weights, differs, exchanged_outputs, refuses

import constructions as C
from precls_theory import Refuted
from precls_theory.proofs.symbolic import sympy_variables
from precls_theory.theorems.newton.newton import prove_direct, prove_residual_form
from precls_theory.theorems.newton.newton_identities import prove_identities, prove_same_network_function
from precls_theory.theorems.newton.refinement import prove_error_map, prove_refinement

CASES = [("direct", 3, 0), ("residual", 2, 0), ("doubling", 3, 0), ("doubling", 1, 1), ("residual", 2, 2)]


def build(form, t, refinements, n=2, d=2):
    return C.newton(n_points=n, n_dims=d, n_iters=t, alpha="1/3", form=form, refinements=refinements)


def prove(network):
    if network.parameters["refinements"]:
        prove_refinement(network)
    else:
        (prove_direct if network.parameters["form"] == "direct" else prove_residual_form)(network)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("n", "d"), [(1, 1), (1, 3), (3, 1), (2, 2)])
def test_holds_at_small_sizes(case, n, d):
    prove(build(*case, n, d))


@pytest.mark.parametrize("t", [0, 1])
@pytest.mark.parametrize("form", ["direct", "residual", "doubling"])
def test_holds_for_the_first_iterates(form, t):
    prove(build(form, t, 0))


@pytest.mark.parametrize("case", CASES)
def test_every_changed_weight_is_refused(case):
    network = build(*case)
    for what, wrong in changed_weights(network):
        # M_0 = αI is stored in constant channels: a weight on one that is zero does nothing.
        assert refuses(prove, wrong) or not differs(network, wrong), what


@pytest.mark.parametrize("case", CASES)
def test_shifted_filters_and_exchanged_outputs_are_refused(case):
    network = build(*case)
    wrongs = [(what, wrong) for what, wrong in changed_filters(network) if differs(network, wrong)]
    assert wrongs
    for what, wrong in [*wrongs, ("outputs exchanged", exchanged_outputs(network))]:
        assert refuses(prove, wrong), what


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("changes", [{"alpha": "1/2"}, {"n_iters": 4}])
def test_other_parameters_than_claimed_are_refused(case, changes):
    network = build(*case)
    with pytest.raises(Refuted):
        prove(replace(network, parameters=network.parameters | changes))


def test_refinement_in_a_causal_network_is_refused():
    network = build("doubling", 1, 1)
    with pytest.raises(Refuted, match="circular"):
        prove_refinement(replace(network, mode="causal"))
    causal_task = replace(network.task, prefix_rows=True)
    with pytest.raises(Refuted):
        prove_refinement(replace(network, mode="causal", task=causal_task))


@pytest.mark.parametrize("wrong", [lambda g, M, v: M - M * g * M, lambda g, M, v: v.constant(2) * M + M * g * M])
def test_a_wrong_newton_step_fails_the_identities(wrong):
    with pytest.raises(Refuted):
        prove_identities(step=wrong)
    with pytest.raises(Refuted):
        prove_identities(sympy_variables, step=wrong)


def test_newton_is_descent_also_where_the_gram_matrix_is_singular():
    prove_same_network_function(1, 2, 2)
    prove_error_map(3)
