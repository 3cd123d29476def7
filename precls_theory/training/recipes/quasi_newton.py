"""L-BFGS of PyTorch (Liu & Nocedal 1989), a second-order optimiser from a library, on a fresh batch a step.

A step is :data:`ITERATIONS` iterations with strong Wolfe line searches on one batch, of four times as many residuals as
parameters, starting from no curvature: pairs of gradients of different batches would be noise. So there is nothing to
keep between steps but the weights. Float64; the same parameters keep their values as by Levenberg–Marquardt.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from precls_theory.training.recipes.marquardt import FLOOR, SecondOrder
from precls_theory.training.recipes.recipe import RecipeState, Setting

ITERATIONS, HISTORY = 100, 50


class QuasiNewton(SecondOrder):
    """All parameters at once."""

    def __init__(self, model: nn.Module, setting: Setting) -> None:
        super().__init__(model, setting)
        frozen, task = self.frozen(model), setting.task
        self.parameters = [parameter for name, parameter in model.named_parameters() if name not in frozen]
        n_residuals = 4 * sum(parameter.numel() for parameter in self.parameters)
        self.batch_size = setting.batch_size or -(-n_residuals // (len(task.rows) * task.n_outputs))
        self.done = False

    @property
    def finished(self) -> bool:
        return self.done

    def step(self) -> float:
        u, target = self.batch(self.batch_size)
        optimizer = torch.optim.LBFGS(
            self.parameters, max_iter=ITERATIONS, history_size=HISTORY, line_search_fn="strong_wolfe",
            tolerance_grad=0, tolerance_change=0,
        )  # fmt: skip

        def loss() -> Tensor:
            optimizer.zero_grad()
            value = (self.setting.task.answer(self.model(u)) - target).square().mean()
            value.backward()
            return value

        before = float(optimizer.step(loss).detach())
        self.done = before < FLOOR
        return before

    def state(self) -> tuple[dict[str, Tensor], RecipeState]:
        return {}, {"done": self.done}

    def restore(self, tensors: dict[str, Tensor], data: RecipeState) -> None:
        self.done = data["done"]
