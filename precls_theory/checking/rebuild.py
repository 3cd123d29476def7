"""Comparison with the rebuild: the first stored number that differs from the network that the recorded parameters build."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import is_dataclass
from fractions import Fraction

from constructions.algebra.filters import Filter
from constructions.algebra.rationals import write_rational
from constructions.networks.base import ExactNetwork
from constructions.networks.layer import Layer, SparseMap, layer_key
from constructions.networks.stack import LayerStack
from constructions.transformers.blocks import BlockStack, Head, block_key


def same_shape(network: ExactNetwork, expected: ExactNetwork) -> bool:
    """Whether the claim can be evaluated on the network at all."""
    return (
        network.n_rows == expected.n_rows
        and len(network.inputs) == len(expected.inputs)
        and bool(network.depth)
        and max(expected.task.columns, default=-1) < len(network.outputs)
        and all(row < network.n_rows and column < len(channels(network)) for row, column in network.positions)
    )


def channels(network: ExactNetwork) -> tuple[str, ...]:
    """Names of the channels to which the positional embedding is added."""
    return network.channels if isinstance(network, BlockStack) else network.inputs


def first_entry(network: ExactNetwork, expected: ExactNetwork) -> dict[str, object] | None:
    """The first thing stored about ``network`` that differs from ``expected``, or ``None``."""
    if type(network) is not type(expected):
        return differing("kind", type(network).__name__, type(expected).__name__)
    of_blocks = ("mask", "attention", "gate", "channels", "outputs")
    for name in (
        "algorithm",
        "n_rows",
        *(of_blocks if isinstance(network, BlockStack) else ("mode",)),
        "inputs",
        "depth",
    ):
        stored, rebuilt = getattr(network, name), getattr(expected, name)
        if stored != rebuilt:
            return differing(name, stored, rebuilt)
    if network.parameters != expected.parameters:
        name = min(
            key
            for key in {*network.parameters, *expected.parameters}
            if network.parameters.get(key) != expected.parameters.get(key)
            or (key in network.parameters) != (key in expected.parameters)
        )
        return differing(f"parameter {name}", network.parameters.get(name), expected.parameters.get(name))
    if is_dataclass(network.task) and network.task != expected.task:
        return differing("task", repr(network.task), repr(expected.task))
    if network.positions != expected.positions:
        at = min(
            key for key in {*network.positions, *expected.positions}
            if network.positions.get(key) != expected.positions.get(key)
        )  # fmt: skip
        found = differing("positional embedding", network.positions.get(at), expected.positions.get(at))
        names = channels(expected)
        return found | {"row": at[0], "column": names[at[1]] if at[1] < len(names) else at[1]}
    if isinstance(network, BlockStack) and isinstance(expected, BlockStack):
        return _first_in_blocks(network, expected)
    assert isinstance(network, LayerStack)
    assert isinstance(expected, LayerStack)
    inputs = expected.inputs
    equal: set[tuple[int, int]] = set()
    for depth, (stored, rebuilt) in enumerate(zip(network.layers, expected.layers, strict=True), start=1):
        if (id(stored), id(rebuilt)) not in equal:
            found_in_layer = _first_in_layer(stored, rebuilt, inputs)
            if found_in_layer is not None:
                return {"layer": depth} | found_in_layer
            equal.add((id(stored), id(rebuilt)))
        inputs = rebuilt.outputs
    return None


def _first_in_blocks(network: BlockStack, expected: BlockStack) -> dict[str, object] | None:
    for depth, (stored, rebuilt) in enumerate(zip(network.blocks, expected.blocks, strict=True), start=1):
        if block_key(stored) == block_key(rebuilt):
            continue
        place: dict[str, object] = {"layer": depth}
        names = (len(stored.heads), bool(stored.mlp)), (len(rebuilt.heads), bool(rebuilt.mlp))
        if names[0] != names[1]:
            return place | differing("block (number of heads, is there an MLP)", *names)
        for index, (left, right) in enumerate(zip(stored.parts(), rebuilt.parts(), strict=True)):
            part = f"head {index + 1}" if isinstance(right, Head) else "MLP"
            if left.maps().keys() != right.maps().keys():
                return place | differing(f"{part} (its maps)", list(left.maps()), list(right.maps()))
            hidden = [f"hidden {h}" for h in range(max(m.n_out for m in right.maps().values()))]
            outputs = [expected.channels[target] for target in right.targets]
            for name, sparse in right.maps().items():
                rows = outputs if name in ("value", "down") else hidden
                found = _first_in_map(
                    f"{part} {name}", left.maps()[name], sparse, rows, hidden if name == "down" else expected.channels
                )
                if found is not None:
                    return place | found
            if left.targets.tolist() != right.targets.tolist():
                return place | differing(
                    f"{part} (the channels that it adds to)", left.targets.tolist(), right.targets.tolist()
                )
    return None


def _first_in_layer(stored: Layer, rebuilt: Layer, inputs: tuple[str, ...]) -> dict[str, object] | None:
    if layer_key(stored) == layer_key(rebuilt):
        return None
    hidden = [f"hidden {h}" for h in range(max(stored.width, rebuilt.width))]
    outputs = list(rebuilt.outputs)
    for name, rows, columns in (("conv", hidden, inputs), ("gate", hidden, inputs), ("out", outputs, hidden)):
        found = _first_in_map(name, getattr(stored, name), getattr(rebuilt, name), rows, columns)
        if found is not None:
            return found
    for h in range(min(stored.width, rebuilt.width)):
        filters = [layer.filters[layer.filter_index[h]] for layer in (stored, rebuilt)]
        if filters[0] != filters[1]:
            return differing("filter", _filter(filters[0]), _filter(filters[1])) | {"row": f"hidden {h}"}
    if stored.outputs != rebuilt.outputs:
        at = next(
            (i for i, (a, b) in enumerate(zip(stored.outputs, rebuilt.outputs, strict=False)) if a != b),
            min(len(stored.outputs), len(rebuilt.outputs)),
        )
        return differing(
            "output name", *("".join(names.outputs[at : at + 1]) or None for names in (stored, rebuilt))
        ) | {"row": at}
    # The same filters in another order, or one that is not used.
    return differing("filters", [_filter(f) for f in stored.filters], [_filter(f) for f in rebuilt.filters])


def _first_in_map(
    name: str, stored: SparseMap, rebuilt: SparseMap, rows: Sequence[object], columns: Sequence[object]
) -> dict[str, object] | None:
    if (stored.n_in, stored.n_out) != (rebuilt.n_in, rebuilt.n_out):
        return differing(name, [stored.n_in, stored.n_out], [rebuilt.n_in, rebuilt.n_out]) | {
            "what": "channels in, out"
        }
    left, right = stored.entries(), rebuilt.entries()
    changed = [key for key in {*left, *right} if left.get(key) != right.get(key)]
    if not changed:
        return None
    row, column = min(changed)
    label = "1 (bias)" if column == rebuilt.n_in else columns[column] if column < len(columns) else column
    return differing(name, left.get((row, column)), right.get((row, column))) | {"row": rows[row], "column": label}


def differing(where: str, stored: object, rebuilt: object) -> dict[str, object]:
    def plain(value: object) -> object:
        if isinstance(value, Fraction):
            return write_rational(value)
        return list(value) if isinstance(value, tuple) else value

    return {"where": where, "stored": plain(stored), "rebuilt": plain(rebuilt)}


def _filter(filter: Filter) -> dict[str, object]:
    return {"head": [write_rational(tap) for tap in filter.head], "tail": write_rational(filter.tail)}
