"""Circuits as data: the instructions that a file holds, and the construction that compiles them."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Rows
from fractions import Fraction
from functools import partial
from typing import Annotated, TypedDict

import numpy as np

from constructions.algebra.filters import Filter
from constructions.algebra.rationals import as_count, as_fraction
from constructions.algebra.rings import Ring
from constructions.compiler.circuit import Circuit, Wire
from constructions.compiler.emit import emit
from constructions.compiler.forms import ONE
from constructions.compiler.schedule import schedule
from constructions.networks.construction import construction
from constructions.networks.function_task import FunctionTask
from constructions.networks.layer import MAX_ROWS, Mode
from constructions.networks.network import Network
from constructions.networks.parameters import Count, Declaration, recorded
from constructions.networks.tasks import Sequence, Task

Affine = Rows[tuple[int, int, str]]
"""An affine combination: ``[filter, node, "p/q"]`` for each term."""
FilterTaps = tuple[Rows[str], str]
"""``[head, tail]`` of a filter."""
RowConstants = tuple[str, Rows[tuple[int, str]]]
"""``[name, [[row, "p/q"], …]]``."""


class Instructions(TypedDict):
    """A circuit as data: the parameters of :func:`circuit`."""

    inputs: list[str]
    products: list[tuple[Affine, Affine]]
    outputs: list[Affine]
    n_rows: int
    mode: Mode
    filters: list[FilterTaps]
    row_constants: list[RowConstants]


def instructions(outputs: Rows[Wire]) -> Instructions:
    """The parameters of :func:`circuit` that compute these wires.

    An affine combination is a list of ``[filter, node, "p/q"]``; nodes count the inputs, then the row constants,
    then the products; node −1 is the constant 1 and filter 0 the identity.
    """
    if not len(outputs):
        raise ValueError("a circuit needs at least one output")
    home = outputs[0].circuit
    for wire in outputs:
        if wire.circuit is not home:
            raise ValueError("the outputs belong to two circuits: make all inputs with one Circuit")
    data = [node for node in home.names if node not in home.positions]
    nodes = home.reachable(outputs)
    number = {ONE: ONE} | {node: index for index, node in enumerate([*data, *home.positions, *nodes])}
    filters: dict[int, int] = {0: 0}

    def affine(wire: Wire) -> Affine:
        return [(filters.setdefault(f, len(filters)), number[node], str(weight)) for (f, node), weight in wire.key]

    products = [(affine(left), affine(right)) for left, right in (home.products[node] for node in nodes)]
    results = [affine(wire) for wire in outputs]
    return {
        "inputs": [home.names[node] for node in data],
        "products": products,
        "outputs": results,
        "n_rows": home.n_rows,
        "mode": home.mode,
        "filters": [
            ([str(tap) for tap in home.filters[index].head], str(home.filters[index].tail))
            for index in filters
            if index
        ],
        "row_constants": [
            (home.names[node], [(row, str(value)) for row, value in sorted(values.items())])
            for node, values in home.positions.items()
        ],
    }


def read_instructions(
    *, inputs: Rows[str], products: Rows[tuple[Affine, Affine]], outputs: Rows[Affine], n_rows: int, mode: Mode,
    filters: Rows[FilterTaps], row_constants: Rows[RowConstants],
) -> tuple[Circuit, list[Wire]]:  # fmt: skip
    """The circuit and its outputs; ``ValueError`` when an instruction reads what does not exist."""
    if as_count("n_rows", n_rows) > MAX_ROWS:
        raise ValueError(f"n_rows must be at most {MAX_ROWS}, got {n_rows}")
    circuit = Circuit(n_rows, mode)
    if not outputs:
        raise ValueError("a circuit needs at least one output")
    nodes = [circuit.input(_name(name)) for name in inputs]
    try:
        for name, values in row_constants:
            nodes.append(circuit.row_constants(_name(name), dict(values)))
        kernels = [Filter.of()] + [
            Filter.of([as_fraction("a tap", tap) for tap in head], as_fraction("a tap", tail)) for head, tail in filters
        ]

        def wire(affine: Affine, place: str) -> Wire:
            total = circuit.constant(0)
            for kernel, node, weight in affine:
                if not isinstance(node, int) or not ONE <= node < len(nodes):
                    raise ValueError(f"{place} reads node {node!r}, which does not exist before it")
                if not isinstance(kernel, int) or not 0 <= kernel < len(kernels):
                    raise ValueError(f"{place} uses filter {kernel!r}, of {len(kernels)}")
                source = circuit.constant(1) if node == ONE else nodes[node]
                source = source.convolve(kernels[kernel]) if kernel else source
                total = total + source * as_fraction("a weight", weight)
            return total

        for index, (left, right) in enumerate(products):
            nodes.append(wire(left, f"product {index}") * wire(right, f"product {index}"))
        return circuit, [wire(affine, f"output {index}") for index, affine in enumerate(outputs)]
    except (TypeError, ValueError) as error:
        raise ValueError(f"the instructions of the circuit are not well formed: {error}") from error


def _name(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise ValueError(f"the name of an input must be a non-empty string, got {name!r}")
    return name


@construction
def circuit(
    *,
    inputs: Annotated[Rows[str], Declaration("names of the inputs, a list")],
    products: Annotated[Rows[tuple[Affine, Affine]], Declaration('pairs of lists of [filter, node, "p/q"]')],
    outputs: Annotated[Rows[Affine], Declaration('lists of [filter, node, "p/q"]')],
    n_rows: Annotated[int, Count("rows", fits="rows")] = 1,
    mode: Mode = "causal",
    filters: Annotated[Rows[FilterTaps], Declaration("[head, tail] of each filter")] = (),
    row_constants: Annotated[Rows[RowConstants], Declaration('[name, [[row, "p/q"], …]] of each')] = (),
) -> Network:
    """The network of a circuit given by instructions (see :func:`instructions`); depth = its multiplicative depth,
    at least 1.

    Source: Zoology (Arora et al. 2024), Thm. H.21, with exact depth; width at most the largest number of products
    of one layer plus earlier values still needed. Raises ``ValueError`` for instructions that are not well formed.
    """
    compiled, results = read_instructions(
        inputs=inputs,
        products=products,
        outputs=outputs,
        n_rows=n_rows,
        mode=mode,
        filters=filters,
        row_constants=row_constants,
    )
    return emit(schedule(compiled, results), task_of(compiled))


def task_of(circuit: Circuit) -> Callable[..., Task]:
    """Values of the inputs in and of the outputs out; whole sequences when there is more than one row."""
    if circuit.n_rows == 1:
        return partial(FunctionTask, circuit.inputs)
    n_inputs = len(circuit.inputs)
    return partial(Sequence, circuit.n_rows, n_inputs, n_inputs=n_inputs + len(circuit.positions))


def reference(network: Network, u: np.ndarray, ring: Ring) -> np.ndarray:
    """What the instructions say, one after another: (..., n_rows, n_inputs) to (..., n_rows, n_outputs) over any
    ring."""
    given = recorded(network.parameters, Instructions)
    n_rows = given["n_rows"]
    state = np.moveaxis(u, -1, 0)
    values = [state[index] for index in range(len(given["inputs"]))]
    for _, rows in given["row_constants"]:
        weights = [Fraction(0)] * n_rows
        for row, value in rows:
            weights[row] = Fraction(value)
        values.append(np.broadcast_to(ring.elements(weights), u.shape[:-1]))
    kernels = [
        ring.elements(Filter.of([Fraction(tap) for tap in head], Fraction(tail)).matrix(n_rows, network.mode))
        for head, tail in given["filters"]
    ]
    one = np.broadcast_to(ring.elements([1] * n_rows), u.shape[:-1])

    def affine(terms: Affine) -> np.ndarray:
        total = ring.zeros(u.shape[:-1])
        for kernel, node, weight in terms:
            value = one if node == ONE else values[node]
            if kernel:
                value = ring.matmul(kernels[kernel - 1], value[..., None])[..., 0]
            total = ring.reduce(total + ring.reduce(ring.elements([Fraction(weight)]) * value))
        return total

    for left, right in given["products"]:
        values.append(ring.reduce(affine(left) * affine(right)))
    return np.stack([affine(terms) for terms in given["outputs"]], axis=-1)


def compile_circuit(outputs: Wire | np.ndarray | Rows[Wire | np.ndarray]) -> Network:
    """The network that computes these wires (a list or array of wires of one circuit), in that order.

    Over numbers (one row) ``encode`` takes the values of the inputs and ``decode`` gives those of the outputs; over
    sequences ``encode`` takes an array (..., n_rows, n_inputs) and ``decode`` gives (..., n_rows, n_outputs).
    """
    return circuit(**instructions(_flat(outputs)))


def _flat(outputs: Wire | np.ndarray | Rows[Wire | np.ndarray]) -> list[Wire]:
    if isinstance(outputs, Wire):
        return [outputs]
    flat = [entry for part in outputs for entry in (part.flat if isinstance(part, np.ndarray) else [part])]
    for entry in flat:
        if not isinstance(entry, Wire):
            raise TypeError(f"a circuit's outputs are wires, got {type(entry).__name__}: {entry!r}")
    return flat
