"""Bounds on polynomials by arithmetic alone: degree, size of the coefficients, and a common denominator.

A :class:`Majorant` stands for every polynomial f over Q of total degree at most ``degree`` with
``‖f‖₁ ≤ 2^log2_norm`` (the sum of absolute coefficients) and ``q·f`` over Z for a q that divides ``Π base^exponent``.
Sums and products of majorants stand for sums and products of the polynomials, because ``‖f+g‖₁ ≤ ‖f‖₁+‖g‖₁``,
``‖fg‖₁ ≤ ‖f‖₁‖g‖₁`` and denominators of the same base share the larger exponent in a sum. So a program run over
majorants bounds what it computes, and the integer polynomial ``q·f`` has coefficients of at most
``log2_norm + log2 q`` bits.

:func:`network_majorant` is the same for a whole network, vectorised over its channels: all rows of a channel share the
bound of the largest, and a filter multiplies it by the sum of its absolute taps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import overload

import numpy as np

from constructions.algebra.rings import Ring
from constructions.networks.base import ExactNetwork
from constructions.networks.layer import Layer, SparseMap
from constructions.networks.stack import LayerStack

SLACK = 2.0**-40
"""Relative and absolute outward rounding of each logarithm: far above the rounding error of the few operations on
it."""


@overload
def outward(value: np.ndarray) -> np.ndarray: ...


@overload
def outward(value: float) -> float: ...


def outward(value: float | np.ndarray) -> float | np.ndarray:
    """``value`` (a float or an array) rounded up; infinite values stay."""
    if isinstance(value, np.ndarray):
        rounded: np.ndarray = value + SLACK * (1 + np.where(np.isfinite(value), np.abs(value), 0))
        return rounded
    return value + SLACK * (1 + abs(value)) if math.isfinite(value) else value


def log2_size(value: Fraction) -> float:
    """log2 |value|, rounded up; −inf for zero. Integers of any length."""
    if not value:
        return -math.inf
    return outward(math.log2(abs(value.numerator)) - math.log2(value.denominator) + 1e-12)


def log2_add(left: float, right: float) -> float:
    """log2(2^left + 2^right), rounded up."""
    high, low = max(left, right), min(left, right)
    return high if low == -math.inf or high == math.inf else outward(high + math.log2(1 + 2.0 ** (low - high)))


def log2_multiply(left: float, right: float) -> float:
    """log2(2^left · 2^right), rounded up; −inf, which is zero, whatever the other is: infinity stands for what overflowed."""
    return -math.inf if -math.inf in (left, right) else outward(left + right)


@dataclass(frozen=True, slots=True, eq=False)
class Majorant:
    """A bound on a polynomial; see the module. Zero has ``log2_norm`` −inf."""

    degree: int
    log2_norm: float
    denominators: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, value: Fraction | int) -> Majorant:
        """The bound of a rational constant."""
        value = Fraction(value)
        return cls(0, log2_size(value), {value.denominator: 1} if value.denominator > 1 else {})

    @property
    def log2_denominator(self) -> float:
        """log2 of the common denominator, rounded up."""
        return outward(sum(exponent * math.log2(base) for base, exponent in self.denominators.items()))

    @property
    def log2_height(self) -> float:
        """log2 of the largest absolute coefficient once denominators are cleared, rounded up."""
        return self.log2_norm + self.log2_denominator

    def __add__(self, other: Majorant | Fraction | int) -> Majorant:
        other = other if isinstance(other, Majorant) else Majorant.of(other)
        exponents = dict(self.denominators)
        for base, exponent in other.denominators.items():
            exponents[base] = max(exponents.get(base, 0), exponent)
        return Majorant(max(self.degree, other.degree), log2_add(self.log2_norm, other.log2_norm), exponents)

    def __mul__(self, other: Majorant | Fraction | int) -> Majorant:
        other = other if isinstance(other, Majorant) else Majorant.of(other)
        exponents = dict(self.denominators)
        for base, exponent in other.denominators.items():
            exponents[base] = exponents.get(base, 0) + exponent
        return Majorant(self.degree + other.degree, log2_multiply(self.log2_norm, other.log2_norm), exponents)

    def __neg__(self) -> Majorant:
        return self

    # The sign of a coefficient does not change its size.
    __radd__ = __sub__ = __rsub__ = __add__
    __rmul__ = __mul__


VARIABLE = Majorant(1, 0.0)


class Majorants(Ring):
    """The semiring of majorants, for programs that run over any ring."""

    name = "majorants (degree, norm, denominator)"

    def element(self, value: Fraction | int) -> Majorant:
        return Majorant.of(value)

    def coerce(self, array: np.ndarray) -> np.ndarray:
        entries = (entry if isinstance(entry, Majorant) else Majorant.of(entry) for entry in array.flat)
        return np.fromiter(entries, object, array.size).reshape(array.shape)


MAJORANTS = Majorants()


def input_majorants(network: ExactNetwork) -> np.ndarray:
    """The input of ``network`` over majorants: a variable in each free channel, zero elsewhere."""
    u = MAJORANTS.zeros((network.n_rows, len(network.inputs)))
    for row, column in network.task.free_channels:
        u[row, column] = VARIABLE
    return u


def worst(majorants: np.ndarray) -> Majorant:
    """One majorant that stands for every entry of an array: the largest degree, norm and exponents."""
    exponents: dict[int, int] = {}
    degree, norm = 0, -math.inf
    for entry in majorants.flat:
        degree, norm = max(degree, entry.degree), max(norm, entry.log2_norm)
        for base, exponent in entry.denominators.items():
            exponents[base] = max(exponents.get(base, 0), exponent)
    return Majorant(degree, norm, exponents)


@dataclass
class _Channels:
    """Bounds by channel (the constant 1 last): degree, log2 norm, and the exponent of each layer's denominator."""

    degree: np.ndarray
    log2_norm: np.ndarray
    exponents: np.ndarray

    def with_one(self) -> _Channels:
        return _Channels(
            np.append(self.degree, 0.0),
            np.append(self.log2_norm, 0.0),
            np.concatenate([self.exponents, np.zeros((1, self.exponents.shape[1]))]),
        )


