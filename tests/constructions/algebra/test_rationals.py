"""Exact rationals: NumPy integers overflow in silence, and must not reach exact arithmetic, alone or inside fractions;
powers whose digits would fill the memory are refused."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import constructions as C
from constructions.algebra.rationals import MAX_POWER_BITS, as_fraction, power
from constructions.algebra.rings import FMPQ, RATIONALS, SYMPY, Residues


@pytest.mark.parametrize("big", [np.int64(2**40), Fraction(np.int64(2**40)), np.uint64(2**40), 2**40], ids=repr)
@pytest.mark.parametrize("ring", [None, RATIONALS], ids=["found", "given"])
def test_products_beyond_64_bits(big: Any, ring: Any) -> None:
    network = C.multiply(n_rows=1, n_channels=3, left=0, right=1, target=2, length=1)
    u = np.empty((1, 3), dtype=object)
    u[0, :] = [big, big, 0]
    product = network.evaluate(network.encode(u), ring)[0, 2]
    assert product == 2**80
    assert isinstance(product, (int, Fraction))


@pytest.mark.parametrize("ring", [FMPQ, SYMPY, Residues(2**31 - 1)], ids=lambda ring: ring.name)
def test_elements_of_other_rings(ring: Any) -> None:
    big = Fraction(np.int64(2**40), np.int64(3))
    assert ring.element(big) == ring.element(Fraction(2**40, 3))
    assert (ring.coerce(np.array([big], dtype=object)) == ring.element(Fraction(2**40, 3))).all()


def test_integer_arrays() -> None:
    network = C.multiply(n_rows=1, n_channels=3, left=0, right=1, target=2, length=1)
    assert network.evaluate(np.array([[2**40, 2**40, 0]]))[0, 2] == 2**80


def test_parameters() -> None:
    step = as_fraction("step_size", np.int64(3))
    assert type(step.numerator) is type(step.denominator) is int
    exact = as_fraction("step_size", Fraction(np.int64(2**40), np.int64(3)))
    assert exact**2 == Fraction(2**80, 9)


def test_powers_that_would_fill_the_memory_are_refused_at_once() -> None:
    assert power("q", Fraction(-2, 3), 5) == Fraction(-32, 243)
    assert power("q", Fraction(-1), 10**30) == 1
    with pytest.raises(ValueError, match=f"^the error would have more than {MAX_POWER_BITS} binary digits"):
        power("the error", Fraction(1, 3), 2**60)
