"""A regression read from a CSV file as exact decimals, and what is known exactly about it."""

from __future__ import annotations

import csv
import difflib
import io
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, Literal, TextIO

import flint
import numpy as np

INTERCEPT = "intercept"
LARGEST_EXPONENT = 300
"""Cells beyond 10^±300 are refused: they would not survive a conversion to floating point."""
DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,9})?")
"""What a cell may hold: Python would also read 1_000 and other scripts' digits, which are more likely mistakes."""
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none"})
"""Cells, in lower case, that stand for no value; an empty one always, the others where missing rows are dropped."""
NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)


LONGEST_LINE = 2**24
"""Most characters of a line."""
Missing = Literal["drop", "error"]


class DataError(ValueError):
    """The data cannot be used for a regression; the message says what is wrong and where."""


@dataclass(frozen=True)
class ExactFit:
    """A least-squares solution over Q, and what follows from it exactly.

    ``inverse_diagonal`` holds the diagonal of (AᵀA)⁻¹ by coefficient; ``residual_square`` is ‖A x − b‖²,
    ``total_square`` is ‖b − mean(b)‖² with an intercept and ‖b‖² without one (as R and NIST have it).
    """

    coefficients: dict[str, Fraction]
    inverse_diagonal: dict[str, Fraction]
    residual_square: Fraction
    total_square: Fraction
    degrees_of_freedom: int

    @property
    def r_squared(self) -> Fraction | None:
        """1 − ‖A x − b‖² / total, exactly; ``None`` where the target is constant."""
        return 1 - self.residual_square / self.total_square if self.total_square else None

    @property
    def residual_variance(self) -> Fraction | None:
        """s² = ‖A x − b‖² / (N − D), exactly; ``None`` where there are no more rows than unknowns."""
        return self.residual_square / self.degrees_of_freedom if self.degrees_of_freedom else None

    def variance(self, name: str) -> Fraction | None:
        """The square of the standard error of a coefficient, s² (AᵀA)⁻¹, exactly."""
        return None if self.residual_variance is None else self.residual_variance * self.inverse_diagonal[name]

    def t_squared(self, name: str) -> Fraction | None:
        """The square of the t value, exactly; ``None`` where the fit leaves no residual."""
        variance = self.variance(name)
        return self.coefficients[name] ** 2 / variance if variance else None


@dataclass(frozen=True)
class RegressionData:
    """``A x ≈ b`` over Q: design ``A`` (n_points × n_dims, object array of Fraction), targets ``b``, coefficient names.

    ``intercept`` says that the first column is a constant that was added, ``n_dropped`` how many rows were left out
    because a value was missing.
    """

    names: tuple[str, ...]
    A: np.ndarray
    b: np.ndarray
    intercept: bool = False
    n_dropped: int = 0

    @property
    def n_points(self) -> int:
        return self.A.shape[0]

    @property
    def n_dims(self) -> int:
        return self.A.shape[1]

    def exact_solution(self) -> tuple[Fraction, ...]:
        """The least-squares solution over Q, from the normal equations ``G x = c``; see :meth:`exact_fit`."""
        return tuple(self.exact_fit().coefficients.values())

    def exact_fit(self) -> ExactFit:
        """The least-squares solution over Q with its sums of squares and the diagonal of G⁻¹, all exact.

        Costs one product of D × N by N × D and one inversion of D × D over Q. Raises :class:`DataError` when G is
        singular, naming a column that depends on the others.
        """
        A, b = _fmpq_matrix(self.A), _fmpq_matrix(self.b.reshape(-1, 1))
        gram, moments = A.transpose() * A, A.transpose() * b
        reduced, rank = gram.rref()
        if rank < self.n_dims:
            raise DataError(self._dependence(reduced))
        inverse = gram.inv()
        solution = inverse * moments
        total = (b.transpose() * b)[0, 0]
        residual = total - (moments.transpose() * solution)[0, 0]
        if self.intercept:
            total -= sum((b[i, 0] for i in range(self.n_points)), flint.fmpq(0)) ** 2 / self.n_points
        return ExactFit(
            coefficients={name: _fraction(solution[i, 0]) for i, name in enumerate(self.names)},
            inverse_diagonal={name: _fraction(inverse[i, i]) for i, name in enumerate(self.names)},
            residual_square=_fraction(residual),
            total_square=_fraction(total),
            degrees_of_freedom=self.n_points - self.n_dims,
        )

    def _dependence(self, reduced: flint.fmpq_mat) -> str:
        """Words for the first column that is a combination of those before it (G has the null space of A)."""
        pivots: list[int] = []
        for column in range(self.n_dims):
            row = len(pivots)
            if row < self.n_dims and reduced[row, column] == 1 and all(reduced[row, j] == 0 for j in range(column)):
                pivots.append(column)
                continue
            parts = [f"{reduced[i, column]}·{self.names[p]}" for i, p in enumerate(pivots) if reduced[i, column] != 0]
            equals = " + ".join(parts) if parts else "zero"
            return (
                f"the columns are exactly linearly dependent: {self.names[column]} = {equals} in every row, so the "
                "coefficients are not determined; leave a column out with --drop (or the intercept, with --no-intercept)"
            )
        raise AssertionError("a singular matrix has a dependent column")  # pragma: no cover


