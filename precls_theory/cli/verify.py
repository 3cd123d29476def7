"""``precls verify``: prove the registered theorems and say what was proved, for which sizes, and how."""

from __future__ import annotations

import contextlib
import difflib
import math
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Annotated, TypedDict

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from constructions.files.output import check_output
from precls_theory.certificate import Certificate, certify
from precls_theory.cli.kernels import Kernel
from precls_theory.cli.output import Stopwatch, emit_json, fail, out, show_error
from precls_theory.cli.progress import Steps, steps
from precls_theory.registry import Size, Theorem, all_theorems

JSON_KEYS = (
    "id", "title", "source", "status", "scope", "ring", "engine", "seconds", "failure_probability_log2", "message",
    "controls", "detail",
)  # fmt: skip
KERNEL_KEYS = ("every_size", "kernel", "coq", "coqchk", "every_size_given", "why_not_every_size")
"""Of a run with ``--kernel``."""
WORTH_PROCESSES = 8
"""Theorems from which processes of their own are started."""
START_METHOD = "fork" if sys.platform == "linux" else "spawn"
"""How they start: forked where the system's own libraries allow it."""
MOST_JOBS = 4
"""Processes by default: each holds about a gigabyte, and the longest check takes a tenth of the whole."""
WIDE = 140
"""Columns of a terminal from which the table shows scopes and rings."""
STYLES = {"proved": "green", "refuted": "bold red", "failed": "bold red"}


