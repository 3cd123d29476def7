"""``precls atlas``: which architecture expresses Square, Multiply and a step of gradient descent, with proofs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from constructions.files.output import write_output
from precls_theory.cli.columns import hyphenated
from precls_theory.cli.output import Stopwatch, emit_json, fail, out, wrote
from precls_theory.cli.paths import check_writable, file_name
from precls_theory.cli.progress import steps

if TYPE_CHECKING:
    from precls_theory.certificate import Certificate
    from precls_theory.expressivity.atlas import Architecture, Cell

EXAMPLES = """What each architecture can express: Square, Multiply, one step of gradient descent, with a proof for each.

Every cell is checked when it is printed. A construction is run symbolically and must equal the target as polynomials;
an impossibility is certified (‖F(u)‖ ≤ C0 + C1‖u‖) on representative models, with an input where each provably misses,
and names the theorem that covers every depth and all weights. Exit code 1 if a check fails.

Examples:

  precls atlas

  precls atlas --architecture swiglu --architecture swiglu-norm

  precls atlas --svg atlas.svg --html atlas.html

  precls atlas --json | jq '.cells[] | {architecture, target, expresses, theorem}'
"""
SIGNS = {"yes": ("green", "✓"), "no": ("dark_orange", "✗"), "refused": ("bold red", "!")}


@dataclass(frozen=True)
class Atlas:
    """The cells that were checked, and a certificate of each theorem that was proved again."""

    cells: list[Cell]
    certificates: list[Certificate]

    @property
    def failures(self) -> list[str]:
        """What was refused or not proved, in words."""
        refused = [cell for cell in self.cells if cell.status == "refused"]
        unproved = [certificate for certificate in self.certificates if certificate.status != "proved"]
        return [f"{cell.architecture} / {cell.target}: {cell.summary}" for cell in refused] + [
            f"theorem {certificate.id}: {certificate.message}" for certificate in unproved
        ]


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("atlas", help=EXAMPLES, short_help="What each architecture can express, every cell checked.")
    def atlas(
        architecture: Annotated[
            list[str] | None,
            typer.Option("--architecture", "-a", help="Check this row only (repeatable).", metavar="ID"),
        ] = None,
        prove: Annotated[bool, typer.Option("--prove", help="Also run the check of every theorem named.")] = False,
        html: Annotated[
            Path | None,
            typer.Option("--html", metavar="FILE", parser=file_name, help="Write a page with all evidence."),
        ] = None,
        svg: Annotated[
            Path | None, typer.Option("--svg", metavar="FILE", parser=file_name, help="Write the picture.")
        ] = None,
        json_: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        watch = Stopwatch()
        check_writable(html, None, watch if json_ else None, others=(svg,))
        result = compute(choose(architecture or []), prove)
        try:
            draw(result, html, svg)
        except OSError as error:
            fail(str(error), watch if json_ else None)
        render(result, watch, json_)
        wrote(html, svg)
        if result.failures:
            fail("the check failed for " + "; ".join(result.failures))


def choose(wanted: list[str]) -> list[Architecture]:
    """The rows asked for, or all; a usage error that names them for an unknown one."""
    from precls_theory.expressivity.atlas import ARCHITECTURES

    known = {row.id: row for row in ARCHITECTURES}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise typer.BadParameter(f"unknown architecture {', '.join(unknown)}: choose from {', '.join(known)}")
    return [row for row in ARCHITECTURES if not wanted or row.id in wanted]


def compute(selected: list[Architecture], prove: bool) -> Atlas:
    """Check every cell of the selected rows; with ``prove`` also every theorem that they name."""
    from precls_theory.certificate import certify
    from precls_theory.expressivity.atlas import TARGETS, check_cell
    from precls_theory.registry import all_theorems

    used = list(dict.fromkeys(id for row in selected for id in row.theorems.values())) if prove else []
    theorems = all_theorems() if prove else {}
    result = Atlas([], [])
    with steps(len(selected) * len(TARGETS) + len(used), "checking") as report:
        for row in selected:
            for target in TARGETS:
                report.begin(f"checking {row.name}")
                result.cells.append(check_cell(row, target))
        for id in used:
            report.begin(f"proving {id}")
            result.certificates.append(certify(theorems[id]))
    return result


def draw(result: Atlas, html: Path | None, svg: Path | None) -> None:
    """Write the pictures that were asked for."""
    from precls_theory.pictures import atlas as picture

    if html is not None:
        write_output(html, picture.html(result.cells))
    if svg is not None:
        write_output(svg, picture.svg(result.cells))


def render(result: Atlas, watch: Stopwatch, json: bool) -> None:
    """The document, or the table with a line for each theorem that was proved again."""
    if json:
        emit_json(
            {
                "cells": [cell.to_json() for cell in result.cells],
                "theorems": [certificate.to_json() for certificate in result.certificates],
                "all_checked": not result.failures,
            },
            watch,
        )
        return
    out.print(table(result.cells))
    checked = sum(cell.status == "checked" for cell in result.cells)
    out.print(f"{checked} of {len(result.cells)} cells checked in {watch.seconds:.1f} s")
    for certificate in result.certificates:
        out.print(f"{certificate.status:8} {certificate.id} ({certificate.seconds:.1f} s)")


def table(cells: list[Cell]) -> Table:
    """A row an architecture, a column a target; identifiers break at their hyphens alone."""
    from precls_theory.expressivity.atlas import TARGETS
    from precls_theory.pictures.atlas import outcome, rows

    def shown(cell: Cell) -> str:
        colour, sign = SIGNS[outcome(cell)]
        return f"[{colour}]{sign} {escape(cell.summary)}[/]\n[dim]{escape(hyphenated(cell.theorem, room))}[/]"

    result = Table(title="What each architecture can express", show_lines=True)
    room = (out.width - 3 * (len(TARGETS) + 1) - 1) // (len(TARGETS) + 1)
    for heading in ("architecture", *TARGETS.values()):
        result.add_column(heading, overflow="fold", min_width=min(room, 16))
    for name, row_cells in rows(cells):
        result.add_row(escape(name), *map(shown, row_cells))
    return result
