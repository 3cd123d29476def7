"""What goes into a sliced network and what is read from it: the task of the original, in digits."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, cast

import numpy as np

from constructions.algebra.kinds import is_tensor
from constructions.algebra.types import Array, ArrayT
from constructions.networks.tasks import Task, read_rows
from constructions.slicing.digits import unit

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class SlicedTask:
    """The task ``original``; channel c of it enters as the digits ``digits[c]``, pairs (bit position, channel).

    Result r is the sum of the output channels ``groups[r]``.
    """

    original: Task
    n_rows: int
    names: tuple[str, ...]
    exponents: tuple[int, ...]
    digits: tuple[tuple[tuple[int, int], ...], ...]
    n_inputs: int
    groups: tuple[tuple[int, ...], ...]

    @property
    def readout_rows(self) -> tuple[int, ...]:
        return self.original.readout_rows

    @property
    def exact_rows(self) -> tuple[int, ...]:
        return self.original.exact_rows

    @property
    def free_channels(self) -> tuple[tuple[int, int], ...]:
        return tuple((row, place) for row, column in self.original.free_channels for _, place in self.digits[column])

    @property
    def columns(self) -> tuple[int, ...]:
        """Output channels that are read, group after group."""
        return tuple(column for group in self.groups for column in group)

    def encode(self, *values: object, **named: object) -> Array:
        """The original's input, each channel cut into digits: exactly, for rationals and floats of any width.

        Raises ``ValueError`` for what the original refuses, and for values beyond the magnitudes that the network was
        sliced for.
        """
        return self.slice(self.original.encode(*values, **named))

    def slice(self, u: ArrayT) -> ArrayT:
        """Digits (..., rows, digit channels) of an input (..., rows, channels) of the original network."""
        out = zeros_like(u, self.n_inputs)
        for channel, digits in enumerate(self.digits):
            if not digits:
                continue
            rest = self._within_range(channel, u[..., channel])
            for index, (position, place) in enumerate(digits):
                if index == len(digits) - 1:
                    out[..., place] = rest
                    break
                digit = nearest(rest, position)
                out[..., place] = digit
                rest = rest - digit
        return out

    def _within_range(self, channel: int, values: ArrayT) -> ArrayT:
        """``values``; ``ValueError`` where one exceeds what the network was sliced for."""
        limit, name = unit(-self.exponents[channel]), self.names[channel]
        message = (
            f"{name} reaches <value>, and the network was sliced for magnitudes up to {float(limit):g}: scale the data, or "
            f"slice with bounds={{{name.partition('[')[0]!r}: …}}"
        )
        if is_tensor(values):
            from constructions.algebra.guards import refuse

            return cast(ArrayT, refuse(values, abs(values), abs(values) > float(limit), message))
        array = np.asarray(values)
        if array.dtype == object:
            numbers = [abs(Fraction(value)) for value in array.flat if isinstance(value, int | Fraction)]
            largest: Fraction | float = max(numbers, default=Fraction(0))
        else:
            largest = float(abs(array).max()) if array.size else 0.0
        if largest > limit:
            raise ValueError(message.replace("<value>", f"{float(largest):.6g}"))
        return values

    def merge(self, u: ArrayT, zeros: ArrayT) -> ArrayT:
        """The original's input, from digits: ``zeros`` (..., rows, channels) with the digits of each channel added up."""
        for channel, digits in enumerate(self.digits):
            for _, place in digits:
                zeros[..., channel] = zeros[..., channel] + u[..., place]
        return zeros

    def results(self, output: np.ndarray) -> np.ndarray:
        """Results (..., n results) from outputs (..., n outputs), over the ring of the entries."""
        sums = [sum(output[..., place] for place in group[1:]) + output[..., group[0]] for group in self.groups]
        return np.stack(sums, -1)

    def decode(self, output: Array, as_tensor: bool = False) -> Array:
        """What the original decodes, from the sums of the digit channels.

        For floats the sums are exact: an object array of ``Fraction``. With ``as_tensor`` a tensor of the input's dtype,
        digits added from the last to the first. Raises ``OverflowError`` where a digit is NaN or infinite.
        """
        if as_tensor:
            import torch

            rows = torch.as_tensor(output)
            sums = torch.stack([sum((rows[..., c] for c in reversed(group[:-1])), rows[..., group[-1]])
                                for group in self.groups], -1)  # fmt: skip
            return self._decode(sums)
        digits = values_of(output) if is_tensor(output) else np.asarray(output)
        if digits.dtype == object:
            return self._decode(self.results(digits))
        if not np.isfinite(digits[..., list(self.columns)]).all():
            raise OverflowError("the output holds NaN or infinite digits: the network overflowed its number format")
        return self._decode(self.results(np.frompyfunc(Fraction, 1, 1)(digits.astype(float).astype(object))))

    def _decode(self, sums: Array) -> Array:
        """What the original decodes from its results, which lie in the order of its columns."""
        rows = read_rows(sums, self.readout_rows, self.n_rows)
        full = zeros_like(rows, max(self.original.columns) + 1)
        full[..., list(self.original.columns)] = rows
        return self.original.decode(full)


def zeros_like(u: ArrayT, n_channels: int) -> ArrayT:
    """Zeros of the library, the dtype and the leading axes of ``u``, with ``n_channels`` along the last axis."""
    shape = (*u.shape[:-1], n_channels)
    zeros = u.new_zeros(shape) if is_tensor(u) else np.full(shape, 0, dtype=np.asarray(u).dtype)
    return cast(ArrayT, zeros)


def values_of(output: torch.Tensor) -> np.ndarray:
    """The floats of a tensor; ``TypeError`` where PyTorch traces or maps, so that there are none yet."""
    import torch

    in_words = (
        "decode of a sliced network gives exact fractions, which exist outside torch.compile, torch.export and torch.vmap "
        "alone: use decode(output, as_tensor=True) inside, or decode what the model returns"
    )
    if torch.compiler.is_compiling():
        raise TypeError(in_words)
    try:
        return output.detach().cpu().double().numpy()
    except RuntimeError as error:
        raise TypeError(in_words) from error


def nearest(values: ArrayT, position: int) -> ArrayT:
    """The nearest multiples of 2^−position, exactly."""
    rounded: object
    if is_tensor(values):
        rounded = (values * 2.0**position).round() * 2.0**-position
    elif np.asarray(values).dtype != object:
        rounded = np.ldexp(np.round(np.ldexp(np.asarray(values), position)), -position)
    else:
        step = unit(position)
        rounded = np.frompyfunc(lambda value: round(Fraction(value) / step) * step, 1, 1)(values)
    return cast(ArrayT, rounded)
