"""Sets of stationary points of one kind, and the exact values of the loss there."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import NotRequired, TypedDict

import flint

from precls_theory.landscape.line import univariate
from precls_theory.landscape.roots import at_root, real_roots
from precls_theory.landscape.signature import Signature

GLOBAL, SPURIOUS, SADDLE, DEGENERATE = "global minimum", "spurious minimum", "saddle", "degenerate saddle"


LOCAL, UNRESOLVED, NO_POINT = "local minimum", "unresolved", "no real point"


@dataclass(frozen=True)
class Value:
    """A value of the loss: a rational number, or a root of a polynomial over Q with a decimal approximation."""

    rational: Fraction | None
    coefficients: tuple[int, ...] = ()
    approximately: float = 0.0

    @property
    def polynomial(self) -> flint.fmpz_poly:
        """The minimal polynomial, primitive."""
        if self.rational is not None:
            return flint.fmpz_poly([-self.rational.numerator, self.rational.denominator])
        return flint.fmpz_poly(list(self.coefficients))

    def to_json(self) -> str | dict[str, str | float]:
        if self.rational is not None:
            return str(self.rational)
        return {"minimal_polynomial": str(self.polynomial), "approximately": self.approximately}

    def __add__(self, other: Value) -> Value:
        if self.rational is not None and other.rational is not None:
            return Value(self.rational + other.rational)
        context = flint.fmpz_mpoly_ctx.get(("x", "y"), "lex")
        x, y = context.gens()
        left = sum((c * y**k for k, c in enumerate(self.polynomial.coeffs())), context.constant(0))
        right = sum((c * (x - y) ** k for k, c in enumerate(other.polynomial.coeffs())), context.constant(0))
        resultant = univariate(left.resultant(right, "y"))
        total = float(self) + float(other)
        best = min(
            (abs(float(ball.mid()) - total), str(factor), factor)
            for factor, _ in resultant.factor()[1]
            for ball in real_roots(flint.fmpq_poly(factor))
        )
        factor = flint.fmpq_poly(best[2]).numer()
        if factor.degree() == 1:
            return Value(Fraction(-int(factor[0]), int(factor[1])))
        return Value(None, tuple(int(c) for c in factor.coeffs()), total)

    def __float__(self) -> float:
        return float(self.rational) if self.rational is not None else self.approximately

    def __str__(self) -> str:
        return str(self.rational) if self.rational is not None else f"{self.approximately:.6g}"


class DescentRecord(TypedDict):
    """A curve along which the loss falls: its order, the coefficient there, and each weight as a polynomial of t."""

    order: int
    rate: str
    curve: dict[str, str]
    part: NotRequired[str]
    """The name of the part, in a landscape of several."""


@dataclass(frozen=True, eq=False)
class Component:
    """A set of stationary points of one loss and one kind.

    ``equations`` (each = 0, weights set to 1 are representatives of a scaling) and ``conditions`` describe it;
    ``dimension`` counts the scalings; ``point`` is one of its points, exact where it is rational; ``signature`` is that
    of the Hessian in the slice at ``point``; ``reason`` says what the kind rests on.
    """

    kind: str
    dimension: int
    loss: Value | None
    real: bool
    equations: tuple[str, ...]
    conditions: tuple[str, ...] = ()
    point: dict[str, str] = field(default_factory=dict)
    signature: Signature | None = None
    descent: DescentRecord | None = None
    reason: str = ""

    def to_json(self) -> dict[str, object]:
        return {
            "dimension": self.dimension,
            "loss": None if self.loss is None else self.loss.to_json(),
            "real": self.real,
            "kind": self.kind,
            "equations": list(self.equations),
            "conditions": list(self.conditions),
            "point": self.point,
            "signature": None if self.signature is None else vars(self.signature),
            "descent": self.descent,
            "reason": self.reason,
        }


def fraction(value: flint.fmpq) -> Fraction:
    return Fraction(int(value.p), int(value.q))


def decimal(value: float) -> str:
    return f"{value:.15g}"


def algebraic_value(value: flint.fmpq_poly, modulus: flint.fmpq_poly, root: int) -> Value:
    """An element of Q(θ) as a value: rational, or by its minimal polynomial."""
    value = value % modulus
    if value.degree() <= 0:
        return Value(fraction(value[0]))
    size = modulus.degree()
    columns = [(value * flint.fmpq_poly([0] * k + [1])) % modulus for k in range(size)]
    matrix = flint.fmpq_mat(size, size, [columns[j][i] for i in range(size) for j in range(size)])
    return Value(None, tuple(int(c) for c in matrix.minpoly().numer().coeffs()), at_root(value, modulus, root))
