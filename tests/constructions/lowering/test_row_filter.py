"""Filters along the rows in floating point, against their matrices: every head, tail and choice of rows."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from constructions.algebra.filters import DELTA, EXCLUSIVE, MIDPOINT, PREFIX, Filter
from constructions.lowering.row_filter import (
    MixRows,
    PrefixSumRows,
    ShiftRows,
    SumRows,
    TreeMixRows,
    TreeSumRows,
    folds,
    is_total,
    row_filter,
    tree_sum,
)

FILTERS = [
    DELTA, PREFIX, EXCLUSIVE, MIDPOINT,
    Filter.of((1,), 2), Filter.of((1, 2), 3), Filter.of((0, 5), -1), Filter.of((), "1/2"), Filter.of((1, 1, 1), 0),
    Filter.of((0, 0, 1), 0), Filter.of((2, 0, 3), 0), Filter.of((1, 2, 3, 4, 5, 6, 7), 2),
    Filter.of((1, 1), 0), Filter.of((2, 1), 0), Filter.of((5, 1, 1), 0),
]  # fmt: skip


@pytest.mark.parametrize("mode", ["causal", "circular"])
@pytest.mark.parametrize("filter", FILTERS, ids=lambda filter: str(filter).replace("…", "and so on"))
def test_is_the_product_with_its_matrix(filter, mode):
    """1, 2, 2, … once lost its tail in silence: integers stay exact, so equality is bit by bit."""
    n_rows = 5
    x = torch.tensor(np.random.default_rng(0).integers(-8, 9, (3, n_rows, 2)) * 2.0, dtype=torch.float64)
    matrix = torch.tensor(filter.matrix(n_rows, mode).astype(float), dtype=torch.float64)
    every = tuple(range(n_rows))
    for wanted, sums in itertools.product((every, (n_rows - 1,), (0,), (1,), (1, 3)), ("any", "fixed")):
        module = row_filter(filter, every, wanted, n_rows, mode, torch.float64, sums)
        result = module(x)
        expected = (matrix @ x)[:, list(wanted)]
        if result.shape[1] == 1 and len(wanted) > 1:  # a total, the same at every row
            result = result.expand_as(expected)
        assert torch.equal(result, expected), type(module).__name__


def test_each_kind_is_met():
    every = tuple(range(4))
    kinds = {
        sums: {
            type(row_filter(filter, every, wanted, 4, mode, torch.float64, sums))
            for filter in FILTERS for wanted in (every, (3,)) for mode in ("causal", "circular")
        }
        for sums in ("any", "fixed")
    }  # fmt: skip
    assert kinds["any"] == {ShiftRows, SumRows, PrefixSumRows, MixRows}
    assert kinds["fixed"] == {ShiftRows, TreeSumRows, PrefixSumRows, TreeMixRows}


@pytest.mark.parametrize(
    ("filter", "wanted", "mode", "kind"),
    [
        (PREFIX, (3,), "causal", SumRows), (PREFIX, (1, 3), "causal", PrefixSumRows),
        (PREFIX, (0, 3), "circular", SumRows), (Filter.of((), 2), (0, 3), "circular", MixRows),
        (Filter.of((1, 1), 0), (3,), "causal", SumRows), (Filter.of((1, 0, 1), 0), (3,), "causal", MixRows),
        (MIDPOINT, (3,), "causal", MixRows), (Filter.of((0, 0, 1), 0), (1, 3), "circular", ShiftRows),
    ],
)  # fmt: skip
def test_the_cheapest_kind_is_taken_and_a_total_is_one_row(filter, wanted, mode, kind):
    module = row_filter(filter, (0, 1, 2, 3), wanted, 4, mode, torch.float64)
    assert type(module) is kind
    assert is_total(filter, mode) is (mode == "circular" and not filter.head)
    assert module(torch.zeros(2, 4, 3, dtype=torch.float64)).shape == (
        2,
        1 if is_total(filter, mode) else len(wanted),
        3,
    )


def test_weights_are_rounded_to_the_dtype_asked_for():
    third, fifth = torch.tensor([1 / 3, 1 / 5], dtype=torch.float32).tolist()
    every = (0, 1, 2)
    prefix = row_filter(Filter.of(("1/3",), "1/5"), every, every, 3, "causal", torch.float32)
    assert (prefix.tail, prefix.head.tolist(), prefix.head.dtype) == (fifth, [third], torch.float32)
    for filter, mode in ((Filter.of(("1/3",), 0), "causal"), (Filter.of(("1/3",), "1/5"), "circular")):
        matrix = row_filter(filter, every, every, 3, mode, torch.float32).matrix
        assert (matrix.dtype, matrix[0, 0].item()) == (torch.float32, third)


def test_the_tree_adds_every_row_once():
    for n in range(1, 40):
        levels = folds(n)
        assert len(levels) == math.ceil(math.log2(n))
        x = torch.randint(-9, 9, (2, n, 3)).double()
        assert torch.equal(tree_sum(x, 1), x.sum(1, keepdim=True))
