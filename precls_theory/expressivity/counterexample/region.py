"""A miss on an open set: near a point at which no ReLU argument vanishes, derivatives are enclosed and compared."""

from __future__ import annotations

import math
from typing import TypeAlias

import flint
import numpy as np
from numpy.typing import ArrayLike

from precls_theory.enclosures.jets import balls
from precls_theory.expressivity.balls.errors import UncertainSign, Unsupported
from precls_theory.expressivity.balls.evaluator import Evaluator
from precls_theory.expressivity.counterexample.exact import (
    Counterexample,
    Judge,
    Mismatch,
    above,
    below,
    coefficients_of,
    line_through,
    to_float,
)
from precls_theory.expressivity.tracing.program import Inconclusive

Region: TypeAlias = tuple[ArrayLike, float]
"""Inputs ``u`` with ``|u - centre| < radius`` entrywise; the centre broadcasts."""


def _dyadic(x: np.ndarray) -> np.ndarray:
    """Rounded to few binary digits, so that every later computation with it is short and exact."""
    return np.round(x * 2.0**20) / 2.0**20


def in_region(
    judge: Judge, margin: float, shape: tuple[int, int, int], region: Region, order: int, seed: int
) -> Counterexample:
    try:
        centre, radius = np.broadcast_to(np.asarray(region[0], dtype=float), shape), float(region[1])
    except (TypeError, ValueError, IndexError) as error:
        raise ValueError(
            f"region must be (centre, radius), with a centre that broadcasts to {shape}: {error}"
        ) from error
    if not (radius > 0 and math.isfinite(radius) and np.isfinite(centre).all()):
        raise ValueError(f"region must be a finite centre and a positive radius, got {region!r}")
    rng = np.random.default_rng(seed)
    points = [centre + radius * rng.uniform(-0.999, 0.999, shape) for _ in range(63)]
    if radius > 2.0**-18:
        points = [p for p in map(_dyadic, points) if (np.abs(p - centre) < radius).all()]
    points = sorted([*points, centre], key=judge.float64, reverse=True)  # stable: in a tie the centre comes last
    name = type(judge.model).__name__
    chosen: np.ndarray | None = None
    for point in points:
        evaluator = Evaluator(judge.program, order)
        direction = rng.integers(1, 4, size=shape) * rng.choice([-1, 1], size=shape)
        try:
            with flint.ctx.workprec(judge.bits):
                jet = evaluator(point, direction)
        except UncertainSign:
            continue  # on the border of two pieces: the borders have measure zero, another point will do
        except Unsupported as error:
            raise Inconclusive(name, f"a region needs ball evaluation: {error}") from error
        chosen = point
        break
    if chosen is None:
        raise Inconclusive(name, "every point tried lies on the border of two pieces (a ReLU argument is exactly zero)")
    exact = judge.target.value(line_through(chosen, direction))
    mismatches = []
    for k in range(order + 1):
        wanted = coefficients_of(exact, k)
        coefficients = jet.coefficients[k] if k < len(jet.coefficients) else balls(np.zeros(jet.shape))
        read = judge.target.read(coefficients)
        with flint.ctx.workprec(judge.bits):
            gaps = [y - flint.arb(x) for y, x in zip(read.reshape(-1), wanted, strict=True)]
            apart = [i for i, gap in enumerate(gaps) if not gap.contains(0)]
            if apart:
                worst = max(apart, key=lambda i: float(abs(gaps[i]).lower()))
                enclosure = read.reshape(-1)[worst]
                place = tuple(int(i) for i in np.unravel_index(worst, read.shape))
                mismatches.append(Mismatch(k, place, below(enclosure), above(enclosure), to_float(wanted[worst])))
    miss = judge.enclosed(chosen)
    low, high = below(miss), above(miss)
    if not mismatches:
        raise Inconclusive(
            name,
            f"no derivative up to order {order} differs at {judge.bits} bits; the model may equal the target there",
        )
    if not low >= margin or not low > 0:
        raise Inconclusive(name, f"the largest miss found in the region is {high:.6g}, below the margin {margin}")
    return Counterexample(
        judge.target.name, chosen, margin, max(low, 0.0), "ball", None, judge.float64(chosen), low, high, "",
        direction=direction, mismatches=tuple(mismatches), units=len(evaluator.signs),
        active=sum(sign > 0 for sign in evaluator.signs),
    )  # fmt: skip
