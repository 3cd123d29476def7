"""Numbers as sums of digits on a grid: the values that a sliced network carries, and the slices of its weights.

A grid has β bits a slice. A value z is a sum of digits; the digit at bit position b is an integer multiple of its unit
2^−b, and positions differ by multiples of β. In a format of p bits a digit is exact while it is below 2^p units, and so
is every sum of products of digits whose absolute values add up to at most 2^p units: in any order, since every partial
sum is then an integer below 2^p in the common unit. Only the last digit of a value may be a rest that is no multiple
of its unit.

A digit is held as an affine form of the channels of the network, ``{channel: weight}`` with :data:`CONSTANT` for the
constant 1, beside a proven bound in units.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache

from constructions.algebra.filters import Filter

CONSTANT = -1
LIGHT_BITS = 4
"""A weight m·2^−a with |m| ≤ 2^LIGHT_BITS is light: it moves digits along the grid instead of being split itself."""
AffineForm = tuple[tuple[int, Fraction], ...]
"""An affine form of channels, sorted: pairs (channel or :data:`CONSTANT`, weight)."""
ONE: AffineForm = ((CONSTANT, Fraction(1)),)


class BudgetError(ValueError):
    """A class sum does not fit the format: fewer bits a slice, or smaller magnitudes, are needed."""


@dataclass(frozen=True)
class Grid:
    """K slices of β bits in a format of ``precision`` bits whose smallest normal number is 2^``min_exponent``."""

    slices: int
    slice_bits: int
    precision: int
    min_exponent: int

    def align(self, position: int, offset: int) -> int:
        """The first position of the grid with this offset at or after ``position``."""
        return position + (offset - position) % self.slice_bits

    def top(self, exponent: int, offset: int) -> int:
        """The position of the first digit of a value of at most 2^exponent: 1 to β bits below it."""
        return self.align(1 - exponent, offset)

    def last(self, exponent: int, offset: int) -> int:
        """The position nearest to K·β bits below 2^exponent, where the last digit of a value stands."""
        position = self.slices * self.slice_bits - exponent
        return self.align(position - (self.slice_bits - 1) // 2, offset)


def unit(position: int) -> Fraction:
    """2^−position."""
    return Fraction(1, 2**position) if position >= 0 else Fraction(2**-position)


@lru_cache(maxsize=2**16)
def dyadic(value: Fraction) -> tuple[int, int] | None:
    """``(m, a)`` with value = m·2^−a and m odd; None for zero and for what is not dyadic."""
    denominator = value.denominator
    if not value or denominator & (denominator - 1):
        return None
    shift = (value.numerator & -value.numerator).bit_length() - 1
    return value.numerator >> shift, denominator.bit_length() - 1 - shift


def light(value: Fraction) -> tuple[int, int] | None:
    """``(m, a)`` of a light weight; None for any other."""
    parts = dyadic(value)
    return parts if parts and abs(parts[0]) <= 2**LIGHT_BITS else None


def exponent_of(value: Fraction) -> int:
    """The smallest e with |value| ≤ 2^e; ``ValueError`` for zero."""
    if not value:
        raise ValueError("zero has no exponent")
    value = abs(value)
    guess = value.numerator.bit_length() - value.denominator.bit_length()
    return next(e for e in (guess - 1, guess, guess + 1) if value <= unit(-e))


def split(value: Fraction, grid: Grid, offset: int, stop: int) -> dict[int, Fraction]:
    """``value`` as slices at positions of the grid: nearest digits, and at ``stop`` or after, the exact rest."""
    slices: dict[int, Fraction] = {}
    if not value:
        return slices
    position = min(grid.top(exponent_of(value), offset), stop)
    rest = value
    while rest:
        if position >= stop:
            slices[stop] = slices.get(stop, Fraction(0)) + rest
            break
        digit = round(rest / unit(position)) * unit(position)
        if digit:
            slices[position] = digit
            rest -= digit
        position += grid.slice_bits
    return slices


def scale_up(bound: int, bits: int) -> int:
    """``bound · 2^bits``, rounded up to an integer."""
    return bound << bits if bits >= 0 else -(-bound >> -bits)


def units(value: Fraction, position: int) -> int:
    """|value| in units of 2^−position, rounded up."""
    value = abs(value)
    if position >= 0:
        return -(-(value.numerator << position) // value.denominator)
    return -(-value.numerator // (value.denominator << -position))


def is_multiple(value: Fraction, position: int) -> bool:
    """Is the value an integer multiple of 2^−position?"""
    return (value / unit(position)).denominator == 1


@dataclass(frozen=True)
class Digit:
    """An affine form of channels with |form| ≤ ``bound`` units."""

    form: AffineForm
    bound: int


@dataclass(frozen=True, eq=False)
class Digits:
    """A value: its digits by position, ascending; ``exact`` says that the last is a multiple of its unit, too."""

    digits: Mapping[int, Digit]
    exact: bool

    @cached_property
    def top(self) -> int:
        return min(self.digits)

    @cached_property
    def last(self) -> int:
        return max(self.digits)

    @cached_property
    def tails(self) -> tuple[tuple[int, AffineForm, int], ...]:
        """For each position the sum of the digits from there on: position, form, bound in units of the position."""
        sums: list[tuple[int, AffineForm, int]] = []
        form: AffineForm = ()
        for position, digit in reversed(list(self.digits.items())):
            carried = scale_up(sums[-1][2], position - sums[-1][0]) if sums else 0
            form = add_forms(form, digit.form)
            sums.append((position, form, carried + digit.bound))
        return tuple(reversed(sums))

    def offset(self, grid: Grid) -> int:
        return self.top % grid.slice_bits

    @cached_property
    def key(self) -> tuple[object, ...]:
        """Equal for equal values."""
        return (tuple((position, digit.form, digit.bound) for position, digit in self.digits.items()), self.exact)


def add_forms(left: AffineForm, right: AffineForm, scale: Fraction = Fraction(1)) -> AffineForm:
    """``left + scale · right``."""
    total = dict(left)
    for channel, weight in right:
        total[channel] = total.get(channel, Fraction(0)) + scale * weight
    return tuple(sorted((channel, weight) for channel, weight in total.items() if weight))


def combine(form: Mapping[int, Fraction], values: Mapping[int, Digits], grid: Grid) -> Digits | None:
    """The digits of an affine form of values, or None where a weight is not light or the grids lie too far apart.

    A digit moves to the next position of the common grid, by at most :data:`LIGHT_BITS` bits.
    """
    beta = grid.slice_bits
    if len(form) == 1 and CONSTANT not in form:
        ((channel, weight),) = form.items()
        if weight == 1:
            return values[channel]
    parts = {channel: light(weight) for channel, weight in form.items() if channel != CONSTANT}
    if not parts or any(part is None for part in parts.values()):
        return None
    natural = {channel: (values[channel].offset(grid) + part[1]) % beta for channel, part in parts.items() if part}
    excess, offset = min((max((o - n) % beta for n in natural.values()), o) for o in set(natural.values()))
    if excess > LIGHT_BITS:
        return None
    forms: dict[int, AffineForm] = {}
    bounds: dict[int, int] = {}
    rests = []
    for channel, part in parts.items():
        assert part is not None
        m, a = part
        value = values[channel]
        for position, digit in value.digits.items():
            at = grid.align(position + a, offset)
            forms[at] = add_forms(forms.get(at, ()), digit.form, form[channel])
            bounds[at] = bounds.get(at, 0) + scale_up(digit.bound * abs(m), at - position - a)
        if not value.exact:
            rests.append(grid.align(value.last + a, offset))
    last = max(forms)
    exact = not rests
    for position, slice_ in split(form.get(CONSTANT, Fraction(0)), grid, offset, last).items():
        forms[position] = add_forms(forms.get(position, ()), ((CONSTANT, slice_),))
        bounds[position] = bounds.get(position, 0) + units(slice_, position)
        exact = exact and is_multiple(slice_, position)
    first_rest = min(rests, default=last)
    for position in sorted(p for p in forms if p > first_rest):  # a rest makes all after it inexact: one digit takes it
        forms[first_rest] = add_forms(forms[first_rest], forms.pop(position))
        bounds[first_rest] += scale_up(bounds.pop(position), first_rest - position)
    return Digits({p: Digit(forms[p], max(1, bounds[p])) for p in sorted(forms)}, exact)


@dataclass(frozen=True)
class Piece:
    """``coefficient · filter`` as a part of a weighted filter: multiples of 2^−position, absolute taps adding up to
    ``total`` units; ``exact`` unless it is the rest."""

    filter: Filter
    coefficient: Fraction
    position: int
    total: int
    exact: bool


def tap_sum(filter: Filter, n_rows: int) -> Fraction:
    """The sum of the absolute values of the first ``n_rows`` taps."""
    head = sum((abs(tap) for tap in filter.head[:n_rows]), Fraction(0))
    return head + abs(filter.tail) * max(0, n_rows - len(filter.head))


@lru_cache(maxsize=2**12)
def light_filter(filter: Filter, n_rows: int) -> tuple[int, int] | None:
    """``(a, T)``: taps are small multiples of 2^−a whose absolute values add up to T units; None for other filters."""
    parts = [dyadic(tap) for tap in (*filter.head[:n_rows], filter.tail) if tap]
    if not parts or any(part is None for part in parts):
        return None
    a = max(part[1] for part in parts if part)
    if any(abs(part[0]) << (a - part[1]) > 2**LIGHT_BITS for part in parts if part):
        return None
    return a, units(tap_sum(filter, n_rows), a)


def pieces(
    filter: Filter, weight: Fraction, grid: Grid, n_rows: int, offset: int, source_offset: int, stop: int
) -> Iterator[Piece]:
    """``weight · filter``, cut so that each piece times a digit on the grid ``source_offset`` lies on the grid ``offset``.

    Light filters and weights stay whole; others are split, down to the rest at position ``stop`` or just after.
    """
    shape, part = light_filter(filter, n_rows), light(weight)
    if shape is not None and part is not None:
        yield Piece(filter, weight, shape[0] + part[1], shape[1] * abs(part[0]), True)
        return
    if shape is not None:
        a, total = shape
        wanted = (offset - source_offset - a) % grid.slice_bits
        for position, slice_ in split(weight, grid, wanted, grid.align(stop - a, wanted)).items():
            yield Piece(filter, slice_, a + position, total * units(slice_, position), is_multiple(slice_, position))
        return
    wanted = (offset - source_offset) % grid.slice_bits
    end = grid.align(stop, wanted)
    heads = [split(weight * tap, grid, wanted, end) for tap in filter.head[:n_rows]]
    tail = split(weight * filter.tail, grid, wanted, end)
    for position in sorted({p for slices in (*heads, tail) for p in slices}):
        part_of = [slices.get(position, Fraction(0)) for slices in heads]
        cut = Filter.of(part_of, tail.get(position, Fraction(0)))
        exact = all(is_multiple(tap, position) for tap in (*cut.head, cut.tail))
        yield Piece(cut, Fraction(1), position, units(tap_sum(cut, n_rows), position), exact)


def first_position(filter: Filter, weight: Fraction, grid: Grid, n_rows: int, offset: int, source_offset: int) -> int:
    """The position of the first of the :func:`pieces`."""
    shape, part = light_filter(filter, n_rows), light(weight)
    if shape is not None and part is not None:
        return shape[0] + part[1]
    if shape is not None:
        wanted = (offset - source_offset - shape[0]) % grid.slice_bits
        return shape[0] + grid.top(exponent_of(weight), wanted)
    largest = max(abs(weight * tap) for tap in (*filter.head[:n_rows], filter.tail))
    return grid.top(exponent_of(largest), (offset - source_offset) % grid.slice_bits)
