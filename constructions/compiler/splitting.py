"""Polynomials into circuits of the least depth, and of small width: how to split each one into products.

Top down. A polynomial of degree at most 2^l is a sum of products of two polynomials of degree at most h = 2^(l−1),
plus one that is carried. The factors of all outputs together are the polynomials wanted at level l−1. Splits that
are tried at a level:

* ``factors``: the polynomial is itself a product of two (by factorisation), so one product is enough;
* ``star``: the fewest monomials m, greedily, that give ``p = Σ_m m · q_m``; factors that other outputs use come
  first;
* ``first``, ``balanced``, ``last``: each monomial, as a word in the order of the variables, is cut after h letters,
  in the middle, or h letters before its end; the coefficients form a matrix (left word × right word), and a
  factorisation of rank r writes the polynomial with r products of linear combinations. This is what finds Laplace's
  expansion in a determinant.

From some level down every monomial has a channel of its own (``monomials``): pairs of letters that occur in most
monomials are joined first, then pairs of pairs, so that common sub-monomials are shared.

A beam search over these choices, level by level, keeps the sequences with the fewest products in their widest level.
"""

from __future__ import annotations

import functools
import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import flint
import numpy as np

from constructions.compiler.circuit import Circuit, Wire

Exponents = tuple[int, ...]
Polynomial = dict[Exponents, Fraction]
Items = tuple[tuple[Exponents, Fraction], ...]
"""A polynomial as a sorted tuple of its terms: hashable."""
Product = tuple[Fraction, Items, Items]
"""``coefficient · left · right`` with monic factors."""
BEAM = 3
FACTOR_TERMS = 20_000
RANK_ENTRIES = 250_000
CANDIDATES = 4_000
TIES = 24
LARGE = 600
"""Above so many terms fewer ways are tried."""
CUTS = ("first", "balanced", "last")


def degree(polynomial: Iterable[Exponents]) -> int:
    """Total degree; 0 for constants and for zero."""
    return max((sum(exponents) for exponents in polynomial), default=0)


def minimal_depth(polynomials: Iterable[Iterable[Exponents]]) -> int:
    """max(1, ⌈log2 degree⌉): no network has fewer layers, and every compiled polynomial has no more."""
    return max(1, (max(1, max((degree(p) for p in polynomials), default=0)) - 1).bit_length())


