"""Upper bounds are never below what they bound, compared as rational numbers, and not far above it."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from precls_theory.enclosures.norms import frobenius_norm, inflate, max_abs, spectral_norm, up, up_div, up_mul, up_sqrt

nonnegative = st.floats(min_value=0, max_value=1e150)


@given(nonnegative, nonnegative)
def test_scalars_are_rounded_upwards(x: float, y: float) -> None:
    assert Fraction(up_mul(x, y)) >= Fraction(x) * Fraction(y)
    assert Fraction(up_sqrt(x)) ** 2 >= Fraction(x)
    assert up(x) >= x
    if y > 1e-150:
        assert Fraction(up_div(x, y)) >= Fraction(x) / Fraction(y)


def test_sums_are_enlarged_by_their_rounding() -> None:
    values = [0.1] * 1000
    assert Fraction(inflate(sum(values), 1000)) >= 1000 * Fraction(0.1)
    assert inflate(0.0, 0) == 0
    assert inflate(0.0, 3) > 0  # three products may have underflowed


@pytest.mark.parametrize("scale", [1.0, 2.0**-500, 2.0**500])
def test_norms_of_matrices_that_are_known(scale: float) -> None:
    """Rank one: ‖u vᵀ‖ = ‖u‖ ‖v‖, here 3 · 5; a rotation by 90° twice as large: 2; of a batch the worst."""
    rank_one = torch.outer(torch.tensor([1.0, 2.0, 2.0]), torch.tensor([3.0, 4.0])).double() * scale
    turned = torch.tensor([[0.0, -2.0], [2.0, 0.0]]).double() * scale
    for matrix, norm in ((rank_one, 15), (turned, 2), (torch.stack([turned, 8 * turned]), 16)):
        assert Fraction(norm) * Fraction(scale) <= Fraction(spectral_norm(matrix)) <= 1.02 * norm * scale
    assert Fraction(frobenius_norm(turned)) ** 2 >= 8 * Fraction(scale) ** 2
    assert max_abs(turned) == 2 * scale


def test_norms_at_the_edges() -> None:
    assert spectral_norm(torch.zeros(2, 3)) == 0
    assert frobenius_norm(torch.zeros(0)) == max_abs(torch.zeros(0)) == 0
    complex_ = torch.tensor([[3 + 4j]], dtype=torch.complex128)
    assert 5 <= spectral_norm(complex_) < 5.1
    assert not math.isnan(spectral_norm(torch.full((2, 2), 1e308, dtype=torch.float64)))
    for wrong in (torch.tensor([[math.nan]]), torch.tensor([[math.inf]])):
        with pytest.raises(ValueError, match="1 of 1 entries are NaN or infinite"):
            spectral_norm(wrong)
    with pytest.raises(ValueError, match="complex weights"):
        frobenius_norm(complex_)
