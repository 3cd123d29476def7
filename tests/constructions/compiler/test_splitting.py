"""Splits of one polynomial: products of two halves plus a rest are the polynomial again, and the halves are low."""

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constructions.compiler.monomials import Items, as_items, degree, minimal_depth, monic, plain_width
from constructions.compiler.splitting import CUTS, Split, factor_split, split

weights = st.fractions(min_value=-3, max_value=3, max_denominator=4).filter(bool)
polynomials = st.dictionaries(st.tuples(*[st.integers(0, 3)] * 3), weights, min_size=1, max_size=12).map(as_items)


def expanded(found: Split) -> Items:
    """``Σ coefficient · left · right + rest``, multiplied out."""
    total = dict(found.rest)
    for scale, left, right in found.products:
        for e, v in left:
            for f, w in right:
                key = tuple(a + b for a, b in zip(e, f, strict=True))
                total[key] = total.get(key, Fraction(0)) + scale * v * w
    return as_items(total)


@pytest.mark.parametrize("way", ["star", *CUTS])
@given(polynomials)
def test_a_split_is_the_polynomial_again(way: str, items: Items) -> None:
    high = degree(e for e, _ in items)
    half = max(1, 2 ** ((high - 1).bit_length() - 1)) if high else 1
    if high <= half:
        return
    found = split(items, half, way, Counter())
    assert expanded(found) == items
    for _, left, right in found.products:
        assert max(degree(e for e, _ in left), degree(e for e, _ in right)) <= half
        assert left[-1][1] == right[-1][1] == 1
    assert degree(e for e, _ in found.rest) <= half


def test_a_product_is_found_in_its_expansion() -> None:
    square = as_items({(2, 0): Fraction(1), (1, 1): Fraction(2), (0, 2): Fraction(1), (0, 0): Fraction(5)})
    found = factor_split(square, 1)
    assert found is not None
    assert len(found.products) == 1
    assert (found.rest, found.carried) == ((((0, 0), Fraction(5)),), ())  # the constant is not carried
    assert factor_split(as_items({(2, 0): Fraction(1), (0, 2): Fraction(1)}), 1) is None


def test_degrees_depths_and_widths() -> None:
    assert [degree([(1, 2), (3, 0)]), degree([(0, 0)]), degree([])] == [3, 0, 0]
    assert [minimal_depth([[(d,)]]) for d in (0, 1, 2, 3, 4, 5, 64, 65)] == [1, 1, 1, 2, 2, 3, 6, 7]
    assert plain_width([[(5,), (2,)]]) == 3 + 1
    assert monic((((1,), Fraction(2)), ((2,), Fraction(4)))) == (4, (((1,), Fraction(1, 2)), ((2,), Fraction(1))))
