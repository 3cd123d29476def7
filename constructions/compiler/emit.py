"""From a schedule to a network: every form that a layer hands on, as terms over the channels of the layer before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction

import numpy as np

from constructions.algebra.terms import Form, Terms, as_terms
from constructions.algebra.terms import Key as TermKey
from constructions.algebra.terms import convolve as convolve_terms
from constructions.compiler.circuit import Circuit
from constructions.compiler.forms import CONSTANT, Basis, Linear, Term, monic
from constructions.compiler.schedule import Gate, Recipe, Schedule
from constructions.networks.builder import Builder
from constructions.networks.network import Network
from constructions.networks.tasks import Task

Reader = Callable[[Linear], Form]
"""A linear form that a layer hands on, over the channels of that layer."""


def emit(schedule: Schedule, task: Callable[..., Task]) -> Network:
    """The network of a schedule; ``task(columns=...)`` is told where the outputs are."""
    circuit = schedule.circuit
    builder = Builder(circuit.n_rows, list(circuit.inputs), circuit.mode)
    for node, values in circuit.positions.items():
        builder.position(circuit.names[node], values)
    read = _input_reader(circuit)
    for layer in schedule.layers[:-1]:
        products = {node: _product(circuit, gate, read) for node, gate in layer.gates.items()}
        made = [_made(circuit, layer.recipes[form], products, read) for form in layer.channels.values()]
        read = _channel_reader(layer.basis, builder.layer(v=_array(made)))
    last = schedule.layers[-1]
    products = {node: _product(circuit, gate, read) for node, gate in last.gates.items()}
    results = []
    for wire in schedule.outputs:
        scale, form = monic(wire.key)
        constant = wire.terms.get(CONSTANT, Fraction(0))
        results.append(_made(circuit, last.recipes[form], products, read, scale, constant))
    return builder.build(builder.layer(y=_array(results)), task)


def _array(entries: list[Terms]) -> np.ndarray:
    array = np.empty(len(entries), dtype=object)
    array[:] = entries
    return array


def _input_reader(circuit: Circuit) -> Reader:
    """Forms over the inputs, which are channels themselves."""
    return lambda form: Form({circuit.names[node]: weight for (_, node), weight in form})


def _channel_reader(basis: Basis, channels: Iterable[Form]) -> Reader:
    """Forms over the channels that hold a basis of them."""
    names = [name for form in channels for name in form.weights]

    def read(form: Linear) -> Form:
        scale, form = monic(form)
        return Form({names[index]: scale * weight for index, weight in basis.combination[form].items()})

    return read


def _affine(terms: Iterable[Term], read: Reader) -> Form:
    """An affine form, constant and all."""
    terms = list(terms)
    linear = Linear((key, weight) for key, weight in terms if key != CONSTANT)
    constant = next((weight for key, weight in terms if key == CONSTANT), Fraction(0))
    return Form((read(linear) if linear else Form({})).weights, constant)


def _product(circuit: Circuit, gate: Gate, read: Reader) -> Terms:
    """A product of the layer."""
    factor = _affine(gate.gate.key, read)
    # Not the product of Terms, which would take the constant of a factor apart.
    return _sum(
        (Terms.product(circuit.filters[filter], _affine(parts, read), factor), Fraction(1))
        for filter, parts in gate.convolved.items()
    )


def _made(
    circuit: Circuit, recipe: Recipe, products: Mapping[int, Terms], read: Reader,
    scale: Fraction = Fraction(1), constant: Fraction = Fraction(0),
) -> Terms:  # fmt: skip
    """``scale · form + constant`` by the recipe of the form."""
    carried = read(recipe.carried).scaled(scale) if recipe.carried else Form({})
    filtered = [
        (convolve_terms(circuit.filters[filter], _affine(parts, read)), scale)
        for filter, parts in recipe.filtered.items()
    ]
    new = [(products[node], scale * weight) for (_, node), weight in recipe.products]
    return _sum([(as_terms(Form(carried.weights, constant)), Fraction(1)), *filtered, *new])


def _sum(parts: Iterable[tuple[Terms, Fraction]]) -> Terms:
    """``Σ weight · terms`` in one pass: adding one by one copies what is there so far."""
    items: dict[TermKey, Fraction] = {}
    for terms, weight in parts:
        for key, coefficient in terms.items.items():
            value = items.get(key, Fraction(0)) + weight * coefficient
            if value:
                items[key] = value
            else:
                del items[key]
    return Terms(items)
