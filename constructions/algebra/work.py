"""A bound on the work of building a network: what a file's parameters ask for must not exceed what the file can hold.

The algebra of layers counts its steps (:func:`spend`); inside :func:`at_most` it stops with :class:`TooMuchWork` when they
are used up. Outside nothing is counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class TooMuchWork(ValueError):
    """Building the network takes more work than was allowed."""


_left: ContextVar[list[int] | None] = ContextVar("_left", default=None)


@contextmanager
def at_most(steps: int) -> Iterator[None]:
    """Allow so many steps of the algebra inside; raises :class:`TooMuchWork` at the first one beyond."""
    token = _left.set([steps])
    try:
        yield
    finally:
        _left.reset(token)


def spend(steps: int) -> None:
    """Count steps of the algebra, where they are limited."""
    left = _left.get()
    if left is not None:
        left[0] -= steps
        if left[0] < 0:
            raise TooMuchWork("building the network takes more work than its size allows")
