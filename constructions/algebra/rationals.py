"""Exact rationals: read from what users write, and written as text of any length."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from fractions import Fraction
from typing import TypeGuard

import flint
import numpy as np

MAX_DIGITS = 4200
"""Most digits of a parameter: it is recorded as text, and Python reads integers of up to 4300 digits."""

MAX_POWER_BITS = 2**24
"""Most binary digits of a power."""
MAX_DECIMAL_EXPONENT = MAX_DIGITS
_DECIMAL_EXPONENT = re.compile(r"[eE][+-]?([0-9_]+)\s*\Z")


def check_exponent(name: str, text: str) -> None:
    """Raises ``ValueError`` for a decimal such as 1e-1000000000, whose digits would fill the memory."""
    exponent = _DECIMAL_EXPONENT.search(text)
    digits = exponent.group(1).replace("_", "").lstrip("0") if exponent else ""
    if len(digits) > 5 or int(digits or "0") > MAX_DECIMAL_EXPONENT:
        raise ValueError(
            f"{name} is {shown(text)}: its exponent is too large to be meant (at most {MAX_DECIMAL_EXPONENT})"
        )


def as_fraction(name: str, value: object) -> Fraction:
    """``value`` as an exact rational: a rational of any library, an int, or a string such as ``"1/10"`` or ``"0.1"``.

    Raises ``TypeError`` for a float, which is rarely the number that was meant, ``ValueError`` for what is no rational
    number, and for one of more than :data:`MAX_DIGITS` digits.
    """
    if isinstance(value, (float, np.floating)):
        raise TypeError(f"{name} must be exact: write Fraction(1, 10) or '0.1' rather than the float {value!r}")
    if isinstance(value, Fraction) and type(value) is not Fraction:
        return value  # a kind of fraction with an arithmetic of its own, such as a symbolic parameter
    if isinstance(value, str) and len(value) > 2 * MAX_DIGITS:
        raise ValueError(f"{name} has {len(value)} characters: at most {MAX_DIGITS} digits over {MAX_DIGITS} are taken")
    if isinstance(value, str):
        check_exponent(name, value)
    if isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) > MAX_DECIMAL_EXPONENT:
        check_exponent(name, str(value))
    try:
        if isinstance(value, bool):
            raise TypeError("a bool is no number")
        if isinstance(value, (flint.fmpq, flint.fmpz)):
            value = Fraction(int(value.numer()), int(value.denom())) if isinstance(value, flint.fmpq) else int(value)
        exact = Fraction(value)  # type: ignore[call-overload]  # what it does not take, it refuses
        # Of a NumPy integer the fraction would keep its type, which overflows in silence.
        exact = Fraction(int(exact.numerator), int(exact.denominator))
    except (TypeError, ValueError, ZeroDivisionError) as error:
        shown = repr(value) if not isinstance(value, str) or len(value) <= 60 else f"{value[:50]!r}…"
        raise ValueError(f"{name} must be a rational number such as 1/10 or 0.1, got {shown}") from error
    if max(exact.numerator.bit_length(), exact.denominator.bit_length()) > MAX_DIGITS * math.log2(10):
        raise ValueError(f"{name} has more than {MAX_DIGITS} digits in its numerator or denominator")
    return exact


def power(name: str, base: Fraction, exponent: int) -> Fraction:
    """``base ** exponent`` for an exponent of at least 0; ``ValueError`` at once where its digits would fill the memory.

    A kind of fraction with an arithmetic of its own, such as a symbolic parameter, has no digits to be counted.
    """
    if type(base) is Fraction:
        bits = max(base.numerator.bit_length(), base.denominator.bit_length())
        if bits > 1 and bits * exponent > MAX_POWER_BITS:
            raise ValueError(f"{name} would have more than {MAX_POWER_BITS} binary digits")
    return base**exponent


def is_integer(value: object) -> TypeGuard[int]:
    """Is ``value`` an integer of Python or NumPy (and no bool)?"""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def as_count(name: str, value: object, minimum: int = 1) -> int:
    """``value`` as an int of at least ``minimum``; ``ValueError`` otherwise."""
    if not is_integer(value) or value < minimum:
        raise ValueError(f"{name} must be an integer of at least {minimum}, got {value!r}")
    return int(value)


_RATIONAL = re.compile(r"-?(0|[1-9][0-9]*)(/[1-9][0-9]*)?\Z")


def write_rational(value: Fraction) -> str:
    """``p`` or ``p/q`` in lowest terms, of any length."""
    numerator = str(flint.fmpz(value.numerator))
    return numerator if value.denominator == 1 else f"{numerator}/{flint.fmpz(value.denominator)}"


def read_rational(text: object) -> Fraction:
    """The rational that ``text`` spells as :func:`write_rational` does; ``ValueError`` for any other spelling."""
    if not isinstance(text, str) or not _RATIONAL.match(text):
        raise ValueError(f"{shown(text)} is not a rational number written p or p/q")
    numerator, _, denominator = text.partition("/")
    value = Fraction(int(flint.fmpz(numerator)), int(flint.fmpz(denominator or "1")))
    if write_rational(value) != text:
        raise ValueError(f"{shown(text)} is not in lowest terms")
    return value


def shown(value: object) -> str:
    """``repr`` of a value, cut when long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:50]}… ({len(text)} characters)"


def same_value(left: object, right: object) -> bool:
    """Whether two recorded parameters say the same: rationals by value (``"0.1"`` is ``"1/10"``), all else as it is."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same_value(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same_value, left, right))
    if left == right:
        return type(left) is type(right) or (not isinstance(left, bool) and not isinstance(right, bool))
    try:
        return as_fraction("left", left) == as_fraction("right", right)
    except (TypeError, ValueError):
        return False
