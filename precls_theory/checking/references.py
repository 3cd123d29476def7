"""What each construction claims to compute, written directly from the definition of the algorithm.

A reference shares nothing with the network but its parameters and where the data stand in the input: it is the textbook
loop, over the arrays of any ring. Regression methods are functions ``iterate(parameters, G, c, x, ring)`` of the sums
``G = Σ a aᵀ`` and ``c = Σ b a`` of the data points seen; :func:`regression` makes a reference of them, at every exact
row.

Another module adds its own with :func:`reference`::

    @reference("my_construction")
    def my_claim(network, u, ring): ...   # u: (..., n_rows, n_inputs) -> (..., n exact rows, n results)

or, in the package of constructions, defines a function ``reference(network, u, ring)`` beside the construction. Only
ring operations may touch the data: ``+``, ``-``, ``*``, ``ring.matmul``, ``ring.reduce``, ``ring.elements``.
"""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

import numpy as np

from constructions.algebra.rings import Ring
from constructions.networks.base import ExactNetwork
from constructions.networks.construction import ALIASES, CONSTRUCTIONS, rebuild
from constructions.networks.parameters import IterationParameters, PrimitiveParameters, claim_of, recorded
from constructions.networks.stack import LayerStack
from constructions.networks.tasks import Regression
from constructions.slicing.task import SlicedTask
from precls_theory.proofs.majorants import (
    MAJORANTS,
    VARIABLE,
    Majorant,
    input_majorants,
    network_majorant,
    outward,
    worst,
)

Claim = Callable[[ExactNetwork, np.ndarray, Ring], np.ndarray]
Iterate = Callable[[IterationParameters, np.ndarray, np.ndarray, np.ndarray, Ring], np.ndarray]
LOOP_STEPS = 2048
"""Gradient descent of more steps is computed by powers of its affine map instead of step by step."""


@dataclass(frozen=True)
class Reference:
    """A claim, and a bound on the polynomials that it computes (``None``: run the claim over majorants)."""

    claim: Claim
    bound: Callable[[ExactNetwork], Majorant] | None = None


REFERENCES: dict[str, Reference] = {}


def reference(algorithm: str, bound: Callable[[ExactNetwork], Majorant] | None = None) -> Callable[[Claim], Claim]:
    """Register the decorated claim for ``algorithm``; see the module for its signature."""

    def register(claim: Claim) -> Claim:
        REFERENCES[algorithm] = Reference(claim, bound)
        return claim

    return register


def find(algorithm: str) -> Reference:
    """The reference of ``algorithm``; raises ``LookupError`` when there is none."""
    name = ALIASES.get(algorithm, algorithm)
    if name not in REFERENCES and name in CONSTRUCTIONS:
        claim = getattr(importlib.import_module(CONSTRUCTIONS[name].__module__), "reference", None)
        if claim is not None:
            REFERENCES[name] = Reference(claim)
    if name not in REFERENCES:
        raise LookupError(
            f"no reference says what {algorithm!r} computes: known are {', '.join(sorted(REFERENCES))}; "
            "see precls_theory.checking.references"
        )
    return REFERENCES[name]


def claimed(network: ExactNetwork, u: np.ndarray, ring: Ring) -> np.ndarray:
    """What ``network`` claims at its exact rows on the input ``u``: shape (..., n exact rows, n results).

    ``u`` has shape (..., n_rows, n_inputs) and entries in ``ring``; results are in the order of ``task.columns``.
    """
    return find(network.algorithm).claim(network, u, ring)


def computed(network: ExactNetwork, u: np.ndarray, ring: Ring) -> np.ndarray:
    """What ``network`` computes where it claims something: shape (..., n exact rows, n results)."""
    return results(network, network.evaluate(u, ring)[..., list(network.task.exact_rows), :], ring)


def results(network: ExactNetwork, output: np.ndarray, ring: Ring) -> np.ndarray:
    """The results (..., n results) in an output (..., n outputs): one channel each, or the sum of its digit channels."""
    if isinstance(network.task, SlicedTask):
        return ring.reduce(network.task.results(output))
    return output[..., list(network.task.columns)]


