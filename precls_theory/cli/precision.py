"""``precls precision``: what floating point does to the constructions, measured against exact values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from precls_theory.cli.columns import Column, show
from precls_theory.cli.output import Stopwatch, check_device, emit_json, fail, progress, wrote

NAMES = ("constructions", "sliced", "condition", "rank", "scale", "nist", "regressions")


def precision(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]…", help=f"Experiments: {', '.join(NAMES)}; all unless named.")
    ] = None,
    device: Annotated[str, typer.Option(help="PyTorch device, such as cpu or cuda.")] = "cpu",
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes and few cases: seconds.")] = False,
    out_dir: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Keep table (Parquet), plots and finished cases here.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Cases at the same time.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Measure the errors of networks in float arithmetic, beside their proven bounds and LAPACK.

    Every case is compared with exact values. With --out an interrupted run continues where it stopped; the folder then
    holds precision.parquet (its columns: precls_theory.precision.sweep.COLUMNS), precision.svg and precision.png. Errors
    that are no numbers (overflow, NaN) are rows that say so.

    Examples:

      precls precision --quick

      precls precision constructions sliced --out results --jobs 2

      precls precision --device cuda --out results-gpu --json
    """
    import tempfile

    watch = Stopwatch()
    chosen = list(dict.fromkeys(names or NAMES))
    unknown = [name for name in chosen if name not in NAMES]
    if unknown:
        raise typer.BadParameter(f"no experiment is called {unknown[0]!r}: {', '.join(NAMES)}", param_hint="NAME")
    check_device(device)
    if out_dir is not None and out_dir.exists() and not out_dir.is_dir():
        raise typer.BadParameter(f"{out_dir} is a file, and a folder is needed", param_hint="--out")
    try:
        if out_dir is not None:
            table = measure_all(chosen, device, quick, out_dir, jobs)
        else:
            with tempfile.TemporaryDirectory() as folder:
                table = measure_all(chosen, device, quick, Path(folder), jobs)
    except OSError as error:
        fail(str(error), watch if json else None)
    if json:
        rows = table.astype(object).where(table.notna(), None).to_dict("records")
        emit_json({"device": device, "quick": quick, "cases": rows}, watch)
    else:
        render(table)
    if out_dir is not None:
        wrote(*(out_dir / f"precision.{kind}" for kind in ("parquet", "svg", "png")))


def measure_all(chosen: list[str], device: str, quick: bool, folder: Path, jobs: int) -> Any:
    """Run the experiments, and draw their plots."""
    from precls_theory.pictures.precision import draw
    from precls_theory.precision.sweep import experiments, sweep

    known = experiments(device, quick)
    cases = [case for name in chosen for case in known[name]]
    done = iter(progress(range(len(set(cases))), "measuring", total=len(set(cases))))

    def advance(count: int) -> None:
        for _ in range(count):
            next(done, None)

    next(done, None)
    table = sweep(cases, folder, jobs, advance)
    next(done, None)
    draw(table, folder)
    return table


def render(table: Any) -> None:
    """The table for people."""

    def text(name: str, form: str) -> list[str]:
        return ["–" if value != value or value is None else format(value, form) for value in table[name].tolist()]

    show(
        "Errors against exact values",
        Column("construction", [f"{c} {int(k)}" for c, k in zip(table["construction"], table["n_steps"], strict=True)],
               justify_right=False),
        Column("dtype", table["dtype"].tolist(), justify_right=False),
        Column("slices", text("slices", ".0f")),
        Column("κ", text("condition", ".0e")),
        Column("scale", text("scale", ".0e")),
        Column("median MSE", text("median_mse", ".1e")),
        Column("digits", text("median_digits", ".1f")),
        Column("weights", text("weights_mse", ".0e")),
        Column("arithmetic", text("arithmetic_mse", ".0e")),
        Column("truncation", text("truncation_mse", ".0e")),
        Column("LAPACK", text("lapack_mse", ".0e")),
        Column("bound/error", text("median_bound_ratio", ".0f")),
        Column("not finite", text("not_finite", ".0f")),
    )  # fmt: skip


def register(app: typer.Typer) -> None:
    app.command()(precision)
