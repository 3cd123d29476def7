"""``precls approximate``: a smooth function as a network with a proven error."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typer._click.core import Context

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from precls_theory.cli.expressions import ExpressionCommand
from precls_theory.cli.output import Stopwatch, emit_json, fail, out, working, wrote
from precls_theory.cli.paths import check_writable, file_name

if TYPE_CHECKING:
    import sympy as sp

    from constructions.approximation.chebyshev_network import Approximation

EXAMPLES = """A network for smooth functions of one to three variables, with a proven bound on its error.

The polynomial is a Chebyshev interpolant, shortened; its error is proved with Arb balls, not sampled, and the network
evaluates it in ⌈log2 degree⌉ layers. The file of -o stores degrees and coefficients, and `precls check` checks it.
Expressions use + - * / **, numbers such as 0.1 or 1/3 (exact), pi, E and functions such as exp, sin, sqrt, erf, tanh,
gelu, sigmoid; nothing in them is executed. Write -- before an expression that begins with a minus sign.

Examples:

  precls approximate "exp(sin(3*x))" --domain -1 1 --tolerance 1e-10

  precls approximate "1/(1 + 25*x**2)" --domain -1 1 --tolerance 1e-8 --plot error.png -o runge.safetensors

  precls approximate "exp(x*y)" --domain x=-1,1 --domain y=0,1/2 --tolerance 1e-8 --verify --json

  precls approximate "1/(1 + 25*x**2)" --domain -1 1 --load runge.safetensors

The last proves the error of a saved network, from its weights. Several expressions make one network with several
outputs. An interval without a name is for the only variable.
Exit code 1 when no bound could be proved (a pole in the domain, a function that is not smooth), 2 for bad usage.
"""


class ApproximateCommand(ExpressionCommand):
    """Lets ``--domain`` take an interval as two numbers (``-1 1``) as well as one text (``x=-1,1``)."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, join_intervals(args))


