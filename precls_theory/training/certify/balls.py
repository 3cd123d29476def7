"""Two things that python-flint's balls leave to their user: a precision for a while, and a bound as a rational number."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import flint


@contextmanager
def working_precision(bits: int) -> Iterator[None]:
    """Arb's working precision inside the block."""
    before = flint.ctx.prec
    flint.ctx.prec = bits
    try:
        yield
    finally:
        flint.ctx.prec = before


def magnitude(ball: Any) -> Fraction:
    """An upper bound of the absolute value on a ball; ``inf`` is refused with ``ValueError``."""
    mantissa, exponent = abs(ball).upper().man_exp()
    mantissa, exponent = int(mantissa), int(exponent)
    return Fraction(mantissa * 2**exponent) if exponent >= 0 else Fraction(mantissa, 2**-exponent)