def _fraction(value: flint.fmpq) -> Fraction:
    return Fraction(int(value.p), int(value.q))


def _fmpq_matrix(values: np.ndarray) -> flint.fmpq_mat:
    entries = [flint.fmpq(value.numerator, value.denominator) for value in values.flat]
    return flint.fmpq_mat(values.shape[0], values.shape[1], entries)


def read_regression(
    path: Path,
    target: str,
    intercept: bool = True,
    *,
    columns: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    sep: str = ",",
    decimal: str = ".",
    na: Missing = "error",
) -> RegressionData:
    """Read a CSV file with a header line, or standard input where ``path`` is ``-``.

    Every column but ``target`` is a regressor: those of ``columns`` where they are given, without those of ``drop``.
    No other column is looked at. ``sep`` stands between cells, ``decimal`` in numbers; with ``na="drop"`` a row with a
    missing value (an empty cell, NA, NaN, null, none) is left out.

    Raises :class:`DataError` for a missing file or column, an empty file, cells that are missing or not finite decimal
    numbers (naming line and column), duplicate names, and fewer rows than unknowns.
    """
    lines = _lines(path, sep, decimal)
    header = [name.strip() for name in lines[0][1]]
    if len(set(header)) < len(header) or "" in header:
        raise DataError(
            f"the header of {_source(path)} must name every column once, got {', '.join(map(repr, header))}"
        )
    if target not in header and len(header) == 1 and (found := re.search(r"[;\t|,]", header[0])):
        raise DataError(
            f"{_source(path)} separates its cells by {found.group()!r}: expected {sep!r}; say so with --sep "
            f"{_as_option(found.group())} (and --decimal , where numbers have a comma)"
        )
    names = _regressors(path, header, target, columns, drop)
    if intercept and INTERCEPT in names:
        raise DataError(f"{_source(path)} has a column named {INTERCEPT!r}: rename it, or pass --no-intercept")
    if len(lines) == 1:
        raise DataError(f"{_source(path)} has a header and no rows of data")
    reader = _Cells(header, decimal, na)
    places = [header.index(name) for name in (*names, target)]
    table = [row for number, cells in lines[1:] if (row := reader.row(number, cells, places)) is not None]
    n_dropped = len(lines) - 1 - len(table)
    names = [INTERCEPT, *names] if intercept else names
    if not names:
        raise DataError(
            f"{_source(path)} has no column besides the target, and no intercept was asked for: nothing to fit"
        )
    if len(table) < len(names):
        left = f" ({n_dropped} with missing values were left out)" if n_dropped else ""
        raise DataError(
            f"{len(table)} rows{left} for {len(names)} unknowns ({', '.join(names)}): at least {len(names)} are needed"
        )
    A = np.empty((len(table), len(names)), dtype=object)
    A[:] = [([Fraction(1)] if intercept else []) + row[:-1] for row in table]
    b = np.empty(len(table), dtype=object)
    b[:] = [row[-1] for row in table]
    return RegressionData(tuple(names), A, b, intercept, n_dropped)


def _source(path: Path) -> str:
    return "standard input" if str(path) == "-" else str(path)


def _as_option(separator: str) -> str:
    return "tab" if separator == "\t" else f"'{separator}'"


