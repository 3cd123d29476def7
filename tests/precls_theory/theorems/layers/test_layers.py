"""Primitives, operator and layer, Chebyshev: the theorems hold, and refuse every wrong construction."""

from dataclasses import replace

import pytest
from helpers.mutations import changed_filters, changed_weights, differs, refuses

import constructions as C
from constructions.models.operators import layer_as_operators, operator_as_layer
from precls_theory import Refuted
from precls_theory.proofs.symbolic import sympy_variables
from precls_theory.theorems.descent.chebyshev import prove_error_polynomial, prove_recurrence
from precls_theory.theorems.descent.gd_gram import chebyshev_schedule, prove_gram
from precls_theory.theorems.layers.operator_layer import MODES, prove_layer_as_operators, prove_operator_as_layer
from precls_theory.theorems.layers.primitives import prove_linear, prove_multiply, prove_read

PRIMITIVES = [
    (prove_read, C.read(n_rows=3, n_channels=2, source=0, target=2, start=0, stop=2)),
    (prove_read, C.read(n_rows=3, n_channels=2, source=2, target=1, start=1, stop=2, mode="circular")),
    (prove_linear, C.linear(n_rows=2, weight=[[1, "1/2"], [3, -1]], bias=[1, 2])),
    (prove_multiply, C.multiply(n_rows=2, n_channels=3, left=0, right=1, target=2, length=1)),
    (prove_multiply, C.multiply(n_rows=2, n_channels=3, left=0, right=1, target=0, length=2)),
]


@pytest.mark.parametrize(("prove", "network"), PRIMITIVES)
def test_every_changed_weight_and_filter_of_a_primitive_is_refused(prove, network):
    prove(network)
    prove(network, sympy_variables)
    for what, wrong in [*changed_weights(network), *changed_filters(network)]:
        assert refuses(prove, wrong) or not differs(network, wrong), what
    assert all(refuses(prove, wrong) for _, wrong in changed_weights(network))


def test_read_one_row_off_is_refused():
    network = PRIMITIVES[0][1]
    moved = {(row - 1, channel): one for (row, channel), one in network.positions.items()}
    with pytest.raises(Refuted):
        prove_read(replace(network, positions=moved))
    for changes in ({"source": 1}, {"target": 1}, {"stop": 1}):
        with pytest.raises(Refuted):
            prove_read(replace(network, parameters=network.parameters | changes))


def test_two_layers_are_not_a_primitive():
    network = PRIMITIVES[2][1]
    with pytest.raises(Refuted, match="one layer"):
        prove_linear(replace(network, layers=network.layers * 2))


def wrong_operator(field):
    def convert(weights):
        layer, positions = operator_as_layer(weights)
        changed = getattr(layer, field).copy()
        changed[-1, -1] = changed[-1, -1] + 1
        return replace(layer, **{field: changed}), positions

    return convert


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("field", ["in_weight", "filter", "gate_weight", "out_weight"])
def test_a_wrong_layer_for_an_operator_is_refused(mode, field):
    prove_operator_as_layer(2, 2, mode)
    with pytest.raises(Refuted):
        prove_operator_as_layer(2, 2, mode, convert=wrong_operator(field))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("field", ["W", "B1", "H", "B2"])
def test_a_wrong_operator_for_a_layer_is_refused(mode, which, field):
    def convert(weights, n_rows):
        operators = list(layer_as_operators(weights, n_rows))
        changed = getattr(operators[which], field).copy()
        place = {"W": (-1, 0), "H": (0, 0 if which == 2 else -1)}.get(field, (0, 0))  # not on the padding
        changed[place] = changed[place] + 1
        operators[which] = replace(operators[which], **{field: changed})
        return operators

    prove_layer_as_operators(2, 2, 1, 2, mode)
    with pytest.raises(Refuted):
        prove_layer_as_operators(2, 2, 1, 2, mode, convert=convert)


def test_causal_and_circular_operators_differ():
    def one_row_off(weights):
        layer, positions = operator_as_layer(weights)
        return layer, positions[::-1]

    with pytest.raises(Refuted):
        prove_operator_as_layer(2, 2, "causal", convert=one_row_off)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_chebyshev_refuses_wrong_weights_and_other_bounds(k):
    network = C.chebyshev(n_points=1, n_dims=1, n_steps=k, lower="1/2", upper=2)
    prove_error_polynomial(network)
    for what, wrong in changed_weights(network):
        assert refuses(lambda net: prove_gram(net, chebyshev_schedule(net)), wrong), what
    assert sum(refuses(prove_error_polynomial, wrong) for _, wrong in changed_weights(network)) > 3
    with pytest.raises(Refuted, match="error polynomial"):
        prove_error_polynomial(replace(network, parameters=network.parameters | {"upper": "3"}))


def test_a_wrong_three_term_recurrence_is_refused():
    prove_recurrence(sympy_variables)
    with pytest.raises(Refuted):
        prove_recurrence(factor=3)
