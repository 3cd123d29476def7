"""Levenberg–Marquardt for small polynomial models, with geodesic acceleration and a fresh batch a step.

For residuals r(p) of M numbers with Jacobian J, a step solves ``(JᵀJ/M + λI) d = −Jᵀr/M`` with ``λ = μ loss``, so that the
method turns into Gauss–Newton as the loss vanishes and converges quadratically to a solution near which J has constant
rank (Fan & Yuan 2005). The second-order correction ``a = −½ (JᵀJ/M + λI)⁻¹ Jᵀ r''[d, d]/M`` follows the curve of the
model (Transtrum & Sethna 2012) and is taken where it is small beside d. Of the lengths s in ``p + s d + s² a`` the best on the
batch is taken. Batches are fresh, so that no loss is a fit of its own sample.

d is the least-squares solution of ``[J; √(λM) I] d = −[r; 0]`` (:mod:`precls_theory.training.damped_least_squares`). The
normal equations alone would square the condition number, and that matters: exact constructions are singular points of
the set of exact networks (a square ``a·a`` has the factors (a + εδ)(a − εδ), right to first order), so that singular values
of J of 1e-3 to 1e-7 are as important as those of 1. From exact weights with noise 1e-2 at D=2, N=4 the normal equations took
14 to more than 60 steps to a loss of 1e-28 (five seeds), this takes 6 to 12 (``notebooks/data/basin.csv``).

A step costs O(M P²) for P parameters, and 8 (2M + 2P) P bytes; :meth:`LevenbergMarquardt.step` refuses a J of more than
``max_bytes``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import jacfwd, jacrev, jvp, vmap

from precls_theory.training.damped_least_squares import Solution, by_conjugate_gradients, by_qr, gram

Residual = Callable[[Tensor, Tensor, Tensor], Tensor]
"""``residual(parameters (P,), input (...), target (K,)) -> (K,)`` of one sample; it is mapped over a batch."""

QR_PARAMETERS = 600
"""Up to so many parameters a step factors J itself; beyond, its normal equations, and goes on by conjugate gradients. The latter
pays where steps are refused: only a triangle of P columns is factored again."""
LENGTHS = (0.3, 1.0, 3.0)
LARGEST_CORRECTION = 0.75
"""Largest ``2|a|/|d|`` at which the correction is taken (Transtrum & Sethna 2012)."""
SMALLEST, LARGEST = 1e-14, 1e10
"""Range of μ."""
LEAST_DAMPING = 1e-22
"""Smallest λ: below it, directions in which nothing changes (scalings between factors) would be rounding alone."""


class DidNotConverge(RuntimeError):
    """No step lowers the loss on its own batch, however strongly it is damped; or the loss is not a number."""

    def __init__(self, message: str, loss: float) -> None:
        super().__init__(message)
        self.loss = loss


@dataclass
class LevenbergMarquardt:
    """Minimises ``mean residual²`` over the flat parameter vector ``parameters`` (P,), in place.

    ``damping`` is μ, ``qr_parameters`` the size up to which J itself is factored. ``step(inputs, targets)`` takes a batch
    (B, ...) and (B, K) and returns the loss before the step.
    """

    residual: Residual
    parameters: Tensor
    damping: float = 0.1
    max_bytes: int = 4 * 2**30
    qr_parameters: int = QR_PARAMETERS

    def loss(self, inputs: Tensor, targets: Tensor, parameters: Tensor | None = None) -> float:
        """Mean squared residual on a batch."""
        return float(
            self._residuals(self.parameters if parameters is None else parameters, inputs, targets).square().mean()
        )

    def _residuals(self, parameters: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        return vmap(self.residual, in_dims=(None, 0, 0))(parameters, inputs, targets).flatten()

    def jacobian(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """J, shape (B·K, P); by reverse mode where a sample has fewer residuals than there are parameters."""
        n_residuals, n_parameters = targets.numel(), self.parameters.numel()
        needed = n_residuals * n_parameters * self.parameters.element_size()
        if needed > self.max_bytes:
            raise MemoryError(
                f"a Jacobian of {n_residuals} residuals and {n_parameters} parameters takes {needed / 2**30:.1f} GiB, "
                f"and at most {self.max_bytes / 2**30:.1f} GiB are allowed: use a smaller batch or a narrower model"
            )
        mode = jacrev if targets.shape[-1] < n_parameters else jacfwd
        return vmap(mode(self.residual), in_dims=(None, 0, 0))(self.parameters, inputs, targets).flatten(0, 1)

    def step(self, inputs: Tensor, targets: Tensor) -> float:
        """One step on a batch; the loss on it before the step. Raises :class:`DidNotConverge`."""
        residuals = self._residuals(self.parameters, inputs, targets)
        loss = float(residuals.square().mean())
        if not loss < float("inf"):
            raise DidNotConverge(f"the loss is {loss}", loss)
        if loss == 0:
            return loss
        J = self.jacobian(inputs, targets)
        products = gram(J) if J.shape[1] > self.qr_parameters else None
        while True:
            damping = max(self.damping * loss, LEAST_DAMPING) * len(J)
            if products is None:
                solution = by_qr(J, residuals, damping)
            else:
                solution = by_conjugate_gradients(J, products, residuals, damping)
            direction = solution.direction
            correction = self._correction(J, solution, inputs, targets)
            best = loss
            for length in LENGTHS:
                candidate = self.parameters + length * direction + length**2 * correction
                value = self.loss(inputs, targets, candidate)
                if value < best:
                    best, chosen = value, candidate
            if best < loss:
                self.parameters.copy_(chosen)
                self.damping = max(self.damping / 10, SMALLEST)
                return loss
            self.damping *= 4
            if self.damping > LARGEST:
                self.damping = LARGEST
                raise DidNotConverge(f"no step lowers the loss of {loss:.3g}", loss)

    def _correction(self, J: Tensor, solution: Solution, inputs: Tensor, targets: Tensor) -> Tensor:
        """a, or zero where it is not small beside the direction."""
        direction = solution.direction

        def along(parameters: Tensor) -> Tensor:
            return jvp(lambda p: self._residuals(p, inputs, targets), (parameters,), (direction,))[1]

        curvature = jvp(along, (self.parameters,), (direction,))[1]
        correction = -0.5 * solution.normal(J.T @ curvature)
        small = 2 * correction.norm() <= LARGEST_CORRECTION * direction.norm()
        return correction if bool(small) else torch.zeros_like(correction)
