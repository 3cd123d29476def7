"""Levenberg–Marquardt end to end, on all parameters of a model at once; see :mod:`precls_theory.training.levenberg_marquardt`.

Batches are fresh and have twice as many residuals as there are parameters, 1.3 times as many where those are more than
:data:`MANY`; arithmetic is float64. It stops at the floor of float64, and then scales the weights so that as many of them as
can be are 1 (:mod:`precls_theory.training.scaling`), which about halves the error of the model in float32.

Parameters of a BaseConv model whose part others can play keep their values (positions, the biases of In and of the
convolution): with them the Jacobian is singular at every solution, and convergence is no longer quadratic. A run from random
weights starts with zeros there; a bias of In, behind a causal filter, would be a constant of its own at every row.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.func import functional_call

from constructions.models.baseconv import BaseConvLayer, BaseConvModel
from precls_theory.training.levenberg_marquardt import DidNotConverge, LevenbergMarquardt
from precls_theory.training.recipes.recipe import Recipe, RecipeState, Setting
from precls_theory.training.scaling import scale_to_ones
from precls_theory.training.tasks import TrainingTask

FLOOR = 1e-28
"""A mean squared residual below which float64 has nothing to gain."""
FEW, MANY = 300, 1200
REDUNDANT = ("positions", "in_proj.bias", "conv_bias")
ROUNDING = 1e-22
"""A mean squared residual from which a step that lowers nothing is taken for rounding, not for a bad minimum."""


def step_or_floor(
    method: LevenbergMarquardt, inputs: Tensor, targets: Tensor, floor: float = FLOOR
) -> tuple[float, bool]:
    """One step: the loss before it, and whether float64 has nothing more to gain."""
    try:
        loss = method.step(inputs, targets)
    except DidNotConverge as stuck:
        if stuck.loss < ROUNDING:
            return stuck.loss, True
        raise
    return loss, loss < floor


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


class LastRow(nn.Module):
    """What a causal BaseConv layer computes at its last row: (n_rows, n_in) to (n_out,), at 1/n_rows of the cost."""

    def __init__(self, layer: BaseConvLayer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, u: Tensor) -> Tensor:
        conv = (self.layer.filter.flip(0) * self.layer.in_proj(u)).sum(dim=0) + self.layer.conv_bias
        y = self.layer.out_proj(conv * self.layer.gate_proj(u[-1]))
        branches = self.layer.branch_weights
        return y if branches is None else branches[0] * y + branches[1] * u[-1]


class Answer(nn.Module):
    """What a task compares with its target, of one input: (n_rows, n_inputs) to (len(rows), n_outputs)."""

    def __init__(self, model: nn.Module, task: TrainingTask) -> None:
        super().__init__()
        self.model, self.task = model, task

    def forward(self, u: Tensor) -> Tensor:
        model = self.model
        if not isinstance(model, BaseConvModel) or model.mode != "causal" or self.task.rows != (self.task.n_rows - 1,):
            return self.task.answer(model(u[None]))[0]
        state = u + model.positions
        for layer in model.layers[:-1]:
            state = layer(state)
        last = model.layers[-1]
        assert isinstance(last, BaseConvLayer)
        return LastRow(last)(state)[None, : self.task.n_outputs]


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


class SecondOrder(Recipe):
    """What recipes that need float64 and no redundant parameters have in common."""

    trains_in = torch.float64

    @classmethod
    def initialise(cls, model: nn.Module, generator: torch.Generator) -> None:
        if isinstance(model, BaseConvModel):
            for layer in model.layers:
                assert isinstance(layer, BaseConvLayer)
                initialise(layer, generator)

    @classmethod
    def frozen(cls, model: nn.Module) -> tuple[str, ...]:
        if not isinstance(model, BaseConvModel):
            return ()
        return tuple(name for name, _ in model.named_parameters() if name.endswith(REDUNDANT))


class Marquardt(SecondOrder):
    """All parameters at once."""

    def __init__(self, model: nn.Module, setting: Setting) -> None:
        super().__init__(model, setting)
        task = setting.task
        self.flat = FlatParameters(Answer(model, task), tuple(f"model.{name}" for name in self.frozen(model)))

        def residual(vector: Tensor, u: Tensor, target: Tensor) -> Tensor:
            return (self.flat.call(vector, u) - target).flatten()

        self.method = LevenbergMarquardt(residual, self.flat.gather(), qr_parameters=FEW)
        per_sample = len(task.rows) * task.n_outputs
        n_parameters = self.method.parameters.numel()
        residuals = 2 * n_parameters if n_parameters <= MANY else math.ceil(1.3 * n_parameters)
        self.batch_size = setting.batch_size or -(-residuals // per_sample)
        self.done = False

    @property
    def finished(self) -> bool:
        return self.done

    def step(self) -> float:
        u, target = self.batch(self.batch_size)
        loss, done = step_or_floor(self.method, u, target)
        self.settle(done)
        return loss

    def settle(self, done: bool) -> None:
        """Give the model the parameters; in the end those, of all that make the same function, with many ones."""
        self.flat.scatter(self.method.parameters)
        self.done = done
        if done and isinstance(self.model, BaseConvModel):
            scale_to_ones(self.model)
            self.method.parameters = self.flat.gather()

    def state(self) -> tuple[dict[str, Tensor], RecipeState]:
        return {}, {"damping": self.method.damping, "done": self.done}

    def restore(self, tensors: dict[str, Tensor], data: RecipeState) -> None:
        self.method.parameters = self.flat.gather()
        self.done = data["done"]
        if data["damping"] is not None:
            self.method.damping = data["damping"]
