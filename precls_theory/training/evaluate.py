"""How well a model does its task: on fresh problems, out of distribution, and applied again and again.

Mean squared errors are averages over coordinates, on 4096 fresh problems that no training saw (their seeds are their own),
against targets computed in float64. Beside a trained model stands the exact construction for the same task in the same
dtype: the difference is what training left on the table, and what the construction shows is the price of the dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

import constructions as C
from precls_theory.training.tasks import OUT_OF_DISTRIBUTION, Distribution, TrainingTask, sample_problems, with_row

N_PROBLEMS = 4096
SEED = 2**40
"""Seed of the problems on which models are compared; training draws its seeds from below 2**32."""
ITERATIONS = 1000

Model = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Evaluation:
    """Mean squared errors. ``iterated`` is that of x after :data:`ITERATIONS` steps ``x ← x − η g(x)`` with the model's
    gradient, against the solution, median over problems (explicit gradient alone)."""

    mse: float
    out_of_distribution: dict[str, float]
    iterated: float | None


def predictions(model: Model, u: Tensor, dtype: torch.dtype, device: torch.device, chunk: int = 512) -> Tensor:
    """The model's output on ``u`` rounded to ``dtype``, in float64."""
    with torch.no_grad():
        return torch.cat([model(part.to(dtype).to(device)).double().cpu() for part in u.split(chunk)])


def mean_squared_error(
    model: Model, task: TrainingTask, dtype: torch.dtype, device: torch.device, distribution: Distribution | None = None
) -> float:
    """On :data:`N_PROBLEMS` fresh problems, over coordinates. Infinite or undefined outputs give ``inf``."""
    u, target = task.sample(N_PROBLEMS, torch.Generator().manual_seed(SEED), distribution)
    # The target belongs to the problem that the model sees, whose numbers are those of the dtype.
    if task.is_regression:
        target = exact_target(task, u.to(dtype).double())
    error = (task.answer(predictions(model, u, dtype, device)) - target).square().mean()
    return float(error) if bool(torch.isfinite(error)) else float("inf")


def exact_target(task: TrainingTask, u: Tensor) -> Tensor:
    """The target of inputs as they are, computed in float64 from the definition."""
    D = task.n_dims
    if task.name == "least_squares":
        return torch.linalg.lstsq(u[..., :D], u[..., D:]).solution.mT
    first = task.name == "explicit_gradient"
    data, x = (u[:, 1:], u[:, 0, :D]) if first else (u[:, :-1], u[:, -1, :D])
    A, b = data[..., :D], data[..., D]

    def gradient(x: Tensor) -> Tensor:
        return (A.mT @ ((A @ x[..., None])[..., 0] - b)[..., None])[..., 0] / task.n_points

    if first:
        return gradient(x)[:, None]
    for _ in range(task.n_steps):
        x = x - task.step_size * gradient(x)
    return x[:, None]


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
    problems = sample_problems(256, task.n_points, task.n_dims, torch.Generator().manual_seed(SEED + 1))
    u = with_row(problems, first=True).to(dtype)
    step = 1 / torch.linalg.matrix_norm(problems.A, ord=2).square()[:, None] * task.n_points
    x = u[:, 0, : task.n_dims].clone()
    for _ in range(n_steps):
        u[:, 0, : task.n_dims] = x
        gradient = task.answer(predictions(model, u, dtype, device))[:, 0]
        x = (x.double() - step * gradient).to(dtype)
    errors = (x.double() - problems.x).square().mean(dim=-1)
    return float(errors.nan_to_num(nan=float("inf")).median())


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
