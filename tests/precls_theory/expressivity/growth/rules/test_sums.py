"""Rules of sums: what each bounds, how sharply, and what each refuses."""

from __future__ import annotations

from fractions import Fraction
from math import inf, log
from math import sqrt as R

import pytest
import torch
from helpers.rules import Build, Case, bound, examine, refuses

MASK = torch.zeros(2, 3).double().masked_fill(torch.ones(2, 3).bool().triu(1), -inf)
OTHER_MASK = torch.zeros(3).double().masked_fill(torch.tensor([False, False, True]), -inf)
FIRST_MASK = torch.zeros(3).double().masked_fill(torch.tensor([True, False, False]), -inf)
ROW = torch.tensor([[1.0, -2.0, 2.0]] * 2)
SIGNS = torch.tensor([[1.0, -1.0, 1.0], [-1.0, 1.0, -1.0]])
SIGNS4 = torch.tensor([[1.0, -1.0, 1.0, -1.0]] * 2)
SIGNS22 = torch.tensor([[1.0, -1.0], [0.0, 0.0]])
DIAGONAL = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def vector(*entries: float) -> torch.Tensor:
    return torch.tensor(entries, dtype=torch.float64)


CASES = {
    "add": Case(lambda op, u: op("add.Tensor", u, u), norm=(0, 2)),
    "add, alpha": Case(
        lambda op, u: op("add.Tensor", op("tanh", u), op("sigmoid", u), alpha=3), norm=(R(96),), low=-1, high=4
    ),
    "add, negative alpha": Case(
        lambda op, u: op("add.Tensor", op("relu", u), op("sigmoid", u), alpha=-2),
        norm=(R(24), 1),
        low=-2,
        kind=1,
        pieces=(R(24), 1),
    ),
    "add, alpha of what has no end": Case(
        lambda op, u: op("add.Tensor", op("sigmoid", u), op("relu", u), alpha=-2),
        norm=(R(6), 2),
        high=1,
        kind=1,
        pieces=(R(6), 2),
    ),
    "add, alpha 0": Case(lambda op, u: op("add.Tensor", op("sigmoid", u), u, alpha=0), norm=(R(6),), low=0, high=1),
    "add, a number": Case(
        lambda op, u: op("add.Scalar", op("sigmoid", u), 2.5), norm=(R(147 / 2),), low=5 / 2, high=7 / 2
    ),
    "add, broadcast": Case(lambda op, u: op("add.Tensor", u, vector(1.0, -2.0, 2.0)), norm=(R(18), 1), at=ROW),
    "add, masked": Case(
        lambda op, u: op("softmax.int", op("add.Tensor", u, MASK), 1),
        norm=(R(2),),
        low=0,
        high=1,
        simplex=frozenset({-1}),
    ),
    "add, masked twice": Case(
        lambda op, u: op("softmax.int", op("add.Tensor", op("add.Tensor", MASK, u), OTHER_MASK), 1),
        norm=(R(2),),
        low=0,
        high=1,
        simplex=frozenset({-1}),
    ),
    "subtract": Case(
        lambda op, u: op("sub.Tensor", op("sigmoid", u), op("tanh", u), alpha=0.5),
        norm=(R(27 / 2),),
        low=-1 / 2,
        high=3 / 2,
        share=0.333,
    ),
    "subtract, a number": Case(
        lambda op, u: op("sub.Scalar", op("relu", u), 2.0), norm=(R(24), 1), low=-2, kind=1, pieces=(R(24), 1)
    ),
    "subtract, masked": Case(
        lambda op, u: op("softmax.int", op("sub.Tensor", MASK, u), 1),
        norm=(R(2),),
        low=0,
        high=1,
        simplex=frozenset({-1}),
    ),
    "reverse subtract": Case(
        lambda op, u: op("rsub.Tensor", op("sigmoid", u), op("relu", u), alpha=2),
        norm=(R(24), 1),
        low=-2,
        kind=1,
        pieces=(R(24), 1),
    ),
    "reverse subtract, a number": Case(
        lambda op, u: op("rsub.Scalar", op("sigmoid", u), 2.0), norm=(R(54),), low=1, high=2, share=0.666
    ),
    "interpolate": Case(lambda op, u: op("lerp.Scalar", u, op("tanh", u), 0.25), norm=(R(3 / 8), 1), share=0.75),
    "interpolate, ends": Case(lambda op, u: op("lerp.Scalar", u, op("neg", u), 1.0), norm=(0, 2), share=0.499),
    "interpolate, outside": Case(lambda op, u: op("lerp.Scalar", u, op("neg", u), -0.5), norm=(0, 2)),
    "interpolate, beyond": Case(lambda op, u: op("lerp.Scalar", u, op("neg", u), 1.5), norm=(0, 4), share=0.499),
    "interpolate, by a tensor": Case(
        lambda op, u: op("lerp.Tensor", u, op("mul.Scalar", u, 3.0), op("sigmoid", u)), norm=(0, 4), share=0.749
    ),
    "sum": Case(lambda op, u: op("sum", op("sigmoid", u)), norm=(6,), low=0, high=6),
    "sum of all": Case(lambda op, u: op("sum", u), norm=(0, R(6))),
    "sum of rows": Case(lambda op, u: op("sum.dim_IntList", u, [-1], True), norm=(0, R(3))),
    "sum, what is bounded below": Case(
        lambda op, u: op("sum.dim_IntList", op("add.Scalar", op("relu", u), 2.0), [0]),
        norm=(R(48), R(2)),
        low=4,
        kind=1,
        pieces=(R(48), R(2)),
    ),
    "sum, what is bounded above": Case(
        lambda op, u: op("sum.dim_IntList", op("neg", op("add.Scalar", op("relu", u), 2.0)), [0, 1]),
        norm=(12, R(6)),
        high=-12,
        kind=1,
        pieces=(12, R(6)),
    ),
    "mean": Case(
        lambda op, u: op("mean", op("sub.Scalar", op("sigmoid", u), 3.0)), norm=(4,), low=-3, high=-2, share=0.749
    ),
    "mean of rows": Case(lambda op, u: op("mean.dim", u, [1]), norm=(0, R(1 / 3))),
    "mean, positive": Case(
        lambda op, u: op("mean.dim", op("add.Scalar", op("relu", u), 2.0), [1], True),
        norm=(R(8), R(1 / 3)),
        low=2,
        kind=1,
        pieces=(R(8), R(1 / 3)),
    ),
    "root mean square by hand": Case(
        lambda op, u: op(
            "mul.Tensor", u, op("rsqrt", op("add.Scalar", op("mean.dim", op("mul.Tensor", u, u), [-1], True), 1e-4))
        ),
        norm=(R(6),),
        entry=R(3),
    ),
    "root mean square, eps first": Case(
        lambda op, u: op(
            "div.Tensor",
            u,
            op(
                "sqrt",
                op(
                    "add.Tensor",
                    torch.tensor(1e-4).double(),
                    op("mean.dim", op("pow.Tensor_Scalar", u, 2), [0, 1], True),
                ),
            ),
        ),
        norm=(R(6),),
        entry=R(6),
    ),
    "root mean square of another": Case(
        lambda op, u: op(
            "mul.Tensor",
            op("neg", u),
            op("rsqrt", op("add.Scalar", op("mean.dim", op("mul.Tensor", u, u), [-1], True), 0.25)),
        ),
        norm=(0, 2),
        share=0.0,
    ),
    "root mean square, eps for each row": Case(
        lambda op, u: op(
            "mul.Tensor",
            u,
            op(
                "rsqrt",
                op("add.Tensor", op("mean.dim", op("mul.Tensor", u, u), [-1], True), torch.full((2, 1), 0.25).double()),
            ),
        ),
        norm=(0, 2),
        share=0.0,
    ),
    "root mean square, two eps": Case(
        lambda op, u: op(
            "mul.Tensor",
            u,
            op(
                "rsqrt",
                op("add.Scalar", op("add.Scalar", op("mean.dim", op("mul.Tensor", u, u), [-1], True), 0.125), 0.125),
            ),
        ),
        norm=(0, 2),
        share=0.0,
    ),
    "root mean square, without its dimension": Case(
        lambda op, u: op(
            "mul.Tensor", u, op("rsqrt", op("add.Scalar", op("mean.dim", op("mul.Tensor", u, u), [0]), 0.25))
        ),
        norm=(0, 2),
        share=0.0,
    ),
    "variance by hand": Case(
        lambda op, u: op(
            "div.Tensor",
            op("sub.Tensor", u, op("mean.dim", u, [1], True)),
            op("sqrt", op("add.Scalar", op("var.correction", u, [1], correction=0, keepdim=True), 1e-4)),
        ),
        norm=(R(8),),
        entry=2,
        at=SIGNS4,
        shape=(2, 4),
    ),
    "variance by hand, unbiased": Case(
        lambda op, u: op(
            "div.Tensor",
            op("sub.Tensor", u, op("mean.dim", u, [1], True)),
            op("sqrt", op("add.Scalar", op("var.dim", u, [1], True, True), 1e-4)),
        ),
        norm=(R(8),),
        entry=2,
        share=0.866,
        at=SIGNS4,
        shape=(2, 4),
    ),
    "variance by hand, mean of columns": Case(
        lambda op, u: op(
            "div.Tensor",
            op("sub.Tensor", u, op("mean.dim", u, [0], True)),
            op("sqrt", op("add.Scalar", op("var.correction", u, [1], correction=0, keepdim=True), 0.25)),
        ),
        norm=(0, 4),
        share=0.25,
    ),
    "variance by hand, twice the mean": Case(
        lambda op, u: op(
            "div.Tensor",
            op("sub.Tensor", u, op("mean.dim", u, [1], True), alpha=2),
            op("sqrt", op("add.Scalar", op("var.correction", u, [1], correction=0, keepdim=True), 0.25)),
        ),
        norm=(0, 6),
        share=0.333,
    ),
    "variance by hand, mean of another": Case(
        lambda op, u: op(
            "div.Tensor",
            op("sub.Tensor", u, op("mean.dim", op("neg", u), [1], True)),
            op("sqrt", op("add.Scalar", op("var.correction", u, [1], correction=0, keepdim=True), 0.25)),
        ),
        norm=(0, 4),
    ),
    "variance": Case(lambda op, u: op("var", op("tanh", u)), norm=(6 / 5,), low=0, entry=6 / 5),
    "variance, biased": Case(lambda op, u: op("var", u, False), norm=(0, 0, 1 / 6), low=0, at=SIGNS),
    "variance of rows": Case(lambda op, u: op("var.dim", u, [1]), norm=(0, 0, 1), low=0, shape=(2, 2), at=SIGNS22),
    "variance, biased, of rows": Case(
        lambda op, u: op("var.dim", u, [0, 1], False, True), norm=(0, 0, 1 / 6), low=0, at=SIGNS
    ),
    "variance, correction": Case(
        lambda op, u: op("var.correction", u, [0, 1], correction=2.5), norm=(0, 0, 2 / 7), low=0, at=SIGNS
    ),
    "variance, bounded": Case(
        lambda op, u: op("var.correction", op("tanh", u), [0], correction=0),
        norm=(3,),
        low=0,
        entry=1,
        share=0.577,
        at=SIGNS,
    ),
    "deviation": Case(lambda op, u: op("std", op("tanh", u)), norm=(R(6 / 5),), low=0, entry=R(6 / 5), kind=2),
    "deviation of rows": Case(
        lambda op, u: op("std.dim", u, [0, 1], False), norm=(0, R(1 / 6)), low=0, kind=2, at=SIGNS
    ),
    "deviation, correction": Case(
        lambda op, u: op("std.correction", u, [1], correction=1, keepdim=True),
        norm=(0, 1),
        low=0,
        kind=2,
        shape=(2, 2),
        at=SIGNS22,
    ),
    "variance and mean": Case(
        lambda op, u: op.part(op("var_mean.correction", u, [0, 1], correction=0), 0),
        norm=(0, 0, 1 / 6),
        low=0,
        at=SIGNS,
    ),
    "mean with variance": Case(lambda op, u: op.part(op("var_mean.dim", u, [1], False, True), 1), norm=(0, R(1 / 3))),
    "mean with variance, of all": Case(lambda op, u: op.part(op("var_mean", u), 1), norm=(0, R(1 / 6))),
    "deviation and mean": Case(
        lambda op, u: op.part(op("std_mean.correction", u, [0, 1], correction=0), 0),
        norm=(0, R(1 / 6)),
        low=0,
        kind=2,
        at=SIGNS,
    ),
    "mean with deviation": Case(
        lambda op, u: op.part(op("std_mean.dim", u, [1], False), 1), norm=(0, R(1 / 3)), kind=2
    ),
    "deviation of all, with its mean": Case(
        lambda op, u: op.part(op("std_mean", u), 0), norm=(0, R(1 / 5)), low=0, kind=2
    ),
    "norm": Case(lambda op, u: op("linalg_vector_norm", u), norm=(0, 1), low=0, kind=2),
    "norm, sum of absolute values": Case(
        lambda op, u: op("linalg_vector_norm", op("tanh", u), 1, [1]), norm=(R(18),), low=0, entry=3, kind=2
    ),
    "norm, of order 1": Case(lambda op, u: op("linalg_vector_norm", u, 1.0), norm=(0, R(6)), low=0, kind=2),
    "norm, of order 3/2": Case(
        lambda op, u: op("linalg_vector_norm", u, 1.5, [1]), norm=(0, 3 ** (1 / 6)), low=0, kind=2
    ),
    "norm, of order 3": Case(lambda op, u: op("linalg_vector_norm", u, 3, [1]), norm=(0, 1), low=0, kind=2),
    "norm, largest": Case(lambda op, u: op("linalg_vector_norm", u, inf, [0, 1], True), norm=(0, 1), low=0, kind=2),
    "norm, older": Case(lambda op, u: op("norm.ScalarOpt_dim", u, 1, [1]), norm=(0, R(3)), low=0, kind=2),
    "norm, older, Euclidean": Case(lambda op, u: op("norm.ScalarOpt_dim", u, None, [1]), norm=(0, 1), low=0, kind=2),
    "norm, older, of all": Case(lambda op, u: op("norm.Scalar", u, 1), norm=(0, R(6)), low=0, kind=2),
    "norm, in a format": Case(
        lambda op, u: op("norm.ScalarOpt_dim_dtype", u, 1, [1], False, dtype=torch.float64),
        norm=(0, R(3)),
        low=0,
        kind=2,
    ),
    "norm, linalg": Case(lambda op, u: op("linalg_norm", u, None, [1]), norm=(0, 1), low=0, kind=2),
    "norm, linalg, named": Case(lambda op, u: op("linalg_norm", u, 2, [-1], True), norm=(0, 1), low=0, kind=2),
    "normalised": Case(
        lambda op, u: op("div.Tensor", u, op("clamp_min", op("linalg_vector_norm", u, 2, [1], True), 0.5)),
        norm=(R(2),),
        entry=1,
        kind=2,
    ),
    "normalised, without its dimension": Case(
        lambda op, u: op("div.Tensor", u, op("clamp_min", op("linalg_vector_norm", u, 2, [0]), 0.5)),
        norm=(0, 2),
        share=0.0,
        kind=2,
    ),
    "normalised by another norm": Case(
        lambda op, u: op("div.Tensor", u, op("clamp_min", op("linalg_vector_norm", u, 1, [1], True), 0.5)),
        norm=(0, 2),
        share=0.0,
        kind=2,
    ),
    "prefix sums": Case(lambda op, u: op("cumsum", op("tanh", u), 1), norm=(6,), entry=3, share=0.881),
    "prefix sums of columns": Case(lambda op, u: op("cumsum", u, 0), norm=(0, R(3)), share=0.912),
    "log of a sum of exponentials": Case(lambda op, u: op("logsumexp", u, [1]), norm=(R(2) * log(3), 1)),
    "log of a sum of exponentials, bounded": Case(
        lambda op, u: op("logsumexp", op("tanh", u), [0], True),
        norm=(R(6) + R(3) * log(2),),
        entry=1 + log(2),
        share=0.803,
    ),
    "log of a sum of one": Case(lambda op, u: op("special_logsumexp", u, [1]), norm=(0, 1), shape=(3, 1)),
    "difference": Case(lambda op, u: op("diff", u), norm=(0, 2), share=0.816),
    "difference, three times": Case(lambda op, u: op("diff", u, 3, 0), norm=(0, 8), share=0.816, shape=(9, 1)),
    "trace": Case(lambda op, u: op("trace", u), norm=(0, R(2)), at=DIAGONAL),
    "average pool": Case(
        lambda op, u: op("avg_pool1d", op("sigmoid", u), [3]), norm=(3,), low=0, entry=1, share=0.577, shape=(1, 1, 9)
    ),
    "average pool, overlapping": Case(
        lambda op, u: op("avg_pool1d", u, [3], [1]), norm=(0, R(3)), share=0.509, shape=(1, 1, 9)
    ),
    "average pool, steps": Case(
        lambda op, u: op("avg_pool2d", u, [3, 2], [2, 1], [1, 0], True, False),
        norm=(0, 2),
        share=0.335,
        shape=(1, 2, 5, 4),
    ),
    "average pool, another divisor": Case(
        lambda op, u: op("avg_pool2d", u, [2, 2], [1, 1], [0, 0], False, True, 3),
        norm=(0, 4 / 3),
        share=0.749,
        shape=(1, 1, 4, 4),
    ),
    "average pool, one size": Case(
        lambda op, u: op("avg_pool3d", op("add.Scalar", op("relu", u), 1.0), [2], [2], [1]),
        norm=(R(32), 1),
        low=0,
        share=0.187,
        kind=1,
        pieces=(R(32), 1),
        shape=(1, 1, 2, 4, 4),
    ),
    "adaptive average": Case(
        lambda op, u: op("adaptive_avg_pool1d", u, [4]), norm=(0, R(2)), share=0.577, shape=(1, 1, 6)
    ),
    "adaptive average, more": Case(
        lambda op, u: op("_adaptive_avg_pool2d", u, [5, 3]), norm=(0, R(8)), share=0.559, shape=(1, 1, 2, 3)
    ),
    "adaptive average, volumes": Case(
        lambda op, u: op("adaptive_avg_pool3d", op("tanh", u), [1, 2, 1]),
        norm=(8,),
        low=-1,
        entry=1,
        share=0.176,
        shape=(1, 1, 2, 2, 2),
    ),
    "adaptive average of pictures": Case(
        lambda op, u: op("adaptive_avg_pool2d", u, [1, 1]), norm=(0, 2), share=0.124, shape=(1, 2, 4, 4)
    ),
    "adaptive average of volumes": Case(
        lambda op, u: op("_adaptive_avg_pool3d", u, [1, 1, 1]), norm=(0, R(8)), share=0.124, shape=(1, 1, 2, 2, 2)
    ),
    "nearest": Case(
        lambda op, u: op("upsample_nearest1d", op("sigmoid", u), [6]), norm=(R(12),), low=0, high=1, shape=(1, 2, 3)
    ),
    "nearest, by a scale": Case(
        lambda op, u: op("upsample_nearest2d", u, [4, 6], 2.0, 2.0), norm=(0, 2), shape=(1, 1, 2, 3)
    ),
    "nearest, volumes": Case(
        lambda op, u: op("upsample_nearest3d", u, [2, 3, 4]), norm=(0, R(8)), share=0.884, shape=(1, 1, 1, 2, 2)
    ),
    "deviation of rows, bounded": Case(
        lambda op, u: op("std.dim", op("tanh", u), [1]), norm=(R(3),), low=0, entry=R(3 / 2), share=0.942, kind=2
    ),
    "deviation of rows, bounded, correction": Case(
        lambda op, u: op("std.correction", op("tanh", u), [1], correction=0),
        norm=(R(2),),
        low=0,
        entry=1,
        share=0.942,
        kind=2,
    ),
    "variance of rows, with its mean": Case(
        lambda op, u: op.part(op("var_mean.dim", u, [1]), 0),
        norm=(0, 0, 1),
        low=0,
        share=0.577,
        shape=(3, 2),
        at=torch.tensor([[1.0, -1]] * 3),
    ),
    "deviation of rows, with its mean": Case(
        lambda op, u: op.part(op("std_mean.dim", u, [1]), 0),
        norm=(0, 1),
        low=0,
        kind=2,
        shape=(3, 2),
        at=torch.tensor([[1.0, -1]] * 3),
    ),
    "sum of what is bounded in size": Case(
        lambda op, u: op("sum.dim_IntList", op("fmod.Scalar", u, 2.0), [1]),
        norm=(R(32),),
        entry=4,
        share=0.606,
        kind=2,
        shape=(2, 2),
        at=torch.full((2, 2), 1.999 / 10000000.0 * 4),
    ),
    "prefix sums of a number": Case(lambda op, u: op("cumsum", op("sum", u), 0), norm=(0, R(6))),
    "normalised, older": Case(
        lambda op, u: op("div.Tensor", u, op("clamp_min", op("norm.ScalarOpt_dim", u, None, [1], True), 0.5)),
        norm=(R(2),),
        entry=1,
        kind=2,
    ),
    "deviation of rows, bounded, with its mean": Case(
        lambda op, u: op.part(op("std_mean.dim", op("tanh", u), [1]), 0),
        norm=(R(3),),
        low=0,
        entry=R(3 / 2),
        share=0.942,
        kind=2,
    ),
    "variance by hand, with its mean": Case(
        lambda op, u: op(
            "div.Tensor",
            op("sub.Tensor", u, op("mean.dim", u, [1], True)),
            op(
                "sqrt",
                op("add.Scalar", op.part(op("var_mean.correction", u, [1], correction=0, keepdim=True), 0), 1e-4),
            ),
        ),
        norm=(R(8),),
        entry=2,
        at=SIGNS4,
        shape=(2, 4),
    ),
    "variance by hand, with the mean beside it": Case(
        lambda op, u: op(
            "div.Tensor",
            op("sub.Tensor", u, op.part(op("var_mean.correction", u, [1], correction=0, keepdim=True), 1)),
            op("sqrt", op("add.Scalar", op("var.correction", u, [1], correction=0, keepdim=True), 1e-4)),
        ),
        norm=(R(8),),
        entry=2,
        at=SIGNS4,
        shape=(2, 4),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bounds(name: str) -> None:
    examine(CASES[name])


REFUSED = {
    "add, masked, alpha": (
        lambda op, u: op("softmax.int", op("add.Tensor", u, MASK, alpha=2), 1),
        "add: -inf is multiplied by alpha",
    ),
    "subtract what is masked": (
        lambda op, u: op("softmax.int", op("sub.Tensor", u, MASK), 1),
        "sub: -inf is subtracted, which gives +inf",
    ),
    "interpolate by what grows": (
        lambda op, u: op("lerp.Tensor", u, u, u),
        "lerp: a weight that is not bounded is not covered",
    ),
    "variance of one entry": (
        lambda op, u: op("var.correction", op("slice.Tensor", u, 1, 0, 1), [1]),
        "var: correction 1 needs more than 1 entries, there are 1",
    ),
    "variance, negative correction": (
        lambda op, u: op("var.correction", u, [1], correction=-0.5),
        "var: correction -0.5 needs more than -0.5 entries, there are 3",
    ),
    "norm of a matrix": (
        lambda op, u: op("linalg_norm", u),
        "linalg_norm: only Euclidean norms along one dimension are covered",
    ),
    "norm of a matrix, named": (
        lambda op, u: op("linalg_norm", u, 2, [0, 1]),
        "linalg_norm: only Euclidean norms along one dimension are covered",
    ),
    "norm of order 1, linalg": (
        lambda op, u: op("linalg_norm", u, 1, [1]),
        "linalg_norm: only Euclidean norms along one dimension are covered",
    ),
    "norm of order 1/2": (
        lambda op, u: op("linalg_vector_norm", u, 0.5),
        "linalg_vector_norm: the norm of order 0.5 is not covered, only those from 1 to inf",
    ),
    "difference, more rows": (
        lambda op, u: op("diff", u, 1, -1, u),
        "diff: prepended and appended rows are not covered",
    ),
    "difference, more rows after": (
        lambda op, u: op("diff", u, append=u),
        "diff: prepended and appended rows are not covered",
    ),
    "a mask that stays": (
        lambda op, u: op("add.Tensor", u, MASK),
        "it has entries that are -inf, which no bound covers",
    ),
    "two masks, none of which masks a row": (
        lambda op, u: op("softmax.int", op("add.Tensor", op("add.Tensor", u, MASK), FIRST_MASK), 1),
        "softmax: a row is masked completely, so its softmax is 0/0 = NaN; let every row attend to something",
    ),
    "mean of nothing": (
        lambda op, u: op("add.Tensor", u, op("mean", op("slice.Tensor", u, 1, 0, 0))),
        "mean: its rule does not cover this call (float division by zero)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    refuses(*REFUSED[name])


def test_a_product_is_rounded_before_it_is_added() -> None:
    """c − 3y for y ≤ 0.7 and the float c above 3·0.7: rounded once, at the end, its least value was twice the true one."""
    c = torch.tensor(0.7 * 3.0, dtype=torch.float64).nextafter(torch.tensor(inf).double())
    y = torch.tensor(0.7, dtype=torch.float64)
    exact = Fraction(float(c)) - 3 * Fraction(float(y))
    found = bound(lambda op, u: op("rsub.Tensor", op("clamp_max", u, 0.7), c.expand(2, 3), alpha=3))
    assert Fraction(float(found.lower)) <= exact
    assert float(exact) - found.lower < 1e-15


def test_eps_that_a_format_holds() -> None:
    """Norms by hand are bounded where eps is far above underflow, and grow with the input elsewhere."""

    def rms(eps: float) -> Build:
        return lambda op, u: op(
            "mul.Tensor", u, op("rsqrt", op("add.Scalar", op("mean.dim", op("mul.Tensor", u, u), [-1], True), eps))
        )

    formats = frozenset({torch.float16})
    assert len(bound(rms(0.06), (1, 100), dtypes=formats).norm) == 1
    assert len(bound(rms(0.045), (1, 100), dtypes=formats).norm) == 2  # positive, but not far enough above underflow
    refuses(rms(1e-4), "rsqrt: the argument is not bounded away from 0 (no eps > 0 was recognised)", dtypes=formats)