def _lines(path: Path, sep: str, decimal: str) -> list[tuple[int, list[str]]]:
    """The rows that are not blank, each with its line of the file, which is not its number where a quoted cell spans
    several."""
    sep = {"tab": "\t", "\\t": "\t"}.get(sep, sep)
    if len(sep) != 1 or sep.isalnum() or sep in '"\r\n+-':
        raise DataError(f"--sep must be one character between cells, such as ',' or ';', or tab; got {sep!r}")
    if decimal not in (".", ","):
        raise DataError(f"--decimal must be . or , and not {decimal!r}")
    if sep == decimal:
        raise DataError(f"--sep and --decimal are both {sep!r}: choose another separator, such as --sep ';'")
    source = _source(path)
    try:
        with _open(path) as file:
            text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
            reader = csv.reader(_short_lines(text), delimiter=sep, strict=True)
            lines = [(reader.line_num, row) for row in reader if len(row) > 1 or any(cell.strip() for cell in row)]
    except OSError as error:
        raise DataError(f"cannot read {source}: {error.strerror or error}") from error
    except ValueError as error:
        reason = f"it is not in UTF-8 ({error}); save it in UTF-8" if isinstance(error, UnicodeDecodeError) else error
        raise DataError(f"cannot read {source} as a CSV file: {reason}") from error
    except csv.Error as error:
        raise DataError(f"cannot read {source} as a CSV file: line {reader.line_num}: {error}") from error
    if not lines:
        raise DataError(f"{source} is empty: expected a header line with column names, then rows of numbers")
    return lines


def _open(path: Path) -> BinaryIO:
    if str(path) != "-":
        return path.open("rb")
    if sys.stdin is None:
        raise OSError("it is closed")
    return sys.stdin.buffer


def _short_lines(file: TextIO) -> Iterator[str]:
    """The lines of ``file``; one that has no end, as those of a device, is refused before it fills the memory."""
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE:
            raise ValueError(f"line {number} has more than {LONGEST_LINE} characters")
        yield line


def _regressors(
    path: Path, header: list[str], target: str, columns: Sequence[str] | None, drop: Sequence[str]
) -> list[str]:
    """The columns to be used, in the order of the file."""
    for name in (target, *(columns or ()), *drop):
        if name not in header:
            near = difflib.get_close_matches(name, header, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise DataError(
                f"there is no column {name!r} in {_source(path)}{hint}: its columns are {', '.join(header)}"
            )
    for option, given in (("--columns", columns or ()), ("--drop", drop)):
        if target in given:
            raise DataError(f"{option} names the target {target!r}: it is explained by the other columns")
    both = [name for name in columns or () if name in drop]
    if both:
        raise DataError(f"--columns and --drop both name {both[0]!r}: it cannot be used and left out")
    return [name for name in header if name != target and name not in drop and (columns is None or name in columns)]


@dataclass(frozen=True)
class _Cells:
    """Reads the cells of a row as exact numbers."""

    header: list[str]
    decimal: str
    na: Missing

    def row(self, line: int, cells: list[str], places: list[int]) -> list[Fraction] | None:
        """The numbers at ``places``; ``None`` for a row to be left out."""
        if len(cells) != len(self.header):
            raise DataError(f"line {line} has {len(cells)} cells, and the header {len(self.header)}")
        if self.na == "drop" and any(cells[place].strip().lower() in MISSING for place in places):
            return None
        return [self._number(line, self.header[place], cells[place].strip()) for place in places]

    def _number(self, line: int, column: str, text: str) -> Fraction:
        where = f"line {line}, column {column!r}"
        if not text:
            raise DataError(f"{where} is missing: fill it in, or leave such rows out with --na drop")
        shown = repr(text) if len(text) <= 40 else f"{text[:30]!r}… ({len(text)} characters)"
        if NOT_FINITE.fullmatch(text):
            raise DataError(f"{where} is not a finite number: {shown}")
        if not DECIMAL.fullmatch(text.replace(",", ".") if self.decimal == "," and "." not in text else text):
            raise DataError(f"{where} is not a number: {shown}; {self._advice(column, text)}")
        if self.decimal == ",":
            if "." in text:
                raise DataError(f"{where} is not a number: {shown} has a point, and --decimal is a comma")
            text = text.replace(",", ".")
        value = Decimal(text)
        if value and abs(value.adjusted()) > LARGEST_EXPONENT:
            raise DataError(f"{where} is beyond 10^±{LARGEST_EXPONENT}: {shown}; change the unit of the column")
        return Fraction(value) if value else Fraction(0)

    def _advice(self, column: str, text: str) -> str:
        if text.lower() in MISSING:
            return "leave such rows out with --na drop"
        if self.decimal == "." and DECIMAL.fullmatch(text.replace(",", ".")):
            return "write a decimal point, or say --decimal , (with another --sep than the comma)"
        return f"write decimals such as -1234.5 or 1e-3, or leave the column out with --drop {column!r}"
