"""``precls atlas``: which architecture expresses Square, Multiply and a step of gradient descent, with proofs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from constructions.files.output import write_output
from precls_theory.cli.output import Stopwatch, emit_json, err, fail, out

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


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("atlas", help=EXAMPLES, short_help="What each architecture can express, every cell checked.")
    def atlas(
        architecture: Annotated[
            list[str] | None,
            typer.Option("--architecture", "-a", help="Check this row only (repeatable).", metavar="ID"),
        ] = None,
        prove: Annotated[bool, typer.Option("--prove", help="Also run the check of every theorem named.")] = False,
        html: Annotated[Path | None, typer.Option("--html", help="Write a page with all evidence.")] = None,
        svg: Annotated[Path | None, typer.Option("--svg", help="Write the picture.")] = None,
        json_: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        _run(architecture or [], prove, html, svg, json_)


def _run(chosen: list[str], prove: bool, html: Path | None, svg: Path | None, json_: bool) -> None:
    from precls_theory.certificate import Certificate, certify
    from precls_theory.expressivity.atlas import ARCHITECTURES, TARGETS, check_cell
    from precls_theory.pictures import atlas as atlas_picture
    from precls_theory.registry import all_theorems

    watch = Stopwatch()
    known = {row.id: row for row in ARCHITECTURES}
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise typer.BadParameter(f"unknown architecture {', '.join(unknown)}: choose from {', '.join(known)}")
    for path in (html, svg):
        if path is not None and not path.parent.is_dir():
            raise typer.BadParameter(f"cannot write {path}: the folder {path.parent} does not exist")
    selected = [row for row in ARCHITECTURES if not chosen or row.id in chosen]
    used = list(dict.fromkeys(id for row in selected for id in row.theorems.values())) if prove else []
    theorems = all_theorems() if prove else {}
    cells, certificates = [], list[Certificate]()
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=err, transient=True
    )  # fmt: skip
    with bar:
        task = bar.add_task("checking", total=len(selected) * len(TARGETS) + len(used))
        for row in selected:
            bar.update(task, description=row.name)
            for target in TARGETS:
                cells.append(check_cell(row, target))
                bar.advance(task)
        for id in used:
            bar.update(task, description=id)
            certificates.append(certify(theorems[id]))
            bar.advance(task)
    if html is not None:
        write_output(html, atlas_picture.html(cells))
    if svg is not None:
        write_output(svg, atlas_picture.svg(cells))
    refused = [cell for cell in cells if cell.status == "refused"]
    unproved = [certificate for certificate in certificates if certificate.status != "proved"]
    if json_:
        payload = {
            "cells": [cell.to_json() for cell in cells],
            "theorems": [certificate.to_json() for certificate in certificates],
            "all_checked": not refused and not unproved,
        }
        emit_json(payload, watch)
    else:
        colours = {"yes": "green", "no": "dark_orange", "refused": "bold red"}
        signs = {"yes": "✓", "no": "✗", "refused": "!"}
        table = Table(title="What each architecture can express", show_lines=True)
        for heading in ("architecture", *TARGETS.values()):
            table.add_column(heading, overflow="fold")
        for name, row_cells in atlas_picture.rows(cells):
            texts = []
            for cell in row_cells:
                kind = atlas_picture.outcome(cell)
                texts.append(f"[{colours[kind]}]{signs[kind]} {cell.summary}[/]\n[dim]{cell.theorem}[/]")
            table.add_row(name, *texts)
        out.print(table)
        out.print(f"{len(cells) - len(refused)} of {len(cells)} cells checked in {watch.seconds:.1f} s")
        for certificate in certificates:
            out.print(f"{certificate.status:8} {certificate.id} ({certificate.seconds:.1f} s)")
    for path in (html, svg):
        if path is not None:
            err.print(f"wrote {path}")
    if refused or unproved:
        reasons = [f"{cell.architecture} / {cell.target}: {cell.summary}" for cell in refused]
        reasons += [f"theorem {certificate.id}: {certificate.message}" for certificate in unproved]
        fail("the check failed for " + "; ".join(reasons))
