"""The algebra in which layers are written: products of a convolved affine form and an affine form.

One BaseConv layer computes exactly the maps in which every output channel is a sum of terms
``coefficient · (filter ⋆ conv form) ⊙ gate form`` (the normal form). Here such sums are ordinary Python
expressions over named channels, scalar or in NumPy object arrays::

    x = x - step * (prefix(G) @ x - prefix(c))
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from numbers import Rational
from typing import Protocol, TypeAlias, overload

import numpy as np

from constructions.algebra.filters import DELTA, EXCLUSIVE, MIDPOINT, PREFIX, Filter, shift
from constructions.algebra.work import spend

NOUGHT, UNIT = Fraction(0), Fraction(1)
"""Made once: these are the most frequent numbers of a layer, and a Fraction is slow to make."""


def exact(value: Rational | int | str) -> Fraction:
    """``value`` as a fraction; a fraction of any kind stays as it is, a symbolic one among them."""
    return value if isinstance(value, Fraction) else Fraction(value)


FormKey = tuple[tuple[tuple[str, Fraction], ...], Fraction]
"""The weights by channel, sorted, and the constant."""


class Form:
    """An affine form ``Σ weight · channel + constant`` over Q; hashable, and equal when the map is equal."""

    __slots__ = ("_hash", "_key", "constant", "weights")

    def __init__(self, weights: Mapping[str, Fraction], constant: Fraction = NOUGHT) -> None:
        self.weights = {name: weight for name, weight in weights.items() if weight}
        self.constant = constant
        self._key: FormKey | None = None
        self._hash: int | None = None

    @property
    def key(self) -> FormKey:
        if self._key is None:
            self._key = (tuple(sorted(self.weights.items())), self.constant)
        return self._key

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(self.key)
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Form) and self.key == other.key

    @property
    def is_constant(self) -> bool:
        return not self.weights

    def scaled(self, factor: Fraction) -> Form:
        spend(len(self.weights) + 1)
        return Form({name: weight * factor for name, weight in self.weights.items()}, self.constant * factor)

    def plus(self, other: Form) -> Form:
        spend(len(self.weights) + len(other.weights) + 1)
        weights = dict(self.weights)
        for name, weight in other.weights.items():
            weights[name] = weights.get(name, NOUGHT) + weight
        return Form(weights, self.constant + other.constant)

    def monic(self) -> tuple[Fraction, Form]:
        """``(scale, form)`` with ``self = scale · form`` and the leading weight of ``form`` equal to one."""
        lead = self.weights[min(self.weights)] if self.weights else self.constant
        return (lead, self.scaled(1 / lead)) if lead != 1 and lead != 0 else (lead or UNIT, self)

    def __repr__(self) -> str:
        parts = [name if weight == 1 else f"{weight}*{name}" for name, weight in self.key[0]]
        return " + ".join(parts + ([str(self.constant)] if self.constant or not parts else []))

    # Arithmetic is that of Terms: a form is a sum of one term with the identity filter and gate 1.
    @overload
    def __add__(self, other: Form | Number) -> Form: ...

    @overload
    def __add__(self, other: Terms) -> Terms: ...

    def __add__(self, other: Expression) -> Form | Terms:
        if isinstance(other, np.ndarray):
            return NotImplemented
        if isinstance(other, Form):
            return self.plus(other)
        if isinstance(other, Rational):
            return self.plus(Form({}, exact(other)))
        return as_terms(self) + other

    __radd__ = __add__

    def __neg__(self) -> Form:
        return self.scaled(Fraction(-1))

    @overload
    def __sub__(self, other: Form | Number) -> Form: ...

    @overload
    def __sub__(self, other: Terms) -> Terms: ...

    def __sub__(self, other: Expression) -> Form | Terms:
        if isinstance(other, np.ndarray):
            return NotImplemented
        if isinstance(other, Rational):
            return self.plus(Form({}, -exact(other)))
        return self + -other if isinstance(other, Form | Terms) else as_terms(self) - other

    def __rsub__(self, other: Number) -> Form:
        return -self + other

    @overload
    def __mul__(self, other: Number) -> Form: ...

    @overload
    def __mul__(self, other: Form | Terms) -> Terms: ...

    def __mul__(self, other: Expression) -> Form | Terms:
        if isinstance(other, np.ndarray):
            return NotImplemented
        if isinstance(other, Rational):
            return self.scaled(exact(other))
        if isinstance(other, Form) and not self.constant and not other.constant:
            return Terms.product(DELTA, self, other)
        return as_terms(self) * other

    __rmul__ = __mul__


ONE = Form({}, UNIT)
Number: TypeAlias = int | Rational
Key = tuple[Filter, Form, Form]


class Terms:
    """A sum of terms ``coefficient · (filter ⋆ conv) ⊙ gate``, kept in a canonical form.

    Forms are monic; a product with the identity filter is commutative, so its factors are sorted; a constant
    factor is folded away. Two layers with the same terms are the same layer.
    """

    __slots__ = ("items",)

    def __init__(self, items: Mapping[Key, Fraction] | None = None) -> None:
        self.items: dict[Key, Fraction] = dict(items or {})

    @classmethod
    def product(cls, filter: Filter, conv: Form, gate: Form, coefficient: Fraction = UNIT) -> Terms:
        spend(1)
        conv_scale, conv = conv.monic()
        gate_scale, gate = gate.monic()
        coefficient = coefficient * conv_scale * gate_scale
        if not coefficient or not (conv.weights or conv.constant) or not (gate.weights or gate.constant):
            return cls()
        if filter.is_identity and (conv.is_constant or (not gate.is_constant and gate.key < conv.key)):
            conv, gate = gate, conv
        return cls({(filter, conv, gate): coefficient})

    @property
    def degree(self) -> int:
        """2 with a product of two nonconstant forms, 1 when affine, 0 when constant."""
        return max(((not c.is_constant) + (not g.is_constant) for (_, c, g) in self.items), default=0)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Terms) and self.items == other.items

    __hash__ = None  # type: ignore[assignment]

    def channels(self) -> set[str]:
        """Names of the channels read."""
        return {name for (_, conv, gate) in self.items for form in (conv, gate) for name in form.weights}

    def __add__(self, other: Expression) -> Terms:
        if isinstance(other, np.ndarray):
            return NotImplemented
        spend(len(self.items) + 1)
        total = dict(self.items)
        for key, coefficient in as_terms(other).items.items():
            if key not in total:
                total[key] = coefficient
            elif value := total[key] + coefficient:
                total[key] = value
            else:
                del total[key]
        return Terms(total)

    __radd__ = __add__

    def __neg__(self) -> Terms:
        return Terms({key: -coefficient for key, coefficient in self.items.items()})

    def __sub__(self, other: Expression) -> Terms:
        return NotImplemented if isinstance(other, np.ndarray) else self + (-1) * as_terms(other)

    def __rsub__(self, other: Expression) -> Terms:
        return -self + other

    def __mul__(self, other: Expression) -> Terms:
        if isinstance(other, np.ndarray):
            return NotImplemented
        if isinstance(other, Rational):
            factor = exact(other)
            return Terms({key: factor * c for key, c in self.items.items()} if factor else {})
        product = Terms()
        for (filter_l, conv_l, gate_l), left in self.items.items():
            for (filter_r, conv_r, gate_r), right in as_terms(other).items.items():
                if gate_l == ONE and gate_r == ONE and (filter_l.is_identity or filter_r.is_identity):
                    if filter_l.is_identity:
                        product += Terms.product(filter_r, conv_r, conv_l, left * right)
                    else:
                        product += Terms.product(filter_l, conv_l, conv_r, left * right)
                else:
                    raise ValueError(
                        "one BaseConv layer has one multiplication and convolves one of its factors: "
                        f"({self}) * ({as_terms(other)}) needs another layer"
                    )
        return product

    __rmul__ = __mul__

    def __repr__(self) -> str:
        def show(filter: Filter, conv: Form, gate: Form) -> str:
            left = f"({conv})" if filter.is_identity else f"({filter} ⋆ ({conv}))"
            return left if gate == ONE else f"{left}⊙({gate})"

        return " + ".join(f"{c}·{show(*key)}" for key, c in self.items.items()) or "0"


Expression: TypeAlias = Form | Terms | Number
"""What a layer is written with, beside object arrays of the same."""


def as_terms(value: object) -> Terms:
    """A form, a rational number or terms, as terms; raises ``TypeError`` for anything else (floats too)."""
    if isinstance(value, Terms):
        return value
    if isinstance(value, Form):
        linear = Terms.product(DELTA, Form(value.weights), ONE) if value.weights else Terms()
        return linear + Terms.product(DELTA, Form({}, value.constant), ONE) if value.constant else linear
    if isinstance(value, Rational):
        return Terms.product(DELTA, Form({}, exact(value)), ONE)
    raise TypeError(f"a layer is written with channels and exact rationals, got {type(value).__name__}: {value!r}")


@overload
def convolve(filter: Filter, value: np.ndarray) -> np.ndarray: ...


@overload
def convolve(filter: Filter, value: Expression) -> Terms: ...


def convolve(filter: Filter, value: Expression | np.ndarray) -> Terms | np.ndarray:
    """``filter ⋆ value`` for an affine form or an array of them."""
    if isinstance(value, np.ndarray):
        array: np.ndarray = np.frompyfunc(lambda entry: convolve(filter, entry), 1, 1)(value)
        return array
    total = Terms()
    for (inner, conv, gate), coefficient in as_terms(value).items.items():
        if not inner.is_identity or gate != ONE:
            raise ValueError(f"one layer convolves an affine form of its input channels, not {value!r}")
        total += Terms.product(filter, conv, ONE, coefficient)
    return total


class Convolution(Protocol):
    """A filter as a function of an affine form, or of an array of them."""

    @overload
    def __call__(self, value: np.ndarray) -> np.ndarray: ...

    @overload
    def __call__(self, value: Expression) -> Terms: ...


def _convolution(filter: Filter, doc: str) -> Convolution:
    @overload
    def apply(value: np.ndarray) -> np.ndarray: ...

    @overload
    def apply(value: Expression) -> Terms: ...

    def apply(value: Expression | np.ndarray) -> Terms | np.ndarray:
        return convolve(filter, value)

    apply.__doc__ = doc
    return apply


prefix = _convolution(PREFIX, "Sum over the rows up to and including each row (over all rows in a circular network).")
exclusive = _convolution(EXCLUSIVE, "Sum over the rows strictly before each row.")
midpoint = _convolution(MIDPOINT, "Mean of the inclusive and the exclusive prefix sum: filter [½, 1, 1, …].")
total = prefix
"""In a circular network the all-ones filter sums over all rows."""


@overload
def shifted(value: np.ndarray, lag: int) -> np.ndarray: ...


@overload
def shifted(value: Expression, lag: int) -> Terms: ...


def shifted(value: Expression | np.ndarray, lag: int) -> Terms | np.ndarray:
    """Each row receives the value ``lag`` rows before it."""
    return convolve(shift(lag), value)


def channel(name: str) -> Form:
    """The channel ``name`` as a form."""
    return Form({name: UNIT})


def channel_name(family: str, *index: int) -> str:
    """``family[i,j]``: the name of a channel in an indexed family."""
    return f"{family}[{','.join(map(str, index))}]" if index else family


def channels(family: str, *shape: int) -> np.ndarray:
    """An object array of the given shape of channels ``family[i,j,…]``."""
    array = np.empty(shape, dtype=object)
    spend(array.size)
    for index in np.ndindex(*shape):
        array[index] = channel(channel_name(family, *index))
    return array


def symmetric_channels(family: str, size: int) -> np.ndarray:
    """A symmetric (size, size) object array: entries (i, j) and (j, i) are one channel."""
    return symmetric(channels(family, size, size))


def symmetric(matrix: np.ndarray) -> np.ndarray:
    """The square matrix with its lower triangle replaced by the mirror image of its upper one."""
    return np.where(np.tri(len(matrix), k=-1, dtype=bool), matrix.T, matrix)


def identity(size: int) -> np.ndarray:
    """The identity matrix over Z as an object array."""
    return np.array([[int(i == j) for j in range(size)] for i in range(size)], dtype=object)


def flatten(family: str, value: object) -> Iterable[tuple[str, Terms]]:
    """The named entries of a scalar or array of terms; of a symmetric pair only the upper entry is listed."""
    if not isinstance(value, np.ndarray):
        yield channel_name(family), as_terms(value)
        return
    for index in np.ndindex(*value.shape):
        yield channel_name(family, *index), as_terms(value[index])


def names(family: str, *shape: int) -> list[str]:
    """Names of the channels of an indexed family, in order."""
    return [channel_name(family, *index) for index in np.ndindex(*shape)]
