"""How far the classification reaches: each size, each engine, in a process of its own with a time limit.

``python -m precls_theory.landscape.reach notebooks/data/landscape_reach.csv`` writes one line a size and engine: number
of weights, seconds of processor time, whether the classification is complete, and what stopped it where it is not.
A line is written as soon as it is known, and a size whose lines the file has already is not run again: a run that was
stopped goes on where it was, and ``target,form,channels,rows,units`` after the file runs these sizes alone.
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
from pathlib import Path
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
    *(("linear", "layer", d, n, r) for d, n, r in ((1, 2, 1), (2, 2, 1), (2, 3, 1), (2, 4, 1), (3, 2, 1))),
    *(("multiply", "layer", d, n, r) for d, n, r in ((2, 1, 1), (3, 1, 1), (2, 1, 2))),
    *(("multiply", "layer", d, n, 1) for d, n in ((2, 2), (2, 3), (2, 4), (3, 2))),
    *(("read", "layer", d, n, r) for d, n, r in ((1, 2, 1), (2, 2, 1))),
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


def lines_of(size: Size, seconds: int = SECONDS) -> Iterator[Reached]:
    """This size with FLINT; with Singular too where FLINT alone is not complete and Singular is installed."""
    found = reached(size, "flint", seconds)
    yield found
    if not found.complete and singular.available():
        yield reached(size, "singular", seconds)


def main(arguments: list[str]) -> None:
    chosen = [size for size in SIZES if ",".join(map(str, size)) in arguments[1:]] if arguments[1:] else list(SIZES)
    if not arguments or len(chosen) < len(arguments[1:]):
        sys.exit("usage: python -m precls_theory.landscape.reach FILE.csv [TARGET,FORM,CHANNELS,ROWS,UNITS ...]")
    path, names = Path(arguments[0]), [field.name for field in fields(Reached)]
    lines = read(path)
    for size in chosen:
        if finished(lines.get(size, [])):
            continue
        lines[size] = []
        for found in lines_of(size):
            lines[size].append({name: "" if value is None else str(value) for name, value in asdict(found).items()})
            print(found, file=sys.stderr, flush=True)
            table = io.StringIO(newline="")
            writer = csv.DictWriter(table, names, lineterminator="\n")
            writer.writeheader()
            writer.writerows(row for known in SIZES for row in lines.get(known, []))
            write_output(path, table.getvalue())


def read(path: Path) -> dict[Size, list[dict[str, str]]]:
    """The lines of a file by size; nothing where there is no file."""
    lines: dict[Size, list[dict[str, str]]] = {}
    shapes = {tuple(map(str, size)): size for size in SIZES}
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                size = shapes.get((row["target"], row["form"], row["channels"], row["rows"], row["units"]))
                if size is not None:
                    lines.setdefault(size, []).append(row)
    return lines


def finished(lines: list[dict[str, str]]) -> bool:
    """Whether the lines of a size are all that there are to be: complete, or with an answer of each engine."""
    engines = {line["engine"] for line in lines}
    return any(line["complete"] == "True" for line in lines) or engines == {"flint", "singular"}


if __name__ == "__main__":
    main(sys.argv[1:])
