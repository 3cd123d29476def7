"""Symbols for proofs: families of independent variables over one ring, exact equality with a counterexample.

The fast engine is python-flint (``fmpq_mpoly``); the same code runs over SymPy expressions, which re-checks small
cases. Polynomials stay inside NumPy object arrays: outside of one, NumPy would take a polynomial apart into its terms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import flint
import numpy as np
import numpy.typing as npt
import sympy

import constructions as C
from constructions.algebra.rings import SYMPY, ElementRing, Ring, polynomials
from constructions.networks.base import ExactNetwork
from constructions.networks.construction import converted
from constructions.networks.parameters import IterationValues, recorded
from precls_theory.registry import Refuted

Engine = Literal["python-flint", "sympy"]
Rationals = Fraction | int


@dataclass(frozen=True)
class Variables:
    """Families of independent variables by name, and the ring in which they live."""

    ring: Ring
    engine: Engine
    families: dict[str, np.ndarray]

    def __getitem__(self, family: str) -> np.ndarray:
        return self.families[family]

    def constant(self, value: Rationals) -> np.ndarray:
        """``value`` in the ring, shape (1,): it broadcasts against any array."""
        return self.ring.elements([value])

    def constants(self, values: npt.ArrayLike | Sequence[Fraction | int]) -> np.ndarray:
        """An array of rationals in the ring."""
        return self.ring.elements(np.asarray(values, dtype=object))

    def zeros(self, *shape: int) -> np.ndarray:
        return self.ring.zeros(shape)

    def identity(self, size: int) -> np.ndarray:
        """The identity matrix with a trailing axis of one row: (size, size, 1)."""
        return self.constants(np.eye(size, dtype=int))[..., None]


MakeVariables = Callable[..., Variables]


def variable_names(shapes: dict[str, tuple[int, ...]]) -> dict[str, list[str]]:
    """``family_i_j`` for every index of every family."""
    return {
        family: ["_".join([family, *map(str, index)]) for index in np.ndindex(*shape)]
        for family, shape in shapes.items()
    }


def flint_variables(**shapes: tuple[int, ...]) -> Variables:
    """Independent variables over Q in python-flint: ``flint_variables(A=(20, 5), x=(5,))``."""
    names = variable_names(shapes)
    context = flint.fmpq_mpoly_ctx.get([name for family in names.values() for name in family], "degrevlex")
    generators = iter(context.gens())
    families = {family: array_of([next(generators) for _ in names[family]], shape) for family, shape in shapes.items()}
    return Variables(polynomials(context), "python-flint", families)


def sympy_variables(**shapes: tuple[int, ...]) -> Variables:
    """The same in SymPy."""
    names = variable_names(shapes)
    families = {family: array_of(list(map(sympy.Symbol, names[family])), shape) for family, shape in shapes.items()}
    return Variables(SYMPY, "sympy", families)


def array_of(elements: Sequence[object], shape: tuple[int, ...]) -> np.ndarray:
    """Ring elements as an object array of this shape, none taken apart."""
    return np.fromiter(elements, object, len(elements)).reshape(shape)


def mirror(upper: np.ndarray) -> np.ndarray:
    """The symmetric matrix (D, D, rows) with the upper triangle of ``upper``."""
    low, high = np.sort(np.indices(upper.shape[:2]), axis=0)
    result: np.ndarray = upper[low, high]
    return result


def dot(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Row by row ``left · right`` of vectors (D, rows): (rows,)."""
    result: np.ndarray = np.add.reduce(left * right, axis=0)
    return result


