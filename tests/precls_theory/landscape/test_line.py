"""The real line, cut at algebraic numbers: in order, each once, with a rational number in every interval."""

from __future__ import annotations

from fractions import Fraction

import flint
from hypothesis import given
from hypothesis import strategies as st

from precls_theory.landscape.line import break_points, inside_interval, open_intervals, simplest_between

TWO = flint.fmpq_poly([-2, 0, 1])  # ±√2
HALF = flint.fmpq_poly([-1, 2])


def test_roots_are_in_order_and_each_once() -> None:
    breaks = break_points([TWO * HALF, HALF * HALF, flint.fmpq_poly([7])])
    assert [str(place) for place in breaks] == ["-1.41421", "1/2", "1.41421"] or [
        round(float(place.ball.mid()), 5) for place in breaks
    ] == [-1.41421, 0.5, 1.41421]
    assert breaks[1].rational == flint.fmpq(1, 2)
    assert breaks[0].rational is None
    assert breaks[1].equation("x") == "x - 1/2"
    assert breaks[0].is_root_of(TWO)
    assert not breaks[0].is_root_of(HALF)
    assert [place.sign_of(HALF) for place in breaks] == [-1, 0, 1]


def test_every_interval_holds_its_number() -> None:
    intervals = open_intervals(break_points([TWO, HALF]))
    assert len(intervals) == 4
    for low, inside, high in intervals:
        assert low is None or low.ball < flint.arb(inside)
        assert high is None or flint.arb(inside) < high.ball
    assert open_intervals([]) == [(None, flint.fmpq(1), None)]


def test_ends_are_outside() -> None:
    low, middle, high = break_points([TWO, HALF])
    assert inside_interval(middle, low, high)
    assert not inside_interval(low, low, high)
    assert not inside_interval(high, low, middle)
    assert inside_interval(high, middle, None)


@given(st.fractions(-50, 50, max_denominator=10**6), st.fractions(Fraction(1, 10**6), 10))
def test_a_simple_fraction_lies_between(left: Fraction, width: Fraction) -> None:
    assert left < simplest_between(left, left + width) < left + width
