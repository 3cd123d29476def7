"""``min |J d + r|² + δ |d|²`` for a J of full height in memory: by a QR factorisation, or by conjugate gradients.

Both give a triangle R with ``RᵀR ≈ JᵀJ + δ I`` and the minimiser d. What they are for: a Jacobian whose singular values reach
from 1 down to 1e-7, all of which matter, so that a solution by normal equations alone, which sees squares, is not
enough.

* :func:`by_qr` factors ``[J; √δ I]``: backward stable, 2 (M + P/1.5) P² operations for J (M, P), and again for each δ.
* :func:`by_conjugate_gradients` factors the normal equations with a little more damping, which is ``M P² + P³/3`` operations and
  for a further δ the second term alone, and takes the R it gets as a preconditioner for conjugate gradients on the least
  squares problem itself (CGLS: products with J and Jᵀ, never with JᵀJ). Singular values above 1e-7 of the largest are right
  after the first step already; what is left takes a few more.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SHIFT = 1e-15
"""Least damping of the preconditioner, relative to the trace of JᵀJ."""
TOLERANCE, ITERATIONS = 1e-5, 60
"""Conjugate gradients end when the preconditioned gradient has fallen by the first, or after the second: a step of
Levenberg–Marquardt that is right to 1e-5 can lower a loss by 1e10."""
BLOCK = 512


@dataclass(frozen=True)
class Solution:
    """``direction`` d, (P,), and the upper triangle ``factor`` R, (P, P)."""

    factor: Tensor
    direction: Tensor

    def normal(self, right: Tensor) -> Tensor:
        """``(RᵀR)⁻¹ right``."""
        return _normal(self.factor, right)


def by_qr(J: Tensor, residuals: Tensor, damping: float) -> Solution:
    """R of the QR factorisation of ``[J; √δ I]``, and d. The right-hand side is a further column: Q is not needed."""
    n_residuals, n_parameters = J.shape
    system = J.new_zeros(n_residuals + n_parameters, n_parameters + 1)
    system[:n_residuals, :-1], system[:n_residuals, -1] = J, residuals
    system[n_residuals:, :-1].diagonal().fill_(damping**0.5)
    factor = torch.linalg.qr(system, mode="r").R[:n_parameters]
    triangle = factor[:, :-1]
    return Solution(triangle, -torch.linalg.solve_triangular(triangle, factor[:, -1:], upper=True)[:, 0])


def gram(J: Tensor) -> Tensor:
    """JᵀJ, its lower triangle alone, by blocks of columns: half of the products."""
    n_parameters = J.shape[1]
    result = J.new_zeros(n_parameters, n_parameters)
    for start in range(0, n_parameters, BLOCK):
        block = slice(start, min(start + BLOCK, n_parameters))
        result[start:, block] = J[:, start:].T @ J[:, block]
    return result


def by_conjugate_gradients(J: Tensor, products: Tensor, residuals: Tensor, damping: float) -> Solution:
    """The same by preconditioned CGLS; ``products`` is :func:`gram` of J."""
    factor = preconditioner(products, damping)
    d = torch.zeros_like(J[0])
    rest, gradient = -residuals, -(J.T @ residuals)
    moved = _normal(factor, gradient)
    search, size = moved, float(gradient @ moved)
    first = size
    for _ in range(ITERATIONS):
        if not size > TOLERANCE**2 * first:
            break
        image = J @ search
        length = size / float(image @ image + damping * (search @ search))
        d = d + length * search
        rest = rest - length * image
        gradient = J.T @ rest - damping * d
        moved = _normal(factor, gradient)
        before, size = size, float(gradient @ moved)
        search = moved + (size / before) * search
    return Solution(factor, d)


def preconditioner(products: Tensor, damping: float) -> Tensor:
    """The upper Cholesky factor of JᵀJ with damping, and with as much more as it takes to be one."""
    shift = max(damping, SHIFT * float(products.diagonal().sum()))
    while True:
        shifted = products.clone()
        shifted.diagonal().add_(shift)
        factor, failed = torch.linalg.cholesky_ex(shifted)
        if not int(failed):
            return factor.mT.contiguous()
        shift *= 10


def _normal(factor: Tensor, right: Tensor) -> Tensor:
    half = torch.linalg.solve_triangular(factor.mT, right[:, None], upper=False)
    return torch.linalg.solve_triangular(factor, half, upper=True)[:, 0]