def apply(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Row by row ``matrix @ vector``: (D, D', rows) and (D', rows) to (D, rows)."""
    result: np.ndarray = np.add.reduce(matrix * vector[None], axis=1)
    return result


def compose(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Row by row ``left @ right`` of matrices (D, D, rows)."""
    result: np.ndarray = np.add.reduce(left[:, :, None] * right[None], axis=1)
    return result


def outer(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Row by row ``left rightᵀ``: two (D, rows) to (D, D, rows)."""
    result: np.ndarray = left[:, None] * right[None]
    return result


def require_equal(actual: np.ndarray, expected: np.ndarray, what: str, ring: Ring) -> None:
    """Raises :class:`Refuted`, with a small point at which the first differing entries differ, unless all are equal.

    Entries are compared in canonical form, so this is equality of polynomials, not of samples. Entries of ``expected``
    that are None claim nothing.
    """
    expected = np.broadcast_to(expected, actual.shape)
    claimed = np.frompyfunc(lambda entry: entry is not None, 1, 1)(expected).astype(bool)
    left, right = ring.reduce(actual[claimed]), ring.reduce(expected[claimed])
    differs = np.flatnonzero(np.frompyfunc(lambda x, y: bool(x != y), 2, 1)(left, right).astype(bool))
    if len(differs):
        first = differs[0]
        index = tuple(int(i) for i in np.argwhere(claimed)[first])
        difference = (left[first : first + 1] - right[first : first + 1])[0]
        point = nonzero_point(difference)
        raise Refuted(
            f"{what}: entry {list(index)} is not what is claimed; the difference is {shorten(difference)}",
            {"what": what, "index": list(index), "difference": shorten(difference), **point},
        )


def shorten(value: object, limit: int = 200) -> str:
    """The value in text, cut when long."""
    text = str(value)
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"


def nonzero_point(difference: flint.fmpq_mpoly | sympy.Expr) -> dict[str, object]:
    """Integers for the variables of a nonzero polynomial at which it does not vanish, zeros preferred.

    One variable after the other: a nonzero polynomial of degree d in a variable survives one of d + 1 values.
    """
    if isinstance(difference, flint.fmpq_mpoly):
        names, degrees = difference.context().names(), difference.degrees()
        used = [(name, name, degree) for name, degree in zip(names, degrees, strict=True) if degree > 0]
    elif isinstance(difference, sympy.Basic):
        symbols = sorted(difference.free_symbols, key=str)
        used = [(symbol, str(symbol), sympy.degree(difference, symbol)) for symbol in symbols]
    else:
        return {"value": str(difference)}
    point = {}
    for key, name, degree in used:
        for value in range(degree + 1):
            reduced = difference.subs({key: value})
            reduced = sympy.expand(reduced) if isinstance(reduced, sympy.Basic) else reduced
            if reduced != 0:
                difference, point[name] = reduced, value
                break
    return {"point": {name: value for name, value in point.items() if value}, "value": str(difference)}


# One gradient step from network to formula, by both engines: the claim that the benchmark times.

GD_STEP = Fraction(1, 10)


def one_step_claim(
    n_points: int, n_dims: int, variables: MakeVariables, ring: Ring | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(what the one-step network holds, ``x − (η/N)(G_n x − c_n)`` of the points up to row n), each (N, D)."""
    network = C.gradient_descent(n_points=n_points, n_dims=n_dims, n_steps=1, step_size=GD_STEP, form="gram")
    v = variables(A=(n_points, n_dims), b=(n_points,), x=(n_dims,))
    output = network.evaluate(network.encode(v["A"], v["b"], v["x"]), ring or v.ring)
    residual = np.add.reduce(v["A"] * v["x"], axis=1) - v["b"]
    gradient = np.add.accumulate(v["A"] * residual[:, None], axis=0)
    return output[:, list(network.task.columns)], v["x"] - v.constant(GD_STEP / n_points) * gradient


def prove_gd_step(n_points: int, n_dims: int) -> None:
    """Prove, with every entry of A, b and x a symbol, that the one-step network takes one gradient step at every row.

    By python-flint. Raises :class:`Refuted` with a counterexample if it does not.
    """
    computed, expected = one_step_claim(n_points, n_dims, flint_variables)
    require_equal(computed, expected, "one gradient step", polynomials(expected[0, 0].context()))


def expand_gd_step(n_points: int, n_dims: int) -> None:
    """The same claim by ``sympy.expand`` of every difference; the network is evaluated unexpanded."""
    lazy = ElementRing("SymPy, unexpanded", SYMPY.element, (sympy.Basic,))
    computed, expected = one_step_claim(n_points, n_dims, sympy_variables, lazy)
    require_equal(computed - expected, SYMPY.zeros((n_points, n_dims)), "one gradient step", SYMPY)


def parameters_of(network: ExactNetwork) -> IterationValues:
    """The parameters that a network claims, rationals as :class:`Fraction` where the construction declares them so."""
    return recorded(converted(network.algorithm, network.parameters), IterationValues)
