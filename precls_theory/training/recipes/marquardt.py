"""Levenberg–Marquardt end to end, on all parameters of a model at once; see :mod:`precls_theory.training.levenberg_marquardt`.

Batches are fresh and have twice as many residuals as there are parameters; arithmetic is float64. It stops at the
floor of float64.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from precls_theory.training.levenberg_marquardt import DidNotConverge, LevenbergMarquardt
from precls_theory.training.recipes.recipe import Recipe, Setting

FLOOR = 1e-28
"""A mean squared residual below which float64 has nothing to gain."""
ROUNDING = 1e-22
"""A mean squared residual from which a step that lowers nothing is taken for rounding, not for a bad minimum."""


def step_or_floor(method: LevenbergMarquardt, inputs: Tensor, targets: Tensor) -> tuple[float, bool]:
    """One step: the loss before it, and whether float64 has nothing more to gain."""
    try:
        loss = method.step(inputs, targets)
    except DidNotConverge as stuck:
        if stuck.loss < ROUNDING:
            return stuck.loss, True
        raise
    return loss, loss < FLOOR


class FlatParameters:
    """The trainable parameters of a module as one vector, and the module as a function of it.

    ``frozen`` names parameters that keep their values.
    """

    def __init__(self, module: nn.Module, frozen: tuple[str, ...] = ()) -> None:
        self.module = module
        self.parameters = {name: p for name, p in module.named_parameters() if name not in frozen}
        self.kept = {name: p.detach() for name, p in module.named_parameters() if name in frozen}

    def gather(self) -> Tensor:
        return torch.cat([p.detach().flatten() for p in self.parameters.values()])

    def scatter(self, vector: Tensor) -> None:
        with torch.no_grad():
            for name, part in self.split(vector).items():
                self.parameters[name].copy_(part)

    def split(self, vector: Tensor) -> dict[str, Tensor]:
        parts = vector.split([p.numel() for p in self.parameters.values()])
        return {name: part.view(p.shape) for (name, p), part in zip(self.parameters.items(), parts, strict=True)}

    def call(self, vector: Tensor, *inputs: Tensor) -> Tensor:
        return functional_call(self.module, {**self.split(vector), **self.kept}, inputs)


class Marquardt(Recipe):
    """All parameters at once."""

    trains_in = torch.float64

    def __init__(self, model: nn.Module, setting: Setting) -> None:
        super().__init__(model, setting)
        self.flat = FlatParameters(model)
        task = setting.task

        def residual(vector: Tensor, u: Tensor, target: Tensor) -> Tensor:
            return (task.answer(self.flat.call(vector, u[None]))[0] - target).flatten()

        self.method = LevenbergMarquardt(residual, self.flat.gather())
        per_sample = len(task.rows) * task.n_outputs
        self.batch_size = setting.batch_size or -(-2 * self.method.parameters.numel() // per_sample)
        self.done = False

    @property
    def finished(self) -> bool:
        return self.done

    def step(self) -> float:
        u, target = self.batch(self.batch_size)
        loss, self.done = step_or_floor(self.method, u, target)
        self.flat.scatter(self.method.parameters)
        return loss

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {}, {"damping": self.method.damping, "done": self.done}

    def restore(self, tensors: dict[str, Tensor], data: dict[str, Any]) -> None:
        self.method.parameters = self.flat.gather()
        self.method.damping, self.done = data["damping"], data["done"]
