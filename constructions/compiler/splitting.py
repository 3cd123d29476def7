"""How to split one polynomial: into a sum of products of two polynomials of at most half its degree.

A polynomial of degree at most 2^l is a sum of products of two polynomials of degree at most h = 2^(l−1), plus one
that is carried. Ways to find one:

* ``factors``: the polynomial is itself a product of two (by factorisation), so one product is enough;
* ``star``: the fewest monomials m, greedily, that give ``p = Σ_m m · q_m``; factors that other outputs use come
  first;
* ``first``, ``balanced``, ``last``: each monomial, as a word in the order of the variables, is cut after h letters,
  in the middle, or h letters before its end; the coefficients form a matrix (left word × right word), and a
  factorisation of rank r writes the polynomial with r products of linear combinations. This is what finds Laplace's
  expansion in a determinant.
"""

from __future__ import annotations

import functools
import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from fractions import Fraction

import flint
import numpy as np

from constructions.compiler.monomials import Exponents, Items, degree, monic

Product = tuple[Fraction, Items, Items]
"""``coefficient · left · right`` with monic factors."""
FACTOR_TERMS = 20_000
"""Polynomials of more terms are not factored."""
RANK_ENTRIES = 250_000
"""Coefficient matrices of more entries are not compressed."""
CANDIDATES = 4_000
TIES = 24
CUTS = ("first", "balanced", "last")


@dataclass(frozen=True)
class Split:
    """One polynomial as ``Σ coefficient · left · right`` plus ``rest``, whose degree is at most half."""

    products: tuple[Product, ...]
    rest: Items = ()

    @property
    def carried(self) -> Items:
        """The monic rest that a layer carries: empty when the rest is a constant, which costs nothing."""
        return monic(self.rest)[1] if degree(e for e, _ in self.rest) > 0 else ()


def split(items: Items, half: int, way: str, used: Counter[Exponents]) -> Split:
    """A split in one of the ways, or as one product where that is possible; ``used`` counts the factors in use."""
    found = star_split(items, half, used) if way == "star" else cut_split(items, half, way)
    return found if len(found.products) == 1 else factor_split(items, half) or found


@functools.lru_cache(maxsize=4096)
def factor_split(items: Items, half: int) -> Split | None:
    """The polynomial, perhaps but for its constant, as one product of two of degree at most ``half``, or ``None``."""
    if not 2 <= len(items) <= FACTOR_TERMS:
        return None
    constant = tuple(item for item in items if not any(item[0]))
    for whole, rest in ((items, ()), *([(items[1:], constant)] if constant else [])):
        if product := _factored(whole, half):
            return Split((product,), rest)
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
    result: np.ndarray = unique[unique.sum(axis=1) > 0][::-1]
    return result


def _cut_rows(exponents: np.ndarray, size: int) -> np.ndarray:
    """The first ``size`` letters of each row, as a word in the order of the variables."""
    before = np.cumsum(exponents, axis=1) - exponents
    result: np.ndarray = np.clip(size - before, 0, exponents)
    return result


def _familiar_cut(
    word: Exponents, half: int, used: Counter[Exponents], seen: Counter[Exponents]
) -> tuple[Exponents, Exponents]:
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
    *_, left_part, right_part = min(options)
    return left_part, right_part


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


def _compressed(products: list[tuple[Exponents, Items]]) -> tuple[Product, ...]:
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
            return tuple(found)
    stars: dict[Exponents, list[tuple[Exponents, Fraction]]] = defaultdict(list)
    by_column = len(columns) < len(rows)
    for (m, e), weight in sorted(entries.items()):
        stars[e if by_column else m].append((m if by_column else e, weight))
    return tuple(_product(((centre, Fraction(1)),), tuple(parts)) for centre, parts in stars.items())


def _product(left: Items, right: Items) -> Product:
    scale_left, left = monic(left)
    scale_right, right = monic(right)
    return scale_left * scale_right, left, right


def _fraction(value: flint.fmpq) -> Fraction:
    return Fraction(int(value.p), int(value.q))
