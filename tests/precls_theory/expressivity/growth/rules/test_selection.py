"""Rules of comparisons, selections and orders: what each bounds, how sharply, and what each refuses."""

from __future__ import annotations

from math import inf
from math import sqrt as R

import pytest
import torch
from helpers.rules import Case, examine, refuses

CHESS = torch.tensor([[True, False, True], [False, True, False]])
ALTERNATE = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
FIRST = torch.tensor([[1.0, -9.0, -9.0]] * 2)
PICTURE = torch.eye(20)[5].reshape(5, 4)


def vector(*entries: float) -> torch.Tensor:
    return torch.tensor(entries, dtype=torch.float64)


CASES = {
    "comparison": Case(
        lambda op, u: op("to.dtype", op("lt.Tensor", u, op("neg", u)), torch.float64),
        norm=(R(6),),
        low=0,
        high=1,
        kind=1,
        pieces=(R(6),),
    ),
    "test": Case(
        lambda op, u: op("to.dtype", op("isfinite", u), torch.float64),
        norm=(R(6),),
        low=0,
        high=1,
        kind=1,
        pieces=(R(6),),
    ),
    "test of rows": Case(
        lambda op, u: op("to.dtype", op("any.dim", op("gt.Scalar", u, 0), 1, True), torch.float64),
        norm=(R(2),),
        low=0,
        high=1,
        kind=1,
        pieces=(R(2),),
    ),
    "combination": Case(
        lambda op, u: op(
            "to.dtype", op("bitwise_or.Tensor", op("gt.Scalar", u, 0), op("lt.Scalar", u, 1)), torch.float64
        ),
        norm=(R(6),),
        low=0,
        high=1,
        kind=1,
        pieces=(R(6),),
    ),
    "negation": Case(
        lambda op, u: op("to.dtype", op("bitwise_not", op("gt.Scalar", u, 0)), torch.float64),
        norm=(R(6),),
        low=0,
        high=1,
        kind=1,
        pieces=(R(6),),
    ),
    "where, by a constant": Case(lambda op, u: op("where.self", CHESS, u, op("tanh", u)), norm=(R(6), 1), share=0.948),
    "where, never": Case(
        lambda op, u: op("where.self", torch.zeros(2, 3).bool(), op("relu", u), op("sigmoid", u)),
        norm=(R(6),),
        low=0,
        high=1,
        kind=1,
        pieces=(R(6),),
    ),
    "where, positions given as numbers": Case(
        lambda op, u: op("where.self", CHESS.to(torch.uint8), u, op("neg", u)), norm=(0, R(2)), share=0.707
    ),
    "where, by the input": Case(
        lambda op, u: op("where.self", op("gt.Scalar", u, 0), op("sigmoid", u), op("sub.Scalar", op("tanh", u), 2.0)),
        norm=(R(60),),
        low=-3,
        high=1,
        share=0.948,
        kind=1,
        pieces=(R(60),),
    ),
    "where, by the input, growing": Case(
        lambda op, u: op("where.self", op("gt.Scalar", u, 0), u, op("mul.Scalar", u, -3.0)),
        norm=(0, R(10)),
        share=0.948,
        kind=1,
        pieces=(0, R(10)),
    ),
    "where, by the input, or zero": Case(
        lambda op, u: op("where.self", op("gt.Scalar", u, 0), torch.zeros((), dtype=torch.float64), op("neg", u)),
        norm=(0, 1),
        kind=1,
        pieces=(0, 1),
    ),
    "where, a simplex or zero": Case(
        lambda op, u: op(
            "where.self", op("gt.Scalar", u, 0), torch.zeros(1, dtype=torch.float64), op("softmax.int", u, 1)
        ),
        norm=(R(2),),
        low=0,
        high=1,
        share=0.707,
        simplex=frozenset({-1}),
        kind=1,
        pieces=(R(2),),
    ),
    "where, a simplex or one": Case(
        lambda op, u: op(
            "where.self", op("gt.Scalar", u, 0), torch.ones(1, dtype=torch.float64), op("softmax.int", u, 1)
        ),
        norm=(R(8),),
        low=0,
        high=1,
        share=0.866,
        kind=1,
        pieces=(R(8),),
    ),
    "where, a simplex or zero, by a constant": Case(
        lambda op, u: op("where.self", CHESS, torch.zeros(1, dtype=torch.float64), op("softmax.int", u, 1)),
        norm=(R(2),),
        low=0,
        high=1,
        simplex=frozenset({-1}),
    ),
    "where, a wider simplex, by a constant": Case(
        lambda op, u: op(
            "where.self",
            torch.tensor([[True], [False]]),
            torch.zeros(1, dtype=torch.float64),
            op("softmax.int", op("slice.Tensor", u, 0, 0, 1), 1),
        ),
        norm=(1,),
        low=0,
        high=1,
    ),
    "where, negative or zero, by a constant": Case(
        lambda op, u: op("where.self", CHESS, torch.zeros(1, dtype=torch.float64), op("tanh", u)),
        norm=(R(6),),
        low=-1,
        high=1,
        share=0.707,
    ),
    "where, broadcast": Case(
        lambda op, u: op("where.self", op("gt.Scalar", u, 0), op("mean.dim", u, [1], True), u),
        norm=(0, R(2)),
        share=0.735,
        kind=1,
        pieces=(0, R(2)),
    ),
    "where, a relation kept": Case(
        lambda op, u: op(
            "mul.Tensor",
            u,
            op(
                "rsqrt",
                op(
                    "add.Scalar",
                    op("mean.dim", op("where.self", torch.ones(2, 3).bool(), op("mul.Tensor", u, u), u), [1], True),
                    0.25,
                ),
            ),
        ),
        norm=(R(6),),
        entry=R(3),
    ),
    "where, a relation of the other kept": Case(
        lambda op, u: op(
            "mul.Tensor",
            u,
            op(
                "rsqrt",
                op(
                    "add.Scalar",
                    op("mean.dim", op("where.self", torch.zeros(3).bool(), u, op("mul.Tensor", u, u)), [1], True),
                    0.25,
                ),
            ),
        ),
        norm=(R(6),),
        entry=R(3),
    ),
    "where, a relation lost": Case(
        lambda op, u: op(
            "mul.Tensor",
            u,
            op(
                "rsqrt",
                op(
                    "add.Scalar",
                    op(
                        "mean.dim",
                        op("where.self", CHESS, op("mul.Tensor", u, u), torch.zeros((), dtype=torch.float64)),
                        [1],
                        True,
                    ),
                    0.25,
                ),
            ),
        ),
        norm=(0, 2),
        at=ALTERNATE,
    ),
    "masked fill": Case(
        lambda op, u: op("masked_fill.Scalar", op("tanh", u), CHESS, 3.0), norm=(R(33),), low=-1, high=3, share=0.953
    ),
    "masked fill with -inf": Case(
        lambda op, u: op("softmax.int", op("masked_fill.Scalar", u, CHESS, -inf), 1),
        norm=(R(2),),
        low=0,
        high=1,
        simplex=frozenset({-1}),
    ),
    "masked fill by the input": Case(
        lambda op, u: op("masked_fill.Tensor", u, op("lt.Scalar", u, -5), torch.tensor(-5.0).double()),
        norm=(R(150), 1),
        share=0.999,
        kind=1,
        pieces=(R(150), 1),
    ),
    "maximum": Case(
        lambda op, u: op("maximum", op("sigmoid", u), op("tanh", u)),
        norm=(R(12),),
        low=0,
        high=1,
        share=0.707,
        kind=1,
        pieces=(R(12),),
    ),
    "maximum, growing": Case(
        lambda op, u: op("maximum", u, op("neg", u)), norm=(0, R(2)), share=0.707, kind=1, pieces=(0, R(2))
    ),
    "minimum": Case(
        lambda op, u: op("minimum", op("sigmoid", u), op("sub.Scalar", op("tanh", u), 1.0)),
        norm=(R(30),),
        low=-2,
        high=0,
        share=0.894,
        kind=1,
        pieces=(R(30),),
    ),
    "maximum of one that is bounded": Case(
        lambda op, u: op("max.other", op("relu", u), op("sub.Scalar", op("relu", u), 2.0)),
        norm=(R(24), R(2)),
        low=0,
        share=0.707,
        kind=1,
        pieces=(R(24), R(2)),
    ),
    "minimum, older": Case(
        lambda op, u: op("min.other", op("sub.Scalar", op("relu", u), 1.0), op("sub.Scalar", op("relu", u), 2.0)),
        norm=(R(30), R(2)),
        low=-2,
        share=0.707,
        kind=1,
        pieces=(R(30), R(2)),
    ),
    "largest": Case(
        lambda op, u: op("amax", op("sigmoid", u), [1], True),
        norm=(R(6),),
        low=0,
        high=1,
        share=0.577,
        kind=1,
        pieces=(R(6),),
    ),
    "largest of all": Case(lambda op, u: op("max", u), norm=(0, 1), kind=1, pieces=(0, 1)),
    "least": Case(lambda op, u: op("amin", op("relu", u)), norm=(0, 1), low=0, share=0.408, kind=1, pieces=(0, 1)),
    "largest, with its position": Case(
        lambda op, u: op.part(op("max.dim", op("sub.Scalar", op("sigmoid", u), 2.0), 1), 0),
        norm=(R(54),),
        low=-2,
        high=-1,
        share=0.384,
        kind=1,
        pieces=(R(54),),
    ),
    "position of the largest": Case(
        lambda op, u: op("to.dtype", op.part(op("max.dim", u, 1, True), 1), torch.float64),
        norm=(R(18),),
        low=0,
        high=3,
        share=0.527,
        kind=1,
        pieces=(R(18),),
    ),
    "running largest": Case(
        lambda op, u: op.part(op("cummax", u, 1), 0), norm=(0, R(3)), kind=1, pieces=(0, R(3)), at=FIRST
    ),
    "median": Case(
        lambda op, u: op.part(op("median.dim", op("relu", u), 1), 0),
        norm=(0, 1),
        low=0,
        kind=1,
        pieces=(0, 1),
        shape=(2, 1),
    ),
    "third": Case(
        lambda op, u: op.part(op("kthvalue", u, 3, 0), 0),
        norm=(0, 1),
        kind=1,
        pieces=(0, 1),
        shape=(3, 1),
        at=torch.tensor([[-1.0], [-1.0], [-1.0]]),
    ),
    "most frequent": Case(lambda op, u: op.part(op("mode", u), 0), norm=(0, 1), kind=1, pieces=(0, 1), shape=(2, 1)),
    "both ends": Case(
        lambda op, u: op(
            "sub.Tensor",
            op.part(op("aminmax", op("tanh", u), dim=1), 1),
            op.part(op("aminmax", op("sigmoid", u), dim=1), 0),
        ),
        norm=(R(24),),
        low=-2,
        high=1,
        share=0.288,
        kind=1,
        pieces=(R(24),),
    ),
    "position": Case(
        lambda op, u: op("to.dtype", op("argmin", u), torch.float64),
        norm=(6,),
        low=0,
        high=6,
        share=0.666,
        kind=1,
        pieces=(6,),
    ),
    "positions of a line": Case(
        lambda op, u: op("to.dtype", op("argmax", u, 1), torch.float64),
        norm=(R(72),),
        low=0,
        high=6,
        share=0.263,
        kind=1,
        pieces=(R(72),),
    ),
    "sorted": Case(
        lambda op, u: op.part(op("sort", op("relu", u), 0, True), 0), norm=(0, 1), low=0, kind=1, pieces=(0, 1)
    ),
    "sorted, positions": Case(
        lambda op, u: op("to.dtype", op.part(op("sort.stable", u, stable=True), 1), torch.float64),
        norm=(R(54),),
        low=0,
        high=3,
        share=0.43,
        kind=1,
        pieces=(R(54),),
    ),
    "positions in order": Case(
        lambda op, u: op("to.dtype", op("argsort", u), torch.float64),
        norm=(R(54),),
        low=0,
        high=3,
        share=0.43,
        kind=1,
        pieces=(R(54),),
    ),
    "sorted lines": Case(
        lambda op, u: op("msort", op("tanh", u)), norm=(R(6),), low=-1, high=1, kind=1, pieces=(R(6),)
    ),
    "largest two": Case(
        lambda op, u: op.part(op("topk", u, 2, 1, False, False), 0), norm=(0, 1), kind=1, pieces=(0, 1), shape=(1, 2)
    ),
    "max pool": Case(
        lambda op, u: op("max_pool1d", op("tanh", u), [2]),
        norm=(R(6),),
        low=-1,
        high=1,
        share=0.707,
        kind=1,
        pieces=(R(6),),
        shape=(1, 1, 6),
    ),
    "max pool, overlapping": Case(
        lambda op, u: op("max_pool1d", u, [3], [1], [1]), norm=(0, R(3)), kind=1, pieces=(0, R(3)), shape=(1, 1, 5)
    ),
    "max pool, steps": Case(
        lambda op, u: op("max_pool2d", u, [3, 2], [2, 2], [1, 1], [1, 1], True),
        norm=(0, R(2)),
        kind=1,
        pieces=(0, R(2)),
        shape=(1, 1, 5, 4),
        at=PICTURE,
    ),
    "max pool, holes": Case(
        lambda op, u: op("max_pool1d", u, [3], [2], [0], [2]),
        norm=(0, R(3)),
        kind=1,
        pieces=(0, R(3)),
        shape=(1, 1, 13),
    ),
    "max pool, holes of three": Case(
        lambda op, u: op("max_pool1d", u, [3], [2], [0], [3]),
        norm=(0, R(2)),
        kind=1,
        pieces=(0, R(2)),
        shape=(1, 1, 15),
        at=torch.eye(15)[6],
    ),
    "max pool, volumes": Case(
        lambda op, u: op("max_pool3d", u, [2], [1]), norm=(0, R(8)), kind=1, pieces=(0, R(8)), shape=(1, 1, 3, 3, 3)
    ),
    "max pool, positions": Case(
        lambda op, u: op("to.dtype", op.part(op("max_pool2d_with_indices", u, [2, 2]), 1), torch.float64),
        norm=(32,),
        low=0,
        high=16,
        share=0.669,
        kind=1,
        pieces=(32,),
        shape=(1, 1, 4, 4),
    ),
    "max pool, with positions": Case(
        lambda op, u: op.part(op("max_pool2d_with_indices", u, [2, 2], [1, 1]), 0),
        norm=(0, 2),
        kind=1,
        pieces=(0, 2),
        shape=(1, 1, 3, 3),
    ),
    "adaptive largest": Case(
        lambda op, u: op.part(op("adaptive_max_pool2d", op("sigmoid", u), [3, 4]), 0),
        norm=(6,),
        low=0,
        high=1,
        share=0.577,
        kind=1,
        pieces=(6,),
        shape=(1, 1, 2, 2),
    ),
    "adaptive largest, fewer": Case(
        lambda op, u: op.part(op("adaptive_max_pool1d", u, [2]), 0),
        norm=(0, R(2)),
        kind=1,
        pieces=(0, R(2)),
        shape=(1, 1, 3),
    ),
    "buckets": Case(
        lambda op, u: op(
            "to.dtype", op("bucketize.Tensor", u, vector(0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0), right=True), torch.float64
        ),
        norm=(R(384),),
        low=0,
        high=8,
        share=0.874,
        kind=1,
        pieces=(R(384),),
    ),
    "modulo": Case(lambda op, u: op("fmod.Scalar", u, -3.0), norm=(R(54),), entry=3, share=0.634, kind=2),
    "remainder": Case(
        lambda op, u: op("remainder.Scalar", u, 2.0), norm=(R(24),), entry=2, share=0.586, kind=2, at=torch.ones(2, 3)
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bounds(name: str) -> None:
    examine(CASES[name])


REFUSED = {
    "where, -inf by the input": (
        lambda op, u: op("softmax.int", op("where.self", op("gt.Scalar", u, 0), u, torch.tensor(-inf).double()), 1),
        "where: a mask of -inf that depends on the input may mask a row completely",
    ),
    "where, -inf first": (
        lambda op, u: op("softmax.int", op("where.self", op("gt.Scalar", u, 0), torch.tensor(-inf).double(), u), 1),
        "where: a mask of -inf that depends on the input may mask a row completely",
    ),
    "modulo 0": (lambda op, u: op("fmod.Scalar", u, 0.0), "fmod: division by zero"),
    "truth values as numbers": (
        lambda op, u: op("gt.Scalar", u, 0.0),
        "it is of type torch.bool, expected real numbers",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    refuses(*REFUSED[name])


def test_windows_with_holes_share_more_entries_than_without() -> None:
    """Steps of 2 and holes of 2: an entry is in 3 windows of 3, where ⌈3/2⌉ = 2 were claimed."""
    spike = torch.eye(13)[6].reshape(1, 1, 13)
    assert float(torch.nn.functional.max_pool1d(spike, 3, 2, 0, 2).norm()) > 1.7
