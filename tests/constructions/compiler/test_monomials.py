"""Degrees, least depths and plain widths against their definitions, written out."""

from __future__ import annotations

from fractions import Fraction

import hypothesis.strategies as st
import pytest
from hypothesis import given

from constructions.compiler.monomials import as_items, degree, minimal_depth, monic, plain_width

EXPONENTS = st.tuples(st.integers(0, 5), st.integers(0, 5))
POLYNOMIALS = st.dictionaries(EXPONENTS, st.fractions(-3, 3, max_denominator=4), max_size=4)


def test_the_degree_is_the_largest_sum_of_exponents() -> None:
    assert degree([(2, 3), (4, 0)]) == 5
    assert degree([(0, 0)]) == degree([]) == 0


@pytest.mark.parametrize(
    ("degrees", "depth"), [((), 1), ((0,), 1), ((1,), 1), ((2,), 1), ((3,), 2), ((4,), 2), ((5, 1), 3)]
)
def test_a_layer_doubles_the_degree(degrees: tuple[int, ...], depth: int) -> None:
    assert minimal_depth([[(e,)] for e in degrees]) == depth


@given(st.lists(POLYNOMIALS, max_size=3))
def test_depth_is_the_least_whose_layers_reach_the_degree(polynomials: list[dict[tuple[int, int], Fraction]]) -> None:
    found, largest = minimal_depth(polynomials), max((degree(p) for p in polynomials), default=0)
    assert 2**found >= largest
    assert found == 1 or 2 ** (found - 1) < largest


def trees(exponents: int, level: int) -> int:
    """Factors left of one monomial after ``level`` layers of pairing them up, one by one."""
    factors = exponents
    for _ in range(level):
        factors = factors // 2 + factors % 2
    return factors


@given(st.lists(POLYNOMIALS, min_size=1, max_size=3))
def test_plain_width_counts_the_factors_of_every_tree(polynomials: list[dict[tuple[int, int], Fraction]]) -> None:
    degrees = [sum(e) for p in polynomials for e in p]
    levels = range(1, minimal_depth(polynomials) + 1)
    assert plain_width(polynomials) == max(sum(trees(e, level) for e in degrees) for level in levels)


@given(POLYNOMIALS)
def test_items_are_sorted_and_monic_ones_scale_back(polynomial: dict[tuple[int, int], Fraction]) -> None:
    items = as_items(polynomial)
    assert dict(items) == {e: w for e, w in polynomial.items() if w}
    assert [e for e, _ in items] == sorted(e for e, _ in items)
    if items:
        scale, leading = monic(items)
        assert leading[-1][1] == 1
        assert tuple((e, scale * w) for e, w in leading) == items
