"""What can be proved of a trained explicit-gradient model, all at once: ``precls prove-trained``.

Its weights are floats, hence rationals, and its error is a polynomial in the input. Small ones are expanded over Q by
python-flint and everything is exact; larger ones get proven enclosures (:mod:`precls_theory.training.certify.difference`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import flint
import numpy as np

import constructions as C
from constructions.algebra.rings import polynomials as polynomial_ring
from constructions.models.exact_weights import exact_weights, network_with, rationals
from constructions.models.operators import LayerWeights
from constructions.networks.network import Network
from precls_theory.checking.check import CheckResult, check
from precls_theory.training.certify.bounds import (
    Enclosure,
    Monomials,
    exact_mean_square,
    exact_sup_norm,
    n_coefficients,
)
from precls_theory.training.certify.difference import error_polynomials, n_variables
from precls_theory.training.certify.equations import Sizes
from precls_theory.training.certify.snap import NoExactNetwork, Snapped, snap

EXACT_COEFFICIENTS = 6000
"""Up to so many coefficients an output (14 inputs: D=2, N=4 has 3060) everything is expanded over Q."""
BOX = Fraction(3)
Watch = Callable[[str], None]


@dataclass(frozen=True)
class Proof:
    """What was proved of a trained model.

    ``population_loss`` is ``E|e|²/D``, the mean over coordinates, for rows, targets and x_init that are independent N(0, 1)
    (the targets too: not b = A x, as in training end to end). ``sup_error`` bounds every coordinate of the error on the
    box |inputs| ≤ ``box``. ``snapped`` and ``network`` are the exact network near it, which ``verdict`` accepted; where
    there is none they are ``None``, and ``why_not`` says why.
    """

    population_loss: Enclosure
    sup_error: Fraction
    box: Fraction
    snapped: Snapped | None
    network: Network | None
    verdict: CheckResult | None
    why_not: str


def prove(model: C.BaseConvModel, sizes: Sizes, box: Fraction = BOX, watch: Watch = lambda _: None) -> Proof:
    """Prove what can be proved of a causal two-layer model without positions; ``watch`` is told what is being done.

    Raises ``ValueError`` for another model, or weights that are not finite; ``MemoryError`` beyond a size.
    """
    weights = exact_layers(model, sizes)
    watch("the population loss and the sup norm of the error")
    loss, supremum = bounds(weights, sizes, box)
    like = C.explicit_gradient(n_points=sizes.n_points, n_dims=sizes.n_dims)
    try:
        watch("an exact network nearby")
        snapped = snap(weights, sizes)
    except NoExactNetwork as error:
        return Proof(loss, supremum, box, None, None, None, str(error))
    network = network_with(snapped.layers, rationals("positions", model.positions), model.mode, like)
    watch("the check of the exact network")
    verdict = check(network)
    if not verdict.ok:
        return Proof(loss, supremum, box, None, None, verdict, f"the network found is refused: {verdict.message}")
    return Proof(loss, supremum, box, snapped, network, verdict, "")


def exact_layers(model: C.BaseConvModel, sizes: Sizes) -> list[LayerWeights]:
    """The two layers as rationals; ``ValueError`` for a model of another shape."""
    if not isinstance(model, C.BaseConvModel) or len(model.layers) != 2 or model.mode != "causal":
        raise ValueError("only causal BaseConv models of two layers are looked at: train with --recipe layerwise")
    if bool(model.positions.any()):
        raise ValueError("only models without positions are looked at; those of this one are not zero")
    if tuple(model.positions.shape) != (sizes.n_points + 1, sizes.n_dims + 1):
        raise ValueError(f"expected {sizes.n_points + 1} rows of {sizes.n_dims + 1} channels")
    layers = []
    for number, layer in enumerate(model.layers, 1):
        assert isinstance(layer, C.BaseConvLayer)
        try:
            layers.append(exact_weights(layer))
        except ValueError as error:
            raise ValueError(
                f"layer {number} of 2: {error}: nothing can be proved of it, train the model again"
            ) from error
    if layers[1].out_weight.shape[1] != sizes.n_dims:
        raise ValueError(f"expected {sizes.n_dims} outputs, got {layers[1].out_weight.shape[1]}")
    return layers


def bounds(layers: Sequence[LayerWeights], sizes: Sizes, box: Fraction) -> tuple[Enclosure, Fraction]:
    """The population loss, mean over coordinates, and a bound on every coordinate's error over the box."""
    if n_coefficients(n_variables(sizes)) <= EXACT_COEFFICIENTS:
        polynomials = exact_errors(layers, sizes)
        total = sum(map(exact_mean_square, polynomials), Fraction(0)) / sizes.n_dims
        return Enclosure(total, total), max(exact_sup_norm(polynomial, box) for polynomial in polynomials)
    errors = error_polynomials(layers, sizes)
    table = Monomials(n_variables(sizes), unused=sizes.n_dims)
    lower = upper = supremum = Fraction(0)
    for error in errors:
        part = table.mean_square(error)
        lower, upper = lower + part.lower / sizes.n_dims, upper + part.upper / sizes.n_dims
        supremum = max(supremum, table.sup_norm(error, box))
    return Enclosure(lower, upper), supremum


def exact_errors(layers: Sequence[LayerWeights], sizes: Sizes) -> list[flint.fmpq_mpoly]:
    """Network minus gradient as ``fmpq_mpoly`` in x_init and the rows, one for each coordinate."""
    N, D = sizes.n_points, sizes.n_dims
    names = [f"x_{d}" for d in range(D)] + [f"u_{n}_{d}" for n in range(N) for d in range(D + 1)]
    context = flint.fmpq_mpoly_ctx.get(names, "degrevlex")
    ring = polynomial_ring(context)
    generators = context.gens()
    u = ring.zeros((N + 1, D + 1))
    for d in range(D):
        u[0, d] = generators[d]
    for n, d in np.ndindex(N, D + 1):
        u[n + 1, d] = generators[D + n * (D + 1) + d]
    like = C.explicit_gradient(n_points=N, n_dims=D)
    none = np.full((N + 1, D + 1), Fraction(0), dtype=object)
    output = network_with(layers, none, "causal", like).evaluate(u, ring)[N, :D]
    return [output[i] - wanted for i, wanted in enumerate(gradient(u, sizes))]


def gradient(u: np.ndarray, sizes: Sizes) -> list[flint.fmpq_mpoly]:
    """``(1/N) Σ_n (a_n·x − b_n) a_n``, from the definition."""
    N, D = sizes.n_points, sizes.n_dims
    total = [u[0, 0] * 0 for _ in range(D)]
    for row in u[1:]:
        residual = -row[D]
        for d in range(D):
            residual = residual + row[d] * u[0, d]
        total = [value + residual * row[d] for d, value in enumerate(total)]
    return [value * flint.fmpq(1, N) for value in total]
