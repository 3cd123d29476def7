"""The population loss and the sup norm of an error polynomial, exactly or with proven bounds.

For inputs that are independent N(0, 1), ``E e²`` is a sum of squares in the Hermite basis: with e = Σ h_α He_α,

    E e² = Σ_α α! h_α²,      h = exp(Δ/2) applied to the coefficients of e,

at the cost of one pass over the coefficients for each half of the degree, where pairs of monomials would take the square of
their number. On the box |u| ≤ R, ``|e| ≤ Σ_α |c_α| R^|α|``.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from math import comb

import flint
import numpy as np

from precls_theory.training.certify.difference import DEGREE, UNIT, ErrorPolynomial, gamma, monomials, place


@dataclass(frozen=True)
class Enclosure:
    """Rational bounds ``lower ≤ value ≤ upper``; equal where the value is exact."""

    lower: Fraction
    upper: Fraction

    @property
    def exact(self) -> bool:
        return self.lower == self.upper


class Monomials:
    """What all error polynomials of one size share: the pairs of equal variables in each monomial, α!, degrees.

    Monomials with the b of row 0 (variable ``unused``) are left out: it is no input.
    """

    def __init__(self, n_variables: int, unused: int) -> None:
        table = monomials(n_variables)
        self.degree = (table < n_variables).sum(axis=0)
        self.used = ~(table == unused).any(axis=0)
        self.pairs = []
        for first, second in combinations(range(DEGREE), 2):
            chosen = np.flatnonzero((table[first] == table[second]) & (table[first] < n_variables) & self.used)
            kept = [table[i, chosen] for i in range(DEGREE) if i not in (first, second)]
            ones = np.full(len(chosen), n_variables)
            self.pairs.append((chosen, place((*kept, ones, ones))))
        self.most = 6 * (n_variables + 1)
        """Most terms that fall on one monomial in :meth:`half_laplacian`."""
        weight, run = np.ones(table.shape[1]), np.ones(table.shape[1])
        for earlier, later in itertools.pairwise(table):
            run = np.where((earlier == later) & (later < n_variables), run + 1, 1)
            weight *= run
        self.factorials = weight

    def half_laplacian(self, values: np.ndarray) -> np.ndarray:
        """½Δ of the polynomial with these coefficients: each pair of equal variables in a monomial is taken out of it."""
        result = np.zeros_like(values)
        for chosen, where in self.pairs:
            np.add.at(result, where, values[chosen])
        return result

    def mean_square(self, error: ErrorPolynomial) -> Enclosure:
        """``E e²`` for independent N(0, 1) inputs."""
        values, errors = np.where(self.used, error.values, 0), np.where(self.used, error.errors, 0)
        # exp(Δ/2) = 1 + Δ/2 + (Δ/2)²/2 on polynomials of degree four.
        h, uncertain, size = (part + 0.0 for part in (values, errors, np.abs(values)))
        first, first_error, first_size = (self.half_laplacian(part) for part in (values, errors, np.abs(values)))
        second, second_error, second_size = (self.half_laplacian(part) for part in (first, first_error, first_size))
        h += first + second / 2
        size += first_size + second_size
        uncertain += first_error + second_error + gamma(2 * self.most + 8) * size
        uncertain *= 1.0001
        top, bottom = np.abs(h) + uncertain, np.maximum(np.abs(h) - uncertain, 0)
        slack = 2 * gamma(len(h) + 16)
        # Sums of elementwise products, in whatever order: relative errors add up, and what underflows is less than 1e-300.
        upper = float((self.factorials * (top * top)).sum()) * (1 + slack) + 1e-300
        lower = float((self.factorials * (bottom * bottom)).sum()) * (1 - slack) - 1e-300
        return Enclosure(Fraction(max(lower, 0.0)), Fraction(upper))

    def sup_norm(self, error: ErrorPolynomial, bound: Fraction) -> Fraction:
        """An upper bound of ``|e|`` on the box |u| ≤ ``bound``."""
        sizes = np.where(self.used, np.abs(error.values) + error.errors, 0) * (1 + 4 * UNIT)
        slack = 1 + gamma(len(sizes) + 16)
        by_degree = [float(sizes[self.degree == d].sum()) * slack for d in range(DEGREE + 1)]
        return sum((Fraction(size) * bound**d for d, size in enumerate(by_degree)), Fraction(0))


def exact_mean_square(polynomial: flint.fmpq_mpoly) -> Fraction:
    """``E p²`` for independent N(0, 1) variables, of a ``fmpq_mpoly``, exactly."""
    part, h, order = polynomial, polynomial, 0
    n = len(polynomial.context().names())
    while part != 0:
        order += 1
        total = polynomial * 0
        for variable in range(n):
            total += part.derivative(variable).derivative(variable)
        part = total * flint.fmpq(1, 2 * order)
        h += part
    result = flint.fmpq(0)
    for exponents, coefficient in h.to_dict().items():
        weight = 1
        for exponent in exponents:
            for factor in range(2, int(exponent) + 1):
                weight *= factor
        result += coefficient * coefficient * weight
    return Fraction(int(result.p), int(result.q))


def exact_sup_norm(polynomial: flint.fmpq_mpoly, bound: Fraction) -> Fraction:
    """An upper bound of ``|p|`` on the box |u| ≤ ``bound``, of a ``fmpq_mpoly``: the sum of absolute coefficients."""
    total = Fraction(0)
    for exponents, coefficient in polynomial.to_dict().items():
        total += abs(Fraction(int(coefficient.p), int(coefficient.q))) * bound ** sum(map(int, exponents))
    return total


def n_coefficients(n_variables: int) -> int:
    return comb(n_variables + DEGREE, DEGREE)
