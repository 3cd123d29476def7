"""Levenberg–Marquardt for small polynomial models, with geodesic acceleration and a fresh batch a step.

For residuals r(p) of M numbers with Jacobian J, a step solves ``(JᵀJ/M + λI) d = −Jᵀr/M`` with ``λ = μ √loss``, so that
the method turns into Gauss–Newton as the loss vanishes and converges quadratically to a solution at which J has full
rank (Yamashita & Fukushima 2001). The second-order correction ``a = −½ (JᵀJ/M + λI)⁻¹ Jᵀ r''[d, d]/M`` follows the curve
of the model (Transtrum & Sethna 2012) and is taken where it is small beside d. Of the lengths s in ``p + s d + s² a`` the
best on the batch is taken. Batches are fresh, so that no loss is a fit of its own sample.

A step costs O(M P²) for P parameters, and 8 M P bytes for J; :meth:`LevenbergMarquardt.step` refuses more than
``max_bytes``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import jacfwd, jacrev, jvp, vmap

Residual = Callable[[Tensor, Tensor, Tensor], Tensor]
"""``residual(parameters (P,), input (...), target (K,)) -> (K,)`` of one sample; it is mapped over a batch."""

LENGTHS = (0.3, 1.0, 3.0)
LARGEST_CORRECTION = 0.75
"""Largest ``2|a|/|d|`` at which the correction is taken (Transtrum & Sethna 2012)."""
SMALLEST, LARGEST = 1e-10, 1e10
"""Range of μ."""


class DidNotConverge(RuntimeError):
    """No step lowers the loss on its own batch, however strongly it is damped; or the loss is not a number."""

    def __init__(self, message: str, loss: float) -> None:
        super().__init__(message)
        self.loss = loss


@dataclass
class LevenbergMarquardt:
    """Minimises ``mean residual²`` over the flat parameter vector ``parameters`` (P,), in place.

    ``damping`` is μ. ``step(inputs, targets)`` takes a batch (B, ...) and (B, K) and returns the loss before the step.
    """

    residual: Residual
    parameters: Tensor
    damping: float = 0.1
    max_bytes: int = 4 * 2**30

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
        normal, gradient = J.T @ J / len(residuals), J.T @ residuals / len(residuals)
        diagonal = normal.diagonal().clone()
        while True:
            normal.diagonal().copy_(diagonal + self.damping * loss**0.5)
            factor, failed = torch.linalg.cholesky_ex(normal)
            best = loss
            if not failed:
                direction = -torch.cholesky_solve(gradient[:, None], factor)[:, 0]
                correction = self._correction(J, factor, direction, inputs, targets)
                for length in LENGTHS:
                    candidate = self.parameters + length * direction + length**2 * correction
                    value = self.loss(inputs, targets, candidate)
                    if value < best:
                        best, chosen = value, candidate
            if best < loss:
                self.parameters.copy_(chosen)
                self.damping = max(self.damping / 3, SMALLEST)
                return loss
            self.damping *= 4
            if self.damping > LARGEST:
                self.damping = LARGEST
                raise DidNotConverge(f"no step lowers the loss of {loss:.3g}", loss)

    def _correction(self, J: Tensor, factor: Tensor, direction: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        """a, or zero where it is not small beside ``direction``."""

        def along(parameters: Tensor) -> Tensor:
            return jvp(lambda p: self._residuals(p, inputs, targets), (parameters,), (direction,))[1]

        curvature = jvp(along, (self.parameters,), (direction,))[1]
        correction = -0.5 * torch.cholesky_solve((J.T @ curvature / len(curvature))[:, None], factor)[:, 0]
        small = 2 * correction.norm() <= LARGEST_CORRECTION * direction.norm()
        return correction if bool(small) else torch.zeros_like(correction)
