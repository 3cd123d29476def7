"""Explicit gradient layer by layer: intermediate targets for the first layer, iid features for the second, then stacked.

This uses more knowledge than end-to-end training, and results must say so. Layer 1 learns ``a_i a_j`` (i ≤ j), ``a_i b`` and
``x_init`` at the last row from iid N(0, 1) rows with b independent of a: from rows that are independent it can only find
the filters that see the last row, or row 0, alone, so that its products are right at every row. Layer 2 learns
``(1/N)(Q x − c)`` at the last row from iid N(0, 1) features, Q and c summed over the last N rows. Stacked, the two layers
are the task; nothing is trained jointly.

In's bias is frozen at zero (a causal filter would turn it into row-dependent constants, and a layer that is right at the
last row could be wrong before it), and so are the bias of the convolution and the positions. In, Gate, Out start at
N(0, 1/fan_in), filters at N(0, 1/n_rows). Levenberg–Marquardt in float64, about 1.3 times the exact construction's width.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from constructions.models.baseconv import BaseConvLayer, BaseConvModel
from precls_theory.training.levenberg_marquardt import LevenbergMarquardt
from precls_theory.training.models import ModelConfiguration
from precls_theory.training.recipes.marquardt import FlatParameters, LastRow, step_or_floor
from precls_theory.training.recipes.recipe import Recipe, Setting
from precls_theory.training.tasks import TrainingTask

FROZEN = ("in_proj.bias", "conv_bias")
SPARE_WIDTH = 1.3
"""Hidden channels, as a multiple of what the exact construction has."""


@dataclass(frozen=True)
class Stage:
    """One layer and what it learns: ``sample(batch, generator)`` gives inputs (B, n_rows, n_in), targets (B, n_out)."""

    name: str
    layer: BaseConvLayer
    sample: Callable[[int, torch.Generator], tuple[Tensor, Tensor]]


def feature_sizes(n_dims: int) -> tuple[int, int, int]:
    """Numbers of channels of Q (upper triangle), c and x."""
    return n_dims * (n_dims + 1) // 2, n_dims, n_dims


def first_layer_data(task: TrainingTask, batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Independent rows; products of the last row, and the first row's a."""
    D = task.n_dims
    u = torch.randn(batch, task.n_rows, D + 1, generator=generator, dtype=torch.float64)
    a, b = u[:, -1, :D], u[:, -1, D:]
    i, j = torch.triu_indices(D, D)
    return u, torch.cat([a[:, i] * a[:, j], a * b, u[:, 0, :D]], dim=-1)


def second_layer_data(task: TrainingTask, batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Independent features; ``(1/N)(Q x − c)`` from their sums over the last N rows and x of the last row."""
    D, N = task.n_dims, task.n_points
    sizes = feature_sizes(D)
    u = torch.randn(batch, task.n_rows, sum(sizes), generator=generator, dtype=torch.float64)
    upper, c, _ = u[:, 1:].sum(dim=1).split(sizes, dim=-1)
    i, j = torch.triu_indices(D, D)
    Q = u.new_zeros(batch, D, D)
    Q[:, i, j], Q[:, j, i] = upper, upper
    x = u[:, -1, -D:]
    return u, ((Q @ x[..., None])[..., 0] - c) / N


def initialise(layer: BaseConvLayer, generator: torch.Generator) -> None:
    """In, Gate, Out ~ N(0, 1/fan_in), filters ~ N(0, 1/n_rows), biases of In and of the convolution zero."""
    with torch.no_grad():
        for projection in (layer.in_proj, layer.gate_proj, layer.out_proj):
            fan_in = projection.in_features + 1
            for parameter in (projection.weight, projection.bias):
                parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) / fan_in**0.5)
        filter = torch.randn(layer.filter.shape, generator=generator, dtype=torch.float64)
        layer.filter.copy_(filter / layer.n_rows**0.5)
        layer.in_proj.bias.zero_()
        layer.conv_bias.zero_()


class Layerwise(Recipe):
    """Explicit gradient, one layer after the other; ``learning_rate`` is not used."""

    trains_in = torch.float64

    @classmethod
    def configuration(cls, configuration: ModelConfiguration, task: TrainingTask) -> ModelConfiguration:
        if task.name != "explicit_gradient" or configuration.name != "baseconv":
            raise ValueError(
                "layer by layer training has intermediate targets for the task explicit_gradient and the model baseconv, "
                f"got {task.name} and {configuration.name}: use another recipe"
            )
        D, features = task.n_dims, sum(feature_sizes(task.n_dims))
        hidden = (math.ceil(SPARE_WIDTH * features), math.ceil(SPARE_WIDTH * (D * D + D)))
        return replace(configuration, depth=2, channels=(features,), hidden=hidden, branch_weights=False)

    def __init__(self, model: nn.Module, setting: Setting) -> None:
        super().__init__(model, setting)
        assert isinstance(model, BaseConvModel)
        task = setting.task
        samples = (first_layer_data, second_layer_data)
        self.stages: list[Stage] = []
        for number, (layer, sample) in enumerate(zip(model.layers, samples, strict=True), 1):
            assert isinstance(layer, BaseConvLayer)
            self.stages.append(
                Stage(f"layer {number} of 2", layer, lambda batch, g, sample=sample: sample(task, batch, g))  # type: ignore[misc]
            )
        self.current = 0
        self.method: LevenbergMarquardt | None = None

    @property
    def finished(self) -> bool:
        return self.current == len(self.stages)

    @property
    def stage(self) -> str:
        return self.stages[min(self.current, len(self.stages) - 1)].name

    def _open(self, fresh: bool) -> LevenbergMarquardt:
        stage = self.stages[self.current]
        if fresh:
            initialise(stage.layer, self.setting.generator)
        flat = FlatParameters(LastRow(stage.layer), tuple(f"layer.{name}" for name in FROZEN))
        self.flat = flat
        return LevenbergMarquardt(lambda vector, u, target: flat.call(vector, u) - target, flat.gather())

    def step(self) -> float:
        if self.finished:
            raise RuntimeError("every layer is trained")
        if self.method is None:
            self.method = self._open(fresh=True)
        stage = self.stages[self.current]
        n_out = stage.layer.out_proj.out_features
        size = self.setting.batch_size or -(-2 * self.method.parameters.numel() // n_out)
        like = self.method.parameters
        u, target = (tensor.to(like) for tensor in stage.sample(size, self.setting.generator))
        loss, done = step_or_floor(self.method, u, target)
        self.flat.scatter(self.method.parameters)
        if done:
            self.current, self.method = self.current + 1, None
        return loss

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        damping = None if self.method is None else self.method.damping
        return {}, {"current": self.current, "damping": damping}

    def restore(self, tensors: dict[str, Tensor], data: dict[str, Any]) -> None:
        self.current = data["current"]
        if data["damping"] is not None:
            self.method = self._open(fresh=False)
            self.method.damping = data["damping"]
