"""The channels that a block reads, each through its filter, stacked into one tensor."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from fractions import Fraction
from typing import cast

import torch
from torch import Tensor, nn

from constructions.algebra.filters import DELTA, Filter
from constructions.lowering.context import Context
from constructions.lowering.row_filter import row_filter


class SourceIndex:
    """Numbers the pairs (filter, channel) that the hidden channels ``units`` of a layer read."""

    def __init__(self, context: Context, units: Iterable[int]) -> None:
        self.context = context
        self.members: dict[tuple[Filter, bool], dict[int, int]] = defaultdict(dict)
        self.size = 0
        reads = {(context.filter_of(unit), column) for unit in units for column in context.conv[unit]}
        reads |= {(DELTA, column) for unit in units for column in context.gate[unit]}
        # In the order of the state, so that a block that reads all of it reads it as it is.
        channels = [(filter, column) for filter, column in reads if column != context.layer.conv.n_in]
        for filter, column in sorted(
            channels, key=lambda read: (read[0] != DELTA, str(read[0]), context.location[read[1]])
        ):
            self.index(filter, column)

    def index(self, filter: Filter, channel: int) -> tuple[int, Fraction]:
        """The number of ``filter ⋆ channel``, and a factor to fold into its weight."""
        constant, place = self.context.location[channel]
        factor = Fraction(1)
        if constant and filter != DELTA:  # all rows are equal, so the filter multiplies by the sum of its taps
            factor, filter = sum(filter.taps(self.context.n_rows), Fraction(0)), DELTA
        group = self.members[filter, constant]
        if place not in group:
            group[place] = self.size
            self.size += 1
        return group[place], factor


class Segment(nn.Module):
    """Some channels of one of the two state tensors, through one filter."""

    pick: Tensor | None

    def __init__(self, context: Context, filter: Filter, constant: bool, places: list[int]) -> None:
        super().__init__()
        self.constant = constant
        n_state = sum(location[0] is constant for location in context.location)
        self.register_buffer("pick", None if places == list(range(n_state)) else torch.tensor(places))
        self.filter = None
        if filter != DELTA:
            args = (context.held, context.wanted, context.n_rows, context.mode, context.dtype, context.sums)
            self.filter = row_filter(filter, *args)
        self.rows = None if constant else context.selection()

    @property
    def is_whole(self) -> bool:
        """Is this a state tensor, as it is?"""
        return self.pick is None and self.filter is None and self.rows is None

    def forward(self, varying: Tensor | None, constant: Tensor | None) -> Tensor:
        x = constant if self.constant else varying
        assert x is not None
        if self.pick is not None:
            x = x.index_select(0, self.pick)
        if self.filter is not None:
            result: Tensor = self.filter.forward(x)
            return result
        return x if self.rows is None else x[:, self.rows]


class Sources(nn.Module):
    """Stacks the segments of a :class:`SourceIndex` along the channels, in its numbering."""

    order: Tensor | None

    def __init__(self, index: SourceIndex, row_constant: bool) -> None:
        super().__init__()
        context = index.context
        self.segments = nn.ModuleList(
            Segment(context, filter, constant, list(places)) for (filter, constant), places in index.members.items()
        )
        order = [number for places in index.members.values() for number in places.values()]
        self.register_buffer("order", None if order == sorted(order) else torch.tensor(order).argsort())
        self.n_rows = 1 if row_constant else len(context.wanted)
        self.whole_state: bool | None = None
        if len(self.segments) == 1 and self.order is None:
            only = cast(Segment, self.segments[0])
            if only.is_whole and (not only.constant or self.n_rows == 1):
                self.whole_state = only.constant

    def forward(self, varying: Tensor | None, constant: Tensor | None) -> Tensor:
        """(channels, rows, batch) from the two state tensors."""
        if self.whole_state is not None:  # the common case, and no work at all
            state = constant if self.whole_state else varying
            assert state is not None
            return state
        pieces = [segment.forward(varying, constant) for segment in self.segments]
        pieces = [piece if piece.shape[1] == self.n_rows else piece.expand(-1, self.n_rows, -1) for piece in pieces]
        if not pieces:  # a block of constants
            state = varying if varying is not None else constant
            assert state is not None
            return state.new_zeros(0, self.n_rows, state.shape[2])
        z = pieces[0] if len(pieces) == 1 else torch.cat(pieces)
        return z if self.order is None else z.index_select(0, self.order)
