"""Population losses by moments are the expectations: checked against exact quadrature, which knows no moments.

A rule with nodes 0, ±√3 and weights 2/3, 1/6, 1/6 integrates polynomials of degree 5 against N(0, 1) exactly
(Gauss–Hermite); 0, ±√(3/5) with 4/9, 5/18, 5/18 do so on [−1, 1] (Gauss–Legendre). An operator's or a layer's squared
error has degree at most 4 in each entry of u, so product rules give the loss exactly, as a polynomial in the weights.
The square roots enter as a symbol s with s² = 3 or 3/5. For a covariance C Cᵀ the nodes are mapped by C.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from fractions import Fraction

import flint

from constructions.algebra.rings import Ring, polynomials
from precls_theory.landscape import targets
from precls_theory.landscape.moments import Gaussian, Moments, Rademacher, Uniform
from precls_theory.landscape.population_loss import (
    SymbolicModel,
    TargetMap,
    fmpq,
    layer_model,
    operator_model,
    population_loss,
)
from precls_theory.proofs.symbolic import array_of, require_equal, variable_names
from precls_theory.registry import Evidence, Size, theorem

Node = tuple[Fraction, Fraction]
"""(multiple of s, weight)."""
HERMITE = [(Fraction(0), Fraction(2, 3)), (Fraction(1), Fraction(1, 6)), (Fraction(-1), Fraction(1, 6))], Fraction(3)
LEGENDRE = (
    [(Fraction(0), Fraction(4, 9)), (Fraction(1), Fraction(5, 18)), (Fraction(-1), Fraction(5, 18))],
    Fraction(3, 5),
)
SIGNS = [(Fraction(1), Fraction(1, 2)), (Fraction(-1), Fraction(1, 2))], Fraction(1)
CHOLESKY = ((2, 0), (1, 3))
"""C of the correlated example: covariance C Cᵀ = [[4, 2], [2, 10]]."""


def quadrature(
    model: SymbolicModel, target: TargetMap, rule: tuple[Sequence[Node], Fraction], mix: Sequence[Sequence[int]] | None
) -> flint.fmpq_mpoly:
    """``E‖model(u) − target(u)‖²`` by the product rule, over Q[weights, s]/(s² − square)."""
    nodes, square = rule
    families = variable_names(model.shapes)
    names = [name for family in families.values() for name in family]
    context = flint.fmpq_mpoly_ctx.get((*names, "s"), "degrevlex")
    generators = dict(zip(names, context.gens(), strict=False))
    s = context.gens()[-1]
    weights = {
        family: array_of([generators[name] for name in members], model.shapes[family])
        for family, members in families.items()
    }
    count = model.n_rows * model.n_channels
    total = context.constant(0)
    for chosen in itertools.product(nodes, repeat=count):
        values = [place for place, _ in chosen]
        if mix is not None:
            values = [sum((c * value for c, value in zip(row, values, strict=True)), Fraction(0)) for row in mix]
        u = array_of([s * fmpq(value) for value in values], (model.n_rows, model.n_channels))
        error = model.apply(weights, u) - target(u)
        chance = Fraction(1)
        for _, weight in chosen:
            chance *= weight
        for entry in error.flat:
            total += entry * entry * fmpq(chance)
    reduced: dict[tuple[int, ...], flint.fmpq] = {}
    for monomial, coefficient in total.to_dict().items():
        exponents = tuple(map(int, monomial))
        key = exponents[:-1]
        # Odd powers of s cancel: nodes are symmetric.
        reduced[key] = reduced.get(key, flint.fmpq(0)) + coefficient * fmpq(square) ** (exponents[-1] // 2)
        if exponents[-1] % 2:
            raise ArithmeticError("an odd power of a square root survived a symmetric rule")
    small = flint.fmpq_mpoly_ctx.get(names, "degrevlex")
    return small.from_dict({key: c for key, c in reduced.items() if c})


def covariance() -> list[list[int]]:
    return [[sum(a * b for a, b in zip(x, y, strict=True)) for y in CHOLESKY] for x in CHOLESKY]


def prove_moments(
    name: str,
    model: SymbolicModel,
    target: TargetMap,
    moments: Moments,
    rule: tuple[Sequence[Node], Fraction],
    mix: Sequence[Sequence[int]] | None = None,
) -> None:
    """The loss by moments equals the loss by quadrature, as polynomials in the weights."""
    loss = population_loss(model, target, moments).polynomial
    expected = quadrature(model, target, rule, mix)
    ring = _ring(loss)
    require_equal(array_of([loss], (1,)), array_of([expected], (1,)), name, ring)


def _ring(polynomial: flint.fmpq_mpoly) -> Ring:
    return polynomials(polynomial.context())


class WrongFourth(Gaussian):
    """A Gaussian whose fourth moment is taken to be 1."""

    def _even(self, degree: int) -> Fraction:
        return Fraction(1)


Make = Callable[..., Moments]


@theorem(
    id="landscape-population-loss",
    title="Population losses are polynomials in the weights, by moments",
    statement=r"\mathbf E\|F_\theta(u)-T(u)\|^2=\sum_{\alpha,\beta}c_\alpha(\theta)c_\beta(\theta)\,\mathbf E\,u^{\alpha+\beta},"
    r"\quad \mathbf E\,x_i\prod_{j\in J}x_j=\sum_{j\in J}\Sigma_{ij}\,\mathbf E\prod_{J\setminus j}x",
    hypotheses=("u Gaussian of any covariance, uniform or Rademacher", "F_θ polynomial in u and θ"),
    source="Isserlis 1918; as an algorithm, new",
    covers="by exact quadrature, all weights symbols, u of two entries at most: operators (Square, Multiply, Read) and layers "
    "(Square, Linear) at two rows of one channel or one row of two; a correlated Gaussian for two operators",
    controls={
        "the fourth moment of a Gaussian taken for 1": {"gaussian": WrongFourth},
        "correlations forgotten": {"correlated": lambda matrix: Gaussian()},
    },
)
def population_losses(size: Size, gaussian: Make = Gaussian, correlated: Make = Gaussian) -> Evidence:
    cases: list[tuple[str, SymbolicModel, TargetMap]] = [
        ("operator, Square, two rows", operator_model(2, 1), targets.square),
        ("operator, Multiply", operator_model(1, 2), targets.multiply(0, 1, 1)),
        ("operator, Read", operator_model(2, 1), targets.read(0, 1)),
        ("circular operator, Square", operator_model(2, 1, "circular"), targets.square),
        ("layer, Square, two units", layer_model(1, 1, 2, 1), targets.square),
        ("layer, Square, two rows", layer_model(2, 1, 1, 1), targets.square),
        ("layer, Linear, two channels", layer_model(1, 2, 1, 2), targets.linear([[1, 2], ["1/2", -1]], [0, 3])),
    ]
    for name, model, target in cases:
        prove_moments(name, model, target, gaussian(), HERMITE)
        prove_moments(f"{name}, uniform", model, target, Uniform(), LEGENDRE)
        prove_moments(f"{name}, Rademacher", model, target, Rademacher(), SIGNS)
    for name, model, target in (cases[0], cases[1]):
        prove_moments(f"{name}, correlated", model, target, correlated(covariance()), HERMITE, CHOLESKY)
    return Evidence(
        f"executed: {len(cases)} operators (causal, one circular) and layers, all weights symbols, of two entries of u at most, "
        "Gaussian, uniform, Rademacher, one correlated Gaussian. Argued: every size (Isserlis)",
        "Q[weights]",
        "python-flint: moments against Gauss quadrature",
    )
