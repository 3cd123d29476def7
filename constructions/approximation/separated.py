"""Chebyshev coefficients in balls to an exact, short, separated polynomial: truncate, separate, round, and prove.

The coefficients of one variable are truncated and rounded. In two variables the matrix of coefficients is separated,
``C ≈ Σ_r u_r v_rᵀ``, by Gaussian elimination with complete pivoting (Townsend and Trefethen, *An extension of Chebfun
to two dimensions*, 2013); in three it is done twice (a tensor train). How this is done affects the size of the network
only: the error is computed afterwards from the exact product of what was kept, ``Σ |C − Σ_r u_r v_rᵀ|`` in balls, since
|T_k| ≤ 1.
"""

from __future__ import annotations

import math
from fractions import Fraction

import flint
import numpy as np
from flint import arb

from constructions.approximation.ball_functions import rational
from constructions.approximation.chebyshev_network import Factor
from constructions.approximation.ellipses import log2_above, upper


class Separated:
    """Integer coefficients over 2^bits, one array a variable (degree first): shapes (d+1, O); (d+1, R), (d+1, R, O);
    (d+1, R), (d+1, S), (d+1, S, R, O)."""

    def __init__(self, factors: list[np.ndarray], bits: int) -> None:
        self.factors, self.bits = factors, bits

    def coefficients(self) -> np.ndarray:
        """The exact tensor of coefficients, shape (d_1+1, …, O), of Fractions."""
        product, scale = self.factors[-1], 2 ** (self.bits * len(self.factors))
        if len(self.factors) == 2:
            product = np.einsum("ar,bro->abo", self.factors[0], product)
        if len(self.factors) == 3:
            w = np.tensordot(self.factors[1], product, axes=(1, 1)).transpose(2, 0, 1, 3)  # (r, d_2, d_3, o)
            product = np.tensordot(self.factors[0], w, axes=1)
        result: np.ndarray = np.frompyfunc(lambda value: Fraction(int(value), scale), 1, 1)(product)
        return result

    def parameters(self) -> list[Factor]:
        """The factors as exponents and coefficients, as ``chebyshev_polynomial`` takes them."""
        scale = 2**self.bits
        return [
            {
                "shape": list(factor.shape[1:]),
                "polynomials": [
                    [(k, Fraction(int(c), scale)) for k, c in enumerate(column) if c]
                    for column in factor.reshape(len(factor), -1).T
                ],
            }
            for factor in self.factors
        ]


def truncation_error(coefficients: np.ndarray, separated: Separated) -> Fraction:
    """The largest over the outputs of ``Σ_k |c_k − p_k|``: a bound of the difference in the sup norm, proved in balls.

    ``coefficients`` are balls of shape (d_1+1, …, d_n+1, O); what the separated polynomial lacks counts as zero.
    """
    exact = separated.coefficients()
    kept = np.full(coefficients.shape, Fraction(0), dtype=object)
    kept[tuple(slice(0, size) for size in exact.shape)] = exact
    difference = np.frompyfunc(lambda ball, value: abs(ball - rational(value)) if value else abs(ball), 2, 1)
    # rationals enter a ball at the working precision: it must be far finer than their last bit, however large they are
    largest = max(value.numerator.bit_length() for value in exact.flat)
    with flint.ctx.workprec(64 + 4 * separated.bits + largest):
        totals = difference(coefficients, kept).reshape(-1, coefficients.shape[-1]).sum(axis=0)
        return max(upper(arb(total)) for total in totals)


def separate(coefficients: np.ndarray, tolerance: Fraction) -> tuple[Separated, Fraction]:
    """A separated polynomial within ``tolerance`` of the coefficients, and its proved :func:`truncation_error`.

    Raises ``ValueError`` when the coefficients are not known well enough for the tolerance.
    """
    budget = tolerance
    for _ in range(8):
        separated = _attempt(coefficients, budget)
        error = truncation_error(coefficients, separated)
        if error <= tolerance:
            return separated, error
        budget /= 2
    raise ValueError(f"could not round the coefficients to {float(tolerance):.3g}: the tolerance is too small")


