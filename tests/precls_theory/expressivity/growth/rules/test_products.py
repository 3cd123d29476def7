"""Rules of products: what each bounds, how sharply, and what each refuses."""

from __future__ import annotations

from math import inf, pi
from math import sqrt as R

import pytest
import torch
from helpers.rules import Case, examine, refuses

MASK = torch.zeros(2, 3).double().masked_fill(torch.ones(2, 3).bool().triu(1), -inf)
SPIKE = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
WEIGHT = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 3.0], [0.0, 2.0, 0.0]], dtype=torch.float64)


def vector(*entries: float) -> torch.Tensor:
    return torch.tensor(entries, dtype=torch.float64)


CASES = {
    "product": Case(lambda op, u: op("mul.Tensor", u, op("neg", u)), norm=(0, 0, 1), at=SPIKE),
    "product of one tensor": Case(lambda op, u: op("mul.Tensor", u, u), norm=(0, 0, 1), low=0, at=SPIKE),
    "product, bounded": Case(lambda op, u: op("mul.Tensor", u, op("sigmoid", u)), norm=(0, 1)),
    "product, bounded first": Case(
        lambda op, u: op("mul.Tensor", op("tanh", u), op("mul.Scalar", u, 3.0)), norm=(0, 3)
    ),
    "product, both bounded": Case(
        lambda op, u: op("mul.Tensor", op("sub.Scalar", op("sigmoid", u), 2.0), op("add.Scalar", op("tanh", u), 2.0)),
        norm=(R(216),),
        low=-6,
        high=-1,
        share=0.499,
    ),
    "product, both negative": Case(
        lambda op, u: op("mul.Tensor", op("neg", op("relu", u)), op("sub.Scalar", op("sigmoid", u), 2.0)),
        norm=(0, 2),
        low=0,
        share=0.499,
        kind=1,
        pieces=(0, 2),
    ),
    "product of what grows from 1": Case(
        lambda op, u: op("mul.Tensor", op("add.Scalar", op("relu", u), 1.5), op("add.Scalar", op("relu", u), 2.0)),
        norm=(18, R(147 / 2), 1),
        low=3,
        kind=1,
        pieces=(18, R(147 / 2), 1),
    ),
    "product of unlike signs": Case(
        lambda op, u: op("mul.Tensor", op("relu", u), op("neg", op("sigmoid", u))),
        norm=(0, 1),
        high=0,
        kind=1,
        pieces=(0, 1),
    ),
    "product of unlike signs, turned": Case(
        lambda op, u: op("mul.Tensor", op("neg", op("sigmoid", u)), op("relu", u)),
        norm=(0, 1),
        high=0,
        kind=1,
        pieces=(0, 1),
    ),
    "product of what has one end": Case(
        lambda op, u: op("mul.Tensor", op("relu", u), u), norm=(0, 0, 1), kind=1, pieces=(0, 0, 1), at=SPIKE
    ),
    "product, broadcast": Case(
        lambda op, u: op("mul.Tensor", op("mean.dim", u, [0], True), op("sigmoid", op("mean.dim", u, [1], True))),
        norm=(0, 1),
    ),
    "product with a simplex": Case(
        lambda op, u: op("mul.Tensor", op("softmax.int", u, 1), vector(0.5, 1.0, 0.0)),
        norm=(R(2),),
        low=0,
        high=1,
        share=0.79,
        simplex=frozenset({-1}),
    ),
    "product with a simplex, first": Case(
        lambda op, u: op("mul.Tensor", vector(0.5, 1.0, 0.0), op("softmax.int", u, 1)),
        norm=(R(2),),
        low=0,
        high=1,
        share=0.79,
        simplex=frozenset({-1}),
    ),
    "product with a simplex, above 1": Case(
        lambda op, u: op("mul.Scalar", op("softmax.int", u, 1), 2.0), norm=(R(8),), low=0, high=2
    ),
    "product with a simplex, of both signs": Case(
        lambda op, u: op("mul.Tensor", op("softmax.int", u, 1), vector(0.5, -1.0, 0.0)),
        norm=(R(2),),
        low=-1,
        high=1 / 2,
        share=0.79,
    ),
    "product with a simplex, broadcast": Case(
        lambda op, u: op("mul.Tensor", op("softmax.int", op("mean.dim", u, [1], True), 1), vector(0.5, 1.0, 0.0)),
        norm=(R(5 / 2),),
        low=0,
        high=1,
    ),
    "product with a simplex, more dimensions": Case(
        lambda op, u: op("mul.Tensor", op("softmax.int", op("mean.dim", u, [1]), 0), torch.ones(3, 2).double()),
        norm=(R(3),),
        low=0,
        high=1,
        simplex=frozenset({-1}),
    ),
    "product, masked": Case(
        lambda op, u: op("softmax.int", op("mul.Scalar", op("add.Tensor", u, MASK), 2.0), 1),
        norm=(R(2),),
        low=0,
        high=1,
        simplex=frozenset({-1}),
    ),
    "product, masked second": Case(
        lambda op, u: op("softmax.int", op("mul.Tensor", torch.tensor(2.0).double(), op("add.Tensor", u, MASK)), 1),
        norm=(R(2),),
        low=0,
        high=1,
        simplex=frozenset({-1}),
    ),
    "quotient": Case(
        lambda op, u: op("div.Tensor", u, vector(2.0, -0.5, 4.0)), norm=(0, 2), at=torch.tensor([[0.0, 1, 0]] * 2)
    ),
    "quotient by a number": Case(
        lambda op, u: op("div.Scalar", op("sigmoid", u), 4.0), norm=(R(3 / 8),), low=0, high=1 / 4
    ),
    "quotient, bounded": Case(
        lambda op, u: op("div.Tensor", op("sub.Scalar", op("sigmoid", u), 0.5), vector(2.0, 0.5, 4.0)),
        norm=(R(54),),
        low=-1,
        high=1,
        share=0.199,
    ),
    "quotient of what is negative": Case(
        lambda op, u: op("div.Tensor", op("neg", op("relu", u)), vector(2.0, 0.5, 4.0)),
        norm=(0, 2),
        high=0,
        kind=1,
        pieces=(0, 2),
        at=torch.tensor([[0.0, 1, 0]] * 2),
    ),
    "quotient of what is positive": Case(
        lambda op, u: op("div.Tensor", op("relu", u), torch.full((3, 1, 1), 0.5).double()),
        norm=(0, R(12)),
        low=0,
        kind=1,
        pieces=(0, R(12)),
    ),
    "quotient, bounded, either sign": Case(
        lambda op, u: op("div.Tensor", op("sigmoid", u), vector(2.0, -0.5, 4.0)), norm=(R(24),), entry=2, share=0.599
    ),
    "quotient, masked": Case(
        lambda op, u: op("softmax.int", op("div.Scalar", op("add.Tensor", u, MASK), 2.0), 1),
        norm=(R(2),),
        low=0,
        high=1,
        simplex=frozenset({-1}),
    ),
    "quotient by what depends on the input": Case(
        lambda op, u: op("div.Tensor", u, op("add.Scalar", op("relu", u), 0.5)),
        norm=(0, 2),
        kind=1,
        refused="the denominator depends on the input and is not bounded away from 0 (no eps > 0 was recognised)",
        shape=(1, 1),
    ),
    "quotient, rounded": Case(
        lambda op, u: op("div.Tensor_mode", op("tanh", u), vector(2.0, 0.5, 4.0), rounding_mode="trunc"),
        norm=(R(54),),
        entry=3,
        share=0.384,
        kind=2,
    ),
    "quotient, not rounded": Case(
        lambda op, u: op("div.Scalar_mode", u, 2.0, rounding_mode=None), norm=(R(6), 1 / 2), kind=2
    ),
    "quotient, rounded down": Case(
        lambda op, u: op("floor_divide", u, vector(2.0, 1.0, 4.0)),
        norm=(R(6), 1),
        kind=2,
        at=torch.tensor([[0.0, 1, 0]] * 2),
    ),
    "sum and product": Case(
        lambda op, u: op("addcmul", op("tanh", u), u, op("sigmoid", u), value=-2.0), norm=(R(6), 2)
    ),
    "sum and product, broadcast": Case(
        lambda op, u: op("addcmul", op("mean.dim", u, [0]), op("mean.dim", u, [0]), op("mean.dim", u, [1], True)),
        norm=(0, 1, R(1 / 6)),
    ),
    "sum and quotient": Case(
        lambda op, u: op("addcdiv", op("tanh", u), u, vector(2.0, 0.5, 4.0), value=-2.0),
        norm=(R(6), 4),
        at=torch.tensor([[0.0, 1, 0]] * 2),
    ),
    "sum and quotient, broadcast": Case(
        lambda op, u: op(
            "addcdiv", op("mean.dim", u, [1], True), op("mean.dim", u, [0], True), torch.ones(1, 1).double()
        ),
        norm=(0, 2),
    ),
    "hypotenuse": Case(lambda op, u: op("hypot", op("tanh", u), u), norm=(R(6), 1), low=0, kind=2),
    "hypotenuse, broadcast": Case(
        lambda op, u: op("hypot", op("mean.dim", u, [0]), op("mean.dim", u, [1], True)),
        norm=(0, 2),
        low=0,
        share=0.707,
        kind=2,
    ),
    "angle": Case(lambda op, u: op("atan2", u, op("neg", op("abs", u))), norm=(R(6) * pi,), entry=pi, kind=2),
    "square": Case(lambda op, u: op("square", u), norm=(0, 0, 1), low=0, at=SPIKE),
    "power": Case(lambda op, u: op("pow.Tensor_Scalar", op("mul.Scalar", u, 2.0), 3), norm=(0, 0, 0, 8), at=SPIKE),
    "power of what is positive": Case(
        lambda op, u: op("pow.Tensor_Scalar", op("relu", u), 3),
        norm=(0, 0, 0, 1),
        low=0,
        kind=1,
        pieces=(0, 0, 0, 1),
        at=SPIKE,
    ),
    "power, bounded": Case(
        lambda op, u: op("pow.Tensor_Scalar", op("mul.Scalar", op("tanh", u), 2.0), 4),
        norm=(576,),
        low=0,
        entry=16,
        share=0.068,
    ),
    "power 1": Case(lambda op, u: op("pow.Tensor_Scalar", op("sigmoid", u), 1.0), norm=(R(6),), low=0, high=1),
    "power 0": Case(lambda op, u: op("add.Tensor", op("pow.Tensor_Scalar", u, 0.0), u), norm=(R(6), 1)),
    "power 1/2": Case(
        lambda op, u: op("pow.Tensor_Scalar", op("sigmoid", u), 0.5), norm=(R(6),), low=0, high=1, kind=2
    ),
    "power -1/2": Case(
        lambda op, u: op("pow.Tensor_Scalar", op("add.Scalar", op("sigmoid", u), 0.25), -0.5),
        norm=(R(24),),
        low=0,
        high=2,
    ),
    "power -1": Case(
        lambda op, u: op("pow.Tensor_Scalar", op("add.Scalar", op("relu", u), 0.25), -1),
        norm=(R(96),),
        low=0,
        high=4,
        kind=1,
        refused="the denominator depends on the input and is not bounded away from 0 (no eps > 0 was recognised)",
    ),
    "power 5/2": Case(
        lambda op, u: op("pow.Tensor_Scalar", op("relu", u), 2.5), norm=(R(6), 0, 0, 1), low=0, share=0.0, kind=2
    ),
    "power 5/2, above 0": Case(
        lambda op, u: op("float_power.Tensor_Scalar", op("add.Scalar", op("sigmoid", u), 1.0), 2.5),
        norm=(R(14406),),
        low=0,
        entry=R(14406),
        share=0.115,
    ),
    "square root": Case(
        lambda op, u: op("sqrt", op("relu", u)), norm=(6**0.25 / 2, 6**0.25 / 2), low=0, share=0.0, kind=2
    ),
    "root mean square by power": Case(
        lambda op, u: op(
            "mul.Tensor",
            u,
            op(
                "pow.Tensor_Scalar",
                op(
                    "add.Scalar",
                    op("mean.dim", op("pow.Tensor_Scalar", op("pow.Tensor_Scalar", u, 1), 2), [-1], True),
                    0.25,
                ),
                -0.5,
            ),
        ),
        norm=(0, 2),
        share=0.0,
    ),
    "cube is no square": Case(
        lambda op, u: op(
            "mul.Tensor",
            u,
            op("rsqrt", op("add.Scalar", op("mean.dim", op("abs", op("pow.Tensor_Scalar", u, 3)), [-1], True), 0.25)),
        ),
        norm=(0, 2),
        share=0.0,
        kind=1,
        refused="the argument is not bounded away from 0 (no eps > 0 was recognised)",
    ),
    "normalised by rows of another size": Case(
        lambda op, u: op(
            "div.Tensor",
            op("mean.dim", u, [0]),
            op("sqrt", op("add.Scalar", op("mean.dim", op("mul.Tensor", u, u), [1], True), 0.25)),
        ),
        norm=(0, 2),
        share=0.5,
    ),
    "matrices": Case(
        lambda op, u: op(
            "matmul", op("slice.Tensor", u, 0, 0, 1), op("transpose.int", op("slice.Tensor", u, 0, 1, 2), 0, 1)
        ),
        norm=(0, 0, 1),
        share=0.499,
    ),
    "weights": Case(lambda op, u: op("matmul", u, WEIGHT), norm=(0, 3), at=torch.tensor([[0.0, 1, 0]] * 2)),
    "weights, first": Case(
        lambda op, u: op("mm", WEIGHT, op("transpose.int", u, 0, 1)), norm=(0, 3), at=torch.tensor([[0.0, 0, 1]] * 2)
    ),
    "weights, a vector": Case(
        lambda op, u: op("mv", u, vector(2.0, 1.0, 2.0)), norm=(0, 3), at=torch.tensor([[2.0, 1, 2]] * 2)
    ),
    "a vector and weights": Case(
        lambda op, u: op("matmul", op("select.int", u, 0, 0), WEIGHT),
        norm=(0, 3),
        at=torch.tensor([[0.0, 1, 0], [0, 0, 0]]),
    ),
    "a constant vector": Case(
        lambda op, u: op("matmul", vector(3.0, 4.0), u), norm=(0, 5), at=torch.tensor([[3.0] * 3, [4.0] * 3])
    ),
    "vectors": Case(
        lambda op, u: op("dot", op("select.int", u, 0, 0), op("select.int", u, 0, 1)), norm=(0, 0, 1), share=0.499
    ),
    "inner product": Case(
        lambda op, u: op("inner", op("select.int", u, 0, 0), op("select.int", u, 0, 1)), norm=(0, 0, 1), share=0.499
    ),
    "inner product of vectors": Case(
        lambda op, u: op("vdot", op("select.int", u, 0, 0), vector(1.0, 2.0, 2.0)),
        norm=(0, 3),
        at=torch.tensor([[1.0, 2, 2], [0, 0, 0]]),
    ),
    "batches": Case(
        lambda op, u: op("bmm", u, WEIGHT.expand(2, 3, 3)),
        norm=(0, 3),
        shape=(2, 1, 3),
        at=torch.tensor([[[0.0, 1, 0]]] * 2),
    ),
    "matrices, broadcast": Case(
        lambda op, u: op("matmul", u, op("reshape", u, [3, 1, 2, 1])), norm=(0, 0, R(3)), share=0.577, shape=(3, 2)
    ),
    "matrices, broadcast, of constants": Case(
        lambda op, u: op("matmul", torch.ones(3, 1, 2).double(), u), norm=(0, R(6)), shape=(2, 1), at=torch.ones(2, 1)
    ),
    "simplex of rows": Case(
        lambda op, u: op("matmul", op("softmax.int", op("matmul", u, op("transpose.int", u, 1, 2)), -1), u),
        norm=(0, R(2)),
        share=0.993,
        shape=(1, 2, 2),
        at=torch.tensor([[[9.0, 0], [1, 0]]]),
    ),
    "simplex of rows, bounded": Case(
        lambda op, u: op("matmul", op("softmax.int", u, -1), op("sigmoid", op("transpose.int", u, 0, 1))),
        norm=(R(12),),
        entry=1,
        share=0.577,
    ),
    "simplex of rows, broadcast": Case(
        lambda op, u: op("matmul", op("softmax.int", op("expand", u, [4, 2, 3]), -1), op("transpose.int", u, 0, 1)),
        norm=(0, R(8)),
        share=0.853,
    ),
    "simplex of columns": Case(
        lambda op, u: op("matmul", u, op("softmax.int", op("transpose.int", u, 0, 1), 0)), norm=(0, R(2)), share=0.853
    ),
    "simplex of columns, broadcast": Case(
        lambda op, u: op("matmul", u, op("softmax.int", op("expand", op("transpose.int", u, 0, 1), [4, 3, 2]), -2)),
        norm=(0, R(8)),
        share=0.853,
    ),
    "simplex as a vector": Case(
        lambda op, u: op("matmul", op("softmax.int", op("select.int", u, 0, 0), 0), op("transpose.int", u, 0, 1)),
        norm=(0, 1),
        share=0.853,
    ),
    "linear": Case(
        lambda op, u: op("linear", u, WEIGHT, vector(1.0, 2.0, 2.0)),
        norm=(R(18), 3),
        at=torch.tensor([[0.0, 0, 1]] * 2),
    ),
    "linear, weights from the input": Case(
        lambda op, u: op("linear", torch.ones(2, 3).double(), u), norm=(0, R(6)), at=torch.ones(2, 3)
    ),
    "linear, both from the input": Case(
        lambda op, u: op("linear", op("slice.Tensor", u, 0, 0, 1), op("slice.Tensor", u, 0, 1, 2)),
        norm=(0, 0, 1),
        share=0.499,
    ),
    "linear, a constant vector": Case(
        lambda op, u: op("linear", vector(2.0, 1.0, 2.0), u), norm=(0, 3), at=torch.tensor([[2.0, 1, 2]] * 2)
    ),
    "sum and matrices": Case(
        lambda op, u: op("addmm", vector(1.0, 2.0, 2.0), u, WEIGHT, beta=-2.0, alpha=-3.0),
        norm=(R(72), 9),
        at=torch.tensor([[0.0, 1, 0]] * 2),
    ),
    "sum and batches": Case(
        lambda op, u: op("baddbmm", op("tanh", u), u, WEIGHT.expand(2, 3, 3), alpha=0.5),
        norm=(R(6), 3 / 2),
        shape=(2, 1, 3),
        at=torch.tensor([[[0.0, 1, 0]]] * 2),
    ),
    "sum of batches": Case(
        lambda op, u: op("addbmm", torch.ones(1, 3).double(), u, WEIGHT.expand(2, 3, 3)),
        norm=(R(3), R(18)),
        shape=(2, 1, 3),
        at=torch.tensor([[[0.0, 1, 0]]] * 2),
    ),
    "sum and a vector": Case(
        lambda op, u: op("addmv", vector(3.0, 4.0), u, vector(2.0, 1.0, 2.0), beta=0.5),
        norm=(5 / 2, 3),
        at=torch.tensor([[2.0, 1, 2]] * 2),
    ),
    "sum and matrices, masked": Case(
        lambda op, u: op("softmax.int", op("addmm", MASK, u, WEIGHT), 1),
        norm=(R(2),),
        low=0,
        high=1,
        simplex=frozenset({-1}),
    ),
    "outer": Case(
        lambda op, u: op("outer", op("select.int", u, 0, 0), op("select.int", u, 0, 1)), norm=(0, 0, 1), share=0.499
    ),
    "einsum": Case(
        lambda op, u: op("einsum", "ij,kj->ik", [u, WEIGHT]), norm=(0, 3), at=torch.tensor([[0.0, 0, 1]] * 2)
    ),
    "einsum, weights first": Case(
        lambda op, u: op("einsum", "kj, ij -> ik", [WEIGHT, u]), norm=(0, 3), at=torch.tensor([[0.0, 0, 1]] * 2)
    ),
    "einsum of the input": Case(
        lambda op, u: op("einsum", "ij,ij->", [op("slice.Tensor", u, 0, 0, 1), op("slice.Tensor", u, 0, 1, 2)]),
        norm=(0, 0, 1),
        share=0.499,
    ),
    "einsum, an index of one operand": Case(
        lambda op, u: op("einsum", "ij,jk->i", [u, torch.ones(3, 4).double()]), norm=(0, R(48)), at=torch.ones(2, 3)
    ),
    "einsum, dots": Case(
        lambda op, u: op("einsum", "...i,ij->...j", [u, WEIGHT]),
        norm=(0, 3),
        shape=(1, 2, 3),
        at=torch.tensor([[0.0, 1, 0]] * 2),
    ),
    "einsum, dots twice": Case(lambda op, u: op("einsum", "...i,...i->...", [u, u]), norm=(0, 0, 1), at=SPIKE),
    "einsum, batches of weights": Case(
        lambda op, u: op("einsum", "bij,bjk->bik", [u, torch.stack([WEIGHT, 0.5 * WEIGHT])]),
        norm=(0, 3),
        shape=(2, 1, 3),
        at=torch.tensor([[[0.0, 1, 0]], [[0, 0, 0]]]),
    ),
    "einsum, simplex": Case(
        lambda op, u: op("einsum", "ij,jk->ik", [op("softmax.int", u, 1), op("transpose.int", u, 0, 1)]),
        norm=(0, R(2)),
        share=0.853,
    ),
    "einsum, simplex second": Case(
        lambda op, u: op("einsum", "jk,ij->ik", [op("transpose.int", u, 0, 1), op("softmax.int", u, 1)]),
        norm=(0, R(2)),
        share=0.853,
    ),
    "einsum, simplex of another index": Case(
        lambda op, u: op("einsum", "ij,jk->ik", [op("softmax.int", u, 0), op("transpose.int", u, 0, 1)]),
        norm=(0, R(3)),
        share=0.75,
    ),
    "einsum, simplex, an index of one operand": Case(
        lambda op, u: op("einsum", "ij,jk->i", [op("softmax.int", u, 1), op("transpose.int", u, 0, 1)]),
        norm=(0, 2),
        share=0.853,
    ),
    "einsum, two sums with a simplex": Case(
        lambda op, u: op("einsum", "ij,ij->", [op("softmax.int", u, 1), u]), norm=(0, R(2)), share=0.853
    ),
    "Fourier": Case(lambda op, u: op("view_as_real", op("fft_fft", u)), norm=(0, 2), shape=(4,)),
    "Fourier, half": Case(
        lambda op, u: op("view_as_real", op("fft_rfft", u, 6, 0)),
        norm=(0, R(6)),
        share=0.912,
        shape=(4, 2),
        at=torch.tensor([[0.0, 1], [0, 0], [0, 0], [0, 0]]),
    ),
    "Fourier, back": Case(lambda op, u: op("fft_irfft", op("fft_rfft", u)), norm=(0, R(2)), share=0.707, shape=(4,)),
    "Fourier, back, longer": Case(lambda op, u: op("fft_irfft", op("fft_rfft", u), 8), norm=(0, 1), shape=(4,)),
    "Fourier, inverse": Case(
        lambda op, u: op("view_as_real", op("resolve_conj", op("fft_ifft", u, None, 1))),
        norm=(0, R(1 / 2)),
        share=0.707,
        shape=(1, 4),
    ),
    "simplex of rows, in batches": Case(
        lambda op, u: op("matmul", op("softmax.int", u, -1), u), norm=(0, R(2)), share=0.9, shape=(2, 2, 2)
    ),
    "simplex of columns, in batches": Case(
        lambda op, u: op("matmul", u, op("softmax.int", u, -2)), norm=(0, R(2)), share=0.79, shape=(2, 2, 2)
    ),
    "einsum, simplex, in batches": Case(
        lambda op, u: op("einsum", "bij,bjk->bik", [op("softmax.int", u, 2), op("transpose.int", u, 1, 2)]),
        norm=(0, R(2)),
        share=0.745,
        shape=(2, 2, 3),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bounds(name: str) -> None:
    examine(CASES[name])


DENOMINATOR = "the denominator depends on the input and is not bounded away from 0 (no eps > 0 was recognised)"
REFUSED = {
    "-inf times a negative number": (
        lambda op, u: op("softmax.int", op("mul.Scalar", op("add.Tensor", u, MASK), -1.0), 1),
        "mul: -inf is multiplied by something that may not be positive",
    ),
    "-inf times 0": (
        lambda op, u: op("softmax.int", op("mul.Tensor", vector(1.0, 0.0, 1.0), op("add.Tensor", u, MASK)), 1),
        "mul: -inf is multiplied by something that may not be positive",
    ),
    "-inf times the input": (
        lambda op, u: op("softmax.int", op("mul.Tensor", op("add.Tensor", u, MASK), u), 1),
        "mul: -inf is multiplied by something that may not be positive",
    ),
    "-inf times -inf": (
        lambda op, u: op("softmax.int", op("mul.Tensor", op("add.Tensor", u, MASK), MASK), 1),
        "mul: -inf is multiplied by something that may not be positive",
    ),
    "a mask that stays": (
        lambda op, u: op("mul.Scalar", op("add.Tensor", u, MASK), 2.0),
        "it has entries that are -inf, which no bound covers",
    ),
    "a mask that stays, divided": (
        lambda op, u: op("div.Scalar", op("add.Tensor", u, MASK), 2.0),
        "it has entries that are -inf, which no bound covers",
    ),
    "a mask that stays, added": (
        lambda op, u: op("addmm", MASK, u, WEIGHT),
        "it has entries that are -inf, which no bound covers",
    ),
    "division by 0": (lambda op, u: op("div.Tensor", u, vector(1.0, 0.0, 1.0)), "div: division by zero"),
    "-inf by a negative number": (
        lambda op, u: op("softmax.int", op("div.Scalar", op("add.Tensor", u, MASK), -2.0), 1),
        "div: -inf is divided by something that is not positive",
    ),
    "-inf by the input": (
        lambda op, u: op("softmax.int", op("div.Tensor", op("add.Tensor", u, MASK), op("sigmoid", u)), 1),
        "div: -inf is divided by something that depends on the input",
    ),
    "the input by -inf": (
        lambda op, u: op("div.Tensor", op("sigmoid", u), op("add.Tensor", u, MASK)),
        "div: -inf is divided by something that depends on the input",
    ),
    "divided by the input": (lambda op, u: op("div.Tensor", u, op("sigmoid", u)), f"div: {DENOMINATOR}"),
    "power -3": (lambda op, u: op("pow.Tensor_Scalar", u, -3), f"pow: {DENOMINATOR}"),
    "power 1/3": (
        lambda op, u: op("pow.Tensor_Scalar", u, 0.25),
        "pow: exponent 0.25: of numbers that may be negative, only whole exponents are covered",
    ),
    "power of 2^32": (
        lambda op, u: op("pow.Tensor_Scalar", u, 2.0**32),
        "pow: exponent 4.29497e+09 is beyond what is computed",
    ),
    "power of 5000": (
        lambda op, u: op("pow.Tensor_Scalar", u, 5000),
        "pow: its growth ‖u‖^5000 is beyond the largest that is computed, ‖u‖^4096",
    ),
    "inner products of matrices": (
        lambda op, u: op("inner", u, u),
        "inner: only inner products of vectors are covered",
    ),
    "-inf times weights": (
        lambda op, u: op("addmm", u, op("add.Tensor", u, MASK), WEIGHT),
        "addmm: -inf is multiplied",
    ),
    "weights times -inf": (
        lambda op, u: op(
            "addmm", torch.zeros(1).double(), WEIGHT, op("transpose.int", op("add.Tensor", u, MASK), 0, 1)
        ),
        "addmm: -inf is multiplied",
    ),
    "-inf times beta": (lambda op, u: op("addmm", MASK, u, WEIGHT, beta=2), "addmm: -inf is multiplied"),
    "einsum of one": (
        lambda op, u: op("einsum", "ij->i", [u]),
        "einsum: only equations of two operands with '->' are covered",
    ),
    "einsum without an end": (
        lambda op, u: op("einsum", "ij,jk", [u, WEIGHT]),
        "einsum: only equations of two operands with '->' are covered",
    ),
    "einsum of a diagonal": (
        lambda op, u: op("einsum", "ij,jj->i", [u, WEIGHT]),
        "einsum: a repeated index (a diagonal) is not covered",
    ),
    "einsum of a diagonal, first": (
        lambda op, u: op("einsum", "jj,ij->i", [WEIGHT, u]),
        "einsum: a repeated index (a diagonal) is not covered",
    ),
    "einsum of unlike dots": (
        lambda op, u: op("einsum", "...j,...j->...", [u, vector(1.0, 2.0, 3.0)]),
        "einsum: '...' that stands for different numbers of dimensions is not covered",
    ),
    "einsum, broadcast": (
        lambda op, u: op("einsum", "ij,ij->ij", [u, torch.ones(1, 3).double()]),
        "einsum: broadcasting inside einsum is not covered",
    ),
    "Fourier, orthonormal": (
        lambda op, u: op("view_as_real", op("fft_fft", u, None, -1, "ortho")),
        "fft_fft: norm='ortho' is not covered",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    refuses(*REFUSED[name])
