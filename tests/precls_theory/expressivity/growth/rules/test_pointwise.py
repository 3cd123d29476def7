"""Rules of functions of one entry."""

from __future__ import annotations

import math

import torch
from helpers.rules import bound


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
