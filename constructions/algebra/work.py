"""The work of building a network: a bound on it, and a word on how far it is.

What a file's parameters ask for must not exceed what the file can hold: the algebra of layers counts its steps
(:func:`spend`), and inside :func:`at_most` it stops with :class:`TooMuchWork` when they are used up. Inside
:func:`reported` whoever waits is told of every layer (:func:`tell`). Outside nothing is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class TooMuchWork(ValueError):
    """Building the network takes more work than was allowed."""


Report = Callable[[str, int, int | None], None]
"""What is done, how many of them, and of how many where that is known."""
_left: ContextVar[list[int] | None] = ContextVar("_left", default=None)
_report: ContextVar[Report | None] = ContextVar("_report", default=None)


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


@contextmanager
def reported(report: Report) -> Iterator[None]:
    """Call ``report`` for every layer that is made inside."""
    token = _report.set(report)
    try:
        yield
    finally:
        _report.reset(token)


def tell(what: str, done: int, total: int | None = None) -> None:
    """Say how far the work is, where somebody waits for it."""
    report = _report.get()
    if report is not None:
        report(what, done, total)
