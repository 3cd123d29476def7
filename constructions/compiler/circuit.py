"""Arithmetic circuits as Python objects: affine combinations of inputs and products, over numbers or sequences.

A :class:`Wire` is an affine combination of the inputs and products of its :class:`Circuit`, each seen through a
filter::

    circuit = Circuit(n_rows=20)
    a, b, x = circuit.input("a", 5), circuit.input("b"), circuit.input("x", 5)
    G, c, x = prefix_sum(np.outer(a, a)), prefix_sum(b * a), prefix_sum(x)
    for _ in range(8):
        x = x - step * (G @ x - c)

Additions, rational factors and filters are free; only a product of two wires that are not constant is a gate. With
one row (the default) this is an arithmetic circuit over numbers. Equal products are one gate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from numbers import Rational
from typing import TypeVar, overload

import numpy as np

from constructions.algebra.filters import DELTA, PREFIX, Filter
from constructions.algebra.filters import shift as shift_filter
from constructions.algebra.rationals import as_count, as_fraction
from constructions.algebra.terms import channel_name
from constructions.compiler.forms import CONSTANT, ONE, FilteredNode
from constructions.networks.layer import Mode

MAX_POWER = 1_000


WireKey = tuple[tuple[FilteredNode, Fraction], ...]
"""The terms of a wire, sorted."""


class Circuit:
    """Inputs, row constants and products over sequences of ``n_rows`` rows; products are shared when equal.

    Nodes are numbered: inputs and row constants first come as they are made, products as they are first written.
    ``products[node]`` is the pair of factors of a product node.
    """

    def __init__(self, n_rows: int = 1, mode: Mode = "causal") -> None:
        if mode not in ("causal", "circular"):
            raise ValueError(f"mode must be 'causal' or 'circular', got {mode!r}")
        self.n_rows = as_count("n_rows", n_rows)
        self.mode: Mode = mode
        self.filters: list[Filter] = [DELTA]
        self.names: dict[int, str] = {}
        self.positions: dict[int, dict[int, Fraction]] = {}
        self.products: dict[int, tuple[Wire, Wire]] = {}
        self._known: dict[tuple[WireKey, WireKey], int] = {}
        self._filter_index = {DELTA: 0}

    @property
    def n_nodes(self) -> int:
        return len(self.names) + len(self.products)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the input channels that carry data, in order."""
        return tuple(name for node, name in self.names.items() if node not in self.positions)

    @overload
    def input(self, family: str) -> Wire: ...

    @overload
    def input(self, family: str, *shape: int) -> np.ndarray: ...

    def input(self, family: str, *shape: int) -> Wire | np.ndarray:
        """A wire, or with a shape an object array of wires ``family[i,j,…]``, that carries data.

        Raises ``ValueError`` when the name is taken.
        """
        if not shape:
            return self._input(family)
        array = np.empty(shape, dtype=object)
        for index in np.ndindex(*shape):
            array[index] = self._input(channel_name(family, *index))
        return array

    def row_constants(self, name: str, values: Mapping[int, Fraction | int | str]) -> Wire:
        """A wire with the given constants by row and zero at all other rows (a positional channel)."""
        if not values:
            return self.constant(0)
        for row in values:
            if not 0 <= row < self.n_rows:
                raise ValueError(f"row constants {name!r}: row {row} is not one of the {self.n_rows} rows")
        if self.n_rows == 1:
            return self.constant(next(iter(values.values())))
        wire = self._input(name)
        node = self.n_nodes - 1
        self.positions[node] = {int(row): as_fraction(name, value) for row, value in values.items()}
        return wire

    def constant(self, value: Fraction | int | str) -> Wire:
        """The same number at every row."""
        number = as_fraction("a constant", value)
        return Wire(self, {CONSTANT: number} if number else {})

    def _input(self, name: str) -> Wire:
        if name in self.names.values():
            raise ValueError(f"the circuit has an input {name!r} already: choose another name")
        node = self.n_nodes
        self.names[node] = name
        return Wire(self, {(0, node): Fraction(1)})

    def product(self, left: Wire, right: Wire) -> Wire:
        """The product gate of two wires; equal up to rational factors and order means the same gate."""
        scale_left, left = left.monic()
        scale_right, right = right.monic()
        if right.key < left.key:
            left, right = right, left
        key = (left.key, right.key)
        node = self._known.get(key)
        if node is None:
            node = self._known[key] = self.n_nodes
            self.products[node] = (left, right)
        return Wire(self, {(0, node): scale_left * scale_right})

    def filter(self, filter: Filter) -> int:
        """Index of a filter. In a circular circuit taps past the last row wrap around, so a filter has at most
        n_rows."""
        if self.mode == "circular" and len(filter.head) > self.n_rows:
            taps = filter.taps(self.n_rows)
            if not filter.tail:
                taps = [sum(filter.head[lag :: self.n_rows], Fraction(0)) for lag in range(self.n_rows)]
            filter = Filter.of(taps, 0)
        if filter not in self._filter_index:
            self._filter_index[filter] = len(self.filters)
            self.filters.append(filter)
        return self._filter_index[filter]

    def compose(self, outer: int, inner: int) -> int:
        """Index of ``outer ⋆ inner``: with head and tail where that is possible, tap by tap otherwise."""
        if not outer or not inner:
            return outer or inner
        f, g = self.filters[outer], self.filters[inner]
        if self.mode == "causal" and not (f.tail and g.tail):
            finite, other = (f, g) if not f.tail else (g, f)
            size = len(finite.head) + len(other.head)
            taps = _convolve_taps(finite.taps(size), other.taps(size), size)
            return self.filter(Filter.of(taps, sum(finite.head, Fraction(0)) * other.tail))
        n_rows = self.n_rows
        if self.mode == "causal":
            return self.filter(Filter.of(_convolve_taps(f.taps(n_rows), g.taps(n_rows), n_rows), 0))
        around = _convolve_taps(
            [*f.taps(n_rows), *[Fraction(0)] * n_rows], [*g.taps(n_rows), *[Fraction(0)] * n_rows], 2 * n_rows
        )
        taps = [around[m] + around[m + n_rows] for m in range(n_rows)]
        return self.filter(Filter.of((), taps[0]) if len(set(taps)) == 1 else Filter.of(taps, 0))

    def reachable(self, outputs: Iterable[Wire]) -> list[int]:
        """Product nodes on which the outputs depend, in an order in which each comes after its factors."""
        pending = [node for wire in outputs for _, node in wire.terms]
        seen: set[int] = set()
        while pending:
            node = pending.pop()
            if node in self.products and node not in seen:
                seen.add(node)
                pending.extend(source for factor in self.products[node] for _, source in factor.terms)
        return sorted(seen)

    def __repr__(self) -> str:
        return f"<Circuit: {len(self.names)} inputs, {len(self.products)} products, {self.n_rows} rows, {self.mode}>"


