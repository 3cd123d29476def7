"""``precls build``: an exact network from the name of its construction, saved to a file."""

from __future__ import annotations

import inspect
import json as json_module
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from precls_theory.cli.output import Stopwatch, emit_json, fail, out, working
from precls_theory.cli.paths import check_writable
from precls_theory.cli.words import as_options

if TYPE_CHECKING:
    from constructions.networks.base import ExactNetwork

DEFAULTS: dict[str, Any] = {"n_points": 20, "n_dims": 5}
_EXPONENT = re.compile(r"[eE][+-]?([0-9_]+)\s*\Z")


def build(
    algorithm: Annotated[
        str,
        typer.Argument(
            help="Construction: gradient_descent (gd), heavy_ball, chebyshev, newton, read, linear, multiply, …"
        ),
    ],
    n_points: Annotated[int | None, typer.Option(help="Data rows N (20 unless given).")] = None,
    n_dims: Annotated[int | None, typer.Option(help="Unknowns D (5 unless given).")] = None,
    n_steps: Annotated[int | None, typer.Option(help="Steps of gradient descent and its kin.")] = None,
    step_size: Annotated[str | None, typer.Option(metavar="P/Q", help="Step size η, exactly: 1/10 or 0.1.")] = None,
    form: Annotated[
        str | None, typer.Option(help="residual, gram, doubling, tight; newton: direct, residual, doubling.")
    ] = None,
    layout: Annotated[str | None, typer.Option(help="Where x_init stands: A, E or S.")] = None,
    momentum: Annotated[str | None, typer.Option(metavar="P/Q", help="Momentum β of heavy_ball.")] = None,
    lower: Annotated[str | None, typer.Option(metavar="P/Q", help="Least eigenvalue of G/N, for chebyshev.")] = None,
    upper: Annotated[str | None, typer.Option(metavar="P/Q", help="Largest eigenvalue of G/N, for chebyshev.")] = None,
    n_iters: Annotated[int | None, typer.Option(help="Iterates of newton.")] = None,
    alpha: Annotated[str | None, typer.Option(metavar="P/Q", help="Starting point αI of newton.")] = None,
    refinements: Annotated[int | None, typer.Option(help="Residual refinements of newton.")] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Any other parameter, its value in JSON; may be repeated."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to save; without it nothing is saved.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Build an exact network and save it as safetensors; prints its depth, width and number of nonzero weights.

    Numbers are exact: write 1/10 or 0.1. Gradient descent is built in doubling form, layout A, unless told otherwise.

    Examples:

      precls build gd --n-steps 256 --step-size 1/10 -o gd.safetensors

      precls build gradient_descent --form tight --layout E --n-steps 37 --step-size 1/10 -o tight.safetensors

      precls build newton --n-iters 20 --alpha 1/100 --refinements 1 -o newton.safetensors

      precls build read --parameter n_rows=4 --parameter n_channels=3 --parameter source=0 --parameter target=2
      --parameter start=0 --parameter stop=2 -o read.safetensors
    """
    watch = Stopwatch()
    given: dict[str, Any] = {
        "n_points": n_points, "n_dims": n_dims, "n_steps": n_steps, "step_size": step_size, "form": form,
        "layout": layout, "momentum": momentum, "lower": lower, "upper": upper, "n_iters": n_iters, "alpha": alpha,
        "refinements": refinements,
    }  # fmt: skip
    check_writable(output, None, watch if json else None)
    given = {name: value for name, value in given.items() if value is not None}
    for text in parameter or []:
        name, value = parse_parameter(text)
        if name in given:
            raise typer.BadParameter(f"{name} is given twice")
        given[name] = value
    network = construct(algorithm, given)
    if output is not None:
        try:
            network.save(output)
        except (OSError, ValueError) as error:
            fail(str(error), watch if json else None)
    if json:
        emit_json(
            {
                "algorithm": network.algorithm, "parameters": network.parameters, "depth": network.depth,
                "width": network.width, "n_nonzero": network.n_nonzero, "n_rows": network.n_rows,
                "n_inputs": len(network.inputs), "outputs": list(network.outputs), "mode": getattr(network, "mode", None),
                "file": None if output is None else str(output),
            },
            watch,
        )  # fmt: skip
        return
    shown = ", ".join(f"{name}={value}" for name, value in network.parameters.items())
    out.print(escape(f"{network.algorithm}({shown})"), highlight=False, soft_wrap=True)
    out.print(f"depth {network.depth}, width {network.width}, {network.n_nonzero} nonzero weights", highlight=False)
    if output is not None:
        out.print(f"saved to {escape(str(output))}", highlight=False, soft_wrap=True)


def parse_parameter(text: str) -> tuple[str, Any]:
    """``name=value`` with the value in JSON (decimals kept exact, as text), or as plain text where it is not JSON."""
    name, equals, value = text.partition("=")
    name = name.strip().replace("-", "_")
    if not equals or not name.isidentifier():
        raise typer.BadParameter(f"--parameter takes NAME=VALUE, such as n_rows=4, got {text!r}")
    try:
        return name, json_module.loads(value, parse_float=str, parse_constant=str)
    except ValueError:
        return name, value


def construct(algorithm: str, given: dict[str, Any]) -> ExactNetwork:
    """The network, or a usage error in words: an unknown name, an option it does not take, one that is missing."""
    from constructions.networks.construction import ALIASES, CONSTRUCTIONS

    name = ALIASES.get(algorithm, algorithm).replace("-", "_")
    if name not in CONSTRUCTIONS:
        raise typer.BadParameter(
            f"there is no construction {algorithm!r}: choose one of {', '.join(sorted(CONSTRUCTIONS))}"
        )
    accepted = inspect.signature(CONSTRUCTIONS[name]).parameters
    options = ", ".join(_option(parameter) for parameter in accepted)
    for parameter, value in given.items():
        if parameter not in accepted:
            raise typer.BadParameter(f"{name} takes no {_option(parameter)}: it takes {options}")
        exponent = _EXPONENT.search(value) if isinstance(value, str) else None
        if exponent and (len(exponent.group(1)) > 4 or int(exponent.group(1)) > 4000):
            raise typer.BadParameter(f"{_option(parameter)} {value!r}: the exponent is too large to be meant")
    defaults = {parameter: value for parameter, value in DEFAULTS.items() if parameter in accepted}
    parameters = defaults | given
    missing = [
        _option(parameter)
        for parameter, described in accepted.items()
        if described.default is inspect.Parameter.empty and parameter not in parameters
    ]
    if missing:
        raise typer.BadParameter(f"{name} needs {', '.join(missing)}")
    try:
        with working(f"building {name} …"):
            return CONSTRUCTIONS[name](**parameters)
    except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError) as error:
        raise typer.BadParameter(f"{name}: {as_options(str(error), accepted, _named())}") from error


def _option(parameter: str) -> str:
    return f"--{parameter.replace('_', '-')}" if parameter in _named() else f"--parameter {parameter}=…"


def _named() -> set[str]:
    """Parameters that have an option of their own."""
    return {*inspect.signature(build).parameters} - {"algorithm", "parameter", "output", "json"}


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(build)
