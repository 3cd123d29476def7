"""The task of a compiled circuit over numbers: values of the variables in, values of the expressions out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from constructions.arrays import as_arrays, empty_rows
from constructions.tasks import read_rows


@dataclass(frozen=True)
class Values:
    """One row: channel i holds variable i; the output channels ``columns`` hold the expressions."""

    variables: tuple[str, ...]
    columns: tuple[int, ...]
    n_inputs: int

    @property
    def readout_rows(self) -> tuple[int, ...]:
        return (0,)

    @property
    def exact_rows(self) -> tuple[int, ...]:
        return (0,)

    @property
    def free_channels(self) -> tuple[tuple[int, int], ...]:
        return tuple((0, channel) for channel in range(len(self.variables)))

    def encode(self, values: Any) -> Any:
        """Input (..., 1, n_channels) from the values of the variables, in order.

        ``values`` is a list with one entry a variable (numbers or elements of any ring, or arrays of one batch shape), or an array
        or tensor of shape (..., n_variables). Raises ``ValueError`` for another number of values, and for NaN or infinity.
        """
        array = as_arrays(values=_stack(values, len(self.variables)))["values"]
        if array.ndim < 1 or array.shape[-1] != len(self.variables):
            raise ValueError(
                f"expected values of the {len(self.variables)} variables ({', '.join(self.variables[:8])}"
                f"{', …' if len(self.variables) > 8 else ''}), shape (..., {len(self.variables)}), got shape {tuple(array.shape)}"
            )
        u = empty_rows([array], (*array.shape[:-1], 1, self.n_inputs))
        u[..., 0, : len(self.variables)] = array
        return u

    def decode(self, output: Any) -> Any:
        """The values of the expressions: shape (..., n_expressions)."""
        return read_rows(output, self.readout_rows, 1)[..., 0, list(self.columns)]


def _stack(values: Any, n_variables: int) -> Any:
    """A list with one entry a variable as one array whose last axis runs over the variables; anything else as it is."""
    if not isinstance(values, (list, tuple)):
        return values
    if any(isinstance(value, torch.Tensor) for value in values):
        like = next(value for value in values if isinstance(value, torch.Tensor))
        tensors = [torch.as_tensor(value, dtype=like.dtype, device=like.device) for value in values]
        if len(tensors) != n_variables:
            raise ValueError(f"expected {n_variables} values, one a variable, got {len(tensors)}")
        return torch.stack(torch.broadcast_tensors(*tensors), dim=-1)
    if any(isinstance(value, np.ndarray) for value in values):
        if len(values) != n_variables:
            raise ValueError(f"expected {n_variables} values, one a variable, got {len(values)}")
        return np.stack(np.broadcast_arrays(*values), axis=-1)
    if any(isinstance(value, (list, tuple)) for value in values):
        return values
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        return np.asarray(values, dtype=object if all(isinstance(value, int) for value in values) else float)
    # Polynomials have a length, so NumPy must not look into them.
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
