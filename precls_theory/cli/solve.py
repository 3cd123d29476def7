"""``precls solve``: a regression from a CSV file, by an exact network, with the exact answer beside it."""

from __future__ import annotations

import csv
import io
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape

from constructions.files.output import write_output
from precls_theory.cli.columns import Column, shortened, show
from precls_theory.cli.output import Stopwatch, check_device, emit_json, fail, out, warn, working, wrote
from precls_theory.cli.paths import check_writable, file_name
from precls_theory.regression.methods import Method

if TYPE_CHECKING:
    from precls_theory.regression.data import ExactFit, RegressionData
    from precls_theory.regression.solving import Solution

Dtype = Literal["float32", "float64"]
Missing = Literal["drop", "error"]
MANY = 24
"""Unknowns above which building the network takes so long that it is said."""
CSV_COLUMNS = (
    "coefficient", "network", "exact", "exact_decimal", "standard_error", "t_value", "digits", "lapack_digits",
    "gd_digits",
)  # fmt: skip


def solve(
    data: Annotated[Path, typer.Argument(help="CSV file with a header line; - for standard input.", metavar="FILE")],
    target: Annotated[str, typer.Option(help="Column to be explained; all others are regressors.")],
    columns: Annotated[
        list[str] | None, typer.Option(metavar="NAME,…", help="Use these regressors only; may be repeated.")
    ] = None,
    drop: Annotated[list[str] | None, typer.Option(metavar="NAME,…", help="Leave these columns out.")] = None,
    intercept: Annotated[bool, typer.Option("--intercept/--no-intercept", help="Add a constant column.")] = True,
    sep: Annotated[str, typer.Option(metavar="CHAR", help="What stands between cells: one character, or tab.")] = ",",
    decimal: Annotated[str, typer.Option(metavar="CHAR", help="Decimal sign of the numbers: . or ,")] = ".",
    na: Annotated[Missing, typer.Option(help="Rows with a missing value (empty, NA, NaN): an error, or dropped.")] = (
        "error"
    ),
    dtype: Annotated[Dtype, typer.Option(help="Floating point that the network runs in.")] = "float64",
    device: Annotated[str, typer.Option(help="PyTorch device, such as cpu or cuda.")] = "cpu",
    method: Annotated[
        Method,
        typer.Option(
            help="Algorithm that the network runs; doubling: the cheapest of its kind with the wanted digits."
        ),
    ] = "doubling",
    digits: Annotated[
        float | None,
        typer.Option(
            min=1,
            max=60,
            help="Correct digits wanted in every coefficient (doubling); 16 in float64, 15 in float32 unless given.",
        ),
    ] = None,
    min_digits: Annotated[
        float, typer.Option(min=0, help="Exit with 1 when a coefficient has fewer correct digits; 0 takes any.")
    ] = 2.0,
    exact: Annotated[bool, typer.Option("--exact", help="Write every exact p/q in full, however long.")] = False,
    coefficients: Annotated[
        Path | None,
        typer.Option(metavar="FILE", parser=file_name, help="Write the coefficients to this CSV file, p/q in full."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", parser=file_name, help="Also save the network here."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Solve a least-squares regression with an exact network, and certify its digits.

    Cells are read as exact decimals; the exact rational solution is computed beside the network's, and digits are
    counted against it, also for LAPACK (torch.linalg.lstsq) and a plain gradient-descent loop. Standard errors, t
    values, the residual standard error and R² follow from the exact solution. Columns are scaled by powers of two;
    depth is chosen from the data, and so are the form (doubling, or refinement of a plain inverse), whether the network
    centres the columns, and the number of digit channels that hold each number: --digits 30 gets thirty correct digits in
    float64, written as decimals. Exit code 1, with the exact solution all the same, when the network
    has fewer correct digits than --min-digits in some coefficient, or floating point cannot hold the problem.

    Examples:

      precls solve notebooks/data/longley.csv --target employed

      precls solve notebooks/data/longley.csv --target employed --digits 30

      precls solve data.csv --target y --columns x1,x2 --na drop --coefficients fit.csv

      cut -d';' -f2- data.csv | precls solve - --target y --sep ';' --decimal , --json
    """
    watch = Stopwatch()
    inputs = () if str(data) == "-" else (data,)
    check_writable(output, None, watch if json else None, inputs=inputs, others=(coefficients,))
    regression = read(data, target, intercept, columns, drop, sep, decimal, na, watch if json else None)
    check_device(device)
    if digits is not None and method != "doubling":
        raise typer.BadParameter(f"only --method doubling can be asked for digits, got {method}", param_hint="--digits")
    solution = compute(regression, method, dtype, device, digits, exact, watch, json)
    not_written = write(solution, output, coefficients, inputs)
    for warning in solution.warnings:
        warn(warning)
    complaint = too_few_digits(solution, min_digits)
    if json:
        more: dict[str, object] = {"min_digits": min_digits, "ok": complaint is None, "n_points": regression.n_points}
        more |= {"n_dropped": regression.n_dropped} | ({} if complaint is None else {"error": complaint})
        more |= {} if not_written is None else {"ok": False, "error": not_written}
        emit_json(solution.to_json() | more, watch)
    else:
        render(solution, regression, exact)
    if not_written is not None:
        fail(not_written)
    wrote(output, coefficients)
    if complaint is not None:
        fail(complaint)


def write(solution: Solution, output: Path | None, coefficients: Path | None, inputs: tuple[Path, ...]) -> str | None:
    """Save what was asked for; words where a file could not be written, and the answer is printed all the same."""
    try:
        if output is not None:
            solution.network.save(output)
        if coefficients is not None:
            write_output(coefficients, as_csv(solution), inputs=inputs)
    except OSError as error:
        return str(error)
    return None


def read(
    data: Path,
    target: str,
    intercept: bool,
    columns: list[str] | None,
    drop: list[str] | None,
    sep: str,
    decimal: str,
    na: Missing,
    watch: Stopwatch | None,
) -> RegressionData:
    """The regression, read exactly; a failure in words for what cannot be used."""
    from precls_theory.regression.data import DataError, read_regression

    try:
        with working(f"reading {data} …"):
            return read_regression(
                data, target, intercept, columns=None if columns is None else names(columns), drop=names(drop or []),
                sep=sep, decimal=decimal, na=na,
            )  # fmt: skip
    except DataError as error:
        fail(str(error), watch)


def names(given: list[str]) -> list[str]:
    """Column names from options that hold one or several each; a name with a comma is quoted as in a CSV file."""
    return [name.strip() for row in csv.reader(given, skipinitialspace=True) for name in row if name.strip()]


def compute(
    regression: RegressionData,
    method: Method,
    dtype: Dtype,
    device: str,
    digits: float | None,
    in_full: bool,
    watch: Stopwatch,
    json: bool,
) -> Solution:
    """Solve the regression. Where floating point cannot, show the exact solution that is known, and fail."""
    import torch

    from precls_theory.regression.data import DataError
    from precls_theory.regression.solving import NumericalError, fit_to_json
    from precls_theory.regression.solving import solve as solve_regression

    many = regression.n_dims > MANY
    size = (
        f" (width grows as the third power of its {regression.n_dims} unknowns: this may take minutes)" if many else ""
    )
    try:
        with working(f"solving exactly, building and running the network{size} …"):
            wanted: float | Literal["full"] | None = "full" if digits is None and method == "doubling" else digits
            return solve_regression(regression, method, getattr(torch, dtype), device, wanted)
    except NumericalError as error:
        if json:
            emit_json({"error": str(error), "ok": False, **fit_to_json(error.fit)}, watch)
        else:
            show("Exact least-squares solution", *exact_columns(error.fit))
            show_exact(error.fit, in_full)
            out.print(statistics(error.fit, regression), highlight=False, soft_wrap=True)
        fail(str(error))
    except (DataError, OSError) as error:
        fail(str(error), watch if json else None)


def too_few_digits(solution: Solution, least: float) -> str | None:
    """Words where the network has fewer than ``least`` correct digits in some coefficient, ``None`` otherwise."""
    name, digits = solution.worst
    if digits >= least or not least:
        return None
    advice = (
        "use --dtype float64" if solution.dtype == "float32"
        else "use --method doubling" if solution.method != "doubling"
        else "use other regressors (centred, or orthogonal polynomials)"
    )  # fmt: skip
    return (
        f"the network has {max(digits, 0):.1f} correct digits in {name!r}, fewer than {least:g}: its condition number of "
        f"{solution.condition_number:.1e} is too much for {solution.method} in {solution.dtype}; {advice}, or accept "
        "the digits with --min-digits 0. The exact solution is right in all of them"
    )


def render(solution: Solution, regression: RegressionData, in_full: bool) -> None:
    """The table, the exact solution, and a line on the fit and on the network."""
    values = [repr(solution.coefficients[name]) for name in solution.names]
    if solution.sliced is not None and solution.sliced.wanted > 17:
        values = list(solution.decimals().values())
    digits = [
        Column(f"digits: {label}", [f"{round(found[name], 1) + 0.0:.1f}" for name in solution.names])
        for label, found in (
            ("network", solution.digits),
            ("LAPACK", solution.lapack_digits),
            ("GD", solution.gd_digits),
        )
    ]
    key, *exact = exact_columns(solution.fit)
    how = solution.method if solution.sliced is None else solution.sliced.name
    show(f"Least squares by {how} in {solution.dtype}", key, Column("network", values), *exact, *digits)
    show_exact(solution.fit, in_full)
    out.print(statistics(solution.fit, regression), highlight=False, soft_wrap=True)
    out.print(summary(solution), highlight=False, soft_wrap=True)


def exact_columns(fit: ExactFit) -> list[Column]:
    """Names, exact values, standard errors and t values."""
    from precls_theory.regression.numbers import decimal, decimal_root

    def root(square: Fraction | None, negative: bool = False) -> str:
        return "–" if square is None else decimal_root(square, 6, negative)

    return [
        Column("coefficient", list(fit.coefficients), justify_right=False),
        Column("exact, rounded", [decimal(value, 16) for value in fit.coefficients.values()]),
        Column("standard error", [root(fit.variance(name)) for name in fit.coefficients]),
        Column("t", [root(fit.t_squared(name), value < 0) for name, value in fit.coefficients.items()]),
    ]


def show_exact(fit: ExactFit, in_full: bool) -> None:
    """The exact solution, each p/q on a line of its own: shortened to it unless wanted in full."""
    from constructions.algebra.rationals import write_rational

    out.print("Exact least-squares solution:", highlight=False)
    cut = False
    for name, value in fit.coefficients.items():
        start, text = f"  {name} = ", write_rational(value)
        line = start + (text if in_full else shortened(text, max(40, out.width - len(start))))
        cut |= line != start + text
        out.print(escape(line), highlight=False, soft_wrap=True)
    if cut:
        out.print("[dim]  in full with --exact, --coefficients FILE or --json[/]", highlight=False)


def statistics(fit: ExactFit, regression: RegressionData) -> str:
    """One line on the fit: residual standard error, R² and rows."""
    from precls_theory.regression.numbers import decimal, decimal_root

    variance = fit.residual_variance
    error = "not determined" if variance is None else decimal_root(variance, 9)
    r_squared = "not determined" if fit.r_squared is None else decimal(fit.r_squared, 9)
    left_out = f"; {regression.n_dropped} rows with missing values left out" if regression.n_dropped else ""
    return (
        f"residual standard error: {error} on {fit.degrees_of_freedom} degrees of freedom; R²: {r_squared}; "
        f"{regression.n_points} rows{left_out}"
    )


def summary(solution: Solution) -> str:
    """One line on the network and the problem."""
    network = solution.network
    plan = solution.sliced
    why = "" if plan is None else f"chosen: {plan.reason}\n"
    if plan is not None and plan.others:
        why += f"as the cheapest of: {'; '.join(plan.others)}\n"
    return (
        f"{why}network: depth {network.depth}, width {network.width}, {network.n_nonzero} nonzero weights, "
        f"{solution.refinements} refinements; condition number {solution.condition_number:.2e} after scaling; "
        f"GD loop: {solution.gd_steps} steps"
    )


def as_csv(solution: Solution) -> str:
    """The coefficients as a CSV file: :data:`CSV_COLUMNS`, numbers in full."""
    from precls_theory.regression.numbers import decimal
    from precls_theory.regression.solving import fit_to_json

    fit = fit_to_json(solution.fit)
    by_name = (fit["standard_errors"], fit["t_values"], solution.digits, solution.lapack_digits, solution.gd_digits)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for name in solution.names:
        found = [values[name] for values in by_name]
        writer.writerow([
            name, repr(solution.coefficients[name]), fit["exact"][name], decimal(solution.exact[name], 17),
            *("" if value is None else repr(value) for value in found),
        ])  # fmt: skip
    return text.getvalue()


def register(app: typer.Typer) -> None:
    app.command()(solve)
