"""``precls certify``: constants with ‖F(u)‖ ≤ C0 + C1‖u‖ for a user's own model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from precls_theory.cli.models import load_model, prints_to_stderr, read_shape
from precls_theory.cli.output import Stopwatch, emit_json, fail, out, working
from precls_theory.cli.paths import file_name
from precls_theory.cli.progress import steps

if TYPE_CHECKING:
    from precls_theory.expressivity import GrowthCertificate


def certify(
    model: Annotated[
        str | None, typer.Argument(metavar="MODULE:FACTORY", help="A torch.nn.Module, or what returns one.")
    ] = None,
    shape: Annotated[str, typer.Option("--shape", help="Shape of the input: batch, rows, channels.")] = "1,20,6",
    any_growth: Annotated[bool, typer.Option("--any-growth", help="Also growth faster than linear.")] = False,
    coverage: Annotated[
        bool,
        typer.Option("--coverage", help="Which modules of torch.nn and of transformers are certified, and why not."),
    ] = False,
    remake: Annotated[
        Path | None,
        typer.Option(metavar="FILE", parser=file_name, help="With --coverage: certify them all again, into this file."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Prove how fast a model can grow: ‖F(u)‖ ≤ C0 + C1‖u‖ for every input u of one shape.

    The model is traced by torch.export in its present state, in eval mode; every operation has a rule, and what has none
    is refused in words. Exit code 1 when there is no certificate.

    Examples:

      precls certify my_models:build --shape 1,16,8

      precls certify torchvision.models:resnet18 --shape 1,3,64,64 --json

      precls certify --coverage
    """
    watch = Stopwatch()
    if coverage != (model is None) or (remake and not coverage):
        raise typer.BadParameter("give MODULE:FACTORY, or --coverage (with --remake FILE to make the table again)")
    if model is None:
        show_coverage(remake, watch, json)
        return
    input_shape = read_shape(shape)
    from precls_theory.expressivity import Inconclusive

    try:
        certificate = compute(model, input_shape, any_growth)
    except (ValueError, TypeError, Inconclusive) as error:
        words = str(error).replace("exponent=None returns", "--any-growth gives")
        if json:
            emit_json({"ok": False, "error": words}, watch)
        fail(words)
    render(certificate, watch, json)


def compute(name: str, shape: tuple[int, ...], any_growth: bool) -> GrowthCertificate:
    """The model imported and certified."""
    from precls_theory.expressivity import growth_certificate

    with working(f"importing {name} and tracing it …"), prints_to_stderr():
        return growth_certificate(load_model(name), shape, None if any_growth else 1)


def show_coverage(remake: Path | None, watch: Stopwatch, json: bool) -> None:
    """The committed table of modules, or one made now."""
    from precls_theory.expressivity import coverage

    if remake is not None:
        cases = coverage.cases()
        with steps(len(cases), "certifying") as report:
            for case, _ in zip(cases, coverage.remake(cases, remake), strict=True):
                report.begin(f"certified {case.name}")
    try:
        rows, versions = coverage.read_table(remake or coverage.TABLE)
    except (OSError, ValueError) as error:
        fail(f"the table cannot be read: {error}", watch if json else None)
    if json:
        emit_json({"made_with": versions, "rows": [vars(row) | {"outcome": row.outcome} for row in rows]}, watch)
        return
    table = Table(box=box.SIMPLE, padding=(0, 1, 0, 0))
    for column in ("module", "input", "growth certificate", "why not"):
        table.add_column(column, overflow="fold", no_wrap=column != "why not")
    for row in rows:
        table.add_row(row.name, "×".join(map(str, row.shape)), row.outcome, escape(row.reason))
    out.print(table)
    made = ", ".join(f"{name} {version}" for name, version in versions.items())
    certified = sum(row.exponent is not None for row in rows)
    out.print(f"{certified} of {len(rows)} certified, with random weights, by {made}", highlight=False)


def render(certificate: GrowthCertificate, watch: Stopwatch, json: bool) -> None:
    """The bound, and the rules module by module."""
    if json:
        emit_json({"ok": True} | certificate.to_json(), watch)
        return
    out.print(escape(str(certificate)), soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(certify)
