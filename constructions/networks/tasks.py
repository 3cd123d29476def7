"""What goes into a network and what is read from it: encoders, decoders, and the rows that are exact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from constructions.algebra.arrays import as_arrays, batch_shape, column_vector, empty_rows
from constructions.algebra.types import Array, ArrayT

LayoutName = Literal["A", "E", "S"]
LAYOUTS: tuple[LayoutName, ...] = ("A", "E", "S")
RegressionLayout = Literal["A", "E", "S", "separate"]


class Task(Protocol):
    """Encoder and decoder of a construction."""

    @property
    def readout_rows(self) -> tuple[int, ...]:
        """Rows that :meth:`decode` reads."""

    @property
    def exact_rows(self) -> tuple[int, ...]:
        """Rows at which the construction claims its output, for checking."""

    @property
    def free_channels(self) -> tuple[tuple[int, int], ...]:
        """Entries (row, channel) of the input that :meth:`encode` fills with data; all others are zero."""

    @property
    def columns(self) -> tuple[int, ...]:
        """Output channels that carry the result, in the order of :meth:`decode`."""

    @property
    def encode(self) -> Callable[..., Array]:
        """Input (..., n_rows, n_channels) from the values that the task takes."""

    @property
    def decode(self) -> Callable[..., Array]:
        """The result, from an output (..., rows, n_outputs)."""


def read_rows(output: ArrayT, rows: tuple[int, ...], n_rows: int) -> ArrayT:
    """The rows ``rows`` of an output that holds all rows, or of one that holds just these."""
    held = output.shape[-2]
    if held == n_rows:
        return output[..., list(rows), :]
    if held == len(rows):
        return output
    raise ValueError(f"expected an output with {n_rows} rows, or with the {len(rows)} read-out rows, got {held}")


@dataclass(frozen=True)
class Regression:
    """Least squares ``min ‖A x − b‖``: rows ``a_n``, targets ``b_n``, a starting point ``x_init``.

    Layout A: N rows ``[a_n, b_n, x]`` with x_init in row 0 of channels of its own. Layout E (``multistep_gd``): N+1
    rows, ``[a_n, b_n]`` and ``[x_init, 0]`` last. Layout S (``explicit_gradient``): N+1 rows, ``[x_init, 0]`` first.
    Layout "separate" (linear attention): N+1 rows, ``[a_n, b_n, 0]`` and ``[0, 0, x_init]`` last.
    ``prefix_rows`` says that row n holds the answer to the problem of the data rows up to and including it, and
    ``last_row`` that only the last row holds an answer at all.
    """

    n_points: int
    n_dims: int
    layout: RegressionLayout
    columns: tuple[int, ...]
    n_inputs: int
    takes_start: bool = True
    prefix_rows: bool = True
    last_row: bool = False

    @property
    def n_rows(self) -> int:
        return self.n_points + (self.layout != "A")

    @property
    def readout_rows(self) -> tuple[int, ...]:
        return (self.n_rows - 1,)

    @property
    def exact_rows(self) -> tuple[int, ...]:
        everywhere = not self.last_row and (self.layout in ("A", "S") or not self.prefix_rows)
        return tuple(range(self.n_rows)) if everywhere else self.readout_rows

    @property
    def first_row(self) -> int:
        """Row of the first data point."""
        return 1 if self.layout == "S" else 0

    @property
    def start_slice(self) -> tuple[int, slice]:
        """Row and channels that hold x_init."""
        row = self.n_points if self.layout in ("E", "separate") else 0
        own = self.layout in ("A", "separate")
        return row, slice(self.n_dims + 1, 2 * self.n_dims + 1) if own else slice(self.n_dims)

    @property
    def free_channels(self) -> tuple[tuple[int, int], ...]:
        data = [(self.first_row + n, d) for n in range(self.n_points) for d in range(self.n_dims + 1)]
        row, start = self.start_slice
        return (*data, *((row, d) for d in range(start.start or 0, start.stop) if self.takes_start))

    def points_seen(self, row: int) -> int:
        """Number of data points whose least-squares problem row ``row`` answers."""
        return min(row + 1 - self.first_row, self.n_points) if self.prefix_rows else self.n_points

    def encode(self, A: object, b: object, x_init: object = None) -> Array:
        """Input of shape (..., n_rows, n_channels) from ``A`` (..., N, D), ``b`` (..., N), ``x_init`` (..., D).

        Any ring, any float, with or without leading batch dimensions; ``x_init`` is zero when left out.
        Raises ``ValueError`` on a wrong shape and on NaN or infinite entries.
        """
        if x_init is not None and not self.takes_start:
            raise ValueError("this network starts from zero: it takes A and b, and no x_init")
        given = {"A": A, "b": column_vector(b)} | ({} if x_init is None else {"x_init": column_vector(x_init)})
        arrays = as_arrays(**given)
        expected = {"A": (self.n_points, self.n_dims), "b": (self.n_points,), "x_init": (self.n_dims,)}
        for name, array in arrays.items():
            shape = expected[name]
            if tuple(array.shape[array.ndim - len(shape) :]) != shape or array.ndim < len(shape):
                raise ValueError(
                    f"{name} must have shape (..., {', '.join(map(str, shape))}), got {tuple(array.shape)}"
                )
        batch = batch_shape(**{name: arr.shape[: arr.ndim - len(expected[name])] for name, arr in arrays.items()})
        u = empty_rows(list(arrays.values()), (*batch, self.n_rows, self.n_inputs))
        rows = slice(self.first_row, self.first_row + self.n_points)
        u[..., rows, : self.n_dims] = arrays["A"]
        u[..., rows, self.n_dims] = arrays["b"]
        if x_init is not None:
            row, start = self.start_slice
            u[..., row, start] = arrays["x_init"]
        return u

    def decode(self, output: ArrayT) -> ArrayT:
        """The iterate at the read-out row: shape (..., D)."""
        return read_rows(output, self.readout_rows, self.n_rows)[..., 0, list(self.columns)]


@dataclass(frozen=True)
class Sequence:
    """A sequence of ``n_rows`` rows and ``n_channels`` channels in, all rows out (the primitives)."""

    n_rows: int
    n_channels: int
    columns: tuple[int, ...]
    n_inputs: int

    @property
    def readout_rows(self) -> tuple[int, ...]:
        return tuple(range(self.n_rows))

    @property
    def exact_rows(self) -> tuple[int, ...]:
        return self.readout_rows

    @property
    def free_channels(self) -> tuple[tuple[int, int], ...]:
        return tuple(np.ndindex(self.n_rows, self.n_channels))

    def encode(self, u: object) -> Array:
        """Input from ``u`` of shape (..., n_rows, n_channels); positional channels are appended as zeros."""
        array = as_arrays(u=u)["u"]
        if array.ndim < 2 or tuple(array.shape[-2:]) != (self.n_rows, self.n_channels):
            raise ValueError(f"u must have shape (..., {self.n_rows}, {self.n_channels}), got {tuple(array.shape)}")
        padded = empty_rows([array], (*array.shape[:-1], self.n_inputs))
        padded[..., : self.n_channels] = array
        return padded

    def decode(self, output: ArrayT) -> ArrayT:
        """The output sequence: shape (..., n_rows, n_channels out)."""
        return read_rows(output, self.readout_rows, self.n_rows)[..., list(self.columns)]


@dataclass(frozen=True)
class IterateByRow:
    """A regression whose rows ``[a_n, b_n, x_n]`` each hold their own iterate; read at the last row."""

    n_points: int
    n_dims: int
    columns: tuple[int, ...]
    n_inputs: int

    @property
    def readout_rows(self) -> tuple[int, ...]:
        return (self.n_points - 1,)

    @property
    def exact_rows(self) -> tuple[int, ...]:
        return tuple(range(self.n_points))

    @property
    def free_channels(self) -> tuple[tuple[int, int], ...]:
        return tuple(np.ndindex(self.n_points, self.n_inputs))

    def encode(self, A: object, b: object, x_init: object = None) -> Array:
        """Rows ``[a_n, b_n, x_init]``, shape (..., N, 2D + 1); shapes and errors as :meth:`Regression.encode`."""
        regression = Regression(self.n_points, self.n_dims, "A", self.columns, self.n_inputs)
        u = regression.encode(A, b, x_init)
        u[..., self.n_dims + 1 :] = u[..., :1, self.n_dims + 1 :]
        return u

    def decode(self, output: ArrayT) -> ArrayT:
        """The iterate at the last row: shape (..., D)."""
        return read_rows(output, self.readout_rows, self.n_points)[..., 0, list(self.columns)]
