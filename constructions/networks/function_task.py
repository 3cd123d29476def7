"""The task of a network that computes functions of a few variables at one row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from numbers import Real
from typing import TYPE_CHECKING

import flint
import numpy as np

from constructions.algebra.arrays import as_arrays
from constructions.algebra.kinds import is_tensor
from constructions.algebra.rings import FMPQ
from constructions.algebra.types import Array, ArrayT
from constructions.networks.tasks import read_rows

if TYPE_CHECKING:
    import torch

Domain = tuple[tuple[Fraction, Fraction], ...]
_SLACK = Fraction(1, 10**6)
"""How far outside its interval a rounded input may lie, as a fraction of the interval's length."""


@dataclass(frozen=True)
class FunctionTask:
    """Functions of ``variables`` at a single row; inputs are kept to ``domain`` where there is one.

    ``degree`` is the largest degree in one variable, ``error_bound`` the proven distance from what is approximated
    (0 where the network computes the functions themselves).
    """

    variables: tuple[str, ...]
    columns: tuple[int, ...]
    domain: Domain | None = None
    degree: int | None = None
    error_bound: Fraction = Fraction(0)

    @property
    def readout_rows(self) -> tuple[int, ...]:
        return (0,)

    @property
    def exact_rows(self) -> tuple[int, ...]:
        return (0,)

    @property
    def free_channels(self) -> tuple[tuple[int, int], ...]:
        return tuple((0, index) for index in range(len(self.variables)))

    def encode(self, values: object) -> Array:
        """Input (..., 1, n_variables) from one value a variable, in a list or a dictionary, or from an array (..., n_variables).

        A value may be a number, a ring element, an array or a tensor (one shape for all). Raises ``ValueError`` on a
        wrong shape, on NaN and infinities, and on numbers outside the domain on which the network is proved.
        """
        if isinstance(values, Mapping):
            given = {str(name): value for name, value in values.items()}
            if sorted(given) != sorted(self.variables):
                wanted, got = ", ".join(self.variables) or "no variables", ", ".join(given) or "none"
                raise ValueError(f"expected a value for each of {wanted}, got {got}")
            values = [given[name] for name in self.variables]
        array = as_arrays(values=_stack(values, len(self.variables)))["values"]
        if array.ndim < 1 or array.shape[-1] != len(self.variables):
            raise ValueError(
                f"expected {len(self.variables)} values ({', '.join(self.variables)}) along the last axis, "
                f"got shape {tuple(array.shape)}"
            )
        if self.domain is not None:
            array = self._within_domain(array)
        return array[..., None, :]

    def decode(self, output: ArrayT) -> ArrayT:
        """The values of the functions: shape (..., n_functions)."""
        return read_rows(output, self.readout_rows, 1)[..., 0, list(self.columns)]

    def _within_domain(self, array: Array) -> Array:
        """``array``; ``ValueError`` where a number of it lies outside the domain."""
        for index, (name, (low, high)) in enumerate(zip(self.variables, self.domain or (), strict=True)):
            message = (
                f"{name} = <value> lies outside [{low}, {high}], where the network is proved: "
                "give values in the domain, or build a network for a wider one"
            )
            if is_tensor(array):
                from constructions.algebra.guards import refuse

                values = array[..., index]
                least, most = _rounded_outwards(low, high, _torch_epsilon(values.dtype))
                array = refuse(array, values, (values < least) | (values > most), message)
                continue
            numbers = np.asarray(array[..., index])
            if numbers.dtype == object:
                slack = (high - low) * _SLACK
                wrong = [value for value in numbers.flat if _is_outside(value, low - slack, high + slack)]
            else:
                least, most = _rounded_outwards(low, high, float(np.finfo(numbers.dtype).eps))
                wrong = [float(value) for value in numbers[(numbers < least) | (numbers > most)].flat]
            if wrong:
                raise ValueError(message.replace("<value>", str(wrong[0])))
        return array


def _rounded_outwards(low: Fraction, high: Fraction, epsilon: float) -> tuple[float, float]:
    """The ends of an interval with its slack: they may be rounded by more than that where the interval is far from 0."""
    around = max(float((high - low) * _SLACK), epsilon * max(abs(float(low)), abs(float(high))))
    return float(low) - around, float(high) + around


def _is_outside(value: object, low: Fraction, high: Fraction) -> bool:
    """Whether a number of any library is certainly not in the interval; what is no number never is."""
    if isinstance(value, flint.fmpz | flint.fmpq | flint.arb):
        return bool(value < FMPQ.element(low)) or bool(value > FMPQ.element(high))
    return isinstance(value, Real) and not low <= value <= high


def _torch_epsilon(dtype: torch.dtype) -> float:
    """The distance from 1 to the next number of this dtype."""
    import torch

    return torch.finfo(dtype).eps


def _stack(values: object, count: int) -> object:
    """A list of one value a variable as one array with the variables along the last axis."""
    if not isinstance(values, Sequence):
        return values
    if any(is_tensor(value) for value in values) and len(values) == count:
        import torch

        like = next(value for value in values if is_tensor(value))
        tensors = [torch.as_tensor(value, dtype=like.dtype, device=like.device) for value in values]
        return torch.stack(torch.broadcast_tensors(*tensors), dim=-1)
    if any(isinstance(value, np.ndarray) and value.ndim for value in values) and len(values) == count:
        return np.stack(np.broadcast_arrays(*values), axis=-1)
    if any(isinstance(value, list | tuple | float | np.generic) for value in values):
        return np.asarray(values)
    # ring elements one by one: some of them are iterable, and NumPy would take them apart
    array = np.empty(len(values), dtype=object)
    for index, value in enumerate(values):
        array[index] = value
    return array
