"""BaseConv in PyTorch: the paper's operator, the trainable layer and the model, with leading batch dimensions.

What they compute, and that each is made of the other, is written over plain arrays in
:mod:`constructions.models.operators`.

Convolutions are direct sums, never FFTs: an FFT spreads rounding errors of the size of the largest channel into
channels that should be exact.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from constructions.algebra.arrays import refuse_reduced_precision
from constructions.lowering.maps import as_float_dtype
from constructions.models.memory import check_fits
from constructions.models.operators import (
    LayerWeights,
    OperatorWeights,
    dense_weights,
    layer_as_operators,
    operator_as_layer,
    zeros,
)
from constructions.networks.base import ExactNetwork
from constructions.networks.layer import Mode, check_mode
from constructions.networks.stack import LayerStack


class DirectConvolution(nn.Module):
    """``filter ⋆ u`` along axis −2 of ``u`` (..., N, D): one product with the filter's Toeplitz matrix a channel.

    Not ``conv1d``: cuDNN may run float32 convolutions in TF32 by default, which would round channels that are only
    carried. Matrix products are in TF32 only where the program asked for it, which the forward pass refuses.
    """

    def __init__(self, n_rows: int, mode: Mode) -> None:
        super().__init__()
        check_mode(mode)
        self.mode: Mode = mode
        lags = torch.arange(n_rows)[:, None] - torch.arange(n_rows)
        self.register_buffer("lags", lags % n_rows, persistent=False)
        self.register_buffer("visible", (lags >= 0) | (mode == "circular"), persistent=False)

    def forward(
        self, filter: Float[Tensor, "rows channels"], u: Float[Tensor, "*batch rows channels"]
    ) -> Float[Tensor, "*batch rows channels"]:
        """``filter`` (N, D) and ``u`` (..., N, D): (..., N, D)."""
        refuse_reduced_precision(u)
        lags, visible = self.get_buffer("lags"), self.get_buffer("visible")
        toeplitz = torch.where(visible[..., None], filter[lags], filter.new_zeros(()))
        return torch.einsum("nmd,...md->...nd", toeplitz, u)


class BaseConvOperator(nn.Module):
    """The paper's operator ``(u W + B1) ⊙ (H ⋆ u + B2)`` (Algorithm 1): ``u`` (..., N, D) to (..., N, D).

    ``W`` (D, D), ``B1``, ``H``, ``B2`` (N, D). Raises ``ValueError`` for sizes below one, an unknown mode, or input of
    another shape.
    """

    def __init__(self, n_rows: int, n_channels: int, mode: Mode = "causal") -> None:
        super().__init__()
        check_sizes(n_rows=n_rows, n_channels=n_channels)
        self.n_rows, self.n_channels, self.mode = n_rows, n_channels, mode
        self.convolution = DirectConvolution(n_rows, mode)
        self.W = nn.Parameter(torch.randn(n_channels, n_channels) * n_channels**-0.5)
        self.B1 = nn.Parameter(torch.zeros(n_rows, n_channels))
        self.H = nn.Parameter(torch.randn(n_rows, n_channels) * n_rows**-0.5)
        self.B2 = nn.Parameter(torch.zeros(n_rows, n_channels))

    def forward(self, u: Float[Tensor, "*batch rows channels_in"]) -> Float[Tensor, "*batch rows channels_out"]:
        check_input(u, self.n_rows, self.n_channels)
        result: Tensor = (u @ self.W + self.B1) * (self.convolution(self.H, u) + self.B2)
        return result

    def weights(self) -> OperatorWeights:
        """The weights as NumPy arrays."""
        return OperatorWeights(*(values_of(p) for p in (self.W, self.B1, self.H, self.B2)))

    @classmethod
    def from_weights(
        cls, weights: OperatorWeights, mode: Mode = "causal", dtype: torch.dtype = torch.float64
    ) -> BaseConvOperator:
        """The module with these weights, rounded to ``dtype``."""
        rows, dims = weights.B1.shape
        module = cls(rows, dims, mode).to(dtype)
        for parameter, value in zip((module.W, module.B1, module.H, module.B2), vars(weights).values(), strict=True):
            assign(parameter, value)
        return module

    def as_layer(self) -> BaseConvModel:
        """One layer of twice the width on the input padded with 2D zero channels, which the model's positions fill."""
        weights, positions = operator_as_layer(self.weights())
        model = BaseConvModel(self.n_rows, (3 * self.n_channels, self.n_channels), (2 * self.n_channels,), self.mode)
        model = model.to(self.W.dtype)
        assign(model.positions, positions)
        model.layers[0].load_weights(weights)  # type: ignore[operator]
        return model


