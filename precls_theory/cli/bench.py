"""``precls bench``: ratios, side by side in one run, and how each cost grows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich import box
from rich.table import Table

from precls_theory import benchmarks
from precls_theory.cli.output import Stopwatch, check_device, emit_json, fail, out, progress


def bench(
    peer: Annotated[
        Path | None, typer.Option(help="Your checkout of HazyResearch/precision-ls: also time its own module.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw how the costs grow into this PNG, SVG or PDF file.")] = None,
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
        if plot is not None:
            benchmarks.check_plot(plot)
        if peer is not None:
            benchmarks.peer_base_conv(peer)
    except (benchmarks.PeerError, OSError, ValueError) as error:
        fail(str(error), watch if json else None)
    torch.set_num_threads(threads)
    sizes = (4, 2) if quick else (20, 5)
    batches = benchmarks.BATCHES[:2] if quick else benchmarks.BATCHES
    growth = {name: values[:2] if quick else values for name, values in benchmarks.GROWTH.items()}
    jobs: list[tuple[str, Any]] = [("proof", lambda: benchmarks.proof_against_expand(*sizes))]
    jobs += [
        ("forward", lambda batch=batch, form=form: benchmarks.forward_pass(batch, form, device=device))
        for batch in batches
        for form in ("doubling", "tight")
    ]
    jobs += [
        ("growth", lambda name=name, values=values: benchmarks.growth(name, values)) for name, values in growth.items()
    ]
    if peer is not None:
        jobs.append(("peer", lambda: benchmarks.against_peer(peer)))
    results: dict[str, list[dict[str, Any]]] = {}
    try:
        for name, job in progress(jobs, "measuring"):
            found = job()
            results.setdefault(name, []).extend(found if isinstance(found, list) else [found])
        if plot is not None:
            benchmarks.plot_growth(results["growth"], plot)
    except (benchmarks.PeerError, RuntimeError, OSError) as error:
        fail(str(error), watch if json else None)
    if json:
        emit_json({"threads": threads, "device": device, **results}, watch)
        return
    titles = {
        "proof": "One symbolic GD step: python-flint against sympy.expand",
        "forward": "256 steps in float32: network, plain loop, LAPACK",
        "growth": "How cost grows (doubling form)",
        "peer": "256 steps against the published block in its own modules",
    }
    for name, rows in results.items():
        out.print(as_table(titles[name], rows))


def as_table(title: str, rows: list[dict[str, Any]]) -> Table:
    """Rows of one kind as a table; floats to three digits."""
    table = Table(title=title, box=box.SIMPLE)
    for column in rows[0]:
        table.add_column(column.replace("_", " "), justify="right")
    for row in rows:
        table.add_row(*("" if v is None else f"{v:.3g}" if isinstance(v, float) else str(v) for v in row.values()))
    return table


def register(app: typer.Typer) -> None:
    app.command()(bench)
