"""``precls landscape``: all stationary points of a population loss, by kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from precls_theory.cli.output import Stopwatch, emit_json, fail, out, warn, wrote
from precls_theory.cli.paths import check_writable, file_name
from precls_theory.cli.progress import steps
from precls_theory.cli.words import as_options

if TYPE_CHECKING:
    from precls_theory.landscape.classification import Classification
    from precls_theory.landscape.components import Component
    from precls_theory.landscape.graphs import Decompose
    from precls_theory.landscape.problems import Landscape

EXAMPLES = """Every real stationary point of the population loss of BaseConv on a target: minima, saddles, spurious minima.

The loss E‖model(u) − target(u)‖², u standard Gaussian, is a polynomial in the weights; its gradient's zeros are found by
Gröbner bases, and split by the signature of the Hessian. "complete" says that nothing was left open. A layer is taken with
one output. Seconds on one core, all complete: operators at one row and up to four channels below 0.5, at two rows below 1
(Square, Linear at one channel), 2 (Multiply with three channels) and 5 (Read with two channels); layers of one unit with two
channels below 1 at one to four rows; two units on two channels at one row 4 (Square) or 12 (Multiply;
Linear over 15). Not complete: three rows of an operator,
Linear's operator with two channels and two rows unless --coefficient is 0, Square in a layer with three channels, two units at
two rows. --engine singular reaches a little farther.

Examples:

  precls landscape square

  precls landscape square --form layer --units 2

  precls landscape multiply --channels 2 --rows 2 --json | jq '.components[] | {kind, loss, point}'

  precls landscape linear --channels 2 --coefficient 9/10 --plot linear.png
