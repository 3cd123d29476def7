"""Schedules: products in layers, the forms that each layer hands on, and when filters are applied."""

from fractions import Fraction

import pytest
from helpers.circuits import sequence_circuits
from hypothesis import given

import constructions as C
from constructions.compiler.circuit import Circuit, Wire, earliest
from constructions.compiler.forms import FilteredNode, Linear
from constructions.compiler.schedule import Filtering, Schedule, latest, schedule, schedule_at


def test_products_wait_where_that_saves_channels():
    x, y = C.wires("x y")
    # x² and y² in the first layer would have to be carried past two more; x and y are carried anyway.
    squares = [(x**4 * y) * y + x * x + y * y + x - y * 3, x, y]
    first, depth = earliest(x.circuit, squares)
    assert schedule(x.circuit, squares).cost <= schedule_at(x.circuit, squares, first, depth).cost
    last = latest(x.circuit, squares, depth)
    assert all(first[node] <= last[node] <= depth for node in first)
    network = C.compile_circuit(squares)
    assert list(network.decode(network.evaluate(network.encode([2, 5])))) == [16 * 25 + 4 + 25 + 2 - 15, 2, 5]


def composed(found: Schedule, s: int, form: Linear) -> dict[FilteredNode, Fraction]:
    """The form that the recipe of layer s makes, over the circuit's nodes."""
    recipe = found.layers[s - 1].recipes[form]
    total: dict[FilteredNode, Fraction] = {}
    filtered = [
        ((found.circuit.compose(filter, inner), node), weight)
        for filter, parts in recipe.filtered.items()
        for (inner, node), weight in parts
    ]
    for key, weight in (*recipe.carried, *filtered, *recipe.products):
        total[key] = total.get(key, Fraction(0)) + weight
    return {key: weight for key, weight in total.items() if weight}


@given(sequence_circuits())
def test_every_form_is_made_of_what_the_layer_before_hands_on(outputs: list[Wire]) -> None:
    circuit = outputs[0].circuit
    levels, depth = earliest(circuit, outputs)
    for filtering in Filtering:
        found = schedule_at(circuit, outputs, levels, max(depth, 1), filtering)
        for s, layer in enumerate(found.layers, start=1):
            for form in layer.recipes:
                assert composed(found, s, form) == dict(form)
            if s > 1:
                assert tuple(found.layers[s - 2].recipes) == layer.reads
            for form, combination in layer.basis.combination.items():
                total: dict[FilteredNode, Fraction] = {}
                for index, weight in combination.items():
                    for key, entry in layer.basis.chosen[index]:
                        total[key] = total.get(key, Fraction(0)) + weight * entry
                assert {key: weight for key, weight in total.items() if weight} == dict(form)


def test_schedules_cannot_be_changed() -> None:
    x, y = C.wires("x y")
    found = schedule(x.circuit, [x * y])
    with pytest.raises(AttributeError):
        found.levels = {}  # type: ignore[misc]
    assert list(found.layers[0].channels) == ["v[0]"]


def test_nodes_wait_for_the_youngest_of_their_form() -> None:
    assert [[policy.waits(level) for level in (0, 1)] for policy in Filtering] == [
        [False, False],
        [False, True],
        [True, True],
    ]
    circuit = Circuit(3)
    x, y = circuit.input("x"), circuit.input("y")
    sums = [(x * y + x).prefix_sum(), x]
    (product,) = circuit.reachable(sums)
    at_once, together = (
        schedule_at(circuit, sums, {product: 1}, 2, policy).layers[1]
        for policy in (Filtering.AT_ONCE, Filtering.ALL_WAIT)
    )
    (first, _), (second, _) = at_once.recipes.values(), together.recipes.values()
    assert [len(parts) for parts in first.filtered.values()] == [1]
    assert [len(parts) for parts in second.filtered.values()] == [2]
    assert (len(first.carried), len(second.carried)) == (1, 0)
