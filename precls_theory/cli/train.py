"""``precls train``: train a model on a task, in a folder from which it can be resumed and evaluated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from precls_theory.cli.output import Stopwatch, check_device, emit_json, fail, out
from precls_theory.cli.progress import err
from precls_theory.cli.progress import steps as log_lines

if TYPE_CHECKING:
    from precls_theory.training.devices import Ranks
    from precls_theory.training.runs import Run, RunSettings

Task = Literal["explicit_gradient", "multistep_gd", "least_squares", "read", "linear", "multiply", "square"]
Model = Literal["baseconv", "linear_attention", "transformer"]
RecipeName = Literal[
    "layerwise",
    "levenberg-marquardt",
    "curriculum",
    "homotopy",
    "alternating",
    "lbfgs",
    "adam-then-marquardt",
    "adam",
    "published",
]


def train(
    folder: Annotated[Path, typer.Option("--out", help="Folder of the run: settings, log, checkpoint, loss curve.")],
    task: Annotated[Task, typer.Option(help="What to learn.")] = "explicit_gradient",
    model: Annotated[Model, typer.Option(help="Architecture.")] = "baseconv",
    recipe: Annotated[RecipeName, typer.Option(help="How to train; see below.")] = "layerwise",
    n_points: Annotated[int, typer.Option(min=1, help="N: data rows, or rows of a sequence.")] = 20,
    n_dims: Annotated[int, typer.Option(min=1, help="D: unknowns, or channels of a sequence.")] = 5,
    dtype: Annotated[Literal["float32", "float64"], typer.Option(help="Floating point of the model.")] = "float32",
    device: Annotated[str, typer.Option(help="PyTorch device, such as cpu or cuda.")] = "cpu",
    steps: Annotated[int, typer.Option(min=0, help="Steps in all, those before a resumption included.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of everything that is random.")] = 0,
    depth: Annotated[int, typer.Option(min=1, help="Layers (end-to-end recipes).")] = 3,
    width: Annotated[int, typer.Option(min=1, help="Channels (end-to-end recipes).")] = 64,
    heads: Annotated[int, typer.Option(min=1, help="Heads of an attention model.")] = 8,
    mlps: Annotated[
        bool | None, typer.Option(help="MLPs in an attention model; by default in the softmax Transformer alone.")
    ] = None,
    norms: Annotated[bool | None, typer.Option(help="LayerNorm in an attention model; likewise.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Problems a step; each recipe has its own default.")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of the first-order recipes.")] = None,
    init: Annotated[Path | None, typer.Option(help="Saved exact network whose weights training starts from.")] = None,
    noise: Annotated[float, typer.Option(min=0.0, help="With --init: standard deviation added to every weight.")] = 0.0,
    spare_width: Annotated[
        float, typer.Option(min=1.0, help="With --init: how many times as many hidden channels the model has.")
    ] = 1.0,
    devices: Annotated[
        int, typer.Option(min=1, help="Processes of this machine that share each batch (first-order recipes).")
    ] = 1,
    machines: Annotated[int, typer.Option(min=1, help="Machines, each running this command.")] = 1,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write the loss for TensorBoard too, in the folder of the run.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in the folder, as it was set up.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Train a model on a task of the paper, in a folder.

    Recipes: "layerwise" trains explicit gradient layer by layer, with intermediate targets, by Levenberg-Marquardt;
    "levenberg-marquardt" trains all weights at once; "curriculum" does so on problems of more and more unknowns,
    "homotopy" from intermediate targets to the end loss alone (both explicit gradient); "alternating" solves for one factor of
    one layer at a time, "lbfgs" is L-BFGS, "adam-then-marquardt" what it says; "adam" is Adam with step decay;
    "published" is the recipe of Liu et al. (Adam, filtered gradients, adaptive learning rate). All but the last two compute
    in float64, whatever the dtype of the model.

    Ctrl-C saves; --resume goes on with the same bits as a run that was never stopped.

    Examples:

      precls train --out runs/layerwise

      precls build explicit_gradient --n-points 20 --n-dims 5 -o exact.safetensors

      precls train --init exact.safetensors --noise 1e-2 --recipe levenberg-marquardt --out runs/from-exact

      precls train --recipe published --steps 100000 --device cuda --out runs/published

      precls train --recipe adam --device cuda --devices 4 --out runs/four-devices --tensorboard

      precls train --resume --steps 200000 --out runs/published
    """
    watch = Stopwatch()
    check_device(device)
    from precls_theory.training.devices import launch
    from precls_theory.training.runs import RunError, RunSettings

    settings = None if resume else RunSettings(
        task, model, recipe, n_points, n_dims, dtype, device, seed, depth, width, batch_size, learning_rate,
        None if init is None else str(init), noise, spare_width, heads, mlps, norms,
    )  # fmt: skip
    try:
        ranks = launch(device, devices, machines)
        run = compute(folder, settings, steps, ranks, tensorboard)
        if ranks.rank:
            return
        plot(run)
    except (ValueError, OSError, MemoryError, RunError) as error:
        fail(str(error), watch if json else None)
    if json:
        emit_json(summary(run), watch)
    else:
        out.print(words(run), highlight=False, soft_wrap=True)