class BaseConvLayer(nn.Module):
    """The trainable layer ``y = Out( Conv(In u) ⊙ Gate u )``: (..., N, n_in) to (..., N, n_out), d_hidden inside.

    ``branch_weights=True`` adds the learned mixture ``w0·y + w1·u`` (n_in = n_out, initially ½ and ½).
    Raises ``ValueError`` for sizes below one, an unknown mode, or input of another shape.
    """

    def __init__(
        self, n_rows: int, n_in: int, n_out: int, d_hidden: int, mode: Mode = "causal", branch_weights: bool = False
    ) -> None:
        super().__init__()
        check_sizes(n_rows=n_rows, n_in=n_in, n_out=n_out, d_hidden=d_hidden)
        if branch_weights and n_in != n_out:
            raise ValueError(f"branch weights add the input to the output: n_in must be n_out, got {n_in} and {n_out}")
        self.n_rows, self.n_in, self.mode = n_rows, n_in, mode
        self.in_proj = nn.Linear(n_in, d_hidden)
        self.gate_proj = nn.Linear(n_in, d_hidden)
        self.out_proj = nn.Linear(d_hidden, n_out)
        self.convolution = DirectConvolution(n_rows, mode)
        self.filter = nn.Parameter(torch.randn(n_rows, d_hidden) * n_rows**-0.5)
        self.conv_bias = nn.Parameter(torch.zeros(d_hidden))
        self.branch_weights = nn.Parameter(torch.full((2,), 0.5)) if branch_weights else None

    def forward(self, u: Float[Tensor, "*batch rows channels_in"]) -> Float[Tensor, "*batch rows channels_out"]:
        check_input(u, self.n_rows, self.n_in)
        conv = self.convolution(self.filter, self.in_proj(u)) + self.conv_bias
        y = self.out_proj(conv * self.gate_proj(u))
        result: Tensor = y if self.branch_weights is None else self.branch_weights[0] * y + self.branch_weights[1] * u
        return result

    def weights(self) -> LayerWeights:
        """The weights as NumPy arrays, maps acting from the right."""
        return LayerWeights(
            values_of(self.in_proj.weight).T, values_of(self.in_proj.bias),
            values_of(self.filter), values_of(self.conv_bias),
            values_of(self.gate_proj.weight).T, values_of(self.gate_proj.bias),
            values_of(self.out_proj.weight).T, values_of(self.out_proj.bias),
            None if self.branch_weights is None else values_of(self.branch_weights),
        )  # fmt: skip

    def load_weights(self, weights: LayerWeights) -> None:
        """Take these weights, rounded to the module's dtype."""
        for projection, name in ((self.in_proj, "in"), (self.gate_proj, "gate"), (self.out_proj, "out")):
            assign(projection.weight, getattr(weights, f"{name}_weight").T)
            assign(projection.bias, getattr(weights, f"{name}_bias"))
        assign(self.filter, weights.filter)
        assign(self.conv_bias, weights.conv_bias)
        if self.branch_weights is not None and weights.branch_weights is not None:
            assign(self.branch_weights, weights.branch_weights)
        elif (self.branch_weights is None) != (weights.branch_weights is None):
            raise ValueError("the layer and the weights must both have branch weights, or neither")

    @classmethod
    def from_weights(
        cls, weights: LayerWeights, mode: Mode = "causal", dtype: torch.dtype = torch.float64
    ) -> BaseConvLayer:
        """The module with these weights, rounded to ``dtype``."""
        n_in, hidden = weights.in_weight.shape
        branches = weights.branch_weights is not None
        module = cls(len(weights.filter), n_in, weights.out_weight.shape[1], hidden, mode, branches).to(dtype)
        module.load_weights(weights)
        return module

    def as_operators(self) -> nn.Sequential:
        """Three operators, mix, multiply and mix, for input padded as ``[0, 0, u]``; see :func:`layer_as_operators`."""
        dtype = self.filter.dtype
        three = layer_as_operators(self.weights(), self.n_rows)
        return nn.Sequential(*(BaseConvOperator.from_weights(weights, self.mode, dtype) for weights in three))


