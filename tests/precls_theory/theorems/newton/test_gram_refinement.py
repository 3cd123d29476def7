"""Refinement of the normal equations and centred columns: the theorems hold, and refuse every wrong network."""

from dataclasses import replace

import pytest
from helpers.mutations import changed_filters, changed_weights, differs, exchanged_outputs, refuses

import constructions as C
from precls_theory import Refuted
from precls_theory.theorems.newton.centring import (
    prove_centred_newton,
    prove_centred_refinement,
    prove_change_of_columns,
)
from precls_theory.theorems.newton.gram_refinement import prove_closed_form, prove_gram_refinement

CENTRED = {"constant": "5/2", "scales": ["-2/3"]}
CASES = {
    "refinement": (C.gram_refinement, prove_gram_refinement, {"refinements": 2}),
    "centred": (C.centred_newton, prove_centred_newton, CENTRED),
    "centred refinement": (C.centred_refinement, prove_centred_refinement, CENTRED | {"refinements": 2}),
}


def build(name, n_points=2, n_iters=1):
    construct, _, more = CASES[name]
    return construct(n_points=n_points, n_dims=2, n_iters=n_iters, alpha="1/3", **more)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("n_points", "n_iters"), [(1, 0), (3, 2)])
def test_holds_at_small_sizes(name, n_points, n_iters):
    CASES[name][1](build(name, n_points, n_iters))


@pytest.mark.parametrize("name", CASES)
def test_every_changed_weight_is_refused(name):
    network, prove = build(name), CASES[name][1]
    for what, wrong in changed_weights(network, stride=3):
        # M_0 = αI is stored in constant channels: a weight on one that is zero does nothing.
        assert refuses(prove, wrong) or not differs(network, wrong), what
    wrongs = [(what, wrong) for what, wrong in changed_filters(network) if differs(network, wrong)]
    assert wrongs
    for what, wrong in [*wrongs, ("outputs exchanged", exchanged_outputs(network))]:
        assert refuses(prove, wrong), what


@pytest.mark.parametrize("name", CASES)
def test_other_parameters_than_claimed_are_refused(name):
    network, prove = build(name), CASES[name][1]
    changes = [{"alpha": "1/2"}, {"n_iters": 4}, {"refinements": 3}, {"constant": "7/2"}, {"scales": ["2/3"]}]
    for change in changes:
        if set(change) <= set(network.parameters):
            with pytest.raises(Refuted):
                prove(replace(network, parameters=network.parameters | change))


@pytest.mark.parametrize("name", ["centred", "centred refinement"])
def test_means_of_a_causal_network_are_refused(name):
    with pytest.raises(Refuted, match="circular"):
        CASES[name][1](replace(build(name), mode="causal"))


def test_identities():
    prove_closed_form(3, 2)
    prove_change_of_columns(4, 3)
    with pytest.raises(Refuted):
        prove_change_of_columns(4, 3, sign=0)
