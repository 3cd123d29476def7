"""Where the rows of a layer lie, by hand: rows needed, rows selected, constants seen through filters."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace

import pytest
import torch

from constructions.algebra.filters import DELTA, PREFIX, Filter
from constructions.lowering.context import Context, rows_needed

SHIFT_2 = Filter.of((0, 0, 1), 0)


@pytest.mark.parametrize(
    ("filters", "wanted", "mode", "needed"),
    [
        ([DELTA], (1, 3), "causal", (1, 3)), ([SHIFT_2], (1, 3), "causal", (1, 3)), ([SHIFT_2], (3,), "causal", (1, 3)),
        ([SHIFT_2], (1,), "circular", (1, 4)), ([SHIFT_2, PREFIX], (1, 2), "causal", (0, 1, 2)),
        ([PREFIX, SHIFT_2], (1,), "circular", (0, 1, 2, 3, 4)), ([], (2,), "causal", (2,)),
        ([Filter.of((3, 0, 0, 1), 0), SHIFT_2], (4,), "causal", (1, 2, 4)),
    ],
)  # fmt: skip
def test_rows_needed(filters: list[Filter], wanted: tuple[int, ...], mode: str, needed: tuple[int, ...]) -> None:
    assert rows_needed(SimpleNamespace(filters=filters), wanted, 5, mode) == needed  # type: ignore[arg-type]


def context(held: tuple[int, ...], wanted: tuple[int, ...], mode: str = "causal") -> Context:
    return Context(SimpleNamespace(), held, wanted, 5, mode, (), torch.float64)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("held", "wanted", "selected"),
    [
        ((1, 2, 4), (1, 2, 4), None), ((0, 1, 2, 4), (2, 4), slice(2, 4)), ((0, 1, 2, 4), (4,), slice(3, 4)),
        ((0, 1, 2, 4), (0, 2), [0, 2]), ((0, 1, 2, 4), (0, 1, 4), [0, 1, 3]),
    ],
)  # fmt: skip
def test_rows_selected(held: tuple[int, ...], wanted: tuple[int, ...], selected: slice | list[int] | None) -> None:
    assert context(held, wanted).selection() == selected


def test_constants_add_up_and_see_what_their_filters_see() -> None:
    constants = {0: [(DELTA, Fraction(5)), (PREFIX, Fraction(2))], 2: [(SHIFT_2, Fraction(7)), (DELTA, Fraction(1, 2))]}
    every = (0, 1, 2, 3, 4)
    causal = context(every, (1, 3)).bias(constants, 3, False)
    assert causal is not None
    assert causal.squeeze(2).tolist() == [[9, 13], [0, 0], [0.5, 7.5]]
    circular = context(every, (1, 3), "circular").bias(constants, 3, True)
    assert circular is not None
    assert circular.squeeze(2).tolist() == [[15], [0], [7.5]]
    assert context(every, (1, 3)).bias({0: [], 1: []}, 3, False) is None
