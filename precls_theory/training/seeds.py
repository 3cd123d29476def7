"""Tables over seeds: what a recipe reaches, run after run, with the command that makes each table.

``python -m precls_theory.training.seeds layerwise notebooks/data/layerwise.csv`` trains explicit gradient at N = 20, D = 5 layer
by layer from five seeds; ``… from-exact notebooks/data/from_exact.csv`` trains the exact construction with N(0, 1e-4) added
to every weight, end to end, by Levenberg–Marquardt; ``… end-to-end notebooks/data/end_to_end.csv`` starts from random weights at
N = 4, D = 2 and N = 8, D = 3 and compares all recipes that see the end loss (homotopy: in the end), each stopped after so many
seconds of processor time; ``… ten notebooks/data/layerwise_ten.csv`` is one seed layer by layer at N = 20, D = 10.

Each row is one run: the steps and the seconds of processor time that it took, and the mean squared errors on 4096 fresh
problems, against targets without rounding, of the trained weights in float64 and of the same weights rounded to float32. Runs are
independent and go one after the other; a table that was stopped goes on where it was.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import torch
import typer

from precls_theory.training.evaluate import construction_for, mean_squared_error
from precls_theory.training.runs import Run, RunError, RunSettings
from precls_theory.training.tables import Job, Row, fill
from precls_theory.training.tasks import TrainingTask

SEEDS = range(5)
COLUMNS = ("task", "model", "recipe", "n_points", "n_dims", "width", "noise", "seed")
LAYERWISE = RunSettings("explicit_gradient", "baseconv", "layerwise", 20, 5, "float64")
FROM_EXACT = replace(LAYERWISE, recipe="levenberg-marquardt", initial="exact", noise=1e-2)
END_TO_END = (
    (4, 2, 10, 12.0, ("homotopy",)),
    (8, 3, 14, 60.0, ("homotopy",)),
    (4, 2, 10, 12.0, ("levenberg-marquardt", "curriculum", "adam-then-marquardt", "alternating", "lbfgs", "adam")),
    (4, 2, 10, 12.0, ("published",)),
    (8, 3, 14, 60.0, ("levenberg-marquardt", "curriculum", "adam-then-marquardt")),
)
"""N, D and the width of two layers, the seconds of processor time a run is given, and the recipes."""
SECONDS = 300.0


def tables() -> dict[str, list[tuple[RunSettings, float]]]:
    """The runs of each table, and the processor time after which each is stopped, in words."""
    end_to_end = [
        (replace(LAYERWISE, n_points=n, n_dims=d, recipe=recipe, depth=2, width=width, seed=seed), seconds)
        for n, d, width, seconds, recipes in END_TO_END
        for recipe in recipes
        for seed in SEEDS
    ]
    return {
        "layerwise": [(replace(LAYERWISE, seed=seed), SECONDS) for seed in SEEDS],
        "from-exact": [(replace(FROM_EXACT, seed=seed), SECONDS) for seed in SEEDS],
        "end-to-end": end_to_end,
        "ten": [(replace(LAYERWISE, n_dims=10), 3600.0)],
    }


class OutOfTime(RuntimeError):
    """A run has used the processor time that it was given."""


def key_of(settings: RunSettings) -> Row:
    return {name: value for name, value in asdict(settings).items() if name in COLUMNS}


def table(runs: Iterable[tuple[RunSettings, float]]) -> list[Job]:
    """One job a run, in a folder of its own."""

    def job(settings: RunSettings, seconds: float) -> Job:
        def make() -> Row:
            with tempfile.TemporaryDirectory() as folder:
                return measured(Path(folder), settings, seconds)

        return Job(key_of(settings), make)

    return [job(*run) for run in runs]


def measured(folder: Path, settings: RunSettings, seconds: float) -> Row:
    """One run from its start to its end, in words where that is not the recipe's own."""
    run, used, stopped = trained(folder, settings, seconds)
    errors = {
        f"mse_{str(dtype).removeprefix('torch.')}": mean_squared_error(
            run.model.to(dtype), run.task, dtype, torch.device("cpu")
        )
        for dtype in (torch.float64, torch.float32)
    }
    return {
        **key_of(settings), "steps": run.n_steps, "finished": run.recipe.finished, "cpu_seconds": round(used, 1),
        **errors, "stopped": stopped,
    }  # fmt: skip


def trained(folder: Path, settings: RunSettings, seconds: float) -> tuple[Run, float, str]:
    """A run, the processor time that it took, and what stopped it in words where that is not the recipe's own end.

    ``initial`` other than None starts from the exact construction for the task.
    """
    if settings.initial is not None:
        exact = construction_for(TrainingTask(settings.task, settings.n_points, settings.n_dims))  # type: ignore[arg-type]
        assert exact is not None
        exact.save(folder / "exact.safetensors")
        settings = replace(settings, initial=str(folder / "exact.safetensors"))
    began, stopped = time.process_time(), ""
    run = Run.start(folder / "run", settings)

    def watch(step: int, stage: str, loss: float) -> None:
        if time.process_time() - began > seconds:
            raise OutOfTime(f"out of time in step {step}, {stage}")

    try:
        run.train(10**6, watch=watch)
    except (RunError, OutOfTime) as reason:
        stopped = str(reason)
    return run, time.process_time() - began, stopped


def main(
    name: Annotated[str, typer.Argument(help=f"Which table: {', '.join(tables())}.")],
    file: Annotated[Path, typer.Argument(help="CSV file to write, or to go on with.")],
) -> None:
    """Train from every seed and write the table."""
    if name not in tables():
        raise typer.BadParameter(f"the table must be one of {', '.join(tables())}, got {name!r}")
    try:
        fill(file, table(tables()[name]), f"training, {name}")
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


if __name__ == "__main__":
    typer.run(main)
