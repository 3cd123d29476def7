"""BaseConv on plain arrays over any ring: the paper's operator, the trainable layer, and their equivalence.

* Operator (Liu et al. 2025, Algorithm 1): ``(u W + B1) ⊙ (H ⋆ u + B2)``, with one filter a channel.
* Layer, as it is trained: ``y = Out( Conv(In u) ⊙ Gate u )``, and ``w0·y + w1·u`` with learned branch weights.

The equivalence is written once, for arrays over any ring (floats, rationals, symbols): an operator is one layer of
twice the width whose input has positional channels; a layer is three operators: mix, multiply, mix.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped

from constructions.networks.layer import Layer, Mode, SparseMap, check_mode


@dataclass(frozen=True, eq=False)
class OperatorWeights:
    """Weights of ``(u W + B1) ⊙ (H ⋆ u + B2)``: ``W`` (D, D), ``B1``, ``H`` and ``B2`` (N, D)."""

    W: Shaped[np.ndarray, "channels channels"]
    B1: Shaped[np.ndarray, "rows channels"]
    H: Shaped[np.ndarray, "rows channels"]
    B2: Shaped[np.ndarray, "rows channels"]


@dataclass(frozen=True, eq=False)
class LayerWeights:
    """Weights of ``w0·Out( (filter ⋆ In u + conv_bias) ⊙ Gate u ) + w1·u``; a map acts as ``u @ weight + bias``.

    ``in_weight``, ``gate_weight`` (D_in, h), ``out_weight`` (h, D_out), biases one an output, ``filter`` (N, h),
    ``conv_bias`` (h,), ``branch_weights`` the pair (w0, w1) or None for (1, 0).
    """

    in_weight: Shaped[np.ndarray, "channels_in hidden"]
    in_bias: Shaped[np.ndarray, " hidden"]
    filter: Shaped[np.ndarray, "rows hidden"]
    conv_bias: Shaped[np.ndarray, " hidden"]
    gate_weight: Shaped[np.ndarray, "channels_in hidden"]
    gate_bias: Shaped[np.ndarray, " hidden"]
    out_weight: Shaped[np.ndarray, "hidden channels_out"]
    out_bias: Shaped[np.ndarray, " channels_out"]
    branch_weights: Shaped[np.ndarray, " 2"] | None = None


def direct_convolution(
    filter: Shaped[np.ndarray, "rows channels"], u: Shaped[np.ndarray, "rows channels"], mode: Mode = "causal"
) -> Shaped[np.ndarray, "rows channels"]:
    """``(filter ⋆ u)[n, d] = Σ_m filter[m, d] · u[n − m, d]`` along the rows of ``u`` (N, D), over any ring.

    Causal sums over 0 ≤ m ≤ n, circular over all m with row indices modulo N. ``filter`` has the shape of ``u``.
    Raises ``ValueError`` when the shapes differ or the mode is unknown.
    """
    check_mode(mode)
    if filter.shape != u.shape:
        raise ValueError(f"filter and input must have one shape (rows, channels), got {filter.shape} and {u.shape}")
    result: np.ndarray = filter[:1] * u
    for lag in range(1, len(u)):
        moved = filter[lag : lag + 1] * u
        if mode == "circular":
            result = result + np.roll(moved, lag, axis=0)
        else:
            result[lag:] = result[lag:] + moved[:-lag]
    return result


def apply_operator(
    weights: OperatorWeights, u: Shaped[np.ndarray, "rows channels"], mode: Mode = "causal"
) -> Shaped[np.ndarray, "rows channels"]:
    """The operator on ``u`` (N, D), over the ring of the entries."""
    combined: np.ndarray = (u @ weights.W + weights.B1) * (direct_convolution(weights.H, u, mode) + weights.B2)
    return combined


def apply_layer(
    weights: LayerWeights, u: Shaped[np.ndarray, "rows channels_in"], mode: Mode = "causal"
) -> Shaped[np.ndarray, "rows channels_out"]:
    """The layer on ``u`` (N, D_in), over the ring of the entries."""
    conv = direct_convolution(weights.filter, u @ weights.in_weight + weights.in_bias, mode) + weights.conv_bias
    y = (conv * (u @ weights.gate_weight + weights.gate_bias)) @ weights.out_weight + weights.out_bias
    combined: np.ndarray = (
        y if weights.branch_weights is None else weights.branch_weights[:1] * y + weights.branch_weights[1:] * u
    )
    return combined


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