def computed_majorant(network: ExactNetwork) -> Majorant:
    """A bound on the polynomials that ``network`` computes where it claims something."""
    if not isinstance(network, LayerStack):
        return worst(computed(network, input_majorants(network), MAJORANTS))
    bound = network_majorant(network)
    if isinstance(network.task, SlicedTask):
        most = max(len(group) for group in network.task.groups)
        bound = Majorant(bound.degree, outward(bound.log2_norm + outward(math.log2(most))), bound.denominators)
    return bound


def claimed_majorant(network: ExactNetwork) -> Majorant:
    """A bound on the polynomials that ``network`` claims to compute."""
    known = find(network.algorithm)
    if known.bound is not None:
        return known.bound(network)
    return worst(known.claim(network, input_majorants(network), MAJORANTS))


# --- Sliced networks -----------------------------------------------------------------------------------------------


def _original(network: ExactNetwork) -> ExactNetwork:
    """The network that was sliced, rebuilt from the recorded parameters; once, where they are text as in a file."""
    inner = claim_of(network.parameters)
    try:
        name = inner["algorithm"]
        return _rebuilt(json.dumps(inner, sort_keys=True), CONSTRUCTIONS.get(ALIASES.get(name, name)))
    except TypeError:  # symbols as parameters
        return rebuild(inner["algorithm"], inner["parameters"])


@lru_cache(maxsize=4)
def _rebuilt(claim: str, build: Callable[..., ExactNetwork] | None) -> ExactNetwork:
    """The network of a claim; a proof asks for it at every point. ``build`` is the construction, a function of its parameters."""
    inner = json.loads(claim)
    return rebuild(inner["algorithm"], inner["parameters"])


def _sliced_bound(network: ExactNetwork) -> Majorant:
    """A digit sum of K variables in place of each variable: ‖f‖₁ grows by at most K^degree, and the degree stays."""
    assert isinstance(network.task, SlicedTask)
    bound = claimed_majorant(_original(network))
    most = max(len(digits) for digits in network.task.digits)
    return Majorant(
        bound.degree, outward(bound.log2_norm + outward(bound.degree * math.log2(max(most, 1)))), bound.denominators
    )


@reference("sliced", _sliced_bound)
def sliced(network: ExactNetwork, u: np.ndarray, ring: Ring) -> np.ndarray:
    """What the original claims on the sums of the digits."""
    original, task = _original(network), network.task
    assert isinstance(task, SlicedTask)
    zeros = ring.zeros((*u.shape[:-2], original.n_rows, len(original.inputs)))
    return claimed(original, ring.reduce(task.merge(ring.coerce(u), zeros)), ring)


# --- Regression ---------------------------------------------------------------------------------------------------


def regression(algorithm: str) -> Callable[[Iterate], Iterate]:
    """Make a reference of an iteration on the normal equations of the data points that each exact row has seen."""

    def register(iterate: Iterate) -> Iterate:
        def claim(network: ExactNetwork, u: np.ndarray, ring: Ring) -> np.ndarray:
            task = network.task
            assert isinstance(task, Regression)
            seen = [task.points_seen(row) for row in task.exact_rows]
            problems, which = np.unique(seen, return_inverse=True)
            G, c, x = _normal_equations(task, ring.coerce(u), problems, ring)
            return iterate(recorded(network.parameters, IterationParameters), G, c, x, ring)[..., which, :]

        def bound(network: ExactNetwork) -> Majorant:
            """Run the iteration on one unknown. With |M| the largest row sum of ‖entries‖₁ of a matrix M and |v| the
            largest ‖entry‖₁ of a vector, |M + N| ≤ |M| + |N|, |MN| ≤ |M||N| and |Mv| ≤ |M||v|; and |G| ≤ N·D, |c| ≤
            N, |x_init| ≤ 1."""
            task = network.task
            assert isinstance(task, Regression)
            norm_G = VARIABLE * VARIABLE * (task.n_points * task.n_dims)
            norm_c = VARIABLE * VARIABLE * task.n_points
            norm_x = VARIABLE if task.takes_start else Majorant.of(0)
            G, c, x = (
                np.full(shape, value, dtype=object)
                for shape, value in (((1, 1, 1), norm_G), ((1, 1), norm_c), ((1, 1), norm_x))
            )
            return worst(iterate(recorded(network.parameters, IterationParameters), G, c, x, MAJORANTS))

        reference(algorithm, bound)(claim)
        return iterate

    return register


