"""The rings over which a network is evaluated: how a rational weight enters each, and how sums are reduced."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Generic

import flint
import numpy as np
import numpy.typing as npt
from typing_extensions import TypeVar

from constructions.algebra.kinds import is_sympy_type
from constructions.algebra.types import RingElement

if TYPE_CHECKING:
    import sympy

    SYMPY: Ring[sympy.Expr]

E_co = TypeVar("E_co", bound=RingElement, covariant=True, default=RingElement)


def python_number(value: Fraction | int | np.integer) -> Fraction | int:
    """``value``, or the Python integer or fraction equal to it: NumPy integers overflow in silence, inside fractions too."""
    if isinstance(value, np.integer):
        return int(value)
    return python_fraction(value) if type(value) is Fraction else value


def python_fraction(value: Fraction) -> Fraction:
    """The fraction with numerator and denominator as Python integers."""
    if (type(value.numerator), type(value.denominator)) != (int, int):
        return Fraction(int(value.numerator), int(value.denominator))
    return value


class Ring(ABC, Generic[E_co]):
    """A commutative ring of NumPy arrays with entries ``E``; of any kind where none is named."""

    name: str
    dtype: npt.DTypeLike = object

    @abstractmethod
    def element(self, value: Fraction | int) -> E_co:
        """The rational number ``value`` in this ring."""

    @abstractmethod
    def coerce(self, array: np.ndarray) -> np.ndarray:
        """``array`` with every Python number turned into an element of this ring."""

    def elements(self, values: npt.ArrayLike | Sequence[Fraction | int]) -> np.ndarray:
        """An array of rational numbers as an array of ring elements (each distinct value converted once)."""
        array = np.asarray(values, dtype=object)
        numbers = [python_number(value) for value in array.flat]
        # A pair of integers is hashed much faster than the fraction, and what only resembles a fraction by itself.
        keys = [(value.numerator, value.denominator) if type(value) is Fraction else value for value in numbers]
        known = {key: self.element(value) for key, value in dict(zip(keys, numbers, strict=True)).items()}
        # NumPy would take polynomials apart, which are sequences of their terms: only fromiter and fill do not.
        return np.fromiter((known[key] for key in keys), self.dtype, array.size).reshape(array.shape)

    def reduce(self, array: np.ndarray) -> np.ndarray:
        """Bring entries to canonical form (modulo the prime, expanded, …)."""
        return array

    def full(self, shape: tuple[int, ...], value: Fraction | int) -> np.ndarray:
        """An array that holds the rational number ``value`` everywhere."""
        array = np.empty(shape, dtype=self.dtype)
        array.fill(self.element(value))
        return array

    def zeros(self, shape: tuple[int, ...]) -> np.ndarray:
        return self.full(shape, 0)

    def matmul(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """``left @ right`` for arrays of ring elements."""
        return self.reduce(np.matmul(left, right))


class Rationals(Ring[Fraction | int]):
    """Q, with ``int`` and ``Fraction`` entries."""

    name = "Q (int, Fraction)"

    def element(self, value: Fraction | int) -> Fraction | int:
        value = python_fraction(Fraction(value))
        return value.numerator if value.denominator == 1 else value

    def coerce(self, array: np.ndarray) -> np.ndarray:
        return np.fromiter(map(python_number, array.flat), object, array.size).reshape(array.shape)


class ElementRing(Ring[E_co]):
    """A ring given by the Python type of its elements, into which integers and rationals embed."""

    def __init__(
        self, name: str, element: Callable[[Fraction], E_co], types: tuple[type, ...],
        reduce: Callable[[E_co], E_co] | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self._element = element
        self._types = types
        self._reduce = reduce

    def element(self, value: Fraction | int) -> E_co:
        return self._element(python_fraction(Fraction(value)))

    def coerce(self, array: np.ndarray) -> np.ndarray:
        entries = (
            entry if isinstance(entry, self._types)
            else self.element(entry) if isinstance(entry, (int, Fraction))
            else self.element(Fraction(int(entry.p), int(entry.q))) if isinstance(entry, flint.fmpq)
            else self.element(int(entry))
            for entry in array.flat
        )  # fmt: skip
        return np.fromiter(entries, object, array.size).reshape(array.shape)

    def reduce(self, array: np.ndarray) -> np.ndarray:
        return array if self._reduce is None else np.frompyfunc(self._reduce, 1, 1)(array)


class Floats(Ring[np.floating]):
    """NumPy floating point; not exact, and said to be so by its name."""

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self.dtype: np.dtype = np.dtype(dtype)
        self.name = f"floating point ({self.dtype})"

    def element(self, value: Fraction | int) -> np.floating:
        number: np.floating = self.dtype.type(float(value))
        return number

    def coerce(self, array: np.ndarray) -> np.ndarray:
        return array.astype(self.dtype)


class Residues(Ring[int]):
    """Integers modulo a prime below 2^31, vectorised in int64 arrays (products stay below 2^62)."""

    dtype = np.int64

    def __init__(self, prime: int) -> None:
        if not 2 < prime < 2**31 or not flint.fmpz(prime).is_prime():
            raise ValueError(f"residues need an odd prime below 2^31, got {prime}")
        self.prime = prime
        self.name = f"F_{prime}"

    def element(self, value: Fraction | int) -> int:
        value = python_fraction(Fraction(value))
        if value.denominator % self.prime == 0:
            raise ZeroDivisionError(f"the denominator of {value} is divisible by {self.prime}: choose another prime")
        return value.numerator * pow(value.denominator, -1, self.prime) % self.prime

    def coerce(self, array: np.ndarray) -> np.ndarray:
        if array.dtype == object:
            return self.elements(array)
        if array.dtype.kind not in "biu":  # a float would lose its fraction in silence
            raise TypeError(f"residues are those of integers and fractions, got an array of dtype {array.dtype}")
        if array.dtype.kind == "u":  # NumPy would wrap what int64 does not hold
            array = array.astype(np.uint64) % np.uint64(self.prime)
        return array.astype(np.int64) % self.prime

    def reduce(self, array: np.ndarray) -> np.ndarray:
        return array % self.prime

    def matmul(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        # Splitting the left factor into 15 + 16 bits keeps sums of fewer than 2^16 products below 2^63.
        if left.shape[-1] >= 2**16:
            raise ValueError(
                f"sums of {left.shape[-1]} products of residues may overflow: at most {2**16 - 1} are taken"
            )
        high, low = left >> 16, left & 0xFFFF
        result: np.ndarray = ((np.matmul(high, right) % self.prime << 16) + np.matmul(low, right)) % self.prime
        return result


RATIONALS = Rationals()


def _fmpq(value: Fraction) -> flint.fmpq:
    return flint.fmpq(value.numerator, value.denominator)


FMPQ = ElementRing("Q (fmpq)", _fmpq, (flint.fmpq,))


@functools.cache
def _sympy_ring() -> Ring[sympy.Expr]:
    import sympy

    def rational(value: Fraction) -> sympy.Rational:
        return sympy.Rational(value.numerator, value.denominator)

    return ElementRing("SymPy expressions", rational, (sympy.Basic,), sympy.expand)


def __getattr__(name: str) -> object:
    if name == "SYMPY":  # SymPy is imported with its first use
        return _sympy_ring()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def polynomials(context: flint.fmpq_mpoly_ctx) -> Ring[flint.fmpq_mpoly]:
    """The ring of ``fmpq_mpoly`` polynomials of a context."""
    return ElementRing(
        f"Q[{', '.join(context.names()) if context.nvars() <= 8 else f'{context.nvars()} variables'}] (fmpq_mpoly)",
        lambda value: context.constant(_fmpq(value)),
        (flint.fmpq_mpoly,),
    )


def univariate() -> Ring[flint.fmpq_poly]:
    """The ring Q[t] of ``fmpq_poly``."""
    return ElementRing("Q[t] (fmpq_poly)", lambda value: flint.fmpq_poly([_fmpq(value)]), (flint.fmpq_poly,))


def prime_field(modulus: int) -> Ring[flint.nmod]:
    """F_p with ``nmod`` entries (element by element; :class:`Residues` is the vectorised one)."""
    return ElementRing(
        f"F_{modulus} (nmod)",
        lambda value: flint.nmod(value.numerator, modulus) / flint.nmod(value.denominator, modulus),
        (flint.nmod,),
    )


BALLS = ElementRing("Arb balls", lambda value: flint.arb(_fmpq(value)), (flint.arb,))
COMPLEX_BALLS = ElementRing("Arb complex balls", lambda value: flint.acb(flint.arb(_fmpq(value))), (flint.acb,))


def ring_of(array: np.ndarray) -> Ring:
    """The ring of an array's entries; raises ``TypeError`` when it is not one of those listed above."""
    if array.dtype.kind == "f":
        return Floats(array.dtype)
    if array.dtype.kind in "iu":
        return RATIONALS
    if array.dtype != object:
        raise TypeError(f"cannot evaluate over entries of dtype {array.dtype}")
    by_type = {type(entry): entry for entry in array.flat}
    for kind, entry in by_type.items():
        if issubclass(kind, flint.fmpq_mpoly):
            return polynomials(entry.context())
        if issubclass(kind, flint.nmod):
            return prime_field(int(entry.modulus()))
        for types, ring in ((flint.acb, COMPLEX_BALLS), (flint.arb, BALLS)):
            if issubclass(kind, types):
                return ring
        if is_sympy_type(kind):
            return _sympy_ring()
        if issubclass(kind, flint.fmpq_poly):
            return univariate()
        if issubclass(kind, (float, np.floating)):
            return Floats(np.float64)
    if any(issubclass(kind, (flint.fmpq, flint.fmpz)) for kind in by_type):
        return FMPQ
    unknown = [kind.__name__ for kind in by_type if not issubclass(kind, (int, Fraction, np.integer))]
    if unknown:
        raise TypeError(
            f"cannot evaluate over entries of type {', '.join(unknown)}: expected int, Fraction, SymPy expressions, "
            "python-flint fmpq, fmpq_mpoly, fmpq_poly, nmod, arb or acb, or floats"
        )
    return RATIONALS
