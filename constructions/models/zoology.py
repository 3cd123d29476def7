"""Networks to and from the ``BaseConv`` of ``HazyResearch/zoology``: a stack of mixers without In and Out.

That mixer (``zoology/mixers/base_conv.py``, read for names and shapes alone) is ``y = conv(u) ⊙ projection(u) + u`` on d
channels: ``projection.{weight,bias}`` an affine map, and with ``kernel_size=k`` a causal convolution of k taps a channel,
``conv.conv.{weight,bias}`` (Conv1d of groups d, last tap lag 0). It has neither In nor Out and always adds its input, and still
it can do what the layer of this package does:

* an affine map ``M u + c`` is a mixer with taps 0, bias of the convolution 1 and projection ``(M − I) u + c``;
* a layer ``Out((f ⋆ In u + b) ⊙ Gate u)`` is three mixers on channels [u, p, q], **new**: an affine map sets p = q = In u; a
  mixer with taps f and bias b on p, zero elsewhere, and Gate u as projection makes p ← (f ⋆ p + b) ⊙ Gate u + p; an affine
  map takes Out (p − q), the old p being what q kept.

Two affine maps in a row are one, so L layers are 2L + 1 mixers of width at most max over layers of n_in + 2 d_hidden. Positions
and inputs are added by who calls it: the first channels of a row are the network's inputs, with ``positions`` in the file
added, the rest zero; the first output channels of the last mixer are the network's results, in the order of ``decode``.

Back, every mixer is a layer of ours with In = Out = I, its ``+ u`` a branch: floats are rationals, so that is exact. Long
convolutions (``kernel_size=-1``) have no bias, and add their input; they are read, not written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor

from constructions.models.baseconv import rounded
from constructions.models.exact_weights import network_with, rationals
from constructions.models.operators import LayerWeights, dense_weights
from constructions.models.published import followed, scattered
from constructions.networks.network import Network

MIXER = "layers.{}.mixer"


class SettingsOfMixers(TypedDict, total=False):
    """Arguments of ``BaseConv`` by its names, and how many there are."""

    d_model: int
    l_max: int
    kernel_size: int
    use_act: bool
    n_layers: int


@dataclass(frozen=True)
class Mixers:
    """``state_dict`` of mixers ``layers.{i}.mixer``, each ``BaseConv(**settings)`` but for ``n_layers``; ``positions`` too."""

    state_dict: dict[str, Tensor]
    settings: SettingsOfMixers


def to_zoology(network: Network, dtype: torch.dtype = torch.float32) -> Mixers:
    """The network as mixers of one width; each weight is rounded once.

    Raises ``ValueError`` for a circular network, ``OverflowError`` where a weight overflows ``dtype``.
    """
    if network.mode != "causal":
        raise ValueError("Zoology's short convolutions are causal, and this network is circular")
    n_rows, layers = network.n_rows, [dense_weights(layer, network.n_rows) for layer in network.layers]
    width = max(max(len(w.in_weight) + 2 * w.in_weight.shape[1], w.out_weight.shape[1]) for w in layers)
    mixers: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
    # What the next affine map starts from: the rows of the state that are the layer's input, and how.
    before, constant = leading_identity(len(network.inputs), width), exact_zeros(len(network.inputs))
    for weights in layers:
        mixers += [affine_mixer(*spread(weights, before, constant), n_rows), product_mixer(weights, width, n_rows)]
        before, constant = gathered(weights, width)
    columns, n_results = list(network.task.columns), len(network.task.columns)
    whole, last = exact_zeros(width, width), exact_zeros(width)
    whole[:, :n_results], last[:n_results] = before[:, columns], constant[columns]
    mixers.append(affine_mixer(whole, last, n_rows))
    state = {"positions": scattered((n_rows, width), network.positions, dtype)}
    for number, (weight, bias, taps, taps_bias) in enumerate(mixers):
        name = MIXER.format(number)
        state[f"{name}.projection.weight"] = rounded(weight.T, dtype)
        state[f"{name}.projection.bias"] = rounded(bias, dtype)
        state[f"{name}.conv.conv.weight"] = rounded(taps[::-1].T[:, None], dtype)
        state[f"{name}.conv.conv.bias"] = rounded(taps_bias, dtype)
    settings: SettingsOfMixers = {
        "d_model": width, "l_max": n_rows, "kernel_size": n_rows, "use_act": False, "n_layers": len(mixers)
    }  # fmt: skip
    return Mixers(state, settings)


Affine = tuple[np.ndarray, np.ndarray]
"""``u @ weight + bias``: (n_in, n_out) and (n_out,)."""
Mixer = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Projection as :data:`Affine`, taps (n_rows, width) by lag, bias of the convolution (width,)."""


def spread(layer: LayerWeights, before: np.ndarray, constant: np.ndarray) -> Affine:
    """State to [u, p, q] with p = q = In u, for u = state @ before + constant."""
    width, (n_in, hidden) = len(before), layer.in_weight.shape
    weight, bias = exact_zeros(width, width), exact_zeros(width)
    weight[:, :n_in], bias[:n_in] = before, constant
    for start in (n_in, n_in + hidden):
        weight[:, start : start + hidden] = before @ layer.in_weight
        bias[start : start + hidden] = constant @ layer.in_weight + layer.in_bias
    return weight, bias


