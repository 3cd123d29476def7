"""Proof by residues that a whole network computes what its algorithm claims."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from constructions.algebra.rings import Ring
from constructions.networks.base import ExactNetwork
from precls_theory.checking.references import claimed, claimed_majorant, computed, computed_majorant
from precls_theory.proofs.residues import FAILURE_LOG2, Bound, ResidueProof, prove_zero


def network_bound(network: ExactNetwork) -> Bound:
    """The bound of (computed − claimed) at every exact row of ``network``."""
    return Bound.of_difference(computed_majorant(network), claimed_majorant(network))


def prove_network(
    network: ExactNetwork,
    *,
    seed: int | None = None,
    failure_log2: float = FAILURE_LOG2,
    progress: Callable[[Iterable[int], int], Iterable[int]] | None = None,
) -> ResidueProof:
    """Prove by residues that ``network`` computes what its algorithm claims, at every exact row and for every input.

    Raises :class:`~precls_theory.proofs.residues.Unequal`, whose index is (place among ``task.exact_rows``, result), when
    it does not, ``LookupError`` when nothing says what it claims, and ``OverflowError`` when its degree is beyond bounds.
    """
    free = np.array(network.task.free_channels, dtype=np.int64).reshape(-1, 2)

    def difference(ring: Ring, draw: Callable[[tuple[int, ...]], np.ndarray], points: int) -> np.ndarray:
        u = ring.zeros((points, network.n_rows, len(network.inputs)))
        u[:, free[:, 0], free[:, 1]] = draw((points, len(free)))
        gap: np.ndarray = computed(network, u, ring) - claimed(network, u, ring)
        return gap

    return prove_zero(difference, network_bound(network), seed=seed, failure_log2=failure_log2, progress=progress)
