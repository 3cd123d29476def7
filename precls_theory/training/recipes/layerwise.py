"""Explicit gradient layer by layer and output by output: intermediate targets for the first layer, iid features for the second.

This uses more knowledge than end-to-end training, and results must say so. Layer 1 learns ``a_i a_j`` (i ≤ j), ``a_i b`` and
``x_init`` at the last row from iid N(0, 1) rows with b independent of a: from rows that are independent it can only find
the filters that see the last row, or row 0, alone, so that its products are right at every row. Layer 2 learns
``(1/N)(Q x − c)`` at the last row from iid N(0, 1) features, Q and c summed over the last N rows. Stacked, the two layers
are the task; nothing is trained jointly.

Each output has hidden channels of its own, three in layer 1 and D + 2 in layer 2 (a product needs one, a row of Q x − c needs
D + 1), and is trained alone: the least-squares problem of a step is one of P parameters in place of F P for F outputs, and its
QR factorisation costs O(P³). At N = 20, D = 5 that is 25 problems of 106 parameters and 5 of 512 where whole layers, of about
the same width, have 1972 and 3008. It is more precise too: an output is a sum over three or seven hidden channels, not over
all of them, and less cancels.

In's bias is frozen at zero (a causal filter would turn it into row-dependent constants, and a layer that is right at the
last row could be wrong before it), and so are the bias of the convolution and the positions. In, Gate, Out start at
N(0, 1/fan_in), filters at N(0, 1/n_rows). Levenberg–Marquardt in float64. An output that gets stuck, or is not learned in
:data:`PATIENCE` steps, starts again from new weights, :data:`ATTEMPTS` times at most; so does, in the first :data:`STALLS`, one
that stalls above the rounding of good weights, because hidden channels nearly cancel: in float32 that would cost more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from constructions.models.baseconv import BaseConvLayer, BaseConvModel
from precls_theory.training.levenberg_marquardt import DidNotConverge, LevenbergMarquardt
from precls_theory.training.models import ModelConfiguration
from precls_theory.training.recipes.marquardt import FlatParameters, LastRow, initialise, step_or_floor
from precls_theory.training.recipes.recipe import Recipe, RecipeState, Setting
from precls_theory.training.tasks import TrainingTask

FROZEN = ("in_proj.bias", "conv_bias")
FLOOR = 2e-30
"""A mean squared residual of one output, relative to its target's, below which float64 has nothing to gain."""
PATIENCE, ATTEMPTS, STALLS = 100, 10, 3


Sample = Callable[[TrainingTask, int, torch.Generator], tuple[Tensor, Tensor]]
"""``sample(task, batch, generator)``: inputs (B, n_rows, n_in) of a layer and targets (B, n_out) at its last row."""


@dataclass(frozen=True)
class Stage:
    """One output of one layer, with ``units`` hidden channels of its own."""

    name: str
    layer: BaseConvLayer
    sample: Sample
    output: int
    units: int

    @property
    def own(self) -> slice:
        """Its hidden channels in the layer."""
        return slice(self.output * self.units, (self.output + 1) * self.units)

    def views(self) -> dict[str, Tensor]:
        """The parts of the layer's parameters that are this output's, under the names of a layer of one output."""
        p, own, out = self.layer, self.own, slice(self.output, self.output + 1)
        return {
            "in_proj.weight": p.in_proj.weight[own], "in_proj.bias": p.in_proj.bias[own],
            "gate_proj.weight": p.gate_proj.weight[own], "gate_proj.bias": p.gate_proj.bias[own],
            "filter": p.filter[:, own], "conv_bias": p.conv_bias[own],
            "out_proj.weight": p.out_proj.weight[out, own], "out_proj.bias": p.out_proj.bias[out],
        }  # fmt: skip


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


def units_of(task: TrainingTask) -> tuple[int, int]:
    """Hidden channels an output of each layer: two and one more than it needs."""
    return 3, task.n_dims + 2


