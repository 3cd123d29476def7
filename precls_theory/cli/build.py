"""``precls build``: an exact network from the name of its construction, saved to a file."""

from __future__ import annotations

import functools
import inspect
import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

import typer
import typer.main
from rich.markup import escape
from typer.core import TyperCommand

from precls_theory.cli.output import Stopwatch, emit_json, fail, out, printable
from precls_theory.cli.paths import check_writable, file_name
from precls_theory.cli.progress import building
from precls_theory.cli.words import as_options

if TYPE_CHECKING:
    from typer._click.core import Context
    from typer._click.core import Parameter as Option

    from constructions.networks.base import ExactNetwork
    from constructions.networks.parameters import Parameter

DECLARED = f"{__name__}.declared"


class BuildCommand(TyperCommand):
    """The command with an option for each parameter that some construction declares, read when it is called."""

    def get_params(self, ctx: Context) -> list[Option]:
        own = super().get_params(ctx)
        taken = {parameter.name for parameter in own}
        return [*own[:1], *(option for option in _options() if option.name not in taken), *own[1:]]


@functools.cache
def _options() -> list[Option]:
    """An option a name, with the words of all constructions that take it."""
    from constructions.networks.construction import CONSTRUCTIONS, parameters_of
    from constructions.networks.parameters import Count

    takers: dict[str, dict[str, Parameter]] = {}
    for algorithm in sorted(CONSTRUCTIONS):
        for parameter in parameters_of(algorithm).values():
            if parameter.declaration is not None and parameter.declaration.metavar != "JSON":
                takers.setdefault(parameter.name, {})[algorithm] = parameter
    wanted: list[inspect.Parameter] = []
    for name, by_algorithm in takers.items():
        declarations = [parameter.declaration for parameter in by_algorithm.values() if parameter.declaration]
        counts = all(isinstance(declaration, Count) for declaration in declarations)
        choices = {
            d.metavar: a for a, d in reversed(list(zip(by_algorithm, declarations, strict=True))) if "|" in d.metavar
        }
        words = "; ".join(dict.fromkeys(declaration.help for declaration in declarations if declaration.help))
        words = f"{words[:1].upper()}{words[1:]}" or "; ".join(
            f"{algorithm}: {metavar}" for metavar, algorithm in sorted(choices.items())
        )
        usual = next((d.usual for d in declarations if isinstance(d, Count) and d.usual is not None), None)
        default = "" if usual is None else f" ({usual} unless given)"
        option = typer.Option(
            f"--{name.replace('_', '-')}", help=f"{words}{default}.",
            metavar="WORD" if choices else declarations[0].metavar,
        )  # fmt: skip
        annotation: object = Annotated[int | None, option] if counts else Annotated[str | None, option]
        wanted.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation))
    return _from_signature(wanted)


def _from_signature(parameters: list[inspect.Parameter]) -> list[Option]:
    """What typer makes of a command with these parameters: options that keep what they are given in the context."""

    def command(**_: object) -> None: ...

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    application = typer.Typer(add_completion=False)
    application.command()(command)
    options = [option for option in typer.main.get_command(application).params if option.name != "help"]
    for option in options:
        option.expose_value, option.callback = False, _keep
    return options


def _keep(ctx: Context, option: Option, value: object) -> object:
    if value is not None:
        ctx.meta.setdefault(DECLARED, {})[option.name] = value
    return value


