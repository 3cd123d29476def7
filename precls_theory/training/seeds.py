"""Tables over seeds: what a recipe reaches, run after run, with the command that makes each table.

``python -m precls_theory.training.seeds layerwise notebooks/data/layerwise.csv`` trains explicit gradient at N = 20, D = 5 layer
by layer from five seeds; ``… from-exact notebooks/data/from_exact.csv`` trains the exact construction with N(0, 1e-4) added
to every weight, end to end, by Levenberg–Marquardt; ``… end-to-end notebooks/data/end_to_end.csv`` starts from random weights at
N = 4, D = 2 and compares recipes that see the end loss (homotopy: in the end), each stopped after
30 seconds of processor time. Each row is one run: the steps and the seconds of processor time that
it took, and the mean squared errors on 4096 fresh problems of the trained weights in float64 and of the same weights rounded
to float32. Runs are independent and go one after the other.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Annotated

import torch
import typer

import constructions as C
from constructions.files.output import write_output
from precls_theory.training.evaluate import mean_squared_error
from precls_theory.training.runs import Run, RunError, RunSettings

SEEDS = range(5)
COLUMNS = ("task", "model", "recipe", "n_points", "n_dims", "width", "noise", "seed")
LAYERWISE = RunSettings("explicit_gradient", "baseconv", "layerwise", 20, 5, "float64")
FROM_EXACT = replace(LAYERWISE, recipe="levenberg-marquardt", initial="exact", noise=1e-2)
END_TO_END = [
    replace(LAYERWISE, n_points=4, n_dims=2, recipe=recipe, depth=2, width=12)
    for recipe in ("levenberg-marquardt", "curriculum", "homotopy")
]
TABLES = {"layerwise": [LAYERWISE], "from-exact": [FROM_EXACT], "end-to-end": END_TO_END}
SECONDS = 300.0
"""Processor time after which a run is stopped, in words."""
LIMITS = {"end-to-end": 30.0}

Row = dict[str, str | int | float | bool]


class OutOfTime(RuntimeError):
    """A run has used the processor time that it was given."""


def table(settings: RunSettings, seeds: Iterable[int] = SEEDS, seconds: float = SECONDS) -> Iterator[Row]:
    """One row a seed. ``initial`` other than None starts from the exact construction of the sizes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if settings.initial is not None:
            C.explicit_gradient(n_points=settings.n_points, n_dims=settings.n_dims).save(folder / "exact.safetensors")
            settings = replace(settings, initial=str(folder / "exact.safetensors"))
        for seed in seeds:
            yield measured(folder / str(seed), replace(settings, seed=seed), seconds)


def measured(folder: Path, settings: RunSettings, seconds: float) -> Row:
    """One run from its start to its end, in words where that is not the recipe's own."""
    began, stopped = time.process_time(), ""
    run = Run.start(folder, settings)

    def watch(step: int, stage: str, loss: float) -> None:
        if time.process_time() - began > seconds:
            raise OutOfTime(f"out of time in step {step}, {stage}")

    try:
        run.train(10**6, watch=watch)
    except (RunError, OutOfTime) as reason:
        stopped = str(reason)
    used = time.process_time() - began
    errors = {
        f"mse_{str(dtype).removeprefix('torch.')}": mean_squared_error(
            run.model.to(dtype), run.task, dtype, torch.device("cpu")
        )
        for dtype in (torch.float64, torch.float32)
    }
    asked = {name: value for name, value in asdict(settings).items() if name in COLUMNS}
    return {
        **asked, "steps": run.n_steps, "finished": run.recipe.finished, "cpu_seconds": round(used, 1),
        **errors, "stopped": stopped,
    }  # fmt: skip


def main(
    name: Annotated[str, typer.Argument(help=f"Which table: {', '.join(TABLES)}.")],
    file: Annotated[Path, typer.Argument(help="CSV file to write.")],
) -> None:
    """Train from every seed and write the table."""
    import pandas as pd

    from precls_theory.cli.progress import progress

    if name not in TABLES:
        raise typer.BadParameter(f"the table must be one of {', '.join(TABLES)}, got {name!r}")
    seconds, settings = LIMITS.get(name, SECONDS), TABLES[name]
    runs = chain.from_iterable(table(one, seconds=seconds) for one in settings)
    rows = list(progress(runs, f"training, {name}", len(settings) * len(SEEDS)))
    write_output(file, pd.DataFrame(rows).to_csv(index=False))


if __name__ == "__main__":
    typer.run(main)
