"""``precls compile``: polynomials into one exact network of the least depth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from constructions.approximation.parser import parse_expression
from constructions.compiler.monomials import degree, plain_width
from constructions.compiler.polynomials import compile_polynomials
from constructions.networks.network import Network
from precls_theory.checking.check import check
from precls_theory.cli.output import Stopwatch, emit_json, err, fail, out
from precls_theory.cli.paths import check_writable


def compile_command(
    expressions: Annotated[
        list[str],
        typer.Argument(metavar="POLYNOMIAL...", help="Polynomials with rational coefficients; ** is the power."),
    ],
    variables: Annotated[
        str | None,
        typer.Option(metavar="X,Y,…", help="Variables in the order of the input; sorted by name unless given."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to save; without it nothing is saved.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the network, layer by layer: .png, .svg or .pdf.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Compile polynomials into one exact network, and prove that it equals them.

    The depth is max(1, ⌈log2 degree⌉), and no network has fewer layers. Products are shared among all outputs; the
    width of the plain way (every monomial by its own balanced tree) is printed beside. Nothing in an expression is
    executed: numbers, names, + - * / and ** are all it may hold, and 0.1 is 1/10. Put -- before a polynomial that
    starts with a minus.

    Examples:

      precls compile "x**2*y - 3*z" "x*y"

      precls compile "x**4*y**2 + x**2*y**4 - 3*x**2*y**2 + 1" -o motzkin.safetensors --plot motzkin.png

      precls compile --variables x,y,z --json -- "-x/3 + y*z"
    """
    watch = Stopwatch()
    check_writable(output, plot, watch if json else None)
    names = None if variables is None else [name.strip() for name in variables.split(",") if name.strip()]
    try:
        parsed = [parse_expression(text, names, functions=False) for text in expressions]
        if names is None:
            names = sorted({str(symbol) for expr in parsed for symbol in expr.free_symbols})
        with err.status("compiling …"):
            network = compile_polynomials(parsed, names)
    except (TypeError, ValueError) as error:
        raise typer.BadParameter(str(error), param_hint="POLYNOMIAL") from error
    with err.status("proving …"):
        proof = check(network)
    if not proof.ok:
        fail(f"the compiled network is wrong, please report this: {proof.message}", watch if json else None)
    try:
        _write(network, output, plot)
    except (OSError, ValueError) as error:
        fail(str(error), watch if json else None)
    terms = [[tuple(exponents) for exponents, _ in polynomial] for polynomial in network.parameters["polynomials"]]
    facts = {
        "depth": network.depth,
        "width": network.width,
        "n_nonzero": network.n_nonzero,
        "degree": max(map(degree, terms)),
        "plain_width": plain_width(terms),
        "n_terms": sum(map(len, terms)),
    }
    if json:
        emit_json(
            facts
            | {
                "variables": names,
                "n_polynomials": len(parsed),
                "layer_widths": [layer.width for layer in network.layers],
                "proved": {"method": proof.method, "failure_probability_log2": proof.failure_probability_log2},
                "file": None if output is None else str(output),
                "plot": None if plot is None else str(plot),
            },
            watch,
        )
        return
    table = Table(title=f"{len(parsed)} polynomial{'s' * (len(parsed) > 1)} in {', '.join(names) or 'no variables'}")
    for column in ("degree", "terms", "depth", "width", "plain width", "nonzero weights"):
        table.add_column(column, justify="right")
    shown = (facts[key] for key in ("degree", "n_terms", "depth", "width", "plain_width", "n_nonzero"))
    table.add_row(*map(str, shown))
    out.print(table)
    out.print(f"hidden channels by layer: {', '.join(str(layer.width) for layer in network.layers)}", highlight=False)
    out.print(f"[bold green]proved:[/] {escape(proof.message)}", highlight=False, soft_wrap=True)
    for what, path in (("saved to", output), ("drawn in", plot)):
        if path is not None:
            out.print(f"{what} {escape(str(path))}", highlight=False, soft_wrap=True)


def _write(network: Network, output: Path | None, plot: Path | None) -> None:
    if output is not None:
        network.save(output)
    if plot is not None:
        from precls_theory.pictures.circuit import draw

        draw(network, plot)


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(name="compile")(compile_command)
