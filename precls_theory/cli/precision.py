"""``precls precision``: what floating point does to the constructions, measured against exact values."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypedDict

import typer

from constructions.files.output import write_output
from precls_theory.cli.columns import Column, show
from precls_theory.cli.output import Stopwatch, check_device, emit_json, fail, progress, working, wrote

if TYPE_CHECKING:
    from pandas import DataFrame

    from precls_theory.precision.by_layer import Row
    from precls_theory.precision.measure import Measurement

Convolution = Literal["lowered", "direct", "prefix", "fft"]
NAMES = (
    "constructions",
    "sliced",
    "transformers",
    "tf32",
    "condition",
    "rank",
    "scale",
    "convolution",
    "sizes",
    "nist",
    "regressions",
    "findings",
)


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
    network: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="Measure this network (a file) or run of `precls train` (a folder) by layer."
        ),
    ] = None,
    convolution: Annotated[Convolution, typer.Option(help="With --network: how its filters are run.")] = "lowered",
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Measure the errors of networks in float arithmetic, beside their proven bounds and LAPACK.

    Every case is compared with exact values. With --out an interrupted run continues where it stopped; the folder then
    holds precision.parquet (its columns: precls_theory.precision.sweep.COLUMNS), precision.svg and precision.png. Errors
    that are no numbers (overflow, NaN) are rows that say so. ``findings`` are minimal reproductions of what floating point does
    to exact networks, each with its remedy, drawn to finding-NAME.svg and .png; exit code 1 where one does not show it.
    With --network one saved network, exact Transformer or trained model is measured, layer by layer and result by result.

    Examples:

      precls precision --quick

      precls precision constructions sliced --out results --jobs 2

      precls precision --device cuda --out results-gpu --json

      precls precision --network runs/layerwise --convolution fft
    """
    watch = Stopwatch()
    if network is not None or convolution != "lowered":
        one = read_one(network, names, out_dir, device)
        samples = 4 if quick else 16
        render_one(compute_one(one, device, samples, convolution, watch, json), device, watch, json)
        return
    chosen = read(names, device, out_dir)
    measured = compute(chosen, device, quick, out_dir, jobs, watch, json)
    render(measured, device, quick, watch, json)
    wrote(*files_of(measured, out_dir))
    if measured.not_shown:
        fail("not shown here: " + ", ".join(measured.not_shown))


# --- Parse and check ----------------------------------------------------------------------------------------------


def read_one(network: Path | None, names: list[str] | None, out_dir: Path | None, device: str) -> Path:
    """The network to be measured alone; a usage error for what does not go with it."""
    if network is None or names or out_dir is not None:
        raise typer.BadParameter("it measures one network alone, without NAME and --out", param_hint="--network")
    check_device(device)
    return network


def read(names: list[str] | None, device: str, out_dir: Path | None) -> list[str]:
    """The experiments, each once; a usage error for what is none, a device that is not here, a file for a folder."""
    chosen = list(dict.fromkeys(names or NAMES))
    unknown = [name for name in chosen if name not in NAMES]
    if unknown:
        raise typer.BadParameter(f"no experiment is called {unknown[0]!r}: {', '.join(NAMES)}", param_hint="NAME")
    check_device(device)
    if out_dir is not None and out_dir.exists() and not out_dir.is_dir():
        raise typer.BadParameter(f"{out_dir} is a file, and a folder is needed", param_hint="--out")
    return chosen


# --- Compute ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    """The table of the experiments, and the findings that were run; ``None`` for what was not asked for."""

    table: DataFrame | None
    findings: list[FoundFinding] | None

    @property
    def not_shown(self) -> list[str]:
        """The findings that do not show what they say, here."""
        return [finding["name"] for finding in self.findings or [] if not finding["shown"]]


@dataclass(frozen=True)
class OneMeasured:
    """A network or trained model in every format: its errors by layer and result, and how they were found."""

    path: Path
    name: str
    formats: Sequence[Measurement]
    samples: int
    convolution: Convolution


def compute(
    chosen: list[str], device: str, quick: bool, out_dir: Path | None, jobs: int, watch: Stopwatch, json: bool
) -> Measured:
    """Run what was chosen, in ``out_dir`` or a folder that is thrown away."""
    experiments = [name for name in chosen if name != "findings"]
    try:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) if out_dir is None else out_dir
            return Measured(
                measure_all(experiments, device, quick, folder, jobs) if experiments else None,
                reproduce_all(device, folder) if "findings" in chosen else None,
            )
    except OSError as error:
        fail(str(error), watch if json else None)


def compute_one(
    path: Path, device: str, samples: int, convolution: Convolution, watch: Stopwatch, json: bool
) -> OneMeasured:
    """Measure one network or trained model in float32 and float64."""
    from precls_theory.precision.by_layer import measure_formats

    try:
        with working("measuring against exact values, layer by layer …"):
            name, formats = measure_formats(path, device, samples, convolution)
    except (OSError, ValueError, TypeError, ArithmeticError) as error:
        fail(str(error), watch if json else None)
    return OneMeasured(path, name, formats, samples, convolution)


