"""The trained models of Liu et al. 2025 in one table, with the paper's figures beside.

``python -m precls_theory.training.paper notebooks/data/paper.csv`` trains each for :data:`SECONDS` seconds of processor time,
on small problems and small models; ``--quick`` for two seconds, ``--seconds`` for as many as it says. None of these
repeats the paper, whose runs take 10^6 steps on a GPU. ``--full --device cuda`` asks for the paper's sizes (N=20, D=5, twelve
layers of width 64 and 8 heads, three BaseConv layers) and 10^6 steps; it has not been run.

What is claimed of each kind of model is the paper's: softmax Transformers end near 1e-5 to 1e-8 and are brittle out
of distribution; BaseConv and linear attention learn explicit gradients to 1e-13 in float32 and keep that out of distribution;
applied again and again such a model solves least squares with an error 10^5 times smaller than that of a Transformer trained on
them; k steps of gradient descent at once are learned to about 1e-10.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from precls_theory.training.evaluate import evaluate
from precls_theory.training.runs import DTYPES, RunSettings
from precls_theory.training.seeds import trained
from precls_theory.training.tables import Job, Row, fill

SECONDS, QUICK = 40.0, 2.0
FULL_SECONDS = 3 * 86400.0
WORST = "solutions x 10", "rows x 5"
"""The distributions shown: solutions and rows larger than in training."""


@dataclass(frozen=True)
class Experiment:
    """A run, what it is, and the paper's figure for it. ``settings`` are small; ``full`` is what the paper trains."""

    name: str
    paper: str
    settings: RunSettings
    full: RunSettings


def experiments() -> list[Experiment]:
    """In the order of the paper."""
    softmax = RunSettings("explicit_gradient", "transformer", "adam", 8, 2, depth=4, width=32)
    linear = replace(softmax, model="linear_attention", recipe="levenberg-marquardt", depth=2, width=12, n_heads=4)
    conv = replace(softmax, model="baseconv", depth=2, width=12)
    saturates, precise, steps = "1e-5 to 1e-8, worse out of distribution", "1e-13 in float32", "about 1e-10"

    def entry(name: str, paper: str, settings: RunSettings, recipe: str = "published") -> Experiment:
        depth = 12 if settings.model == "transformer" else 3
        full = replace(settings, n_points=20, n_dims=5, depth=depth, width=64, n_heads=8, recipe=recipe)
        return Experiment(name, paper, settings, full)

    return [
        entry("in-context least squares", saturates, replace(softmax, task="least_squares"), "adam"),
        entry("squares", saturates, replace(softmax, task="square"), "adam"),
        entry("products", saturates, replace(softmax, task="multiply"), "adam"),
        entry("explicit gradient", saturates, softmax, "adam"),
        entry("squares", precise, replace(conv, task="square", recipe="levenberg-marquardt", depth=1)),
        entry("products", precise, replace(conv, task="multiply", recipe="levenberg-marquardt", depth=1)),
        entry("explicit gradient, the paper's recipe", precise, replace(conv, recipe="published")),
        entry("explicit gradient, layer by layer", precise, replace(conv, recipe="layerwise")),
        entry("explicit gradient", precise, linear),
        entry("four steps of gradient descent", steps, replace(conv, task="multistep_gd", recipe="published")),
        entry("from exact weights", "", replace(conv, recipe="adam", initial="exact", noise=1e-2), "adam"),
        entry(
            "from exact weights", "", replace(conv, recipe="levenberg-marquardt", initial="exact", noise=1e-2),
            "levenberg-marquardt",
        ),
    ]  # fmt: skip


def jobs(seconds: float, full: bool, device: str) -> list[Job]:
    """A row each."""

    def job(experiment: Experiment) -> Job:
        settings = replace(experiment.full if full else experiment.settings, device=device)
        key: Row = {
            "experiment": experiment.name, "task": settings.task, "model": settings.model, "recipe": settings.recipe,
            "n_points": settings.n_points, "n_dims": settings.n_dims, "depth": settings.depth, "width": settings.width,
            "dtype": settings.dtype, "seconds_allowed": seconds,
        }  # fmt: skip

        def make() -> Row:
            return {**key, **measured(settings, seconds), "paper": experiment.paper}

        return Job(key, make)

    return [job(experiment) for experiment in experiments()]


def measured(settings: RunSettings, seconds: float) -> Row:
    """The run, evaluated in its dtype. What a task does not have is empty."""
    with tempfile.TemporaryDirectory() as folder:
        run, used, stopped = trained(Path(folder), settings, seconds)
        dtype, device = DTYPES[settings.dtype], next(run.model.parameters()).device
        result = evaluate(run.model.to(dtype), run.task, dtype, device)
    return {
        "steps": run.n_steps, "cpu_seconds": round(used, 1), "mse": result.mse,
        **{f"mse_{name.replace(' ', '_')}": result.out_of_distribution.get(name, "") for name in WORST},
        "mse_iterated": "" if result.iterated is None else result.iterated, "stopped": stopped,
    }  # fmt: skip


def main(
    file: Annotated[Path, typer.Argument(help="CSV file to write, or to go on with.")],
    quick: Annotated[bool, typer.Option("--quick", help="Two seconds a run: to see that everything runs.")] = False,
    full: Annotated[bool, typer.Option("--full", help="The paper's sizes and 10^6 steps: days of a GPU.")] = False,
    seconds: Annotated[float | None, typer.Option(min=0.0, help="Processor time of a run.")] = None,
    device: Annotated[str, typer.Option(help="PyTorch device, such as cpu or cuda.")] = "cpu",
) -> None:
    """Train what the paper trains, and write the table."""
    if quick and full:
        raise typer.BadParameter("--quick and --full exclude each other")
    try:
        allowed = QUICK if quick else FULL_SECONDS if full else SECONDS
        fill(file, jobs(allowed if seconds is None else seconds, full, device), "training")
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


if __name__ == "__main__":
    typer.run(main)
