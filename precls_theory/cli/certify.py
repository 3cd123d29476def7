"""``precls certify``: constants with ‖F(u)‖ ≤ C0 + C1‖u‖ for a user's own model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from precls_theory.cli.models import load_model, read_shape
from precls_theory.cli.output import Stopwatch, emit_json, fail, out, working

if TYPE_CHECKING:
    from precls_theory.expressivity import GrowthCertificate


def certify(
    model: Annotated[str, typer.Argument(metavar="MODULE:FACTORY", help="A torch.nn.Module, or what returns one.")],
    shape: Annotated[str, typer.Option("--shape", help="Shape of the input: batch, rows, channels.")] = "1,20,6",
    any_growth: Annotated[bool, typer.Option("--any-growth", help="Also growth faster than linear.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Prove how fast a model can grow: ‖F(u)‖ ≤ C0 + C1‖u‖ for every input u of one shape.

    The model is traced by torch.export in its present state, in eval mode; every operation has a rule, and what has none
    is refused in words. Exit code 1 when there is no certificate.

    Examples:

      precls certify my_models:build --shape 1,16,8

      precls certify torchvision.models:resnet18 --shape 1,3,64,64 --json
    """
    watch = Stopwatch()
    input_shape = read_shape(shape)
    from precls_theory.expressivity import Inconclusive

    try:
        certificate = compute(model, input_shape, any_growth)
    except (ValueError, TypeError, Inconclusive) as error:
        if json:
            emit_json({"ok": False, "error": str(error)}, watch)
        fail(str(error))
    render(certificate, watch, json)


def compute(name: str, shape: tuple[int, ...], any_growth: bool) -> GrowthCertificate:
    """The model imported and certified."""
    from precls_theory.expressivity import growth_certificate

    with working(f"importing {name} and tracing it …"):
        return growth_certificate(load_model(name), shape, None if any_growth else 1)


def render(certificate: GrowthCertificate, watch: Stopwatch, json: bool) -> None:
    """The bound, and the rules module by module."""
    if json:
        emit_json({"ok": True} | certificate.to_json(), watch)
        return
    out.print(escape(str(certificate)), soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(certify)