def product_mixer(layer: LayerWeights, width: int, n_rows: int) -> Mixer:
    """p ← (f ⋆ p + b) ⊙ Gate u + p; everything else stays."""
    n_in, hidden = layer.in_weight.shape
    own = slice(n_in, n_in + hidden)
    weight, bias = exact_zeros(width, width), exact_zeros(width)
    taps, taps_bias = exact_zeros(n_rows, width), exact_zeros(width)
    weight[:n_in, own], bias[own] = layer.gate_weight, layer.gate_bias
    taps[: len(layer.filter), own], taps_bias[own] = layer.filter, layer.conv_bias
    return weight, bias, taps, taps_bias


def gathered(layer: LayerWeights, width: int) -> Affine:
    """Out (p − q) from the state [u, p, q]."""
    n_in, hidden = layer.in_weight.shape
    weight = exact_zeros(width, layer.out_weight.shape[1])
    weight[n_in : n_in + hidden] = layer.out_weight
    weight[n_in + hidden : n_in + 2 * hidden] = -layer.out_weight
    return weight, layer.out_bias


def affine_mixer(weight: np.ndarray, bias: np.ndarray, n_rows: int) -> Mixer:
    """1 ⊙ ((M − I) u + c) + u."""
    width = len(weight)
    return weight - np.identity(width, dtype=object), bias, exact_zeros(n_rows, width), exact_zeros(width) + 1


def from_zoology(mixers: Mixers, like: Network) -> Network:
    """Mixers as an exact network that claims what ``like`` claims (:mod:`constructions.models.own_weights`).

    Its data are the first channels, its results the first outputs. Raises ``ValueError`` for activations, missing or
    unexpected weights, wrong shapes, weights that are not finite, or other sizes than ``like``.
    """
    settings, state = mixers.settings, dict(mixers.state_dict)
    if settings.get("use_act", False):
        raise ValueError("mixers with use_act=True have activations: they are no polynomials, and no BaseConv network")
    depth, width, n_rows = int(settings["n_layers"]), int(settings["d_model"]), int(settings["l_max"])
    taps = min(int(settings.get("kernel_size", 3)), n_rows) if int(settings.get("kernel_size", 3)) > 0 else -1
    if depth > len(state):
        raise ValueError(f"the settings say {depth} mixers, and there are {len(state)} tensors")
    shapes = expected_shapes(depth, width, n_rows, int(settings.get("kernel_size", 3)))
    if (wrong := sorted(set(shapes) ^ set(state))) != []:
        raise ValueError(f"missing or unexpected weights: {', '.join(wrong[:5])}")
    for name, shape in shapes.items():
        if tuple(state[name].shape) != shape:
            raise ValueError(f"{name} has shape {tuple(state[name].shape)}, expected {shape} for these settings")
    exact = {name: rationals(name, value) for name, value in state.items()}
    layers = [mixer_as_layer(exact, MIXER.format(number), n_rows, taps) for number in range(depth)]
    n_results = len(like.task.columns)
    results = np.identity(width, dtype=object)[:, :n_results] + Fraction(0)
    layers[-1] = followed(layers[-1], results, exact_zeros(n_results))
    return network_with(layers, exact["positions"], "causal", like)


def mixer_as_layer(exact: Mapping[str, np.ndarray], name: str, n_rows: int, taps: int) -> LayerWeights:
    """One mixer as a layer of ours whose ``+ u`` is a branch, taken into hidden channels."""
    from constructions.models.exact_weights import without_branches

    weight, bias = exact[f"{name}.projection.weight"].T, exact[f"{name}.projection.bias"]
    width = len(weight)
    identity, filter = np.identity(width, dtype=object) + Fraction(0), exact_zeros(n_rows, width)
    if taps > 0:
        filter[:taps] = exact[f"{name}.conv.conv.weight"][:, 0, ::-1].T[:taps]
        conv_bias = exact[f"{name}.conv.conv.bias"]
    else:
        filter[:] = exact[f"{name}.conv.filter"].T
        filter[0] += 1
        conv_bias = exact_zeros(width)
    layer = LayerWeights(identity, exact_zeros(width), filter, conv_bias, weight, bias, identity, exact_zeros(width))
    return without_branches(replace(layer, branch_weights=np.array([Fraction(1), Fraction(1)], dtype=object)))


def expected_shapes(depth: int, width: int, n_rows: int, kernel_size: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the weights of so many mixers."""
    shapes: dict[str, tuple[int, ...]] = {"positions": (n_rows, width)}
    for number in range(depth):
        name = MIXER.format(number)
        shapes |= {f"{name}.projection.weight": (width, width), f"{name}.projection.bias": (width,)}
        if kernel_size == -1:
            shapes[f"{name}.conv.filter"] = (width, n_rows)
        else:
            shapes |= {f"{name}.conv.conv.weight": (width, 1, kernel_size), f"{name}.conv.conv.bias": (width,)}
    return shapes


def leading_identity(size: int, width: int) -> np.ndarray:
    """(width, size): the first channels of the state."""
    result = exact_zeros(width, size)
    np.fill_diagonal(result, Fraction(1))
    return result


def exact_zeros(*shape: int) -> np.ndarray:
    return np.full(shape, Fraction(0), dtype=object)
