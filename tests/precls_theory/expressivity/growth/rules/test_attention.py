"""Rules of softmax and attention: what each bounds, how sharply, and what each refuses."""

from __future__ import annotations

from math import inf, log
from math import sqrt as R

import pytest
import torch
from helpers.rules import Case, examine, refuses

MASK = torch.zeros(2, 3).double().masked_fill(torch.ones(2, 3).bool().triu(1), -inf)
CAUSAL = torch.zeros(3, 3).double().masked_fill(torch.ones(3, 3).bool().triu(1), -inf)
LAST = torch.tensor([0.0, 0.0, 0.0, -inf], dtype=torch.float64)


CASES = {
    "softmax": Case(lambda op, u: op("softmax.int", u, 0), norm=(R(3),), low=0, high=1, simplex=frozenset({-2})),
    "softmax of a number": Case(lambda op, u: op("softmax.int", op("sum", u), 0), norm=(1,), low=0, high=1),
    "softmax, last": Case(
        lambda op, u: op("_softmax", u, -1, False), norm=(R(2),), low=0, high=1, simplex=frozenset({-1})
    ),
    "softmax, masked": Case(
        lambda op, u: op("softmax.int", op("add.Tensor", u, MASK), 1),
        norm=(R(2),),
        low=0,
        high=1,
        simplex=frozenset({-1}),
    ),
    "softmax of columns, masked": Case(
        lambda op, u: op("special_softmax", op("transpose.int", op("add.Tensor", u, MASK), 0, 1), 0),
        norm=(R(2),),
        low=0,
        high=1,
        simplex=frozenset({-2}),
    ),
    "safe softmax": Case(
        lambda op, u: op("_safe_softmax", op("masked_fill.Scalar", u, torch.tensor([[True], [False]]), -inf), 1),
        norm=(R(2),),
        low=0,
        high=1,
        share=0.707,
        simplex=frozenset({-1}),
    ),
    "safe softmax of columns": Case(
        lambda op, u: op("_safe_softmax", u, 0), norm=(R(3),), low=0, high=1, simplex=frozenset({-2})
    ),
    "log softmax": Case(
        lambda op, u: op("log_softmax.int", op("tanh", u), 1),
        norm=(R(6) * (1 + R(3)) + R(6) * log(3),),
        high=0,
        entry=2 + log(3),
        share=0.478,
        at=torch.tensor([[1.0, -1, -1]] * 2),
    ),
    "log softmax, growing": Case(
        lambda op, u: op("_log_softmax", u, 0, False),
        norm=(R(6) * log(2), 1 + R(2)),
        high=0,
        share=0.585,
        at=torch.tensor([[1.0] * 3, [-1.0] * 3]),
    ),
    "log softmax of one": Case(
        lambda op, u: op("special_log_softmax", u, 1), norm=(0, 2), high=0, share=0.0, shape=(3, 1)
    ),
    "log softmax of a number": Case(
        lambda op, u: op("log_softmax.int", op("sum", u), 0), norm=(0, R(24)), high=0, share=0.0
    ),
    "attention": Case(
        lambda op, u: op("scaled_dot_product_attention", u, u, op("sigmoid", u)),
        norm=(R(72),),
        low=0,
        high=1,
        share=0.577,
        shape=(1, 2, 3, 4),
    ),
    "attention, two sets of heads": Case(
        lambda op, u: op(
            "scaled_dot_product_attention",
            op("cat", [u, u], 1),
            op("expand", u, [1, 2, 3, 4]),
            op("expand", u, [1, 2, 3, 4]),
        ),
        norm=(0, R(6)),
        share=0.77,
        shape=(1, 1, 3, 4),
    ),
    "attention, heads that share": Case(
        lambda op, u: op(
            "scaled_dot_product_attention",
            op("repeat", u, [1, 4, 1, 1]),
            u,
            op("sub.Scalar", op("sigmoid", u), 2.0),
            enable_gqa=True,
        ),
        norm=(R(2592),),
        low=-2,
        high=0,
        share=0.384,
        shape=(1, 2, 3, 4),
    ),
    "attention, masked": Case(
        lambda op, u: op("scaled_dot_product_attention", u, u, u, torch.ones(3, 3).bool().tril()),
        norm=(0, R(3)),
        share=0.673,
        shape=(1, 2, 3, 4),
    ),
    "attention, masked by numbers": Case(
        lambda op, u: op("scaled_dot_product_attention", u, u, op("neg", op("relu", u)), CAUSAL),
        norm=(0, R(3)),
        high=0,
        share=0.673,
        kind=1,
        pieces=(0, R(3)),
        shape=(1, 2, 3, 4),
    ),
    "attention, biased by the input": Case(
        lambda op, u: op("scaled_dot_product_attention", u, u, u, op("matmul", u, op("transpose.int", u, 2, 3))),
        norm=(0, R(3)),
        share=0.67,
        shape=(1, 2, 3, 4),
    ),
    "attention, biased and named": Case(
        lambda op, u: op(
            "scaled_dot_product_attention", u, u, u, attn_mask=op("matmul", u, op("transpose.int", u, 2, 3))
        ),
        norm=(0, R(3)),
        share=0.67,
        shape=(1, 2, 3, 4),
    ),
    "attention, causal, scaled": Case(
        lambda op, u: op("scaled_dot_product_attention", u, u, u, None, 0.0, True, scale=0.5),
        norm=(0, R(3)),
        share=0.673,
        shape=(1, 2, 3, 4),
    ),
    "attention, scaled by a negative number": Case(
        lambda op, u: op("scaled_dot_product_attention", u, u, u, scale=-2.5),
        norm=(0, R(3)),
        share=0.592,
        shape=(1, 2, 3, 4),
    ),
    "dropout": Case(lambda op, u: op("dropout", op("sigmoid", u), 0.5, False), norm=(R(6),), low=0, high=1),
    "dropout of nothing": Case(lambda op, u: op("dropout", u, 0.0, True), norm=(0, 1)),
    "dropout, native": Case(lambda op, u: op.part(op("native_dropout", u, 0.5, False), 0), norm=(0, 1)),
    "dropout, its mask": Case(
        lambda op, u: op("to.dtype", op.part(op("native_dropout", u, 0.5, False), 1), torch.float64),
        norm=(R(6),),
        low=1,
        high=1,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bounds(name: str) -> None:
    examine(CASES[name])


ROWS = (1, 2, 3, 4)
REFUSED = {
    "a row that is -inf": (
        lambda op, u: op("softmax.int", op("masked_fill.Scalar", u, torch.tensor([[True], [False]]), -inf), 1),
        "softmax: a row is masked completely, so its softmax is 0/0 = NaN; let every row attend to something",
    ),
    "a column that is -inf": (
        lambda op, u: op("softmax.int", op("masked_fill.Scalar", u, torch.tensor([True, False, True]), -inf), 0),
        "softmax: a row is masked completely, so its softmax is 0/0 = NaN; let every row attend to something",
    ),
    "dropout": (
        lambda op, u: op("dropout", u, 0.5, True),
        "dropout: dropout 0.5 is active, so the output is random; call model.eval() first",
    ),
    "dropout, by default": (
        lambda op, u: op.part(op("native_dropout", u, 0.5, None), 0),
        "native_dropout: dropout 0.5 is active, so the output is random; call model.eval() first",
    ),
}
ATTENTION = {
    "dropout": (
        lambda op, u: op("scaled_dot_product_attention", u, u, u, None, 0.5),
        "dropout 0.5 is active, so the output is random; call model.eval() first",
    ),
    "infinite scale": (
        lambda op, u: op("scaled_dot_product_attention", u, u, u, scale=inf),
        "a parameter is inf, expected a finite number",
    ),
    "values with -inf": (
        lambda op, u: op("scaled_dot_product_attention", u, u, op("add.Tensor", u, LAST)),
        "queries, keys and values must be finite",
    ),
    "keys with -inf": (
        lambda op, u: op("scaled_dot_product_attention", u, op("add.Tensor", u, LAST), u),
        "queries, keys and values must be finite",
    ),
    "queries with -inf": (
        lambda op, u: op("scaled_dot_product_attention", op("add.Tensor", u, LAST), u, u),
        "queries, keys and values must be finite",
    ),
    "a row that sees nothing": (
        lambda op, u: op("scaled_dot_product_attention", u, u, u, torch.ones(3, 3).bool().tril(-1)),
        "a row is masked completely, so its softmax is 0/0 = NaN; let every row attend to something",
    ),
    "a row of -inf": (
        lambda op, u: op(
            "scaled_dot_product_attention", u, u, u, CAUSAL.masked_fill(torch.tensor([[True], [False], [False]]), -inf)
        ),
        "a row is masked completely, so its softmax is 0/0 = NaN; let every row attend to something",
    ),
    "a mask that depends on the input": (
        lambda op, u: op("scaled_dot_product_attention", u, u, u, op("gt.Scalar", op("slice.Tensor", u, 3, 0, 3), 0.0)),
        "a boolean mask that depends on the input may mask a row completely",
    ),
    "a mask that depends on the input, named": (
        lambda op, u: op(
            "scaled_dot_product_attention", u, u, u, attn_mask=op("gt.Scalar", op("slice.Tensor", u, 3, 0, 3), 0.0)
        ),
        "a boolean mask that depends on the input may mask a row completely",
    ),
    "masked before it is scaled": (
        lambda op, u: op("scaled_dot_product_attention", u, u, u, None, 0.0, True, scale=-2.5),
        "scale = -2.5: PyTorch multiplies masked scores, which are -inf, by it, which gives NaN; use scale > 0",
    ),
    "masked and scaled by 0": (
        lambda op, u: op("scaled_dot_product_attention", u, u, u, None, 0.0, True, scale=0.0),
        "scale = 0.0: PyTorch multiplies masked scores, which are -inf, by it, which gives NaN; use scale > 0",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    refuses(*REFUSED[name])


@pytest.mark.parametrize("name", ATTENTION)
def test_refusals_of_attention(name: str) -> None:
    build, reason = ATTENTION[name]
    refuses(build, f"scaled_dot_product_attention: {reason}", ROWS)
