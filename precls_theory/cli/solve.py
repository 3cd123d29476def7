"""``precls solve``: a regression from a CSV file, by an exact network, with the exact answer beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from precls_theory.cli.output import Stopwatch, check_device, emit_json, err, fail, out, warn
from precls_theory.regression.methods import Method

if TYPE_CHECKING:
    from precls_theory.regression.solving import Solution

Dtype = Literal["float32", "float64"]


def solve(
    data: Annotated[Path, typer.Argument(help="CSV file with a header line; every cell a decimal number.")],
    target: Annotated[str, typer.Option(help="Column to be explained; all others are regressors.")],
    intercept: Annotated[bool, typer.Option("--intercept/--no-intercept", help="Add a constant column.")] = True,
    dtype: Annotated[Dtype, typer.Option(help="Floating point that the network runs in.")] = "float64",
    device: Annotated[str, typer.Option(help="PyTorch device, such as cpu or cuda.")] = "cpu",
    method: Annotated[Method, typer.Option(help="Algorithm that the network runs.")] = "doubling",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also save the network here.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Solve a least-squares regression with an exact network, and certify its digits.

    Cells are read as exact decimals; the exact rational solution is computed beside the network's, and digits are
    counted against it, also for LAPACK (torch.linalg.lstsq) and a plain gradient-descent loop. Columns are scaled by
    powers of two; depth and refinement are chosen from the data.

    Examples:

      precls solve notebooks/data/longley.csv --target employed

      precls solve data.csv --target y --no-intercept --dtype float32 --json
    """
    watch = Stopwatch()
    check_device(device)
    import torch

    from constructions.files.reading import write_rational
    from precls_theory.regression.data import DataError, read_regression
    from precls_theory.regression.solving import solve as solve_regression

    try:
        with err.status("reading, solving exactly, building and running the network …"):
            regression = read_regression(data, target, intercept)
            solution = solve_regression(regression, method, getattr(torch, dtype), device)
            if output is not None:
                solution.network.save(output)
    except (DataError, OSError) as error:
        fail(str(error), watch if json else None)
    for warning in solution.warnings:
        warn(warning)
    if json:
        emit_json(solution.to_json(), watch)
    else:
        out.print(table(solution))
        out.print("Exact least-squares solution:", highlight=False)
        for name, value in solution.exact.items():
            out.print(f"  {escape(name)} = {write_rational(value)}", highlight=False, soft_wrap=True)
        out.print(summary(solution), highlight=False)


def table(solution: Solution) -> Table:
    """The coefficients with their exact values and digits."""
    from precls_theory.regression.solving import decimal

    title = f"Least squares by {solution.method} in {solution.dtype}; correct digits by method"
    table = Table(title=title, box=box.SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("coefficient", overflow="fold", min_width=12)
    table.add_column("network", justify="right", no_wrap=True)
    table.add_column("exact, rounded", justify="right", no_wrap=True)
    for who in ("network", "LAPACK", "GD"):
        table.add_column(who, justify="right", no_wrap=True)
    for name in solution.names:
        digits = (solution.digits[name], solution.lapack_digits[name], solution.gd_digits[name])
        table.add_row(
            escape(name),
            repr(solution.coefficients[name]),
            decimal(solution.exact[name], 16),
            *(f"{value:.1f}" for value in digits),
        )
    return table


def summary(solution: Solution) -> str:
    """One line on the network and the problem."""
    network = solution.network
    return (
        f"network: depth {network.depth}, width {network.width}, {network.n_nonzero} nonzero weights, "
        f"{solution.refinements} refinements; condition number {solution.condition_number:.2e} after scaling; "
        f"GD loop: {solution.gd_steps} steps"
    )


def register(app: typer.Typer) -> None:
    app.command()(solve)
