"""One exact layer: affine maps with sparse rational weights, and a filter for each hidden channel.

A layer is ``y = Out( (filter ⋆ In u) ⊙ Gate u )`` with In, Gate and Out affine maps of the channels and one
filter a hidden channel. Weights are :class:`fractions.Fraction` and stay so until
:mod:`constructions.lowering` turns them into PyTorch tensors.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, get_args

import numpy as np

from constructions.algebra.filters import Filter

Mode = Literal["causal", "circular"]
"""How a filter meets the first row: not beyond it, or round the corner."""
Mask = Literal["causal", "strict", "full"]
"""Which rows attention lets a row see: those up to it, those before it, all."""
MASKS: tuple[Mask, ...] = ("causal", "strict", "full")
MAX_ROWS = 2**20
"""Most rows of a network that a file or a circuit asks for."""


@dataclass(frozen=True, eq=False, repr=False)
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

    def __repr__(self) -> str:
        return f"<SparseMap: {self.n_in} channels to {self.n_out}, {self.n_nonzero} nonzero weights>"

    @property
    def n_nonzero(self) -> int:
        """Number of nonzero weights."""
        return len(self.weights)

    def entries(self) -> dict[tuple[int, int], Fraction]:
        """``{(row, column): weight}``."""
        return dict(zip(zip(self.rows.tolist(), self.columns.tolist(), strict=True), self.weights, strict=True))


@dataclass(frozen=True, eq=False, repr=False)
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

    def __repr__(self) -> str:
        return (
            f"<Layer: {self.conv.n_in} channels in, {self.width} hidden, {len(self.outputs)} out, "
            f"{len(self.filters)} filters, {self.n_nonzero} nonzero weights>"
        )

    @property
    def n_nonzero(self) -> int:
        """Nonzero weights of the three maps, and the stored taps of the filters."""
        taps = sum(len(filter.head) + 1 for filter in self.filters)
        return self.conv.n_nonzero + self.gate.n_nonzero + self.out.n_nonzero + taps


def map_key(sparse: SparseMap) -> Hashable:
    """A hashable value that is equal for two maps exactly when everything stored about them is."""
    return sparse.n_in, sparse.n_out, sparse.rows.tobytes(), sparse.columns.tobytes(), tuple(sparse.weights)


def layer_key(layer: Layer) -> Hashable:
    """A hashable value that is equal for two layers exactly when everything stored about them is."""
    maps = tuple(map(map_key, (layer.conv, layer.gate, layer.out)))
    return maps, layer.filters, layer.filter_index.tobytes(), layer.outputs


def check_mode(mode: object) -> None:
    """Raises ``ValueError`` unless ``mode`` is "causal" or "circular"."""
    if mode not in get_args(Mode):
        raise ValueError(f"mode must be 'causal' or 'circular', got {mode!r}")
