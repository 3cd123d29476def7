"""Levenberg–Marquardt through a curriculum in D and N: first problems of one unknown and one row, then of more.

The sizes of the model and of its inputs stay; a problem of d unknowns and n rows has zeros in the other columns and rows, and
its target is that of the problem as it is. The next stage, one unknown and as many rows more as keep their ratio, begins
where the loss of a fresh batch falls below :data:`LEARNED`: a feature that the smaller problems need is then there, and the
plateau of those that are missing (a saddle, :mod:`precls_theory.landscape`) is shorter.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from precls_theory.training.models import ModelConfiguration
from precls_theory.training.recipes.marquardt import Marquardt, step_or_floor
from precls_theory.training.recipes.recipe import RecipeState, Setting
from precls_theory.training.tasks import TrainingTask, sample_problems, with_row

LEARNED = 1e-4


class Curriculum(Marquardt):
    """Explicit gradient end to end; ``current`` is the number of unknowns of its problems."""

    @classmethod
    def configuration(cls, configuration: ModelConfiguration, task: TrainingTask) -> ModelConfiguration:
        if task.name != "explicit_gradient":
            raise ValueError(
                f"the curriculum is one of the task explicit_gradient, got {task.name}: use another recipe"
            )
        return configuration

    def __init__(self, model: nn.Module, setting: Setting) -> None:
        super().__init__(model, setting)
        self.current = 1

    @property
    def n_dims(self) -> int:
        return self.setting.task.n_dims

    @property
    def n_points(self) -> int:
        """Rows of the problems of this stage."""
        return -(-self.setting.task.n_points * self.current // self.n_dims)

    @property
    def stage(self) -> str:
        return f"{self.current} of {self.n_dims} unknowns"

    def batch(self, size: int) -> tuple[Tensor, Tensor]:
        task = self.setting.task
        u, target = smaller_problems(task, size, self.setting.generator, self.current, self.n_points)
        like = next(self.model.parameters())
        return u.to(like), target.to(like)

    def step(self) -> float:
        u, target = self.batch(self.batch_size)
        loss, done = step_or_floor(self.method, u, target)
        self.settle(done and self.current == self.n_dims)
        if self.current < self.n_dims and loss < LEARNED:
            self.current += 1
            self.method.damping = max(self.method.damping, 1e-3)
        return loss

    def state(self) -> tuple[dict[str, Tensor], RecipeState]:
        tensors, data = super().state()
        return tensors, {**data, "current": self.current}

    def restore(self, tensors: dict[str, Tensor], data: RecipeState) -> None:
        super().restore(tensors, data)
        self.current = data["current"]


def smaller_problems(
    task: TrainingTask, batch: int, generator: torch.Generator, n_dims: int, n_points: int
) -> tuple[Tensor, Tensor]:
    """Explicit gradients of problems with ``n_dims`` unknowns in the last ``n_points`` rows, zeros elsewhere."""
    problems = sample_problems(batch, task.n_points, task.n_dims, generator)
    problems.A[:, : task.n_points - n_points] = 0
    for values in (problems.A, problems.x, problems.x_init):
        values[..., n_dims:] = 0
    problems.b.copy_((problems.A @ problems.x[..., None])[..., 0])
    return with_row(problems, first=True), problems.gradient(problems.x_init)[:, None]
