"""An exact network inside a larger trainable model: the same function, with channels, heads and hidden units to spare.

Every weight of the network is the leading block of a weight of the larger model. What an affine map computes for the network's
own channels does not read spare ones: those entries are zero, all others of spare channels are random. So the model computes what
the network computes, to rounding, and training may use whatever is spare as soon as a zero moves. Why one would want
it: an exact construction of least width is a singular point of the set of exact networks, and further channels give
training other ways; and a model may keep an exact part for good (``frozen``) and learn what to add to it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize

from constructions.models.baseconv import BaseConvLayer, BaseConvModel, check_memory
from constructions.networks.base import ExactNetwork


def embedded(
    network: ExactNetwork,
    spare_width: float = 1.0,
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.float64,
    *,
    device: torch.device | str = "cpu",
    channels: int | None = None,
    residual: bool = False,
    frozen: bool = False,
) -> BaseConvModel:
    """The trainable model of ``network`` with ``spare_width`` times (rounded up) as many hidden channels in each layer.

    ``channels`` is how many channels stand before, between and after the layers; by default as many as in the network, with
    ``residual`` as its widest. The input then has zeros in the channels that the network does not have (:func:`padded`), and the
    first output channels are the network's. ``residual`` adds to each layer the learned mixture ``w0·y + w1·u``, which starts at
    y. ``frozen`` keeps the network's own weights at their values, whatever trains the model.

    Spare In and Gate are N(0, 1/fan_in), filters N(0, 1/n_rows), In's biases zero. Raises ``ValueError`` for a model that would
    be narrower than the network, ``TypeError`` for a network that is not BaseConv, and what
    :meth:`BaseConvModel.from_network` raises.
    """
    if not 1 <= spare_width < math.inf:
        raise ValueError(f"a model is embedded in one that is at least as wide: spare_width >= 1, got {spare_width}")
    exact = BaseConvModel.from_network(network, dtype=dtype)
    layers = list(baseconv_layers(exact))
    own = [layers[0].n_in, *(layer.out_proj.out_features for layer in layers)]
    if channels is not None and channels < max(own):
        raise ValueError(f"a model is embedded in one that is at least as wide: {max(own)} channels, got {channels}")
    wide_channels = own if channels is None and not residual else [channels or max(own)] * len(own)
    hidden = [math.ceil(spare_width * layer.in_proj.out_features) for layer in layers]
    check_memory(exact.n_rows, wide_channels, hidden, dtype)
    model = BaseConvModel(exact.n_rows, wide_channels, hidden, exact.mode, branch_weights=residual).to(dtype)
    with torch.no_grad():
        randomise(model, generator)
        model.positions.zero_()
        for layer in baseconv_layers(model):
            layer.in_proj.bias.zero_()
            layer.conv_bias.zero_()
            layer.out_proj.bias.zero_()
            if layer.branch_weights is not None:
                layer.branch_weights.copy_(torch.tensor([1.0, 0.0]))
        place(model, exact)
    if frozen:
        freeze(model, exact)
    return model.to(device)


def padded(u: Float[Tensor, "*batch rows channels_in"], channels: int) -> Float[Tensor, "*batch rows channels_out"]:
    """``u`` (..., n_rows, inputs) with zeros up to so many channels. Raises ``ValueError`` for fewer than it has."""
    if channels < u.shape[-1]:
        raise ValueError(f"the input has {u.shape[-1]} channels already, got {channels}")
    return nn.functional.pad(u, (0, channels - u.shape[-1]))


def baseconv_layers(model: BaseConvModel) -> Iterator[BaseConvLayer]:
    for layer in model.layers:
        assert isinstance(layer, BaseConvLayer)
        yield layer


def randomise(model: nn.Module, generator: torch.Generator | None) -> None:
    """Maps N(0, 1/(fan_in + 1)), biases as well; other weights (filters, positions) N(0, 1/n_rows)."""
    for module in model.modules():
        variance = 1 / (module.in_features + 1) if isinstance(module, nn.Linear) else None
        for parameter in module.parameters(recurse=False):
            drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(drawn * (variance or 1 / len(parameter)) ** 0.5)


def place(model: nn.Module, exact: nn.Module) -> None:
    """The weights of ``exact`` as leading blocks of those of ``model``; its own channels read no spare ones."""
    own = dict(exact.named_parameters())
    for name, wide in model.named_parameters():
        narrow = own.get(name)
        if narrow is None:
            continue
        if wide.ndim == 2 and name.endswith("weight"):
            wide[: len(narrow)] = 0
        wide[block(narrow)] = narrow.to(wide)


def block(narrow: Tensor) -> tuple[slice, ...]:
    """Where it lies in a larger tensor."""
    return tuple(slice(0, size) for size in narrow.shape)


class Kept(nn.Module):
    """A parametrization: the leading block of a parameter has these values, the rest is the parameter's."""

    def __init__(self, values: Tensor, shape: torch.Size) -> None:
        super().__init__()
        whole, kept = values.new_zeros(shape), torch.zeros(shape, dtype=torch.bool)
        whole[block(values)], kept[block(values)] = values.detach(), True
        self.register_buffer("values", whole)
        self.register_buffer("kept", kept)

    def forward(self, parameter: Tensor) -> Tensor:
        return torch.where(self.get_buffer("kept"), self.get_buffer("values"), parameter)


def freeze(model: nn.Module, exact: nn.Module) -> None:
    """The weights of ``exact`` keep their values in ``model``, whatever optimiser, momentum or weight decay is used."""
    for name, narrow in exact.named_parameters():
        path, _, leaf = name.rpartition(".")
        module = model.get_submodule(path)
        wide = module.get_parameter(leaf)
        parametrize.register_parametrization(module, leaf, Kept(narrow.to(wide), wide.shape))
