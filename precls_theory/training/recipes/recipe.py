"""What a recipe is: something that takes steps, knows when it is done, and can be put away and taken up again, bit by bit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, TypedDict

import torch
from torch import Tensor, nn

from precls_theory.training.devices import ALONE, Ranks
from precls_theory.training.models import ModelConfiguration
from precls_theory.training.tasks import TrainingTask


@dataclass(frozen=True)
class Setting:
    """What a recipe works on. All randomness is in ``generator``, whose state is part of a checkpoint."""

    task: TrainingTask
    generator: torch.Generator
    dtype: torch.dtype
    device: torch.device
    batch_size: int | None = None
    learning_rate: float | None = None
    ranks: Ranks = ALONE


class RecipeState(TypedDict, total=False):
    """The numbers that a recipe keeps between its steps, beside its tensors."""

    n_steps: int
    rate: float
    similarity: float
    damping: float | None
    dampings: list[float]
    mean: float
    done: bool
    current: int
    attempt: int
    weight: float


class Recipe(ABC):
    """A recipe for a model and a task. ``step`` trains for one step and returns the loss on its batch, before it.

    ``state`` and ``restore`` hold what the model's weights and the generator do not: tensors by name, and JSON data.
    """

    trains_in: ClassVar[torch.dtype | None] = None
    """The dtype of the weights while they are trained, where it is not the one asked for."""

    several_devices: ClassVar[bool] = False
    """Whether processes can share a batch, by averaging gradients."""

    def __init__(self, model: nn.Module, setting: Setting) -> None:
        if setting.ranks.size > 1 and not self.several_devices:
            raise ValueError(
                "this recipe solves one least-squares problem a step: it trains on one device, not several"
            )
        self.model, self.setting = model, setting

    @classmethod
    def configuration(cls, configuration: ModelConfiguration, task: TrainingTask) -> ModelConfiguration:
        """The model that this recipe trains, given the one asked for; raises ``ValueError`` where it cannot."""
        return configuration

    @classmethod
    def frozen(cls, model: nn.Module) -> tuple[str, ...]:
        """Names of parameters that keep their values; no noise is added to them either."""
        return ()

    @classmethod
    def initialise(cls, model: nn.Module, generator: torch.Generator) -> None:
        """Give a model its random weights, where those that it was built with are not what this recipe starts from."""
        return

    @property
    def finished(self) -> bool:
        """Whether further steps are of no use."""
        return False

    @property
    def stage(self) -> str:
        """What is being trained, for people."""
        return "all layers, end to end"

    @abstractmethod
    def step(self) -> float: ...

    @abstractmethod
    def state(self) -> tuple[dict[str, Tensor], RecipeState]: ...

    @abstractmethod
    def restore(self, tensors: dict[str, Tensor], data: RecipeState) -> None: ...

    def batch(self, size: int) -> tuple[Tensor, Tensor]:
        """Fresh inputs and targets of the task, in the dtype and on the device of the model."""
        u, target = self.setting.task.sample(size, self.setting.generator)
        like = next(self.model.parameters())
        return u.to(like), target.to(like)
