"""Levenberg–Marquardt from intermediate targets to the end loss alone, both layers at once.

The loss is that of the answer plus α times that of the first layer's features, in the first channels between the layers:
``a_i a_j`` and ``a_i b`` at the last row and in the mean over the data rows, ``x_init`` at the last one. α starts at 1 and is
multiplied by :data:`RATE` after each step at which the whole loss is below :data:`LEARNED`, and is zero at last: what is
reached then is a point of the end-to-end loss.
As layer by layer this uses more knowledge than the task gives, and results must say so; unlike it, the inputs are
those of the task (b = A x) from the start, and no layer is trained alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from constructions.models.baseconv import BaseConvLayer, BaseConvModel
from precls_theory.training.levenberg_marquardt import LevenbergMarquardt
from precls_theory.training.models import ModelConfiguration
from precls_theory.training.recipes.marquardt import FEW, Answer, FlatParameters, Marquardt, step_or_floor
from precls_theory.training.recipes.recipe import RecipeState, Setting
from precls_theory.training.tasks import TrainingTask

RATE, LEARNED, LEAST = 0.1, 1e-2, 1e-6


def n_products(n_dims: int) -> int:
    return n_dims * (n_dims + 1) // 2 + n_dims


def features(u: Tensor, n_dims: int) -> Tensor:
    """``a_i a_j`` (i ≤ j) and ``a_i b`` of every row: (..., n_rows, D(D+1)/2 + D)."""
    a, b = u[..., :n_dims], u[..., n_dims : n_dims + 1]
    i, j = torch.triu_indices(n_dims, n_dims)
    return torch.cat([a[..., i] * a[..., j], a * b], dim=-1)


class Supervised(nn.Module):
    """The answer and the features of the first layer, of one input: two flat vectors."""

    def __init__(self, model: BaseConvModel, task: TrainingTask) -> None:
        super().__init__()
        self.answer = Answer(model, task)
        self.n_dims = task.n_dims

    def forward(self, u: Tensor) -> tuple[Tensor, Tensor]:
        D, model = self.n_dims, self.answer.model
        assert isinstance(model, BaseConvModel)
        state = model.layers[0](u + model.positions)
        wanted = features(u, D)
        size = n_products(D)
        products = state[1:, :size] - wanted[1:]
        carried = state[-1, size : size + D] - u[0, :D]
        return self.answer(u).flatten(), torch.cat([products.mean(dim=0), products[-1], carried])


class Homotopy(Marquardt):
    """Explicit gradient in two BaseConv layers, from intermediate targets to none."""

    @classmethod
    def configuration(cls, configuration: ModelConfiguration, task: TrainingTask) -> ModelConfiguration:
        D = task.n_dims
        least = n_products(D) + D
        if task.name != "explicit_gradient" or configuration.name != "baseconv" or configuration.depth != 2:
            raise ValueError(
                "the homotopy has intermediate targets for the task explicit_gradient and the model baseconv of depth 2, got "
                f"{task.name} and {configuration.name} of depth {configuration.depth}: use another recipe, or --depth 2"
            )
        if configuration.width < least:
            raise ValueError(f"the features of D={D} take {least} channels, got --width {configuration.width}")
        return configuration

    def __init__(self, model: nn.Module, setting: Setting) -> None:
        super().__init__(model, setting)
        assert isinstance(model, BaseConvModel)
        assert isinstance(model.layers[0], BaseConvLayer)
        self.weight = 1.0
        supervised = Supervised(model, setting.task)
        self.flat = FlatParameters(supervised, tuple(f"answer.model.{name}" for name in self.frozen(model)))

        def residual(vector: Tensor, u: Tensor, target: Tensor) -> Tensor:
            answer, between = self.flat.call(vector, u)
            answer = answer - target.flatten()
            return torch.cat([answer, self.weight**0.5 * between]) if self.weight else answer

        self.method = LevenbergMarquardt(residual, self.flat.gather(), qr_parameters=FEW)
        self.n_answers, self.n_between = (
            setting.task.n_outputs,
            2 * n_products(setting.task.n_dims) + setting.task.n_dims,
        )

    @property
    def n_problems(self) -> int:
        """Of a batch: twice as many residuals as parameters, those of the features included."""
        per_sample = self.n_answers + (self.n_between if self.weight else 0)
        return self.setting.batch_size or -(-2 * self.method.parameters.numel() // per_sample)

    @property
    def stage(self) -> str:
        return f"intermediate targets with weight {self.weight:.0e}" if self.weight else super().stage

    def step(self) -> float:
        u, target = self.batch(self.n_problems)
        loss, done = step_or_floor(self.method, u, target)
        self.settle(done and self.weight == 0)
        if self.weight and loss < LEARNED:
            self.weight = self.weight * RATE if self.weight * RATE >= LEAST else 0.0
        return loss

    def state(self) -> tuple[dict[str, Tensor], RecipeState]:
        tensors, data = super().state()
        return tensors, {**data, "weight": self.weight}

    def restore(self, tensors: dict[str, Tensor], data: RecipeState) -> None:
        super().restore(tensors, data)
        self.weight = data["weight"]