def _attempt(coefficients: np.ndarray, budget: Fraction) -> Separated:
    n_variables = coefficients.ndim - 1
    # the rounding errors of one factor are multiplied by the others
    largest = max(upper(abs(ball)) for ball in coefficients.flat) if n_variables > 1 else Fraction(1)
    finer = max(0, log2_above(largest))
    bits = _bits_for(budget, math.prod(coefficients.shape)) + 6 + finer
    scale = 2**bits
    middle = np.frompyfunc(lambda ball: _scaled_down(ball.mid(), scale), 1, 1)(coefficients)
    unit = int(budget * scale)
    middle = _truncate(middle, unit * (28 if n_variables == 1 else 12) // 32)
    if n_variables == 1:
        return _rounded([middle], bits, _bits_for(budget, len(middle)))
    head, rest = middle.shape[0], middle.shape[1:]
    u, v = eliminate(middle.reshape(head, -1), bits, unit * 8 // 32, np.ones(rest[0], dtype=object), rest[-1])
    kept_bits = _bits_for(budget, 4 * sum(middle.shape) * u.shape[1]) + finer
    if n_variables == 2:
        return _rounded([u, v.reshape(-1, *rest).swapaxes(0, 1)], bits, kept_bits)
    # v holds one (d_2+1, d_3+1, O) array for each r: separate the second variable from all the rest
    rank = u.shape[1]
    w = v.reshape(rank, *rest).transpose(1, 2, 0, 3)
    norms = np.maximum(1, np.abs(u).sum(axis=0) >> bits)
    s, z = eliminate(w.reshape(rest[0], -1), bits, unit * 8 // 32, norms, rest[-1])
    return _rounded([u, s, z.reshape(-1, *w.shape[1:]).swapaxes(0, 1)], bits, kept_bits)


def _scaled_down(middle: arb, scale: int) -> int:
    """``⌊middle · scale⌋`` of an exact ball, 0 for one too small to matter (whose rational may be too large to build)."""
    return int((middle.fmpq() * scale).floor()) if abs(middle) * scale >= 1 else 0


def _bits_for(budget: Fraction, terms: int) -> int:
    """Bits after the point for which ``terms`` roundings are far below the budget."""
    return max(4, 6 + log2_above(1 / budget) + terms.bit_length())


def _rounded(factors: list[np.ndarray], bits: int, kept: int) -> Separated:
    kept = min(bits, kept)
    half = (1 << (bits - kept)) >> 1
    return Separated([(factor + half) >> (bits - kept) for factor in factors], kept)


def _truncate(coefficients: np.ndarray, budget: int) -> np.ndarray:
    """Lower each degree as far as the sum of what is cut stays within its share of the budget."""
    share = budget // (coefficients.ndim - 1)
    for axis in range(coefficients.ndim - 1):
        others = tuple(other for other in range(coefficients.ndim - 1) if other != axis)
        by_degree = np.abs(coefficients).sum(axis=others).max(axis=-1)
        tails = np.cumsum(by_degree[::-1])
        degree = max(1, len(tails) - int(np.searchsorted(tails > share, True)) - 1)
        coefficients = coefficients[(slice(None),) * axis + (slice(0, degree + 1),)]
    return coefficients


def eliminate(
    matrix: np.ndarray, bits: int, budget: int, weights: np.ndarray, n_outputs: int
) -> tuple[np.ndarray, np.ndarray]:
    """``(u, v)`` of shapes (m, R), (R, n) with ``matrix ≈ u v / 2^bits``, in integers, by complete pivoting.

    Stops when the residual, its columns weighted by ``weights`` (repeated) and summed for each of the outputs, which
    are the last axis of the columns, is within ``budget``.
    """
    residual = matrix.copy()
    columns: list[np.ndarray] = []
    rows: list[np.ndarray] = []
    width = matrix.shape[1] // n_outputs
    scale = np.resize(weights, width) if len(weights) > 1 else np.ones(width, dtype=object)
    while not columns or (np.abs(residual).sum(axis=0).reshape(width, n_outputs).T @ scale).max() > budget:
        flat = int(np.argmax(np.abs(residual)))
        row, column = divmod(flat, matrix.shape[1])
        pivot = residual[row, column]
        if not pivot:
            columns, rows = columns or [residual[:, 0]], rows or [residual[0]]
            break
        u, v = residual[:, column], (residual[row] << bits) // pivot
        columns.append(u)
        rows.append(v)
        residual = residual - (np.outer(u, v) >> bits)
    return np.stack(columns, axis=1), np.stack(rows, axis=0)
