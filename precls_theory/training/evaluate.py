"""How well a model does its task: on fresh problems, out of distribution, and applied again and again.

Mean squared errors are averages over coordinates, on 4096 fresh problems that no training saw (their seeds are their own),
against targets without rounding (:mod:`precls_theory.training.targets`). Beside a trained model stands the exact construction
for the same task in the same dtype: the difference is what training left on the table, and what the construction shows is
the price of the dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

import constructions as C
from precls_theory.training.targets import ExactTargets, exact_targets, integers, least_squares
from precls_theory.training.tasks import OUT_OF_DISTRIBUTION, Distribution, TrainingTask, sample_problems, with_row

N_PROBLEMS = 4096
SEED = 2**40
"""Seed of the problems on which models are compared; training draws its seeds from below 2**32."""
ITERATIONS = 1000

Model = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Evaluation:
    """Mean squared errors. ``iterated`` is that of x after :data:`ITERATIONS` steps ``x ← x − η g(x)`` with the model's
    gradient, against the solution of the problem in the dtype, median over problems (explicit gradient alone)."""

    mse: float
    out_of_distribution: dict[str, float]
    iterated: float | None


def predictions(model: Model, u: Tensor, dtype: torch.dtype, device: torch.device, chunk: int = 512) -> Tensor:
    """The model's output on ``u`` rounded to ``dtype``, in float64."""
    with torch.no_grad():
        return torch.cat([model(part.to(dtype).to(device)).double().cpu() for part in u.split(chunk)])


@lru_cache(maxsize=len(OUT_OF_DISTRIBUTION) + 1)
def fresh_problems(
    task: TrainingTask, dtype: torch.dtype, distribution: Distribution | None = None
) -> tuple[Tensor, ExactTargets]:
    """Inputs of :data:`N_PROBLEMS` problems, whose numbers are those of ``dtype``, and their targets."""
    u, _ = task.sample(N_PROBLEMS, torch.Generator().manual_seed(SEED), distribution)
    rounded = u.to(dtype).double()
    return rounded, exact_targets(task, rounded)


def mean_squared_error(
    model: Model, task: TrainingTask, dtype: torch.dtype, device: torch.device, distribution: Distribution | None = None
) -> float:
    """On :data:`N_PROBLEMS` fresh problems, over coordinates. Infinite or undefined outputs give ``inf``."""
    u, targets = fresh_problems(task, dtype, distribution)
    return targets.mean_square(task.answer(predictions(model, u, dtype, device)))


def evaluate(model: Model, task: TrainingTask, dtype: torch.dtype, device: torch.device) -> Evaluation:
    """Everything at once; ``model`` takes inputs of ``dtype`` on ``device``."""
    shifted = OUT_OF_DISTRIBUTION if task.is_regression else {}
    return Evaluation(
        mean_squared_error(model, task, dtype, device),
        {name: mean_squared_error(model, task, dtype, device, d) for name, d in shifted.items()},
        iterated(model, task, dtype, device) if task.name == "explicit_gradient" else None,
    )


def iterated(
    model: Model, task: TrainingTask, dtype: torch.dtype, device: torch.device, n_steps: int = ITERATIONS
) -> float:
    """Median over 256 problems of the mean squared error of x after ``n_steps`` steps along the model's gradient.

    The step size is 1/λ_max(AᵀA/N) of each problem, as a user would choose it; x is kept in ``dtype``, as the paper
    applies its models.
    """
    D = task.n_dims
    problems = sample_problems(256, task.n_points, D, torch.Generator().manual_seed(SEED + 1))
    u = with_row(problems, first=True).to(dtype)
    data = u[:, 1:].double()
    step = 1 / torch.linalg.matrix_norm(data[..., :D], ord=2).square()[:, None] * task.n_points
    x = u[:, 0, :D].clone()
    for _ in range(n_steps):
        u[:, 0, :D] = x
        gradient = task.answer(predictions(model, u, dtype, device))[:, 0]
        x = (x.double() - step * gradient).to(dtype)
    # The solution of the problem that the model sees: with b rounded to the dtype it is not the x that b was made of.
    rows, _ = integers(data)
    errors = least_squares(rows[..., :D], rows[..., D]).errors(x.double()[:, None])
    return float(np.median(np.square(errors).mean(axis=(1, 2))))


def construction_for(task: TrainingTask) -> C.Network | None:
    """The exact network for a task, or None where this package has none."""
    N, D = task.n_points, task.n_dims
    if task.name == "explicit_gradient":
        return C.explicit_gradient(n_points=N, n_dims=D)
    if task.name == "multistep_gd":
        from fractions import Fraction

        step = Fraction(task.step_size)
        return C.gradient_descent(n_points=N, n_dims=D, n_steps=task.n_steps, step_size=step, layout="E", form="gram")
    if task.name == "least_squares":
        return C.newton(n_points=N, n_dims=D, n_iters=10, alpha="1/50")
    return None
