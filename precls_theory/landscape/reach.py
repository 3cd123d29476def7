"""How far the classification reaches: each size, each engine, in a process of its own with a time limit.

``python -m precls_theory.landscape.reach notebooks/data/landscape_reach.csv`` writes one line a size and engine: number
of weights, seconds of processor time, whether the classification is complete, and what stopped it where it is not.
"""

from __future__ import annotations

import contextlib
import csv
import io
import multiprocessing
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from functools import partial
from multiprocessing.queues import Queue
from queue import Empty
from typing import TypeAlias

from constructions.files.output import write_output
from precls_theory.landscape import singular
from precls_theory.landscape.classification import classify_all
from precls_theory.landscape.graphs import Decompose
from precls_theory.landscape.ideals import varieties
from precls_theory.landscape.problems import ModelForm, TargetName, landscape

Size: TypeAlias = tuple[TargetName, ModelForm, int, int, int]
"""Target, form, channels, rows, units."""
SECONDS = 15
"""Processor time that one size may take; Singular may take as much for each of its bases."""
SIZES: tuple[Size, ...] = (
    # target, form, channels, rows, units
    *(("square", "operator", d, n, 1) for d, n in ((1, 1), (2, 1), (3, 1), (4, 1), (1, 2), (2, 2), (1, 3))),
    *(("linear", "operator", d, n, 1) for d, n in ((1, 1), (2, 1), (3, 1), (4, 1), (1, 2), (2, 2), (1, 3))),
    *(("multiply", "operator", d, n, 1) for d, n in ((2, 1), (3, 1), (2, 2), (3, 2))),
    *(("read", "operator", d, n, 1) for d, n in ((1, 2), (2, 2), (1, 3))),
    *(("square", "layer", d, n, r) for d, n, r in ((1, 1, 1), (1, 1, 2), (1, 1, 3), (2, 1, 1), (2, 1, 2), (3, 1, 1))),
    *(("square", "layer", d, n, r) for d, n, r in ((1, 2, 1), (2, 2, 1), (2, 3, 1), (2, 4, 1), (1, 2, 2))),
    *(("linear", "layer", d, n, r) for d, n, r in ((1, 1, 1), (1, 1, 2), (2, 1, 1), (2, 1, 2))),
    *(("linear", "layer", d, n, r) for d, n, r in ((1, 2, 1), (2, 2, 1), (2, 3, 1), (2, 4, 1), (3, 2, 1), (1, 2, 2))),
    *(("multiply", "layer", d, n, r) for d, n, r in ((2, 1, 1), (3, 1, 1), (2, 1, 2))),
    *(("multiply", "layer", d, n, 1) for d, n in ((2, 2), (2, 3), (2, 4), (3, 2))),
    *(("read", "layer", d, n, r) for d, n, r in ((1, 2, 1), (2, 2, 1), (3, 2, 1), (1, 3, 1), (1, 2, 2))),
)  # fmt: skip
ENGINES: dict[str, Decompose] = {"flint": varieties, "singular": partial(singular.decompose, seconds=20 * SECONDS)}


@dataclass(frozen=True)
class Reached:
    """One size with one engine."""

    target: str
    form: str
    channels: int
    rows: int
    units: int
    engine: str
    weights: int
    complete: bool
    seconds: float | None
    stopped_by: str


def weights_of(size: Size) -> int:
    """The most weights that one part has."""
    return max(len(part.loss.names) for part in landscape(*size).parts)


def _work(size: Size, engine: str, answers: Queue[tuple[bool, float, str]], seconds: int) -> None:
    used = int(time.process_time())
    resource.setrlimit(resource.RLIMIT_CPU, (used + seconds, used + seconds))
    begun = time.process_time()
    parts = classify_all(landscape(*size), decompose=ENGINES[engine])
    reasons = {c.reason for part in parts for c in part.components if c.kind in ("unresolved", "local minimum")}
    answers.put((all(part.complete for part in parts), time.process_time() - begun, "; ".join(sorted(reasons))))


def reached(size: Size, engine: str, seconds: int = SECONDS) -> Reached:
    """What this engine makes of this size; Singular's own time is not in the processor time."""
    context = multiprocessing.get_context("spawn")
    answers: Queue[tuple[bool, float, str]] = context.Queue()
    process = context.Process(target=_work, args=(size, engine, answers, seconds))
    process.start()
    complete, used, reason = False, None, f"{seconds} s"
    while process.is_alive() or not answers.empty():
        with contextlib.suppress(Empty):
            complete, used, reason = answers.get(timeout=0.2)
            break
    process.join()
    return Reached(*size, engine, weights_of(size), complete, None if used is None else round(used, 2), reason)


def all_reached(seconds: int = SECONDS) -> Iterator[Reached]:
    """Every size with FLINT; with Singular where FLINT alone is not complete and Singular is installed."""
    for size in SIZES:
        found = reached(size, "flint", seconds)
        yield found
        if not found.complete and singular.available():
            yield reached(size, "singular", seconds)


def main(arguments: list[str]) -> None:
    if len(arguments) != 1:
        sys.exit("usage: python -m precls_theory.landscape.reach FILE.csv")
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, [field.name for field in fields(Reached)], lineterminator="\n")
    writer.writeheader()
    write_output(arguments[0], table.getvalue())
    for found in all_reached():
        writer.writerow(asdict(found))
        write_output(arguments[0], table.getvalue())  # hours of work: every row is kept as soon as it is there
        print(found, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
