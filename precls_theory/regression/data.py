"""A regression read from a CSV file as exact decimals, and what is known exactly about it."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import flint
import numpy as np

INTERCEPT = "intercept"
LARGEST_EXPONENT = 300
"""Cells beyond 10^±300 are refused: they would not survive a conversion to floating point."""
DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,9})?")
"""What a cell may hold: Python would also read 1_000 and other scripts' digits, which are more likely mistakes."""
NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)


class DataError(ValueError):
    """The data cannot be used for a regression; the message says what is wrong and where."""


@dataclass(frozen=True)
class RegressionData:
    """``A x ≈ b`` over Q: design ``A`` (n_points × n_dims, object array of Fraction), targets ``b``, coefficient names."""

    names: tuple[str, ...]
    A: np.ndarray
    b: np.ndarray

    @property
    def n_points(self) -> int:
        return self.A.shape[0]

    @property
    def n_dims(self) -> int:
        return self.A.shape[1]

    def exact_solution(self) -> tuple[Fraction, ...]:
        """The least-squares solution over Q, from the normal equations ``G x = c``.

        Raises :class:`DataError` when G is singular, naming a column that depends on the others.
        """
        A, b = _fmpq_matrix(self.A), _fmpq_matrix(self.b.reshape(-1, 1))
        gram = A.transpose() * A
        reduced, rank = gram.rref()
        if rank < self.n_dims:
            raise DataError(self._dependence(reduced))
        solution = gram.solve(A.transpose() * b)
        return tuple(Fraction(int(x.p), int(x.q)) for x in (solution[i, 0] for i in range(self.n_dims)))

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
                "coefficients are not determined; drop a column (or the intercept, with --no-intercept)"
            )
        raise AssertionError("a singular matrix has a dependent column")  # pragma: no cover


def _fmpq_matrix(values: np.ndarray) -> flint.fmpq_mat:
    entries = [flint.fmpq(value.numerator, value.denominator) for value in values.flat]
    return flint.fmpq_mat(values.shape[0], values.shape[1], entries)


def read_regression(path: Path, target: str, intercept: bool = True) -> RegressionData:
    """Read a CSV file with a header line; every column but ``target`` is a regressor.

    Raises :class:`DataError` for a missing file or column, an empty file, cells that are missing or not finite decimal
    numbers (naming line and column), duplicate names, and fewer rows than unknowns.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            # The line of the file, which is not the number of the row where a quoted cell spans several.
            lines = [(reader.line_num, row) for row in reader if len(row) > 1 or any(cell.strip() for cell in row)]
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"cannot read {path} as a CSV file: it is not in UTF-8 ({error}); save it in UTF-8") from error
    except csv.Error as error:
        raise DataError(f"cannot read {path} as a CSV file: line {reader.line_num}: {error}") from error
    if not lines:
        raise DataError(f"{path} is empty: expected a header line with column names, then rows of numbers")
    header = [name.strip() for name in lines[0][1]]
    if len(set(header)) < len(header) or "" in header:
        raise DataError(f"the header of {path} must name every column once, got {', '.join(map(repr, header))}")
    if target not in header and len(header) == 1 and (separator := re.search(r"[;\t|]", header[0])):
        raise DataError(f"{path} separates its cells by {separator.group()!r}: expected commas (and decimal points)")
    if target not in header:
        raise DataError(f"there is no column {target!r} in {path}: its columns are {', '.join(header)}")
    if intercept and INTERCEPT in header:
        raise DataError(f"{path} has a column named {INTERCEPT!r}: rename it, or pass --no-intercept")
    if len(lines) == 1:
        raise DataError(f"{path} has a header and no rows of data")
    table = [[_cell(text, header, i, number, row) for i, text in enumerate(row)] for number, row in lines[1:]]
    column = header.index(target)
    names = [name for name in header if name != target]
    design = [([Fraction(1)] if intercept else []) + row[:column] + row[column + 1 :] for row in table]
    names = [INTERCEPT, *names] if intercept else names
    if not names:
        raise DataError(f"{path} has no column besides the target, and no intercept was asked for: nothing to fit")
    if len(design) < len(names):
        raise DataError(
            f"{len(design)} rows for {len(names)} unknowns ({', '.join(names)}): at least {len(names)} are needed"
        )
    A = np.empty((len(design), len(names)), dtype=object)
    A[:] = design
    b = np.empty(len(table), dtype=object)
    b[:] = [row[column] for row in table]
    return RegressionData(tuple(names), A, b)


def _cell(text: str, header: list[str], index: int, line: int, row: list[str]) -> Fraction:
    if len(row) != len(header):
        raise DataError(f"line {line} has {len(row)} cells, and the header {len(header)}")
    where = f"line {line}, column {header[index]!r}"
    if not text.strip():
        raise DataError(f"{where} is missing: fill it in or drop the row")
    shown = (
        repr(text.strip()) if len(text.strip()) <= 40 else f"{text.strip()[:30]!r}… ({len(text.strip())} characters)"
    )
    if NOT_FINITE.fullmatch(text.strip()):
        raise DataError(f"{where} is not a finite number: {shown}")
    if not DECIMAL.fullmatch(text.strip()):
        raise DataError(f"{where} is not a number: {shown}; write decimals such as -1234.5 or 1e-3")
    value = Decimal(text.strip())
    if value and abs(value.adjusted()) > LARGEST_EXPONENT:
        raise DataError(f"{where} is beyond 10^±{LARGEST_EXPONENT}: {shown}; change the unit of the column")
    return Fraction(value)