def network_majorant(network: LayerStack) -> Majorant:
    """A bound that holds for every output channel of ``network`` at every row, as polynomials in its input.

    Every layer has a denominator of its own, the least common multiple of those of its weights and taps; the
    exponents of these bases are carried by channel. Degrees and exponents beyond the range of floats become infinite.
    """
    bases: dict[int, int] = {}
    for layer in network.layers:
        bases.setdefault(id(layer), len(bases))
    denominators = np.ones(len(bases) + 1, dtype=object)
    denominators[-1] = math.lcm(*(weight.denominator for weight in network.positions.values()))
    state = _input(network, len(bases))
    prepared: dict[int, _PreparedLayer] = {}
    with np.errstate(over="ignore", invalid="ignore"):
        for layer in network.layers:
            if id(layer) not in prepared:
                prepared[id(layer)] = _PreparedLayer(layer, network.n_rows, bases[id(layer)])
                denominators[bases[id(layer)]] = prepared[id(layer)].denominator
            state = prepared[id(layer)].apply(state)
    if not np.isfinite(state.degree).all() or not np.isfinite(state.exponents).all():
        raise OverflowError(f"the degree of a network of depth {network.depth} is too large to bound")
    exponents: dict[int, int] = {}
    for base, exponent in zip(denominators.tolist(), state.exponents.max(axis=0, initial=0).tolist(), strict=True):
        if base > 1:
            exponents[base] = exponents.get(base, 0) + math.ceil(exponent * (1 + SLACK))
    degree = math.ceil(float(state.degree.max(initial=0)))
    if degree >= 2**53:  # floats no longer count exactly
        degree = math.ceil(degree * (1 + SLACK))
    return Majorant(degree, float(state.log2_norm.max(initial=-math.inf)), exponents)


