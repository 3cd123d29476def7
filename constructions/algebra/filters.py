"""Filters of the convolution branch, stored in a form whose size does not depend on the number of rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Filter:
    """A filter with taps ``h[m] = head[m]`` for ``m < len(head)`` and ``h[m] = tail`` from there on.

    The prefix sum is ``head=(), tail=1``; the identity is ``head=(1,), tail=0``. The form is canonical: no
    trailing entry of ``head`` equals ``tail``, so equal filters are equal objects.
    """

    head: tuple[Fraction, ...]
    tail: Fraction

    @cached_property
    def _hash(self) -> int:
        return hash((self.head, self.tail))

    def __hash__(self) -> int:
        return self._hash  # filters are keys of every term, and hashing a Fraction is slow

    @classmethod
    def of(cls, head: Iterable[Fraction | int] = (), tail: Fraction | int = 0) -> Filter:
        """The canonical filter with these taps."""
        last = Fraction(tail)
        taps = [Fraction(tap) for tap in head]
        while taps and taps[-1] == last:
            taps.pop()
        return cls(tuple(taps), last)

    @property
    def is_identity(self) -> bool:
        return self == DELTA

    def taps(self, n_rows: int) -> list[Fraction]:
        """The first ``n_rows`` taps, written out."""
        return [self.head[m] if m < len(self.head) else self.tail for m in range(n_rows)]

    def matrix(self, n_rows: int, mode: str) -> np.ndarray:
        """The (n_rows, n_rows) Toeplitz (causal) or circulant (circular) matrix T with ``h ⋆ u = T u``, over Q."""
        taps = self.taps(n_rows)
        matrix = np.full((n_rows, n_rows), Fraction(0), dtype=object)
        for row in range(n_rows):
            for source in range(n_rows if mode == "circular" else row + 1):
                matrix[row, source] = taps[(row - source) % n_rows]
        return matrix

    def __str__(self) -> str:
        names = {DELTA: "delta", PREFIX: "prefix sum", EXCLUSIVE: "exclusive prefix sum"}
        if self in names:
            return names[self]
        return f"[{', '.join(map(str, self.head))}{', ' if self.head else ''}{self.tail}, {self.tail}, …]"


DELTA = Filter.of((1,), 0)
PREFIX = Filter.of((), 1)
"""All ones: the prefix sum of a causal network, the total of a circular one."""
EXCLUSIVE = Filter.of((0,), 1)
"""[0, 1, 1, …]: the sum over the rows strictly before."""
MIDPOINT = Filter.of((Fraction(1, 2),), 1)
"""[½, 1, 1, …]: the mean of the inclusive and the exclusive prefix sum."""


def shift(lag: int) -> Filter:
    """Moves every row down by ``lag`` rows (cyclically in a circular network)."""
    if lag < 0:
        raise ValueError(f"a shift needs a lag of at least 0, got {lag}")
    return Filter.of((0,) * lag + (1,), 0)
