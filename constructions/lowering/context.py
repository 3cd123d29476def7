"""What the lowering of a layer must know: where its rows and channels lie, and which results are row-constant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import torch
from torch import Tensor

from constructions.algebra.filters import DELTA, Filter
from constructions.lowering.maps import Sums, rounded
from constructions.lowering.row_filter import Rows, is_total
from constructions.networks.layer import Layer, SparseMap

Location = tuple[bool, int]
"""Is the channel row-constant, and its place among the row-constant or the varying channels."""
Constants = Mapping[int, list[tuple[Filter, Fraction]]]
"""By output: constants, each to be seen through a filter."""


@dataclass(frozen=True)
class Context:
    """A layer in its place: rows held and wanted, where each input channel lies."""

    layer: Layer
    held: Rows
    wanted: Rows
    n_rows: int
    mode: str
    location: tuple[Location, ...]
    dtype: torch.dtype
    sums: Sums = "any"

    @cached_property
    def conv(self) -> list[dict[int, Fraction]]:
        return by_output(self.layer.conv)

    @cached_property
    def gate(self) -> list[dict[int, Fraction]]:
        return by_output(self.layer.gate)

    @cached_property
    def out(self) -> list[dict[int, Fraction]]:
        return by_output(self.layer.out)

    def filter_of(self, unit: int) -> Filter:
        """The filter of a hidden channel."""
        result: Filter = self.layer.filters[self.layer.filter_index[unit]]
        return result

    def selection(self) -> slice | list[int] | None:
        """The rows wanted among those held; None when they are the same."""
        if self.wanted == self.held:
            return None
        places = [self.held.index(row) for row in self.wanted]
        consecutive = places == list(range(places[0], places[0] + len(places)))
        return slice(places[0], places[-1] + 1) if consecutive else places

    def row_constant_outputs(self) -> list[bool]:
        """For each output: is it the same at every row, because only totals and constants enter it?

        In a circular network alone: a causal filter of what is the same at every row is not, so that constants are held at
        every row there.
        """
        if self.mode != "circular":
            return [False] * len(self.out)
        n_in, width = self.layer.conv.n_in, self.layer.width

        def is_constant(columns: Iterable[int], filter: Filter) -> bool:
            return all(column == n_in or is_total(filter, self.mode) or self.location[column][0] for column in columns)

        units = [
            is_constant(self.conv[unit], self.filter_of(unit)) and is_constant(self.gate[unit], DELTA)
            for unit in range(width)
        ]
        return [all(unit == width or units[unit] for unit in row) for row in self.out]

    def bias(self, constants: Constants, n_out: int, row_constant: bool) -> Tensor | None:
        """The constants as a tensor (n_out, 1 or rows wanted, 1), or None where there are none."""
        if not any(constants.values()):
            return None
        filtered = any(filter != DELTA for items in constants.values() for filter, _ in items)
        rows = self.wanted if filtered and not row_constant else self.wanted[:1]
        table = [[Fraction(0)] * len(rows) for _ in range(n_out)]
        for output, items in constants.items():
            for filter, value in items:
                taps = filter.taps(self.n_rows)
                for place, row in enumerate(rows):
                    seen = taps if self.mode == "circular" else taps[: row + 1]
                    table[output][place] += value * (1 if filter == DELTA else sum(seen, Fraction(0)))
        return rounded([value for line in table for value in line], self.dtype).reshape(n_out, len(rows), 1)


def by_output(sparse: SparseMap) -> list[dict[int, Fraction]]:
    """The entries of a sparse map, a dictionary ``{column: weight}`` an output."""
    rows: list[dict[int, Fraction]] = [{} for _ in range(sparse.n_out)]
    for (row, column), weight in sparse.entries().items():
        rows[row][column] = weight
    return rows


def rows_needed(layer: Layer, wanted: Rows, n_rows: int, mode: str) -> Rows:
    """Rows that a layer must be given so that it can compute the rows wanted."""
    needed = set(wanted)
    for filter in layer.filters:
        if filter != DELTA and filter.tail:
            needed |= set(range(n_rows if mode == "circular" else max(wanted) + 1))
        for lag, tap in enumerate(filter.head):
            if tap:
                needed |= {(row - lag) % n_rows for row in wanted if mode == "circular" or row >= lag}
    return tuple(sorted(needed))
