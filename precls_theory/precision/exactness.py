"""Which channels of a network are exact in floating point, whatever the order of summation? Read from its weights.

Every channel is followed through the layers as an integer multiple of 2^−q with a bound on that integer (integer interval
arithmetic on the weights; nothing is taken from the code that built the network). A sum of such numbers is exact in p
bits, in every order, if the absolute values of its terms add up to at most 2^p common units. Two rules are special:

* **Carry.** Outputs with the same terms whose constants differ by ``C = 3·2^(p−2)·U``: if the terms stay below
  ``2^(p−2)·U``, then ``T = fl(S + C)`` lies in ``[2^(p−1), 2^p]·U`` and is S rounded to a multiple of U. In the next layer
  ``H = 1 ⊙ (T − C)`` is exact, and ``|S − H| ≤ U/2`` (U where the constant of S is itself no multiple of U, for then it is
  rounded with C).
* **Telescoping.** A combination ``Σ c_j R_j`` of S = R_0 and its roundings R_1, R_2, …, coarser and coarser, is
  ``Σ (c_0 + … + c_j)(R_j − R_(j+1))``, which is small where the R_j are not.

The network's ``limits`` are hypotheses: a lowered network refuses a run that leaves them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

from constructions.algebra.filters import DELTA, Filter
from constructions.networks.layer import Layer, SparseMap
from constructions.networks.network import Network
from constructions.slicing.task import SlicedTask


class Known(NamedTuple):
    """A number below ``bound``·2^−q in absolute value, in floats a multiple of 2^−q where ``exact``."""

    q: int
    bound: int
    exact: bool


@dataclass(frozen=True)
class Rounded:
    """A channel that is ``base`` rounded to multiples of ``grain`` plus ``offset`` (grain 0: the sum itself)."""

    base: int
    grain: Fraction
    offset: Fraction
    slack: Fraction


@dataclass
class ExactnessReport:
    """Largest exact sum in bits, and what is not exact: names by layer (from 1) and the output columns.

    ``n_repeated`` layers meet the bounds that an earlier one met: iterating further changes nothing.
    """

    precision: int
    largest_sum_bits: float = 0.0
    n_exact: int = 0
    n_inexact: int = 0
    inexact: dict[int, tuple[str, ...]] = field(default_factory=dict)
    inexact_outputs: frozenset[int] = frozenset()
    n_repeated: int = 0


def unexpected(network: Network, report: ExactnessReport) -> list[str]:
    """Inexact channels that are neither T = S + C nor the last digit or class of a value: none, if all is well."""
    task = network.task
    assert isinstance(task, SlicedTask)
    found: list[str] = []
    for index, layer in enumerate(network.layers):
        last: dict[str, int] = {}
        for name in layer.outputs:
            value, _, digit = name.rpartition("@")
            if not value:  # a digit carried through; what reads it is looked at
                continue
            last[value] = max(last.get(value, -(10**9)), int(digit.partition("T")[0].removesuffix("S") or 0))
        for name in report.inexact[index + 1]:
            value, _, digit = name.rpartition("@")
            if value and "T" not in digit and int(digit.removesuffix("S")) < last[value]:
                found.append(f"layer {index + 1}: {name}")
    found += [f"output {column}" for column in report.inexact_outputs - {group[-1] for group in task.groups}]
    return found


class Overflowing(ValueError):
    """A carry may leave its range; the message says where."""


def _shift(bound: int, bits: int) -> int:
    return bound << bits if bits >= 0 else -(-bound >> -bits)


def _number(value: Fraction, p: int) -> Known:
    """A rational weight: exact where it is dyadic and fits p bits."""
    if not value:
        return Known(0, 0, True)
    n, d = abs(value.numerator), value.denominator
    if d & (d - 1) == 0:
        a = d.bit_length() - 1
        twos = (n & -n).bit_length() - 1
        return Known(a - twos, n >> twos, (n >> twos).bit_length() <= p)
    q = d.bit_length() + p
    return Known(q, -(-(n << q) // d) + 1, False)


def _rest(q: int, bound: int) -> Known:
    """An inexact number: its bound rounded up to ten bits, in units that say no more than that."""
    extra = max(0, bound.bit_length() - 10)
    return Known(q - extra, -(-bound >> extra), False)


def _within(known: Known, limit: Fraction) -> Known:
    """A number that a run keeps within ``limit``. A rest is no multiple of its unit, which may be coarser than the limit."""
    unit = Fraction(1, 2**known.q) if known.q >= 0 else Fraction(2**-known.q)
    if known.bound * unit <= limit:
        return known
    if known.exact:
        return known._replace(bound=int(limit / unit))
    numerator, q = limit.numerator, limit.denominator.bit_length() - 1  # a float: its denominator is a power of two
    return _rest(q, numerator)


def _add(terms: list[Known], p: int, report: ExactnessReport) -> Known:
    """Their sum in any order."""
    terms = [term for term in terms if term.bound]
    if not terms:
        return Known(0, 0, True)
    q = max(term.q for term in terms)
    bound = sum(_shift(term.bound, q - term.q) for term in terms)
    exact = all(term.exact for term in terms) and bound <= 2**p
    if not exact:  # n roundings of relative size 2^−p add less than one part in 256
        return _rest(q, bound + (bound >> 8) + 1)
    if len(terms) > 1:
        report.largest_sum_bits = max(report.largest_sum_bits, float(bound.bit_length()))
    return Known(q, bound, True)


def _times(left: Known, right: Known, p: int) -> Known:
    bound = left.bound * right.bound
    exact = left.exact and right.exact and bound <= 2**p
    if not exact:
        return _rest(left.q + right.q, bound + (bound >> 8) + 1)
    return Known(left.q + right.q, bound, True)


def _taps(filter: Filter, n_rows: int, p: int) -> Known | None:
    """What the taps of a filter amount to together; ``None`` for one tap of size 1, which changes no bound."""
    taps = [_number(tap, p) for tap in filter.taps(n_rows) if tap]
    if len(taps) == 1 and taps[0].bound == 1 and taps[0].q == 0:
        return None
    q = max((tap.q for tap in taps), default=0)
    return Known(q, sum(_shift(tap.bound, q - tap.q) for tap in taps), all(tap.exact for tap in taps))


def _rows(sparse: SparseMap) -> list[dict[int, Fraction]]:
    rows: list[dict[int, Fraction]] = [{} for _ in range(sparse.n_out)]
    for row, column, weight in zip(sparse.rows.tolist(), sparse.columns.tolist(), sparse.weights, strict=True):
        rows[row][column] = weight
    return rows


def exact_digits(network: Network, precision: int | None = None) -> ExactnessReport:
    """Follow the digits of a sliced network through its layers; see the module.

    Raises :class:`Overflowing` where a carry may leave its range, ``ValueError`` for a network that is not sliced.
    """
    task = network.task
    if not isinstance(task, SlicedTask) or network.precision is None:
        raise ValueError("exact_digits follows the digits of a sliced network: make one with C.sliced")
    p = precision or network.precision
    report = ExactnessReport(p)
    state = _inputs(network, task)
    symbols: dict[int, Rounded] = {}
    seen: dict[tuple, tuple[list[Known], dict[int, Rounded]]] = {}
    for index, layer in enumerate(network.layers):
        limits = network.limits[index] if network.limits else None
        ranges = None if limits is None else limits.tobytes()
        key = (id(layer), tuple(state), tuple(sorted(symbols.items(), key=lambda item: item[0])), ranges)
        report.n_repeated += key in seen
        if key not in seen:
            seen[key] = _layer(layer, state, symbols, limits, network.n_rows, p, report)
        state, symbols = seen[key]
        wrong = tuple(name for name, known in zip(layer.outputs, state, strict=True) if not known.exact)
        report.n_inexact += len(wrong)
        report.n_exact += len(state) - len(wrong)
        report.inexact[index + 1] = wrong
    report.inexact_outputs = frozenset(c for c in task.columns if not state[c].exact)
    return report


def _inputs(network: Network, task: SlicedTask) -> list[Known]:
    """What the encoder promises: nearest multiples of the units, the first below the magnitude, the last a rest."""
    state = [Known(0, 0, True)] * len(network.inputs)
    for digits, exponent in zip(task.digits, task.exponents, strict=True):
        for place, (position, channel) in enumerate(digits):
            bound = _shift(1, exponent + position) + 1 if place == 0 else _shift(1, position - digits[place - 1][0] - 1)
            state[channel] = Known(position, bound, place < len(digits) - 1)
    p = network.precision or 0
    for (_, channel), weight in network.positions.items():
        constant, known = _number(weight, p), state[channel]
        q = max(known.q, constant.q)
        bound = max(_shift(known.bound, q - known.q), 0) + _shift(constant.bound, q - constant.q)
        exact = (known.exact or not known.bound) and constant.exact and bound <= 2**p
        state[channel] = Known(q, bound, exact)
    return state


def _layer(
    layer: Layer, state: list[Known], symbols: dict[int, Rounded], limits: object, n_rows: int, p: int,
    report: ExactnessReport,
) -> tuple[list[Known], dict[int, Rounded]]:  # fmt: skip
    conv, gate, out = _rows(layer.conv), _rows(layer.gate), _rows(layer.out)
    n_in = layer.conv.n_in

    def affine(form: dict[int, Fraction]) -> Known:
        return _add(
            [
                _number(weight, p) if column == n_in else _times(state[column], _number(weight, p), p)
                for column, weight in form.items()
            ],
            p, report,
        )  # fmt: skip

    taps = [_taps(filter, n_rows, p) for filter in layer.filters]
    hidden: list[Known] = []
    kept: dict[int, Rounded] = {}
    for unit in range(layer.width):
        filter = layer.filters[layer.filter_index[unit]]
        symbol = _symbol(conv[unit], gate[unit], filter, n_in, symbols)
        if symbol is not None:
            kept[unit] = symbol
            if symbol.grain:
                q, size = _number(symbol.grain, p).q, symbol_size(state, symbol, symbols)
                hidden.append(Known(q, _shift(size.bound, q - size.q) + 1, True))
                continue
        source, total = affine(conv[unit]), taps[layer.filter_index[unit]]
        hidden.append(_times(source if total is None else _times(source, total, p), affine(gate[unit]), p))
    made: list[Known] = []
    for row in out:
        terms = [
            _number(weight, p) if unit == layer.width else _times(hidden[unit], _number(weight, p), p)
            for unit, weight in row.items()
        ]
        levels = [(kept[unit].base, kept[unit].grain) for unit in row if unit in kept]
        if len(set(levels)) == len(row) > 1:
            made.append(_telescope(row, hidden, kept, p, report))
        else:
            made.append(_add(terms, p, report))
    if limits is not None:
        for place, known in enumerate(made):
            limit = float(limits[place])  # type: ignore[index]
            if limit != float("inf"):
                made[place] = _within(known, Fraction(limit))
    return made, _carries(layer, out, made, hidden, p, report)


def symbol_size(state: list[Known], symbol: Rounded, symbols: dict[int, Rounded]) -> Known:
    """The bound of the sum that a symbol rounds: that of the channel that holds it unrounded."""
    return next(state[channel] for channel, other in symbols.items() if other.base == symbol.base and not other.grain)


def _symbol(
    conv: dict[int, Fraction], gate: dict[int, Fraction], filter: Filter, n_in: int, symbols: dict[int, Rounded]
) -> Rounded | None:
    """The sum, or its rounding, that a hidden channel is: ``1 ⊙ (T − C)``, or the sum itself times 1."""
    if filter != DELTA:
        return None
    form = gate if conv == {n_in: 1} else conv if gate == {n_in: 1} else None
    if form is None:
        return None
    channels = [column for column in form if column != n_in]
    if len(channels) != 1 or form[channels[0]] != 1 or channels[0] not in symbols:
        return None
    symbol = symbols[channels[0]]
    return symbol if form.get(n_in, Fraction(0)) == -symbol.offset else None


def _telescope(
    row: dict[int, Fraction], hidden: list[Known], kept: dict[int, Rounded], p: int, report: ExactnessReport
) -> Known:
    """A combination of sums and their roundings; see the module."""
    by_base: dict[int, list[tuple[Fraction, int]]] = defaultdict(list)
    for unit in row:
        by_base[kept[unit].base].append((kept[unit].grain, unit))
    total: list[Known] = []
    exact = True
    for levels in by_base.values():
        levels.sort()
        carried = Fraction(0)
        for place, (grain, unit) in enumerate(levels):
            carried += row[unit]
            if not carried:
                continue
            if place + 1 == len(levels):
                total.append(_times(hidden[unit], _number(carried, p), p))
                continue
            coarser = kept[levels[place + 1][1]]
            gap = (coarser.grain + grain) / 2 + (coarser.slack + kept[unit].slack)
            q = hidden[unit].q
            scaled = gap * abs(carried) * (Fraction(2**q) if q >= 0 else Fraction(1, 2**-q))
            total.append(Known(q, -(-scaled.numerator // scaled.denominator), hidden[unit].exact))
        exact = exact and all(hidden[unit].exact for _, unit in levels)
    added = _add(total, p, report)
    # S and −H have opposite signs: a partial sum that holds one of them, or both, is at most the larger
    q = max(hidden[unit].q for unit in row)
    reach = 0
    for levels in by_base.values():
        sizes = [_shift(hidden[unit].bound, q - hidden[unit].q) * abs(row[unit]) for _, unit in levels]
        cancels = len(levels) == 2 and row[levels[0][1]] == -row[levels[1][1]]
        reach += max(sizes) if cancels else sum(sizes)  # type: ignore[call-overload,assignment]
    if exact and reach > 2**p:
        exact = False
    return added._replace(exact=added.exact and exact)


def _carries(
    layer: Layer, out: list[dict[int, Fraction]], made: list[Known], hidden: list[Known], p: int,
    report: ExactnessReport,
) -> dict[int, Rounded]:  # fmt: skip
    """Outputs that repeat the terms of another with a large constant: that one rounded. Their channels are marked."""
    width = layer.width
    groups: dict[tuple, list[tuple[Fraction, int]]] = defaultdict(list)
    for place, row in enumerate(out):
        terms = tuple((unit, weight) for unit, weight in row.items() if unit != width)
        groups[terms].append((row.get(width, Fraction(0)), place))
    symbols: dict[int, Rounded] = {}
    for members in groups.values():
        members.sort(key=lambda member: abs(member[0]))
        constant, base = members[0]
        if len(members) == 1:
            continue
        symbols[base] = Rounded(base, Fraction(0), Fraction(0), Fraction(0))
        for other, place in members[1:]:
            offset = other - constant
            if not offset:  # the same sum once more
                symbols[place] = Rounded(base, Fraction(0), Fraction(0), Fraction(0))
                continue
            grain = offset / (3 * 2 ** (p - 2))
            known = _number(grain, p)
            if offset < 0 or known.bound != 1:
                continue
            size = made[base]
            if Fraction(size.bound) * (Fraction(1, 2**size.q) if size.q >= 0 else Fraction(2**-size.q)) > grain * (
                2 ** (p - 2) - 1
            ):
                raise Overflowing(
                    f"{layer.outputs[place]}: the sum may reach 2^{size.bound.bit_length() - size.q}, and this carry holds "
                    f"2^{p - 2 - known.q}"
                )
            slack = Fraction(0) if (constant / grain).denominator == 1 else grain / 2
            symbols[place] = Rounded(base, grain, offset, slack)
            # the channel itself is rounded to multiples of its grain: nothing but T − C may be read from it
            made[place] = Known(known.q, 2**p, False)
    return symbols
