"""``precls check``: does a saved network compute what it claims, exactly?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from precls_theory.cli.kernels import Kernel
from precls_theory.cli.output import Stopwatch, emit_json, fail, out, progress, show_error, working
from precls_theory.cli.progress import steps

if TYPE_CHECKING:
    from precls_theory.checking.check import CheckResult
    from precls_theory.kernel.certificates import KernelVerdict


def check(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, metavar="FILE", help="A file written by precls build.")
    ],
    seed: Annotated[
        int | None, typer.Option(min=0, help="Replay the random primes and points of an earlier check.")
    ] = None,
    kernel: Annotated[
        Kernel | None, typer.Option(help="Also prove it in this kernel, for all data over every ring (needs Coq).")
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

      precls check gd.safetensors --kernel coq
    """
    watch = Stopwatch()
    with ThreadPoolExecutor(1) as beside:
        asked = beside.submit(ask_if_built, file) if kernel else None
        try:
            result, read = compute(file, seed)
        except (ValueError, OSError) as error:
            if json:
                emit_json({"ok": False, "algorithm": None, "first_difference": None, "error": str(error)}, watch)
            fail(str(error))
        verdict = ask_kernel(file, asked, result, watch, json) if asked else None
    if verdict is not None and verdict.sha256 != read:
        fail(f"{file} changed while it was checked: check it again", watch if json else None)
    render(file, result, verdict, watch, json)


def compute(file: Path, seed: int | None) -> tuple[CheckResult, str | None]:
    """The file read and checked, with the SHA-256 of what was read, ``None`` where that changed meanwhile;
    ``CorruptFileError`` or ``OSError`` where it cannot be read."""
    if not file.is_file():
        raise OSError(f"cannot read {file}: it is no regular file")
    with working(f"reading {file} and rebuilding its construction …"):
        from constructions.files.reading import load

        before = hashlib.sha256(file.read_bytes()).hexdigest()
        network = load(file)
        unchanged = hashlib.sha256(file.read_bytes()).hexdigest() == before
    from precls_theory.checking.check import check as check_network

    def rounds(primes: Iterable[int], total: int) -> Iterable[int]:
        return progress(primes, "checking modulo random primes", total)

    return check_network(network, seed=seed, progress=rounds), before if unchanged else None


def ask_if_built(file: Path) -> KernelVerdict | None:
    """The kernel's verdict, on another core than the check; ``None`` where its library would have to be compiled first."""
    from precls_theory.kernel.certificates import check_file
    from precls_theory.kernel.library import is_built

    return check_file(file) if is_built() else None


def ask_kernel(
    file: Path, asked: Future[KernelVerdict | None], result: CheckResult, watch: Stopwatch, json: bool
) -> KernelVerdict:
    """The kernel's verdict on the file, which ``asked`` may have; exit code 2 without Coq, 1 where the library has no theorem
    on such a network: with the words of ``result`` too, where that refuses the file."""
    from precls_theory.kernel.certificates import check_file
    from precls_theory.kernel.library import KernelError, KernelMissing

    try:
        with steps(None, "asking Coq") as report:
            return asked.result() or check_file(file, progress=report.begin)
    except (KernelError, ValueError, OSError) as error:
        message = str(error) if result.ok else f"{file} is refused: {result.message}; and {error}"
        if json:
            emit_json({"ok": False, "error": message}, watch)
        show_error(message)
        raise typer.Exit(2 if isinstance(error, KernelMissing) and result.ok else 1) from error


def render(file: Path, result: CheckResult, verdict: KernelVerdict | None, watch: Stopwatch, json: bool) -> None:
    """The verdict; exit code 1 for a network that is refused, by the check or by the kernel."""
    refused = verdict is not None and verdict.verdict == "refused"
    if json:
        document = result.to_json() | {"file": str(file)}
        if verdict is not None:
            document |= {"ok": result.ok and not refused, "kernel": verdict.to_json()}
        emit_json(document, watch)
    if not result.ok:
        fail(f"{file} is refused{' by the kernel too' if refused else ''}: {result.message}")
    if verdict is not None and refused:
        fail(f"{file} is refused by {verdict.kernel}: its layers are not those of the proof")
    if not json:
        out.print(
            f"[bold green]ok:[/] {escape(result.message)} ({watch.seconds:.2f} s)", highlight=False, soft_wrap=True
        )
        if verdict is not None:
            proved = f"proved by {verdict.kernel} for all data over every commutative ring into which Q maps"
            of_file = f"SHA-256 {verdict.sha256[:16]}…, {verdict.seconds:.1f} s"
            out.print(f"[bold green]ok:[/] {proved} ({of_file})", highlight=False, soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(check)
