"""Networks that evaluate polynomials given by their Chebyshev coefficients, in the least depth.

**One variable, degree d ≤ 2^L, in L layers.** After layer l the channels hold T_1 … T_{2^l} for l ≤ s, by
``T_{2k} = 2 T_k² − 1`` and ``T_{2k+1} = 2 T_k T_{k+1} − T_1``. From there on the polynomial is put together, two halves
at a time: with m = 2^{l−1}, ``T_{m+j} = 2 T_m T_j − T_{m−j}`` gives

    p = q T_m + r,   deg q ≤ m,  deg r < m   for every p of degree at most 2m,

one product and one layer once q, r and T_m are known. Splitting p this way L − s times leaves polynomials of degree
≤ 2^s, which are *affine* in the basis. The basis costs about 2^s channels and the halves
2^{L−s}, so the width is of the order of √d (Paterson and Stockmeyer 1973, in the Chebyshev basis), where doubling alone
needs d/2.

**Several variables** (separated form): ``Σ_r u_r(x) v_r(y)`` takes one more layer,
``Σ_r u_r(x) Σ_s v_s(y) w_{s,r}(z)`` two more:
⌈log2 d⌉ + ⌈log2 n⌉ for n ≤ 3 variables of degree at most d.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Annotated, TypedDict, Unpack

import numpy as np

from constructions.algebra.rationals import as_count, as_fraction
from constructions.algebra.rings import Ring
from constructions.algebra.terms import Form, channel
from constructions.networks.builder import Builder, Family
from constructions.networks.construction import construction
from constructions.networks.function_task import Domain, FunctionTask
from constructions.networks.network import Network
from constructions.networks.parameters import Count, Declaration, Exact, Rational, recorded

ChebyshevSeries = Mapping[int, Fraction]
"""``{degree: coefficient}`` in the Chebyshev basis of one variable; zeros left out."""

MAX_CHEBYSHEV_DEGREE = 65_536
LABEL_SEPARATOR = "; "
"""Between the functions in a label."""


@dataclass(frozen=True, eq=False, repr=False)
class Approximation(Network):
    """A network of polynomials that approximate given functions, with the proven error."""

    @property
    def error_bound(self) -> Fraction:
        """Proven bound of ``|network − f|`` on the domain, in exact arithmetic, the largest over the outputs."""
        assert isinstance(self.task, FunctionTask)
        return self.task.error_bound

    @property
    def degree(self) -> int:
        """Largest degree in one variable."""
        assert isinstance(self.task, FunctionTask)
        return self.task.degree or 0

    def save(self, path: str | Path) -> None:
        """Write the network to ``path``, with the functions that it approximates, so that the error can be proved again.

        Raises ``ValueError`` when they cannot be read back, ``OSError`` when the file cannot be written.
        """
        functions = str(self.parameters.get("label", ""))
        if self.parameters.get("error_bound", "0") != "0":
            from constructions.approximation.parser import parse_expression

            try:
                for function in functions.split(LABEL_SEPARATOR):
                    parse_expression(function, self.inputs)
            except ValueError as error:
                raise ValueError(
                    f"the error of a saved network is proved again from the functions that it names, and these cannot "
                    f"be read back: {error}"
                ) from error
        super().save(path)

    @classmethod
    def of(cls, network: Network) -> Approximation:
        """The same network, as an approximation."""
        return cls(**{field.name: getattr(network, field.name) for field in fields(network)})


def split(p: ChebyshevSeries, m: int) -> tuple[dict[int, Fraction], dict[int, Fraction]]:
    """``(q, r)`` with ``p = q T_m + r``, deg q ≤ m and deg r < m, for p of degree at most 2m."""
    q: dict[int, Fraction] = {}
    r = {k: c for k, c in p.items() if k < m}
    for k, c in p.items():
        if k == m:
            q[0] = c
        elif k > m:
            q[k - m] = 2 * c
            r[2 * m - k] = r.get(2 * m - k, Fraction(0)) - c
    return {k: c for k, c in q.items() if c}, {k: c for k, c in r.items() if c}


def levels(polynomials: Sequence[ChebyshevSeries]) -> int:
    """⌈log2 d⌉ for the largest degree d: the layers that evaluating the polynomials takes."""
    degree = max((k for polynomial in polynomials for k in polynomial), default=0)
    return max(0, (degree - 1).bit_length()) if degree else 0


class Evaluation:
    """Polynomials of one variable on their way through the layers; :attr:`forms` are the polynomials at the end.

    ``wait`` layers only carry the variable; then ``basis_level`` layers build the basis, and the rest put the
    polynomials together.
    """

    def __init__(self, name: str, interval: tuple[Fraction, Fraction], polynomials: Sequence[ChebyshevSeries], finish: int,
                 basis_level: int) -> None:  # fmt: skip
        self.name, self.interval = name, interval
        self.levels = levels(polynomials)
        self.wait = finish - self.levels
        self.basis_level = min(basis_level, self.levels)
        degree = max((k for polynomial in polynomials for k in polynomial), default=0)
        self.basis_size = max(1, min(degree, 2**self.basis_level))
        # wanted[l]: the polynomials known after level l; each of level l is q T_m + r for two of level l − 1
        self.wanted: dict[int, list[dict[int, Fraction]]] = {self.levels: [dict(p) for p in polynomials]}
        for level in range(self.levels, self.basis_level, -1):
            halves = [half for p in self.wanted[level] for half in split(p, 2 ** (level - 1))]
            self.wanted[level - 1] = list({_key(half): half for half in halves}.values())
        self.level = -self.wait
        self._start(channel(name))

    def _start(self, variable: Form) -> None:
        low, high = self.interval
        unit = (2 * variable - (low + high)) * (1 / (high - low))
        self.variable = variable
        self.basis: list[Form] = [Form({}, Fraction(1)), unit]
        self.power = unit
        self.known: dict[tuple[tuple[int, Fraction], ...], Form] = {}

    def value(self, p: ChebyshevSeries) -> Form:
        """A wanted polynomial as an affine form of the present channels."""
        if self.level > self.basis_level:
            return self.known[_key(p)]
        weights: dict[str, Fraction] = {}
        constant = Fraction(0)
        for k, coefficient in p.items():
            constant += coefficient * self.basis[k].constant
            for name, weight in self.basis[k].weights.items():
                weights[name] = weights.get(name, Fraction(0)) + coefficient * weight
        return Form(weights, constant)

    @property
    def forms(self) -> list[Form]:
        """The polynomials; once level :attr:`levels` is reached."""
        return [self.value(p) for p in self.wanted[self.levels]]

    def families(self) -> dict[str, Family]:
        """What the next layer computes for this variable."""
        if self.level < 0:
            return {self.name: self.variable}
        if self.level < self.basis_level:
            known, size = len(self.basis) - 1, min(2 ** (self.level + 1), self.basis_size)
            new = [
                2 * self.basis[k // 2] * self.basis[k - k // 2] - self.basis[k % 2] for k in range(known + 1, size + 1)
            ]
            return {f"T({self.name})": _array([*self.basis[1:], *new])}
        m = 2**self.level
        families: dict[str, Family] = {}
        halves = [split(p, m) for p in self.wanted[self.level + 1]]
        families[f"p({self.name})"] = _array([self.value(q) * self._power + self.value(r) for q, r in halves])
        if self.level + 1 < self.levels:
            families[f"T({self.name})"] = 2 * self._power * self._power - 1
        return families

    @property
    def _power(self) -> Form:
        """T_m for the next split, m = 2^level."""
        result: Form = self.basis[2**self.level] if self.level <= self.basis_level else self.power
        return result

    def advance(self, channels: Mapping[str, np.ndarray | Form]) -> None:
        """Take over the channels of the layer that computed :meth:`families`."""
        self.level += 1
        if self.level <= 0:
            self._start(*_forms(channels[self.name]))
        elif self.level <= self.basis_level:
            self.basis = [self.basis[0], *_forms(channels[f"T({self.name})"])]
        else:
            keys = map(_key, self.wanted[self.level])
            self.known = dict(zip(keys, _forms(channels[f"p({self.name})"]), strict=True))
            if f"T({self.name})" in channels:
                (self.power,) = _forms(channels[f"T({self.name})"])


def _forms(channels: np.ndarray | Form) -> list[Form]:
    return [channels] if isinstance(channels, Form) else list(channels)


def _key(p: ChebyshevSeries) -> tuple[tuple[int, Fraction], ...]:
    return tuple(sorted(p.items()))


def _array(entries: Sequence[object]) -> np.ndarray:
    array = np.empty(len(entries), dtype=object)
    for index, entry in enumerate(entries):
        array[index] = entry
    return array


class Factor(TypedDict):
    """One variable's part of a separated polynomial: ``[[degree, coefficient], …]`` for each entry of the shape."""

    shape: Sequence[int]
    polynomials: Sequence[Sequence[tuple[int, Fraction | int | str]]]


