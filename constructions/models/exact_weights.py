"""Trained weights as exact ones: a float is a rational, so a trained BaseConv model *is* an exact network.

What the trainable layer has and the normal form has no place for becomes hidden channels of its own: a bias of the
convolution is ``bias ⊙ Gate u``, and the branch ``w1·u`` is one hidden channel ``u_c ⊙ 1`` for each channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from torch import Tensor

from constructions.algebra.filters import DELTA, Filter
from constructions.models.baseconv import BaseConvLayer, BaseConvModel
from constructions.models.operators import LayerWeights
from constructions.models.own_weights import claiming
from constructions.networks.layer import Layer, Mode, SparseMap
from constructions.networks.network import Network

NOUGHT, UNIT = Fraction(0), Fraction(1)


def exact_network(model: BaseConvModel, like: Network) -> Network:
    """The model as an exact network that claims what ``like`` claims (:mod:`constructions.models.own_weights`).

    The model's input channels are those of ``like`` (further ones are positional), and its first outputs are the results
    of ``like`` in their order. Whether the claim is true is for a check to say. Raises ``ValueError`` for other numbers of
    rows, inputs or results, and for weights that are not finite.
    """
    layers = []
    for layer in model.layers:
        assert isinstance(layer, BaseConvLayer)
        layers.append(exact_weights(layer))
    return network_with(layers, rationals("positions", model.positions), model.mode, like)


def network_with(weights: Sequence[LayerWeights], constants: np.ndarray, mode: Mode, like: Network) -> Network:
    """The network of layers with these rational weights and positions (n_rows, inputs), claiming what ``like`` claims.

    Raises ``ValueError`` as :func:`exact_network`.
    """
    data = sorted({column for _, column in like.task.free_channels})
    n_results = len(like.task.columns)
    n_rows, n_inputs = constants.shape
    n_outputs = weights[-1].out_weight.shape[1]
    if data != list(range(len(data))) or n_inputs < len(data) or n_outputs < n_results or n_rows != like.n_rows:
        raise ValueError(
            f"the model has {n_rows} rows, {n_inputs} inputs and {n_outputs} outputs; {like.algorithm} has "
            f"{like.n_rows} rows, {len(data)} inputs with data and {n_results} results"
        )
    names = tuple(like.inputs[c] if c < len(data) else f"position[{c}]" for c in range(n_inputs))
    positions = {(row, c): constants[row, c] for row, c in np.argwhere(constants != 0).tolist()}
    return claiming(like, mode=mode, inputs=names, layers=tuple(map(exact_layer, weights)), positions=positions)


def exact_weights(layer: BaseConvLayer) -> LayerWeights:
    """The weights of a trainable layer as rationals."""
    exact = {name: rationals(name, value) for name, value in layer.named_parameters()}
    return LayerWeights(
        exact["in_proj.weight"].T, exact["in_proj.bias"], exact["filter"], exact["conv_bias"],
        exact["gate_proj.weight"].T, exact["gate_proj.bias"], exact["out_proj.weight"].T, exact["out_proj.bias"],
        exact.get("branch_weights"),
    )  # fmt: skip


def rationals(name: str, values: Tensor) -> np.ndarray:
    """The exact values of a floating tensor; ``ValueError`` naming it where one is not finite."""
    flat = values.detach().double().flatten()
    if not bool(flat.isfinite().all()):
        raise ValueError(f"{name} has entries that are not finite")
    array = np.empty(len(flat), dtype=object)
    array[:] = [Fraction(value) for value in flat.tolist()]
    return array.reshape(tuple(values.shape))


def without_branches(weights: LayerWeights) -> LayerWeights:
    """The same layer with its branch ``w1·u`` as hidden channels ``u_c ⊙ 1``, one for each channel."""
    if weights.branch_weights is None:
        return weights
    w0, w1 = weights.branch_weights
    n_in = len(weights.in_weight)
    none = np.full((n_in, n_in), NOUGHT, dtype=object)
    identity, at_once = none.copy(), np.full((len(weights.filter), n_in), NOUGHT, dtype=object)
    np.fill_diagonal(identity, UNIT)
    at_once[0] = UNIT

    def join(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        return np.concatenate([left, right], axis=-1)

    return LayerWeights(
        join(weights.in_weight, identity), join(weights.in_bias, none[0]), join(weights.filter, at_once),
        join(weights.conv_bias, none[0]), join(weights.gate_weight, none), join(weights.gate_bias, none[0] + UNIT),
        np.concatenate([w0 * weights.out_weight, w1 * identity]), w0 * weights.out_bias,
    )  # fmt: skip


def exact_layer(weights: LayerWeights) -> Layer:
    """The layer ``w0·Out((filter ⋆ In u + conv_bias) ⊙ Gate u) + w1·u`` with these rational weights."""
    weights = without_branches(weights)
    n_in, n_out = len(weights.in_weight), weights.out_weight.shape[1]
    biased = np.flatnonzero(weights.conv_bias)
    filters = [Filter.of(column) for column in weights.filter.T] + [DELTA] * len(biased)
    distinct = {filter: place for place, filter in enumerate(dict.fromkeys(filters))}
    nothing = np.full((n_in, len(biased)), NOUGHT, dtype=object)
    return Layer(
        conv=affine(
            np.concatenate([weights.in_weight, nothing], axis=1),
            np.concatenate([weights.in_bias, weights.conv_bias[biased]]),
        ),
        gate=affine(
            np.concatenate([weights.gate_weight, weights.gate_weight[:, biased]], axis=1),
            np.concatenate([weights.gate_bias, weights.gate_bias[biased]]),
        ),
        out=affine(np.concatenate([weights.out_weight, weights.out_weight[biased]]), weights.out_bias),
        filters=tuple(distinct),
        filter_index=np.array([distinct[filter] for filter in filters], dtype=np.int64),
        outputs=tuple(f"y[{row}]" for row in range(n_out)),
    )


def affine(weight: np.ndarray, bias: np.ndarray) -> SparseMap:
    """The dense map ``u @ weight + bias``, ``weight`` (n_in, n_out), as a sparse one."""
    n_in, n_out = weight.shape
    entries = {(row, column): weight[column, row] for column, row in np.argwhere(weight != 0).tolist()}
    return SparseMap.of(n_in, n_out, entries | {(row, n_in): Fraction(bias[row]) for row in range(n_out)})
