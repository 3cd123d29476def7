"""``precls compile``: polynomials into one exact network of the least depth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from precls_theory.cli.columns import Column, show
from precls_theory.cli.expressions import ExpressionCommand
from precls_theory.cli.output import Stopwatch, emit_json, err, fail, out, printable, working
from precls_theory.cli.paths import check_writable, file_name
from precls_theory.cli.progress import building

if TYPE_CHECKING:
    from constructions.compiler.expansion import Term
    from constructions.networks.network import Network
    from precls_theory.checking.check import CheckResult


@dataclass(frozen=True)
class Compiled:
    """The network, the proof that it equals the polynomials, and the variables in the order of its input."""

    network: Network
    proof: CheckResult
    variables: list[str]
    n_polynomials: int


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
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", parser=file_name, help="Where to save; without it nothing is saved."
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", parser=file_name, help="Draw the network, layer by layer: .png, .svg or .pdf."),
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
    polynomials, names = read(expressions, variables)
    announce(polynomials)
    compiled = compute(polynomials, names)
    if not compiled.proof.ok:
        fail(f"the compiled network is wrong, please report this: {compiled.proof.message}", watch if json else None)
    try:
        write(compiled.network, output, plot)
    except (OSError, ValueError) as error:
        fail(str(error), watch if json else None)
    render(compiled, output, plot, watch, json)


def read(expressions: list[str], variables: str | None) -> tuple[list[list[Term]], list[str]]:
    """The polynomials, multiplied out, and the names of their variables; a usage error for what cannot be read, and for
    what is no polynomial over Q or has too many terms."""
    from constructions.approximation.expressions import as_symbols
    from constructions.approximation.parser import parse_expression
    from constructions.compiler.expansion import polynomial_terms

    names = None if variables is None else [name.strip() for name in variables.split(",") if name.strip()]
    try:
        parsed = [parse_expression(text, names, functions=False) for text in expressions]
        if names is None:
            names = sorted({str(symbol) for expr in parsed for symbol in expr.free_symbols})
        symbols = as_symbols(names, parsed)
        with working("multiplying out …"):
            return [polynomial_terms(expr, symbols) for expr in parsed], names
    except (TypeError, ValueError) as error:
        raise typer.BadParameter(str(error), param_hint="POLYNOMIAL") from error


def announce(polynomials: list[list[Term]]) -> None:
    """Say what many terms cost, before the work."""
    from constructions.compiler.monomials import degree, minimal_depth
    from constructions.compiler.search import LARGE

    exponents = [[tuple(exponents) for exponents, _ in terms] for terms in polynomials]
    count, levels = sum(map(len, exponents)), minimal_depth(exponents)
    if count > LARGE:
        err.print(
            f"{count} terms of degree {max(map(degree, exponents))}: products are searched on {levels} levels, which takes "
            "0.3 to 3 seconds a thousand terms and level; a sum of few powers or products is smaller as a circuit in Python",
            highlight=False,
            soft_wrap=True,
        )


def compute(terms: list[list[Term]], names: list[str]) -> Compiled:
    """Compile the polynomials and prove the network; a usage error for more terms than are compiled."""
    from constructions.compiler.polynomials import polynomials
    from precls_theory.checking.check import check

    try:
        with building("the network"):
            network = polynomials(variables=names, polynomials=terms)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="POLYNOMIAL") from error
    with working("proving …"):
        return Compiled(network, check(network), names, len(terms))


def write(network: Network, output: Path | None, plot: Path | None) -> None:
    """Save and draw the network where that was asked for."""
    if output is not None:
        network.save(output)
    if plot is not None:
        from precls_theory.pictures.circuit import draw

        draw(network, plot)


def facts(network: Network) -> dict[str, int]:
    """Sizes of the network and of the polynomials."""
    from constructions.compiler.monomials import degree, plain_width
    from constructions.compiler.polynomials import PolynomialParameters
    from constructions.networks.parameters import recorded

    terms = [
        [tuple(exponents) for exponents, _ in polynomial]
        for polynomial in recorded(network.parameters, PolynomialParameters)["polynomials"]
    ]
    return {
        "depth": network.depth,
        "width": network.width,
        "n_nonzero": network.n_nonzero,
        "degree": max(map(degree, terms)),
        "plain_width": plain_width(terms),
        "n_terms": sum(map(len, terms)),
    }


def render(compiled: Compiled, output: Path | None, plot: Path | None, watch: Stopwatch, json: bool) -> None:
    """The document, or a table of sizes, the hidden channels by layer and what was proved."""
    network, proof, found = compiled.network, compiled.proof, facts(compiled.network)
    if json:
        proved = {"method": proof.method, "failure_probability_log2": proof.failure_probability_log2}
        more = {
            "variables": compiled.variables,
            "n_polynomials": compiled.n_polynomials,
            "layer_widths": [layer.width for layer in network.layers],
            "proved": proved,
            "file": None if output is None else str(output),
            "plot": None if plot is None else str(plot),
        }
        emit_json(found | more, watch)
        return
    count = compiled.n_polynomials
    title = f"{count} polynomial{'s' * (count > 1)} in {', '.join(compiled.variables) or 'no variables'}"
    shown = ("degree", "n_terms", "depth", "width", "plain_width", "n_nonzero")
    headings = ("degree", "terms", "depth", "width", "plain width", "nonzero weights")
    show(title, *(Column(heading, [str(found[key])]) for heading, key in zip(headings, shown, strict=True)))
    out.print(f"hidden channels by layer: {', '.join(str(layer.width) for layer in network.layers)}", highlight=False)
    out.print(f"[bold green]proved:[/] {escape(proof.message)}", highlight=False, soft_wrap=True)
    for what, path in (("saved to", output), ("drawn in", plot)):
        if path is not None:
            out.print(f"{what} {escape(printable(path))}", highlight=False, soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(name="compile", cls=ExpressionCommand)(compile_command)