class ChebyshevParameters(TypedDict):
    """What :func:`chebyshev_polynomial` records of the function that it computes."""

    variables: Sequence[str]
    domain: Sequence[Sequence[Rational]]
    order: Sequence[int]
    factors: Sequence[Factor]


@construction
def chebyshev_polynomial(
    *,
    variables: Annotated[Sequence[str], Declaration("names of the variables, a list")],
    domain: Annotated[Sequence[Sequence[Rational]], Declaration("an interval [low, high] for each variable")],
    order: Annotated[Sequence[int], Declaration("the variable of each factor")],
    factors: Annotated[Sequence[Factor], Declaration("Chebyshev coefficients of each factor")],
    error_bound: Annotated[Rational, Exact("what is proved of the error")] = 0,
    basis_level: Annotated[int | None, Count("basis layers", minimum=0, fits="layers")] = None,
    label: Annotated[str, Declaration("the functions that are approximated")] = "",
) -> Network:
    """The network of the polynomials in separated form; built by :func:`constructions.approximation.approximate`.

    ``factors[i]`` belongs to variable ``order[i]``: ``{"shape": …, "polynomials": [[[degree, coefficient], …], …]}``,
    Chebyshev coefficients on that variable's interval; shapes are (n_outputs,) for one variable, (R,) and
    (R, n_outputs) for two, (R,), (S,) and (S, R, n_outputs) for three. ``basis_level`` is the number s of basis layers
    (that of the narrowest network if left out). ``error_bound`` is what the caller has proved, and ``label`` says of
    which functions, as :func:`~constructions.approximation.parser.parse_expression` reads them, with ``; `` between:
    neither is used to build the network. Raises ``ValueError`` for shapes that do not fit.
    """
    box: Domain = tuple((as_fraction("domain", low), as_fraction("domain", high)) for low, high in domain)
    arrays = [_read_factor(factor) for factor in factors]
    _check_shapes(variables, box, order, arrays)
    bound = as_fraction("error_bound", error_bound)
    if bound < 0:
        raise ValueError(f"error_bound must be at least 0, got {bound}")
    level = basis_level
    if level is None:
        level = narrowest_level(variables=variables, domain=domain, order=order, factors=factors)
    return Approximation.of(_build(tuple(variables), box, order, arrays, level, bound))


