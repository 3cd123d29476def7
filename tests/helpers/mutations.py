"""Wrong constructions: a network with one thing changed, for verifiers to refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np
from helpers.networks import weights_of, with_filter, with_weight

from constructions import Network
from constructions.algebra.filters import EXCLUSIVE, PREFIX, Filter
from precls_theory import Refuted


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
            shifted = Filter.of((0, *filter.head), filter.tail)
            others = {shifted, EXCLUSIVE if filter == PREFIX else PREFIX if filter == EXCLUSIVE else shifted}
            for other in others - {filter}:
                yield f"layer {index}: {filter} to {other}", with_filter(network, index, which, other)


def exchanged_outputs(network: Network) -> Network:
    """The last two columns that the network decodes exchanged."""
    columns = list(network.task.columns)
    columns[-1], columns[-2] = columns[-2], columns[-1]
    return replace(network, task=replace(network.task, columns=tuple(columns)))


def differs(network: Network, wrong: Network, seed: int = 0) -> bool:
    """Do the two networks read out different numbers on some random integer data? (A filter may shift a constant.)"""
    rng = np.random.default_rng(seed)
    u = np.full((4, network.n_rows, len(network.inputs)), 0, dtype=object)
    for row, channel in network.task.free_channels:
        u[:, row, channel] = [int(value) for value in rng.integers(1, 9, 4)]
    return bool((network.decode(network.evaluate(u)) != wrong.decode(wrong.evaluate(u))).any())


def refuses(check: Callable[..., object], *arguments: object) -> bool:
    """Does the verifier raise :class:`Refuted`?"""
    try:
        check(*arguments)
    except Refuted:
        return True
    return False


def sample(items: list, count: int) -> list:
    """At most ``count`` items, evenly spaced."""
    return [items[i] for i in np.unique(np.linspace(0, len(items) - 1, min(count, len(items))).astype(int))]
