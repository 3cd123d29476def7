"""An exact network inside a larger trainable model: the same function, with hidden channels to spare.

A spare channel has random In, Gate and filter, and Out zero: the model computes what the network computes, to rounding, and
training may use the channel as soon as Out moves. Why one would want it: an exact construction of least width is a singular
point of the set of exact networks, and further channels give training other ways.
"""

from __future__ import annotations

import math

import torch

from constructions.models.baseconv import BaseConvLayer, BaseConvModel
from constructions.networks.base import ExactNetwork


def embedded(
    network: ExactNetwork, spare_width: float, generator: torch.Generator, dtype: torch.dtype = torch.float64
) -> BaseConvModel:
    """The trainable model of ``network`` with ``spare_width`` times (rounded up) as many hidden channels in each layer.

    In and Gate of spare channels are N(0, 1/fan_in), filters N(0, 1/n_rows), In's biases zero. Raises ``ValueError`` for less
    than 1 or no number, and what :meth:`BaseConvModel.from_network` raises.
    """
    if not 1 <= spare_width < math.inf:
        raise ValueError(f"a model is embedded in one that is at least as wide: spare_width >= 1, got {spare_width}")
    exact = BaseConvModel.from_network(network, dtype=dtype)
    layers = [layer for layer in exact.layers if isinstance(layer, BaseConvLayer)]
    channels = [layers[0].n_in, *(layer.out_proj.out_features for layer in layers)]
    hidden = [math.ceil(spare_width * layer.in_proj.out_features) for layer in layers]
    model = BaseConvModel(exact.n_rows, channels, hidden, exact.mode).to(dtype)
    with torch.no_grad():
        model.positions.copy_(exact.positions)
        for wide, narrow in zip(model.layers, layers, strict=True):
            assert isinstance(wide, BaseConvLayer)
            _embed(wide, narrow, generator)
    return model


def _embed(wide: BaseConvLayer, narrow: BaseConvLayer, generator: torch.Generator) -> None:
    first = narrow.in_proj.out_features

    def normal(like: torch.Tensor, variance: float) -> torch.Tensor:
        drawn = torch.randn(like.shape, generator=generator, dtype=torch.float64)
        scaled: torch.Tensor = drawn * variance**0.5
        return scaled.to(like)

    for name in ("in_proj", "gate_proj"):
        projection, own = getattr(wide, name), getattr(narrow, name)
        for parameter, value in ((projection.weight, own.weight), (projection.bias, own.bias)):
            parameter.copy_(normal(parameter, 1 / (projection.in_features + 1)))
            parameter[:first] = value
    wide.in_proj.bias[first:] = 0
    wide.filter.copy_(normal(wide.filter, 1 / wide.n_rows))
    wide.filter[:, :first] = narrow.filter
    wide.conv_bias.zero_()
    wide.conv_bias[:first] = narrow.conv_bias
    wide.out_proj.weight.zero_()
    wide.out_proj.weight[:, :first] = narrow.out_proj.weight
    wide.out_proj.bias.copy_(narrow.out_proj.bias)