def join_intervals(args: list[str]) -> list[str]:
    """``--domain -1 1``, ``--domain "-1 1"`` and ``--domain x=-1,1`` as ``--domain=-1,1`` and ``--domain=x=-1,1``."""
    joined: list[str] = []
    rest = list(args)
    while rest:
        arg = rest.pop(0)
        if arg == "--":
            return [*joined, arg, *rest]
        if arg == "--domain" and rest:
            ends = rest.pop(0).replace(",", " ").split()
            if len(ends) < 2 and rest:
                ends.append(rest.pop(0))
            arg = f"--domain={','.join(ends)}"
        joined.append(arg)
    return joined


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(
        "approximate",
        help=EXAMPLES,
        short_help="A smooth function as a network with a proven error.",
        cls=ApproximateCommand,
    )
    def approximate(
        expressions: Annotated[list[str], typer.Argument(metavar="EXPRESSION...", help="The functions.")],
        domain: Annotated[
            list[str],
            typer.Option("--domain", metavar="[NAME=]LOW HIGH", help="The interval of a variable (repeatable)."),
        ],
        tolerance: Annotated[str, typer.Option("--tolerance", "-t", help="The largest error allowed.")] = "1e-6",
        output: Annotated[
            Path | None,
            typer.Option("--output", "-o", metavar="FILE", parser=file_name, help="Save the network to this file."),
        ] = None,
        plot: Annotated[
            Path | None,
            typer.Option("--plot", metavar="FILE", parser=file_name, help="Plot the error against the bound."),
        ] = None,
        verify: Annotated[
            bool, typer.Option("--verify", help="Prove the error once more, from the weights alone.")
        ] = False,
        load: Annotated[
            Path | None, typer.Option("--load", metavar="FILE", help="Prove the error of this saved network instead.")
        ] = None,
        json_: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        watch = Stopwatch()
        check_writable(output, plot, watch if json_ else None, inputs=() if load is None else (load,))
        problem = _read(expressions, domain, tolerance)
        try:
            result = compute(problem, verify or load is not None, load)
            write(result, problem, output, plot)
        except (ValueError, OSError) as error:
            fail(str(error), watch if json_ else None)
        render(expressions, problem, result, output, plot, watch, json_)
        wrote(output, plot)
        if result.proved_again is not None and result.proved_again > result.network.error_bound:
            bound, proved = above(result.network.error_bound), above(result.proved_again)
            fail(f"the weights prove only {proved:.6g}, above the bound {bound:.6g}")


@dataclass(frozen=True)
class Problem:
    """The functions, the interval of each variable, and the largest error allowed."""

    functions: list[sp.Expr]
    domain: dict[str, tuple[Fraction, Fraction]]
    tolerance: Fraction


@dataclass(frozen=True)
class Result:
    """The network, the error proved from its weights where that was asked for, and the measured errors by name."""

    network: Approximation
    proved_again: Fraction | None
    measured: dict[str, float]


def compute(problem: Problem, verify: bool, load: Path | None) -> Result:
    """Build the network or load it, prove its error once more with ``verify``, and measure it."""
    import constructions as C
    from precls_theory.approximation.error import chebyshev_error, measure

    functions, domain = problem.functions, problem.domain
    with working("approximating …"):
        network = (
            C.approximate(functions, domain, problem.tolerance) if load is None else _load(load, domain, len(functions))
        )
    proved_again: Fraction | None = None
    if verify:
        with working("proving the error from the weights …"):
            proved_again = chebyshev_error(network, functions)
    with working("measuring …"):
        return Result(network, proved_again, measure(network, functions, n_points=300))


def write(result: Result, problem: Problem, output: Path | None, plot: Path | None) -> None:
    """Draw the error and save the network where that was asked for."""
    if plot is not None:
        from precls_theory.pictures.approximation import plot_error

        plot_error(result.network, problem.functions, plot)
    if output is not None:
        result.network.save(output)


def render(
    texts: list[str],
    problem: Problem,
    result: Result,
    output: Path | None,
    plot: Path | None,
    watch: Stopwatch,
    json: bool,
) -> None:
    """The document, or a table of sizes and errors."""
    facts = _facts(result.network, result.proved_again, result.measured)
    if json:
        given = {
            "expressions": [str(function) for function in problem.functions],
            "domain": {name: [str(low), str(high)] for name, (low, high) in problem.domain.items()},
            "tolerance": float(problem.tolerance),
        }
        written = {"output": None if output is None else str(output), "plot": None if plot is None else str(plot)}
        emit_json(given | facts | {"error_bound_exact": str(result.network.error_bound)} | written, watch)
        return
    out.print(_table("; ".join(texts), facts))
    out.print(f"the bound is proved on {escape(_show(problem.domain))} ({watch.seconds:.1f} s)", highlight=False)


def _facts(network: Approximation, proved_again: Fraction | None, measured: dict[str, float]) -> dict[str, object]:
    """What is reported; ``None`` for an error in a floating-point type that the network overflows."""
    facts: dict[str, object] = {
        "depth": network.depth,
        "width": network.width,
        "n_nonzero": network.n_nonzero,
        "degree": network.degree,
        "error_bound": above(network.error_bound),
    }
    if proved_again is not None:
        facts["error_bound_from_weights"] = above(proved_again)
    errors = {f"measured_error_{name}": value if math.isfinite(value) else None for name, value in measured.items()}
    return facts | errors


def _table(title: str, facts: dict[str, object]) -> Table:
    table = Table(title=escape(title), show_header=False)
    for name, value in facts.items():
        shown = "overflows" if value is None else f"{value:.3e}" if isinstance(value, float) else str(value)
        table.add_row(name.replace("_", " ").replace("n nonzero", "nonzero weights"), shown)
    return table


def _load(path: Path, domain: dict[str, tuple[Fraction, Fraction]], n_functions: int) -> Approximation:
    """The approximation saved at ``path``; ``ValueError`` when it is for other variables, intervals or outputs."""
    import constructions as C
    from precls_theory.approximation.error import function_task

    network = C.load(path)
    task, box = function_task(network)
    saved = dict(zip(task.variables, box, strict=True))
    if saved != domain or len(task.columns) != n_functions:
        raise ValueError(
            f"{path} holds {len(task.columns)} functions on {_show(saved)}; got {n_functions} expressions on {_show(domain)}"
        )
    if not isinstance(network, C.Approximation):
        raise ValueError(f"{path} computes its functions exactly: `precls check` proves that")
    return network


def above(value: Fraction) -> float:
    """The least float that is not below ``value``."""
    nearest = float(value)
    return nearest if Fraction(nearest) >= value else math.nextafter(nearest, math.inf)


def _show(domain: dict[str, tuple[Fraction, Fraction]]) -> str:
    return ", ".join(f"{name} in [{low}, {high}]" for name, (low, high) in domain.items())


def _read(texts: list[str], intervals: list[str], tolerance: str) -> Problem:
    """The functions, domain and tolerance of the command line; ``typer.BadParameter`` for what cannot be read."""
    from constructions.approximation.parser import parse_expression

    try:
        functions = [parse_expression(text) for text in texts]
        names = sorted({str(symbol) for function in functions for symbol in function.free_symbols})
        domain: dict[str, tuple[Fraction, Fraction]] = {}
        for text in intervals:
            name, separator, ends = text.rpartition("=")
            if not separator:
                if len(names) > 1:
                    raise ValueError(f"the interval {text} is for one of {', '.join(names)}: write NAME={text}")
                name = names[0] if names else "x"
            if name in domain:
                raise ValueError(f"two intervals are given for {name}")
            pair = ends.split(",")
            if len(pair) != 2:
                raise ValueError(f"--domain takes an interval as LOW HIGH or LOW,HIGH, got {ends!r}")
            domain[name] = (_number("the domain", pair[0]), _number("the domain", pair[1]))
            if domain[name][0] >= domain[name][1]:
                raise ValueError(f"the domain of {name} is empty: expected LOW < HIGH, got {ends}")
        missing = [name for name in names if name not in domain]
        if missing:
            raise ValueError(f"no --domain is given for {', '.join(missing)}: add --domain {missing[0]}=LOW,HIGH")
        unused = [name for name in domain if names and name not in names]
        if unused:
            raise ValueError(f"--domain names {', '.join(unused)}, which does not occur in the expression")
        bound = _number("the tolerance", tolerance)
        if bound <= 0:
            raise ValueError(f"the tolerance must be above zero, got {tolerance}")
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    return Problem(functions, domain, bound)


def _number(what: str, text: str) -> Fraction:
    """An exact rational number, written as a person does: ``-1``, ``0.1``, ``1e-10``, ``1/3``."""
    from constructions.approximation.parser import parse_expression

    if text.strip().lower().lstrip("+-") in ("inf", "infinity", "nan"):
        raise ValueError(f"{what} must be finite, got {text}")
    value = parse_expression(text, [])
    if not value.is_Rational:
        raise ValueError(f"{what} must be a rational number such as 0.1 or 1/3, got {text}")
    return Fraction(int(value.p), int(value.q))
