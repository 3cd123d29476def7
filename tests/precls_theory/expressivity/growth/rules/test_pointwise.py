"""Rules of functions of one entry: what each bounds, how sharply, and what each refuses."""

from __future__ import annotations

import math
from math import exp, inf, log, pi
from math import sqrt as R

import pytest
import torch
from helpers.rules import Build, Case, bound, examine, refuses


def vector(*entries: float) -> torch.Tensor:
    return torch.tensor(entries, dtype=torch.float64)


CASES = {
    "relu": Case(lambda op, u: op("relu", u), norm=(0, 1), low=0, kind=1, pieces=(0, 1)),
    "relu of what is bounded": Case(
        lambda op, u: op("relu", op("sub.Scalar", op("sigmoid", u), 0.5)),
        norm=(R(27 / 2),),
        low=0,
        entry=1 / 2,
        share=0.333,
        kind=1,
        pieces=(R(27 / 2),),
    ),
    "silu": Case(lambda op, u: op("silu", u), norm=(0, 1), low=-2 / 5),
    "mish": Case(lambda op, u: op("mish", u), norm=(0, 1), low=-2 / 5),
    "tanh": Case(lambda op, u: op("tanh", u), norm=(R(6),), low=-1, high=1),
    "erf": Case(lambda op, u: op("erf", u), norm=(R(6),), low=-1, high=1),
    "sin": Case(lambda op, u: op("sin", op("tanh", u)), norm=(R(6),), low=-1, high=1, share=0.841),
    "cos": Case(lambda op, u: op("cos", u), norm=(R(6),), low=-1, high=1),
    "sinc": Case(lambda op, u: op("sinc", u), norm=(R(6),), low=-1, high=1),
    "sigmoid": Case(lambda op, u: op("sigmoid", u), norm=(R(6),), low=0, high=1),
    "erfc": Case(lambda op, u: op("erfc", u), norm=(R(24),), low=0, high=2),
    "arctan": Case(lambda op, u: op("atan", u), norm=(R(6) * pi / 2,), low=-pi / 2, high=pi / 2),
    "asinh": Case(lambda op, u: op("asinh", u), norm=(0, 1), share=0.0),
    "log sigmoid": Case(lambda op, u: op("log_sigmoid", u), norm=(R(6) * log(2), 1), high=0),
    "sign": Case(lambda op, u: op("sign", u), norm=(R(6),), low=-1, high=1, kind=1, pieces=(R(6),)),
    "sign of numbers": Case(lambda op, u: op("sgn", u), norm=(R(6),), low=-1, high=1, kind=1, pieces=(R(6),)),
    "floor": Case(lambda op, u: op("floor", u), norm=(R(6), 1), kind=2),
    "frac": Case(lambda op, u: op("frac", u), norm=(R(6),), low=-1, high=1, share=0.904, kind=2),
    "selu": Case(
        lambda op, u: op("selu", u),
        norm=(0, 2),
        low=-1.7581,
        share=0.525,
        kind=1,
        refused="one of its pieces, continued to all inputs, grows exponentially",
    ),
    "relu6": Case(lambda op, u: op("relu6", u), norm=(R(216),), low=0, high=6, kind=1, pieces=(R(216), 1)),
    "hardsigmoid": Case(lambda op, u: op("hardsigmoid", u), norm=(R(6),), low=0, high=1, kind=1, pieces=(R(6), 1)),
    "absolute": Case(lambda op, u: op("abs", u), norm=(0, 1), low=0, kind=1, pieces=(0, 1)),
    "absolute of complex numbers": Case(lambda op, u: op("abs", op("fft_rfft", u)), norm=(0, 2), kind=2, shape=(4,)),
    "absolute of bounded complex numbers": Case(
        lambda op, u: op("abs", op("view_as_complex", op("tanh", u))), norm=(R(6),), entry=R(2), kind=2, shape=(3, 2)
    ),
    "negative": Case(
        lambda op, u: op("neg", op("sub.Scalar", op("sigmoid", u), 3.0)), norm=(R(96),), low=2, high=3, share=0.749
    ),
    "GELU": Case(lambda op, u: op("gelu", u), norm=(0, 1), low=-2 / 5),
    "GELU by tanh": Case(lambda op, u: op("gelu", u, approximate="tanh"), norm=(0, 1), low=-2 / 5),
    "hardswish": Case(lambda op, u: op("hardswish", u), norm=(0, 1), low=-2 / 5, kind=1, pieces=(0, 1, 1 / 6)),
    "round": Case(
        lambda op, u: op("round", op("mul.Scalar", op("tanh", u), 2.5)),
        norm=(R(147 / 2),),
        entry=7 / 2,
        share=0.571,
        kind=2,
    ),
    "round to digits": Case(lambda op, u: op("round.decimals", u, decimals=2), norm=(R(6), 1), kind=2),
    "ELU": Case(
        lambda op, u: op("elu", u),
        norm=(0, 1),
        kind=1,
        refused="one of its pieces, continued to all inputs, grows exponentially",
    ),
    "ELU, all numbers": Case(
        lambda op, u: op("elu", u, 2.0, -0.5, 3.0),
        norm=(0, 3),
        share=0.166,
        kind=1,
        refused="one of its pieces, continued to all inputs, grows exponentially",
        at=-torch.ones(2, 3),
    ),
    "ELU, scaled": Case(
        lambda op, u: op("elu", u, 0.5, -3.0, 0.5),
        norm=(0, 3),
        kind=1,
        refused="one of its pieces, continued to all inputs, grows exponentially",
    ),
    "CELU": Case(
        lambda op, u: op("celu", u, 5.0),
        norm=(0, 1),
        kind=1,
        refused="one of its pieces, continued to all inputs, grows exponentially",
    ),
    "leaky ReLU": Case(lambda op, u: op("leaky_relu", u, -3.0), norm=(0, 3), kind=1, pieces=(0, 3)),
    "leaky ReLU, by default": Case(lambda op, u: op("leaky_relu", u), norm=(0, 1), kind=1, pieces=(0, 1)),
    "random ReLU": Case(lambda op, u: op("rrelu", u, 2.0, 4.0), norm=(0, 3), kind=1, pieces=(0, 3)),
    "random ReLU, by default": Case(lambda op, u: op("rrelu", u), norm=(0, 1), kind=1, pieces=(0, 1)),
    "PReLU": Case(
        lambda op, u: op("prelu", u, vector(0.5, -2.0, 1.0)),
        norm=(0, 2),
        kind=1,
        pieces=(0, 2),
        at=torch.tensor([[0.0, -1, 0]] * 2),
    ),
    "PReLU, small": Case(
        lambda op, u: op("_prelu_kernel", u, vector(0.5, -0.25, 0.0)), norm=(0, 1), kind=1, pieces=(0, 1)
    ),
    "softplus": Case(
        lambda op, u: op("softplus", u, 2.0, 5.0),
        norm=(R(6) * log(2) / 2, 1),
        low=0,
        kind=1,
        pieces=(R(6) * log(2) / 2, 1),
    ),
    "softplus, by default": Case(
        lambda op, u: op("softplus", op("tanh", u)),
        norm=(R(6) * (1 + log(2)),),
        low=0,
        entry=1 + log(2),
        share=0.775,
        kind=1,
        pieces=(R(6) * (1 + log(2)),),
    ),
    "exp": Case(lambda op, u: op("exp", op("tanh", u)), norm=(R(6) * exp(1),), low=exp(-1), high=exp(1)),
    "exp of what is bounded above": Case(
        lambda op, u: op("exp", op("neg", op("mul.Tensor", u, u))), norm=(R(6),), low=0, high=1
    ),
    "exp of what is bounded above by 2": Case(
        lambda op, u: op("exp", op("sub.Tensor", torch.tensor(2.0).double(), op("mul.Tensor", u, u))),
        norm=(R(6) * exp(2),),
        low=0,
        high=exp(2),
    ),
    "exp of what is bounded in size": Case(
        lambda op, u: op("exp", op("fmod.Scalar", u, 2.0)),
        norm=(R(6) * exp(2),),
        low=exp(-2),
        high=exp(2),
        share=0.445,
        kind=2,
    ),
    "exp of large numbers": Case(
        lambda op, u: op("mul.Scalar", op("exp", op("sub.Scalar", op("mul.Scalar", op("tanh", u), 350.0), 350.0)), 2.0),
        norm=(R(24),),
        low=0,
        high=2,
    ),
    "expm1": Case(
        lambda op, u: op("expm1", op("tanh", u)), norm=(R(6) * (exp(1) + 1),), low=-1, entry=exp(1) + 1, share=0.462
    ),
    "log": Case(
        lambda op, u: op("log", op("add.Scalar", op("relu", u), 0.25)),
        norm=(R(6) * log(4) + R(6) / 4, 1),
        low=-log(4),
        share=0.0,
        kind=1,
        refused="the argument is not bounded away from 0 (no eps > 0 was recognised)",
        at=torch.full((2, 3), 0.0001),
    ),
    "log from 2": Case(
        lambda op, u: op("log", op("add.Scalar", op("sigmoid", u), 2.0)),
        norm=(R(54) + R(6) * log(2),),
        low=-log(2),
        entry=3 + log(2),
        share=0.297,
    ),
    "log1p": Case(
        lambda op, u: op("log1p", op("sub.Scalar", op("relu", u), 0.5)),
        norm=(R(6) * (0.5 + log(2)), 1),
        low=-log(2),
        share=0.0,
        kind=1,
        refused="the argument is not bounded away from -1",
    ),
    "log1p from 0": Case(
        lambda op, u: op("log1p", op("relu", u)),
        norm=(0, 1),
        low=0,
        share=0.0,
        kind=1,
        refused="the argument is not bounded away from -1",
    ),
    "square root, positive": Case(
        lambda op, u: op("sqrt", op("add.Scalar", op("sigmoid", u), 3.0)), norm=(R(24),), low=R(3), high=2
    ),
    "square root of what grows as a square": Case(
        lambda op, u: op("sqrt", op("mul.Tensor", u, u)), norm=(0, 1), low=0, kind=2, shape=(1, 1)
    ),
    "square root of what grows": Case(
        lambda op, u: op("sqrt", op("add.Scalar", op("mul.Scalar", op("relu", u), 4.0), 9.0)),
        norm=(4, 1),
        low=3,
        share=0.0,
        kind=1,
        refused="the argument is not bounded away from 0 (no eps > 0 was recognised)",
        shape=(1, 1),
    ),
    "square root of a cube": Case(
        lambda op, u: op("sqrt", op("pow.Tensor_Scalar", op("relu", u), 3)),
        norm=(0, 1 / 2, 1 / 2),
        low=0,
        share=0.0,
        kind=2,
        shape=(1, 1),
    ),
    "reciprocal": Case(
        lambda op, u: op("reciprocal", op("add.Scalar", op("sigmoid", u), 0.5)), norm=(R(24),), low=0, high=2
    ),
    "reciprocal of a root": Case(
        lambda op, u: op("rsqrt", op("add.Scalar", op("relu", u), 0.25)),
        norm=(R(24),),
        low=0,
        high=2,
        kind=1,
        refused="the argument is not bounded away from 0 (no eps > 0 was recognised)",
    ),
    "root mean square by reciprocals": Case(
        lambda op, u: op(
            "mul.Tensor",
            u,
            op("reciprocal", op("sqrt", op("add.Scalar", op("mean.dim", op("mul.Tensor", u, u), [-1], True), 0.25))),
        ),
        norm=(R(6),),
        entry=R(3),
    ),
    "root mean square, reciprocal twice": Case(
        lambda op, u: op(
            "mul.Tensor",
            u,
            op(
                "reciprocal",
                op(
                    "clamp_min",
                    op(
                        "reciprocal",
                        op("sqrt", op("add.Scalar", op("mean.dim", op("mul.Tensor", u, u), [-1], True), 1.0)),
                    ),
                    0.5,
                ),
            ),
        ),
        norm=(0, 2),
        kind=1,
        refused="the denominator depends on the input and is not bounded away from 0 (no eps > 0 was recognised)",
    ),
    "no root of a mean square": Case(
        lambda op, u: op(
            "mul.Tensor", u, op("reciprocal", op("add.Scalar", op("mean.dim", op("mul.Tensor", u, u), [-1], True), 0.5))
        ),
        norm=(0, 2),
        share=0.0,
    ),
    "no root with eps": Case(
        lambda op, u: op(
            "mul.Tensor",
            u,
            op(
                "rsqrt",
                op("add.Scalar", op("mean.dim", op("add.Scalar", op("mul.Tensor", u, u), 0.25), [-1], True), 0.25),
            ),
        ),
        norm=(0, R(2)),
        share=0.0,
    ),
    "logit": Case(lambda op, u: op("logit", u, 0.125), norm=(R(6) * log(7),), low=-log(7), high=log(7), kind=2),
    "numbers that are finite": Case(lambda op, u: op("nan_to_num", op("sigmoid", u), 3.0), norm=(R(6),), low=0, high=1),
    "hard shrink": Case(lambda op, u: op("hardshrink", u), norm=(0, 1), kind=1, pieces=(R(3 / 2), 1)),
    "hard shrink, more": Case(lambda op, u: op("hardshrink", u, 2.0), norm=(0, 1), kind=1, pieces=(R(24), 1)),
    "soft shrink": Case(lambda op, u: op("softshrink", u, 2.0), norm=(0, 1), kind=1, pieces=(R(24), 1)),
    "threshold": Case(lambda op, u: op("threshold", u, 1.0, -3.0), norm=(R(54), 1), kind=1, pieces=(R(54), 1)),
    "clamp": Case(lambda op, u: op("clamp", u, -1.0, 2.0), norm=(R(24),), low=-1, high=2, kind=1, pieces=(R(24), 1)),
    "clamp from above 0": Case(
        lambda op, u: op("clamp", u, 1.0, 2.0), norm=(R(24),), low=1, high=2, kind=1, pieces=(R(24), 1)
    ),
    "clamp, ends in the other order": Case(
        lambda op, u: op("clamp", u, 2.0, -1.0), norm=(R(6),), low=-1, high=-1, kind=1, pieces=(R(24), 1)
    ),
    "clamp, one end": Case(lambda op, u: op("clamp", u, -1.0), norm=(0, 1), low=-1, kind=1, pieces=(R(6), 1)),
    "clamp, one end, above 0": Case(lambda op, u: op("clamp", u, 1.0), norm=(R(6), 1), low=1, kind=1, pieces=(R(6), 1)),
    "clamp, the other end": Case(
        lambda op, u: op("clamp", op("sigmoid", u), None, 0.25),
        norm=(R(6),),
        low=0,
        high=1 / 4,
        share=0.249,
        kind=1,
        pieces=(R(75 / 8),),
    ),
    "clamp, the other end, below 0": Case(
        lambda op, u: op("clamp_max", u, -2.0), norm=(R(24), 1), high=-2, kind=1, pieces=(R(24), 1)
    ),
    "clamp, no end": Case(lambda op, u: op("clamp", u, -inf, inf), norm=(0, 1), kind=1, pieces=(0, 1)),
    "clamp, limits as tensors": Case(
        lambda op, u: op("clamp.Tensor", u, vector(-1.0, -2.0, 0.5), vector(3.0, 1.0, 1.0)),
        norm=(R(54),),
        low=-2,
        high=3,
        share=0.68,
        kind=1,
        pieces=(R(54), 1),
    ),
    "clamp, limits as tensors, broadcast": Case(
        lambda op, u: op("clamp.Tensor", op("mean.dim", u, [1], True), vector(-1.0, -2.0, 0.0)),
        norm=(0, 1),
        low=-2,
        kind=1,
        pieces=(R(24), 1),
    ),
    "clamp, what is bounded": Case(
        lambda op, u: op("clamp_min", op("sub.Scalar", op("sigmoid", u), 3.0), -2.5),
        norm=(R(96),),
        low=-5 / 2,
        entry=3,
        share=0.624,
        kind=1,
        pieces=(R(507 / 2),),
    ),
    "clamp, what is bounded, both ends": Case(
        lambda op, u: op("clip", op("tanh", u), -0.5, 3.0),
        norm=(R(6),),
        low=-1 / 2,
        high=3,
        entry=R(6),
        kind=1,
        pieces=(R(96),),
    ),
    "clamp, by a tensor of one": Case(
        lambda op, u: op("clamp_min.Tensor", u, torch.tensor([[0.5]]).double()),
        norm=(R(3 / 2), 1),
        low=1 / 2,
        kind=1,
        pieces=(R(3 / 2), 1),
    ),
    "clamp, from above, by a tensor": Case(
        lambda op, u: op("clamp_max.Tensor", u, vector(1.0, 2.0, 3.0)), norm=(0, 1), high=3, kind=1, pieces=(R(54), 1)
    ),
    "hardtanh": Case(lambda op, u: op("hardtanh", u), norm=(R(6),), low=-1, high=1, kind=1, pieces=(R(6), 1)),
    "hardtanh, limits": Case(
        lambda op, u: op("hardtanh", u, 0.5, 4.0), norm=(R(96),), low=1 / 2, high=4, kind=1, pieces=(R(96), 1)
    ),
    "cos of 0": Case(lambda op, u: op("cos", op("mul.Scalar", u, 0.0)), norm=(R(6),), low=-1, high=1),
    "log1p from 1/2": Case(
        lambda op, u: op("log1p", op("add.Scalar", op("sigmoid", u), 0.5)),
        norm=(R(27 / 2),),
        low=0,
        entry=3 / 2,
        share=0.61,
    ),
    "square root of a polynomial": Case(
        lambda op, u: op(
            "sqrt",
            op(
                "add.Scalar",
                op("add.Tensor", op("relu", u), op("mul.Scalar", op("pow.Tensor_Scalar", op("relu", u), 3), 4.0)),
                9.0,
            ),
        ),
        norm=(7 / 2, 3 / 2, 1),
        low=3,
        share=0.0,
        kind=1,
        refused="the argument is not bounded away from 0 (no eps > 0 was recognised)",
        shape=(1, 1),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bounds(name: str) -> None:
    examine(CASES[name])


REFUSED = {
    "exp of what grows": (
        lambda op, u: op("exp", u),
        "exp: the exponential of a quantity that grows with the input has no polynomial bound",
    ),
    "exp of what is large": (
        lambda op, u: op("exp", op("add.Scalar", op("tanh", u), 699.5)),
        "exp: the exponential of a quantity that grows with the input has no polynomial bound",
    ),
    "log": (
        lambda op, u: op("log", op("sigmoid", u)),
        "log: the argument is not bounded away from 0 (no eps > 0 was recognised)",
    ),
    "log1p": (lambda op, u: op("log1p", op("tanh", u)), "log1p: the argument is not bounded away from -1"),
    "square root": (
        lambda op, u: op("sqrt", op("tanh", u)),
        "sqrt: the argument is not bounded away from 0 (no eps > 0 was recognised)",
    ),
    "reciprocal": (
        lambda op, u: op("reciprocal", op("sigmoid", u)),
        "reciprocal: the denominator depends on the input and is not bounded away from 0 (no eps > 0 was recognised)",
    ),
    "logit": (lambda op, u: op("logit", op("sigmoid", u)), "logit: without eps it is unbounded near 0 and 1"),
    "logit, eps too large": (lambda op, u: op("logit", u, 0.5), "logit: without eps it is unbounded near 0 and 1"),
    "round to tens": (
        lambda op, u: op("round.decimals", u, decimals=-1),
        "round: decimals = -1: its rule does not cover rounding to tens and more",
    ),
    "ELU, alpha": (
        lambda op, u: op("elu", u, 0.0),
        "elu: alpha = 0.0, input_scale = 1: expected positive numbers",
    ),
    "ELU, scale of the input": (
        lambda op, u: op("elu", u, 1.0, 1.0, -2.0),
        "elu: alpha = 1.0, input_scale = -2.0: expected positive numbers",
    ),
    "random ReLU": (
        lambda op, u: op("rrelu", u, 0.1, 0.3, True),
        "rrelu: its slopes are random in training mode; call model.eval() first",
    ),
    "PReLU": (
        lambda op, u: op("prelu", u, op("select.int", u, 0, 0)),
        "prelu: a slope that depends on the input, or of another shape, is not covered",
    ),
    "softplus, beta": (
        lambda op, u: op("softplus", u, 0.0),
        "softplus: beta = 0.0, threshold = 20: expected positive numbers",
    ),
    "softplus, threshold": (
        lambda op, u: op("softplus", u, 1.0, -1.0),
        "softplus: beta = 1, threshold = -1.0: expected positive numbers",
    ),
    "limit that depends on the input": (
        lambda op, u: op("clamp.Tensor", u, u),
        "clamp: a limit that depends on the input, or is infinite, is not covered",
    ),
    "limit of -inf": (
        lambda op, u: op("clamp.Tensor", u, vector(0.0, -inf, 1.0)),
        "clamp: entries that are masked with -inf must go to a softmax first",
    ),
    "limit that is no number": (
        lambda op, u: op("clamp_min", u, math.nan),
        "clamp_min: a parameter is nan, expected a finite number",
    ),
    "value of a threshold": (
        lambda op, u: op("threshold", u, inf, 0.0),
        "threshold: a parameter is inf, expected a finite number",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    refuses(*REFUSED[name])


def test_what_overflows_in_a_format() -> None:
    """Below a large threshold, softplus computes exp(βx) of numbers up to it."""
    formats = frozenset({torch.float32})
    reason = "softplus: below the threshold 100.0, exp(βx) overflows"
    refuses(lambda op, u: op("softplus", u, 1.0, 100.0), reason, dtypes=formats)
    refuses(lambda op, u: op("softplus", op("mul.Scalar", op("tanh", u), 50.0), 2.0, 100.0), reason, dtypes=formats)
    refuses(lambda op, u: op("softplus", op("mul.Scalar", op("tanh", u), 88.5), 1.0, 100.0), reason, dtypes=formats)
    for build in (
        lambda op, u: op("softplus", u, 1.0, 88.0),
        lambda op, u: op("softplus", op("tanh", u), 2.0, 100.0),
        lambda op, u: op("softplus", op("neg", op("relu", u)), 2.0, 100.0),
    ):
        assert bound(build, dtypes=formats).lower == 0


def test_a_floor_that_a_format_does_not_hold() -> None:
    def normalised(eps: float) -> Build:
        return lambda op, u: op("div.Tensor", u, op("clamp_min", op("linalg_vector_norm", u, 2, [1], True), eps))

    formats = frozenset({torch.float32})
    assert len(bound(normalised(1e-3), dtypes=formats).norm) == 1
    assert len(bound(normalised(1e-15), dtypes=formats).norm) == 2


def test_bounds_do_not_underflow() -> None:
    """exp(−1000) is not 0, nor is a product of two floats that are not: both were claimed, for outputs of 1e165 and 1e200."""
    small = bound(lambda op, u: op("exp", op("clamp_max", u, -1000.0)))
    assert small.entry >= math.exp(-700.0) * math.exp(-300.0) == 0
    assert small.entry > 0
    twice = bound(lambda op, u: op("mul.Scalar", op("mul.Scalar", op("tanh", u), 1e-200), 1e-200))
    assert twice.lower < 0 < twice.upper
    table = torch.full((3, 2), 1e-200, dtype=torch.float64)
    assert bound(lambda op, u: op("embedding", table, op("argmax", u, 1))).norm[0] >= 2e-200


def test_logit_near_one_half() -> None:
    """1 − eps cancels: log((1 − eps)/eps) was short by a part in 10^7 where eps is 1/2 − 10^-10."""
    eps = 0.5 - 1e-10
    found = bound(lambda op, u: op("logit", u, eps))
    assert found.entry >= 2 * math.atanh(1 - 2 * eps)
