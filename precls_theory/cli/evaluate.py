"""``precls evaluate``: a trained model beside the exact construction for its task, in the same dtype."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich import box
from rich.table import Table

from precls_theory.cli.output import Stopwatch, check_device, emit_json, fail, out, working

if TYPE_CHECKING:
    import torch

    from constructions.networks.base import ExactNetwork
    from precls_theory.training.evaluate import Evaluation
    from precls_theory.training.runs import Run, RunSettings


def evaluate(
    folder: Annotated[Path, typer.Argument(help="Folder of a run of `precls train`.")],
    dtype: Annotated[
        Literal["float32", "float64"] | None,
        typer.Option(help="Floating point to evaluate in; the run's own by default."),
    ] = None,
    device: Annotated[str, typer.Option(help="PyTorch device, such as cpu or cuda.")] = "cpu",
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Evaluate a run on 4096 fresh problems: in distribution, out of distribution, iterated.

    Beside it stands the exact construction for the same task, run in the same dtype: the precision gap.

    Examples:

      precls evaluate runs/layerwise

      precls evaluate runs/layerwise --dtype float64 --json
    """
    watch = Stopwatch()
    check_device(device)
    from precls_theory.training.runs import RunError

    try:
        with working("evaluating on fresh problems …"):
            compared = compute(folder, dtype, device)
    except (RunError, OSError, ValueError) as error:
        fail(str(error), watch if json else None)
    if json:
        emit_json(document(compared), watch)
    else:
        out.print(table(compared))


@dataclass(frozen=True)
class Compared:
    """A trained model and, where there is one, the exact construction for its task, both run in ``dtype``."""

    settings: RunSettings
    dtype: str
    trained: Evaluation
    built: Evaluation | None


def compute(folder: Path, dtype: str | None, device: str) -> Compared:
    """Both, on the same fresh problems. Raises ``RunError``, ``OSError`` or ``ValueError`` in words."""
    import torch

    from precls_theory.training.evaluate import construction_for
    from precls_theory.training.evaluate import evaluate as measure
    from precls_theory.training.runs import DTYPES, Run

    run = Run.resume(folder)
    name, where = dtype or run.settings.dtype, torch.device(device)
    kind = DTYPES[name]
    trained = measure(run.model.to(kind).to(where), run.task, kind, where)
    exact = construction_for(run.task)
    built = None if exact is None else measured_construction(exact, run, kind, where)
    return Compared(run.settings, name, trained, built)


def measured_construction(network: ExactNetwork, run: Run, dtype: torch.dtype, device: torch.device) -> Evaluation:
    """The exact network lowered to ``dtype``, as a model of the task."""
    import torch

    from precls_theory.training.evaluate import evaluate as measure

    lowered = network.to_torch(dtype=dtype, device=device, rows="all")
    n_extra, columns = len(network.inputs) - run.task.n_inputs, list(network.task.columns)

    def model(u: torch.Tensor) -> torch.Tensor:
        padded = torch.nn.functional.pad(u, (0, n_extra))
        output: torch.Tensor = lowered(padded)
        return output[..., columns]

    return measure(model, replace(run.task), dtype, device)


def document(compared: Compared) -> dict[str, object]:
    """What ``--json`` prints."""
    settings, trained, built = compared.settings, compared.trained, compared.built
    result = {
        "task": settings.task, "model": settings.model, "recipe": settings.recipe, "dtype": compared.dtype,
        "seed": settings.seed,
        "n_points": settings.n_points, "n_dims": settings.n_dims,
        "mse": finite(trained.mse),
        "mse_out_of_distribution": {name: finite(value) for name, value in trained.out_of_distribution.items()},
        "mse_iterated": finite(trained.iterated),
    }  # fmt: skip
    if built is not None:
        result["construction"] = {
            "mse": finite(built.mse),
            "mse_out_of_distribution": {name: finite(value) for name, value in built.out_of_distribution.items()},
            "mse_iterated": finite(built.iterated),
        }
    return result


def finite(value: float | None) -> float | None:
    """JSON has no infinity: a model whose outputs are not finite has the error null."""
    return value if value is not None and value < float("inf") else None


def table(compared: Compared) -> Table:
    """One line a distribution, trained and constructed side by side."""
    trained, built = compared.trained, compared.built
    title = f"{compared.settings.task}: mean squared error in {compared.dtype} on fresh problems"
    table = Table(title=title, box=box.SIMPLE)
    table.add_column("problems")
    table.add_column("trained", justify="right")
    if built is not None:
        table.add_column("constructed", justify="right")
    rows = [("as in training", trained.mse, built and built.mse)]
    for name, value in trained.out_of_distribution.items():
        rows.append((name, value, built and built.out_of_distribution[name]))
    if trained.iterated is not None:
        rows.append(("iterated 1000 times, median", trained.iterated, built and built.iterated))
    for name, *values in rows:
        shown = [f"{value:.2e}" for value in values if value is not None]
        table.add_row(name, *shown)
    return table


def register(app: typer.Typer) -> None:
    app.command()(evaluate)
