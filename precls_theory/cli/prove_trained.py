"""``precls prove-trained``: what can be proved of trained weights, and the exact network near them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box as boxes
from rich.table import Table

from precls_theory.cli.output import Stopwatch, emit_json, fail, out, wrote
from precls_theory.cli.paths import file_name
from precls_theory.cli.progress import steps

if TYPE_CHECKING:
    from precls_theory.training.certify import Proof

EXACT = "exact.safetensors"


def prove_trained(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run of `precls train --recipe layerwise`.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            parser=file_name,
            help="File for the exact network; RUN/exact.safetensors by default.",
        ),
    ] = None,
    box: Annotated[
        str, typer.Option(help="The sup norm is over inputs of at most this size, exactly: 3, or 5/2.")
    ] = "3",
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Learned, then proved: trained weights of explicit gradient, with proofs instead of samples.

    Floats are rationals, so a trained network is an exact one, and its error a polynomial. The weights are those of the
    checkpoint (layer by layer, float64, whatever the dtype of the run). Proved are: its population loss
    (inputs independent N(0,1); exactly, or an enclosure where there are many coefficients); a bound on its error over a
    box; by the Krawczyk test, that an exact solution lies within a radius of the trained weights; and that solution is
    written as a network of rational weights, after `precls check` has accepted it; or why none was found.

    Examples:

      precls train --n-points 4 --n-dims 2 --dtype float64 --out runs/small

      precls prove-trained runs/small

      precls check runs/small/exact.safetensors
    """
    watch = Stopwatch()
    from constructions.files.output import check_output

    target = output or run / EXACT
    try:
        bound = Fraction(box)
        if bound <= 0:
            raise ValueError(f"the box must be positive, got {box}")
        check_output(target)
        proof = compute(run, bound)
        if proof.network is not None:
            proof.network.save(target)
    except (ValueError, OSError, MemoryError, ZeroDivisionError) as error:
        fail(str(error), watch if json else None)
    if json:
        emit_json(document(proof, target), watch)
    else:
        out.print(table(proof))
        if proof.network is not None:
            wrote(target)


def compute(folder: Path, box: Fraction) -> Proof:
    """The proof about a run. Raises ``ValueError``, ``OSError`` or ``MemoryError`` in words."""
    from precls_theory.training.certify import prove
    from precls_theory.training.certify.equations import Sizes
    from precls_theory.training.runs import Run

    run = Run.resume(folder)
    if run.task.name != "explicit_gradient":
        raise ValueError(f"proofs are about the task explicit_gradient, and {folder} was trained on {run.task.name}")
    with steps(None, "proving") as report:
        return prove(run.model, Sizes(run.task.n_points, run.task.n_dims), box, watch=report.begin)  # type: ignore[arg-type]


def document(proof: Proof, file: Path) -> dict[str, object]:
    """What ``--json`` prints."""
    snapped = proof.snapped
    loss = proof.population_loss
    return {
        "population_loss": str(loss.lower) if loss.exact else [float_below(loss.lower), float_above(loss.upper)],
        "population_loss_exact": loss.exact,
        "population_loss_float": float(loss.upper),
        "inputs": "rows, targets and x_init independent N(0,1); mean over coordinates",
        "sup_error": float_above(proof.sup_error),
        "box": str(proof.box),
        "krawczyk_radius": None if snapped is None else float_above(snapped.krawczyk_radius),
        "distance": None if snapped is None else float_above(snapped.distance),
        "live_hidden_channels": None if snapped is None else list(snapped.live),
        "exact_network": None if proof.network is None else str(file),
        "check": None if proof.verdict is None else proof.verdict.to_json(),
        "why_not": proof.why_not or None,
    }


def float_above(value: Fraction) -> float:
    """A float that is not below the rational."""
    import math

    rounded = float(value)
    return rounded if Fraction(rounded) >= value else math.nextafter(rounded, math.inf)


def float_below(value: Fraction) -> float:
    """A float that is not above the rational."""
    return -float_above(-value)


def table(proof: Proof) -> Table:
    """The same for people."""
    loss = proof.population_loss
    kind = "exactly" if loss.exact else "enclosed"
    shown = (
        f"{float(loss.upper):.6g}" if loss.exact else f"{float_below(loss.lower):.9g} … {float_above(loss.upper):.9g}"
    )
    table = Table(title="proved of the trained weights", box=boxes.SIMPLE, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row(f"population loss, inputs independent N(0,1), {kind}", shown)
    table.add_row(
        f"largest error where all inputs are at most {proof.box}, bounded by", f"{float_above(proof.sup_error):.3g}"
    )
    if proof.snapped is not None:
        table.add_row("an exact solution lies within (Krawczyk)", f"{float_above(proof.snapped.krawczyk_radius):.3g}")
        table.add_row("hidden channels that do something, by layer", ", ".join(map(str, proof.snapped.live)))
    table.add_row("the exact network", proof.why_not or (proof.verdict.message if proof.verdict else ""))
    return table


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("prove-trained")(prove_trained)
