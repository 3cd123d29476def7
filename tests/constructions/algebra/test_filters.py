"""Filters: canonical form, taps, matrices by the definition, names and errors."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from constructions.algebra.filters import DELTA, EXCLUSIVE, MIDPOINT, PREFIX, Filter, shift


def test_equal_filters_are_equal_objects():
    assert Filter.of((1, 2, 2), 2) == Filter.of((1,), 2)
    assert hash(Filter.of((1, 2, 2), 2)) == hash(Filter.of((1,), 2))
    assert Filter.of() == Filter.of((), 0) == Filter.of((0, 0))
    assert Filter.of((1,), 2) != Filter.of((1,), 3)
    assert Filter.of(["1/2"], "1/3") == Filter((Fraction(1, 2),), Fraction(1, 3))
    assert Filter.of((2, 0), 2).head == (2, 0)


def test_taps_go_on_as_the_tail():
    assert Filter.of((1, 2), 3).taps(4) == [1, 2, 3, 3]
    assert Filter.of((1, 2), 3).taps(1) == [1]
    assert EXCLUSIVE.taps(3) == [0, 1, 1]
    assert MIDPOINT.taps(2) == [Fraction(1, 2), 1]
    assert shift(2).taps(4) == [0, 0, 1, 0]


@pytest.mark.parametrize("n_rows", [1, 2, 5])
def test_matrices_are_the_sums_of_the_definition(n_rows):
    filter = Filter.of((1, 2), 3)
    taps = filter.taps(n_rows)
    u = np.arange(1, n_rows + 1).astype(object) ** 2
    causal = [sum(taps[n - m] * u[m] for m in range(n + 1)) for n in range(n_rows)]
    circular = [sum(taps[(n - m) % n_rows] * u[m] for m in range(n_rows)) for n in range(n_rows)]
    assert list(filter.matrix(n_rows, "causal") @ u) == causal
    assert list(filter.matrix(n_rows, "circular") @ u) == circular
    assert {type(entry) for entry in filter.matrix(n_rows, "causal").flat} == {Fraction}


def test_only_the_identity_is_the_identity():
    assert DELTA.is_identity
    assert shift(0) == DELTA
    assert not any(filter.is_identity for filter in (PREFIX, EXCLUSIVE, MIDPOINT, shift(1), Filter.of((2,), 0)))


def test_names():
    assert [str(filter) for filter in (DELTA, PREFIX, EXCLUSIVE)] == ["delta", "prefix sum", "exclusive prefix sum"]
    assert str(MIDPOINT) == "[1/2, 1, 1, …]"
    assert str(Filter.of((), 2)) == "[2, 2, …]"
    assert str(Filter.of((1, 2), 0)) == "[1, 2, 0, 0, …]"


def test_a_shift_goes_forward():
    with pytest.raises(ValueError, match=r"^a shift needs a lag of at least 0, got -1$"):
        shift(-1)
