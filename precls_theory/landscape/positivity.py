"""Polynomials of one sign, recognised by their monomials: sums of squares, and minors that are minus one."""

from __future__ import annotations

import flint
import numpy as np


def is_positive(polynomial: flint.fmpz_mpoly) -> bool:
    """Whether all monomials are squares with positive coefficients, a constant among them: positive everywhere."""
    terms = polynomial.to_dict()
    constant = (0,) * polynomial.context().nvars()
    return constant in terms and all(
        coefficient > 0 and all(int(e) % 2 == 0 for e in monomial) for monomial, coefficient in terms.items()
    )


def is_square_sum(polynomial: flint.fmpq_mpoly | flint.fmpz_mpoly) -> bool:
    """Whether all monomials are squares with positive coefficients: nowhere negative."""
    return all(c > 0 and all(int(e) % 2 == 0 for e in m) for m, c in polynomial.to_dict().items())


def is_never_positive(polynomial: flint.fmpq_mpoly | flint.fmpz_mpoly) -> bool:
    """Whether minus the polynomial is, up to even powers and factors of one sign, a sum of squares (and not zero)."""
    if not polynomial:
        return False
    constant, factors = polynomial.factor()
    negative = constant < 0
    for factor, multiplicity in factors:
        if multiplicity % 2 == 0 or is_square_sum(factor):
            continue
        if not is_square_sum(-factor):
            return False
        negative = not negative
    return negative


def indefinite_part(polynomial: flint.fmpq_mpoly | flint.fmpz_mpoly) -> str:
    """The polynomial without its factors that have one sign everywhere: of the same sign and with the same zeros."""
    constant, factors = polynomial.factor()
    result = polynomial.context().constant(1 if constant > 0 else -1)
    for factor, multiplicity in factors:
        if is_positive(-factor):
            result = -result if multiplicity % 2 else result
        elif not is_positive(factor):
            result = result * factor**multiplicity
    return str(result)


def negative_minor(matrix: np.ndarray) -> tuple[int, ...] | None:
    """Indices of a principal minor of size 1 or 2 that is negative at every real point, as minus a positive form."""
    size = len(matrix)
    for i in range(size):
        if is_positive(-matrix[i, i]):
            return (i,)
    for i in range(size):
        for j in range(i):
            if is_positive(matrix[i, j] ** 2 - matrix[i, i] * matrix[j, j]):
                return (j, i)
    return None
