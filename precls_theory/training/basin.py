"""The basin of an exact construction: from weights with noise back to the floor, by noise, width and dtype.

``python -m precls_theory.training.basin notebooks/data/basin.csv`` makes the committed table: explicit gradient at N=4, D=2,
Levenberg–Marquardt in float64 for at most 30 steps from the exact weights plus N(0, noise²), in models with the
construction's own hidden channels and with 1.3 times as many; the mean squared error on 4096 fresh problems, of the
trained weights in float64 and of the same weights rounded to float32. Some minutes of one core.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer

import constructions as C
from constructions.files.output import write_output
from precls_theory.training.evaluate import mean_squared_error
from precls_theory.training.runs import Run, RunError, RunSettings

NOISES = (1e-3, 1e-2, 1e-1, 0.5)
WIDTHS = (1.0, 1.3)
SEEDS = range(5)
STEPS = 30


def basin(
    n_points: int = 4,
    n_dims: int = 2,
    noises: Sequence[float] = NOISES,
    widths: Sequence[float] = WIDTHS,
    seeds: Sequence[int] = SEEDS,
    steps: int = STEPS,
) -> Iterator[dict[str, object]]:
    """One row a run and dtype: what was asked for, the steps taken, the mean squared error on fresh problems."""
    with tempfile.TemporaryDirectory() as folder:
        exact = Path(folder) / "exact.safetensors"
        C.explicit_gradient(n_points=n_points, n_dims=n_dims).save(exact)
        for noise in noises:
            for width in widths:
                for seed in seeds:
                    settings = RunSettings(
                        "explicit_gradient", "baseconv", "levenberg-marquardt", n_points, n_dims, "float64", seed=seed,
                        initial=str(exact), noise=noise, spare_width=width,
                    )  # fmt: skip
                    run = Run.start(Path(folder) / f"{noise}-{width}-{seed}", settings)
                    stopped = ""
                    try:
                        run.train(steps)
                    except RunError as reason:
                        stopped = str(reason)
                    for dtype in (torch.float64, torch.float32):
                        error = mean_squared_error(run.model.to(dtype), run.task, dtype, torch.device("cpu"))
                        yield {
                            "n_points": n_points, "n_dims": n_dims, "noise": noise, "spare_width": width, "seed": seed,
                            "dtype": str(dtype).removeprefix("torch."), "steps": run.n_steps, "mse": error,
                            "stopped": stopped,
                        }  # fmt: skip


def main(file: Annotated[Path, typer.Argument(help="CSV file to write.")]) -> None:
    """Measure the basin at N=4, D=2 and write the table."""
    import pandas as pd

    from precls_theory.cli.progress import progress

    total = 2 * len(NOISES) * len(WIDTHS) * len(SEEDS)
    rows = list(progress(basin(), "training from exact weights with noise", total))
    write_output(file, pd.DataFrame(rows).to_csv(index=False))


if __name__ == "__main__":
    typer.run(main)
