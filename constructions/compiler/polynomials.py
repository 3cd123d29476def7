"""Polynomials into networks: SymPy in, exponents and coefficients as the record, one network out."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence as Rows
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Annotated, TypedDict

import flint
import numpy as np

from constructions.algebra.rationals import as_fraction
from constructions.algebra.rings import Ring
from constructions.compiler.circuit import Wire
from constructions.compiler.emit import emit
from constructions.compiler.expansion import MAX_POLYNOMIAL_DEGREE, MAX_TERMS, Term, polynomial_terms
from constructions.compiler.instructions import Affine, compile_circuit, instructions
from constructions.compiler.monomials import Polynomial, minimal_depth
from constructions.compiler.schedule import schedule
from constructions.compiler.search import LARGE, circuits
from constructions.networks.construction import construction
from constructions.networks.function_task import FunctionTask
from constructions.networks.network import Network
from constructions.networks.parameters import Declaration, recorded


class PolynomialParameters(TypedDict):
    """What :func:`polynomials` records."""

    variables: Rows[str]
    polynomials: Rows[Rows[Term]]


@construction
def polynomials(
    *,
    variables: Annotated[Rows[str], Declaration("names of the variables, a list")],
    polynomials: Annotated[Rows[Rows[Term]], Declaration('a list of [[exponents], "p/q"] for each polynomial')],
) -> Network:
    """The network of polynomials given as lists of ``[[exponents], "p/q"]``; depth exactly max(1, ⌈log2 degree⌉).

    ``encode`` takes the values of ``variables`` in order, ``decode`` gives (..., n_polynomials). Source: Liu et al.
    2025, §5 and Zoology (Arora et al. 2024), Thm. H.21; the depth is least possible, because L layers make a
    polynomial of degree at most 2^L. Raises ``ValueError`` for exponents that do not fit the variables, and above
    the limits on degree and number of terms.
    """
    names = list(variables)
    if any(not isinstance(name, str) or not name for name in names) or len(set(names)) != len(names):
        raise ValueError(f"variables must be distinct non-empty names, got {names!r}")
    if not polynomials:
        raise ValueError("there is nothing to compile: give at least one polynomial")
    read = [_read(terms, names) for terms in polynomials]
    n_terms = sum(map(len, polynomials))
    if n_terms > MAX_TERMS:
        raise ValueError(
            f"the polynomials have {n_terms} terms together, the limit is {MAX_TERMS}: write them as a circuit"
        )
    task = partial(FunctionTask, tuple(names))
    keep = 4 if n_terms <= LARGE else 1
    networks = [emit(schedule(circuit, outputs), task) for circuit, outputs in circuits(read, names, keep)]
    return min(networks, key=lambda network: (network.width, network.n_nonzero))


def reference(network: Network, u: np.ndarray, ring: Ring) -> np.ndarray:
    """``Σ coefficient · Π variable^exponent`` term by term: (..., 1, n_variables) to (..., 1, n_polynomials) over
    any ring."""
    terms = recorded(network.parameters, PolynomialParameters)["polynomials"]
    exponents = np.array([e for polynomial in terms for e, _ in polynomial], dtype=int)
    exponents = exponents.reshape(sum(map(len, terms)), u.shape[-1])
    weights = ring.elements([Fraction(weight) for polynomial in terms for _, weight in polynomial])
    values = np.broadcast_to(weights, (*u.shape[:-1], len(weights)))
    for index in range(u.shape[-1]):
        powers = [np.broadcast_to(ring.elements([1]), u.shape[:-1])]
        for _ in range(exponents[:, index].max(initial=0)):
            powers.append(ring.reduce(powers[-1] * u[..., index]))
        values = ring.reduce(values * np.stack(powers, axis=-1)[..., exponents[:, index]])
    results = ring.zeros((*u.shape[:-1], len(terms)))
    start = 0
    for index, polynomial in enumerate(terms):
        if polynomial:
            results[..., index] = ring.reduce(np.add.reduce(values[..., start : start + len(polynomial)], axis=-1))
        start += len(polynomial)
    return results


def _read(terms: Rows[Term], names: list[str]) -> Polynomial:
    polynomial: Polynomial = {}
    try:
        pairs = [(tuple(exponents), weight) for exponents, weight in terms]
    except (TypeError, ValueError) as error:
        raise ValueError(f"a polynomial is a list of [[exponents], 'p/q'], got {terms!r:.200}") from error
    for exponents, weight in pairs:
        if len(exponents) != len(names) or any(type(e) is not int or e < 0 for e in exponents):
            raise ValueError(
                f"exponents must be {len(names)} whole numbers of at least 0, one a variable ({', '.join(names[:8])}), "
                f"got {list(exponents)!r:.200}"
            )
        if sum(exponents) > MAX_POLYNOMIAL_DEGREE:
            raise ValueError(
                f"the degree must be at most {MAX_POLYNOMIAL_DEGREE}, got a term of degree {sum(exponents)}"
            )
        value = polynomial.get(exponents, Fraction(0)) + as_fraction("a coefficient", weight)
        polynomial[exponents] = value
    return {exponents: weight for exponents, weight in polynomial.items() if weight}


def compile_polynomials(
    exprs: object, variables: Iterable[object] | None = None, *, rebalance: bool = False
) -> Network:
    """One network that computes all of ``exprs`` exactly, products shared.

    ``exprs`` are SymPy polynomials (expressions or ``Poly``), or texts such as ``"x**2*y/3 - z"`` in which nothing is
    executed, with rational coefficients in ``variables`` (symbols or names; for texts alone, left out: their names,
    sorted), and depth is max(1, ⌈log2 degree⌉); or the wires of one :class:`~constructions.compiler.circuit.Circuit`,
    and depth is its own, at least 1. ``rebalance=True`` expands a circuit over numbers into polynomials first: the
    least depth, perhaps at the price of width. ``variables`` may be left out for wires, whose order is that of the
    inputs.

    ``encode([value, …])`` takes values in the order of ``variables`` and ``decode`` gives (..., n_exprs). Raises
    ``ValueError`` for division by a variable, roots, functions, unknown symbols or too many terms, and
    ``TypeError`` for floats and other objects.
    """
    from constructions.approximation.expressions import as_expressions, as_symbols
    from constructions.approximation.parser import parse_expression

    items = as_expressions(exprs)
    if not items:
        raise ValueError("there is nothing to compile: give at least one expression")
    if any(isinstance(item, Wire) for item in items):
        return _compile_wires(items, variables, rebalance)
    if variables is None and not all(isinstance(item, str) for item in items):
        raise ValueError("give the variables, in the order in which encode takes their values")
    if variables is None:
        parsed = [parse_expression(item, functions=False) for item in items if isinstance(item, str)]
        variables = sorted({symbol.name for item in parsed for symbol in item.free_symbols})
        items = list(parsed)
    symbols = as_symbols(variables, items)
    items = [parse_expression(item, symbols, functions=False) if isinstance(item, str) else item for item in items]
    return polynomials(
        variables=[symbol.name for symbol in symbols], polynomials=[polynomial_terms(item, symbols) for item in items]
    )


def _compile_wires(items: list[object], variables: Iterable[object] | None, rebalance: bool) -> Network:
    wires = [item for item in items if isinstance(item, Wire)]
    for item in items:
        if not isinstance(item, Wire):
            raise TypeError(f"wires and other expressions cannot be mixed, got {type(item).__name__} among wires")
    circuit = wires[0].circuit
    if variables is not None and tuple(map(str, variables)) != circuit.inputs:
        raise ValueError(
            f"the circuit's inputs are {', '.join(circuit.inputs)}, in this order; got {', '.join(map(str, variables))}"
        )
    if not rebalance:
        return compile_circuit(wires)
    return rebalance_circuit(wires).network


@dataclass(frozen=True)
class Rebalanced:
    """A circuit as it was written, and the network of least depth for the same polynomials (what it costs:
    ``str``)."""

    written: Network
    network: Network
    n_terms: int

    def __str__(self) -> str:
        before, after = self.written, self.network
        return (
            f"depth {before.depth} to {after.depth}, width {before.width} to {after.width}, "
            f"{before.n_nonzero} to {after.n_nonzero} nonzero weights; {self.n_terms} terms when expanded"
        )


def rebalance_circuit(outputs: Rows[Wire]) -> Rebalanced:
    """Expand a circuit over numbers and compile its polynomials anew in the least depth, where that is less.

    The width may be larger or smaller; the result shows both. Raises ``ValueError`` for sequences and above MAX_TERMS.
    """
    terms = expand(outputs)
    written = compile_circuit(outputs)
    n_terms = sum(map(len, terms))
    least = minimal_depth([[tuple(exponents) for exponents, _ in polynomial] for polynomial in terms])
    if least == written.depth:
        return Rebalanced(written, written, n_terms)
    return Rebalanced(written, polynomials(variables=list(outputs[0].circuit.inputs), polynomials=terms), n_terms)


def expand(outputs: Rows[Wire]) -> list[list[Term]]:
    """The polynomials that wires over numbers compute, as ``[[exponents], "p/q"]``; ``ValueError`` above MAX_TERMS
    terms."""
    circuit = outputs[0].circuit
    data = instructions(outputs)
    context = flint.fmpq_mpoly_ctx.get([f"x{i}" for i in range(max(1, len(data["inputs"])))], flint.Ordering.lex)
    if data["row_constants"] or circuit.n_rows > 1:
        raise ValueError("only circuits over numbers (one row, no row constants) expand into polynomials")
    values = list(context.gens())[: len(data["inputs"])]

    def affine(terms: Affine) -> flint.fmpq_mpoly:
        total = context.constant(0)
        for _, node, weight in terms:
            value = Fraction(weight)
            rational = flint.fmpq(value.numerator, value.denominator)
            total += context.constant(rational) if node < 0 else values[node] * rational
        return total

    for left, right in data["products"]:
        factors = affine(left), affine(right)
        if len(factors[0]) * len(factors[1]) > 50 * MAX_TERMS:
            raise ValueError(f"the circuit expands into more than {MAX_TERMS} terms: compile it without rebalance")
        values.append(factors[0] * factors[1])
        if len(values[-1]) > MAX_TERMS:
            raise ValueError(f"the circuit expands into more than {MAX_TERMS} terms: compile it without rebalance")
    return [
        [
            ([int(e) for e in exponents][: len(data["inputs"])], str(Fraction(int(w.p), int(w.q))))
            for exponents, w in poly.to_dict().items()
        ]
        for poly in map(affine, data["outputs"])
    ]