def compute(
    folder: Path, settings: RunSettings | None, steps: int, ranks: Ranks | None = None, tensorboard: bool = False
) -> Run:
    """The run in the folder, trained: a new one with these settings, or the one that is there where there are none."""
    from precls_theory.training.devices import ALONE
    from precls_theory.training.runs import Run

    ranks = ranks or ALONE
    run = Run.resume(folder, ranks) if settings is None else Run.start(folder, settings, ranks)
    if ranks.rank:
        run.train(steps)
        return run
    with events(run) if tensorboard else nullcontext(ignore) as record:
        with_progress(run, steps, record)
    return run


Record = Callable[[int, str, float], None]


def ignore(step: int, stage: str, loss: float) -> None:
    """Where nothing is recorded."""


@contextmanager
def events(run: Run) -> Iterator[Record]:
    """Writes losses for TensorBoard as they come; those after the step that a resumed run goes on from are dropped."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ValueError("--tensorboard needs TensorBoard: pip install 'precls[tensorboard]'") from error
    writer = SummaryWriter(str(run.folder / "tensorboard"), purge_step=run.n_steps + 1)
    try:
        yield lambda step, stage, loss: writer.add_scalar(f"loss/{stage}", loss, step)
    finally:
        writer.close()


def with_progress(run: Run, steps: int, record: Record = ignore) -> None:
    """Train with a bar that shows the stage, the loss and the time left; a line now and then where there is no terminal."""
    if not err.is_terminal:
        with log_lines(steps, "training") as lines:

            def say(step: int, stage: str, loss: float) -> None:
                record(step, stage, loss)
                lines.begin(f"{stage}, loss {loss:.2e}")

            run.train(steps, watch=say)
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TextColumn("loss {task.fields[loss]:.2e}"), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=err, transient=True) as bar:
        line = bar.add_task(run.recipe.stage, total=steps, completed=run.n_steps, loss=float("nan"))

        def show(step: int, stage: str, loss: float) -> None:
            record(step, stage, loss)
            bar.update(line, completed=step, description=stage, loss=loss)

        run.train(steps, watch=show)


def plot(run: Run) -> None:
    """The loss curve as ``loss.svg`` in the folder of the run."""
    import io

    from matplotlib.figure import Figure

    from constructions.files.output import write_output

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    steps = {stage: ([], []) for _, stage, _, _ in run.log}  # type: dict[str, tuple[list[int], list[float]]]
    for step, stage, loss, _ in run.log:
        steps[stage][0].append(step)
        steps[stage][1].append(max(loss, 1e-40))
    for stage, (x, y) in steps.items():
        axes.semilogy(x, y, label=stage)
    axes.set(xlabel="step", ylabel="loss on a fresh batch")
    if steps:
        axes.legend()
    picture = io.BytesIO()
    figure.savefig(picture, format="svg", metadata={"Date": None})
    write_output(run.folder / "loss.svg", picture.getvalue())


def summary(run: Run) -> dict[str, object]:
    """What a program wants to know of a run."""
    return {
        "folder": str(run.folder), "task": run.settings.task, "model": run.settings.model, "recipe": run.settings.recipe,
        "dtype": run.settings.dtype, "n_steps": run.n_steps, "finished": run.recipe.finished,
        "loss": run.log[-1][2] if run.log else None, "training_seconds": run.seconds,
        "n_parameters": sum(p.numel() for p in run.model.parameters()),
    }  # fmt: skip


def words(run: Run) -> str:
    """The same for people."""
    loss = f"loss {run.log[-1][2]:.3g} on the last batch; " if run.log else ""
    state = "finished" if run.recipe.finished else f"stopped after {run.n_steps} steps (--resume goes on)"
    return f"{state} in {run.seconds:.1f} s of training; {loss}run in {run.folder}: precls evaluate {run.folder}"


def register(app: typer.Typer) -> None:
    app.command()(train)
