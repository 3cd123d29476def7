"""``precls check``: does a saved network compute what it claims, exactly?"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from precls_theory.cli.output import Stopwatch, emit_json, fail, out, progress, working

if TYPE_CHECKING:
    from precls_theory.checking.check import CheckResult


def check(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, metavar="FILE", help="A file written by precls build.")
    ],
    seed: Annotated[
        int | None, typer.Option(min=0, help="Replay the random primes and points of an earlier check.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Prove that a saved network computes what it claims, and that every stored number is as the construction has it.

    Equality is proved at every row that the layout declares exact: as polynomials over Q where that is small, else by
    residues modulo random primes with a failure probability of at most 2^-60. A network that differs is refused: with
    the first output that differs and an input that shows it, or with the stored number that no output feels. Exit code
    1 when refused, and for a file that is cut off, foreign or inconsistent.

    Examples:

      precls check gd.safetensors

      precls check gd.safetensors --json
    """
    watch = Stopwatch()
    try:
        result = compute(file, seed)
    except (ValueError, OSError) as error:
        if json:
            emit_json({"ok": False, "algorithm": None, "first_difference": None, "error": str(error)}, watch)
        fail(str(error))
    render(file, result, watch, json)


def compute(file: Path, seed: int | None) -> CheckResult:
    """The file read and checked; ``CorruptFileError`` or ``OSError`` where it cannot be read."""
    if not file.is_file():
        raise OSError(f"cannot read {file}: it is no regular file")
    with working(f"reading {file} and rebuilding its construction …"):
        from constructions.files.reading import load

        network = load(file)
    from precls_theory.checking.check import check as check_network

    def rounds(primes: Iterable[int], total: int) -> Iterable[int]:
        return progress(primes, "checking modulo random primes", total)

    return check_network(network, seed=seed, progress=rounds)


def render(file: Path, result: CheckResult, watch: Stopwatch, json: bool) -> None:
    """The verdict; exit code 1 for a network that is refused."""
    if json:
        emit_json(result.to_json() | {"file": str(file)}, watch)
    if not result.ok:
        fail(f"{file} is refused: {result.message}")
    if not json:
        out.print(
            f"[bold green]ok:[/] {escape(result.message)} ({watch.seconds:.2f} s)", highlight=False, soft_wrap=True
        )


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(check)
