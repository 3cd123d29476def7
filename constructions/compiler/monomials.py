"""Polynomials as data: exponents and rational coefficients, and what degree and plain evaluation cost."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

Exponents = tuple[int, ...]
"""A monomial: the exponent of every variable."""
Polynomial = dict[Exponents, Fraction]
Items = tuple[tuple[Exponents, Fraction], ...]
"""A polynomial as a sorted tuple of its terms: hashable."""


def degree(polynomial: Iterable[Exponents]) -> int:
    """Total degree; 0 for constants and for zero."""
    return max((sum(exponents) for exponents in polynomial), default=0)


def minimal_depth(polynomials: Iterable[Iterable[Exponents]]) -> int:
    """max(1, ⌈log2 degree⌉): no network has fewer layers, and every compiled polynomial has no more."""
    return max(1, (max(1, max((degree(p) for p in polynomials), default=0)) - 1).bit_length())


def plain_width(polynomials: Iterable[Iterable[Exponents]]) -> int:
    """Width of the plain way: every monomial of every polynomial by its own balanced tree, nothing shared.

    After layer l a monomial of degree e holds ⌈e/2^l⌉ factors, each in a hidden channel of its own.
    """
    degrees = [sum(exponents) for polynomial in polynomials for exponents in polynomial]
    depth = max(1, (max([1, *degrees]) - 1).bit_length())
    result: int = max(sum(-(-e // 2**level) for e in degrees) for level in range(1, depth + 1))
    return result


def as_items(polynomial: Polynomial) -> Items:
    """The terms with a nonzero coefficient, sorted."""
    return tuple(sorted((exponents, weight) for exponents, weight in polynomial.items() if weight))


def monic(items: Items) -> tuple[Fraction, Items]:
    """``(scale, items)`` with leading coefficient one."""
    scale = items[-1][1]
    return (scale, items) if scale == 1 else (scale, tuple((exponents, weight / scale) for exponents, weight in items))