def verify(
    theorem: Annotated[
        list[str] | None, typer.Argument(help="Theorems to prove, by identifier (see --list); all when left out.")
    ] = None,
    list_only: Annotated[bool, typer.Option("--list", help="List the theorems and prove nothing.")] = False,
    n_points: Annotated[int, typer.Option(min=1, help="Data rows N at which the checks run.")] = 20,
    n_dims: Annotated[int, typer.Option(min=1, help="Unknowns D at which the checks run.")] = 5,
    certificates: Annotated[
        Path | None,
        typer.Option(metavar="DIR", file_okay=False, help="Save a certificate of each theorem here, as JSON."),
    ] = None,
    kernel: Annotated[
        Kernel | None, typer.Option(help="Also prove for every size by this kernel, where its library can (needs Coq).")
    ] = None,
    coqchk: Annotated[bool, typer.Option("--coqchk", help="Check the library again with coqchk (slow).")] = False,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Checks at a time, each in a process; the processors by default.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Prove the theorems: all of them at the paper's sizes (N=20, D=5) unless told otherwise.

    Every check is also run on its controls, wrong variants that it must refuse (a changed weight, a shifted row, a
    wrong constant): a theorem whose check accepts one is not proved. Exit code 1 unless every one is proved. A theorem
    that states a refutation, such as that of the published block, is proved when the refutation is.

    Examples:

      precls verify

      precls verify --list

      precls verify gd-doubling gd-tight --n-points 10 --n-dims 3 --certificates certificates

      precls verify --kernel coq --coqchk
    """
    watch = Stopwatch()
    try:
        known = all_theorems()
    except (ImportError, ValueError) as error:
        fail(f"the theorems cannot be loaded: {error}", watch if json else None)
    if not known:
        fail("no theorem is registered: the installation is incomplete", watch if json else None)
    chosen = choose(known, theorem or [])
    if list_only:
        show_list(chosen, watch, json)
        return
    if coqchk and kernel is None:
        raise typer.BadParameter("--coqchk checks the library of a kernel: give --kernel coq as well")
    every_size = ask_kernel(chosen, coqchk, watch, json) if kernel else None
    try:
        if certificates is not None:
            prepare(certificates, chosen)
        proofs = prove(
            chosen, Size(n_points, n_dims), certificates, every_size, jobs or min(os.cpu_count() or 1, MOST_JOBS)
        )
    except BrokenExecutor as error:
        fail(
            f"a process that proved theorems was ended, perhaps for want of memory: use --jobs 1 ({error})",
            watch if json else None,
        )
    except OSError as error:
        fail(f"cannot save certificates in {certificates}: {error.strerror or error}", watch if json else None)
    render(proofs, Size(n_points, n_dims), watch, json)


def prepare(certificates: Path, theorems: list[Theorem]) -> None:
    """Make the folder, and raise ``OSError`` before anything is proved where a certificate could not be written."""
    certificates.mkdir(parents=True, exist_ok=True)
    for theorem in theorems:
        check_output(certificates / f"{theorem.id}.json")


def render(proofs: list[Certificate], size: Size, watch: Stopwatch, json: bool) -> None:
    """The document, or the table with a summary; exit code 1 unless everything is proved."""
    ok = all(proof.status == "proved" for proof in proofs)
    if json:
        asked = any(proof.every_size or proof.why_not_every_size for proof in proofs)
        keys = (*JSON_KEYS, *KERNEL_KEYS) if asked else JSON_KEYS
        listed = [{key: proof.to_json()[key] for key in keys} for proof in proofs]
        emit_json({"theorems": listed, "ok": ok, "n_points": size.n_points, "n_dims": size.n_dims}, watch)
    else:
        out.print(table(proofs))
        show_kernel(proofs)
        n_proved = sum(proof.status == "proved" for proof in proofs)
        refused = sum(control["refused"] for proof in proofs for control in proof.controls)
        summary = f"{n_proved} of {len(proofs)} theorems proved at N={size.n_points}, D={size.n_dims} in {watch.seconds:.1f} s"
        out.print(f"{summary}; {refused} wrong variants refused", highlight=False)
        out.print("[dim]Scope, ring, engine and controls of each: --json, or --certificates DIR.[/]", highlight=False)
    if not ok:
        fail("; ".join(f"{proof.id} {proof.status}: {proof.message}" for proof in proofs if proof.status != "proved"))


def show_kernel(proofs: list[Certificate]) -> None:
    """Where a kernel was asked: which theorems hold for every size by it, and why not the others."""
    by_kernel = [proof for proof in proofs if proof.every_size]
    if not by_kernel and not any(proof.why_not_every_size for proof in proofs):
        return
    sizes = Table(box=box.SIMPLE, padding=(0, 1, 0, 0))
    for column in ("theorem", "sizes", "by, or why not every size"):
        sizes.add_column(column, overflow="fold", no_wrap=column == "theorem")
    for proof in proofs:
        if proof.every_size:
            given = f", {escape(proof.every_size_given)}" if proof.every_size_given else ""
            sizes.add_row(proof.id, "[green]every size[/]", f"{proof.kernel}: {proof.coq}{given}")
        else:
            run = f"N={proof.n_points}, D={proof.n_dims}"
            sizes.add_row(proof.id, run, escape(proof.why_not_every_size or ""))
    out.print(sizes)
    if by_kernel:
        closed = f"{len(by_kernel)} of {len(proofs)} theorems proved for every size by {by_kernel[0].kernel}"
        again = ", accepted by coqchk too" if by_kernel[0].coqchk else ""
        out.print(f"{closed}: closed under the global context, no axiom{again}", highlight=False)


def choose(known: dict[str, Theorem], wanted: list[str]) -> list[Theorem]:
    """The theorems asked for, each once, or all; a usage error naming the nearest identifiers for an unknown one."""
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.3)
            nearest = f"the nearest are {', '.join(near)}" if near else f"there are {', '.join(known)}"
            raise typer.BadParameter(f"there is no theorem {name!r}: {nearest} (see precls verify --list)")
    return [known[name] for name in dict.fromkeys(wanted)] or list(known.values())


def show_list(theorems: list[Theorem], watch: Stopwatch, json: bool) -> None:
    """Identifiers, titles and sources; with ``json`` the statements too."""
    keys = ("id", "title", "source", "statement", "hypotheses", "covers")
    if json:
        listed = [
            {key: getattr(theorem, key) for key in keys} | {"controls": list(theorem.controls)} for theorem in theorems
        ]
        emit_json({"theorems": listed}, watch)
        return
    listing = Table(box=box.SIMPLE, padding=(0, 1, 0, 0))
    for column in ("theorem", "title", "source"):
        listing.add_column(column, overflow="fold", no_wrap=column == "theorem")
    for theorem in theorems:
        listing.add_row(theorem.id, escape(theorem.title), escape(theorem.source))
    out.print(listing)


class KernelFields(TypedDict, total=False):
    """What a kernel adds to a certificate."""

    every_size: bool
    kernel: str
    coq: str
    coqchk: str | None
    every_size_given: str | None
    why_not_every_size: str | None


def ask_kernel(theorems: list[Theorem], coqchk: bool, watch: Stopwatch, json: bool) -> dict[str, KernelFields]:
    """What the kernel says of each theorem, as fields of its certificate; exit code 2 without Coq, 1 where it refuses."""
    from precls_theory.kernel import library, statements
    from precls_theory.kernel.theorems import EVERY_SIZE, GIVEN, why_not

    claimed = {theorem.id: EVERY_SIZE[theorem.id] for theorem in theorems if theorem.id in EVERY_SIZE}
    try:
        name = library.find_coq().name
        with steps(None, "building the Coq library") as report:
            built = library.build(progress=report.begin)
            report.begin("asking Coq what the theorems rest on")
            library.require_closed((coq for names in claimed.values() for coq in names), built)
            report.begin("asking Coq what the theorems state")
            statements.require_recorded((coq for names in claimed.values() for coq in names), built)
            if coqchk:
                report.begin("coqchk checks the library again")
                library.recheck(built)
            rechecked = "accepted" if library.is_rechecked(built) else None
    except library.KernelMissing as error:
        if json:
            emit_json({"error": str(error)}, watch)
        show_error(str(error))
        raise typer.Exit(2) from error
    except (library.KernelError, OSError) as error:
        fail(str(error), watch if json else None)
    found: dict[str, KernelFields] = {theorem.id: {"why_not_every_size": why_not(theorem.id)} for theorem in theorems}
    for id, names in claimed.items():
        found[id] = {
            "every_size": True, "kernel": name, "coq": names[0], "coqchk": rechecked, "every_size_given": GIVEN.get(id),
        }  # fmt: skip
    return found


def prove(
    theorems: list[Theorem],
    size: Size,
    certificates: Path | None,
    every_size: dict[str, KernelFields] | None = None,
    jobs: int = 1,
) -> list[Certificate]:
    """Run the checks with a progress bar on standard error, saving each certificate as soon as there is one.

    ``every_size`` is what :func:`ask_kernel` found; ``jobs`` is how many checks run at a time.
    """
    found: dict[str, Certificate] = {}
    with begun(theorems, size, jobs) as futures, steps(len(theorems), "proving") as report:
        for made in certified(theorems, size, futures, report):
            added: KernelFields = (every_size or {}).get(made.id, {})
            proof = replace(made, **added)
            found[proof.id] = proof
            if certificates is not None:
                proof.save(certificates)
    return [found[theorem.id] for theorem in theorems]


@contextlib.contextmanager
def begun(theorems: list[Theorem], size: Size, jobs: int) -> Iterator[list[Future[Certificate]] | None]:
    """The checks as they run in processes of their own, or ``None`` where that is not worth their start.

    Processes are forked where that is safe, before anything here has a thread: they share what is imported, which
    took longer than most checks. They end with the block, also in the middle of a check.
    """
    if jobs == 1 or len(theorems) < WORTH_PROCESSES:
        yield None
        return
    pool = ProcessPoolExecutor(
        jobs,
        mp_context=multiprocessing.get_context(START_METHOD),
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_IGN),
    )
    try:
        yield [pool.submit(certify_by_id, theorem.id, size) for theorem in theorems]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.terminate()


def certified(
    theorems: list[Theorem], size: Size, futures: list[Future[Certificate]] | None, report: Steps
) -> Iterator[Certificate]:
    """The certificates as they are made: here one after the other, or as the processes are done with them."""
    if futures is None:
        for theorem in theorems:
            report.begin(f"proving {theorem.id}")
            yield certify(theorem, size)
        return
    report.begin("proving")
    for done, future in enumerate(as_completed(futures), 1):
        certificate = future.result()
        report.at(f"proving, last {certificate.id}", done, len(theorems))
        yield certificate


def certify_by_id(id: str, size: Size) -> Certificate:
    """What a process does: theorems are functions, which it finds in its own registry."""
    return certify(all_theorems()[id], size)


def table(proofs: list[Certificate]) -> Table:
    """One line a theorem, with how many of its wrong variants were refused; a wide terminal also shows what was proved,
    and over which ring."""
    wide = out.width >= WIDE
    result = Table(box=box.SIMPLE, padding=(0, 1, 0, 0))
    id_width = max(len(proof.id) for proof in proofs)
    result.add_column("theorem", no_wrap=True, min_width=id_width)
    result.add_column("status", no_wrap=True, min_width=len("refuted"))
    if wide:
        result.add_column("proved for", overflow="fold", ratio=3)
        result.add_column("over", overflow="fold", ratio=2)
    else:
        rest = out.width - id_width - len("refuted") - len("refused") - len("seconds") - 9
        result.add_column("title", no_wrap=True, overflow="ellipsis", max_width=max(10, rest))
    result.add_column("refused", justify="right", no_wrap=True, min_width=len("refused"))
    result.add_column("seconds", justify="right", no_wrap=True, min_width=len("seconds"))
    for proof in proofs:
        ring = proof.ring
        if proof.failure_probability_log2 is not None:
            ring += f" (failure < 2^{math.ceil(proof.failure_probability_log2)})"
        told = [proof.scope if proof.status == "proved" else proof.message, ring] if wide else [proof.title]
        status = f"[{STYLES[proof.status]}]{proof.status}[/]"
        controls = f"{sum(control['refused'] for control in proof.controls)} of {len(proof.controls)}"
        result.add_row(proof.id, status, *map(escape, told), controls, f"{proof.seconds:.2f}")
    return result


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(verify)