def _input(network: LayerStack, n_layers: int) -> _Channels:
    n_inputs = len(network.inputs)
    is_free = np.zeros(n_inputs, dtype=bool)
    is_free[[column for _, column in network.task.free_channels]] = True
    norm = np.where(is_free, 0.0, -np.inf)
    exponents = np.zeros((n_inputs, n_layers + 1))
    largest: dict[int, Fraction] = {}
    for (_, column), weight in network.positions.items():
        largest[column] = max(largest.get(column, Fraction(0)), abs(weight))
        exponents[column, -1] = max(exponents[column, -1], float(weight.denominator > 1))
    for column, weight in largest.items():
        norm[column] = log2_add(norm[column], log2_size(weight))
    return _Channels(is_free.astype(float), norm, exponents)


class _PreparedMap:
    """An affine map as logarithms of its weights; ``fractional`` says which rows hold a denominator."""

    def __init__(self, sparse: SparseMap) -> None:
        self.n_out = sparse.n_out
        self.columns = sparse.columns
        known = {weight: log2_size(weight) for weight in set(sparse.weights.tolist())}
        self.log2 = np.array([known[weight] for weight in sparse.weights.tolist()])
        self.rows, self.starts = np.unique(sparse.rows, return_index=True)
        has_denominator = np.array([weight.denominator > 1 for weight in sparse.weights.tolist()], dtype=float)
        self.fractional = np.zeros(sparse.n_out)
        if len(self.rows):
            self.fractional[self.rows] = np.maximum.reduceat(has_denominator, self.starts)

    def apply(self, state: _Channels, base: int) -> _Channels:
        degree, norm = np.zeros(self.n_out), np.full(self.n_out, -np.inf)
        exponents = np.zeros((self.n_out, state.exponents.shape[1]))
        if len(self.rows):
            degree[self.rows] = np.maximum.reduceat(state.degree[self.columns], self.starts)
            terms = outward(state.log2_norm[self.columns] + self.log2)
            sums = np.logaddexp2.reduceat(terms, self.starts)
            # A sum of n terms by pairwise logaddexp2 errs by at most a few n·ulp.
            counts = np.diff(np.append(self.starts, len(terms)))
            norm[self.rows] = outward(sums + counts * 2.0**-48 * (1 + np.where(np.isfinite(sums), np.abs(sums), 0)))
            exponents[self.rows] = np.maximum.reduceat(state.exponents[self.columns], self.starts, axis=0)
        exponents[:, base] += self.fractional
        return _Channels(degree, norm, exponents)


class _PreparedLayer:
    def __init__(self, layer: Layer, n_rows: int, base: int) -> None:
        self.base = base
        self.conv, self.gate, self.out = _PreparedMap(layer.conv), _PreparedMap(layer.gate), _PreparedMap(layer.out)
        weights = {weight for part in (layer.conv, layer.gate, layer.out) for weight in part.weights.tolist()}
        taps = {tap for filter in layer.filters for tap in (*filter.head, filter.tail)}
        self.denominator = math.lcm(*(value.denominator for value in weights | taps))
        norms, fractional = [], []
        for filter in layer.filters:
            norm = sum((abs(tap) for tap in filter.head[:n_rows]), start=Fraction(0))
            norm += abs(filter.tail) * max(0, n_rows - len(filter.head))
            norms.append(log2_size(norm))
            fractional.append(float(any(tap.denominator > 1 for tap in (*filter.head, filter.tail))))
        self.filter_log2 = np.array(norms)[layer.filter_index] if norms else np.zeros(0)
        self.filter_fractional = np.array(fractional)[layer.filter_index] if norms else np.zeros(0)

    def apply(self, state: _Channels) -> _Channels:
        state = state.with_one()
        conv, gate = self.conv.apply(state, self.base), self.gate.apply(state, self.base)
        conv.exponents[:, self.base] += self.filter_fractional
        norms = np.stack([conv.log2_norm, self.filter_log2, gate.log2_norm])
        # zero times what overflowed is zero: no NaN, which a maximum would lose
        norm = np.where(np.isneginf(norms).any(axis=0), -np.inf, outward(norms.sum(axis=0)))
        hidden = _Channels(conv.degree + gate.degree, norm, conv.exponents + gate.exponents)
        return self.out.apply(hidden.with_one(), self.base)
