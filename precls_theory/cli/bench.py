"""``precls bench``: ratios, side by side in one run, and how each cost grows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from precls_theory.cli.columns import Column, show
from precls_theory.cli.output import Stopwatch, check_device, emit_json, fail, progress, wrote
from precls_theory.cli.paths import file_name

if TYPE_CHECKING:
    from constructions.algorithms.descent.gradient_descent import DescentForm

FORMS: tuple[DescentForm, ...] = ("doubling", "tight")
Rows = list[dict[str, object]]
TITLES = {
    "proof": "One symbolic GD step: python-flint against sympy.expand",
    "forward": "256 steps in float32: network, plain loop, LAPACK",
    "growth": "How cost grows (doubling form)",
    "peer": "256 steps against the published block in its own modules",
}


def bench(
    peer: Annotated[
        Path | None, typer.Option(help="Your checkout of HazyResearch/precision-ls: also time its own module.")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", parser=file_name, help="Draw how the costs grow into this PNG, SVG or PDF file."),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="PyTorch threads.")] = 1,
    device: Annotated[str, typer.Option(help="PyTorch device of the forward passes.")] = "cpu",
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes only: a few seconds.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Measure speed as ratios: proofs against sympy.expand, forward passes against a plain loop and LAPACK.

    Everything in one table was measured side by side in one run; times alone depend on the machine.

    Examples:

      precls bench

      precls bench --plot growth.png --peer ~/precision-ls --json
    """
    watch = Stopwatch()
    check_device(device)
    try:
        results = compute(peer, plot, threads, device, quick)
    except (RuntimeError, OSError, ValueError) as error:
        fail(str(error), watch if json else None)
    if json:
        emit_json({"threads": threads, "device": device, **results}, watch)
    else:
        render(results)
    wrote(plot)


def compute(peer: Path | None, plot: Path | None, threads: int, device: str, quick: bool) -> dict[str, Rows]:
    """Measure everything and draw the plot; what cannot be done is refused before anything is measured."""
    import torch

    from precls_theory import benchmarks

    if plot is not None:
        benchmarks.check_plot(plot)
    if peer is not None:
        benchmarks.peer_base_conv(peer)
    torch.set_num_threads(threads)
    sizes = (4, 2) if quick else (20, 5)
    batches = benchmarks.BATCHES[:2] if quick else benchmarks.BATCHES
    growth = {name: values[:2] if quick else values for name, values in benchmarks.GROWTH.items()}
    jobs: list[tuple[str, Callable[[], dict[str, object] | Rows]]] = [
        ("proof", lambda: benchmarks.proof_against_expand(*sizes))
    ]
    jobs += [
        ("forward", partial(benchmarks.forward_pass, batch, form, device=device)) for batch in batches for form in FORMS
    ]
    jobs += [("growth", partial(benchmarks.growth, name, values)) for name, values in growth.items()]
    if peer is not None:
        jobs.append(("peer", lambda: benchmarks.against_peer(peer)))
    results: dict[str, Rows] = {}
    for name, job in progress(jobs, "measuring"):
        found = job()
        results.setdefault(name, []).extend(found if isinstance(found, list) else [found])
    if plot is not None:
        benchmarks.plot_growth(results["growth"], plot)
    return results


def render(results: dict[str, Rows]) -> None:
    """A table for each kind of measurement."""
    for name, rows in results.items():
        show(TITLES[name], *as_columns(rows))


def as_columns(rows: Rows) -> list[Column]:
    """Rows of one kind, floats to three digits."""

    def shown(value: object) -> str:
        return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)

    return [Column(name.replace("_", " "), [shown(row[name]) for row in rows]) for name in rows[0]]


def register(app: typer.Typer) -> None:
    app.command()(bench)
