"""Wrong variants of exact networks: one thing changed, for checks to refuse.

:func:`changed_weights` and :func:`changed_filters` list all single changes of a network; :func:`wrong` makes of a
construction one whose networks are all changed, which a theorem declares as a control (see
:mod:`precls_theory.registry`)::

    controls={"a weight of the last layer off by 1/3": {"build": wrong(C.gradient_descent, last_weight)}}
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction

from constructions.algebra.filters import EXCLUSIVE, PREFIX, Filter
from constructions.algebra.rationals import as_count
from constructions.networks.layer import Layer
from constructions.networks.network import Network
from constructions.transformers.exact import ExactTransformer

Build = Callable[..., Network]
Change = Callable[[Network], Network]


def with_layer(network: Network, depth: int, layer: Layer) -> Network:
    """The network with one layer replaced."""
    return replace(network, layers=(*network.layers[:depth], layer, *network.layers[depth + 1 :]))


def with_weight(network: Network, depth: int, name: str, entry: int, change: Fraction = Fraction(1, 3)) -> Network:
    """The network with ``change`` added to one stored weight of the map ``name``."""
    layer = network.layers[depth]
    maps = {"conv": layer.conv, "gate": layer.gate, "out": layer.out}
    weights = maps[name].weights.copy()
    weights[entry] += change
    maps[name] = replace(maps[name], weights=weights)
    return with_layer(network, depth, replace(layer, conv=maps["conv"], gate=maps["gate"], out=maps["out"]))


def weights_of(network: Network) -> list[tuple[int, str, int]]:
    """Every stored weight of the maps: (depth, map, entry)."""
    return [
        (depth, name, entry)
        for depth, layer in enumerate(network.layers)
        for name in ("conv", "gate", "out")
        for entry in range(getattr(layer, name).n_nonzero)
    ]


def with_filter(network: Network, depth: int, index: int, filter: Filter) -> Network:
    """The network with one filter of a layer replaced."""
    filters = list(network.layers[depth].filters)
    filters[index] = filter
    return with_layer(network, depth, replace(network.layers[depth], filters=tuple(filters)))


def changed_weights(network: Network, stride: int = 1) -> Iterator[tuple[str, Network]]:
    """One stored weight changed at a time, by a half or in sign: every ``stride``-th weight of the network."""
    for count, (index, name, entry) in enumerate(weights_of(network)[::stride]):
        old = getattr(network.layers[index], name).weights[entry]
        change = -2 * old if count % 2 else Fraction(1, 2)
        changed = with_weight(network, index, name, entry, change)
        yield f"layer {index}, {name}[{entry}]: {old} to {old + change}", changed


def changed_filters(network: Network) -> Iterator[tuple[str, Network]]:
    """One filter of one layer replaced: its rows shifted by one, or inclusive and exclusive sums exchanged."""
    for index, layer in enumerate(network.layers):
        for which, filter in enumerate(layer.filters):
            shifted = delayed(filter)
            others = {shifted, EXCLUSIVE if filter == PREFIX else PREFIX if filter == EXCLUSIVE else shifted}
            for other in others - {filter}:
                yield f"layer {index}: {filter} to {other}", with_filter(network, index, which, other)


def delayed(filter: Filter) -> Filter:
    """The filter one row later."""
    return Filter.of((0, *filter.head), filter.tail)


def exchanged_outputs(network: Network) -> Network:
    """The last two columns that the network decodes exchanged."""
    columns = list(network.task.columns)
    columns[-1], columns[-2] = columns[-2], columns[-1]
    return replace(network, task=replace(network.task, columns=tuple(columns)))  # type: ignore[type-var]


# --- For controls ---------------------------------------------------------------------------------------------------


def last_weight(network: Network) -> Network:
    """1/3 added to a weight of the last layer that reaches a channel that is read out."""
    out = network.layers[-1].out
    entry = next(index for index, row in enumerate(out.rows) if row == network.task.columns[-1])
    return with_weight(network, network.depth - 1, "out", entry)


def first_weight(network: Network) -> Network:
    """1/3 added to the first weight of the first layer."""
    return with_weight(network, 0, "out", 0)


def late_row(network: Network) -> Network:
    """The first filter that moves or sums rows, or else the first, one row late."""
    filters = [
        (depth, which, filter)
        for depth, layer in enumerate(network.layers)
        for which, filter in enumerate(layer.filters)
    ]
    depth, which, filter = next((found for found in filters if not found[2].is_identity), filters[0])
    return with_filter(network, depth, which, delayed(filter))


def wrong(build: Build, change: Change) -> Build:
    """The construction ``build`` with ``change`` made to every network."""

    def changed(*arguments: object, **parameters: object) -> Network:
        return change(build(*arguments, **parameters))

    return changed


def hard_coded(build: Build, **fixed: object) -> Build:
    """The construction ``build`` that ignores some parameters, takes ``fixed`` for them, and claims what it was given."""

    def deaf(**parameters: object) -> Network:
        claims = build(**parameters).parameters
        return replace(build(**parameters | fixed), parameters=claims)

    return deaf


def at_most(build: Build, **largest: int) -> Build:
    """The construction ``build`` that takes these parameters to be no larger, and claims what it was given."""

    def short(**parameters: object) -> Network:
        given = {name: as_count(name, parameters[name], 0) for name in largest if name in parameters}
        capped = {name: min(largest[name], count) for name, count in given.items()}
        claims = build(**parameters).parameters
        return replace(build(**parameters | capped), parameters=claims)

    return short


def wrong_transformer(network: ExactTransformer) -> ExactTransformer:
    """1/3 added to a weight of the last part of the last block: of its values, or of its last map."""
    parts = network.blocks[-1].parts()
    part = parts[-1]
    name = "value" if "value" in part.maps() else "down"
    return network.with_weight(network.depth - 1, len(parts) - 1, name, part.maps()[name].weights[0] + Fraction(1, 3))


def wrong_part(build: Callable[..., ExactTransformer]) -> Callable[..., ExactTransformer]:
    """The construction ``build`` of Transformers, with :func:`wrong_transformer` made of each."""

    def changed(**parameters: object) -> ExactTransformer:
        return wrong_transformer(build(**parameters))

    return changed


def deaf_to_step(
    build: Callable[..., ExactTransformer], step_size: Fraction = Fraction(1, 7)
) -> Callable[..., ExactTransformer]:
    """The construction ``build`` with this step size whatever it is asked for."""

    def deaf(**parameters: object) -> ExactTransformer:
        return build(**parameters | {"step_size": step_size})

    return deaf
