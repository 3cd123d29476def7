"""BaseConv in PyTorch and on plain arrays: the paper's operator, the trainable layer, and their equivalence.

* Operator (Liu et al. 2025, Algorithm 1): ``(u W + B1) ⊙ (H ⋆ u + B2)``, with one filter a channel.
* Layer, as it is trained: ``y = Out( Conv(In u) ⊙ Gate u )``, and ``w0·y + w1·u`` with learned branch weights.

The equivalence is written once, for arrays over any ring (floats, rationals, symbols): an operator is one layer of
twice the width whose input has positional channels; a layer is three operators: mix, multiply, mix.

Convolutions are direct sums, never FFTs: an FFT spreads rounding errors of the size of the largest channel into
channels that should be exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor, nn

from constructions.algebra.arrays import refuse_reduced_precision
from constructions.networks.layer import Layer, Mode, SparseMap
from constructions.networks.network import Network

# The algebra: plain arrays over any ring, shapes as in the formulas.


@dataclass(frozen=True, eq=False)
class OperatorWeights:
    """Weights of ``(u W + B1) ⊙ (H ⋆ u + B2)``: ``W`` (D, D), ``B1``, ``H`` and ``B2`` (N, D)."""

    W: np.ndarray
    B1: np.ndarray
    H: np.ndarray
    B2: np.ndarray


@dataclass(frozen=True, eq=False)
class LayerWeights:
    """Weights of ``w0·Out( (filter ⋆ In u + conv_bias) ⊙ Gate u ) + w1·u``; a map acts as ``u @ weight + bias``.

    ``in_weight``, ``gate_weight`` (D_in, h), ``out_weight`` (h, D_out), biases one an output, ``filter`` (N, h),
    ``conv_bias`` (h,), ``branch_weights`` the pair (w0, w1) or None for (1, 0).
    """

    in_weight: np.ndarray
    in_bias: np.ndarray
    filter: np.ndarray
    conv_bias: np.ndarray
    gate_weight: np.ndarray
    gate_bias: np.ndarray
    out_weight: np.ndarray
    out_bias: np.ndarray
    branch_weights: np.ndarray | None = None


def direct_convolution(filter: np.ndarray, u: np.ndarray, mode: Mode = "causal") -> np.ndarray:
    """``(filter ⋆ u)[n, d] = Σ_m filter[m, d] · u[n − m, d]`` along the rows of ``u`` (N, D), over any ring.

    Causal sums over 0 ≤ m ≤ n, circular over all m with row indices modulo N. ``filter`` has the shape of ``u``.
    Raises ``ValueError`` when the shapes differ or the mode is unknown.
    """
    check_mode(mode)
    if filter.shape != u.shape:
        raise ValueError(f"filter and input must have one shape (rows, channels), got {filter.shape} and {u.shape}")
    result = filter[:1] * u
    for lag in range(1, len(u)):
        moved = filter[lag : lag + 1] * u
        if mode == "circular":
            result = result + np.roll(moved, lag, axis=0)
        else:
            result[lag:] = result[lag:] + moved[:-lag]
    return result


def apply_operator(weights: OperatorWeights, u: np.ndarray, mode: Mode = "causal") -> np.ndarray:
    """The operator on ``u`` (N, D), over the ring of the entries."""
    return (u @ weights.W + weights.B1) * (direct_convolution(weights.H, u, mode) + weights.B2)


def apply_layer(weights: LayerWeights, u: np.ndarray, mode: Mode = "causal") -> np.ndarray:
    """The layer on ``u`` (N, D_in), over the ring of the entries."""
    conv = direct_convolution(weights.filter, u @ weights.in_weight + weights.in_bias, mode) + weights.conv_bias
    y = (conv * (u @ weights.gate_weight + weights.gate_bias)) @ weights.out_weight + weights.out_bias
    return y if weights.branch_weights is None else weights.branch_weights[:1] * y + weights.branch_weights[1:] * u


def zeros(*shape: int) -> np.ndarray:
    """The integer zero, which every ring accepts, in an object array."""
    return np.full(shape, 0, dtype=object)


def operator_as_layer(weights: OperatorWeights) -> tuple[LayerWeights, np.ndarray]:
    """The operator as one layer with 2D hidden channels on the input padded with 2D positional channels.

    Returns the layer and the positional embedding (N, 3D): the layer's input is ``[u, 0, 0] + positions``, so its
    channels are u, B1 and B2. The hidden channels are ``(H ⋆ u) ⊙ (u W + B1)`` and ``B2 ⊙ (u W + B1)``; Out adds them.
    Both modes: B2 could come from a filter on In's bias in a causal layer, but a circular filter keeps it constant.
    """
    rows, dims = weights.B1.shape
    eye = np.eye(dims, dtype=int).astype(object)
    gate = np.concatenate([weights.W, eye, zeros(dims, dims)])
    delta = zeros(rows, dims)
    delta[0] = 1
    layer = LayerWeights(
        in_weight=np.block([[eye, zeros(dims, dims)], [zeros(dims, 2 * dims)], [zeros(dims, dims), eye]]),
        in_bias=zeros(2 * dims),
        filter=np.concatenate([weights.H, delta], axis=1),
        conv_bias=zeros(2 * dims),
        gate_weight=np.concatenate([gate, gate], axis=1),
        gate_bias=zeros(2 * dims),
        out_weight=np.concatenate([eye, eye]),
        out_bias=zeros(dims),
    )
    return layer, np.concatenate([zeros(rows, dims), weights.B1, weights.B2], axis=1)


def layer_as_operators(weights: LayerWeights, n_rows: int) -> tuple[OperatorWeights, OperatorWeights, OperatorWeights]:
    """The layer as three operators on channels ``[p, g, u]`` (h + h + D_in), for input padded as ``[0, 0, u]``.

    Mix: ``p = In u``, ``g = Gate u``. Multiply: ``p ← (filter ⋆ p + conv_bias) ⊙ g``. Mix: the first D_out channels
    become ``w0·Out p + w1·u``. There are at least D_out channels; the result is in the first D_out of them.
    """
    n_in, hidden = weights.in_weight.shape
    n_out = weights.out_weight.shape[1]
    width = max(2 * hidden + n_in, n_out)
    p, g, u = slice(hidden), slice(hidden, 2 * hidden), slice(2 * hidden, 2 * hidden + n_in)
    ones = zeros(n_rows, width) + 1
    keep_u = zeros(width, width)
    keep_u[u, u] = np.eye(n_in, dtype=int).astype(object)

    def mix(W: np.ndarray, bias: np.ndarray) -> OperatorWeights:
        return OperatorWeights(W=W, B1=np.tile(bias, (n_rows, 1)), H=zeros(n_rows, width), B2=ones)

    first, first_bias = keep_u.copy(), zeros(width)
    first[u, p], first[u, g] = weights.in_weight, weights.gate_weight
    first_bias[p], first_bias[g] = weights.in_bias, weights.gate_bias

    pick_g, filter, conv_bias = keep_u.copy(), zeros(n_rows, width), ones.copy()
    pick_g[g, p] = np.eye(hidden, dtype=int).astype(object)
    filter[:, p], conv_bias[:, p] = weights.filter, weights.conv_bias
    multiply = OperatorWeights(W=pick_g, B1=zeros(n_rows, width), H=filter, B2=conv_bias)

    last, last_bias = zeros(width, width), zeros(width)
    last[p, :n_out], last_bias[:n_out] = weights.out_weight, weights.out_bias
    if weights.branch_weights is not None:
        layer_branch, input_branch = weights.branch_weights[:1], weights.branch_weights[1:]
        last[p, :n_out] = layer_branch * last[p, :n_out]
        last_bias[:n_out] = layer_branch * last_bias[:n_out]
        last[u, :n_out] = input_branch * np.eye(n_in, dtype=int).astype(object)
    return mix(first, first_bias), multiply, mix(last, last_bias)


def pad_for_operators(weights: LayerWeights, u: np.ndarray) -> np.ndarray:
    """The input ``[0, 0, u]`` that :func:`layer_as_operators` takes, for ``u`` (N, D_in)."""
    n_in, hidden = weights.in_weight.shape
    padding = max(0, weights.out_weight.shape[1] - 2 * hidden - n_in)
    return np.concatenate([zeros(len(u), 2 * hidden), u, zeros(len(u), padding)], axis=1)


def check_mode(mode: Any) -> None:
    """Raises ``ValueError`` unless ``mode`` is "causal" or "circular"."""
    if mode not in get_args(Mode):
        raise ValueError(f"mode must be 'causal' or 'circular', got {mode!r}")


# The modules: float tensors, leading batch dimensions.


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

    def forward(self, filter: Tensor, u: Tensor) -> Tensor:
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

    def forward(self, u: Tensor) -> Tensor:
        check_input(u, self.n_rows, self.n_channels)
        return (u @ self.W + self.B1) * (self.convolution(self.H, u) + self.B2)

    def weights(self) -> OperatorWeights:
        """The weights as NumPy arrays."""
        return OperatorWeights(*(as_numpy(p) for p in (self.W, self.B1, self.H, self.B2)))

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

    def forward(self, u: Tensor) -> Tensor:
        check_input(u, self.n_rows, self.n_in)
        conv = self.convolution(self.filter, self.in_proj(u)) + self.conv_bias
        y = self.out_proj(conv * self.gate_proj(u))
        return y if self.branch_weights is None else self.branch_weights[0] * y + self.branch_weights[1] * u

    def weights(self) -> LayerWeights:
        """The weights as NumPy arrays, maps acting from the right."""
        return LayerWeights(
            as_numpy(self.in_proj.weight).T, as_numpy(self.in_proj.bias),
            as_numpy(self.filter), as_numpy(self.conv_bias),
            as_numpy(self.gate_proj.weight).T, as_numpy(self.gate_proj.bias),
            as_numpy(self.out_proj.weight).T, as_numpy(self.out_proj.bias),
            None if self.branch_weights is None else as_numpy(self.branch_weights),
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

    def forward(self, u: Tensor) -> Tensor:
        check_input(u, self.n_rows, self.positions.shape[1])
        state = u + self.positions
        for layer in self.layers:
            state = layer(state)
        return state

    @classmethod
    def from_network(cls, network: Network, dtype: torch.dtype = torch.float64) -> BaseConvModel:
        """The trainable model that starts as this exact network: dense, all rows out, the same function.

        ``network.decode(model(u))`` is what the network computes; weights are rounded to ``dtype`` once, and layers
        that the network shares become separate parameters. Raises ``OverflowError`` when a weight overflows ``dtype``.
        """
        layers = network.layers
        channels = [len(network.inputs), *(len(layer.outputs) for layer in layers)]
        model = cls(network.n_rows, channels, [layer.width for layer in layers], network.mode).to(dtype)
        positions = zeros(network.n_rows, channels[0])
        for place, weight in network.positions.items():
            positions[place] = weight
        assign(model.positions, positions)
        dense = {id(layer): dense_weights(layer, network.n_rows) for layer in layers}
        for module, layer in zip(model.layers, layers, strict=True):
            module.load_weights(dense[id(layer)])  # type: ignore[operator]
        return model


def dense_weights(layer: Layer, n_rows: int) -> LayerWeights:
    """An exact layer as dense arrays of rationals."""

    def dense(sparse: SparseMap) -> tuple[np.ndarray, np.ndarray]:
        matrix = zeros(sparse.n_in + 1, sparse.n_out)
        matrix[sparse.columns, sparse.rows] = sparse.weights
        return matrix[:-1], matrix[-1]

    taps = zeros(len(layer.filters), n_rows)
    for index, filter in enumerate(layer.filters):
        taps[index] = filter.taps(n_rows)
    return LayerWeights(
        *dense(layer.conv), taps[layer.filter_index].T, zeros(layer.width), *dense(layer.gate), *dense(layer.out)
    )


def assign(parameter: nn.Parameter | Tensor, values: np.ndarray) -> None:
    """Set a parameter to exact or floating values, rounded to its dtype; ``OverflowError`` when one does not fit."""
    rounded = torch.from_numpy(np.asarray(values).astype(np.float64)).to(parameter.dtype)
    if tuple(rounded.shape) != tuple(parameter.shape):
        raise ValueError(f"expected weights of shape {tuple(parameter.shape)}, got {tuple(rounded.shape)}")
    if not bool(torch.isfinite(rounded).all()):
        raise OverflowError(f"a weight overflows {parameter.dtype}")
    with torch.no_grad():
        parameter.copy_(rounded)


def as_numpy(parameter: Tensor) -> np.ndarray:
    return parameter.detach().cpu().numpy()


def check_sizes(**sizes: int) -> None:
    """Raises ``ValueError`` naming the size that is below one."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")


def check_input(u: Tensor, n_rows: int, n_channels: int) -> None:
    """Raises ``ValueError`` unless ``u`` is (..., n_rows, n_channels)."""
    if u.ndim < 2 or tuple(u.shape[-2:]) != (n_rows, n_channels):
        raise ValueError(f"expected input of shape (..., {n_rows} rows, {n_channels} channels), got {tuple(u.shape)}")
