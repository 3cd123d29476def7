"""One stage of a sliced network: class sums of digits, then carries. Two layers.

The first layer computes for each new value its class sums ``S_b``, the sums of all products of digits that are multiples of
2^−b, and beside them ``T = S_b + C`` with ``C = 3·2^(p−2)·unit``, where unit = 2^−(b−jβ). While ``|S_b| ≤ 2^(p−2)·unit`` the
float T lies in [2^(p−1), 2^p]·unit, whose spacing is ``unit``: T is S rounded to a multiple of it (the lowering adds constants
last, in one addition). The second layer takes ``H_j = T − C``, which is exact, and forms the digits
``d_b += S_b − H_1`` and ``d_(b−jβ) += H_j − H_(j+1)``. The sum telescopes, so over Q, where H_j = S, nothing has changed; in
floats ``|S_b − H_1| ≤ 2^(β−1)`` units and ``|H_j − H_(j+1)| ≤ 2^(β−1) + ½``, and every digit but the last is an exact multiple of
its unit. It does not matter whether T was made from the very same rounding of S: H is one channel, used twice.

Everything at or after the last position goes into one class, which alone is rounded. A rest never enters a class before.

The carries survive the lowering by this invariant, stated in :mod:`constructions.lowering`: a hidden channel with a
factor that is not constant is evaluated as it is written, and the constant of an output is added last.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

import numpy as np

from constructions.algebra.filters import DELTA, Filter
from constructions.networks.layer import Layer, SparseMap
from constructions.slicing.digits import (
    CONSTANT,
    ONE,
    AffineForm,
    BudgetError,
    Digit,
    Digits,
    Grid,
    add_forms,
    first_position,
    is_multiple,
    light,
    light_filter,
    pieces,
    scale_up,
    split,
    unit,
    units,
)

UNIT = Fraction(1)
Unit = tuple[Filter, AffineForm, AffineForm]
"""A hidden channel ``(filter ⋆ conv) ⊙ gate``."""


class LayerDraft:
    """Hidden channels, each once, and outputs as combinations of them."""

    def __init__(self, n_in: int) -> None:
        self.n_in = n_in
        self.units: dict[Unit, int] = {}
        self.outputs: dict[str, tuple[dict[int, Fraction], Fraction]] = {}

    def unit(self, filter: Filter, conv: AffineForm, gate: AffineForm) -> tuple[int, Fraction]:
        """The number of a hidden channel, and a factor: constants are folded, equal products shared."""
        factor = UNIT
        if filter == DELTA and (is_constant(conv) or (not is_constant(gate) and gate < conv)):
            conv, gate = gate, conv
        if is_constant(gate):
            factor, gate = gate[0][1], ONE
        return self.units.setdefault((filter, conv, gate), len(self.units)), factor

    def carry(self, channel: int, constant: Fraction) -> int:
        """The hidden channel ``1 · (channel − constant)``: a product, so that the lowering leaves it as it is."""
        form = ((CONSTANT, -constant), (channel, UNIT))
        return self.units.setdefault((DELTA, ONE, form), len(self.units))

    def output(self, name: str, combination: Mapping[int, Fraction], constant: Fraction = Fraction(0)) -> int:
        """Add an output; returns its number."""
        self.outputs[name] = dict(combination), constant
        return len(self.outputs) - 1

    def layer(self) -> Layer:
        """The drafted layer."""
        filters = tuple(dict.fromkeys(filter for filter, _, _ in self.units)) or (DELTA,)
        number = {filter: index for index, filter in enumerate(filters)}
        width = len(self.units)

        def affine(side: int) -> SparseMap:
            entries = {
                (row, self.n_in if channel == CONSTANT else channel): weight
                for row, key in enumerate(self.units)
                for channel, weight in (key[1], key[2])[side]
            }
            return SparseMap.of(self.n_in, width, entries)

        out = {
            (row, hidden): weight
            for row, (parts, _) in enumerate(self.outputs.values())
            for hidden, weight in parts.items()
        }
        out |= {(row, width): constant for row, (_, constant) in enumerate(self.outputs.values())}
        index = np.array([number[filter] for filter, _, _ in self.units], dtype=np.int64)
        return Layer(
            affine(0), affine(1), SparseMap.of(width, len(self.outputs), out), filters, index, tuple(self.outputs)
        )


def is_constant(form: AffineForm) -> bool:
    return all(channel == CONSTANT for channel, _ in form)


@dataclass
class ClassSum:
    """What one class adds up: hidden channels with coefficients, a constant, and a bound in units of the class."""

    parts: dict[int, Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    constant: Fraction = Fraction(0)
    bound: int = 0


Kind = Literal["digits", "float", "cut"]
"""How a value is carried: as digits; as one float; or computed as one float and cut into digits then."""


@dataclass
class Value:
    """A new value under construction: |value| ≤ 2^exponent, classes on the grid ``offset`` from ``top`` to ``last``.

    What is carried as a ``float`` has one class, rounded like any float; so has what is ``cut``, and then ``last`` is so
    far down that its digits fill the format.
    """

    name: str
    exponent: int
    offset: int
    top: int
    last: int
    exact: bool = True
    kind: Kind = "digits"
    classes: dict[int, ClassSum] = field(default_factory=dict)

    def at(self, position: int) -> ClassSum:
        return self.classes.setdefault(position, ClassSum())


class Stage:
    """Collects new values and copies, and closes into two layers (one at the end of a network)."""

    def __init__(self, grid: Grid, n_in: int, n_rows: int) -> None:
        self.grid, self.n_rows = grid, n_rows
        self.draft = LayerDraft(n_in)
        self.values: list[Value] = []
        self.copies: dict[str, Digits] = {}
        self.largest_sum = 0

    # --- What enters a value ------------------------------------------------------------------------------------

    def _place(self, value: Value, position: int, filter: Filter, conv: AffineForm, gate: AffineForm, scale: Fraction,
               bound: int, exact: bool) -> None:  # fmt: skip
        """Add ``scale · (filter ⋆ conv) ⊙ gate``, at most ``bound`` units of 2^−position, to its class."""
        at = min(self.grid.align(position, value.offset), value.last)
        if at < value.top and scale_up(bound, value.top - position) <= 2 ** (self.grid.precision - 4):
            at = value.top  # leading products that cancel need no digits of their own
        if not exact and at < value.last:
            raise AssertionError(f"{value.name}: a rest would enter the exact class at position {at}")
        hidden, factor = self.draft.unit(filter, conv, gate)
        total = value.at(at)
        total.parts[hidden] += scale * factor
        total.bound += scale_up(bound, at - position)

    def product(self, value: Value, filter: Filter, X: Digits, Y: Digits, weight: Fraction) -> None:
        """Add ``weight · (filter ⋆ X) ⊙ Y`` with a light weight and filter."""
        part, shape = light(weight), light_filter(filter, self.n_rows)
        assert part is not None
        assert shape is not None
        shift, total = part[1] + shape[0], shape[1] * abs(part[0])
        tails: dict[int, tuple[AffineForm, int]] = {}
        for s, x in X.digits.items():
            for index, (t, y) in enumerate(Y.digits.items()):
                position = s + t + shift
                if self.grid.align(position, value.offset) >= value.last:
                    # what follows goes to the last class together; digits of X with the same partners share a product
                    conv, bound = tails.get(index, ((), 0))
                    more = scale_up(x.bound * Y.tails[index][2] * total, value.last - position)
                    tails[index] = add_forms(conv, x.form), bound + more
                    reaches = s + Y.last + shift
                    exact = (X.exact or s < X.last) and Y.exact and reaches <= value.last
                    value.exact = value.exact and exact
                    break
                exact = (X.exact or s < X.last) and (Y.exact or t < Y.last)
                self._place(value, position, filter, x.form, y.form, weight, x.bound * y.bound * total, exact)
        for index, (conv, bound) in tails.items():
            self._place(value, value.last, filter, conv, Y.tails[index][1], weight, bound, value.exact)

    def linear(self, value: Value, filter: Filter, X: Digits, weight: Fraction) -> None:
        """Add ``weight · (filter ⋆ X)``, for any rational weight and taps."""
        stop = value.last - X.top
        cut = list(pieces(filter, weight, self.grid, self.n_rows, value.offset, X.top % self.grid.slice_bits, stop))
        for s, x in X.digits.items():
            for piece in cut:
                position = s + piece.position
                exact = piece.exact and (X.exact or s < X.last)
                in_tail = self.grid.align(position, value.offset) >= value.last
                value.exact = value.exact and (exact and position <= value.last if in_tail else True)
                self._place(value, position, piece.filter, x.form, ONE, piece.coefficient, x.bound * piece.total, exact)

    def constant(self, value: Value, number: Fraction, filter: Filter = DELTA) -> None:
        """Add ``filter ⋆ number``."""
        if filter == DELTA:
            for position, slice_ in split(number, self.grid, value.offset, value.last).items():
                total = value.at(max(position, value.top))
                total.constant += slice_
                total.bound += units(slice_, max(position, value.top))
                value.exact = value.exact and is_multiple(slice_, position)
            return
        for piece in pieces(filter, number, self.grid, self.n_rows, value.offset, 0, value.last):
            self._place(value, piece.position, piece.filter, ONE, ONE, piece.coefficient, piece.total, piece.exact)
            value.exact = value.exact and piece.exact

    # --- Values that are floats ---------------------------------------------------------------------------------

    def float_product(self, value: Value, filter: Filter, conv: AffineForm, gate: AffineForm, weight: Fraction) -> None:
        """Add ``weight · (filter ⋆ conv) ⊙ gate`` to a value that is computed as one float."""
        hidden, factor = self.draft.unit(filter, conv, gate)
        value.at(value.last).parts[hidden] += weight * factor

    # --- How far the classes of a value may reach before a rest enters ------------------------------------------

    def product_limit(self, filter: Filter, X: Digits, Y: Digits, weight: Fraction, offset: int) -> int | None:
        """The first class that a rest of a factor reaches; None where there is no rest."""
        part, shape = light(weight), light_filter(filter, self.n_rows)
        assert part is not None
        assert shape is not None
        reach = ([] if X.exact else [X.last + Y.top]) + ([] if Y.exact else [X.top + Y.last])
        return self.grid.align(min(reach) + part[1] + shape[0], offset) if reach else None

    def linear_limit(self, filter: Filter, X: Digits, weight: Fraction, offset: int) -> int | None:
        """The same for a linear term."""
        if X.exact:
            return None
        first = first_position(filter, weight, self.grid, self.n_rows, offset, X.top % self.grid.slice_bits)
        return self.grid.align(X.last + first, offset)

    # --- Carries ------------------------------------------------------------------------------------------------

    def check_budget(self) -> None:
        """Raise :class:`BudgetError` where a class could leave the integers of the format."""
        p, beta = self.grid.precision, self.grid.slice_bits
        for value in self.values:
            if value.kind != "digits":
                continue
            for position, total in value.classes.items():
                limit = 2**p - 2 ** (beta + 2) if position < value.last else 2 ** (p - 3 + beta)
                if total.bound > limit:
                    raise BudgetError(
                        f"{value.name}: the class sum at bit {position} may reach {float(total.bound):.3g} units of "
                        f"2^-{position}, beyond 2^{p if position < value.last else p - 3 + beta}, where {p} bits add exactly"
                    )
                if position < value.last:
                    self.largest_sum = max(self.largest_sum, total.bound)
                elif total.bound > 2**p:
                    value.exact = False
            if value.classes and -max(value.classes) < self.grid.min_exponent + p:
                raise BudgetError(
                    f"{value.name}: the last digit would stand at 2^-{max(value.classes)}, too close to the smallest number "
                    f"2^{self.grid.min_exponent} of the format: use fewer slices"
                )

    def close_last(self) -> tuple[Layer, dict[str, list[int]]]:
        """The last layer of a network: class sums as they are, and the outputs that hold each value."""
        self.check_budget()
        groups = {
            value.name: [
                self.draft.output(f"{value.name}@{position}", total.parts, total.constant)
                for position, total in sorted(value.classes.items())
            ]
            for value in self.values
        }
        return self.draft.layer(), groups

    def close(self) -> tuple[list[Layer], dict[str, Digits], list[list[float] | None]]:
        """The two layers, the values by name (copies too), and for each layer the largest magnitudes of its outputs (inf: any).

        One layer is enough where all values are floats.
        """
        self.check_budget()
        second = LayerDraft(0)
        results: dict[str, Digits] = {}
        limits: tuple[dict[int, float], dict[int, float]] = {}, {}
        if all(value.kind == "float" for value in self.values):
            places: dict[AffineForm, int] = {}
            for name, digits in self.copies.items():
                results[name] = self._copied(digits, None, places)
            for value in self.values:
                total = value.at(value.last)
                place = self.draft.output(f"{value.name}@{value.last}", total.parts, total.constant)
                results[value.name] = float_digits(value, place)
                limits[0][place] = float(unit(-value.exponent - 1))
            return [self.draft.layer()], results, [listed(limits[0], self.draft)]
        carried: dict[AffineForm, int] = {}
        for name, digits in self.copies.items():
            results[name] = self._copied(digits, second, carried)
        for value in self.values:
            carry = {"digits": self._carry, "float": self._pass_on, "cut": self._cut}[value.kind]
            results[value.name] = carry(value, second, limits)
        second.n_in = len(self.draft.outputs)
        return (
            [self.draft.layer(), second.layer()], results, [listed(limits[0], self.draft), listed(limits[1], second)]
        )  # fmt: skip

    def _copied(self, digits: Digits, second: LayerDraft | None, places: dict[AffineForm, int]) -> Digits:
        """Digits carried through the first layer, and the second if there is one."""
        kept = {}
        for position, digit in digits.digits.items():
            if digit.form not in places:
                name = f"={len(places)}"
                hidden, factor = self.draft.unit(DELTA, digit.form, ONE)
                place = self.draft.output(name, {hidden: factor})
                if second is not None:
                    passed, _ = second.unit(DELTA, ((place, UNIT),), ONE)
                    place = second.output(name, {passed: UNIT})
                places[digit.form] = place
            kept[position] = Digit(((places[digit.form], UNIT),), digit.bound)
        return Digits(kept, digits.exact)

    def _pass_on(self, value: Value, second: LayerDraft, limits: tuple[dict[int, float], dict[int, float]]) -> Digits:
        """A float through the second layer, as it is."""
        total = value.at(value.last)
        place = self.draft.output(f"{value.name}@{value.last}S", total.parts, total.constant)
        passed, _ = second.unit(DELTA, ((place, UNIT),), ONE)
        place = second.output(f"{value.name}@{value.last}", {passed: UNIT})
        limits[1][place] = float(unit(-value.exponent - 1))
        return float_digits(value, place)

    def _cut(self, value: Value, second: LayerDraft, limits: tuple[dict[int, float], dict[int, float]]) -> Digits:
        """A float S as digits: rounded to the unit of ``last``, then to those of the positions before.

        With ``|S| < 2^(p−2)`` units of ``last``, which the run watches, ``H_j = (S + C_j) − C_j`` is S rounded to the unit of
        its position, exactly; the digits are ``H_j − H_(j+1)``, and H itself at the top. Over Q all H_j are S, and so is the sum.
        """
        beta, p = self.grid.slice_bits, self.grid.precision
        total, at = value.at(value.last), value.last
        combos: dict[int, dict[int, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
        place = self.draft.output(f"{value.name}@{value.last}S", total.parts, total.constant)
        limits[0][place] = float(unit(-value.exponent))
        current = None
        while current is None or scale_up(1, value.exponent + at) > 2 ** (beta - 1):
            if current is not None:
                at -= beta
            constant = 3 * Fraction(2) ** (p - 2) * unit(at)
            place = self.draft.output(f"{value.name}@{at}T", total.parts, total.constant + constant)
            rounded = second.carry(place, constant)
            combos[at][rounded] += 1
            if current is not None:
                combos[at + beta][rounded] -= 1
            current = rounded
        digits: dict[int, Digit] = {}
        for position in sorted(combos):
            place = second.output(f"{value.name}@{position}", combos[position])
            bound = 2 ** (beta - 1) + 1
            if position == at:
                bound = scale_up(1, value.exponent + at) + 1
                limits[1][place] = float(bound * unit(at))
            digits[position] = Digit(((place, UNIT),), bound)
        return Digits(digits, True)

    def _carry(self, value: Value, second: LayerDraft, limits: tuple[dict[int, float], dict[int, float]]) -> Digits:
        """Class sums to digits, each at most about 2^β units; the first digit is bounded by the value's magnitude."""
        beta, p = self.grid.slice_bits, self.grid.precision
        if not value.classes:
            value.at(value.last)
        top = min(value.top, min(value.classes))
        combos: dict[int, dict[int, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
        bounds: dict[int, int] = defaultdict(int)
        for position, total in sorted(value.classes.items()):
            name = f"{value.name}@{position}"
            # a tail may exceed its bound by its own rounding errors
            bound = total.bound if position < value.last else total.bound + (total.bound >> 8) + 1
            place = self.draft.output(f"{name}S", total.parts, total.constant)
            current, _ = second.unit(DELTA, ((place, UNIT),), ONE)
            at = position
            while at - beta >= top and bound > 2 ** (beta - 1):
                constant = 3 * Fraction(2) ** (p - 2) * unit(at - beta)
                place = self.draft.output(f"{name}T{at - beta}", total.parts, total.constant + constant)
                rounded = second.carry(place, constant)
                combos[at][current] += 1
                combos[at][rounded] -= 1
                # a constant that is no multiple of the coarser unit is rounded with C, when the network is lowered
                inside = is_multiple(total.constant, at - beta)
                bounds[at] += min(bound, 2 ** (beta - 1) * (1 if inside else 2) + (at < position))
                bound = scale_up(bound, -beta) + (1 if inside else 2)
                current, at = rounded, at - beta
            combos[at][current] += 1
            bounds[at] += bound
        first = min(bounds)
        lower = sum(scale_up(bound, first - at) for at, bound in bounds.items() if at > first)
        allowed = scale_up(1, value.exponent + first) + lower + 1
        digits: dict[int, Digit] = {}
        for at in sorted(bounds):
            place = second.output(f"{value.name}@{at}", combos[at])
            bound = bounds[at]
            if at == first and allowed < bound:
                bound = allowed
                limits[1][place] = float(allowed * unit(first))
            digits[at] = Digit(((place, UNIT),), max(1, bound))
        return Digits(digits, value.exact and max(value.classes) == max(digits))


def float_digits(value: Value, place: int) -> Digits:
    """A value that one channel holds, rounded."""
    bound = scale_up(1, value.exponent + value.last)
    return Digits({value.last: Digit(((place, UNIT),), max(1, bound))}, False)


def listed(limits: Mapping[int, float], draft: LayerDraft) -> list[float] | None:
    """The largest magnitude of each output (inf: any); None where all are free."""
    if not limits:
        return None
    return [limits.get(place, float("inf")) for place in range(len(draft.outputs))]
