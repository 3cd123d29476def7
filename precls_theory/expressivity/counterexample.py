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
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from numbers import Real
from typing import Any

import flint
import numpy as np
import sympy
import torch
from torch import nn

from precls_theory.expressivity.ball import Evaluator, UncertainSign, Unsupported, balls, precision
from precls_theory.expressivity.growth import GrowthCertificate, Polynomial, growth_certificate, has_module_rule
from precls_theory.expressivity.tracing import (
    Inconclusive,
    Program,
    apply_model,
    check_input_shape,
    private_copy,
    single_thread,
    trace,
)

ExactMap = Callable[[np.ndarray], np.ndarray]


def entries(n_rows: int, n_channels: int) -> np.ndarray:
    """Symbols ``u_n_d`` for the entries of an input, as an array of shape ``(n_rows, n_channels)``."""
    return np.array([[sympy.Symbol(f"u_{n}_{d}") for d in range(n_channels)] for n in range(n_rows)], dtype=object)


@dataclass(frozen=True)
class Target:
    """A polynomial map: ``value`` takes an exact input ``(batch, rows, channels)`` over any commutative ring, and
    ``read`` picks from the model's output what is compared with it.
    """

    name: str
    value: ExactMap
    read: Callable[[np.ndarray], np.ndarray]


def _expect(ok: bool, target: str, expected: str, given: object) -> None:
    if not ok:
        raise ValueError(f"target {target!r} expects {expected}, got {given}")


def _step_size(value: Any) -> Fraction:
    try:
        return Fraction(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"step_size must be a finite number or a string such as '1/10', got {value!r}") from error


def make_target(
    target: Any, input_shape: tuple[int, int, int], output_shape: tuple[int, ...], step_size: Any
) -> Target:
    """The target as an exact map.

    ``"square"``: ``u ⊙ u``, all entries.  ``"multiply"``: ``u[:, :d] ⊙ u[:, d:]`` for 2d channels, read in the
    output's first d channels.  ``"gradient_descent"``: layout E, N rows ``[a_n, b_n]`` and a last row ``[x, 0]``, one
    step ``x - (η/N)(Gx - c)`` read at the last row in the first D channels.  Or polynomials in the symbols of
    :func:`entries`: an array of the shape of the output, or ``{(row, channel): polynomial}``.

    Raises:
        ValueError: the shapes do not fit the target, or an expression is not a polynomial of the entries.
    """
    _, rows, channels = input_shape
    if len(output_shape) != 3 or output_shape[0] != input_shape[0]:
        raise ValueError(f"the model must return (batch, rows, channels), it returns shape {output_shape}")
    if isinstance(target, str):
        if target == "square":
            _expect(output_shape == input_shape, target, f"an output of shape {input_shape}", output_shape)
            return Target(target, lambda u: u * u, lambda y: y)
        if target == "multiply":
            half = channels // 2
            _expect(channels % 2 == 0, target, "an even number of channels", channels)
            _expect(output_shape[1] == rows and output_shape[2] >= half, target, f"{rows} rows and at least {half} "
                    "output channels", output_shape)  # fmt: skip
            return Target(target, lambda u: u[..., :half] * u[..., half:], lambda y: y[..., :half])
        if target == "gradient_descent":
            dims, points = channels - 1, rows - 1
            _expect(dims >= 1 and points >= 1, target, "N + 1 >= 2 rows of D + 1 >= 2 channels", input_shape)
            _expect(output_shape[1] == rows and output_shape[2] >= dims, target,
                    f"{rows} rows and at least {dims} output channels", output_shape)  # fmt: skip
            rate = _step_size(step_size)
            _expect(rate != 0, target, "a step size other than 0", step_size)
            scale = flint.fmpq(rate.numerator, rate.denominator) / points

            def step(u: np.ndarray) -> np.ndarray:
                a, b, x = u[:, :-1, :dims], u[:, :-1, dims], u[:, -1, :dims]
                residual = (a * x[:, None, :]).sum(axis=-1) - b
                return x - (a * residual[..., None]).sum(axis=1) * scale

            return Target(target, step, lambda y: y[:, -1, :dims])
        raise ValueError(
            f"target must be 'square', 'multiply', 'gradient_descent' or polynomials of the entries, got {target!r}"
        )
    symbols = {str(s): (n, d) for (n, d), s in np.ndenumerate(entries(rows, channels))}
    if isinstance(target, sympy.Expr):
        raise ValueError(
            f"give the output entries of a polynomial target, as in {{(0, 0): {target}}}, or all in an array"
        )
    if isinstance(target, Mapping):
        items = {(int(n), int(d)): sympy.sympify(e) for (n, d), e in target.items()}
    else:
        array = np.array(sympy.Array(target).tolist() if not isinstance(target, np.ndarray) else target, dtype=object)
        _expect(array.shape == output_shape[1:], "polynomials", f"shape {output_shape[1:]}", array.shape)
        items = {(n, d): sympy.sympify(e) for (n, d), e in np.ndenumerate(array)}
    table: list[list[tuple[flint.fmpq, list[tuple[int, int, int]]]]] = []
    for place, expression in items.items():
        if not all(0 <= i < size for i, size in zip(place, output_shape[1:], strict=True)):
            raise ValueError(f"the target names output entry {place}, the output has shape {output_shape[1:]}")
        unknown = {str(s) for s in expression.free_symbols} - set(symbols)
        if unknown:
            raise ValueError(f"unknown symbols {sorted(unknown)}; use those of entries({rows}, {channels})")
        names = sorted(map(str, expression.free_symbols))
        try:
            poly = sympy.Poly(sympy.nsimplify(expression, rational=True), *map(sympy.Symbol, names or ["u_0_0"]))
            terms = [
                (
                    flint.fmpq(int(c.p), int(c.q)),
                    [(*symbols[n], e) for n, e in zip(names, powers, strict=False) if e],
                )
                for powers, c in poly.terms()
            ]
        except (sympy.PolynomialError, AttributeError) as error:
            raise ValueError(f"{expression} is not a polynomial of the entries with rational coefficients") from error
        table.append(terms)

    def polynomials(u: np.ndarray) -> np.ndarray:
        out = np.empty((u.shape[0], len(table)), dtype=object)
        for index in range(u.shape[0]):
            for k, terms in enumerate(table):
                total = u[0, 0, 0] * 0
                for coefficient, factors in terms:
                    product = u[0, 0, 0] * 0 + coefficient
                    for n, d, e in factors:
                        product = product * u[index, n, d] ** e
                    total = total + product
                out[index, k] = total
        return out

    where = np.array(list(items))
    return Target("polynomials", polynomials, lambda y: y[:, where[:, 0], where[:, 1]])


