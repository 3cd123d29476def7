"""From polynomials to circuits of the least depth, and of small width: level by level, from the top down.

The factors of the splits of all wanted polynomials (:mod:`constructions.compiler.splitting`), and what is carried
past them, are the polynomials wanted one level below. From some level down every monomial has a channel of its own
instead (:mod:`constructions.compiler.words`). A beam search over these choices keeps the sequences with the fewest
products in their widest level.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain

from constructions.algebra.work import tell
from constructions.compiler.circuit import Circuit, Wire
from constructions.compiler.forms import FilteredNode
from constructions.compiler.monomials import Exponents, Items, Polynomial, as_items, degree, minimal_depth, monic
from constructions.compiler.splitting import CUTS, Split, split
from constructions.compiler.words import Words

BEAM = 3
LARGE = 600
"""Above so many terms fewer ways are tried."""


def circuits(
    polynomials: Sequence[Polynomial], variables: Sequence[str], keep: int = 4
) -> list[tuple[Circuit, list[Wire]]]:
    """Circuits of depth at most :func:`minimal_depth` for the polynomials, the most promising ``keep`` of those
    searched."""
    wanted = tuple(dict.fromkeys(as_items(p) for p in polynomials))
    large = sum(map(len, wanted)) > LARGE
    ways = ("star", "first") if large else ("star", *CUTS)
    beam = [Plan(wanted)]
    finished: list[Plan] = []
    depth = minimal_depth(polynomials)
    for level in range(depth, 0, -1):
        tell("levels of products searched", depth - level, depth)
        finished += [plan.by_words(level) for plan in beam]
        grown = sorted((plan.descended(level, way) for plan in beam for way in ways), key=lambda plan: plan.rank)
        distinct = {plan.wanted: plan for plan in reversed(grown)}
        beam = sorted(distinct.values(), key=lambda plan: plan.rank)[: 1 if large else BEAM]
    finished = sorted(finished + beam, key=lambda plan: plan.rank)
    return [plan.circuit(polynomials, variables) for plan in finished[:keep]]


@dataclass(frozen=True)
class Level:
    """How every wanted polynomial is split at one level, all in the same way; ``None``: it is low, and carried."""

    way: str
    splits: Mapping[Items, Split | None]

    @classmethod
    def of(cls, wanted: Iterable[Items], half: int, way: str) -> Level:
        """Split what has a degree above ``half``, one polynomial after another: later ones favour factors in use."""
        used: Counter[Exponents] = Counter()
        splits: dict[Items, Split | None] = {}
        for items in wanted:
            if degree(e for e, _ in items) <= half:
                splits[items] = None
                continue
            found = splits[items] = split(items, half, way, used)
            used.update(e for _, left, right in found.products for e, _ in chain(left, right))
        return cls(way, splits)

    @property
    def carried(self) -> dict[Items, None]:
        """What the layer carries: low polynomials, constants too, and the rests of the others."""
        return dict.fromkeys(
            items if split is None else split.carried
            for items, split in self.splits.items()
            if split is None or split.carried
        )

    @property
    def wanted(self) -> tuple[Items, ...]:
        """The polynomials wanted one level below: factors first, then what is carried."""
        pairs = ((left, right) for split in self.splits.values() if split for _, left, right in split.products)
        return tuple(dict.fromkeys(chain(chain.from_iterable(pairs), self.carried)))

    @property
    def cost(self) -> int:
        """Distinct products, and values that are carried past them; constants cost nothing."""
        pairs = ((left, right) for split in self.splits.values() if split for _, left, right in split.products)
        products = {(min(pair), max(pair)) for pair in pairs}
        return len(products) + sum(1 for items in self.carried if degree(e for e, _ in items) > 0)


@dataclass(frozen=True)
class Plan:
    """The choices made from the top down to a level, the polynomials wanted there, and perhaps words that end it."""

    wanted: tuple[Items, ...]
    levels: tuple[Level, ...] = ()
    costs: tuple[int, ...] = ()
    words: Words | None = None

    @property
    def rank(self) -> tuple[int, int, tuple[str, ...]]:
        """The least is the most promising: width, total width, and the names of the ways to decide between equals."""
        ways = tuple(level.way for level in self.levels)
        return max(self.costs, default=0), sum(self.costs), ways if self.words is None else (*ways, "monomials")

    def descended(self, level: int, way: str) -> Plan:
        """One level further down."""
        split = Level.of(self.wanted, 2 ** (level - 1), way)
        return Plan(split.wanted, (*self.levels, split), (*self.costs, split.cost))

    def by_words(self, level: int) -> Plan:
        """Finished: every monomial that is wanted here gets a channel of its own."""
        words = Words.of({e for items in self.wanted for e, _ in items if sum(e) > 1}, level)
        return Plan(self.wanted, self.levels, (*self.costs, *words.costs(self.wanted)), words)

    def circuit(self, polynomials: Sequence[Polynomial], variables: Sequence[str]) -> tuple[Circuit, list[Wire]]:
        """The products of the plan, written down: each when it is first needed."""
        circuit = Circuit()
        letters = [circuit.input(name) for name in variables]
        monomials = {} if self.words is None else _monomials(self.words, letters)
        splits = {items: split for level in self.levels for items, split in level.splits.items() if split}
        known: dict[Items, Wire] = {}

        def monomial(exponents: Exponents) -> Wire:
            if exponents in monomials:
                return monomials[exponents]
            letter = next((letters[i] for i, e in enumerate(exponents) if e), None)
            return circuit.constant(1) if letter is None else letter

        def wire(items: Items) -> Wire:
            if items not in known:
                known[items] = _sum(circuit, terms(items))
            return known[items]

        def terms(items: Items) -> Iterable[Wire]:
            split = splits.get(items)
            if split is None:
                return [monomial(e) * weight for e, weight in items]
            products = [wire(left) * wire(right) * scale for scale, left, right in split.products]
            if not split.rest:
                return products
            scale, rest = monic(split.rest)
            return [*products, (wire(rest) if split.carried else monomial(rest[0][0])) * scale]

        return circuit, [wire(as_items(polynomial)) for polynomial in polynomials]


def _monomials(words: Words, letters: Sequence[Wire]) -> dict[Exponents, Wire]:
    symbols = list(letters)
    for left, right in words.pairs:
        symbols.append(symbols[left] * symbols[right])
    return {exponents: symbols[symbol] for exponents, symbol in words.symbol.items()}


def _sum(circuit: Circuit, terms: Iterable[Wire]) -> Wire:
    """The sum in one pass: adding wires one by one copies what is there so far."""
    total: dict[FilteredNode, Fraction] = {}
    for term in terms:
        for key, weight in term.terms.items():
            total[key] = total.get(key, Fraction(0)) + weight
    return Wire(circuit, {key: weight for key, weight in total.items() if weight})