class Layerwise(Recipe):
    """Explicit gradient, one layer and one output after the other; ``learning_rate`` is not used."""

    trains_in = torch.float64

    @classmethod
    def configuration(cls, configuration: ModelConfiguration, task: TrainingTask) -> ModelConfiguration:
        if task.name != "explicit_gradient" or configuration.name != "baseconv":
            raise ValueError(
                "layer by layer training has intermediate targets for the task explicit_gradient and the model baseconv, "
                f"got {task.name} and {configuration.name}: use another recipe"
            )
        features = sum(feature_sizes(task.n_dims))
        hidden = tuple(n * units for n, units in zip((features, task.n_dims), units_of(task), strict=True))
        return replace(configuration, depth=2, channels=(features,), hidden=hidden, branch_weights=False)

    def __init__(self, model: nn.Module, setting: Setting) -> None:
        super().__init__(model, setting)
        task = setting.task
        layers = list(model.layers) if isinstance(model, BaseConvModel) else []
        widths = [layer.in_proj.out_features for layer in layers if isinstance(layer, BaseConvLayer)]
        outputs = [layer.out_proj.out_features for layer in layers if isinstance(layer, BaseConvLayer)]
        if widths != [n * units for n, units in zip(outputs, units_of(task), strict=False)] or len(widths) != 2:
            raise ValueError(
                "layer by layer training makes its own model, from random weights; to start from a network (--init), "
                "use another recipe, such as levenberg-marquardt"
            )
        self.stages: list[Stage] = []
        samples: tuple[Sample, Sample] = (first_layer_data, second_layer_data)
        for number, (layer, sample, units) in enumerate(zip(layers, samples, units_of(task), strict=True), 1):
            assert isinstance(layer, BaseConvLayer)
            with torch.no_grad():
                for frozen in (layer.in_proj.bias, layer.conv_bias, layer.out_proj.weight):
                    frozen.zero_()
            name = f"layer {number} of 2"
            self.stages += [Stage(name, layer, sample, k, units) for k in range(layer.out_proj.out_features)]
        self.current = self.n_steps = self.attempt = 0
        self.method: LevenbergMarquardt | None = None

    @property
    def finished(self) -> bool:
        return self.current == len(self.stages)

    @property
    def stage(self) -> str:
        return self.stages[min(self.current, len(self.stages) - 1)].name

    def _open(self, fresh: bool) -> LevenbergMarquardt:
        stage = self.stages[self.current]
        part = BaseConvLayer(stage.layer.n_rows, stage.layer.n_in, 1, stage.units).to(stage.layer.filter)
        if fresh:
            initialise(part, self.setting.generator)
        else:
            part.load_state_dict(stage.views(), strict=False)
        self.part = part
        self.flat = FlatParameters(LastRow(part), tuple(f"layer.{name}" for name in FROZEN))
        return LevenbergMarquardt(lambda vector, u, target: self.flat.call(vector, u) - target, self.flat.gather())

    def step(self) -> float:
        if self.finished:
            raise RuntimeError("every layer is trained")
        if self.method is None:
            self.method = self._open(fresh=True)
        stage = self.stages[self.current]
        size = self.setting.batch_size or 2 * self.method.parameters.numel()
        u, target = stage.sample(self.setting.task, size, self.setting.generator)
        like, chosen = self.method.parameters, slice(stage.output, stage.output + 1)
        self.n_steps += 1
        floor = FLOOR * float(target[:, chosen].square().mean())
        try:
            loss, done = step_or_floor(self.method, u.to(like), target[:, chosen].to(like), floor)
            if done and loss >= floor and self.attempt < STALLS:
                done, stuck = False, True
            else:
                stuck = not done and self.n_steps >= PATIENCE
        except DidNotConverge as error:
            loss, done, stuck = error.loss, False, True
            if self.attempt + 1 == ATTEMPTS:
                raise
        self.flat.scatter(self.method.parameters)
        with torch.no_grad():
            for name, view in stage.views().items():
                view.copy_(self.part.get_parameter(name))
        if done:
            self.current, self.n_steps, self.attempt, self.method = self.current + 1, 0, 0, None
        elif stuck:
            self.n_steps, self.attempt, self.method = 0, self.attempt + 1, None
            if self.attempt == ATTEMPTS:
                raise DidNotConverge(f"output {stage.output} is not learned in {ATTEMPTS} attempts", loss)
        return loss

    def state(self) -> tuple[dict[str, Tensor], RecipeState]:
        damping = None if self.method is None else self.method.damping
        return {}, {"current": self.current, "damping": damping, "n_steps": self.n_steps, "attempt": self.attempt}

    def restore(self, tensors: dict[str, Tensor], data: RecipeState) -> None:
        self.current, self.n_steps, self.attempt = data["current"], data["n_steps"], data["attempt"]
        if data["damping"] is not None:
            self.method = self._open(fresh=False)
            self.method.damping = data["damping"]
