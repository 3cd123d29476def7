"""Rules of convolutions and tables: what each bounds, how sharply, and what each refuses."""

from __future__ import annotations

from math import sqrt as R

import pytest
import torch
from helpers.rules import Case, bound, examine, refuses


def vector(*entries: float) -> torch.Tensor:
    return torch.tensor(entries, dtype=torch.float64)


CASES = {
    "convolution": Case(
        lambda op, u: op("conv1d", u, vector(1.0, 2.0, 1.0).reshape(1, 1, 3), None, [1], [1]),
        norm=(0, 4),
        share=0.985,
        shape=(1, 1, 30),
    ),
    "convolution, channels": Case(
        lambda op, u: op("conv1d", u, vector(1.0, -1.0, 2.0, 0.0, 0.0, 1.0).reshape(3, 2, 1), vector(1.0, 2.0, 2.0)),
        norm=(6, R((7 + R(13)) / 2)),
        share=0.836,
        shape=(1, 2, 4),
    ),
    "convolution, groups": Case(
        lambda op, u: op("conv2d", u, vector(3.0, -2.0).reshape(2, 1, 1, 1), None, [1, 1], [0, 0], [1, 1], 2),
        norm=(0, 3),
        shape=(1, 2, 2, 2),
        at=torch.tensor([1.0] * 4 + [0.0] * 4),
    ),
    "convolution, named padding": Case(
        lambda op, u: op("conv1d.padding", u, vector(1.0, 2.0, 1.0).reshape(1, 1, 3), None, [1], "same", [2]),
        norm=(0, 4),
        share=0.97,
        shape=(1, 1, 30),
    ),
    "convolution, volumes": Case(
        lambda op, u: op("conv3d", u, torch.full((1, 1, 2, 1, 1), -0.5).double(), vector(3.0), [1, 2, 1]),
        norm=(R(72), 1),
        share=0.666,
        shape=(1, 1, 9, 2, 1),
    ),
    "convolution by the input": Case(
        lambda op, u: op(
            "conv1d",
            op("reshape", op("slice.Tensor", u, 0, 0, 4), [1, 1, 4]),
            op("reshape", op("slice.Tensor", u, 0, 4, 6), [1, 1, 2]),
            None,
            [1],
            [1],
        ),
        norm=(0, 0, R(2)),
        share=0.44,
        shape=(6,),
        at=torch.tensor([0.0, 1, 1, 0, 1, 1]),
    ),
    "convolution of a constant by the input": Case(
        lambda op, u: op("conv1d", torch.ones(1, 1, 4).double(), op("reshape", u, [3, 1, 2])),
        norm=(0, R(24)),
        share=0.499,
        shape=(6,),
    ),
    "transposed": Case(
        lambda op, u: op(
            "conv_transpose1d", u, vector(1.0, -1.0, 2.0, 0.0, 0.0, 1.0).reshape(2, 3, 1), vector(1.0, 2.0, 2.0)
        ),
        norm=(6, R((7 + R(41)) / 2)),
        share=0.905,
        shape=(1, 2, 4),
    ),
    "transposed, groups": Case(
        lambda op, u: op(
            "conv_transpose2d.input", u, vector(3.0, 4.0, 1.0, 0.0).reshape(2, 2, 1, 1), None, [2, 2], [0, 0], [1, 1], 2
        ),
        norm=(0, 5),
        shape=(1, 2, 2, 2),
        at=torch.tensor([1.0] * 4 + [0.0] * 4),
    ),
    "transposed, volumes": Case(
        lambda op, u: op(
            "conv_transpose3d.input", u, torch.ones(1, 2, 1, 1, 1).double(), vector(1.0, 1.0), [1], [0], [0], 1, [2]
        ),
        norm=(2, R(2)),
        shape=(1, 1, 2, 1, 1),
    ),
    "transposed by the input": Case(
        lambda op, u: op(
            "conv_transpose1d",
            op("reshape", op("slice.Tensor", u, 0, 0, 4), [1, 2, 2]),
            op("reshape", op("slice.Tensor", u, 0, 4, 12), [2, 2, 2]),
        ),
        norm=(0, 0, 2),
        share=0.288,
        shape=(12,),
    ),
    "either": Case(
        lambda op, u: op(
            "convolution",
            u,
            vector(1.0, -1.0, 2.0, 0.0, 0.0, 1.0).reshape(3, 2, 1),
            vector(1.0, 2.0, 2.0),
            [1],
            [0],
            [1],
            False,
            [0],
            1,
        ),
        norm=(6, R((7 + R(13)) / 2)),
        share=0.836,
        shape=(1, 2, 4),
    ),
    "either, transposed": Case(
        lambda op, u: op(
            "convolution",
            u,
            vector(3.0, 4.0, 1.0, 0.0).reshape(2, 2, 1, 1),
            None,
            [2, 2],
            [0, 0],
            [1, 1],
            True,
            [1, 1],
            2,
        ),
        norm=(0, 5),
        shape=(1, 2, 2, 2),
        at=torch.tensor([1.0] * 4 + [0.0] * 4),
    ),
    "rows of a table": Case(
        lambda op, u: op(
            "add.Tensor",
            op("sum.dim_IntList", u, [1], True),
            op("embedding", vector(3.0, 4.0, 0.0, 1.0).reshape(2, 2), torch.tensor([1, 0])),
        ),
        norm=(R(26), R(2)),
        shape=(2, 1),
    ),
    "rows of a table that is the input": Case(
        lambda op, u: op("embedding", u, torch.tensor([0, 0, 1])),
        norm=(0, R(2)),
        at=torch.tensor([[1.0] * 3, [0.0] * 3]),
    ),
    "rows of a table, found by the input": Case(
        lambda op, u: op("embedding", vector(3.0, 4.0, 0.0, 1.0, 2.0, 2.0).reshape(3, 2), op("argmin", u, 1)),
        norm=(R(50),),
        entry=4,
        kind=1,
        pieces=(R(50),),
        at=-torch.eye(3)[:2] * 0 + torch.tensor([[-1.0, 0, 0]] * 2),
    ),
    "rows of a table of small numbers": Case(
        lambda op, u: op("embedding", vector(3.0, 4.0, 0.0, 0.0).reshape(2, 2) * 1e-300, op("argmin", u, 1)),
        norm=(R(50) * 1e-300,),
        entry=4e-300,
        kind=1,
        pieces=(R(50) * 1e-300,),
        shape=(2, 2),
        at=torch.tensor([[-1.0, 0]] * 2),
    ),
    "rows of a table of zeros": Case(
        lambda op, u: op("embedding", torch.zeros(3, 2).double(), op("argmin", u, 1)),
        norm=(0,),
        entry=0,
        share=0.0,
        kind=1,
        pieces=(0,),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bounds(name: str) -> None:
    examine(CASES[name])


def test_tables_and_positions_that_both_depend_on_the_input() -> None:
    refuses(
        lambda op, u: op("embedding", u, op("argmax", u, 1)),
        "embedding: a table and positions that both depend on the input are not covered",
    )


def test_rows_found_at_several_positions() -> None:
    table = vector(3.0, 4.0, 0.0, 1.0, 2.0, 2.0).reshape(3, 2)
    found = bound(lambda op, u: op("embedding", table, op("argmin", u, 2)), (4, 2, 3))
    assert found.norm == pytest.approx((5 * R(8),))
