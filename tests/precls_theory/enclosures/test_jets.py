"""Jets hold the coefficients of power series that are known, and enclose what is not exact."""

from __future__ import annotations

import math
from fractions import Fraction

import flint
import numpy as np
import torch

from precls_theory.enclosures.jets import Jet, ball, balls, matrix_product


def test_balls_hold_their_numbers() -> None:
    assert all(ball(x).is_exact() for x in (3, 0.1, np.float32(0.1), np.int64(7), True))
    third = ball(Fraction(1, 3))
    assert not third.is_exact()
    assert third * 3 - 1 == ball(0) or (third * 3).contains(flint.arb(1))
    half = balls(torch.tensor([[0.5, -1.0]], dtype=torch.float16))
    assert half.shape == (1, 2)
    assert half[0, 0] == flint.arb(0.5)


def line(order: int) -> Jet:
    """1 + 2 s and 3 − s."""
    return Jet([balls([1, 3]), balls([2, -1])], order)


def test_products_are_cauchy_products_and_are_cut_at_the_order() -> None:
    square = line(2) * line(2)
    assert [list(map(int, map(float, c))) for c in square.coefficients] == [[1, 9], [4, -6], [4, 1]]
    assert len((line(1) * line(1)).coefficients) == 2
    total = line(2) + Jet([balls([10, 10])], 2)
    assert [list(map(float, c)) for c in total.coefficients] == [[11, 13], [2, -1]]
    assert (line(2).shape, line(2).numel) == ((2,), 2)
    assert [float(c[0]) for c in line(2).map(lambda c: c[::-1]).coefficients] == [3, -1]


def test_functions_are_taylor_series() -> None:
    """exp(1 + 2 s): e 2^k / k!; the precision that python-flint keeps for all series is as it was."""
    before = flint.ctx.cap
    found = line(4).pointwise(lambda x: x.exp())
    for k, coefficient in enumerate(found.coefficients):
        assert (ball(1).exp() * 2**k / math.factorial(k)).overlaps(coefficient[0])
        assert float(coefficient[0].rad()) < 1e-12
    assert flint.ctx.cap == before
    constant = Jet([balls([0])], 3).pointwise(lambda x: x.exp())
    assert len(constant.coefficients) == 1


def test_matrices_are_multiplied_with_their_batches() -> None:
    left, right = balls(np.arange(12.0).reshape(2, 1, 2, 3)), balls(np.arange(9.0).reshape(3, 3))
    expected = np.arange(12.0).reshape(2, 1, 2, 3) @ np.arange(9.0).reshape(3, 3)
    assert (matrix_product(left, right).astype(float) == expected).all()