def measure_all(chosen: list[str], device: str, quick: bool, folder: Path, jobs: int) -> DataFrame:
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


class FoundPoint(TypedDict):
    """One point of a series."""

    series: str
    x: float
    y: float


class FoundFinding(TypedDict):
    """A finding that was run, as ``--json`` gives it."""

    name: str
    title: str
    remedy: str
    shown: bool
    rows: list[FoundPoint]
    axes: list[str]


def reproduce_all(device: str, folder: Path) -> list[FoundFinding]:
    """Run the findings that this device allows, and draw them: name, title, remedy, whether shown, rows."""
    import pandas as pd

    from precls_theory.pictures.precision import draw_finding
    from precls_theory.precision.findings import FINDINGS, reproduce

    folder.mkdir(parents=True, exist_ok=True)
    names = [name for name, finding in FINDINGS.items() if device.startswith("cuda") or not finding.needs_cuda]
    found: list[FoundFinding] = []
    for name in progress(names, "reproducing", total=len(names)):
        finding, rows, shown = reproduce(name, device)
        draw_finding(name, finding, rows, folder)
        listed: list[FoundPoint] = [{"series": label, "x": x, "y": y} for label, x, y in rows]
        found.append({"name": name, "title": finding.title, "remedy": finding.remedy, "shown": shown, "rows": listed,
                      "axes": list(finding.axes)})  # fmt: skip
    table = [{"finding": entry["name"], **row} for entry in found for row in entry["rows"]]
    frame = pd.DataFrame(table, columns=["finding", "series", "x", "y"])
    write_output(folder / "findings.parquet", frame.to_parquet(index=False))
    return found


# --- Show ---------------------------------------------------------------------------------------------------------


def render(measured: Measured, device: str, quick: bool, watch: Stopwatch, json: bool) -> None:
    """The document, or the table and a table for each finding."""
    table, findings = measured.table, measured.findings
    if json:
        rows = [] if table is None else table.astype(object).where(table.notna(), None).to_dict("records")
        more = {} if findings is None else {"findings": findings}
        emit_json({"device": device, "quick": quick, "cases": rows, **more}, watch)
        return
    if table is not None:
        render_table(table)
    for finding in findings or []:
        render_finding(finding)


def render_one(measured: OneMeasured, device: str, watch: Stopwatch, json: bool) -> None:
    """The document, or a table for each format: where the digits of the network go."""
    from precls_theory.precision.by_layer import rows_of

    if json:
        given = {
            "construction": measured.name,
            "convolution": measured.convolution,
            "samples": measured.samples,
        }
        cases = [given | row.to_json() for found in measured.formats for row in rows_of(found)]
        emit_json({"device": device, "network": str(measured.path), "cases": cases}, watch)
        return
    for found in measured.formats:
        title = f"{measured.name} in {found.dtype}: largest errors against exact values, {measured.samples} inputs"
        render_format(title, rows_of(found))


def render_format(title: str, rows: Sequence[Row]) -> None:
    """A line for each layer or result; the sources of error that it has."""
    from precls_theory.precision.by_layer import PARTS

    shown = [part for part in PARTS if any(part in row.parts for row in rows)]
    totals = (
        ("relative", attrgetter("relative")),
        ("ulp", attrgetter("ulp")),
        ("mean squared", attrgetter("mean_square")),
    )
    show(
        title,
        Column("layer or result", [f"{row.at} {row.name}" for row in rows], justify_right=False),
        *(
            Column(part, [f"{row.parts[part].largest:.1e}" if part in row.parts else "–" for row in rows])
            for part in shown
        ),
        *(Column(heading, [f"{key(row.parts['total']):.1e}" for row in rows]) for heading, key in totals),
    )


def render_finding(found: FoundFinding) -> None:
    """A finding as a table: a line for each x, a column for each series."""
    labels = list(dict.fromkeys(row["series"] for row in found["rows"]))
    xs = sorted({row["x"] for row in found["rows"]})
    values = {(row["series"], row["x"]): row["y"] for row in found["rows"]}

    def text(label: str, x: float) -> str:
        return f"{values[label, x]:.3g}" if (label, x) in values else "–"

    show(
        f"{found['title']} — remedy: {found['remedy']}",
        Column(found["axes"][0], [f"{x:.4g}" for x in xs]),
        *(Column(f"{label}", [text(label, x) for x in xs]) for label in labels),
    )


def render_table(table: DataFrame) -> None:
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


def files_of(measured: Measured, out_dir: Path | None) -> list[Path]:
    """The files that are kept."""
    if out_dir is None:
        return []
    tables = [f"precision.{kind}" for kind in ("parquet", "svg", "png")] if measured.table is not None else []
    drawn = [f"finding-{found['name']}.{kind}" for found in measured.findings or [] for kind in ("svg", "png")]
    return [out_dir / name for name in (*tables, *drawn)]


def register(app: typer.Typer) -> None:
    app.command()(precision)
