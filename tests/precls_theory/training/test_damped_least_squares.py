"""Both solvers against LAPACK, on Jacobians whose singular values reach over eight orders of magnitude."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from precls_theory.training.damped_least_squares import by_conjugate_gradients, by_qr, gram, preconditioner


def system(least: float, seed: int = 0):
    """J of 60 rows and 20 columns with singular values from 1 to ``least``, and residuals."""
    generator = torch.Generator().manual_seed(seed)
    left, _ = torch.linalg.qr(torch.randn(60, 20, generator=generator, dtype=torch.float64))
    right, _ = torch.linalg.qr(torch.randn(20, 20, generator=generator, dtype=torch.float64))
    J = (left * torch.logspace(0, float(np.log10(least)), 20, dtype=torch.float64)) @ right
    return J, torch.randn(60, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("least", [1e-1, 1e-4, 1e-7])
@pytest.mark.parametrize("damping", [1e-2, 1e-12, 1e-20])
def test_both_minimise(least, damping):
    """The damped loss is that of LAPACK's solution; normal equations alone, in the last case, are far from it."""
    J, r = system(least)
    whole = torch.cat([J, damping**0.5 * torch.eye(20, dtype=torch.float64)])
    right = torch.cat([-r, torch.zeros(20, dtype=torch.float64)])
    expected = torch.linalg.lstsq(whole, right, driver="gelsd").solution
    for solution, near in ((by_qr(J, r, damping), 1e-6), (by_conjugate_gradients(J, gram(J), r, damping), 1e-2)):
        size = float((whole @ solution.direction - right).norm() / (whole @ expected - right).norm())
        assert size == pytest.approx(1, abs=1e-9)
        assert float((whole @ (solution.direction - expected)).norm()) < near * float((whole @ expected).norm())


def test_singular_systems_have_a_finite_solution():
    J, r = system(1e-3)
    J[:, 3] = J[:, 4]
    solution = by_conjugate_gradients(J, gram(J), r, 1e-25)
    assert bool(solution.direction.isfinite().all())
    assert float((J.T @ (J @ solution.direction + r)).norm()) < 1e-8
    assert torch.allclose(torch.tril(J.T @ J), torch.tril(gram(J)))
    factor = preconditioner(gram(J), 0.0)
    assert torch.allclose(factor.T @ factor, J.T @ J, atol=1e-10)