# ---- exact lines and norms -------------------------------------------------------------------------------------------


def _rational(x: Any) -> flint.fmpq:
    value = Fraction(x)
    return flint.fmpq(value.numerator, value.denominator)


def _line(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The entries of ``u + s v`` as exact polynomials in s."""
    return np.asarray(np.frompyfunc(lambda a, b: flint.fmpq_poly([_rational(a), _rational(b)]), 2, 1)(u, v))


def _coefficient(polynomials: np.ndarray, k: int) -> list[flint.fmpq]:
    return [p[k] if k <= p.degree() else flint.fmpq(0) for p in polynomials.reshape(-1)]


def _norm(values: list[Any]) -> flint.arb:
    total = flint.arb(0)
    for value in values:
        x = flint.arb(value)
        total += x * x
    return total.nonnegative_part().sqrt()  # a sum of squares, whose enclosure may reach below zero


def _low(x: flint.arb) -> float:
    """A float below the ball."""
    value = float(x.lower())
    return value if not math.isfinite(value) or value == 0 else math.nextafter(value, -math.inf)


def _high(x: flint.arb) -> float:
    value = float(x.upper())
    return value if not math.isfinite(value) else math.nextafter(value, math.inf)


def _polynomial(p: Polynomial, t: flint.arb) -> flint.arb:
    total = flint.arb(0)
    for coefficient in reversed(p):
        total = total * t + flint.arb(coefficient)
    return total


def _directions(shape: tuple[int, int, int], count: int, seed: int) -> list[np.ndarray]:
    """Small integer directions to try: all ones, single rows, a few random ones; only the first sample moves."""
    rng = np.random.default_rng(seed)
    ones = np.ones(shape, dtype=int)
    found = [ones, *(rng.integers(-2, 3, size=shape) for _ in range(count))]
    for direction in found:
        direction[1:] = 0
    return [d for d in found if d.any()]


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

    def to_json(self) -> dict[str, Any]:
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


class _Judge:
    """Measures the miss of a model at exact inputs, in float64 and in ball arithmetic."""

    def __init__(self, model: nn.Module, program: Program, target: Target, bits: int) -> None:
        self.model, self.program, self.target, self.bits = model, program, target, bits

    def exact(self, u: np.ndarray) -> list[flint.fmpq]:
        return self.target.value(np.asarray(np.frompyfunc(_rational, 1, 1)(u))).reshape(-1).tolist()

    def float64(self, u: np.ndarray) -> float:
        with torch.no_grad(), single_thread():
            out = apply_model(self.model, torch.tensor(u.astype(float), dtype=torch.float64)).numpy()
        exact = np.array([_float(x) for x in self.exact(u)])
        return float(np.linalg.norm(self.target.read(out).reshape(-1) - exact))

    def enclosed(self, u: np.ndarray) -> flint.arb:
        with precision(self.bits):
            out = self.target.read(Evaluator(self.program)(u).coefficients[0]).reshape(-1)
            return _norm([y - flint.arb(x) for y, x in zip(out, self.exact(u), strict=True)])


def _float(x: flint.fmpq) -> float:
    try:
        return int(x.p) / int(x.q)
    except OverflowError:
        return math.inf if x > 0 else -math.inf


def counterexample(
    model: nn.Module,
    target: Any,
    margin: float = 1.0,
    input_shape: tuple[int, int, int] = (1, 20, 6),
    *,
    step_size: float | Fraction = 1,
    region: tuple[Any, float] | None = None,
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
    program = trace(model, input_shape, has_module_rule)
    with torch.no_grad():
        output_shape = tuple(apply_model(model, torch.zeros(input_shape, dtype=torch.float64)).shape)
    aim = make_target(target, input_shape, output_shape, step_size)
    judge = _Judge(model, program, aim, bits)
    if region is not None:
        return _in_region(judge, margin, input_shape, region, order, seed)
    certificate = growth_certificate(model, input_shape, exponent=None)
    zero = np.zeros(input_shape, dtype=int)
    best: tuple[float, np.ndarray] | None = None
    degree = 0
    for direction in _directions(input_shape, 16, seed):
        line = aim.value(_line(zero, direction))
        top = max(p.degree() for p in line.reshape(-1))
        lead = _low(_norm(_coefficient(line, max(top, 0)))) / float(np.linalg.norm(direction)) ** max(top, 0)
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
    line = aim.value(_line(zero, direction))
    for power in range(1000):
        with precision(bits):
            t = flint.fmpq(2) ** power
            reached = _norm([p(t) for p in line.reshape(-1)])
            allowed = _polynomial(certificate.coefficients, flint.arb(t) * _norm(direction.reshape(-1).tolist()))
            proven = _low(reached - allowed)
        if proven >= margin and proven > 0:
            break
    else:
        raise Inconclusive(type(model).__name__, f"no input up to 2^{power} reaches the margin {margin}")
    u = direction.astype(float) * 2.0**power
    low, high, note = None, None, ""
    scale, direct = None, None
    try:
        miss = judge.enclosed(u)
        low, high = _low(miss), _high(miss)
        if low >= margin:  # bisection: every scale that is kept is proved by its own enclosure
            scale, direct = 2.0**power, low
            fails, holds = -11, power
            while holds - fails > 1:
                middle = (fails + holds) // 2
                found = _low(judge.enclosed(direction.astype(float) * 2.0**middle))
                if found >= margin and found > 0:
                    holds, scale, direct = middle, 2.0**middle, found
                else:
                    fails = middle
    except Unsupported as error:
        note = f"no ball evaluation: {error}"
    return Counterexample(
        aim.name, u, margin, proven, "growth", certificate, judge.float64(u), low, high, note, scale, direct, direction
    )


def _dyadic(x: np.ndarray) -> np.ndarray:
    """Rounded to few binary digits, so that every later computation with it is short and exact."""
    return np.round(x * 2.0**20) / 2.0**20


def _in_region(
    judge: _Judge, margin: float, shape: tuple[int, int, int], region: tuple[Any, float], order: int, seed: int
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
            with precision(judge.bits):
                jet = evaluator(point, direction)
        except UncertainSign:
            continue  # on the border of two pieces: the borders have measure zero, another point will do
        except Unsupported as error:
            raise Inconclusive(name, f"a region needs ball evaluation: {error}") from error
        chosen = point
        break
    if chosen is None:
        raise Inconclusive(name, "every point tried lies on the border of two pieces (a ReLU argument is exactly zero)")
    exact = judge.target.value(_line(chosen, direction))
    mismatches = []
    for k in range(order + 1):
        wanted = _coefficient(exact, k)
        coefficients = jet.coefficients[k] if k < len(jet.coefficients) else balls(np.zeros(jet.shape))
        read = judge.target.read(coefficients)
        with precision(judge.bits):
            gaps = [y - flint.arb(x) for y, x in zip(read.reshape(-1), wanted, strict=True)]
            apart = [i for i, gap in enumerate(gaps) if not gap.contains(0)]
            if apart:
                worst = max(apart, key=lambda i: float(abs(gaps[i]).lower()))
                enclosure = read.reshape(-1)[worst]
                place = tuple(int(i) for i in np.unravel_index(worst, read.shape))
                mismatches.append(Mismatch(k, place, _low(enclosure), _high(enclosure), _float(wanted[worst])))
    miss = judge.enclosed(chosen)
    low, high = _low(miss), _high(miss)
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
