"""One of the many equal BaseConv models: the one whose largest weights are exactly 1, which no number format rounds.

A hidden channel computes ``out (f ⋆ (In u + b) + c) (Gate u + d)``. In, f, Gate and out may be multiplied by numbers whose
product is 1 (c goes with f), and so may a channel between two layers and what the next layer reads of it; the function is the
same over any field. Here the entry of largest size of each In, f and Gate becomes 1, and that of each channel's row of Out
before the last layer. In the last layer Out takes up what is left.

Why: a trained model is a point of this family that nobody chose, and rounding it to float32 costs an error in each factor of each
term. Where one entry dominates a factor, as in and near an exact construction, the scaled model has it without error, and
taps that are equal are exactly 1 together.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from constructions.models.baseconv import BaseConvLayer, BaseConvModel


def scale_to_ones(model: BaseConvModel) -> None:
    """Scale the weights in place. Models with branch weights, which fix the scale of channels, are left as they are."""
    layers = [layer for layer in model.layers if isinstance(layer, BaseConvLayer)]
    if any(layer.branch_weights is not None for layer in layers):
        return
    with torch.no_grad():
        for layer, following in itertools.pairwise(layers):
            scale_hidden(layer)
            rows = layer.out_proj.weight
            scale = largest(rows, 1)
            rows.div_(scale[:, None])
            layer.out_proj.bias.div_(scale)
            following.in_proj.weight.mul_(scale)
            following.gate_proj.weight.mul_(scale)
        scale_hidden(layers[-1])


def scale_hidden(layer: BaseConvLayer) -> None:
    """The hidden channels of one layer; its Out takes up what is left."""
    into = largest(layer.in_proj.weight, 1)
    layer.in_proj.weight.div_(into[:, None])
    layer.in_proj.bias.div_(into)
    peak = largest(layer.filter, 0)
    layer.filter.div_(peak)
    taps = peak * into
    layer.conv_bias.div_(taps)
    gate = largest(torch.cat([layer.gate_proj.weight, layer.gate_proj.bias[:, None]], dim=1), 1)
    layer.gate_proj.weight.div_(gate[:, None])
    layer.gate_proj.bias.div_(gate)
    layer.out_proj.weight.mul_(taps * gate)


def largest(values: Tensor, dim: int) -> Tensor:
    """The entry of largest size along ``dim``, with its sign; 1 where all are zero."""
    entry = values.gather(dim, values.abs().argmax(dim=dim, keepdim=True)).squeeze(dim)
    return torch.where(entry == 0, torch.ones_like(entry), entry)
