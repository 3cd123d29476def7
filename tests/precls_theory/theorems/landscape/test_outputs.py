"""Directions of the width theorem for several outputs: what they must satisfy, and where there are none."""

from fractions import Fraction

import numpy as np
import pytest

from precls_theory.registry import Refuted
from precls_theory.theorems.landscape.outputs import CASE_F, KINDS, Units, directions, dual, enough, example


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 2, 2), (2, 2, 3), (3, 3, 2)])
def test_directions_satisfy_the_seven_equations(kind, shape):
    n_outputs, n_conv, n_gate = shape
    width = enough(*shape)
    base = example(kind, width, n_outputs, max(n_conv, n_gate) - 1)
    units = Units(base.o, [row[:n_conv] for row in base.p], [row[:n_gate] for row in base.q])
    x, y, z = (np.array(v, dtype=object) for v in directions(units))
    o, p, q = (np.array(rows, dtype=object) for rows in (units.o, units.p, units.q))
    for weights, left, right in ((x, p, q), (y, o, q), (z, o, p)):
        assert not np.einsum("h,hi,hj->ij", weights, left, right).any()
    for weights, rows in ((x * y, q), (x * z, p), (y * z, o)):
        assert not (weights @ rows).any()
    assert (x * y * z).sum() == 1


def test_two_units_of_case_f_have_none():
    with pytest.raises(Refuted, match="2 units"):
        directions(CASE_F)


def test_a_vector_in_the_span_has_no_dual():
    one, two = Fraction(1), Fraction(2)
    assert dual([[one, one]], [two, two]) is None
    assert dual([[one, one]], [one, -one]) == [Fraction(1, 2), Fraction(-1, 2)]
