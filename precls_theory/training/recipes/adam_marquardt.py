"""Adam, then Levenberg–Marquardt: many cheap steps through the plateaus, then few that converge quadratically.

Adam hands over to :class:`Marquardt` after :data:`STEPS` steps, or as soon as the mean loss of :data:`WINDOW` steps is below
:data:`NEAR`. Both in float64, and the parameters that keep their values by Levenberg–Marquardt keep them from the start.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from precls_theory.training.recipes.adam import Adam
from precls_theory.training.recipes.marquardt import Marquardt, SecondOrder
from precls_theory.training.recipes.recipe import RecipeState, Setting

STEPS, WINDOW, NEAR = 1000, 100, 1e-3
RATE = 1e-2


class AdamMarquardt(SecondOrder):
    """``marquardt`` is ``None`` while Adam trains."""

    def __init__(self, model: nn.Module, setting: Setting) -> None:
        super().__init__(model, setting)
        frozen = self.frozen(model)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name not in frozen)
        self.adam = Adam(model, replace(setting, learning_rate=setting.learning_rate or RATE))
        self.marquardt: Marquardt | None = None
        self.mean = 1.0

    @property
    def finished(self) -> bool:
        return self.marquardt is not None and self.marquardt.finished

    @property
    def stage(self) -> str:
        return "Adam" if self.marquardt is None else "Levenberg-Marquardt"

    def step(self) -> float:
        if self.marquardt is not None:
            return self.marquardt.step()
        loss = self.adam.step()
        self.mean += (loss - self.mean) / WINDOW
        if self.adam.n_steps == STEPS or self.mean < NEAR:
            self.marquardt = Marquardt(self.model, self.setting)
        return loss

    def state(self) -> tuple[dict[str, Tensor], RecipeState]:
        if self.marquardt is not None:
            return self.marquardt.state()
        tensors, data = self.adam.state()
        return tensors, {**data, "mean": self.mean}

    def restore(self, tensors: dict[str, Tensor], data: RecipeState) -> None:
        if "mean" in data:
            self.adam.restore(tensors, data)
            self.mean = data["mean"]
        else:
            self.marquardt = Marquardt(self.model, self.setting)
            self.marquardt.restore(tensors, data)