def _normal_equations(
    task: Regression, u: np.ndarray, problems: np.ndarray, ring: Ring
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """G (..., p, D, D), c (..., p, D) and x_init (..., p, D) of the first ``problems[p]`` data points, for each p."""
    N, D = task.n_points, task.n_dims
    first = 1 if task.layout == "S" else 0
    A, b = u[..., first : first + N, :D], u[..., first : first + N, D]
    rows = ring.reduce(A[..., :, None] * A[..., None, :])
    targets = ring.reduce(A * b[..., None])
    batch = u.shape[:-2]
    G, c = ring.zeros((*batch, len(problems), D, D)), ring.zeros((*batch, len(problems), D))
    start, sum_G, sum_c = 0, ring.zeros((*batch, D, D)), ring.zeros((*batch, D))
    for index, stop in enumerate(problems.tolist()):
        sum_G = ring.reduce(sum_G + np.add.reduce(rows[..., start:stop, :, :], axis=-3)) if stop > start else sum_G
        sum_c = ring.reduce(sum_c + np.add.reduce(targets[..., start:stop, :], axis=-2)) if stop > start else sum_c
        G[..., index, :, :], c[..., index, :], start = sum_G, sum_c, stop
    x = ring.zeros((*batch, D))
    if task.takes_start:
        own = slice(D + 1, 2 * D + 1)
        where = {"A": (0, own), "E": (N, slice(D)), "S": (0, slice(D)), "separate": (N, own)}[task.layout]
        x = u[..., where[0], where[1]]
    return G, c, np.broadcast_to(x[..., None, :], c.shape)


def _times(matrix: np.ndarray, vector: np.ndarray, ring: Ring) -> np.ndarray:
    return ring.matmul(matrix, vector[..., None])[..., 0]


def _identity(like: np.ndarray, scale: Fraction, ring: Ring) -> np.ndarray:
    size = like.shape[-1]
    eye = np.array([[scale if i == j else Fraction(0) for j in range(size)] for i in range(size)], dtype=object)
    return np.broadcast_to(ring.elements(eye), like.shape)


@regression("gated_gradient_descent")
@regression("linear_attention_gradient_descent")
@regression("gradient_descent")
def gradient_descent(
    parameters: IterationParameters, G: np.ndarray, c: np.ndarray, x: np.ndarray, ring: Ring
) -> np.ndarray:
    """``x ← x − (η/N)(G x − c)``, k times."""
    step, n_steps = Fraction(parameters["step_size"]) / parameters["n_points"], parameters["n_steps"]
    s = ring.elements([step])
    if n_steps <= LOOP_STEPS:
        for _ in range(n_steps):
            x = ring.reduce(x - s * ring.reduce(_times(G, x, ring) - c))
        return x
    # The k-th power of the affine map x ↦ P x + q by repeated squaring.
    P, q = ring.reduce(_identity(G, Fraction(1), ring) - s * G), ring.reduce(s * c)
    while n_steps:
        if n_steps % 2:
            x = ring.reduce(_times(P, x, ring) + q)
        n_steps //= 2
        if n_steps:
            P, q = ring.matmul(P, P), ring.reduce(_times(P, q, ring) + q)
    return x


@regression("heavy_ball")
def heavy_ball(parameters: IterationParameters, G: np.ndarray, c: np.ndarray, x: np.ndarray, ring: Ring) -> np.ndarray:
    """``x_{k+1} = x_k − η g(x_k) + β (x_k − x_{k−1})`` with ``x_{−1} = x_0`` (Polyak 1964)."""
    step = ring.elements([Fraction(parameters["step_size"]) / parameters["n_points"]])
    beta = ring.elements([Fraction(parameters["momentum"])])
    previous = x
    for _ in range(parameters["n_steps"]):
        gradient = ring.reduce(_times(G, x, ring) - c)
        velocity = ring.reduce(x - previous)
        previous, x = x, ring.reduce(x - ring.reduce(step * gradient) + ring.reduce(beta * velocity))
    return x


@regression("chebyshev")
def chebyshev(parameters: IterationParameters, G: np.ndarray, c: np.ndarray, x: np.ndarray, ring: Ring) -> np.ndarray:
    """The Chebyshev semi-iteration by the values ``T_k(σ)``, σ = (upper + lower)/(upper − lower) (Golub & Varga 1961):

    ``x_1 = x_0 − g/d`` and ``x_{k+1} = ω (x_k − g/d − x_{k−1}) + x_{k−1}``, ω = 2σ T_k(σ)/T_{k+1}(σ), d the middle of
    the interval.
    """
    lower, upper = Fraction(parameters["lower"]), Fraction(parameters["upper"])
    sigma = (upper + lower) / (upper - lower)
    scale = ring.elements([2 / (upper + lower) / parameters["n_points"]])
    previous, t_previous, t = x, Fraction(1), sigma
    for k in range(parameters["n_steps"]):
        moved = ring.reduce(x - scale * ring.reduce(_times(G, x, ring) - c))
        if k == 0:
            previous, x = x, moved
            continue
        t_previous, t = t, 2 * sigma * t - t_previous
        omega = ring.elements([2 * sigma * t_previous / t])
        previous, x = x, ring.reduce(ring.reduce(omega * ring.reduce(moved - previous)) + previous)
    return x


@regression("explicit_gradient")
def explicit_gradient(
    parameters: IterationParameters, G: np.ndarray, c: np.ndarray, x: np.ndarray, ring: Ring
) -> np.ndarray:
    """``g(x) = (1/N)(G x − c)``."""
    return ring.reduce(ring.elements([Fraction(1, parameters["n_points"])]) * ring.reduce(_times(G, x, ring) - c))


@regression("newton")
def newton(parameters: IterationParameters, G: np.ndarray, c: np.ndarray, x: np.ndarray, ring: Ring) -> np.ndarray:
    """``x = M_t c`` with ``M ← 2M − M G M`` from ``M_0 = αI``, then ``x ← x + M (c − G x)`` for each refinement."""
    two = ring.elements([2])
    M = _identity(G, Fraction(parameters["alpha"]), ring)
    for _ in range(parameters["n_iters"]):
        M = ring.reduce(two * M - ring.matmul(ring.matmul(M, G), M))
    x = _times(M, c, ring)
    for _ in range(parameters.get("refinements", 0)):
        x = ring.reduce(x + _times(M, ring.reduce(c - _times(G, x, ring)), ring))
    return x


@regression("gram_refinement")
def gram_refinement(
    parameters: IterationParameters, G: np.ndarray, c: np.ndarray, x: np.ndarray, ring: Ring
) -> np.ndarray:
    """``x ← x + M_t (c − G x)`` from zero, M_t by Newton's iteration from αI."""
    two, zero = ring.elements([2]), ring.elements([0])
    M = _identity(G, Fraction(parameters["alpha"]), ring)
    for _ in range(parameters["n_iters"]):
        M = ring.reduce(two * M - ring.matmul(ring.matmul(M, G), M))
    x = ring.reduce(zero * c)
    for _ in range(parameters["refinements"]):
        x = ring.reduce(x + _times(M, ring.reduce(c - _times(G, x, ring)), ring))
    return x


@reference("centred_refinement")
@reference("centred_newton")
def centred(network: ExactNetwork, u: np.ndarray, ring: Ring) -> np.ndarray:
    """The centred, scaled problem by Newton's iteration in its direct form, with its refinements where it has any from zero,
    and its coefficients taken back."""
    p, task = recorded(network.parameters, IterationParameters), network.task
    N, D = p["n_points"], p["n_dims"]
    given = ring.coerce(u)
    A, b = given[..., :N, :D], given[..., :N, D]
    scales = [Fraction(scale) for scale in p["scales"] or ["1"] * (D - 1)]
    share, factors = ring.elements([Fraction(1, N)]), ring.elements(np.array(scales, dtype=object))
    means = ring.reduce(share * ring.reduce(np.add.reduce(A[..., 1:], axis=-2)))
    others = ring.reduce(factors * ring.reduce(A[..., 1:] - means[..., None, :]))
    Z = np.concatenate([A[..., :1], others], axis=-1)
    G = ring.reduce(np.add.reduce(ring.reduce(Z[..., :, None] * Z[..., None, :]), axis=-3))
    c = ring.reduce(np.add.reduce(ring.reduce(Z * b[..., None]), axis=-2))
    # from zero the first round gives M c, which is all of Newton's iteration
    y = gram_refinement({**p, "refinements": p.get("refinements", 1)}, G, c, c, ring)
    rest = ring.reduce(factors * y[..., 1:])
    inverse = ring.elements([1 / Fraction(p["constant"])])
    moved = ring.reduce(np.add.reduce(ring.reduce(means * rest), axis=-1, keepdims=True))
    first = ring.reduce(y[..., :1] - ring.reduce(inverse * moved))
    x = np.concatenate([first, rest], axis=-1)
    return np.broadcast_to(x[..., None, :], (*x.shape[:-1], len(task.exact_rows), D))


# --- Primitives ---------------------------------------------------------------------------------------------------


@reference("read")
def read(network: ExactNetwork, u: np.ndarray, ring: Ring) -> np.ndarray:
    """Channels ``start:stop`` of row ``source`` copied into row ``target``."""
    p = recorded(network.parameters, PrimitiveParameters)
    y = ring.coerce(u)[..., : p["n_channels"]].copy()
    y[..., p["target"], p["start"] : p["stop"]] = y[..., p["source"], p["start"] : p["stop"]]
    return y


@reference("linear")
def linear(network: ExactNetwork, u: np.ndarray, ring: Ring) -> np.ndarray:
    """``u W + c``."""
    p = recorded(network.parameters, PrimitiveParameters)
    weight = np.array([[Fraction(entry) for entry in row] for row in p["weight"]], dtype=object)
    bias = p["bias"] or [0] * weight.shape[1]
    product = ring.matmul(ring.coerce(u), ring.elements(weight))
    return ring.reduce(product + ring.elements([Fraction(entry) for entry in bias]))


@reference("linear_attention_multiply")
@reference("gated_multiply")
@reference("multiply")
def multiply(network: ExactNetwork, u: np.ndarray, ring: Ring) -> np.ndarray:
    """Channels ``target:target+length`` replaced by the product of two blocks; with ``clear=False`` it is added to them."""
    p = recorded(network.parameters, PrimitiveParameters)
    u = ring.coerce(u)[..., : p["n_channels"]]
    y, length = u.copy(), p["length"]
    left, right, target = (u[..., at : at + length] for at in (p["left"], p["right"], p["target"]))
    product = ring.reduce(left * right)
    y[..., p["target"] : p["target"] + length] = product if p.get("clear", True) else ring.reduce(target + product)
    return y


# --- Weights of their own -------------------------------------------------------------------------------------------


@reference("own_weights")
def own_weights(network: ExactNetwork, u: np.ndarray, ring: Ring) -> np.ndarray:
    """What the construction whose function is claimed says, at the rows of this network's task."""
    original = _original(network)
    return claimed(replace(original, task=network.task), u, ring)