def narrowest_level(**arguments: Unpack[ChebyshevParameters]) -> int:
    """The ``basis_level`` that gives :func:`chebyshev_polynomial` the least width, then the fewest weights."""
    polynomials = [polynomial for factor in arguments["factors"] for polynomial in _read_factor(factor).flat]
    networks = [chebyshev_polynomial(**arguments, basis_level=level) for level in range(levels(polynomials) + 1)]
    return min(range(len(networks)), key=lambda level: (networks[level].width, networks[level].n_nonzero, level))


def _read_factor(factor: Factor) -> np.ndarray:
    polynomials = [{as_count("degree", k, 0): Fraction(c) for k, c in p if Fraction(c)} for p in factor["polynomials"]]
    if any(k > MAX_CHEBYSHEV_DEGREE for p in polynomials for k in p):
        raise ValueError(f"a degree is above the limit of {MAX_CHEBYSHEV_DEGREE}")
    return _array(polynomials).reshape(tuple(factor["shape"]))


def _check_shapes(variables: Sequence[str], domain: Domain, order: Sequence[int], arrays: list[np.ndarray]) -> None:
    count = len(variables)
    if not 1 <= count <= 3 or len(domain) != count or sorted(order) != list(range(count)) or len(arrays) != count:
        raise ValueError(
            f"expected one to three variables with an interval, a place in the order and a factor each, got {count} "
            f"variables, {len(domain)} intervals, order {list(order)}, {len(arrays)} factors"
        )
    shapes = [array.shape for array in arrays]
    last = tuple(shape[0] for shape in reversed(shapes[:-1]))
    if any(len(shape) != 1 for shape in shapes[:-1]) or shapes[-1][:-1] != last or not all(map(math.prod, shapes)):
        raise ValueError(f"the shapes of the factors do not fit: {shapes}")
    if any(low >= high for low, high in domain):
        raise ValueError(f"every interval must have its low end below its high end, got {domain}")


