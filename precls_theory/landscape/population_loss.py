"""Population losses, exactly: ``E‖model(u) − target(u)‖²`` as a polynomial in the weights.

A BaseConv model is a polynomial in its weights θ and its input u jointly. Write the error as ``Σ_α c_α(θ) u^α``; then

    L(θ) = Σ_{α,β} c_α(θ) c_β(θ) E u^{α+β},

a polynomial of θ whose coefficients are moments of the input distribution: no sampling, no quadrature. For given
weights (rational, or floating point, whose values are dyadic rationals) the c_α are numbers and so is L. Everything
runs on python-flint's sparse polynomials. Cost: (number of u-monomials of an output entry)² products of the c_α; pairs
whose moment vanishes (odd ones) are passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import TypeAlias, TypeVar, overload

import flint
import numpy as np
import sympy

import constructions as C
from constructions.algebra.rings import Ring, polynomials
from constructions.models.operators import LayerWeights, OperatorWeights, apply_layer, apply_operator
from constructions.networks.layer import Mode
from precls_theory.landscape.moments import ExactLike, Gaussian, Moments
from precls_theory.proofs.symbolic import array_of, variable_names

ByMonomial: TypeAlias = dict[tuple[int, ...], flint.fmpq_mpoly]
"""``{exponents of u: coefficient, a polynomial in the weights}``."""
W = TypeVar("W", LayerWeights, OperatorWeights)
GivenModel: TypeAlias = "C.Network | C.BaseConvModel | C.BaseConvLayer | C.BaseConvOperator"
"""Models whose weights are numbers."""
TargetMap = Callable[[np.ndarray], np.ndarray]
"""The wanted output, as a function of the input u (N, D), an object array of polynomials, in the model's output shape."""


@dataclass(frozen=True)
class SymbolicModel:
    """A model whose weights are symbols: ``shapes`` names them, ``apply(weights, u)`` runs the model.

    ``apply`` gets a dictionary of object arrays of these shapes and u of shape (n_rows, n_channels), and returns the
    output of any shape. See :func:`operator_model` and :func:`layer_model`.
    """

    shapes: dict[str, tuple[int, ...]]
    n_rows: int
    n_channels: int
    apply: Callable[[dict[str, np.ndarray], np.ndarray], np.ndarray]


def operator_model(n_rows: int, n_channels: int, mode: Mode = "causal") -> SymbolicModel:
    """``(u W + B1) ⊙ (H ⋆ u + B2)`` with all weights symbols: W (D, D), B1, H, B2 (N, D)."""
    by_row = (n_rows, n_channels)
    shapes: dict[str, tuple[int, ...]] = {"W": (n_channels, n_channels), "B1": by_row, "H": by_row, "B2": by_row}
    return SymbolicModel(
        shapes, n_rows, n_channels, lambda weights, u: apply_operator(OperatorWeights(**weights), u, mode)
    )


def layer_model(n_rows: int, n_in: int, n_hidden: int, n_out: int, mode: Mode = "causal") -> SymbolicModel:
    """``Out( (filter ⋆ In u + conv_bias) ⊙ Gate u )`` with all weights symbols; shapes of :class:`LayerWeights`."""
    shapes = {
        "in_weight": (n_in, n_hidden), "in_bias": (n_hidden,), "filter": (n_rows, n_hidden), "conv_bias": (n_hidden,),
        "gate_weight": (n_in, n_hidden), "gate_bias": (n_hidden,), "out_weight": (n_hidden, n_out), "out_bias": (n_out,),
    }  # fmt: skip
    return SymbolicModel(shapes, n_rows, n_in, lambda weights, u: apply_layer(LayerWeights(**weights), u, mode))


@dataclass(frozen=True)
class Loss:
    """A population loss: a polynomial in the weights, in the context whose variables are their names."""

    polynomial: flint.fmpq_mpoly

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.polynomial.context().names())

    @cached_property
    def gradient(self) -> tuple[flint.fmpq_mpoly, ...]:
        """The partial derivatives, in the order of :attr:`names`."""
        return tuple(self.polynomial.derivative(index) for index in range(len(self.names)))

    @cached_property
    def hessian(self) -> np.ndarray:
        """The second derivatives, an object array (n, n)."""
        size = len(self.names)
        entries = [partial.derivative(index) for partial in self.gradient for index in range(size)]
        return array_of(entries, (size, size))

    def at(self, weights: Mapping[str, ExactLike | float]) -> Fraction:
        """The loss at these weights (all of them, rational or floating point), exactly."""
        return as_fraction(self.polynomial, self.point(weights))

    def gradient_at(self, weights: Mapping[str, ExactLike | float]) -> list[Fraction]:
        """The gradient at these weights, exactly."""
        point = self.point(weights)
        return [as_fraction(partial, point) for partial in self.gradient]

    def point(self, weights: Mapping[str, ExactLike | float]) -> list[flint.fmpq]:
        """The weights in the order of :attr:`names`; raises ``ValueError`` naming those that are missing or unknown."""
        missing, unknown = set(self.names) - set(weights), set(weights) - set(self.names)
        if missing or unknown:
            raise ValueError(
                f"the loss has the weights {', '.join(self.names)}; missing: {', '.join(sorted(missing)) or 'none'}, "
                f"unknown: {', '.join(sorted(unknown)) or 'none'}"
            )
        return [fmpq(Fraction(weights[name])) for name in self.names]

    def sympy(self) -> sympy.Expr:
        """The loss as a SymPy expression."""
        return as_sympy(self.polynomial)

    def __repr__(self) -> str:
        return f"<Loss: {len(self.polynomial)} terms in {len(self.names)} weights>"


