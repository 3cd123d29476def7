"""``precls check``: does a saved network compute what it claims, exactly?"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from constructions.files.reading import CorruptFileError, load
from precls_theory.checking.check import check as check_network
from precls_theory.cli.output import Stopwatch, emit_json, err, fail, out, progress


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
        with err.status("reading and rebuilding …"):
            network = load(file)
    except (CorruptFileError, OSError) as error:
        if json:
            emit_json({"ok": False, "algorithm": None, "first_difference": None, "error": str(error)}, watch)
        fail(str(error))

    def rounds(primes: Iterable[int], total: int) -> Iterable[int]:
        return progress(primes, "checking modulo random primes", total)

    result = check_network(network, seed=seed, progress=rounds)
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
