"""One filter along the rows, in floating point, evaluated at the rows that are wanted."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from constructions.algebra.filters import Filter
from constructions.lowering.maps import rounded

Rows = tuple[int, ...]


class ShiftRows(nn.Module):
    """At most one row with weight one for each row wanted: rows are copied, so they stay exact."""

    targets: Tensor
    sources: Tensor

    def __init__(self, pairs: list[tuple[int, int]], n_wanted: int) -> None:
        super().__init__()
        self.n_wanted = n_wanted
        self.register_buffer("targets", torch.tensor([target for target, _ in pairs]))
        self.register_buffer("sources", torch.tensor([source for _, source in pairs]))

    def forward(self, x: Tensor) -> Tensor:
        moved = x.new_zeros(x.shape[0], self.n_wanted, x.shape[2])
        return moved.index_copy(1, self.targets, x.index_select(1, self.sources))


class SumRows(nn.Module):
    """The plain sum of consecutive rows, at one row."""

    def __init__(self, start: int, stop: int) -> None:
        super().__init__()
        self.rows = slice(start, stop)

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.rows].sum(1, keepdim=True)


class PrefixSumRows(nn.Module):
    """A causal filter with a constant tail, at many rows: a prefix sum, and a few shifts for its head."""

    head: Tensor

    def __init__(self, filter: Filter, wanted: Rows, n_held: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.wanted = None if wanted == tuple(range(n_held)) else list(wanted)
        self.tail = float(rounded([filter.tail], dtype))
        self.register_buffer("head", rounded(filter.head, dtype))

    def forward(self, x: Tensor) -> Tensor:
        y, n_rows, lag = torch.zeros_like(x), x.shape[1], len(self.head)
        if lag < n_rows:
            y[:, lag:] = self.tail * x[:, : n_rows - lag].cumsum(1)
        for m, tap in enumerate(self.head.unbind()):
            if m < n_rows:
                y[:, m:] += tap * x[:, : n_rows - m]
        return y if self.wanted is None else y[:, self.wanted]


class MixRows(nn.Module):
    """Any filter: the product with its Toeplitz or circulant matrix."""

    matrix: Tensor

    def __init__(self, filter: Filter, held: Rows, wanted: Rows, n_rows: int, mode: str, dtype: torch.dtype) -> None:
        super().__init__()
        full = filter.matrix(n_rows, mode)
        entries = rounded((full[row, source] for row in wanted for source in held), dtype)
        self.register_buffer("matrix", entries.reshape(len(wanted), len(held)))

    def forward(self, x: Tensor) -> Tensor:
        return self.matrix @ x


def is_total(filter: Filter, mode: str) -> bool:
    """Does the filter sum over all rows, so that its result is the same at every row?"""
    return mode == "circular" and not filter.head


def row_filter(filter: Filter, held: Rows, wanted: Rows, n_rows: int, mode: str, dtype: torch.dtype) -> nn.Module:
    """A module from (channels, rows held, batch) to (channels, rows wanted, batch); one row where it is a total."""
    at = wanted[:1] if is_total(filter, mode) else wanted
    if filter.tail and len(at) > 1:
        if mode == "causal" and held == tuple(range(len(held))):
            return PrefixSumRows(filter, wanted, len(held), dtype)
        return MixRows(filter, held, at, n_rows, mode, dtype)
    taps = filter.taps(n_rows)
    weights = {
        (i, j): taps[(row - source) % n_rows]
        for i, row in enumerate(at)
        for j, source in enumerate(held)
        if (mode == "circular" or source <= row) and taps[(row - source) % n_rows]
    }
    if weights and all(weight == 1 for weight in weights.values()):
        columns = sorted(j for _, j in weights)
        if len(at) == 1 and columns == list(range(columns[0], columns[-1] + 1)):
            return SumRows(columns[0], columns[-1] + 1)
        if len({i for i, _ in weights}) == len(weights):
            return ShiftRows(list(weights), len(at))
    return MixRows(filter, held, at, n_rows, mode, dtype)
