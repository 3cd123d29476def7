"""Alternating least squares: one factor of one layer at a time, the others given, over and over.

The answer is linear in each of In, Gate, the filter and Out of the last layer, so a step in one of them solves its
least-squares problem on the batch; it is a polynomial of higher degree in those of earlier layers, which the next layer
multiplies by each other, and a step there is one of Levenberg–Marquardt in that factor alone. Problems are small, so steps
are cheap; but a factor sees the others fixed, and convergence is linear. Batches are those of the whole model: what a
factor gains on fewer problems, of products with heavy tails, is a fit of those.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from constructions.models.baseconv import BaseConvModel
from precls_theory.training.levenberg_marquardt import DidNotConverge, LevenbergMarquardt
from precls_theory.training.models import ModelConfiguration
from precls_theory.training.recipes.marquardt import Answer, FlatParameters, Marquardt, step_or_floor
from precls_theory.training.recipes.recipe import RecipeState, Setting
from precls_theory.training.tasks import TrainingTask

FACTORS = ("filter", "gate_proj", "in_proj", "out_proj")


class Alternating(Marquardt):
    """The factors of a BaseConv model in turn; ``current`` is the next one's number."""

    @classmethod
    def configuration(cls, configuration: ModelConfiguration, task: TrainingTask) -> ModelConfiguration:
        if configuration.name != "baseconv":
            raise ValueError(
                f"the alternating recipe takes the factors of BaseConv layers in turn, got the model {configuration.name}: "
                "use another recipe, or --model baseconv"
            )
        return configuration

    def __init__(self, model: nn.Module, setting: Setting) -> None:
        super().__init__(model, setting)
        assert isinstance(model, BaseConvModel)
        trained = [name for name, _ in model.named_parameters() if name not in self.frozen(model)]
        prefixes = [f"layers.{layer}.{factor}" for layer in range(len(model.layers)) for factor in FACTORS]
        self.blocks = [
            Block(model, setting, [name for name in trained if name.startswith(prefix)])
            for prefix in reversed(prefixes)
        ]
        self.current = self.n_stuck = 0

    @property
    def stage(self) -> str:
        return "one factor at a time, end loss"

    def step(self) -> float:
        block = self.blocks[self.current % len(self.blocks)]
        self.current += 1
        try:
            loss, self.done = step_or_floor(block.method, *self.batch(self.batch_size))
            self.n_stuck = 0
        except DidNotConverge as stuck:
            loss, self.n_stuck = stuck.loss, self.n_stuck + 1
            if self.n_stuck == len(self.blocks) or not loss < float("inf"):
                raise
        block.flat.scatter(block.method.parameters)
        return loss

    def state(self) -> tuple[dict[str, Tensor], RecipeState]:
        dampings = [block.method.damping for block in self.blocks]
        return {}, {"current": self.current, "attempt": self.n_stuck, "dampings": dampings, "done": self.done}

    def restore(self, tensors: dict[str, Tensor], data: RecipeState) -> None:
        self.current, self.n_stuck, self.done = data["current"], data["attempt"], data["done"]
        for block, damping in zip(self.blocks, data["dampings"], strict=True):
            block.method.parameters, block.method.damping = block.flat.gather(), damping


class Block:
    """A factor: its parameters as a vector, and steps in them alone."""

    def __init__(self, model: nn.Module, setting: Setting, names: Iterable[str]) -> None:
        task, own = setting.task, {f"model.{name}" for name in names}
        answer = Answer(model, task)
        flat = FlatParameters(answer, tuple(name for name, _ in answer.named_parameters() if name not in own))

        def residual(vector: Tensor, u: Tensor, target: Tensor) -> Tensor:
            return (flat.call(vector, u) - target).flatten()

        self.flat, self.method = flat, LevenbergMarquardt(residual, flat.gather())
