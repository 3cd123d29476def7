"""What a command says while it works: a bar or a spinner on a terminal, a line now and then on a pipe or in a log."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

T = TypeVar("T")
err = Console(stderr=True)

FIRST, BETWEEN = 2.0, 10.0
"""Seconds before the first line of a log, and between two of them."""


class Steps:
    """Progress over ``total`` steps, each begun with :meth:`begin`; made by :func:`steps`."""

    def __init__(self, total: int | None, bar: Progress | None, description: str) -> None:
        self._total, self._bar = total, bar
        self._begun = 0
        self._start = time.monotonic()
        self._next = self._start + FIRST
        self._task = None if bar is None else bar.add_task(escape(description), total=total)

    def begin(self, description: str) -> None:
        """The next step, which does what ``description`` says, begins: those before it are done."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=escape(description), completed=self._begun)
        elif time.monotonic() >= self._next:
            of = "" if self._total is None else f" of {self._total}"
            seconds = time.monotonic() - self._start
            err.print(
                f"{description}: {self._begun}{of} done, {seconds:.0f} s", markup=False, highlight=False, soft_wrap=True
            )
            self._next = time.monotonic() + BETWEEN
        self._begun += 1

    def at(self, description: str, done: int, total: int | None) -> None:
        """``done`` steps of what ``description`` says are done, of ``total`` where that is known."""
        self._begun, self._total = done, total
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, total=total)
        self.begin(description)


@contextlib.contextmanager
def steps(total: int | None, description: str) -> Iterator[Steps]:
    """Report ``total`` steps: a bar that leaves no trace on a terminal, else a line after 2 s and every 10 s."""
    if not err.is_terminal:
        yield Steps(total, None, description)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        yield Steps(total, bar, description)


def progress(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Iterate over ``items`` and report each as a step."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with steps(total, description) as report:
        for item in items:
            report.begin(description)
            yield item


@contextlib.contextmanager
def building(name: str) -> Iterator[None]:
    """Say how far the building of a network is: layer by layer, and after two seconds in any case."""
    from constructions.algebra.work import reported

    description = f"building {name}"
    with contextlib.ExitStack() as stack:
        if not err.is_terminal:
            stack.enter_context(working(f"{description} …"))
        report = stack.enter_context(steps(None, f"{description} …"))
        stack.enter_context(reported(lambda what, done, total: report.at(f"{description}, {what}", done, total)))
        yield


@contextlib.contextmanager
def working(description: str) -> Iterator[None]:
    """Say what is being done: with a spinner on a terminal, else with a line as soon as it has taken two seconds."""
    if err.is_terminal:
        with err.status(escape(description)):
            yield
        return
    line = threading.Timer(FIRST, err.print, [description], {"markup": False, "highlight": False, "soft_wrap": True})
    line.daemon = True
    line.start()
    try:
        yield
    finally:
        line.cancel()
