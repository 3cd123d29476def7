"""Exact lines, norms from balls, and what a counterexample says."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import flint
import numpy as np
import torch
from torch import nn

from precls_theory.enclosures.threads import single_thread
from precls_theory.expressivity.balls.evaluator import Evaluator
from precls_theory.expressivity.growth import GrowthCertificate, NormPolynomial
from precls_theory.expressivity.targets import Target
from precls_theory.expressivity.tracing.program import Program
from precls_theory.expressivity.tracing.trace import apply_model


def rational(x: int | float | Fraction) -> flint.fmpq:
    value = Fraction(x)
    return flint.fmpq(value.numerator, value.denominator)


def line_through(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The entries of ``u + s v`` as exact polynomials in s."""
    return np.asarray(np.frompyfunc(lambda a, b: flint.fmpq_poly([rational(a), rational(b)]), 2, 1)(u, v))


def coefficients_of(polynomials: np.ndarray, k: int) -> list[flint.fmpq]:
    return [p[k] if k <= p.degree() else flint.fmpq(0) for p in polynomials.reshape(-1)]


def norm_of(values: Iterable[flint.arb | flint.fmpq | int]) -> flint.arb:
    total = flint.arb(0)
    for value in values:
        x = flint.arb(value)
        total += x * x
    return total.nonnegative_part().sqrt()  # a sum of squares, whose enclosure may reach below zero


def below(x: flint.arb) -> float:
    """A float below the ball."""
    value = float(x.lower())
    return value if not math.isfinite(value) or value == 0 else math.nextafter(value, -math.inf)


def above(x: flint.arb) -> float:
    value = float(x.upper())
    return value if not math.isfinite(value) else math.nextafter(value, math.inf)


def polynomial_at(p: NormPolynomial, t: flint.arb) -> flint.arb:
    total = flint.arb(0)
    for coefficient in reversed(p):
        total = total * t + flint.arb(coefficient)
    return total


@dataclass(frozen=True)
class Mismatch:
    """A directional derivative, divided by the factorial of its ``order``, at one output entry: the model's lies in
    ``[model_low, model_high]``, the target's is ``target``.
    """

    order: int
    entry: tuple[int, ...]
    model_low: float
    model_high: float
    target: float


@dataclass(frozen=True)
class Counterexample:
    """An input at which ``‖F(u) - target(u)‖ ≥ proven_miss`` holds for the exact function F.

    ``input`` has the shape of the model's input; its entries are exact.  ``proof`` says how the miss is proved:
    ``"growth"`` (by the certificate alone) or ``"ball"`` (by ball arithmetic).  ``miss_float64`` is measured in
    float64, ``miss_low`` and ``miss_high`` enclose the true miss (``None``: an operation has no ball evaluation, see
    ``note``).  ``direct_scale`` and ``direct_miss``: a small power of two along the same ray, found by bisection, at
    which ball arithmetic alone proves the margin.  For a region: ``direction`` and ``mismatches`` of derivatives, the
    number of ReLU arguments (``units``) and how many of them are positive (``active``) on the piece.
    """

    target: str
    input: np.ndarray
    margin: float
    proven_miss: float
    proof: str
    certificate: GrowthCertificate | None
    miss_float64: float
    miss_low: float | None
    miss_high: float | None
    note: str = ""
    direct_scale: float | None = None
    direct_miss: float | None = None
    direction: np.ndarray | None = None
    mismatches: tuple[Mismatch, ...] = ()
    units: int = 0
    active: int = 0

    @property
    def confirmed(self) -> bool:
        """Whether ball arithmetic confirms the proven miss at the input."""
        return self.miss_low is not None and self.miss_low >= self.margin and self.miss_low > 0

    def to_json(self) -> dict[str, object]:
        """Plain data, for ``--json``."""
        return {
            "target": self.target,
            "input": self.input.astype(float).tolist(),
            "margin": self.margin,
            "proven_miss": self.proven_miss,
            "proof": self.proof,
            "miss_float64": self.miss_float64 if math.isfinite(self.miss_float64) else None,
            "miss_low": self.miss_low,
            "miss_high": self.miss_high,
            "confirmed": self.confirmed,
            "note": self.note,
            "direct_scale": self.direct_scale,
            "direct_miss": self.direct_miss,
            "mismatches": [vars(m) for m in self.mismatches],
            "units": self.units,
            "active": self.active,
        }


class Judge:
    """Measures the miss of a model at exact inputs, in float64 and in ball arithmetic."""

    def __init__(self, model: nn.Module, program: Program, target: Target, bits: int) -> None:
        self.model, self.program, self.target, self.bits = model, program, target, bits

    def exact(self, u: np.ndarray) -> list[flint.fmpq]:
        return self.target.value(np.asarray(np.frompyfunc(rational, 1, 1)(u))).reshape(-1).tolist()

    def float64(self, u: np.ndarray) -> float:
        with torch.no_grad(), single_thread():
            out = apply_model(self.model, torch.tensor(u.astype(float), dtype=torch.float64))
        assert isinstance(out, torch.Tensor)  # as the trace found
        exact = np.array([to_float(x) for x in self.exact(u)])
        return float(np.linalg.norm(self.target.read(out.numpy()).reshape(-1) - exact))

    def enclosed(self, u: np.ndarray) -> flint.arb:
        with flint.ctx.workprec(self.bits):
            out = self.target.read(Evaluator(self.program)(u).coefficients[0]).reshape(-1)
            return norm_of([y - flint.arb(x) for y, x in zip(out, self.exact(u), strict=True)])


def to_float(x: flint.fmpq) -> float:
    try:
        return int(x.p) / int(x.q)
    except OverflowError:
        return math.inf if x > 0 else -math.inf
