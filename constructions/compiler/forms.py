"""Linear forms over the nodes of a circuit, each seen through a filter: what the channels of a layer hold.

Of dependent forms only an independent choice gets channels, and the others are combinations of it: :class:`Basis`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain

import flint

ONE = -1
"""The node that stands for the constant 1."""
FilteredNode = tuple[int, int]
"""(filter, node): indices into the circuit's filters and nodes; filter 0 is the identity."""
CONSTANT: FilteredNode = (0, ONE)
Term = tuple[FilteredNode, Fraction]


class Linear(tuple[Term, ...]):
    """A linear form over (filter, node), sorted; in dictionaries monic: the weight of its oldest node is one.

    Hashed once, and by its nodes: hashing a rational number takes a modular inverse.
    """

    _hash: int | None = None

    def __hash__(self) -> int:
        if self._hash is None:
            weights = (self[0][1].numerator, self[-1][1].numerator) if self else ()
            self._hash = hash((tuple(key for key, _ in self), weights))
        return self._hash


ZERO = Linear()


def monic(terms: Iterable[Term]) -> tuple[Fraction, Linear]:
    """``(scale, form)`` of an affine form without its constant."""
    kept = [(key, weight) for key, weight in terms if key != CONSTANT]
    if not kept:
        return Fraction(1), ZERO
    # The oldest node has weight one: an iterate x − η g keeps its scale.
    scale = min(kept, key=lambda term: (term[0][1], term[0][0]))[1]
    if scale == 1:
        return scale, terms if isinstance(terms, Linear) and len(terms) == len(kept) else Linear(kept)
    return scale, Linear((key, weight / scale) for key, weight in kept)


@dataclass(frozen=True)
class Basis:
    """An independent choice of forms, and each of the given ones as ``{index of a chosen form: weight}``."""

    chosen: tuple[Linear, ...]
    combination: Mapping[Linear, Mapping[int, Fraction]]

    @classmethod
    def of(cls, forms: Iterable[Linear]) -> Basis:
        """A maximal independent choice, earlier forms first."""
        chosen: list[Linear] = []
        combination: dict[Linear, dict[int, Fraction]] = {}
        for members in components([form for form in forms if form]):
            pivots, rows = _reduced(members)
            for column, form in enumerate(members):
                weights = ((len(chosen) + r, row[column]) for r, row in enumerate(rows))
                combination[form] = {index: weight for index, weight in weights if weight}
            chosen += [members[column] for column in pivots]
        return cls(tuple(chosen), combination)


def rank(forms: Iterable[Linear]) -> int:
    """The number of independent forms."""
    return sum(len(_reduced(members)[0]) for members in components([form for form in forms if form]))


def _reduced(members: Sequence[Linear]) -> tuple[list[int], list[list[Fraction]]]:
    """The pivot columns and the nonzero rows of the reduced echelon form whose columns are the members."""
    if len(members) == 1:
        return [0], [[Fraction(1)]]
    row = {key: index for index, key in enumerate(sorted({key for key, _ in chain.from_iterable(members)}))}
    matrix = flint.fmpq_mat(len(row), len(members))
    for column, form in enumerate(members):
        for key, weight in form:
            matrix[row[key], column] = flint.fmpq(weight.numerator, weight.denominator)
    reduced, n_pivots = matrix.rref()
    rows = [
        [Fraction(int(entry.p), int(entry.q)) for entry in (reduced[r, c] for c in range(len(members)))]
        for r in range(n_pivots)
    ]
    return [next(c for c, entry in enumerate(entries) if entry) for entries in rows], rows


def components(forms: Sequence[Linear]) -> list[list[Linear]]:
    """The forms in groups that share no (filter, node), each in the given order."""
    parent = list(range(len(forms)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    holder: dict[FilteredNode, int] = {}
    for index, form in enumerate(forms):
        for key, _ in form:
            other = root(holder.setdefault(key, index))
            mine = root(index)
            parent[max(mine, other)] = min(mine, other)
    groups: dict[int, list[Linear]] = defaultdict(list)
    for index, form in enumerate(forms):
        groups[root(index)].append(form)
    return list(groups.values())