class Wire:
    """An affine combination ``Σ weight · (filter ⋆ node)`` of the nodes of a circuit; immutable."""

    __slots__ = ("_key", "circuit", "terms")

    def __init__(self, circuit: Circuit, terms: Mapping[FilteredNode, Fraction]) -> None:
        self.circuit = circuit
        self.terms: Mapping[FilteredNode, Fraction] = terms
        self._key: WireKey | None = None

    @property
    def key(self) -> WireKey:
        """The sorted terms: equal for equal wires of one circuit."""
        if self._key is None:
            self._key = tuple(sorted(self.terms.items()))
        return self._key

    @property
    def is_constant(self) -> bool:
        """The same number at every row."""
        return not self.terms or self.terms.keys() == {CONSTANT}

    @property
    def depth(self) -> int:
        """Number of layers to compute this wire; for one row the multiplicative depth (0 when affine in the
        inputs)."""
        return earliest(self.circuit, [self])[1]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Wire) and self.circuit is other.circuit and self.terms == other.terms

    def __hash__(self) -> int:
        return hash(self.key)

    def monic(self) -> tuple[Fraction, Wire]:
        """``(scale, wire)`` with ``self = scale · wire`` and leading weight one."""
        # The constant sorts first in its filter; a leading weight that is not the constant keeps x + 1 and x − 1
        # simple.
        lead = self.terms[max(self.terms)] if self.terms else Fraction(1)
        return (Fraction(1), self) if lead == 1 else (lead, self._scaled(1 / lead))

    def _scaled(self, factor: Fraction) -> Wire:
        return Wire(self.circuit, {key: weight * factor for key, weight in self.terms.items()} if factor else {})

    def _wire(self, other: object) -> Wire:
        if isinstance(other, Wire):
            if other.circuit is not self.circuit:
                raise ValueError("wires of two circuits cannot be combined: make all inputs with one Circuit")
            return other
        if isinstance(other, Rational):
            return self.circuit.constant(Fraction(other))
        hint = ": write Fraction(1, 10) rather than 0.1" if isinstance(other, float) else ""
        raise TypeError(f"a circuit is made of wires and exact rationals, got {type(other).__name__} {other!r}{hint}")

    def __add__(self, other: object) -> Wire:
        if isinstance(other, np.ndarray):
            return NotImplemented
        total = dict(self.terms)
        for key, weight in self._wire(other).terms.items():
            value = total.get(key, 0) + weight
            if value:
                total[key] = value
            else:
                total.pop(key, None)
        return Wire(self.circuit, total)

    __radd__ = __add__

    def __neg__(self) -> Wire:
        return self._scaled(Fraction(-1))

    def __sub__(self, other: object) -> Wire:
        return NotImplemented if isinstance(other, np.ndarray) else self + (-self._wire(other))

    def __rsub__(self, other: object) -> Wire:
        return -self + other

    def __mul__(self, other: object) -> Wire:
        if isinstance(other, np.ndarray):
            return NotImplemented
        if isinstance(other, Rational):
            return self._scaled(Fraction(other))
        right = self._wire(other)
        if right.is_constant:
            return self._scaled(right.terms.get(CONSTANT, Fraction(0)))
        if self.is_constant:
            return right._scaled(self.terms.get(CONSTANT, Fraction(0)))
        return self.circuit.product(self, right)

    __rmul__ = __mul__

    def __truediv__(self, other: object) -> Wire:
        if not isinstance(other, Rational):
            raise TypeError(f"a circuit divides by rational numbers alone, got {type(other).__name__} {other!r}")
        if not other:
            raise ZeroDivisionError("a circuit cannot divide by 0")
        return self._scaled(1 / Fraction(other))

    def __rtruediv__(self, other: object) -> Wire:
        raise TypeError(f"a circuit has no division, and cannot compute {other!r} divided by a wire")

    def __rpow__(self, other: object) -> Wire:
        raise TypeError(f"a wire cannot be an exponent, as in {other!r} to its power: exponents are whole numbers")

    def __pow__(self, exponent: int) -> Wire:
        """By balanced halves: depth ⌈log2 exponent⌉."""
        if isinstance(exponent, bool) or not isinstance(exponent, int) or not 0 <= exponent <= MAX_POWER:
            raise ValueError(f"an exponent must be a whole number from 0 to {MAX_POWER}, got {exponent!r}")
        if exponent == 0:
            return self.circuit.constant(1)
        if exponent == 1:
            return self
        return self ** ((exponent + 1) // 2) * self ** (exponent // 2)

    def convolve(self, filter: Filter) -> Wire:
        """``filter ⋆ self``."""
        index = self.circuit.filter(filter)
        total: dict[FilteredNode, Fraction] = {}
        for (inner, node), weight in self.terms.items():
            key = (self.circuit.compose(index, inner), node)
            total[key] = total.get(key, Fraction(0)) + weight
        return Wire(self.circuit, {key: weight for key, weight in total.items() if weight})

    def shift(self, lag: int) -> Wire:
        """Each row receives the value ``lag`` rows before it (cyclically in a circular circuit)."""
        return self.convolve(shift_filter(lag))

    def prefix_sum(self) -> Wire:
        """Sum over the rows up to and including each row; causal circuits only."""
        if self.circuit.mode != "causal":
            raise ValueError("a circular circuit has no first row: use total(), or Circuit(mode='causal')")
        return self.convolve(PREFIX)

    def total(self) -> Wire:
        """Sum over all rows, at every row; circular circuits only."""
        if self.circuit.mode != "circular":
            raise ValueError("a causal row does not see later rows: use prefix_sum(), or Circuit(mode='circular')")
        return self.convolve(PREFIX)

    def __repr__(self) -> str:
        def show(key: FilteredNode) -> str:
            filter, node = key
            name = "1" if node == ONE else self.circuit.names.get(node, f"p{node}")
            return name if not filter else f"{self.circuit.filters[filter]} ⋆ {name}"

        return " + ".join(f"{weight}·{show(key)}" for key, weight in self.key) or "0"


WireOrArray = TypeVar("WireOrArray", Wire, np.ndarray)


def _convolve_taps(left: list[Fraction], right: list[Fraction], size: int) -> list[Fraction]:
    if not left or not right:
        return [Fraction(0)] * size
    product = np.convolve(np.array(left, dtype=object), np.array(right, dtype=object))
    return [Fraction(product[m]) if m < len(product) else Fraction(0) for m in range(size)]


def _entrywise(value: WireOrArray, function: Callable[[Wire], Wire]) -> WireOrArray:
    if isinstance(value, Wire):
        return function(value)
    every: np.ndarray = np.frompyfunc(function, 1, 1)(value)
    return every


def prefix_sum(value: WireOrArray) -> WireOrArray:
    """Sum over the rows up to and including each row: a wire or an array of wires."""
    return _entrywise(value, Wire.prefix_sum)


def total(value: WireOrArray) -> WireOrArray:
    """Sum over all rows of a circular circuit: a wire or an array of wires."""
    return _entrywise(value, Wire.total)


def shift(value: WireOrArray, lag: int) -> WireOrArray:
    """Each row receives the value ``lag`` rows before it: a wire or an array of wires."""
    return _entrywise(value, lambda wire: wire.shift(lag))


def convolved(value: WireOrArray, filter: Filter) -> WireOrArray:
    """``filter ⋆ value``, any filter: a wire or an array of wires."""
    return _entrywise(value, lambda wire: wire.convolve(filter))


def earliest(circuit: Circuit, outputs: Iterable[Wire]) -> tuple[dict[int, int], int]:
    """``(level of every product needed, depth)``: each product in the first layer that can hold it."""
    outputs = list(outputs)
    levels: dict[int, int] = {}
    for node in circuit.reachable(outputs):
        left, right = circuit.products[node]
        levels[node] = 1 + min(
            max(ready(left, levels, convolved=True), ready(right, levels)),
            max(ready(right, levels, convolved=True), ready(left, levels)),
        )
    return levels, max((ready(wire, levels) for wire in outputs), default=0)


def ready(wire: Wire, levels: Mapping[int, int], convolved: bool = False) -> int:
    """The layer after which ``wire`` can be read; by the convolution branch, its filters are still to come."""
    return max((levels.get(node, 0) + (filter != 0 and not convolved) for filter, node in wire.terms), default=0)


def wires(names: str | Iterable[str]) -> tuple[Wire, ...]:
    """Inputs of a new circuit over numbers: ``x, y = wires("x y")``."""
    circuit = Circuit()
    return tuple(circuit.input(name) for name in (names.replace(",", " ").split() if isinstance(names, str) else names))
