"""Nothing is lost: random starts, each followed to a stationary point, each enclosed with a point of a listed set.

``python -m precls_theory.landscape.starts 100000 notebooks/data/landscape_starts.json`` follows 10^5 starts for each of
:data:`CASES` and writes, for each, how many converged, the proved radii, and how many starts each kind received.

With names of cases after the file only these are followed, and the others stay as the file has them. The file is written
after each case. In the committed file ``of these, after a descent`` marks the cases that were followed a second time; those
without it stand as one pass left them. Read in a layer stands so because a second pass brought 99,801 of
10^5, but at least one so far along a valley that its proved radius was 39, which says nothing.

A start whose gradient is not small after 300 steps of Levenberg–Marquardt on ``‖∇L‖²`` is in a valley: towards infinity, where
the gradient vanishes only in the limit, or towards a degenerate set. It is followed again from where it began: down the
loss (:func:`precls_theory.landscape.numerical.descend`), then 600 steps on ``‖∇L‖²``. How many needed that is written, and
what has no small gradient even then is no stationary point, and is what the starts lack to the converged ones.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Required, TypedDict

import numpy as np

from constructions.files.output import check_output, write_output
from precls_theory.landscape.enclosure import radii
from precls_theory.landscape.numerical import FastLoss, descend, listed_sets, stationary
from precls_theory.landscape.problems import ModelForm, Problem, TargetName, landscape


class Case(TypedDict, total=False):
    """The arguments of :func:`precls_theory.landscape.problems.landscape` that a case gives."""

    target: Required[TargetName]
    form: ModelForm
    channels: int
    rows: int
    units: int


CASES: dict[str, Case] = {
    "Square": {"target": "square"},
    "Square, two rows": {"target": "square", "rows": 2},
    "Square, layer": {"target": "square", "form": "layer"},
    "Linear, two channels": {"target": "linear", "channels": 2},
    "Linear, layer, two channels": {"target": "linear", "form": "layer", "channels": 2},
    "Multiply, two channels": {"target": "multiply", "channels": 2},
    "Multiply, layer, two channels": {"target": "multiply", "form": "layer", "channels": 2},
    "Read, layer, two rows": {"target": "read", "form": "layer", "rows": 2},
}
SMALL = 1e-10
"""A gradient of smaller norm makes a numerical stationary point."""
CHUNK = 5_000
STEPS = 300


def problem_of(name: str) -> Problem:
    """The part of a case that is the most interesting: the product, or else the first output."""
    parts = landscape(**CASES[name]).parts
    return parts[1] if name.startswith("Multiply") and len(parts) > 1 else parts[0]


def follow(problem: Problem, count: int, seed: int = 0, spread: float = 1.5) -> dict[str, object]:
    """Starts from N(0, spread²), their stationary points, and the proved distances to the listed sets: a summary."""
    loss, sets = FastLoss(problem.loss), listed_sets(problem)
    rng = np.random.default_rng(seed)
    every, values, index, again = [], [], [], 0
    for begin in range(0, count, CHUNK):
        starts = spread * rng.normal(size=(len(loss.names), min(CHUNK, count - begin)))
        x, norms = stationary(loss, starts, STEPS)
        lost = norms >= SMALL
        if lost.any():
            x[:, lost], norms[lost] = stationary(loss, descend(loss, starts[:, lost]), 2 * STEPS)
        again += int((norms[lost] < SMALL).sum())
        found = x[:, norms < SMALL]
        radius, which = radii(sets, found)
        every.append(radius)
        index.append(which)
        values.append(loss.value(found))
    radius, level = np.concatenate(every), np.concatenate(values)
    return {
        "starts": count,
        "converged": len(radius),
        "of these, after a descent": again,
        "radius": {"median": float(np.median(radius)), "99%": float(np.quantile(radius, 0.99)), "largest": float(radius.max())},
        "sets met": len(set(np.concatenate(index).tolist())),
        "levels": dict(sorted(Counter(f"{number:.4g}" for number in np.round(level, 4) + 0.0).items())),
    }  # fmt: skip


def main(arguments: list[str]) -> None:
    if len(arguments) < 2 or not arguments[0].isdigit() or not set(arguments[2:]) <= set(CASES):
        sys.exit(
            f"usage: python -m precls_theory.landscape.starts STARTS FILE.json [CASE ...]; cases: {'; '.join(CASES)}"
        )
    check_output(arguments[1])
    count, path = int(arguments[0]), Path(arguments[1])
    kept = json.loads(path.read_text(encoding="utf-8"))["cases"] if arguments[2:] and path.exists() else {}
    for name in arguments[2:] or CASES:
        begun = time.perf_counter()
        kept[name] = follow(problem_of(name), count)
        print(f"{name}: {json.dumps(kept[name])} {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
        command = f"python -m precls_theory.landscape.starts {count} notebooks/data/landscape_starts.json"
        ordered = {case: kept[case] for case in CASES if case in kept}
        document = {"command": command, "gradient below": SMALL, "cases": ordered}
        write_output(arguments[1], json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