@overload
def population_loss(model: SymbolicModel, target: TargetMap, moments: Moments | None = None) -> Loss: ...


@overload
def population_loss(model: GivenModel, target: TargetMap, moments: Moments | None = None) -> Fraction: ...


def population_loss(
    model: SymbolicModel | GivenModel, target: TargetMap, moments: Moments | None = None
) -> Loss | Fraction:
    """``E‖model(u) − target(u)‖²``, the sum over all entries of the output, exactly.

    ``model`` is a :class:`SymbolicModel` (returns a :class:`Loss`, a polynomial in the weights); or, with given
    weights, an exact :class:`constructions.Network`, or a ``BaseConvModel``, ``BaseConvLayer`` or ``BaseConvOperator``,
    whose floats are taken as the rationals that they are (returns a :class:`fractions.Fraction`). ``target`` gets u of
    shape (n_rows, n_channels) and returns what the output should be; for a network, what ``decode`` should return, and
    u is zero where its task puts no data. ``moments`` are those of all entries of u (standard Gaussian when left out).
    Raises ``TypeError`` for another kind of model, ``ValueError`` when shapes differ or a weight is not finite.
    """
    moments = moments or Gaussian()
    if isinstance(model, SymbolicModel):
        return Loss(_symbolic(model, target, moments))
    run, n_rows, n_channels, free = _given(model)
    context = flint.fmpq_mpoly_ctx.get([f"u_{row}_{channel}" for row, channel in free] or ["u"], "degrevlex")
    ring = polynomials(context)
    u = ring.zeros((n_rows, n_channels))
    for place, generator in zip(free, context.gens(), strict=False):
        u[place] = generator
    error = difference(run(u, ring), wanted(target, u, ring))
    total = Fraction(0)
    for entry in error.flat:
        total += expectation_of_square(entry, len(free), moments)
    return total


def error_coefficients(model: SymbolicModel, target: TargetMap) -> tuple[list[ByMonomial], flint.fmpq_mpoly_ctx]:
    """For each entry of the output ``{exponents of u: coefficient in the error}``, and the context of the weights."""
    families = variable_names(model.shapes)
    names = [name for family in families.values() for name in family]
    inputs = [f"u_{row}_{channel}" for row in range(model.n_rows) for channel in range(model.n_channels)]
    if set(names) & set(inputs):
        raise ValueError(f"weights are named like inputs: {', '.join(sorted(set(names) & set(inputs)))}")
    joint = flint.fmpq_mpoly_ctx.get(names + inputs, "degrevlex")
    generators = dict(zip(names + inputs, joint.gens(), strict=True))
    weights = {
        family: array_of([generators[name] for name in members], model.shapes[family])
        for family, members in families.items()
    }
    u = array_of([generators[name] for name in inputs], (model.n_rows, model.n_channels))
    ring = polynomials(joint)
    output = ring.coerce(np.asarray(model.apply(weights, u), dtype=object))
    error = difference(output, wanted(target, u, ring))
    context = flint.fmpq_mpoly_ctx.get(names, "degrevlex")
    return [coefficients(entry, len(names), context) for entry in error.flat], context


def _symbolic(model: SymbolicModel, target: TargetMap, moments: Moments) -> flint.fmpq_mpoly:
    entries, context = error_coefficients(model, target)
    loss = context.constant(0)
    for parts in entries:
        loss += mean_square(parts, moments, context.constant(0))
    return loss