"""
LONGEST_RATIO = 30
OPTIONS = ("form", "channels", "rows", "units", "coefficient")
STYLES = {
    "global minimum": "green",
    "spurious minimum": "bold red",
    "degenerate saddle": "dark_orange",
    "saddle": "cyan",
    "unresolved": "bold magenta",
}


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("landscape", help=EXAMPLES, short_help="All stationary points of a population loss, by kind.")
    def landscape_command(
        target: Annotated[str, typer.Argument(help="square, linear, multiply or read.")],
        form: Annotated[str, typer.Option(help="operator, or layer (one output).")] = "operator",
        channels: Annotated[int | None, typer.Option(help="Channels D (1; 2 for multiply).")] = None,
        rows: Annotated[int | None, typer.Option(help="Rows N (1; 2 for read).")] = None,
        units: Annotated[int, typer.Option(help="Hidden units of a layer.")] = 1,
        coefficient: Annotated[
            str, typer.Option(help="linear: how much of channel 1 enters output 0, a rational p/q.")
        ] = "1/2",
        engine: Annotated[
            str, typer.Option(help="flint, or singular: Singular's bases where FLINT stops, each re-checked.")
        ] = "flint",
        all_points: Annotated[bool, typer.Option("--all", help="In the table, saddles of products too.")] = False,
        plot: Annotated[
            Path | None,
            typer.Option(metavar="FILE", parser=file_name, help="Draw losses and kinds to this file (png, svg, pdf)."),
        ] = None,
        json_: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        watch = Stopwatch()
        problem = read(target, form, channels, rows, units, coefficient, engine, plot, watch if json_ else None)
        found = compute(problem)
        if plot is not None:
            draw(found, plot, watch if json_ else None)
        render(problem, found, all_points, watch, json_)
        wrote(plot)


# --- Parse and check ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """The landscape, how it was asked for, and what splits its ideals."""

    landscape: Landscape
    words: dict[str, object]
    decompose: Decompose


def read(
    target: str,
    form: str,
    channels: int | None,
    rows: int | None,
    units: int,
    coefficient: str,
    engine: str,
    plot: Path | None,
    watch: Stopwatch | None,
) -> Asked:
    """The problem; a usage error for what is none, and a failure where a file cannot be written or Singular is not here."""
    from precls_theory.landscape import landscape, singular
    from precls_theory.landscape.ideals import varieties

    check_writable(None, plot, watch)
    if engine not in ("flint", "singular"):
        raise typer.BadParameter(f"engine must be flint or singular, got {engine!r}", param_hint="--engine")
    if engine == "singular" and not singular.available():
        fail("Singular is not installed (Debian: apt install singular); leave --engine out", watch)
    channels = channels if channels is not None else 2 if target == "multiply" else 1
    rows = rows if rows is not None else 2 if target == "read" else 1
    try:
        whole = landscape(target, form, channels, rows, units, ratio(coefficient))  # type: ignore[arg-type]
    except ValueError as error:
        raise typer.BadParameter(as_options(str(error), OPTIONS, OPTIONS)) from error
    words: dict[str, object] = {
        "target": target,
        "form": form,
        "channels": channels,
        "rows": rows,
        "units": units,
        "coefficient": coefficient if target == "linear" else None,
        "engine": engine,
    }
    return Asked(whole, words, singular.decompose if engine == "singular" else varieties)


def ratio(text: str) -> Fraction:
    """A rational number of moderate length: Gröbner bases over Q raise the digits of a coefficient to high powers."""
    hint = "--coefficient"
    exponent = text.lower().partition("e")[2].strip().lstrip("+-")
    if len(text) > LONGEST_RATIO or len(exponent) > 2 or (exponent.isdigit() and int(exponent) > LONGEST_RATIO):
        raise typer.BadParameter(
            f"{text[:20]}… is too long: expected p/q or a decimal with at most {LONGEST_RATIO} digits", param_hint=hint
        )
    try:
        return Fraction(text)
    except ZeroDivisionError as error:
        raise typer.BadParameter(f"{text!r} divides by zero", param_hint=hint) from error
    except ValueError as error:
        raise typer.BadParameter(
            f"expected a rational number such as 1/2 or 0.5, got {text!r}", param_hint=hint
        ) from error


# --- Compute ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """The classification of each part; the products of their components, ``None`` where they are too many to be listed."""

    parts: Sequence[Classification]
    products: Sequence[Component] | None

    @property
    def complete(self) -> bool:
        """Was nothing left open?"""
        return all(part.complete for part in self.parts)


def compute(asked: Asked) -> Found:
    """Classify, part by part."""
    from precls_theory.landscape import classify_all, products
    from precls_theory.landscape.classification import charts

    whole = asked.landscape
    slices = sum(1 for part in whole.parts for _ in charts(part.row_wise.one_row if part.row_wise else part))
    with steps(slices, "classifying") as report:
        parts = classify_all(whole, lambda text: report.begin(f"classifying {text}"), asked.decompose)
    try:
        return Found(parts, products(whole, parts))
    except ValueError as error:
        warn(str(error))
        return Found(parts, None)  # an empty list beside "complete" would read as if there were no stationary points


def draw(found: Found, plot: Path, watch: Stopwatch | None) -> None:
    """The picture; a failure in words where it cannot be written."""
    from precls_theory.pictures.landscape import draw_landscape, save_landscape

    try:
        save_landscape(draw_landscape(found.parts), plot)
    except OSError as error:
        fail(str(error), watch)


# --- Show ---------------------------------------------------------------------------------------------------------


def render(asked: Asked, found: Found, all_points: bool, watch: Stopwatch, json: bool) -> None:
    """The document, or a table for each part and what they are together."""
    if json:
        emit_json(document(asked, found), watch)
        return
    for part in found.parts:
        out.print(table(part))
        out.print(f"least loss: {escape(part.infimum)}", highlight=False)
    if len(found.parts) > 1 and found.products:
        out.print(summary(found.products), highlight=False)
        if all_points:
            out.print(table_of("products", found.products))
    state = "complete" if found.complete else "not complete: see the unresolved sets"
    out.print(f"{state}; {watch.seconds:.1f} s", highlight=False)


def document(asked: Asked, found: Found) -> dict[str, object]:
    """What ``--json`` gives."""
    parts = [
        {
            "name": part.problem.name,
            "weights": list(part.problem.loss.names),
            "complete": part.complete,
            "components": [component.to_json() for component in part.components],
        }
        for part in found.parts
    ]
    return asked.words | {
        "complete": found.complete,
        "infimum": [part.infimum for part in found.parts],
        "components": [component.to_json() for component in found.products or ()],
        "components_listed": found.products is not None,
        "parts": parts if len(parts) > 1 else [],
    }


def table(part: Classification) -> Table:
    """The components of one part."""
    absent = sum(not component.real for component in part.components)
    title = f"Stationary points, {part.problem.name}"
    if absent:
        title += f" ({absent} more sets have no real point)"
    return table_of(title, part.real)


def table_of(title: str, components: Sequence[Component]) -> Table:
    result = Table(title=title, box=box.SIMPLE, padding=(0, 1, 0, 0))
    result.add_column("kind", no_wrap=True)
    result.add_column("dim", justify="right")
    result.add_column("loss", justify="right", no_wrap=True)
    result.add_column("where", overflow="fold")
    result.add_column("one of its points", overflow="fold")
    for component in components:
        where = "; ".join(component.conditions) or ("everywhere" if component.dimension else "")
        point = ", ".join(f"{name} = {value}" for name, value in component.point.items() if value != "0")
        result.add_row(
            f"[{STYLES.get(component.kind, 'white')}]{component.kind}[/]",
            str(component.dimension),
            "?" if component.loss is None else str(component.loss),
            escape(where if len(where) < 120 else where[:117] + "…"),
            escape(point or "0"),
        )
    return result


def summary(components: Sequence[Component]) -> str:
    """How many products of components there are of each kind."""
    counts: dict[str, int] = {}
    for component in components:
        counts[component.kind] = counts.get(component.kind, 0) + 1
    return "together: " + ", ".join(f"{count} × {kind}" for kind, count in counts.items())
