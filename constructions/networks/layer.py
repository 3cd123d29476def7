"""One exact layer: affine maps with sparse rational weights, and a filter for each hidden channel.

A layer is ``y = Out( (filter ⋆ In u) ⊙ Gate u )`` with In, Gate and Out affine maps of the channels and one
filter a hidden channel. Weights are :class:`fractions.Fraction` and stay so until
:mod:`constructions.lowering` turns them into PyTorch tensors.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from constructions.algebra.filters import Filter

Mode = Literal["causal", "circular"]


@dataclass(frozen=True, eq=False)
class SparseMap:
    """An affine map with ``n_out`` outputs: entries (row, column, weight), sorted; column ``n_in`` is the constant 1."""

    n_in: int
    n_out: int
    rows: np.ndarray
    columns: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, n_in: int, n_out: int, entries: dict[tuple[int, int], Fraction]) -> SparseMap:
        """The map with these entries; zeros are dropped."""
        kept = sorted((key, weight) for key, weight in entries.items() if weight)
        weights = np.empty(len(kept), dtype=object)
        weights[:] = [weight for _, weight in kept]
        index = np.array([key for key, _ in kept], dtype=np.int64).reshape(-1, 2)
        return cls(n_in, n_out, index[:, 0], index[:, 1], weights)

    @property
    def n_nonzero(self) -> int:
        return len(self.weights)

    def entries(self) -> dict[tuple[int, int], Fraction]:
        """``{(row, column): weight}``."""
        return dict(zip(zip(self.rows.tolist(), self.columns.tolist(), strict=True), self.weights, strict=True))


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer: hidden channel h is ``(filters[filter_index[h]] ⋆ (conv u)[h]) ⊙ (gate u)[h]``; ``out`` mixes them."""

    conv: SparseMap
    gate: SparseMap
    out: SparseMap
    filters: tuple[Filter, ...]
    filter_index: np.ndarray
    outputs: tuple[str, ...]

    @property
    def width(self) -> int:
        """Number of hidden channels."""
        return self.conv.n_out

    @property
    def n_nonzero(self) -> int:
        """Nonzero weights of the three maps, and the stored taps of the filters."""
        taps = sum(len(filter.head) + 1 for filter in self.filters)
        return self.conv.n_nonzero + self.gate.n_nonzero + self.out.n_nonzero + taps
