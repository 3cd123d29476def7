"""Monomials as words: letters joined into pairs, pairs into pairs of pairs, so that common parts are shared.

A layer multiplies two symbols, so after layer l of a network of depth L a monomial may be a word of at most 2^(L−l)
symbols. Level by level the pair that shortens the most words is joined first, until every word is short enough.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from constructions.compiler.monomials import Exponents, Items

Pair = tuple[int, int]
Word = Counter[int]
"""How often each symbol occurs in a monomial."""
Gains = dict[Pair, int]
"""How often each pair would be joined in one word."""


@dataclass(frozen=True)
class Words:
    """Monomials as products of pairs, shared.

    Symbols 0, 1, … are the variables; ``pairs[i]``, two symbols joined at level ``levels[i]``, is the symbol
    ``n_variables + i``. ``symbol`` says which one is a given monomial.
    """

    n_variables: int
    pairs: tuple[Pair, ...]
    levels: tuple[int, ...]
    symbol: Mapping[Exponents, int]

    @classmethod
    def of(cls, monomials: Iterable[Exponents], depth: int) -> Words:
        """All the monomials as symbols, after at most ``depth`` levels."""
        todo = sorted(monomials)
        n_variables = len(todo[0]) if todo else 0
        words = [Word({i: e for i, e in enumerate(exponents) if e}) for exponents in todo]
        number: dict[Pair, int] = {}
        levels: list[int] = []
        for level in range(1, depth + 1):
            words = _shortened(words, 2 ** (depth - level), n_variables, number)
            levels += [level] * (len(number) - len(levels))
        symbol = {exponents: next(iter(word)) for exponents, word in zip(todo, words, strict=True)}
        return cls(n_variables, tuple(number), tuple(levels), symbol)

    def costs(self, wanted: Iterable[Items]) -> tuple[int, ...]:
        """Pairs and carried symbols of each level, the top level first."""
        depth = max(self.levels, default=1)
        last_use: dict[int, int] = {}
        for pair, level in zip(self.pairs, self.levels, strict=True):
            last_use |= {symbol: max(last_use.get(symbol, 0), level) for symbol in pair}
        for exponents in (exponents for items in wanted for exponents, _ in items if sum(exponents)):
            last_use[self.symbol.get(exponents, _letter(exponents))] = depth + 1
        made = dict(enumerate(self.levels, start=self.n_variables))
        return tuple(
            sum(1 for symbol, last in last_use.items() if made.get(symbol, 0) <= level < last)
            for level in range(depth, 0, -1)
        )


def _letter(exponents: Exponents) -> int:
    """The first variable of a monomial."""
    return next(i for i, e in enumerate(exponents) if e)


def _shortened(words: list[Word], limit: int, n_variables: int, number: dict[Pair, int]) -> list[Word]:
    """The words with pairs joined until each has at most ``limit`` symbols; new pairs are added to ``number``.

    A pair that is joined here is a symbol from the next level on: it is not joined again.
    """
    left = [Word(word) for word in words]
    joined = [Word() for _ in words]
    excess = [word.total() - limit for word in words]
    scores = _Scores([_gains(word, over) for word, over in zip(left, excess, strict=True)])
    while (pair := scores.best()) is not None:
        symbol = number.setdefault(pair, n_variables + len(number))
        changed = {}
        for index, times in scores.holders(pair):
            left[index] -= Word({pair[0]: times}) + Word({pair[1]: times})
            joined[index][symbol] += times
            excess[index] -= times
            changed[index] = _gains(left[index], excess[index])
        scores.replace(changed)
    return [Word(dict(old)) + new for old, new in zip(left, joined, strict=True)]


def _gains(word: Word, excess: int) -> Gains:
    """How often each pair of letters of a word would be joined; nothing when the word is short enough."""
    if excess <= 0:
        return {}
    letters = sorted(word)
    return {
        (u, v): min(word[u] // 2 if u == v else min(word[u], word[v]), excess)
        for i, u in enumerate(letters)
        for v in letters[i:]
        if u != v or word[u] > 1
    }


class _Scores:
    """The gains of all words together by pair, best first, as words change.

    An exact greedy choice with lazy updates: an entry of the heap is valid while it holds the pair's score.
    """

    def __init__(self, gains: list[Gains]) -> None:
        self._gains = gains
        self._holders: dict[Pair, set[int]] = defaultdict(set)
        self._score: Counter[Pair] = Counter()
        for index, pairs in enumerate(gains):
            self._score.update(pairs)
            for pair in pairs:
                self._holders[pair].add(index)
        self._heap = [(-score, pair) for pair, score in self._score.items()]
        heapq.heapify(self._heap)

    def best(self) -> Pair | None:
        """The pair of the highest score, the first of equals; ``None`` when nothing is left to join."""
        while self._heap:
            negative, pair = heapq.heappop(self._heap)
            if self._score[pair] and -negative == self._score[pair]:
                return pair
        return None

    def holders(self, pair: Pair) -> list[tuple[int, int]]:
        """``(word, times)`` for the words in which the pair would be joined."""
        return [(index, self._gains[index][pair]) for index in sorted(self._holders[pair])]

    def replace(self, changed: Mapping[int, Gains]) -> None:
        """New gains of some words: never larger than before."""
        touched = set()
        for index, gains in changed.items():
            for pair, before in self._gains[index].items():
                now = gains.get(pair, 0)
                if now != before:
                    self._score[pair] += now - before
                    touched.add(pair)
                if not now:
                    self._holders[pair].discard(index)
            self._gains[index] = gains
        for pair in touched:
            if self._score[pair] > 0:
                heapq.heappush(self._heap, (-self._score[pair], pair))
