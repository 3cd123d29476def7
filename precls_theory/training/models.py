"""One configuration for every trainable model: BaseConv, linear attention, softmax Transformers in the style of GPT-2.

All take (B, n_rows, n_inputs) to (B, n_rows, n_outputs). The paper's Transformer is depth 12, width 64, 8 heads with ReLU
MLPs and LayerNorm before each part (Liu et al. 2025, App. B); its BaseConv models have depth 3 and width 64, no MLPs and no
norms.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal, TypedDict

import torch
from torch import nn

from constructions.models.baseconv import BaseConvModel
from constructions.models.transformer import Transformer

ModelName = Literal["baseconv", "linear_attention", "transformer"]


class ModelFields(TypedDict, total=False):
    """A :class:`ModelConfiguration` as JSON holds it: channels as lists."""

    name: ModelName
    n_rows: int
    n_inputs: int
    n_outputs: int
    depth: int
    width: int
    n_heads: int
    mlps: bool
    norms: bool
    branch_weights: bool
    hidden: tuple[int, ...] | None
    channels: tuple[int, ...] | None


@dataclass(frozen=True)
class ModelConfiguration:
    """Sizes and parts of a model; :meth:`build` makes it with random weights.

    ``hidden`` gives the hidden channels of each BaseConv layer and ``channels`` what stands between the layers (both
    default to ``width`` everywhere); ``branch_weights`` is BaseConv's learned mixture with its input. ``mlps`` and
    ``norms`` belong to the attention models.
    """

    name: ModelName
    n_rows: int
    n_inputs: int
    n_outputs: int
    depth: int = 3
    width: int = 64
    n_heads: int = 8
    mlps: bool = True
    norms: bool = True
    branch_weights: bool = False
    hidden: tuple[int, ...] | None = None
    channels: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.name not in ("baseconv", "linear_attention", "transformer"):
            raise ValueError(f"the model must be baseconv, linear_attention or transformer, got {self.name!r}")
        for name in ("n_rows", "n_inputs", "n_outputs", "depth", "width", "n_heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.name != "baseconv" and self.width % self.n_heads:
            raise ValueError(f"width {self.width} must be a multiple of the number of heads, {self.n_heads}")

    def build(self, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> nn.Module:
        """The model with random weights that depend on the state of ``generator`` alone (which this advances)."""
        seed = int(torch.randint(2**62, (), generator=generator))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self._module().to(dtype)

    def _module(self) -> nn.Module:
        if self.name == "baseconv":
            between = (self.width,) * (self.depth - 1) if self.channels is None else self.channels
            hidden = (self.width,) * self.depth if self.hidden is None else self.hidden
            return BaseConvModel(
                self.n_rows, (self.n_inputs, *between, self.n_outputs), hidden, branch_weights=self.branch_weights
            )
        return Transformer(
            n_in=self.n_inputs, n_out=self.n_outputs, width=self.width, depth=self.depth, n_rows=self.n_rows,
            n_heads=self.n_heads, attention="softmax" if self.name == "transformer" else "linear", mask="causal",
            mlp="relu" if self.mlps else "none", norm="layer" if self.norms else "none", final_norm=self.norms,
            positions="learned",
        )  # fmt: skip

    def to_json(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: ModelFields) -> ModelConfiguration:
        """The configuration that :meth:`to_json` wrote; ``TypeError`` for fields that it does not have."""
        hidden, channels = data.get("hidden"), data.get("channels")
        fields: ModelFields = {
            **data,
            "hidden": None if hidden is None else tuple(hidden),
            "channels": None if channels is None else tuple(channels),
        }
        return cls(**fields)