def build(
    ctx: typer.Context,
    algorithm: Annotated[
        str, typer.Argument(help="Construction: gradient_descent (gd), newton, read, …; --list shows all.")
    ] = "",
    parameter: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Any parameter, its value in JSON; may be repeated."),
    ] = None,
    list_all: Annotated[bool, typer.Option("--list", help="The constructions and what each takes.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", parser=file_name, help="Where to save; without it nothing is saved."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Build an exact network and save it as safetensors; prints its depth, width and number of nonzero weights.

    Numbers are exact: write 1/10 or 0.1. Gradient descent is built in doubling form, layout A, unless told otherwise.

    Examples:

      precls build gd --n-steps 256 --step-size 1/10 -o gd.safetensors

      precls build gradient_descent --form tight --layout E --n-steps 37 --step-size 1/10 -o tight.safetensors

      precls build newton --n-iters 20 --alpha 1/100 --refinements 1 -o newton.safetensors

      precls build read --n-rows 4 --n-channels 3 --source 0 --target 2 --start 0 --stop 2 -o read.safetensors

      precls build linear_attention_gradient_descent --form ternary --n-steps 40 --step-size 1/10 -o attention.safetensors
    """
    watch = Stopwatch()
    if list_all:
        _show_constructions(json, watch)
        return
    if not algorithm:
        raise typer.BadParameter("name a construction, such as gd; --list shows all", param_hint="ALGORITHM")
    given: dict[str, object] = dict(ctx.meta.get(DECLARED, {}))
    check_writable(output, None, watch if json else None)
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
                "n_inputs": len(network.inputs), "outputs": list(network.outputs),
                "mode": getattr(network, "mode", None) or getattr(network, "mask", None),
                "file": None if output is None else str(output),
            },
            watch,
        )  # fmt: skip
        return
    shown = ", ".join(f"{name}={value}" for name, value in network.parameters.items())
    out.print(escape(f"{network.algorithm}({shown})"), highlight=False, soft_wrap=True)
    out.print(f"depth {network.depth}, width {network.width}, {network.n_nonzero} nonzero weights", highlight=False)
    if output is not None:
        out.print(f"saved to {escape(printable(output))}", highlight=False, soft_wrap=True)


class ListedParameter(TypedDict):
    """A parameter of a construction, as ``--list`` shows it."""

    name: str
    required: bool
    value: str
    help: str


def _show_constructions(json: bool, watch: Stopwatch) -> None:
    from constructions.networks.construction import CONSTRUCTIONS, parameters_of

    listed: dict[str, list[ListedParameter]] = {}
    for algorithm in sorted(CONSTRUCTIONS):
        listed[algorithm] = [
            {
                "name": parameter.name, "required": parameter.required,
                "value": parameter.declaration.metavar if parameter.declaration else "JSON",
                "help": parameter.declaration.help if parameter.declaration else "",
            }
            for parameter in parameters_of(algorithm).values()
        ]  # fmt: skip
    if json:
        emit_json({"constructions": listed}, watch)
        return
    for algorithm, parameters in listed.items():
        out.print(f"[bold]{algorithm}[/]", highlight=False)
        for entry in parameters:
            words = f"{entry['help']}{'' if entry['required'] else ' (may be left out)'}".strip()
            out.print(
                f"  {_option(entry['name']):24} {escape(entry['value'])}  {escape(words)}",
                highlight=False,
                soft_wrap=True,
            )


def parse_parameter(text: str) -> tuple[str, object]:
    """``name=value`` with the value in JSON (decimals kept exact, as text), or as plain text where it is not JSON."""
    name, equals, value = text.partition("=")
    name = name.strip().replace("-", "_")
    if not equals or not name.isidentifier():
        raise typer.BadParameter(f"--parameter takes NAME=VALUE, such as n_rows=4, got {text!r}")
    try:
        return name, json_module.loads(value, parse_float=str, parse_constant=str)
    except ValueError:
        return name, value


def construct(algorithm: str, given: dict[str, object]) -> ExactNetwork:
    """The network, or a usage error in words: an unknown name, an option it does not take, one that is missing."""
    from constructions.networks.construction import ALIASES, CONSTRUCTIONS, parameters_of
    from constructions.networks.parameters import Count, Switch

    name = ALIASES.get(algorithm, algorithm).replace("-", "_")
    if name not in CONSTRUCTIONS:
        raise typer.BadParameter(
            f"there is no construction {algorithm!r}: choose one of {', '.join(sorted(CONSTRUCTIONS))}"
        )
    accepted = parameters_of(name)
    options = ", ".join(map(_option, accepted))
    values: dict[str, object] = {}
    for parameter, described in accepted.items():
        if isinstance(described.declaration, Count) and described.declaration.usual is not None:
            values[parameter] = described.declaration.usual
    for parameter, value in given.items():
        if parameter not in accepted:
            raise typer.BadParameter(f"{name} takes no {_option(parameter)}: it takes {options}")
        if isinstance(accepted[parameter].declaration, Switch) and value in ("true", "false"):
            value = value == "true"
        values[parameter] = value
    missing = [
        _option(parameter)
        for parameter, described in accepted.items()
        if described.required and parameter not in values
    ]
    if missing:
        raise typer.BadParameter(f"{name} needs {', '.join(missing)}")
    try:
        with building(name):
            return CONSTRUCTIONS[name](**values)
    except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError) as error:
        raise typer.BadParameter(f"{name}: {as_options(str(error), accepted, _named())}") from error


def _option(parameter: str) -> str:
    return f"--{parameter.replace('_', '-')}" if parameter in _named() else f"--parameter {parameter}=…"


def _named() -> set[str]:
    """Parameters that have an option of their own."""
    return {option.name for option in _options()} - {*inspect.signature(build).parameters}


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(cls=BuildCommand)(build)
