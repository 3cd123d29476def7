"""What every exact network is: rows, named channels, the task that it claims, and the construction that made it.

:class:`ExactNetwork` is data and an interface. BaseConv networks (:mod:`constructions.networks.network`) and Transformers
(:mod:`constructions.transformers.exact`) fill it in, so that checks, files and commands need not ask which one they hold.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

import numpy as np

from constructions.algebra.rationals import same_value
from constructions.networks.tasks import Task

if TYPE_CHECKING:
    import torch

    from constructions.algebra.rings import Ring
    from constructions.algebra.types import Array
    from constructions.compiler.decompile import Nested

    Tensors: TypeAlias = torch.Tensor | Mapping[str, torch.Tensor] | Sequence[torch.Tensor]
    Evaluable: TypeAlias = torch.Tensor | np.ndarray | Sequence[object]

RowsKept = Literal["readout", "all"]


@dataclass(frozen=True, eq=False, kw_only=True)
class ExactNetwork(ABC):
    """``n_rows`` rows, named input channels, rational weights, and the task that the network claims to do.

    ``positions`` is the positional embedding ``{(row, channel index): weight}`` that is added to the input.
    ``algorithm`` and ``parameters`` name the construction, which :func:`constructions.rebuild` runs again.
    Two networks are equal when their weights and their claims are.
    """

    n_rows: int
    inputs: tuple[str, ...]
    task: Task
    algorithm: str = "unnamed"
    parameters: dict[str, object] = field(default_factory=dict)
    positions: Mapping[tuple[int, int], Fraction] = field(default_factory=dict)

    @property
    @abstractmethod
    def depth(self) -> int:
        """Number of layers or blocks."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Largest number of channels inside a layer."""

    @property
    @abstractmethod
    def n_nonzero(self) -> int:
        """Number of nonzero weights, positional embedding included."""

    @property
    @abstractmethod
    def outputs(self) -> tuple[str, ...]:
        """Names of the output channels."""

    @abstractmethod
    def weights_key(self) -> Hashable:
        """A value that is equal for two networks exactly when all their weights and names are."""

    # Whatever is no tensor is read as an array: a tensor is an object too, so the types overlap.
    @overload
    def encode(self, __first: Tensors, *values: object, **named: object) -> torch.Tensor: ...  # type: ignore[overload-overlap]

    @overload
    def encode(self, *, A: torch.Tensor, **named: object) -> torch.Tensor: ...  # type: ignore[overload-overlap]

    @overload
    def encode(self, *values: object, **named: object) -> np.ndarray: ...

    def encode(self, *values: object, **named: object) -> Array:
        """The input of the network, shape (..., n_rows, n_channels); see the task of the construction.

        Values by position, by name, or in one dictionary: ``encode(A, b)``, ``encode(A=A, b=b)``, ``encode({"A": A, "b":
        b})``. Raises ``TypeError`` for values that the task does not take.
        """
        only = values[0] if len(values) == 1 and not named else None
        if isinstance(only, Mapping):
            names = inspect.signature(self.task.encode).parameters
            if all(name in names for name in only):
                values, named = (), dict(only)
        try:
            return self.task.encode(*values, **named)
        except TypeError as error:
            signature = inspect.signature(self.task.encode)
            try:
                signature.bind(*values, **named)
            except TypeError as unfit:
                taken = ", ".join(str(parameter).split(":")[0] for parameter in signature.parameters.values())
                got = f"got a dictionary of {', '.join(map(str, only))}" if isinstance(only, Mapping) else str(unfit)
                raise TypeError(f"this network takes encode({taken}): {got}") from error
            raise

    @overload
    def decode(self, output: np.ndarray, **options: object) -> np.ndarray: ...

    @overload  # a tensor of a sliced network is read as an array of exact fractions
    def decode(self, output: torch.Tensor, **options: object) -> Any: ...

    def decode(self, output: np.ndarray | torch.Tensor, **options: object) -> Array:
        """What the network computed, read from its output (all rows, or the read-out rows alone).

        ``options`` are those of the task: ``as_tensor`` of a sliced network. Raises ``ValueError`` for what has another
        shape than the output.
        """
        shape, wanted = getattr(output, "shape", None), len(self.outputs)
        if shape is None or len(shape) < 2 or shape[-1] != wanted:
            got = f"got {type(output).__name__}" if shape is None else f"got shape {tuple(shape)}"
            raise ValueError(
                f"decode takes the output of this network, shape (..., rows, {wanted} channels), {got}"
                + (": is it the input?" if shape is not None and shape[-1:] == (len(self.inputs),) else "")
            )
        return self.task.decode(output, **options)

    @overload
    def evaluate(self, u: torch.Tensor, ring: Ring | None = None) -> torch.Tensor: ...

    @overload
    def evaluate(self, u: np.ndarray | Sequence[object], ring: Ring | None = None) -> np.ndarray: ...

    @abstractmethod
    def evaluate(self, u: Evaluable, ring: Ring | None = None) -> torch.Tensor | np.ndarray:
        """Run the network on ``u`` of shape (..., n_rows, n_channels) over the ring of its entries, or on a tensor.

        Returns all rows, shape (..., n_rows, n_outputs). Raises ``ValueError`` on a wrong shape.
        """

    @abstractmethod
    def to_torch(
        self, dtype: torch.dtype | None = None, device: torch.device | str = "cpu", rows: RowsKept = "readout"
    ) -> torch.nn.Module:
        """Lower to an ``nn.Module`` (float64 unless ``dtype`` says otherwise)."""

    @abstractmethod
    def polynomials(self, max_terms: int = 20_000) -> Nested:
        """What the network computes, as SymPy polynomials (a circuit above ``max_terms``)."""

    @abstractmethod
    def save(self, path: str | Path) -> None:
        """Write the network to a safetensors file, rationals exactly; :func:`constructions.load` reads it back."""

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, ExactNetwork) or hash(self) != hash(other):
            return False
        return (
            (self.algorithm, self.task) == (other.algorithm, other.task)
            and self.positions == other.positions
            and same_value(self.parameters, other.parameters)
            and self.weights_key() == other.weights_key()
        )

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        """Sizes and names alone: weights are compared only where these agree."""
        return hash((type(self), self.n_rows, self.inputs, self.outputs, self.depth, self.width, self.n_nonzero))


def check_input_shape(u: np.ndarray, n_rows: int, n_channels: int) -> None:
    """Raises ``ValueError`` unless ``u`` is (..., n_rows, n_channels)."""
    if u.ndim < 2 or u.shape[-2:] != (n_rows, n_channels):
        raise ValueError(f"the network reads shape (..., {n_rows} rows, {n_channels} channels), got {u.shape}")
