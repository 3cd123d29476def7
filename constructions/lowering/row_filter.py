"""One filter along the rows, in floating point, evaluated at the rows that are wanted."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from constructions.algebra.filters import Filter
from constructions.lowering.maps import Sums, rounded

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


class TreeSumRows(nn.Module):
    """The same sum as a tree of :func:`folds`: additions of whole rows, of which each has one order for any batch."""

    def __init__(self, start: int, stop: int) -> None:
        super().__init__()
        self.rows = slice(start, stop)

    def forward(self, x: Tensor) -> Tensor:
        return tree_sum(x[:, self.rows], 1)


def folds(n_rows: int) -> list[tuple[int, int]]:
    """The tree: at each level the first ``half`` of ``n`` rows receive the ``n − half`` others, so that its depth is ⌈log2 n⌉."""
    levels = []
    half = 1 << max(0, (n_rows - 1).bit_length() - 1)
    while n_rows > 1:
        levels.append((half, n_rows))
        n_rows, half = half, half // 2
    return levels


def tree_sum(x: Tensor, axis: int) -> Tensor:
    """The sum along an axis, which it keeps, in the tree of :func:`folds`."""
    for half, n in folds(x.shape[axis]):
        head, rest = x.narrow(axis, 0, half), x.narrow(axis, half, n - half)
        if n < 2 * half:
            both = head.narrow(axis, 0, n - half) + rest
            x = torch.cat([both, head.narrow(axis, n - half, 2 * half - n)], axis)
        else:
            x = head + rest
    return x


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
        for m in range(min(lag, n_rows)):  # not unbind: of no tap it is a list of nothing, which no saved export holds
            y[:, m:] += self.head[m] * x[:, : n_rows - m]
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


class TreeMixRows(MixRows):
    """The same, each sum as a tree: for reproducible bits, at the price of a tensor of all products."""

    def forward(self, x: Tensor) -> Tensor:
        return tree_sum(self.matrix[:, :, None] * x[:, None], 2).squeeze(2)


def is_total(filter: Filter, mode: str) -> bool:
    """Does the filter sum over all rows, so that its result is the same at every row?"""
    return mode == "circular" and not filter.head


def summed_rows(filter: Filter, held: Rows, at: Rows, n_rows: int, mode: str) -> tuple[int, int] | None:
    """The held rows ``start`` to ``stop`` where the filter is their plain sum, at the one row ``at``; None for other filters."""
    if len(at) != 1:
        return None
    taps = filter.taps(n_rows)
    weights = {
        j: taps[(at[0] - source) % n_rows]
        for j, source in enumerate(held)
        if (mode == "circular" or source <= at[0]) and taps[(at[0] - source) % n_rows]
    }
    columns = list(weights)
    if not columns or any(weight != 1 for weight in weights.values()):
        return None
    consecutive = columns == list(range(columns[0], columns[-1] + 1))
    return (columns[0], columns[-1] + 1) if consecutive else None


def row_filter(
    filter: Filter, held: Rows, wanted: Rows, n_rows: int, mode: str, dtype: torch.dtype, sums: Sums = "any"
) -> nn.Module:
    """A module from (channels, rows held, batch) to (channels, rows wanted, batch); one row where it is a total."""
    mixed = TreeMixRows if sums == "fixed" else MixRows
    at = wanted[:1] if is_total(filter, mode) else wanted
    if filter.tail and len(at) > 1:
        if mode == "causal" and held == tuple(range(len(held))):
            return PrefixSumRows(filter, wanted, len(held), dtype)
        return mixed(filter, held, at, n_rows, mode, dtype)
    summed = summed_rows(filter, held, at, n_rows, mode)
    if summed is not None:
        return TreeSumRows(*summed) if sums == "fixed" else SumRows(*summed)
    taps = filter.taps(n_rows)
    weights = {
        (i, j): taps[(row - source) % n_rows]
        for i, row in enumerate(at)
        for j, source in enumerate(held)
        if (mode == "circular" or source <= row) and taps[(row - source) % n_rows]
    }
    if weights and all(weight == 1 for weight in weights.values()) and len({i for i, _ in weights}) == len(weights):
        return ShiftRows(list(weights), len(at))
    return mixed(filter, held, at, n_rows, mode, dtype)
