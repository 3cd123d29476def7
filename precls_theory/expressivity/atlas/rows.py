"""The rows of the atlas: architectures, the sizes at which they are checked, and what each claims."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, TypeAlias

import constructions
from constructions.networks.base import ExactNetwork
from constructions.transformers import gated, linear_attention
from constructions.transformers.blocks import GateName

Variant: TypeAlias = tuple[tuple[str, str | int], ...]
"""Arguments of :class:`constructions.models.transformer.Transformer`, which can be hashed."""

AtlasTarget = Literal["square", "multiply", "gradient_descent"]
TARGETS: dict[AtlasTarget, str] = {
    "square": "Square",
    "multiply": "Multiply",
    "gradient_descent": "one step of gradient descent",
}
N_POINTS, N_DIMS, STEP_SIZE = 3, 2, Fraction(1, 2)
"""Size at which cells are proved symbolically: N+1 = 4 rows of D+1 = 3 channels."""
CHANNELS = {"square": (0, 0, 2), "multiply": (0, 1, 2)}
"""Factors and target channel of Square and Multiply among the three channels."""


@dataclass(frozen=True)
class Architecture:
    """A row of the atlas: a construction for each target, or models to certify and the theorem that covers them all.

    ``theorems`` names the proof by target. ``variants`` are those models.
    """

    id: str
    name: str
    theorems: Mapping[AtlasTarget, str]
    constructions: Mapping[AtlasTarget, Callable[[], ExactNetwork]] = field(default_factory=dict)
    variants: tuple[Variant, ...] = ()

    @property
    def expresses(self) -> bool:
        """Whether the row claims constructions."""
        return bool(self.constructions)


ANY_DEPTH = "any-depth"
ONE_LAYER: dict[AtlasTarget, str] = {
    "square": "softmax-one-layer-causal",
    "multiply": "softmax-one-layer-causal",
    "gradient_descent": "softmax-one-layer-full",
}


def variants(**options: tuple[str | int, ...]) -> tuple[Variant, ...]:
    """Combinations of the options in which any two values of different options meet.

    All of them when at most two options have a choice; half of them otherwise, those whose indices have an even sum:
    the rest of a pair makes the sum even.
    """
    combined = list(itertools.product(*(enumerate(values) for values in options.values())))
    if sum(len(values) > 1 for values in options.values()) > 2:
        combined = [chosen for chosen in combined if sum(index for index, _ in chosen) % 2 == 0]
    return tuple(tuple(zip(options, (value for _, value in chosen), strict=True)) for chosen in combined)


def impossible(
    id: str, name: str, theorems: Mapping[AtlasTarget, str] | str, **options: tuple[str | int, ...]
) -> Architecture:
    """A row of impossible cells."""
    named = dict.fromkeys(TARGETS, theorems) if isinstance(theorems, str) else dict(theorems)
    return Architecture(id, name, named, variants=variants(**options))


def gated_row(gate: GateName, name: str) -> Architecture:
    """A gated MLP without norms: one block multiplies, two take a step."""

    def product(target: AtlasTarget) -> Callable[[], ExactNetwork]:
        left, right, into = CHANNELS[target]
        return lambda: gated.multiply(
            n_rows=N_POINTS + 1, n_channels=N_DIMS + 1, left=left, right=right, target=into, gate=gate
        )

    return Architecture(
        gate,
        f"softmax + {name}, no norm",
        {"square": "gated-multiply", "multiply": "gated-multiply", "gradient_descent": "gated-gradient-descent"},
        {
            "square": product("square"),
            "multiply": product("multiply"),
            "gradient_descent": lambda: gated.gradient_descent(
                n_points=N_POINTS, n_dims=N_DIMS, step_size=STEP_SIZE, gate=gate
            ),
        },
    )


def _linear_attention() -> Architecture:
    def product(target: AtlasTarget) -> Callable[[], ExactNetwork]:
        left, right, into = CHANNELS[target]
        return lambda: linear_attention.multiply(
            n_rows=N_POINTS + 1, n_channels=N_DIMS + 1, left=left, right=right, target=into
        )

    return Architecture(
        "linear-attention",
        "linear attention, no norm",
        {
            "square": "linear-attention-multiply",
            "multiply": "linear-attention-multiply",
            "gradient_descent": "linear-attention-step",
        },
        {
            "square": product("square"),
            "multiply": product("multiply"),
            "gradient_descent": lambda: linear_attention.gradient_descent(
                n_points=N_POINTS, n_dims=N_DIMS, step_size=STEP_SIZE
            ),
        },
    )


def _baseconv() -> Architecture:
    def product(target: AtlasTarget) -> Callable[[], ExactNetwork]:
        left, right, into = CHANNELS[target]
        return lambda: constructions.multiply(
            n_rows=N_POINTS + 1, n_channels=N_DIMS + 1, left=left, right=right, target=into, length=1
        )

    return Architecture(
        "baseconv",
        "BaseConv (gated convolution)",
        {"square": "primitive-multiply", "multiply": "primitive-multiply", "gradient_descent": "gd-gram"},
        {
            "square": product("square"),
            "multiply": product("multiply"),
            "gradient_descent": lambda: constructions.gradient_descent(
                n_points=N_POINTS, n_dims=N_DIMS, n_steps=1, step_size=STEP_SIZE, form="gram", layout="E"
            ),
        },
    )


def _rows() -> tuple[Architecture, ...]:
    masks, norms = ("causal", "full"), ("layer", "rms")
    plain = {"relu": "ReLU", "gelu": "GELU", "silu": "SiLU", "glu": "sigmoid-GLU"}
    gates: dict[GateName, str] = {"swiglu": "SwiGLU", "geglu": "GEGLU", "reglu": "ReGLU", "bilinear": "bilinear"}
    rows = [
        impossible(
            "softmax-1", "softmax attention, one causal layer", ONE_LAYER, mlp=("none",), depth=(1,), mask=("causal",)
        ),
        impossible(
            "softmax", "softmax attention alone, any depth", ANY_DEPTH, mlp=("none",), mask=masks, norm=("none", *norms)
        ),
    ]
    for mlp, name in plain.items():
        rows.append(impossible(f"softmax-{mlp}", f"softmax + {name} MLP, no norm", ANY_DEPTH, mlp=(mlp,), mask=masks))
        rows.append(
            impossible(
                f"softmax-{mlp}-norm", f"softmax + {name} MLP, Layer/RMSNorm", ANY_DEPTH,
                mlp=(mlp,), mask=masks, norm=norms, norm_placement=("pre", "post", "mlp"),
            )
        )  # fmt: skip
    rows.append(impossible("relu-mlp", "ReLU MLP, no attention", ANY_DEPTH, attention=("none",), mlp=("relu",)))
    rows += [gated_row(gate, name) for gate, name in gates.items()]
    rows += [
        impossible(
            f"{gate}-norm", f"softmax + {name}, norm before each MLP", "norm-before-gated-mlp",
            mlp=(gate,), mask=masks, norm=norms, norm_placement=("pre", "mlp"),
        )
        for gate, name in gates.items()
    ]  # fmt: skip
    rows += [
        _linear_attention(),
        impossible(
            "linear-attention-norm", "linear attention, norm before each layer", "linear-attention-norm",
            attention=("linear",), mlp=("none",), mask=masks, norm=norms,
        ),
        _baseconv(),
    ]  # fmt: skip
    return tuple(rows)


ARCHITECTURES = _rows()
"""The rows of the atlas, in the order in which they are printed."""
