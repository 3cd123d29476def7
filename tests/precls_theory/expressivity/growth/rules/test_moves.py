"""Rules of moved entries: what each bounds, how sharply, and what each refuses."""

from __future__ import annotations

import math
from math import inf
from math import sqrt as R

import pytest
import torch
from helpers.rules import Case, examine, refuses

MASK = torch.zeros(2, 3).double().masked_fill(torch.ones(2, 3).bool().triu(1), -inf)
SPIKE = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
SIGNS4 = torch.tensor([[1.0, -1.0, 1.0, -1.0]] * 2)


def vector(*entries: float) -> torch.Tensor:
    return torch.tensor(entries, dtype=torch.float64)


CASES = {
    "reshape": Case(lambda op, u: op("reshape", op("sigmoid", u), [3, 2]), norm=(R(6),), low=0, high=1),
    "view as": Case(lambda op, u: op("view_as", u, op("transpose.int", u, 0, 1)), norm=(0, 1)),
    "expand": Case(
        lambda op, u: op("expand", op("select.int", u, 0, 0), [4, 3]),
        norm=(0, 2),
        at=torch.tensor([[1.0, 2, 3], [0, 0, 0]]),
    ),
    "expand as": Case(lambda op, u: op("expand_as", op("mean.dim", u, [0], True), u), norm=(0, 1)),
    "select": Case(lambda op, u: op("select.int", op("tanh", u), 1, 2), norm=(R(6),), low=-1, high=1, share=0.577),
    "index": Case(
        lambda op, u: op("index.Tensor", u, [torch.tensor([0, 0, 1])]),
        norm=(0, R(2)),
        at=torch.tensor([[1.0] * 3, [0.0] * 3]),
    ),
    "gather": Case(
        lambda op, u: op("gather", u, 1, torch.tensor([[0, 0], [2, 2]])),
        norm=(0, R(2)),
        at=torch.tensor([[1.0, 0, 0], [0, 0, 1]]),
    ),
    "chunk": Case(
        lambda op, u: op.part(op("chunk", op("relu", u), 2, 0), 1),
        norm=(0, 1),
        low=0,
        kind=1,
        pieces=(0, 1),
        at=torch.tensor([[0.0] * 3, [1.0] * 3]),
    ),
    "windows": Case(lambda op, u: op("unfold", u, 1, 2, 1), norm=(0, R(2)), at=torch.tensor([[0.0, 1, 0]] * 2)),
    "diagonal, embedded": Case(
        lambda op, u: op("diag_embed", op("add.Scalar", op("sigmoid", u), 1.0)), norm=(R(24),), low=0, high=2
    ),
    "adjoint": Case(lambda op, u: op("adjoint", u), norm=(0, 1)),
    "softmax, moved": Case(
        lambda op, u: op("transpose.int", op("softmax.int", u, 1), 0, 1),
        norm=(R(2),),
        low=0,
        high=1,
        simplex=frozenset({-2}),
    ),
    "softmax, picked": Case(
        lambda op, u: op("slice.Tensor", op("softmax.int", u, 1), 1, 0, 2),
        norm=(R(2),),
        low=0,
        high=1,
        simplex=frozenset({-1}),
    ),
    "softmax, regrouped": Case(
        lambda op, u: op("reshape", op("softmax.int", u, 1), [3, 2]), norm=(R(2),), low=0, high=1
    ),
    "softmax, repeated along its dimension": Case(
        lambda op, u: op("repeat", op("softmax.int", u, 1), [1, 2]), norm=(2,), low=0, high=1
    ),
    "softmax, repeated": Case(
        lambda op, u: op("repeat", op("softmax.int", u, 1), [2, 1]), norm=(2,), low=0, high=1, simplex=frozenset({-1})
    ),
    "softmax of three dimensions": Case(
        lambda op, u: op("permute", op("softmax.int", u, 1), [1, 0, 2]),
        norm=(2,),
        low=0,
        high=1,
        simplex=frozenset({-3}),
        shape=(2, 3, 2),
    ),
    "softmax, one dimension less": Case(
        lambda op, u: op("select.int", op("softmax.int", u, 1), 2, 0),
        norm=(2,),
        low=0,
        high=1,
        share=0.707,
        simplex=frozenset({-1}),
        shape=(2, 3, 2),
    ),
    "mean, expanded": Case(
        lambda op, u: op(
            "div.Tensor",
            op("sub.Tensor", u, op("expand", op("mean.dim", u, [1], True), [2, 4])),
            op("sqrt", op("add.Scalar", op("var.correction", u, [1], correction=0, keepdim=True), 1e-4)),
        ),
        norm=(R(8),),
        entry=2,
        shape=(2, 4),
        at=SIGNS4,
    ),
    "mean, expanded to more dimensions": Case(
        lambda op, u: op(
            "div.Tensor",
            op("sub.Tensor", u, op("select.int", op("expand", op("mean.dim", u, [1], True), [3, 2, 4]), 0, 0)),
            op("sqrt", op("add.Scalar", op("var.correction", u, [1], correction=0, keepdim=True), 0.25)),
        ),
        norm=(0, 2 + R(12)),
        share=0.0,
        shape=(2, 4),
        at=SIGNS4,
    ),
    "identity": Case(lambda op, u: op("contiguous", op("relu", u)), norm=(0, 1), low=0, kind=1, pieces=(0, 1)),
    "identity, same tensor": Case(lambda op, u: op("mul.Tensor", u, op("clone", u)), norm=(0, 0, 1), low=0, at=SPIKE),
    "conversion": Case(lambda op, u: op("to.dtype", op("sigmoid", u), torch.float32), norm=(R(6),), low=0, high=1),
    "conversion of truth values": Case(
        lambda op, u: op("to.dtype", op("gt.Scalar", u, 0.0), torch.float64),
        norm=(R(6),),
        low=0,
        high=1,
        kind=1,
        pieces=(R(6),),
    ),
    "conversion to truth values": Case(
        lambda op, u: op("to.dtype", op("to.dtype", u, torch.bool), torch.float64),
        norm=(R(6),),
        low=0,
        high=1,
        kind=1,
        pieces=(R(6),),
    ),
    "conversion of positions": Case(
        lambda op, u: op("to.dtype", op("to.dtype", op("argmax", u, 1), torch.int8), torch.float64),
        norm=(R(72),),
        low=0,
        high=6,
        share=0.263,
        kind=1,
        pieces=(R(72),),
    ),
    "conversion as another": Case(lambda op, u: op("type_as", u, torch.zeros(1).double()), norm=(0, 1)),
    "lower triangle": Case(
        lambda op, u: op("tril", op("sub.Scalar", op("sigmoid", u), 2.0)), norm=(R(54),), low=-2, high=0, share=0.471
    ),
    "upper triangle": Case(lambda op, u: op("triu", u, 1), norm=(0, 1), at=torch.tensor([[0.0, 1, 1], [0, 0, 1]])),
    "triangle of a softmax": Case(
        lambda op, u: op("tril", op("softmax.int", u, 1)), norm=(R(2),), low=0, high=1, simplex=frozenset({-1})
    ),
    "concatenation": Case(lambda op, u: op("cat", [u, op("tanh", u)], 1), norm=(R(6), 1)),
    "concatenation of what is twice": Case(lambda op, u: op("cat", [u, u, op("mul.Scalar", u, 2.0)]), norm=(0, R(6))),
    "stack": Case(
        lambda op, u: op("stack", [op("sigmoid", u), op("sub.Scalar", op("sigmoid", u), 3.0)], -1),
        norm=(R(102),),
        low=-3,
        high=1,
        share=0.727,
    ),
    "concatenation with a constant": Case(
        lambda op, u: op("cat", [u, vector(3.0, 4.0, 0.0).reshape(1, 3)]), norm=(5, 1)
    ),
    "slice replaced": Case(
        lambda op, u: op("slice_scatter", u, op("tanh", op("slice.Tensor", u, 1, 0, 1)), 1, 0, 1),
        norm=(R(2), 1),
        at=torch.tensor([[0.0, 1, 1]] * 2),
    ),
    "copy": Case(
        lambda op, u: op("copy", torch.zeros(2, 3).double(), op("select.int", u, 0, 0)),
        norm=(0, R(2)),
        at=torch.tensor([[1.0, 2, 3], [0, 0, 0]]),
    ),
    "entries replaced": Case(
        lambda op, u: op("index_put", op("sigmoid", u), [torch.tensor([0]), torch.tensor([1])], vector(5.0)),
        norm=(R(31),),
        low=0,
        high=5,
        share=0.983,
    ),
    "entries of a constant replaced": Case(
        lambda op, u: op("index_put", torch.full((2, 3), 2.0).double(), [torch.tensor([0])], op("select.int", u, 0, 0)),
        norm=(R(12), 1),
        at=torch.tensor([[1.0, 2, 3], [0, 0, 0]]),
    ),
    "entries replaced by a number": Case(
        lambda op, u: op("scatter.value", op("tanh", u), 1, torch.tensor([[0], [1]]), -3.0),
        norm=(R(24),),
        low=-3,
        high=1,
        share=0.957,
    ),
    "rows replaced by a number": Case(
        lambda op, u: op("index_fill.int_Scalar", u, 1, torch.tensor([0, 2]), 3.0),
        norm=(6, 1),
        at=torch.tensor([[0.0, 1, 0]] * 2),
    ),
    "rows replaced by a tensor": Case(
        lambda op, u: op("index_fill.int_Tensor", u, 0, torch.tensor([1]), torch.tensor(-2.0).double()),
        norm=(R(12), 1),
        at=torch.tensor([[1.0] * 3, [0.0] * 3]),
    ),
    "border of a number": Case(
        lambda op, u: op("constant_pad_nd", op("sigmoid", u), [1, 0], 2.0), norm=(R(14),), low=0, high=2
    ),
    "border cropped": Case(
        lambda op, u: op("constant_pad_nd", u, [0, -2]), norm=(0, 1), at=torch.tensor([[1.0, 0, 0]] * 2)
    ),
    "border": Case(lambda op, u: op("pad", u, [1, 1], "constant", -2.0), norm=(4, 1)),
    "border of zeros": Case(
        lambda op, u: op("pad", op("add.Scalar", op("sigmoid", u), 1.0), [1, 1]), norm=(R(24),), low=0, high=2
    ),
    "border mirrored": Case(
        lambda op, u: op("pad", u, [2, 2], "reflect"), norm=(0, R(3)), shape=(1, 1, 4), at=torch.tensor([0.0, 1, 0, 0])
    ),
    "border mirrored by its own operation": Case(
        lambda op, u: op("reflection_pad1d", u, [2, 2]),
        norm=(0, R(3)),
        shape=(1, 1, 4),
        at=torch.tensor([0.0, 1, 0, 0]),
    ),
    "border repeated": Case(
        lambda op, u: op("replication_pad2d", op("tanh", u), [3, 0, 0, 0]),
        norm=(4,),
        low=-1,
        high=1,
        share=0.79,
        shape=(1, 2, 1, 2),
    ),
    "border masked": Case(
        lambda op, u: op("softmax.int", op("constant_pad_nd", u, [1, 1], -inf), 1),
        norm=(R(2),),
        low=0,
        high=1,
        simplex=frozenset({-1}),
    ),
    "constant like": Case(lambda op, u: op("mul.Tensor", u, op("full_like", u, -3.0)), norm=(0, 3)),
    "ones like": Case(lambda op, u: op("mul.Tensor", u, op("ones_like", u)), norm=(0, 1)),
    "new constant": Case(lambda op, u: op("add.Tensor", u, op("new_full", u, [3], 2.0)), norm=(R(24), 1)),
    "filled": Case(lambda op, u: op("add.Tensor", u, op("fill.Scalar", u, -2.0)), norm=(R(24), 1)),
    "filled by the input": Case(lambda op, u: op("fill.Tensor", u, op("sum", u)), norm=(0, 6)),
    "real and imaginary parts": Case(
        lambda op, u: op("view_as_real", op("view_as_complex", op("mul.Scalar", u, 2.0))), norm=(0, 2), shape=(3, 2)
    ),
    "complex": Case(lambda op, u: op("view_as_real", op("complex", u, op("tanh", u))), norm=(R(6), 1)),
    "real part": Case(
        lambda op, u: op("real", op("view_as_complex", op("tanh", u))),
        norm=(R(6),),
        entry=R(2),
        share=0.707,
        shape=(3, 2),
        at=torch.tensor([[1.0, 0]] * 3),
    ),
    "imaginary part": Case(
        lambda op, u: op("imag", op("view_as_complex", u)), norm=(0, 1), shape=(3, 2), at=torch.tensor([[0.0, 1]] * 3)
    ),
    "real part of what is real": Case(lambda op, u: op("real", op("sigmoid", u)), norm=(R(6),), low=0, high=1),
    "masked, moved": Case(
        lambda op, u: op("softmax.int", op("transpose.int", op("add.Tensor", u, MASK), 0, 1), 0),
        norm=(R(2),),
        low=0,
        high=1,
        simplex=frozenset({-2}),
    ),
    "masked, joined": Case(
        lambda op, u: op("softmax.int", op("cat", [u, op("add.Tensor", u, MASK)], 1), 1),
        norm=(R(2),),
        low=0,
        high=1,
        simplex=frozenset({-1}),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bounds(name: str) -> None:
    examine(CASES[name])


REFUSED = {
    "positions that depend on the input": (
        lambda op, u: op("gather", u, 1, op("argmax", u, 1, True)),
        "gather: positions that depend on the input are not covered",
    ),
    "adding to entries": (
        lambda op, u: op("index_put", u, [torch.tensor([0, 0])], op("select.int", u, 0, 0), True),
        "index_put: accumulate=True is not covered",
    ),
    "filled with inf": (
        lambda op, u: op("constant_pad_nd", u, [1, 1], inf),
        "constant_pad_nd: filling with inf is not covered",
    ),
    "filled with NaN": (
        lambda op, u: op("scatter.value", u, 1, torch.tensor([[0]]), math.nan),
        "scatter: filling with nan is not covered",
    ),
    "rows filled with inf": (
        lambda op, u: op("index_fill.int_Scalar", u, 1, torch.tensor([0]), inf),
        "index_fill: a parameter is inf, expected a finite number",
    ),
    "border of inf": (lambda op, u: op("pad", u, [1, 1], "constant", inf), "pad: filling with inf is not covered"),
    "border of NaN": (lambda op, u: op("pad", u, [1, 1], "constant", math.nan), "pad: filling with nan is not covered"),
    "memory that was never written": (
        lambda op, u: op("add.Tensor", u, op("empty_like", u)),
        "empty_like: it reads memory that was never written",
    ),
    "filled by a number of the input": (
        lambda op, u: op("index_fill.int_Tensor", u, 0, torch.tensor([1]), op("sum", u)),
        "index_fill: positions that depend on the input are not covered",
    ),
    "an adjoint": (
        lambda op, u: op("view_as_real", op("resolve_conj", op("adjoint", op("view_as_complex", u)))),
        "adjoint: the adjoint of a complex matrix is not covered",
        (2, 2, 2),
    ),
    "the imaginary part thrown away": (
        lambda op, u: op("to.dtype", op("view_as_complex", u), torch.float64),
        "to: the imaginary part is thrown away",
        (3, 2),
    ),
    "rounded to integers": (
        lambda op, u: op("to.dtype", op("to.dtype", u, torch.int64), torch.float64),
        "to: conversion from torch.float64 to torch.int64 rounds or wraps around",
    ),
    "positions beyond a format": (
        lambda op, u: op("to.dtype", op("to.dtype", op("argmax", u), torch.int8), torch.float64),
        "to: conversion from torch.int64 to torch.int8 rounds or wraps around",
        (20, 10),
    ),
    "a mask moved to the end": (
        lambda op, u: op("transpose.int", op("add.Tensor", u, MASK), 0, 1),
        "it has entries that are -inf, which no bound covers",
    ),
    "a mask of the border": (
        lambda op, u: op("constant_pad_nd", u, [1, 1], -inf),
        "it has entries that are -inf, which no bound covers",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    refuses(*REFUSED[name])
