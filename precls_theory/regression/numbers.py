"""Exact numbers as people and floating point read them: rounded once, correctly."""

from __future__ import annotations

import math
from fractions import Fraction

import flint


def decimal(value: Fraction, digits: int = 17) -> str:
    """``value`` to ``digits`` significant digits, correctly rounded."""
    with flint.ctx.workprec(4 * digits + 64):
        return flint.arb(flint.fmpq(value.numerator, value.denominator)).str(digits, radius=False)


def decimal_root(square: Fraction, digits: int = 17, negative: bool = False) -> str:
    """The square root of ``square`` to ``digits`` significant digits, with a minus sign where it is to be negative."""
    with flint.ctx.workprec(4 * digits + 64):
        root = flint.arb(flint.fmpq(square.numerator, square.denominator)).sqrt()
        return (-root if negative else root).str(digits, radius=False)


def as_number(text: str | None) -> float | None:
    """A decimal as the nearest float; ``None`` where there is none, or none is near."""
    number = None if text is None else float(text)
    return number if number is not None and math.isfinite(number) else None
