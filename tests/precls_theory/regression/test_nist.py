"""NIST's polynomial regressions: the data give the certified coefficients, and networks all digits of float64."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from precls_theory.precision.sweep import NIST
from precls_theory.regression import nist
from precls_theory.regression.solving import FULL_PRECISION, solve


@pytest.mark.parametrize("name", nist.DEGREES)
def test_the_data_have_the_certified_coefficients(name: str) -> None:
    """A copying mistake in any of the numbers would move some coefficient."""
    exact = nist.load(name).exact_fit().coefficients
    published = nist.certified(name)
    assert set(exact) == set(published)
    for column, value in published.items():
        assert abs(exact[column] - value) <= abs(value) * Fraction(1, 10**14)


def test_a_changed_digit_is_noticed() -> None:
    data = nist.load("filip")
    data.b[40] += Fraction(1, 10**4)
    exact, published = data.exact_fit().coefficients, nist.certified("filip")
    assert any(abs(exact[name] - value) > abs(value) / 10**6 for name, value in published.items())


@pytest.mark.parametrize("name", ["pontius", "wampler5"])
def test_every_coefficient_in_full(name: str) -> None:
    """All of them, Filip too, are measured by ``precls precision nist``."""
    solution = solve(nist.load(name), dtype=torch.float64, digits=FULL_PRECISION["float64"])
    assert not solution.warnings
    assert solution.sliced is not None
    assert min(solution.digits.values()) >= 16 > max(solution.lapack_digits.values())
    # the digits expected beforehand are those counted, within the few that the formula leaves open
    assert -1.5 < min(solution.digits.values()) - solution.sliced.expected < 3


def test_names() -> None:
    assert set(NIST) == set(nist.DEGREES)
    with pytest.raises(ValueError, match="wampler1"):
        nist.load("nobody")
    assert np.asarray(nist.load("pontius").A).shape == (40, 3)