def _given(model: GivenModel) -> tuple[Callable[..., np.ndarray], int, int, list[tuple[int, int]]]:
    """(run on u over a ring, rows, channels, entries of u that hold data) of a model with given weights."""
    if isinstance(model, C.Network):
        network = model
        free = sorted(network.task.free_channels)
        return (
            lambda u, ring: network.decode(network.evaluate(u, ring)), network.n_rows, len(network.inputs), free,
        )  # fmt: skip
    if isinstance(model, C.BaseConvModel):
        n_rows, n_channels = model.positions.shape

        def run(u: np.ndarray, ring: Ring) -> np.ndarray:
            state = u + exact(model.positions.detach().cpu().numpy(), ring)
            for layer in model.layers:
                state = apply_layer(_exact_weights(layer.weights(), ring), state, layer.mode)  # type: ignore[operator, arg-type]
            return state
    elif isinstance(model, C.BaseConvLayer):
        n_rows, n_channels = model.n_rows, model.n_in

        def run(u: np.ndarray, ring: Ring) -> np.ndarray:
            return apply_layer(_exact_weights(model.weights(), ring), u, model.mode)
    elif isinstance(model, C.BaseConvOperator):
        n_rows, n_channels = model.n_rows, model.n_channels

        def run(u: np.ndarray, ring: Ring) -> np.ndarray:
            return apply_operator(_exact_weights(model.weights(), ring), u, model.mode)
    else:
        raise TypeError(
            "population_loss takes a SymbolicModel, a Network, a BaseConvModel, BaseConvLayer or BaseConvOperator, "
            f"got {type(model).__name__}"
        )
    return run, n_rows, n_channels, list(np.ndindex(n_rows, n_channels))


def _exact_weights(weights: W, ring: Ring) -> W:
    return replace(weights, **{name: exact(w, ring) for name, w in vars(weights).items() if w is not None})


def exact(values: np.ndarray, ring: Ring) -> np.ndarray:
    """Floats (or rationals) as elements of the ring, exactly; ``ValueError`` when one is not finite."""
    values = np.asarray(values)
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise ValueError("a weight of the model is not finite (NaN or infinity): it has no population loss")
        values = np.array([Fraction(float(value)) for value in values.flat], dtype=object).reshape(values.shape)
    return ring.elements(values)


def wanted(target: TargetMap, u: np.ndarray, ring: Ring) -> np.ndarray:
    """The target's polynomials. Raises ``ValueError`` for a coefficient that is not a rational number."""
    try:
        return ring.coerce(np.asarray(target(u), dtype=object))
    except TypeError as error:
        raise ValueError(
            f"the target must be a polynomial with rational coefficients, such as flint.fmpq(1, 10) for 0.1: {error}"
        ) from error


def difference(output: np.ndarray, target: np.ndarray) -> np.ndarray:
    if output.shape != target.shape:
        raise ValueError(f"the model's output has shape {output.shape}, the target {target.shape}: they must agree")
    return output - target


def coefficients(polynomial: flint.fmpq_mpoly, n_weights: int, context: flint.fmpq_mpoly_ctx) -> ByMonomial:
    """``{exponents of u: polynomial of the weights}`` of a polynomial whose first variables are the weights."""
    parts: dict[tuple[int, ...], dict[tuple[int, ...], flint.fmpq]] = {}
    for monomial, coefficient in polynomial.to_dict().items():
        exponents = tuple(map(int, monomial))
        parts.setdefault(exponents[n_weights:], {})[exponents[:n_weights]] = coefficient
    return {exponents: context.from_dict(terms) for exponents, terms in parts.items()}


def mean_square(
    parts: Mapping[tuple[int, ...], flint.fmpq_mpoly], moments: Moments, zero: flint.fmpq_mpoly
) -> flint.fmpq_mpoly:
    """``Σ_{α,β} c_α c_β E u^{α+β}``."""
    items = list(parts.items())
    total = zero
    for index, (left, coefficient) in enumerate(items):
        row = zero
        for offset, (right, other) in enumerate(items[index:]):
            moment = moments.moment(tuple(a + b for a, b in zip(left, right, strict=True)))
            if moment:
                row = row + other * fmpq(moment * (2 if offset else 1))
        total = total + row * coefficient
    return total


def expectation_of_square(polynomial: flint.fmpq_mpoly, n_inputs: int, moments: Moments) -> Fraction:
    """``E p(u)²`` for a polynomial with rational coefficients."""
    parts = {
        tuple(map(int, monomial[:n_inputs])): coefficient for monomial, coefficient in polynomial.to_dict().items()
    }
    value = mean_square(parts, moments, flint.fmpq(0))
    return Fraction(int(value.p), int(value.q))


def fmpq(value: Fraction) -> flint.fmpq:
    return flint.fmpq(value.numerator, value.denominator)


def as_fraction(polynomial: flint.fmpq_mpoly, point: Sequence[flint.fmpq]) -> Fraction:
    value = polynomial(*point)
    return Fraction(int(value.p), int(value.q))


def as_sympy(polynomial: flint.fmpq_mpoly) -> sympy.Expr:
    """A polynomial of python-flint in SymPy."""
    symbols = sympy.symbols(list(polynomial.context().names()))
    terms = {
        monomial: sympy.Rational(int(flint.fmpq(c).p), int(flint.fmpq(c).q))
        for monomial, c in polynomial.to_dict().items()
    }
    return sympy.Poly(terms or {(0,) * len(symbols): 0}, *symbols).as_expr()
