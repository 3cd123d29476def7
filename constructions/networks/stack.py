"""What a BaseConv network is: layers, one after the other, each with the same mode of convolution."""

from __future__ import annotations

from abc import ABC
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from constructions.networks.base import ExactNetwork
from constructions.networks.layer import Layer, Mode, layer_key


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerStack(ExactNetwork, ABC):
    """Layers over named channels; the methods that run them are those of :class:`constructions.Network`.

    A network made for one number format (:func:`constructions.sliced`) says its ``precision`` in bits, and in ``limits``,
    layer by layer, the largest magnitude of each output (or None): a float run that leaves them is refused.
    """

    mode: Mode
    layers: tuple[Layer, ...]
    limits: tuple[np.ndarray | None, ...] = ()
    precision: int | None = None

    @property
    def depth(self) -> int:
        """Number of layers."""
        return len(self.layers)

    @property
    def width(self) -> int:
        """Largest number of hidden channels in a layer."""
        return max(layer.width for layer in self.layers)

    @property
    def n_nonzero(self) -> int:
        """Number of nonzero weights, positional embedding included."""
        return len(self.positions) + sum(layer.n_nonzero for layer in self.layers)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the output channels."""
        return self.layers[-1].outputs

    def weights_key(self) -> Hashable:
        """The mode and every layer; a layer that is repeated is looked at once."""
        keys = {id(layer): layer_key(layer) for layer in self.layers}
        place = {key: index for index, key in enumerate(dict.fromkeys(keys.values()))}
        return self.mode, self.inputs, tuple(place), tuple(place[keys[id(layer)]] for layer in self.layers)
