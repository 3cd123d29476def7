"""NIST's polynomial regressions (Wampler 1–5, Filip, Pontius), as exact data with their certified coefficients.

Source: NIST Statistical Reference Datasets, linear regression (public domain): R. H. Wampler, "A Report of the Accuracy
of Some Widely-Used Least Squares Computer Programs", *Journal of the American Statistical Association* 65 (1970), 549–565;
A. Filippelli, NIST; P. Pontius, "Load Cell Calibration", NIST. ``data_nist/*.csv`` hold target and x as published, the file
``certified.csv`` the certified coefficients to 15 digits. Each is a polynomial in x, whose powers are taken exactly.
"""

from __future__ import annotations

import csv
from fractions import Fraction
from pathlib import Path

import numpy as np

from precls_theory.regression.data import INTERCEPT, RegressionData

FOLDER = Path(__file__).parent / "data_nist"
DEGREES = {**{f"wampler{number}": 5 for number in range(1, 6)}, "pontius": 2, "filip": 10}
"""The data sets and the degrees of their polynomials."""


def power(exponent: int) -> str:
    """The name of a column: the intercept, x, x^2, …"""
    return INTERCEPT if exponent == 0 else "x" if exponent == 1 else f"x^{exponent}"


def load(name: str) -> RegressionData:
    """One of :data:`DEGREES`, exactly; ``ValueError`` for another name."""
    if name not in DEGREES:
        raise ValueError(f"no data set is called {name!r}: {', '.join(DEGREES)}")
    rows = _rows(name)
    x = [Fraction(row["x"]) for row in rows]
    b = np.empty(len(rows), dtype=object)
    b[:] = [Fraction(row["y"]) for row in rows]
    exponents = range(DEGREES[name] + 1)
    A = np.empty((len(rows), len(exponents)), dtype=object)
    A[:] = [[value**exponent for exponent in exponents] for value in x]
    return RegressionData(tuple(map(power, exponents)), A, b, intercept=True)


def certified(name: str) -> dict[str, Fraction]:
    """NIST's coefficients by column, to the 15 digits published."""
    return {power(int(row["power"])): Fraction(row["coefficient"]) for row in _rows("certified") if row["data"] == name}


def _rows(name: str) -> list[dict[str, str]]:
    with (FOLDER / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
