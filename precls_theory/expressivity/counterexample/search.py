"""Inputs at which a model provably misses a polynomial target, and the miss as it is measured there.

*On all inputs.*  A growth certificate says ``‖F(u)‖ ≤ p(‖u‖)``.  Along a ray ``t v`` on which the target's part of
highest degree does not vanish, ``‖target(t v)‖ - p(t ‖v‖)`` grows without bound once the degree of the target exceeds
that of p, so some ``t`` misses by any margin.  The input is a power of two times small integers: exact in every float
format.  The miss is then measured in float64 and enclosed in ball arithmetic.

*On an open set* (``region``) a growth bound says nothing about values, so the argument is that of the any-depth
theorem: near a point at which no ReLU argument vanishes the model is one analytic piece; its directional derivatives
there are enclosed and compared with the target's.  One that differs proves that the model is not the target on any
neighbourhood of that point, and the largest miss found in the region is enclosed too.

Source: new.
"""

from __future__ import annotations

import math
from fractions import Fraction
from numbers import Real

import flint
import numpy as np
from torch import nn

from precls_theory.expressivity.balls.evaluator import Unsupported
from precls_theory.expressivity.counterexample.exact import (
    Counterexample,
    Judge,
    above,
    below,
    coefficients_of,
    line_through,
    norm_of,
    polynomial_at,
)
from precls_theory.expressivity.counterexample.region import Region, in_region
from precls_theory.expressivity.growth.certificate import certify
from precls_theory.expressivity.targets import TargetLike, make_target
from precls_theory.expressivity.tracing.program import Inconclusive, Program
from precls_theory.expressivity.tracing.trace import check_input_shape, private_copy, trace


def _directions(shape: tuple[int, int, int], count: int, seed: int) -> list[np.ndarray]:
    """Small integer directions to try: all ones, single rows, a few random ones; only the first sample moves."""
    rng = np.random.default_rng(seed)
    ones = np.ones(shape, dtype=int)
    found = [ones, *(rng.integers(-2, 3, size=shape) for _ in range(count))]
    for direction in found:
        direction[1:] = 0
    return [d for d in found if d.any()]


def counterexample(
    model: nn.Module,
    target: TargetLike,
    margin: float = 1.0,
    input_shape: tuple[int, int, int] = (1, 20, 6),
    *,
    step_size: float | Fraction = 1,
    region: Region | None = None,
    order: int = 3,
    bits: int = 256,
    seed: int = 0,
) -> Counterexample:
    """An explicit input at which the model provably misses the target by ``margin`` (Euclidean norm).

    Args:
        model: maps ``(batch, rows, channels)`` to ``(batch, rows, channels)``; taken with its weights in float64,
            which is exact for narrower formats.  It is not changed.
        target: see :func:`make_target`.
        margin: the miss that is asked for; with ``region``, 0 asks for any certain miss.
        input_shape: ``(batch, rows, channels)``.
        step_size: η of ``"gradient_descent"``.
        region: ``(centre, radius)``: only inputs with ``|u - centre| < radius`` entrywise; centre broadcasts.
        order: with ``region``, the highest derivative that is compared.
        bits: precision of the ball arithmetic.

    Raises:
        Inconclusive: no growth certificate, or the target grows no faster than the certificate allows, or no miss of
            that size was found in the region.
        ValueError: shapes that do not fit the target, a margin that is negative or not finite.
    """
    if not (isinstance(margin, Real) and math.isfinite(margin) and margin >= 0):
        raise ValueError(f"margin must be finite and nonnegative, got {margin!r}")
    check_input_shape(input_shape)
    if len(input_shape) != 3:
        raise ValueError(f"input_shape must be (batch, rows, channels), got {input_shape}")
    model = private_copy(model).double()
    if isinstance(target, str):  # what is wrong with a name or a step size is said before the model is traced
        make_target(target, input_shape, input_shape, step_size)
    return search(
        trace(model, tuple(input_shape)),
        target,
        margin,
        step_size=step_size,
        region=region,
        order=order,
        bits=bits,
        seed=seed,
    )


def search(
    program: Program,
    target: TargetLike,
    margin: float = 1.0,
    *,
    step_size: float | Fraction = 1,
    region: Region | None = None,
    order: int = 3,
    bits: int = 256,
    seed: int = 0,
) -> Counterexample:
    """:func:`counterexample` for a model in float64 that was traced before."""
    model = program.model
    batch, rows, channels = program.input_shape
    input_shape = (batch, rows, channels)
    aim = make_target(target, input_shape, program.output_shape, step_size)
    judge = Judge(model, program, aim, bits)
    if region is not None:
        return in_region(judge, margin, input_shape, region, order, seed)
    certificate = certify(program, model, exponent=None)
    zero = np.zeros(input_shape, dtype=int)
    best: tuple[float, np.ndarray] | None = None
    degree = 0
    for direction in _directions(input_shape, 16, seed):
        line = aim.value(line_through(zero, direction))
        top = max(p.degree() for p in line.reshape(-1))
        lead = below(norm_of(coefficients_of(line, max(top, 0)))) / float(np.linalg.norm(direction)) ** max(top, 0)
        if best is None or (top, lead) > (degree, best[0]):
            best, degree = (lead, direction), top
    assert best is not None
    if degree <= certificate.exponent:
        raise Inconclusive(
            type(model).__name__,
            f"the target grows as t^{degree} along a ray and the model's proven growth is ‖u‖^{certificate.exponent}, "
            "so growth does not separate them; give a region to compare derivatives",
        )
    direction = best[1]
    line = aim.value(line_through(zero, direction))
    for power in range(1000):
        with flint.ctx.workprec(bits):
            t = flint.fmpq(2) ** power
            reached = norm_of([p(t) for p in line.reshape(-1)])
            allowed = polynomial_at(certificate.coefficients, flint.arb(t) * norm_of(direction.reshape(-1).tolist()))
            proven = below(reached - allowed)
        if proven >= margin and proven > 0:
            break
    else:
        raise Inconclusive(type(model).__name__, f"no input up to 2^{power} reaches the margin {margin}")
    u = direction.astype(float) * 2.0**power
    low, high, note = None, None, ""
    scale, direct = None, None
    try:
        miss = judge.enclosed(u)
        low, high = below(miss), above(miss)
        if low >= margin:  # bisection: every scale that is kept is proved by its own enclosure
            scale, direct = 2.0**power, low
            fails, holds = -11, power
            while holds - fails > 1:
                middle = (fails + holds) // 2
                found = below(judge.enclosed(direction.astype(float) * 2.0**middle))
                if found >= margin and found > 0:
                    holds, scale, direct = middle, 2.0**middle, found
                else:
                    fails = middle
    except Unsupported as error:
        note = f"no ball evaluation: {error}"
    return Counterexample(
        aim.name, u, margin, proven, "growth", certificate, judge.float64(u), low, high, note, scale, direct, direction
    )