class BaseConvModel(nn.Module):
    """A positional embedding and trainable layers: ``u`` (..., N, channels[0]) to (..., N, channels[-1]).

    ``channels`` has one entry more than there are layers; ``hidden`` one a layer. ``branch_weights`` is for layers
    that keep the number of channels. Raises ``ValueError`` for sizes that do not fit together.
    """

    def __init__(
        self,
        n_rows: int,
        channels: Sequence[int],
        hidden: Sequence[int],
        mode: Mode = "causal",
        branch_weights: bool = False,
    ) -> None:
        super().__init__()
        if len(channels) != len(hidden) + 1 or not hidden:
            raise ValueError(
                "channels must have one entry more than hidden (the input, then each layer's output), "
                f"got {len(channels)} and {len(hidden)}"
            )
        self.n_rows, self.mode = n_rows, mode
        self.positions = nn.Parameter(torch.zeros(n_rows, channels[0]))
        self.layers = nn.ModuleList(
            BaseConvLayer(n_rows, n_in, n_out, width, mode, branch_weights)
            for n_in, n_out, width in zip(channels[:-1], channels[1:], hidden, strict=True)
        )

    def forward(self, u: Float[Tensor, "*batch rows channels_in"]) -> Float[Tensor, "*batch rows channels_out"]:
        check_input(u, self.n_rows, self.positions.shape[1])
        state = u + self.positions
        for layer in self.layers:
            state = layer(state)
        return state

    @classmethod
    def from_network(cls, network: ExactNetwork, dtype: torch.dtype = torch.float64) -> BaseConvModel:
        """The trainable model that starts as this exact network: dense, all rows out, the same function.

        ``network.decode(model(u))`` is what the network computes; weights are rounded to ``dtype`` once, and layers
        that the network shares become separate parameters. Raises ``OverflowError`` when a weight overflows ``dtype``, and
        at once ``MemoryError`` for a dense model that does not fit into memory.
        """
        if not isinstance(network, LayerStack):
            raise TypeError(
                f"a trainable BaseConv model starts from an exact BaseConv network, got {type(network).__name__}"
                + (": its to_torch() is a Transformer to train" if isinstance(network, ExactNetwork) else "")
            )
        dtype, layers = as_float_dtype(dtype), network.layers
        channels = [len(network.inputs), *(len(layer.outputs) for layer in layers)]
        hidden = [layer.width for layer in layers]
        check_memory(network.n_rows, channels, hidden, dtype)
        model = cls(network.n_rows, channels, hidden, network.mode).to(dtype)
        positions = zeros(network.n_rows, channels[0])
        for place, weight in network.positions.items():
            positions[place] = weight
        assign(model.positions, positions)
        modules: dict[int, list[nn.Module]] = {}
        for module, layer in zip(model.layers, layers, strict=True):
            modules.setdefault(id(layer), []).append(module)
        for layer in {id(layer): layer for layer in layers}.values():
            weights = dense_weights(layer, network.n_rows)
            for module in modules[id(layer)]:
                module.load_weights(weights)  # type: ignore[operator]
        return model


def parameter_counts(n_rows: int, channels: Sequence[int], hidden: Sequence[int]) -> list[int]:
    """Numbers of the positional embedding, then of every layer of a :class:`BaseConvModel` (without branch weights)."""
    layers = zip(channels[:-1], channels[1:], hidden, strict=True)
    sizes = [width * (2 * (n_in + 1) + n_rows + 1) + n_out * (width + 1) for n_in, n_out, width in layers]
    return [n_rows * channels[0], *sizes]


def check_memory(n_rows: int, channels: Sequence[int], hidden: Sequence[int], dtype: torch.dtype) -> None:
    """Raises ``MemoryError`` naming the size where a dense model of these sizes does not fit into the memory that is left.

    Counted are the parameters, and the one layer whose weights stand beside them as rationals and as floats.
    """
    counts = parameter_counts(n_rows, channels, hidden)
    itemsize = max(dtype.itemsize, torch.get_default_dtype().itemsize)  # modules are made in the default dtype
    check_fits(
        sum(counts) * itemsize + 16 * max(counts),
        f"as a dense model this network has {sum(counts):,} parameters in {dtype}",
        "build a smaller network, or lower it with to_torch(), which keeps it sparse",
    )


def assign(parameter: nn.Parameter | Tensor, values: np.ndarray) -> None:
    """Set a parameter to exact or floating values, rounded to its dtype; ``OverflowError`` when one does not fit."""
    values = np.asarray(values)
    if values.shape != tuple(parameter.shape):
        raise ValueError(f"expected weights of shape {tuple(parameter.shape)}, got {values.shape}")
    with torch.no_grad():
        parameter.copy_(rounded(values, parameter.dtype))


def rounded(values: np.ndarray, dtype: torch.dtype) -> Tensor:
    """Each value rounded once; ``OverflowError`` where one overflows ``dtype``."""
    result = torch.from_numpy(np.ascontiguousarray(values.astype(np.float64))).to(dtype)
    if not bool(torch.isfinite(result).all()):
        raise OverflowError(f"a weight overflows {dtype}")
    return result


def values_of(parameter: Tensor) -> np.ndarray:
    return parameter.detach().cpu().numpy()


def check_sizes(**sizes: int) -> None:
    """Raises ``ValueError`` naming the size that is below one."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")


def check_input(u: Float[Tensor, "*batch rows channels"], n_rows: int, n_channels: int) -> None:
    """Raises ``ValueError`` unless ``u`` is (..., n_rows, n_channels)."""
    if u.ndim < 2 or tuple(u.shape[-2:]) != (n_rows, n_channels):
        raise ValueError(f"expected input of shape (..., {n_rows} rows, {n_channels} channels), got {tuple(u.shape)}")
