"""Parameters as symbols through the builder: a step size is η, not 1/10, when the network is built and when it is proved.

:class:`Parameter` is a rational function of symbols that is a :class:`fractions.Fraction` by type, so a construction
that computes its weights from rationals by ``+ − × ÷`` computes them from symbols just as well. What comes out is the
network that the *builder* makes for the symbol, with weights in Q(η), and the same checks prove it with η one more
variable::

    eta = Symbols(eta="1/10")
    network = eta.build(gradient_descent, n_points=3, n_dims=2, n_steps=4, step_size=eta["eta"])
    prove_doubling(network, eta.variables)

A construction with a hard-coded step size is refused, for its weights hold no η. *What it proves:* the claim for every
value of the symbols for which the builder does what it did for the symbols, that is, where no weight vanishes and no two
weights or forms coincide that are different as functions: all but finitely many values of one symbol, all but those on
finitely many hypersurfaces of more. Comparisons (``0 < l < u``) are answered at the sample value given for each symbol,
and recorded in :attr:`Symbols.assumed`. :meth:`Symbols.special_values` lists the values of a single symbol at which the
weights seen vanish or coincide, so that a check can run the networks there too.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import replace
from fractions import Fraction
from typing import NoReturn

import flint
import numpy as np

from constructions.algebra.rings import ElementRing
from constructions.networks.network import Network
from precls_theory.proofs.symbolic import Variables, array_of, variable_names


class Quotient:
    """``numer/denom`` of two polynomials of one context, in lowest terms when made by :meth:`of`."""

    __slots__ = ("denom", "numer")

    def __init__(self, numer: flint.fmpq_mpoly, denom: flint.fmpq_mpoly) -> None:
        self.numer, self.denom = numer, denom

    @classmethod
    def of(cls, numer: flint.fmpq_mpoly, denom: flint.fmpq_mpoly) -> Quotient:
        """In lowest terms, the denominator with leading coefficient 1; raises ``ZeroDivisionError``."""
        if denom == 0:
            raise ZeroDivisionError("a rational function divided by zero")
        if not denom.is_constant():
            common = numer.gcd(denom)
            numer, denom = numer / common, denom / common
        lead = denom.leading_coefficient()
        return cls(numer / lead, denom / lead) if lead != 1 else cls(numer, denom)

    def __add__(self, other: Quotient) -> Quotient:
        if self.denom == other.denom:
            return Quotient.of(self.numer + other.numer, self.denom)
        return Quotient.of(self.numer * other.denom + other.numer * self.denom, self.denom * other.denom)

    def __neg__(self) -> Quotient:
        return Quotient(-self.numer, self.denom)

    def __sub__(self, other: Quotient) -> Quotient:
        return self + (-other)

    def __mul__(self, other: Quotient) -> Quotient:
        return Quotient.of(self.numer * other.numer, self.denom * other.denom)

    def __truediv__(self, other: Quotient) -> Quotient:
        return Quotient.of(self.numer * other.denom, self.denom * other.numer)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quotient) and (self.numer, self.denom) == (other.numer, other.denom)

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return str(self.numer) if self.denom == 1 else f"({self.numer})/({self.denom})"

    __repr__ = __str__


def polynomial_is_constant(polynomial: flint.fmpq_mpoly) -> bool:
    return all(not any(powers) for powers in polynomial.monoms())


class Parameter(Fraction):
    """A rational function of the symbols of ``home`` that is not a constant; constants come out as fractions.

    It has no numerator: code that takes it apart would lose the symbol, and gets a ``TypeError``.
    """

    __slots__ = ("_text", "home", "value")

    home: Symbols
    value: Quotient
    _text: str | None

    def __new__(cls, home: Symbols, value: Quotient) -> Parameter:
        self = object.__new__(cls)
        self.home, self.value, self._text = home, value, None
        return self

    @property
    def numerator(self) -> int:
        raise TypeError(f"the symbolic parameter {self} has no numerator: it must stay a rational function")

    denominator = numerator

    def _with(self, other: object, operation: Callable[[Quotient, Quotient], Quotient]) -> Fraction:
        right = self.home.quotient(other)
        return NotImplemented if right is None else self.home.number(operation(self.value, right))

    def __add__(self, other: object) -> Fraction:  # type: ignore[override]
        return self._with(other, lambda x, y: x + y)

    __radd__ = __add__  # type: ignore[assignment]

    def __sub__(self, other: object) -> Fraction:  # type: ignore[override]
        return self._with(other, lambda x, y: x - y)

    def __rsub__(self, other: object) -> Fraction:  # type: ignore[override]
        return self._with(other, lambda x, y: y - x)

    def __mul__(self, other: object) -> Fraction:  # type: ignore[override]
        return self._with(other, lambda x, y: x * y)

    __rmul__ = __mul__  # type: ignore[assignment]

    def __truediv__(self, other: object) -> Fraction:  # type: ignore[override]
        return self._with(other, lambda x, y: Quotient.of(x.numer * y.denom, x.denom * y.numer))

    def __rtruediv__(self, other: object) -> Fraction:  # type: ignore[override]
        return self._with(other, lambda x, y: Quotient.of(y.numer * x.denom, y.denom * x.numer))

    def __pow__(self, exponent: int) -> Fraction:  # type: ignore[override]
        result = Fraction(1)
        for _ in range(abs(exponent)):
            result = result * self
        return result if exponent >= 0 else 1 / result

    def __neg__(self) -> Parameter:
        return Parameter(self.home, -self.value)

    def __abs__(self) -> Parameter:
        return -self if self < 0 else self

    def __bool__(self) -> bool:
        return True  # constants, zero among them, are fractions

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Parameter) and self.value == other.value

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(str(self))

    def _compared(self, other: object) -> Fraction:
        """The value at the samples of ``self − other``; the sign is recorded as assumed."""
        difference = self - other
        at_sample = difference.at(self.home.samples) if isinstance(difference, Parameter) else Fraction(difference)
        if isinstance(difference, Parameter):
            self.home.assumed.add(f"{difference} {'>' if at_sample > 0 else '<' if at_sample < 0 else '='} 0")
        return at_sample

    def __lt__(self, other: object) -> bool:
        return self._compared(other) < 0

    def __le__(self, other: object) -> bool:
        return self._compared(other) <= 0

    def __gt__(self, other: object) -> bool:
        return self._compared(other) > 0

    def __ge__(self, other: object) -> bool:
        return self._compared(other) >= 0

    def at(self, values: dict[str, Fraction]) -> Fraction:
        """The value at rational values of the symbols."""
        point = [flint.fmpq(values[name].numerator, values[name].denominator) for name in self.home.samples]
        numer, denom = (part(*point) for part in (self.value.numer, self.value.denom))
        ratio = numer / denom
        return Fraction(int(ratio.p), int(ratio.q))

    def __str__(self) -> str:
        if self._text is None:
            self._text = str(self.value)
        return self._text

    def __repr__(self) -> str:
        return f"Parameter({self})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"the symbolic parameter {self} cannot be saved")

    def __copy__(self) -> Parameter:
        return self

    def __deepcopy__(self, memo: object) -> Parameter:
        return self


class Symbols:
    """Independent symbols by name, each with a sample value at which comparisons are answered."""

    def __init__(self, **samples: Fraction | int | str) -> None:
        self.samples = {name: Fraction(value) for name, value in samples.items()}
        self.context = flint.fmpq_mpoly_ctx.get(list(samples), "degrevlex")
        self.one = self.context.constant(1)
        self.assumed: set[str] = set()

    def __getitem__(self, name: str) -> Parameter:
        generator = self.context.gens()[list(self.samples).index(name)]
        return Parameter(self, Quotient(generator, self.one))

    def quotient(self, value: object) -> Quotient | None:
        """A rational number or a rational function of these symbols as a quotient; None for anything else."""
        if isinstance(value, Parameter):
            if value.home is not self:
                raise ValueError("parameters of two families of symbols cannot be combined")
            return value.value
        if isinstance(value, (int, Fraction)):
            rational = flint.fmpq(int(value.numerator), int(value.denominator))
            return Quotient(self.context.constant(rational), self.one)
        return None

    def number(self, value: Quotient) -> Fraction:
        """The quotient as a parameter, or as a fraction when it is constant."""
        if polynomial_is_constant(value.numer) and polynomial_is_constant(value.denom):
            if value.numer == 0:
                return Fraction(0)
            ratio = value.numer.leading_coefficient() / value.denom.leading_coefficient()
            return Fraction(int(ratio.p), int(ratio.q))
        return Parameter(self, value)

    def build(self, construct: Callable[..., Network], **parameters: object) -> Network:
        """The network that ``construct`` makes of these parameters, which it then claims as they are, symbols included."""
        network = construct(**parameters)
        return replace(network, parameters=network.parameters | parameters)

    def variables(self, **shapes: tuple[int, ...]) -> Variables:
        """Independent variables over Q(symbols): a :data:`precls_theory.proofs.symbolic.MakeVariables`."""
        names = variable_names(shapes)
        flat = [*self.samples, *(name for family in names.values() for name in family)]
        context = flint.fmpq_mpoly_ctx.get(flat, "degrevlex")
        one, padding = context.constant(1), (0,) * (len(flat) - len(self.samples))

        def lift(polynomial: flint.fmpq_mpoly) -> flint.fmpq_mpoly:
            return context.from_dict({(*powers, *padding): weight for powers, weight in polynomial.to_dict().items()})

        def element(value: Fraction) -> Quotient:
            if isinstance(value, Parameter):
                return Quotient(lift(value.value.numer), lift(value.value.denom))
            return Quotient(context.constant(flint.fmpq(int(value.numerator), int(value.denominator))), one)

        ring = SymbolicParameters(f"Q({', '.join(self.samples)})[variables]", element, (Quotient,))
        generators = iter(context.gens()[len(self.samples) :])
        families = {
            family: array_of([Quotient(next(generators), one) for _ in names[family]], shape)
            for family, shape in shapes.items()
        }
        return Variables(ring, "python-flint", families)

    def special_values(self, networks: Iterable[Network]) -> list[Fraction]:
        """Rational values of the only symbol at which a weight of these networks vanishes, or two of them coincide."""
        if len(self.samples) != 1:
            raise ValueError(f"special values are those of a single symbol, got {', '.join(self.samples)}")
        weights = {weight for network in networks for weight in all_weights(network)}
        numbers = [Fraction(0), Fraction(1), *weights]
        found: set[Fraction] = set()
        for left, right in itertools.combinations(numbers, 2):
            for difference in (left - right, left + right):
                if isinstance(difference, Parameter):
                    found |= rational_roots(difference.value.numer)
        poles = {
            root for weight in weights if isinstance(weight, Parameter) for root in rational_roots(weight.value.denom)
        }
        return sorted(found - poles)


class SymbolicParameters(ElementRing["Quotient"]):
    """Q(symbols)[variables]: rationals and parameters embed."""

    def element(self, value: Fraction | int) -> Quotient:
        return self._element(value if isinstance(value, Parameter) else Fraction(value))

    def coerce(self, array: np.ndarray) -> np.ndarray:
        entries = (entry if isinstance(entry, Quotient) else self.element(entry) for entry in array.flat)
        return np.fromiter(entries, object, array.size).reshape(array.shape)


def all_weights(network: Network) -> set[Fraction]:
    """The distinct weights and taps of a network."""
    weights = {
        weight for layer in network.layers for part in (layer.conv, layer.gate, layer.out) for weight in part.weights
    }
    taps = {tap for layer in network.layers for filter in layer.filters for tap in (*filter.head, filter.tail)}
    return weights | taps


def rational_roots(polynomial: flint.fmpq_mpoly) -> set[Fraction]:
    """Rational roots of a polynomial in one symbol."""
    roots = set()
    for factor, _ in polynomial.factor()[1]:
        terms = {powers[0]: weight for powers, weight in factor.to_dict().items()}
        if set(terms) <= {0, 1}:
            root = -terms.get(0, flint.fmpq(0)) / terms[1]
            roots.add(Fraction(int(root.p), int(root.q)))
    return roots
