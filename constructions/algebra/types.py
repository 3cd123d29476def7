"""What values are, in signatures: elements of a ring, arrays of NumPy or PyTorch, and what JSON holds.

Nothing here is a base class. A number of any library (``int``, ``Fraction``, ``fmpq``, ``fmpq_mpoly``, ``nmod``, ``arb``, a SymPy
expression, a wire of a circuit) is a :class:`RingElement` because it can be added, multiplied and negated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import EllipsisType
from typing import Protocol, Self, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt


class RingElement(Protocol):
    """An element of a commutative ring."""

    def __add__(self, other: Self, /) -> Self: ...

    def __sub__(self, other: Self, /) -> Self: ...

    def __mul__(self, other: Self, /) -> Self: ...

    def __neg__(self) -> Self: ...


Elements = npt.NDArray[np.object_]
"""An array of ring elements, one Python object an entry."""

Place: TypeAlias = int | slice | list[int] | EllipsisType | None
Index: TypeAlias = Place | tuple[Place, ...]
"""What encoders and decoders select with: places, ranges and lists of places along named axes."""


class Array(Protocol):
    """What encoding and decoding need of an array, of NumPy or of PyTorch."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def ndim(self) -> int: ...

    def __getitem__(self, index: Index, /) -> Self: ...

    def __setitem__(self, index: Index, value: Self, /) -> None: ...

    def __add__(self, other: Self, /) -> Self: ...

    def __sub__(self, other: Self, /) -> Self: ...


ArrayT = TypeVar("ArrayT", bound=Array)
"""An array of one of the two libraries: what goes in comes out."""

JSON: TypeAlias = bool | int | float | str | Sequence["JSON"] | Mapping[str, "JSON"] | None
"""What a JSON document holds."""
JSONObject = dict[str, JSON]
