"""``precls counterexample``: an input at which a user's own model provably misses a polynomial target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from precls_theory.cli.models import load_model, prints_to_stderr, read_shape
from precls_theory.cli.output import Stopwatch, emit_json, fail, out, working

if TYPE_CHECKING:
    from precls_theory.expressivity import Counterexample


def counterexample(
    model: Annotated[str, typer.Argument(metavar="MODULE:FACTORY", help="A torch.nn.Module, or what returns one.")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="square, multiply or gradient_descent.")],
    shape: Annotated[str, typer.Option("--shape", help="Shape of the input: batch, rows, channels.")] = "1,20,6",
    margin: Annotated[float, typer.Option(min=0, help="How large a miss is asked for.")] = 1.0,
    step_size: Annotated[str, typer.Option(help="The step of gradient_descent, a number or a fraction.")] = "1",
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Find an input at which a model provably misses a target, and measure the miss there.

    The proof is a growth certificate; the miss is then enclosed in ball arithmetic where every operation allows it. Exit
    code 1 where no miss can be proved.

    Examples:

      precls counterexample my_models:build square --shape 1,16,8

      precls counterexample my_models:build gradient_descent --shape 1,21,6 --step-size 1/10 --json
    """
    watch = Stopwatch()
    input_shape = read_shape(shape)
    if len(input_shape) != 3:
        raise typer.BadParameter(f"expected batch, rows and channels, got {shape}", param_hint="--shape")
    from precls_theory.expressivity import Inconclusive

    try:
        found = compute(model, target, margin, (input_shape[0], input_shape[1], input_shape[2]), step_size)
    except (ValueError, TypeError, Inconclusive) as error:
        words = str(error).replace("give a region to compare", "in Python, a region compares")
        if json:
            emit_json({"ok": False, "error": words}, watch)
        fail(words)
    render(found, watch, json)


def compute(name: str, target: str, margin: float, shape: tuple[int, int, int], step_size: str) -> Counterexample:
    """The model imported, certified, and missed."""
    from precls_theory.expressivity import counterexample as search

    with working(f"importing {name}, tracing it and searching …"), prints_to_stderr():
        return search(load_model(name), target, margin, shape, step_size=step_size)  # type: ignore[arg-type]


def render(found: Counterexample, watch: Stopwatch, json: bool) -> None:
    """The miss in a few lines, or the whole input as JSON."""
    if json:
        emit_json({"ok": True} | found.to_json(), watch)
        return
    largest = float(abs(found.input).max())
    out.print(f"misses {found.target} by at least {found.proven_miss:.6g} (asked for {found.margin:g})", soft_wrap=True)
    out.print(
        f"at an input whose largest entry is {largest:g}; measured in float64: {found.miss_float64:.6g}", soft_wrap=True
    )
    if found.miss_low is not None:
        out.print(f"enclosed in ball arithmetic: [{found.miss_low:.6g}, {found.miss_high:.6g}]", soft_wrap=True)
    else:
        out.print(found.note, soft_wrap=True)
    if found.direct_scale is not None:
        out.print(f"and by {found.direct_miss:.6g} already where that entry is {found.direct_scale:g}", soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(counterexample)
