"""Wrong constructions: a network with one thing changed, for verifiers to refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from hypothesis import settings

from constructions import Network
from precls_theory import Refuted
from precls_theory.proofs import variants
from precls_theory.proofs.variants import changed_filters, exchanged_outputs, weights_of

__all__ = ["changed_filters", "changed_weights", "differs", "exchanged_outputs", "refuses", "sample"]
DEEP = settings.get_current_profile_name() == "deep"
FEW = 12
"""Weights of a network that are changed, evenly spaced, but under the deep profile: there all are."""


def changed_weights(network: Network, stride: int = 1) -> Iterator[tuple[str, Network]]:
    """:func:`precls_theory.proofs.variants.changed_weights`: all under the deep profile, else at most about FEW."""
    few = max(stride, len(weights_of(network)) // FEW) | 1  # odd: halves and changed signs are both met
    yield from variants.changed_weights(network, stride if DEEP else few)


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