def _build(
    variables: tuple[str, ...],
    domain: Domain,
    order: Sequence[int],
    arrays: list[np.ndarray],
    basis_level: int,
    error_bound: Fraction,
) -> Network:
    builder = Builder(1, list(variables))
    needed = [levels(list(array.flat)) for array in arrays]
    # the last two variables are multiplied first; the first one may finish a layer later
    inner = max(needed[-2:])
    outer = max(inner + 1, needed[0]) if len(order) == 3 else inner
    finish = [outer, outer - 1, outer - 1] if len(order) == 3 else [inner] * len(order)
    if len(order) == 1:  # the outputs must be channels, not forms of the basis
        basis_level = min(basis_level, max(inner - 1, 0))
    parts = [
        Evaluation(variables[axis], domain[axis], list(array.flat), end, basis_level)
        for axis, array, end in zip(order, arrays, finish, strict=True)
    ]

    def layer(evaluations: Sequence[Evaluation], **extra: np.ndarray) -> list[np.ndarray]:
        families: dict[str, Family] = {**extra}
        for part in evaluations:
            families |= part.families()
        results = builder.layer(**families)
        channels = dict(zip(families, results if len(families) > 1 else (results,), strict=True))
        for part in evaluations:
            part.advance({family: value for family, value in channels.items() if family not in extra})
        return [channels[family] for family in extra]

    for _ in range(finish[-1]):
        layer(parts)
    last = _array(parts[-1].forms).reshape(arrays[-1].shape)
    if len(parts) == 1:
        outputs = last if inner else layer([], f=last)[0]
    elif len(parts) == 2:
        outputs = layer([], f=_array(parts[0].forms) @ last)[0]
    else:
        (w,) = layer(parts[:1], w=np.tensordot(_array(parts[1].forms), last, axes=1))
        outputs = layer([], f=_array(parts[0].forms) @ w)[0]
    degree = max((k for array in arrays for polynomial in array.flat for k in polynomial), default=0)
    task = partial(FunctionTask, variables=variables, domain=domain, degree=degree, error_bound=error_bound)
    return builder.build(outputs, task)


def reference(network: Network, u: np.ndarray, ring: Ring) -> np.ndarray:
    """What the parameters say, by the three-term recurrence ``T_{k+1} = 2 t T_k − T_{k−1}``: (..., 1, n_outputs)."""
    parameters = recorded(network.parameters, ChebyshevParameters)
    u = ring.coerce(u)
    values = []
    for axis, factor in zip(parameters["order"], parameters["factors"], strict=True):
        low, high = (Fraction(end) for end in parameters["domain"][axis])
        slope, shift = ring.elements([2 / (high - low)]), ring.elements([-(high + low) / (high - low)])
        t = ring.reduce(ring.reduce(slope * u[..., axis]) + shift)
        array = _read_factor(factor)
        degree = max((k for polynomial in array.flat for k in polynomial), default=0)
        basis = [ring.elements([1]) + ring.zeros(t.shape), t]
        while len(basis) <= degree:
            basis.append(ring.reduce(ring.elements([2]) * ring.reduce(t * basis[-1]) - basis[-2]))
        weights = [[polynomial.get(k, Fraction(0)) for k in range(len(basis))] for polynomial in array.flat]
        product = ring.matmul(np.stack(basis, axis=-1), ring.elements(weights).T)
        values.append(product.reshape(*t.shape, *array.shape))
    if len(values) == 1:
        return values[0]
    if len(values) == 2:
        return ring.matmul(values[0][..., None, :], values[1])[..., 0, :]
    tail = values[2].reshape(*values[2].shape[:-2], -1)
    w = ring.matmul(values[1][..., None, :], tail)[..., 0, :].reshape(*tail.shape[:-2], *values[2].shape[-2:])
    return ring.matmul(values[0][..., None, :], w)[..., 0, :]