def plain_width(polynomials: Iterable[Iterable[Exponents]]) -> int:
    """Width of the plain way: every monomial of every polynomial by its own balanced tree, nothing shared.

    After layer l a monomial of degree e holds ⌈e/2^l⌉ factors, each in a hidden channel of its own.
    """
    degrees = [sum(exponents) for polynomial in polynomials for exponents in polynomial]
    depth = max(1, (max([1, *degrees]) - 1).bit_length())
    return max(sum(-(-e // 2**level) for e in degrees) for level in range(1, depth + 1))


@dataclass
class Split:
    """One polynomial as ``Σ coefficient · left · right`` plus ``rest``, whose degree is at most half."""

    products: list[Product]
    rest: Items = ()


@dataclass
class State:
    """The choices made from the top down to a level, and the polynomials wanted there."""

    wanted: dict[Items, None]
    splits: list[dict[Items, Split]] = field(default_factory=list)
    names: tuple[str, ...] = ()
    costs: tuple[int, ...] = ()

    @property
    def rank(self) -> tuple:
        return max(self.costs, default=0), sum(self.costs), self.names


def circuits(
    polynomials: Sequence[Polynomial], variables: Sequence[str], keep: int = 4
) -> list[tuple[Circuit, list[Wire]]]:
    """Circuits of depth at most :func:`minimal_depth` for the polynomials, the most promising ``keep`` of those
    searched."""
    wanted = dict.fromkeys(_items(p) for p in polynomials)
    depth = minimal_depth(polynomials)
    beam = [State(wanted)]
    finished: list[tuple[State, Words | None]] = []
    large = sum(map(len, wanted)) > LARGE
    for level in range(depth, 0, -1):
        grown = []
        for state in beam:
            words = Words.of({e for items in state.wanted for e, _ in items if sum(e) > 1}, level)
            costs = words.costs(state.wanted)
            finished.append(
                (State(state.wanted, state.splits, (*state.names, "monomials"), (*state.costs, *costs)), words)
            )
            for name in ("star", "first") if large else ("star", *CUTS):
                grown.append(_descend(state, level, name))
        grown.sort(key=lambda state: state.rank)
        distinct = {tuple(state.wanted): state for state in reversed(grown)}
        beam = sorted(distinct.values(), key=lambda state: state.rank)[: 1 if large else BEAM]
    finished += [(state, None) for state in beam]
    finished.sort(key=lambda pair: pair[0].rank)
    return [_circuit(state, words, polynomials, variables) for state, words in finished[:keep]]


def _items(polynomial: Polynomial) -> Items:
    return tuple(sorted((exponents, weight) for exponents, weight in polynomial.items() if weight))


def _monic(items: Items) -> tuple[Fraction, Items]:
    """``(scale, items)`` with leading coefficient one."""
    scale = items[-1][1]
    return (scale, items) if scale == 1 else (scale, tuple((exponents, weight / scale) for exponents, weight in items))


def _descend(state: State, level: int, name: str) -> State:
    """Split every wanted polynomial whose degree needs this level; collect the factors and all that is carried."""
    half = 2 ** (level - 1)
    below: dict[Items, None] = {}
    splits: dict[Items, Split] = {}
    carried: dict[Items, None] = {}
    products: set[tuple[Items, Items]] = set()
    used: Counter[Exponents] = Counter()
    for items in state.wanted:
        if degree(e for e, _ in items) <= half:
            carried[items] = None
            continue
        split = star_split(items, half, used) if name == "star" else cut_split(items, half, name)
        if len(split.products) > 1:
            split = factor_split(items, half) or split
        splits[items] = split
        if _affine_rest(split.rest):
            carried[_monic(split.rest)[1]] = None
        products |= {(left, right) if left <= right else (right, left) for _, left, right in split.products}
        for _, left, right in split.products:
            below[left] = below[right] = None
            used.update(e for e, _ in left)
            used.update(e for e, _ in right)
    below |= carried
    cost = len(products) + sum(1 for items in carried if _affine_rest(items))
    return State(below, [*state.splits, splits], (*state.names, name), (*state.costs, cost))


def _affine_rest(items: Items) -> bool:
    """Whether there is something to carry: constants cost nothing."""
    return degree(e for e, _ in items) > 0


@functools.lru_cache(maxsize=4096)
def factor_split(items: Items, half: int) -> Split | None:
    """The polynomial, perhaps but for its constant, as one product of two of degree at most ``half``, or ``None``."""
    if not 2 <= len(items) <= FACTOR_TERMS:
        return None
    constant = tuple(item for item in items if not any(item[0]))
    for whole, rest in ((items, ()), *([(items[1:], constant)] if constant else [])):
        if product := _factored(whole, half):
            return Split([product], rest)
    return None


def _factored(items: Items, half: int) -> Product | None:
    context = flint.fmpq_mpoly_ctx.get([f"x{i}" for i in range(len(items[0][0]))], flint.Ordering.lex)
    whole = context.from_dict({e: flint.fmpq(w.numerator, w.denominator) for e, w in items})
    content, parts = whole.factor()
    if sum(int(power) for _, power in parts) < 2:
        return None
    # Squares go half to each side, so that the sides are equal where they can be; the rest, largest first, to the
    # lower.
    common = math.prod((part ** (int(power) // 2) for part, power in parts), start=context.constant(1))
    sides = [(int(common.total_degree()), common), (int(common.total_degree()), common * content)]
    single = [(part, int(part.total_degree())) for part, power in parts if power % 2]
    for part, size in sorted(single, key=lambda pair: (-pair[1], str(pair[0]))):
        sides.sort(key=lambda side: side[0])
        sides[0] = (sides[0][0] + size, sides[0][1] * part)
    if max(side[0] for side in sides) > half:
        return None
    left, right = (
        tuple(sorted((tuple(map(int, e)), _fraction(w)) for e, w in side.to_dict().items())) for _, side in sides
    )
    return _product(left, right)


def star_split(items: Items, half: int, used: Counter[Exponents]) -> Split:
    """``Σ_m m · q_m``: monomials m that divide the most terms still to be covered, those already in use first."""
    terms = np.array([e for e, _ in items], dtype=np.int64)
    weights = [w for _, w in items]
    degrees = terms.sum(axis=1)
    open_ = np.ones(len(terms), dtype=bool)
    candidates = _common_divisors(terms[degrees > half], half)
    fits = (candidates[:, None, :] <= terms[None]).all(axis=2) & (
        degrees[None] - candidates.sum(axis=1)[:, None] <= half
    ) if len(candidates) else np.zeros((0, len(terms)), dtype=bool)  # fmt: skip
    products: list[tuple[Exponents, Items]] = []
    high = degrees > half
    while (open_ & high).any() and len(candidates):
        # Terms that need no product still count a little: what m divides need not be carried.
        gain = (fits & open_ & high).sum(axis=1)
        score = 1_000 * gain + (fits & open_ & ~high).sum(axis=1)
        if gain[score.argmax()] < 2:
            break
        ties = np.flatnonzero(score == score.max())[:TIES]
        best = max(ties, key=lambda i: _familiarity(candidates[i], terms[fits[i] & open_], used))
        chosen = candidates[best]
        covered = np.flatnonzero(fits[best] & open_)
        open_[covered] = False
        quotient = tuple(sorted((tuple(map(int, terms[i] - chosen)), weights[i]) for i in covered))
        products.append((tuple(map(int, chosen)), quotient))
    seen = Counter(m for m, _ in products)
    for index in np.flatnonzero(open_ & high):
        left, right = _familiar_cut(tuple(map(int, terms[index])), half, used, seen)
        products.append((left, ((right, weights[index]),)))
        open_[index] = False
        seen.update((left, right))
    rest = tuple((items[i][0], items[i][1]) for i in np.flatnonzero(open_))
    return Split(_compressed(products), rest)


def _familiarity(divisor: np.ndarray, multiples: np.ndarray, used: Counter[Exponents]) -> float:
    """Which part of the monomials that a star needs is in use already."""
    needed = [divisor, *(multiples - divisor)]
    return sum(tuple(map(int, e)) in used for e in needed) / len(needed)


def _common_divisors(terms: np.ndarray, half: int) -> np.ndarray:
    """Greatest common divisors of pairs of terms, cut to degree ``half`` from either end, without repetitions."""
    n_terms = len(terms)
    if n_terms < 2:
        return np.zeros((0, terms.shape[1]), dtype=np.int64)
    step = max(1, n_terms * (n_terms - 1) // 2 // CANDIDATES)
    rows, columns = np.triu_indices(n_terms, 1)
    common = np.minimum(terms[rows[::step]], terms[columns[::step]])
    # Single variables and their highest useful powers are candidates too.
    singles = np.concatenate([np.diag(np.minimum(terms.max(axis=0), power)) for power in (1, half)])
    common = np.unique(np.concatenate([common, singles]), axis=0)
    cut = np.concatenate([_cut_rows(common, half), _cut_rows(common[:, ::-1], half)[:, ::-1]])
    unique = np.unique(cut, axis=0)
    return unique[unique.sum(axis=1) > 0][::-1]


def _cut_rows(exponents: np.ndarray, size: int) -> np.ndarray:
    """The first ``size`` letters of each row, as a word in the order of the variables."""
    before = np.cumsum(exponents, axis=1) - exponents
    return np.clip(size - before, 0, exponents)


def _familiar_cut(word: Exponents, half: int, used: Counter, seen: Counter) -> tuple[Exponents, Exponents]:
    """A cut of one monomial into two of degree at most ``half``, into parts that occur elsewhere if it can be."""
    total = sum(word)
    row = np.array([word])
    options = []
    for order in (slice(None), slice(None, None, -1)):
        for size in sorted({half, total - half, (total + 1) // 2}):
            left = _cut_rows(row[:, order], size)[:, order][0]
            left_part, right_part = tuple(map(int, left)), tuple(map(int, row[0] - left))
            known = sum((used[part] > 0) + (seen[part] > 0) for part in (left_part, right_part))
            options.append((-known, left_part != right_part, abs(2 * sum(left_part) - total), left_part, right_part))
    return min(options)[3:]  # type: ignore[return-value]


def cut_split(items: Items, half: int, name: str) -> Split:
    """Every monomial of degree above ``half`` cut as a word; the matrix of the cut is compressed."""
    rest = tuple((e, w) for e, w in items if sum(e) <= half)
    high = [(e, w) for e, w in items if sum(e) > half]
    terms = np.array([e for e, _ in high], dtype=np.int64)
    total = terms.sum(axis=1, keepdims=True)
    size = {"first": np.full_like(total, half), "balanced": (total + 1) // 2, "last": total - half}[name]
    before = np.cumsum(terms, axis=1) - terms
    left = np.clip(size - before, 0, terms)
    groups: dict[Exponents, list[tuple[Exponents, Fraction]]] = defaultdict(list)
    for cut, whole, (_, weight) in zip(left.tolist(), terms.tolist(), high, strict=True):
        groups[tuple(cut)].append((tuple(w - c for w, c in zip(whole, cut, strict=True)), weight))
    return Split(_compressed([(m, tuple(sorted(q))) for m, q in sorted(groups.items())]), rest)


def _compressed(products: list[tuple[Exponents, Items]]) -> list[Product]:
    """``Σ_m m · q_m`` with as few products as the rank of its coefficient matrix; by rows or columns when these are
    as few."""
    entries: dict[tuple[Exponents, Exponents], Fraction] = defaultdict(Fraction)
    for m, quotient in products:
        for e, weight in quotient:
            entries[m, e] += weight
    rows = sorted({m for m, _ in entries})
    columns = sorted({e for _, e in entries})
    if min(len(rows), len(columns)) > 1 and len(rows) * len(columns) <= RANK_ENTRIES:
        matrix = flint.fmpq_mat(len(rows), len(columns))
        row_of = {m: index for index, m in enumerate(rows)}
        column_of = {e: index for index, e in enumerate(columns)}
        for (m, e), weight in entries.items():
            matrix[row_of[m], column_of[e]] = flint.fmpq(weight.numerator, weight.denominator)
        reduced, rank = matrix.rref()
        if rank < min(len(rows), len(columns)):
            found = []
            for r in range(rank):
                right = tuple((e, _fraction(reduced[r, c])) for c, e in enumerate(columns) if reduced[r, c] != 0)
                pivot = column_of[right[0][0]]
                left = tuple((m, _fraction(matrix[i, pivot])) for i, m in enumerate(rows) if matrix[i, pivot] != 0)
                found.append(_product(left, right))
            return found
    stars: dict[Exponents, list[tuple[Exponents, Fraction]]] = defaultdict(list)
    by_column = len(columns) < len(rows)
    for (m, e), weight in sorted(entries.items()):
        stars[e if by_column else m].append((m if by_column else e, weight))
    return [_product(((centre, Fraction(1)),), tuple(parts)) for centre, parts in stars.items()]


def _product(left: Items, right: Items) -> Product:
    scale_left, left = _monic(left)
    scale_right, right = _monic(right)
    return scale_left * scale_right, left, right


def _fraction(value: flint.fmpq) -> Fraction:
    return Fraction(int(value.p), int(value.q))


@dataclass
class Words:
    """Monomials as products of pairs, shared: ``pairs[i]`` joins two symbols at a level, symbols 0… are the
    variables."""

    n_variables: int
    pairs: list[tuple[int, int]]
    levels: list[int]
    symbol: dict[Exponents, int]

    @classmethod
    def of(cls, monomials: Iterable[Exponents], depth: int) -> Words:
        """Join letters into pairs, pairs into pairs of pairs, …: at each level the pair that helps the most
        monomials first.

        After level l a monomial may hold at most 2^(depth − l) symbols.
        """
        todo = sorted(monomials)
        n_variables = len(todo[0]) if todo else 0
        words = [Counter({i: e for i, e in enumerate(exponents) if e}) for exponents in todo]
        result = cls(n_variables, [], [], {})
        known: dict[tuple[int, int], int] = {}
        for level in range(1, depth + 1):
            result._join(words, 2 ** (depth - level), level, known)
        result.symbol = {e: next(iter(word)) for e, word in zip(todo, words, strict=True)}
        return result

    def _join(self, words: list[Counter], limit: int, level: int, known: dict[tuple[int, int], int]) -> None:
        excess = [sum(word.values()) - limit for word in words]
        # Symbols made at this level cannot be joined again at it.
        fresh: list[Counter] = [Counter() for _ in words]
        holders: dict[tuple[int, int], set[int]] = defaultdict(set)
        score: Counter[tuple[int, int]] = Counter()

        def gains(index: int) -> dict[tuple[int, int], int]:
            if excess[index] <= 0:
                return {}
            word = words[index]
            letters = sorted(word)
            return {
                (u, v): min(word[u] // 2 if u == v else min(word[u], word[v]), excess[index])
                for i, u in enumerate(letters)
                for v in letters[i:]
                if u != v or word[u] > 1
            }

        gain = [gains(index) for index in range(len(words))]
        for index, pairs in enumerate(gain):
            for pair, value in pairs.items():
                score[pair] += value
                holders[pair].add(index)
        # Exact greedy choice with lazy updates: an entry of the heap is valid when its score is current.
        heap = [(-value, pair) for pair, value in score.items()]
        heapq.heapify(heap)
        while heap:
            value, pair = heapq.heappop(heap)
            if -value != score[pair] or not score[pair]:
                continue
            u, v = pair
            new = known.get(pair)
            if new is None:
                new = known[pair] = self.n_variables + len(self.pairs)
                self.pairs.append(pair)
                self.levels.append(level)
            touched = set()
            for index in sorted(holders[pair]):
                times = gain[index].get(pair, 0)
                words[index] -= Counter({u: times}) + Counter({v: times})
                fresh[index][new] += times
                excess[index] -= times
                updated = gains(index)
                for other, old in gain[index].items():
                    if updated.get(other, 0) != old:
                        score[other] += updated.get(other, 0) - old
                        touched.add(other)
                        if other not in updated and other != pair:
                            holders[other].discard(index)
                gain[index] = updated
            holders.pop(pair)
            for other in touched:
                if score[other] > 0:
                    heapq.heappush(heap, (-score[other], other))
        for word, made in zip(words, fresh, strict=True):
            word.update(made)

    def costs(self, wanted: dict[Items, None]) -> tuple[int, ...]:
        """Pairs and carried symbols of each level, the top level first."""
        depth = max(self.levels, default=1)
        last_use: dict[int, int] = defaultdict(int)
        for (u, v), level in zip(self.pairs, self.levels, strict=True):
            last_use[u] = max(last_use[u], level)
            last_use[v] = max(last_use[v], level)
        for items in wanted:
            for exponents, _ in items:
                if sum(exponents):
                    symbol = self.symbol.get(exponents, next(i for i, e in enumerate(exponents) if e))
                    last_use[symbol] = depth + 1
        made = dict(enumerate(self.levels, start=self.n_variables))
        return tuple(
            sum(1 for symbol, last in last_use.items() if made.get(symbol, 0) <= level < last)
            for level in range(depth, 0, -1)
        )


def _circuit(
    state: State, words: Words | None, polynomials: Sequence[Polynomial], variables: Sequence[str]
) -> tuple[Circuit, list[Wire]]:
    circuit = Circuit()
    letters = [circuit.input(name) for name in variables]
    monomials: dict[Exponents, Wire] = {}
    if words is not None:
        symbols = list(letters)
        for u, v in words.pairs:
            symbols.append(symbols[u] * symbols[v])
        monomials = {exponents: symbols[symbol] for exponents, symbol in words.symbol.items()}
    known: dict[Items, Wire] = {}
    splits = {items: split for level in state.splits for items, split in level.items()}

    def wire(items: Items) -> Wire:
        if items not in known:
            split = splits.get(items)
            if split is None:
                known[items] = _sum(circuit, (single(e) * w for e, w in items))
            else:
                terms = [wire(left) * wire(right) * scale for scale, left, right in split.products]
                if split.rest:
                    scale, monic = _monic(split.rest)
                    terms.append(
                        (wire(monic) if _affine_rest(split.rest) else _sum(circuit, [single(monic[0][0])])) * scale
                    )
                known[items] = _sum(circuit, terms)
        return known[items]

    def single(exponents: Exponents) -> Wire:
        if exponents in monomials:
            return monomials[exponents]
        if sum(exponents) == 0:
            return circuit.constant(1)
        return letters[next(i for i, e in enumerate(exponents) if e)]

    return circuit, [wire(_items(polynomial)) for polynomial in polynomials]


def _sum(circuit: Circuit, terms: Iterable[Wire]) -> Wire:
    total: dict = {}
    for term in terms:
        for key, weight in term.terms.items():
            total[key] = total.get(key, Fraction(0)) + weight
    return Wire(circuit, {key: weight for key, weight in total.items() if weight})
