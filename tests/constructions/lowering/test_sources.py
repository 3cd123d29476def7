"""What a block reads, stacked by hand: states as they are, rows chosen, constants at every row wanted, no channels at all."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from constructions.algebra.filters import DELTA, PREFIX, Filter
from constructions.lowering.context import Context
from constructions.lowering.sources import SourceIndex, Sources

N_ROWS = 4
VARYING = torch.arange(16.0, dtype=torch.float64).reshape(2, N_ROWS, 2)
CONSTANT = torch.tensor([[[50.0, 60.0]]], dtype=torch.float64)


def sources(wanted: tuple[int, ...], reads: list[tuple[Filter, int]], row_constant: bool = False) -> Sources:
    """Channels 0 and 1 vary, channel 2 is the same at every row."""
    location = ((False, 0), (False, 1), (True, 0))
    held = tuple(range(N_ROWS))
    context = Context(SimpleNamespace(), held, wanted, N_ROWS, "circular", location, torch.float64)  # type: ignore[arg-type]
    index = SourceIndex(context, [])
    assert [index.index(*read)[0] for read in reads] == list(range(len(reads)))
    return Sources(index, row_constant)


def test_a_state_that_is_read_whole_is_taken_as_it_is() -> None:
    every = (0, 1, 2, 3)
    both = sources(every, [(DELTA, 0), (DELTA, 1)])
    assert both.whole_state is False
    assert both(VARYING, None) is VARYING
    total = sources(every, [(DELTA, 2)], row_constant=True)
    assert total.whole_state is True
    assert total(None, CONSTANT) is CONSTANT


@pytest.mark.parametrize("wanted", [(2,), (0, 3), (1, 2, 3)])
def test_fewer_rows_are_chosen_and_constants_are_at_each(wanted: tuple[int, ...]) -> None:
    chosen = sources(wanted, [(DELTA, 0), (DELTA, 1)])
    assert chosen.whole_state is None
    assert torch.equal(chosen(VARYING, CONSTANT), VARYING[:, list(wanted)])
    assert torch.equal(sources(wanted, [(DELTA, 2)])(None, CONSTANT), CONSTANT.expand(1, len(wanted), 2))


@pytest.mark.parametrize("wanted", [(2,), (0, 3), (0, 1, 2, 3)])
def test_a_block_of_constants_has_no_channels_beside_either_state(wanted: tuple[int, ...]) -> None:
    for states in ((VARYING, None), (None, CONSTANT), (VARYING, CONSTANT)):
        assert sources(wanted, [])(*states).shape == (0, len(wanted), 2)


def test_channels_of_both_states_are_in_the_order_of_their_numbers() -> None:
    mixed = sources((1, 3), [(DELTA, 1), (DELTA, 2), (PREFIX, 0), (DELTA, 0)])
    rows, constant = VARYING[:, [1, 3]], CONSTANT.expand(1, 2, 2)
    total = VARYING[:1].sum(1, keepdim=True).expand(1, 2, 2)
    assert torch.equal(mixed(VARYING, CONSTANT), torch.cat([rows[1:], constant, total, rows[:1]]))


def test_a_filter_of_a_constant_is_a_factor() -> None:
    context = Context(SimpleNamespace(), (0, 1), (0, 1), 2, "circular", ((True, 0),), torch.float64)  # type: ignore[arg-type]
    index = SourceIndex(context, [])
    assert [index.index(filter, 0) for filter in (DELTA, PREFIX, Filter.of((3, 4), 0))] == [(0, 1), (0, 2), (0, 7)]
    assert index.size == 1
