"""What is measured: exact networks, exact Transformers and trained models, each run and enclosed layer by layer.

Every kind says what it computes in its format, what it is over Q, and what it would be over Q with the weights that the format
stores; states are (channels, rows, batch), those after each layer.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from dataclasses import replace
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor, nn

from constructions.algebra.rings import BALLS
from constructions.lowering.maps import as_float_dtype, rounded
from constructions.models.baseconv import BaseConvLayer, BaseConvModel
from constructions.models.transformer import Transformer
from constructions.networks.base import ExactNetwork
from constructions.networks.layer import SparseMap
from constructions.networks.network import Network
from constructions.networks.tasks import Task
from constructions.transformers.blocks import Block, Gated, Head
from constructions.transformers.evaluate import states
from constructions.transformers.exact import ExactTransformer
from precls_theory.precision.convolution import Algorithm, FourierConvolution, with_convolution
from precls_theory.precision.exact import layer_values, to_ring
from precls_theory.precision.stored import lowered_states, stored_values
from precls_theory.precision.trained import Trained, computed_states, trained_states


class Subject(ABC):
    """Something to measure in one format on one device."""

    task: Task | None = None
    names: tuple[str, ...]
    """Names of the results."""

    @abstractmethod
    def computed(self, u: Tensor, convolution: Algorithm = "lowered") -> list[np.ndarray]:
        """The states of a run, as float64."""

    @abstractmethod
    def exact(self, u: np.ndarray) -> list[np.ndarray]:
        """The states over Q, as balls, for u (batch, rows, channels)."""

    @abstractmethod
    def stored(self, u: np.ndarray) -> list[np.ndarray] | None:
        """The same with the weights as the format stores them; None where these are the exact ones."""

    @abstractmethod
    def results(self, last: np.ndarray) -> np.ndarray:
        """(batch, rows read, results) from the last state."""


class BaseConvSubject(Subject):
    """An exact BaseConv network: only the rows that later layers read."""

    def __init__(self, network: Network, dtype: torch.dtype, device: str) -> None:
        self.network, self.dtype, self.device, self.task = network, dtype, device, network.task
        self.kept = network.task.readout_rows
        self.names = tuple(network.outputs[column] for column in network.task.columns)

    def computed(self, u: Tensor, convolution: Algorithm = "lowered") -> list[np.ndarray]:
        module = self.network.to_torch(dtype=self.dtype, device=self.device)
        return lowered_states(self.network, with_convolution(self.network, module, convolution), u.to(self.device))

    def exact(self, u: np.ndarray) -> list[np.ndarray]:
        return layer_values(self.network, to_ring(u, BALLS), self.kept, BALLS)

    def stored(self, u: np.ndarray) -> list[np.ndarray] | None:
        return stored_values(self.network, u, self.kept, self.dtype)

    def results(self, last: np.ndarray) -> np.ndarray:
        return np.moveaxis(last[list(self.network.task.columns)], (0, 1), (2, 1))


class TransformerSubject(Subject):
    """An exact Transformer: all channels at all rows after each block."""

    def __init__(self, network: ExactTransformer, dtype: torch.dtype, device: str) -> None:
        self.network, self.dtype, self.device, self.task = network, dtype, device, network.task
        self.names = tuple(network.outputs[column] for column in network.task.columns)
        self.rounded = rounded_transformer(network, dtype)

    def computed(self, u: Tensor, convolution: Algorithm = "lowered") -> list[np.ndarray]:
        if convolution != "lowered":
            raise ValueError(f"a Transformer has no convolutions to run by {convolution!r}")
        module = self.network.to_torch(dtype=self.dtype, device=self.device, rows="all")
        with torch.no_grad():
            found = list(computed_states(module, u.to(self.device)))[: self.network.depth]
        return [_by_channel(state) for state in found]

    def exact(self, u: np.ndarray) -> list[np.ndarray]:
        return list(states(self.network, to_ring(u, BALLS), BALLS))[1:]

    def stored(self, u: np.ndarray) -> list[np.ndarray] | None:
        return list(states(self.rounded, to_ring(u, BALLS), BALLS))[1:]

    def results(self, last: np.ndarray) -> np.ndarray:
        places = [self.network.reads[column] for column in self.network.task.columns]
        return np.moveaxis(last[places][:, list(self.network.task.readout_rows)], (0, 1), (2, 1))


class TrainedSubject(Subject):
    """A trained model, in evaluation mode: weights are the floats that it holds, cast where it is run in another format."""

    def __init__(self, model: Trained, dtype: torch.dtype, device: str) -> None:
        self.model, self.dtype, self.device = model, as_float_dtype(dtype), device
        self.run = copy.deepcopy(model).to(dtype=dtype).eval()
        pairs = zip(model.parameters(), self.run.parameters(), strict=True)
        self.same = all(torch.equal(own.double(), cast.double()) for own, cast in pairs)
        last = model.layers[-1].out_proj if isinstance(model, BaseConvModel) else model.unembed
        assert isinstance(last, nn.Linear)
        self.names = tuple(f"y[{place}]" for place in range(last.out_features))

    def computed(self, u: Tensor, convolution: Algorithm = "lowered") -> list[np.ndarray]:
        module = copy.deepcopy(self.run)
        if convolution == "fft" and isinstance(module, BaseConvModel):
            for layer in module.layers:
                assert isinstance(layer, BaseConvLayer)
                layer.convolution = FourierConvolution(module.n_rows, module.mode)  # type: ignore[assignment]
        elif convolution != "lowered":
            raise ValueError(
                f"this model has no filters that run by {convolution!r}: BaseConv models sum directly, or by fft"
            )
        with torch.no_grad():
            return [_by_channel(state) for state in computed_states(module.to(self.device), u.to(self.device))]

    def exact(self, u: np.ndarray) -> list[np.ndarray]:
        return [_channels_first(state) for state in trained_states(self.model, to_ring(u, BALLS))]

    def stored(self, u: np.ndarray) -> list[np.ndarray] | None:
        if self.same:
            return None
        return [_channels_first(state) for state in trained_states(self.run, to_ring(u, BALLS))]

    def results(self, last: np.ndarray) -> np.ndarray:
        return np.moveaxis(last, (0, 1), (2, 1))


def _channels_first(state: np.ndarray) -> np.ndarray:
    return np.moveaxis(state, (2, 1), (0, 1))


def _by_channel(state: Tensor) -> np.ndarray:
    return _channels_first(state.double().cpu().numpy())


def rounded_transformer(network: ExactTransformer, dtype: torch.dtype) -> ExactTransformer:
    """The Transformer with every weight as the format stores it, a rational again."""

    def cut(sparse: SparseMap) -> SparseMap:
        if not len(sparse.weights):
            return sparse
        weights = np.empty(len(sparse.weights), dtype=object)
        weights[:] = [Fraction(value) for value in rounded(sparse.weights, dtype).double().tolist()]
        return replace(sparse, weights=weights)

    def maps(part: Head | Gated) -> dict[str, SparseMap]:
        return {name: cut(sparse) for name, sparse in part.maps().items()}

    blocks = tuple(
        Block(
            tuple(replace(head, **maps(head)) for head in block.heads),  # type: ignore[arg-type]
            None if block.mlp is None else replace(block.mlp, **maps(block.mlp)),  # type: ignore[arg-type]
        )
        for block in network.blocks
    )
    positions = {
        place: Fraction(float(rounded([weight], dtype)[0].double())) for place, weight in network.positions.items()
    }
    return replace(network, blocks=blocks, positions=positions)


def subject_of(network: ExactNetwork | nn.Module, dtype: torch.dtype, device: str, u: Tensor) -> Subject:
    """The subject for a network or model; ``TypeError`` for any other, ``ValueError`` where ``u`` does not fit it."""
    shape: tuple[int, int] | None = None
    found: Subject
    if isinstance(network, Network):
        found, shape = BaseConvSubject(network, dtype, device), (network.n_rows, len(network.inputs))
    elif isinstance(network, ExactTransformer):
        found, shape = TransformerSubject(network, dtype, device), (network.n_rows, network.n_inputs)
    elif isinstance(network, BaseConvModel):
        found, shape = TrainedSubject(network, dtype, device), (network.n_rows, network.positions.shape[1])
    elif isinstance(network, Transformer):
        found, shape = TrainedSubject(network, dtype, device), (u.shape[1], network.embed.in_features)
    else:
        raise TypeError(
            "measured are exact networks, and trained models of the kinds BaseConvModel and Transformer "
            f"(constructions.models), got {type(network).__name__}"
        )
    if u.shape[1:] != shape:
        raise ValueError(f"u must have shape (batch, {shape[0]}, {shape[1]}), got {tuple(u.shape)}")
    return found
