"""Functions of one entry: ``|f(x)| ≤ slope |x| + offset`` and ``low ≤ f ≤ high`` give the bound of the whole tensor."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

import torch

from precls_theory.enclosures.norms import up, up_div, up_mul, up_sqrt
from precls_theory.expressivity.growth.operation import GrowthContext, GrowthLike, operation
from precls_theory.expressivity.growth.value import PIECEWISE, Analyticity, Growth, poly_add, poly_mul, poly_scale
from precls_theory.expressivity.tracing.program import Number

LOG2 = 0.6931471805599454  # above log 2
HALF_PI = 1.5707963267948968  # above π/2


@dataclass(frozen=True)
class Function:
    """``|f(x)| ≤ slope |x| + offset`` and ``low ≤ f(x) ≤ high`` for every real x; f has no parameters.

    ``pieces``: the same two constants for the analytic pieces, continued to all inputs (``None``: one of them grows
    exponentially, or f is analytic and has none).
    """

    names: str
    statement: str
    slope: float = math.inf
    offset: float = 0.0
    low: float = -math.inf
    high: float = math.inf
    analytic: Analyticity = "analytic"
    pieces: tuple[float, float] | None = None
    exact: bool = False


FUNCTIONS = (
    Function("relu", "|relu x| ≤ |x|", 1, low=0.0, analytic="piecewise analytic", pieces=(1, 0), exact=True),
    Function("silu mish", "|x g(x)| ≤ |x| where 0 < g < 1", 1, low=-0.4),
    Function("tanh erf sin cos special_erf", "|f| ≤ 1", low=-1.0, high=1.0),
    Function("sinc special_sinc", "|sinc| ≤ 1", low=-1.0, high=1.0),
    Function("sigmoid special_expit", "0 < σ < 1", low=0.0, high=1.0),
    Function("erfc special_erfc", "0 < erfc < 2", low=0.0, high=2.0),
    Function("atan arctan", "|arctan x| ≤ min(|x|, π/2)", 1, low=-HALF_PI, high=HALF_PI),
    Function("asinh arcsinh", "|asinh x| ≤ |x|", 1),
    Function("log_sigmoid", "|log σ(x)| ≤ |x| + log 2", 1, LOG2, high=0.0),
    Function("sign sgn", "|sign| ≤ 1", low=-1.0, high=1.0, analytic="piecewise analytic", pieces=(0, 1), exact=True),
    Function("floor ceil trunc fix", "|round x| ≤ |x| + 1", 1, 1.0, analytic="neither", exact=True),
    Function("frac", "|x - trunc x| ≤ min(|x|, 1)", 1, low=-1.0, high=1.0, analytic="neither"),
    Function("selu", "|selu x| ≤ 2|x|", 2, low=-1.7581, analytic="piecewise analytic"),
    Function("relu6", "0 ≤ relu6 x ≤ min(|x|, 6)", 1, low=0.0, high=6.0, analytic="piecewise analytic", pieces=(1, 6)),
    Function("hardsigmoid", "0 ≤ f ≤ 1", low=0.0, high=1.0, analytic="piecewise analytic", pieces=(1, 1)),
)
"""One line for each function; the theorem ``growth-rules`` checks every constant."""


def bounded(
    c: GrowthContext, x: Growth, slope: float, offset: float = 0.0, low: float = -math.inf, high: float = math.inf
) -> Growth:
    """The growth of ``f(x)``, entry by entry, from the constants of f."""
    root = up_sqrt(float(x.numel))
    limit = max(-low, high)
    linear = up(up_mul(slope, x.entry) + offset) if math.isfinite(slope) else math.inf
    norm = poly_add(poly_scale(x.norm, slope), (up_mul(offset, root),)) if math.isfinite(slope) else (math.inf,)
    if math.isfinite(limit) and not math.isfinite(slope):
        norm = (up_mul(limit, root),)
    return Growth(c.shape, norm, min(limit, linear), low, high)


def no_pieces(c: GrowthContext) -> Exception:
    """The error where a piece has no polynomial bound."""
    return c.fail("one of its pieces, continued to all inputs, grows exponentially")


def _register(f: Function) -> None:
    @operation(f.names, statement=f.statement, analytic=f.analytic, exact=f.exact,
               exponent=0 if math.isfinite(max(-f.low, f.high)) else 1)  # fmt: skip
    def rule(c: GrowthContext, self: Growth) -> Growth | tuple[Growth, Growth]:
        if c.pieces and f.analytic == "piecewise analytic":
            if f.pieces is None:
                raise no_pieces(c)
            return bounded(c, self, *f.pieces)
        y = bounded(c, self, f.slope, f.offset, f.low, f.high)
        return (y, y) if c.several else y


for _function in FUNCTIONS:
    _register(_function)


@operation("abs absolute", statement="||x|| = |x|", analytic="piecewise analytic", exact=True, complex=True)
def absolute(c: GrowthContext, self: Growth) -> Growth:
    """Pieces are x and -x; the absolute value of a complex number is not piecewise analytic."""
    if c.call.operands()[0].is_complex():
        c.kind = 2
        return Growth(c.shape, self.norm, self.entry)
    return bounded(c, self, 1, low=-math.inf if c.pieces else 0.0)


@operation("neg negative", statement="‖-x‖ = ‖x‖", exact=True, complex=True)
def negative(c: GrowthContext, self: Growth) -> Growth:
    """Linear; limits change places."""
    return Growth(c.shape, self.norm, self.entry, -self.upper, -self.lower)


@operation("gelu", statement="|x g(x)| ≤ |x| where 0 < g < 1")
def gelu(c: GrowthContext, self: Growth, approximate: str = "none") -> Growth:
    """Both forms; the one by tanh is at least -0.2, as is the other."""
    return bounded(c, self, 1, low=-0.4)


@operation("hardswish", statement="|x clamp(x+3, 0, 6)/6| ≤ |x|", analytic="piecewise analytic")
def hardswish(c: GrowthContext, self: Growth) -> Growth:
    """The middle piece is x(x+3)/6, at most x²/6 + |x|."""
    if c.pieces:
        return Growth(c.shape, poly_add(poly_scale(poly_mul(self.norm, self.norm), 0.16666666666666669), self.norm))
    return bounded(c, self, 1, low=-0.4)


@operation("round round.decimals", statement="|round x| ≤ |x| + 1", analytic="neither")
def rounding(c: GrowthContext, self: Growth, decimals: int = 0) -> Growth:
    """To integers, or to digits after the point (to tens, it would move by more than 1)."""
    if decimals < 0:
        raise c.fail(f"decimals = {decimals}: its rule does not cover rounding to tens and more")
    return bounded(c, self, 1, 1.0)


@operation("elu celu", statement="|elu x| ≤ max(|scale|, |α scale input_scale|)|x|, |celu x| ≤ |x|",
           analytic="piecewise analytic")  # fmt: skip
def elu(c: GrowthContext, self: Growth, alpha: Number = 1.0, scale: Number = 1, input_scale: Number = 1) -> Growth:
    """``scale·x`` for x > 0, ``scale·α(exp(input_scale·x) - 1)`` else; ``1 - e^-t ≤ t``."""
    a, s, i = c.number(alpha), c.number(scale), c.number(input_scale)
    if not (a > 0 and i > 0):
        raise c.fail(f"alpha = {alpha}, input_scale = {input_scale}: expected positive numbers")
    if c.pieces:
        raise no_pieces(c)
    slope = 1.0 if c.name == "celu" else up_mul(abs(s), max(1.0, up_mul(a, i)))
    return bounded(c, self, slope)


@operation("leaky_relu", statement="|f(x)| ≤ max(1, |slope|)|x|", analytic="piecewise analytic")
def leaky_relu(c: GrowthContext, self: Growth, negative_slope: Number = 0.01) -> Growth:
    """Two linear pieces."""
    return bounded(c, self, max(1.0, abs(c.number(negative_slope))))


@operation("rrelu", statement="|f(x)| ≤ max(1, |lower + upper|/2)|x|", analytic="piecewise analytic")
def rrelu(
    c: GrowthContext, self: Growth, lower: Number = 0.125, upper: Number = 0.3333333333333333, training: bool = False
) -> Growth:
    """In eval mode the slope is the middle of the interval."""
    if training:
        raise c.fail("its slopes are random in training mode; call model.eval() first")
    return bounded(c, self, max(1.0, up_div(up(abs(c.number(lower) + c.number(upper))), 2.0)))


@operation("prelu _prelu_kernel", statement="|f(x)| ≤ max(1, max|w|)|x|", analytic="piecewise analytic")
def prelu(c: GrowthContext, self: GrowthLike, weight: GrowthLike) -> Growth:
    """The slope of each channel is a weight."""
    x, w = c.growth(self), c.growth(weight)
    if w.value is None or x.shape != c.shape:
        raise c.fail("a slope that depends on the input, or of another shape, is not covered")
    return bounded(c, x, max(1.0, w.entry))


@operation("softplus", statement="0 ≤ softplus x ≤ |x| + log(2)/β", analytic="piecewise analytic")
def softplus(c: GrowthContext, self: Growth, beta: Number = 1, threshold: Number = 20) -> Growth:
    """``log(1 + exp(βx))/β``, and x from the threshold on; the first piece obeys the bound everywhere."""
    b, t = c.number(beta), c.number(threshold)
    if not (b > 0 and t >= 0):
        raise c.fail(f"beta = {beta}, threshold = {threshold}: expected positive numbers")
    if c.rounding is not None and t > 88 and min(self.entry, self.upper) * b > 88:
        raise c.fail(f"below the threshold {threshold}, exp(βx) overflows")  # in float32, with which halves compute too
    return bounded(c, self, 1, up_div(LOG2, b), low=-math.inf if c.pieces else 0.0)


@operation("exp", statement="exp x ≤ exp(max x) where x is bounded", exponent=0)
def exponential(c: GrowthContext, self: Growth) -> Growth:
    """Of a quantity that is bounded from above: softmaxes written by hand, exp(-x²), exponentials of gates."""
    high, low = min(self.entry, self.upper), max(-self.entry, self.lower)
    if not high <= 700:
        raise c.fail("the exponential of a quantity that grows with the input has no polynomial bound")
    # the C library's exp is within a few units in the last place, of normal numbers
    entry = up_mul(max(math.exp(high), sys.float_info.min), 1 + 1e-12)
    least = math.exp(low) * (1 - 1e-12) if low > -700 else 0.0
    return Growth(c.shape, (up_mul(entry, up_sqrt(float(self.numel))),), entry, least, entry)


@operation("expm1 special_expm1", statement="|exp x - 1| ≤ exp(max x) + 1 where x is bounded", exponent=0)
def expm1(c: GrowthContext, self: Growth) -> Growth:
    """As the exponential."""
    y = exponential(c, self)
    return Growth(c.shape, poly_add(y.norm, (up_sqrt(float(self.numel)),)), up(y.entry + 1), -1.0)


@operation("log", statement="|log x| ≤ |x| + |log(min x)| where x is bounded below by a positive constant")
def logarithm(c: GrowthContext, self: Growth) -> Growth:
    """``log x ≤ x`` from 1 on."""
    if not self.lower > 0:
        raise c.fail("the argument is not bounded away from 0 (no eps > 0 was recognised)")
    least = up(up(abs(math.log(self.lower))) * (1 + 1e-12))
    return bounded(c, self, 1, least, low=min(0.0, -least))


@operation("log1p special_log1p", statement="|log(1 + x)| ≤ |x| + |log(1 + min x)| where min x > -1")
def log1p(c: GrowthContext, self: Growth) -> Growth:
    """``0 ≤ log(1 + x) ≤ x`` from 0 on."""
    if not self.lower > -1:
        raise c.fail("the argument is not bounded away from -1")
    least = 0.0 if self.lower >= 0 else up(abs(math.log1p(self.lower)) * (1 + 1e-12))
    return bounded(c, self, 1, least, low=-least)


@operation("sqrt", statement="‖√x‖² ≤ √n ‖x‖; analytic where x ≥ c > 0")
def square_root(c: GrowthContext, self: Growth) -> Growth:
    """Where the argument may reach 0 the root is continuous, but not piecewise analytic; below 0 it is NaN."""
    if not self.lower >= 0:
        raise c.fail("the argument is not bounded away from 0 (no eps > 0 was recognised)")
    relation = None
    if self.lower == 0:
        c.kind = 2
    elif self.relation and self.relation.kind in ("mean square", "variance") and self.relation.eps > 0:
        relation = self.relation._replace(kind=f"root {self.relation.kind}")
    root = root_norm(self)
    least = math.nextafter(math.sqrt(self.lower), 0) if self.lower > 0 else 0.0
    entry = up(up_sqrt(self.entry))
    return Growth(c.shape, root, entry, least, entry, relation=relation)


def root_norm(x: Growth) -> tuple[float, ...]:
    """``‖√x‖² = Σ x ≤ √n ‖x‖ ≤ √n p(t)``, hence ``‖√x‖ ≤ n^¼ Σ √p_i t^(i/2)``; odd powers by ``√t ≤ (1 + t)/2``."""
    fourth = up_sqrt(up_sqrt(float(x.numel)))
    out = [0.0] * (len(x.norm) // 2 + 1)
    for i, coefficient in enumerate(x.norm):
        part = up_mul(up_sqrt(coefficient), fourth) if math.isfinite(coefficient) else math.inf
        if i % 2 == 0:
            out[i // 2] = up(out[i // 2] + part)
        else:
            out[i // 2], out[i // 2 + 1] = up(out[i // 2] + part / 2), up(out[i // 2 + 1] + part / 2)
    return tuple(out)


def reciprocal_of(c: GrowthContext, y: Growth) -> Growth:
    """``1/y`` where y is bounded below by a positive constant."""
    if not y.lower > 0:
        raise c.fail("the denominator depends on the input and is not bounded away from 0 (no eps > 0 was recognised)")
    entry = up_div(1.0, y.lower)
    relation = None
    if y.relation and y.relation.kind.startswith("root"):
        relation = y.relation._replace(kind=f"inverse {y.relation.kind}")
    return Growth(y.shape, (up_mul(entry, up_sqrt(float(y.numel))),), entry, 0.0, entry, relation=relation)


@operation("reciprocal", statement="1/x ≤ 1/min x", exponent=0)
def reciprocal(c: GrowthContext, self: Growth) -> Growth:
    """Bounded where x is bounded away from 0."""
    return reciprocal_of(c, self)


@operation("rsqrt", statement="1/√x ≤ 1/√(min x)", exponent=0)
def inverse_root(c: GrowthContext, self: Growth) -> Growth:
    """Bounded where x is bounded away from 0."""
    return reciprocal_of(c, square_root(c, self))


@operation(
    "logit special_logit",
    statement="|logit| is bounded where eps > 0 cuts the argument off",
    exponent=0,
    analytic="neither",
)
def logit(c: GrowthContext, self: Growth, eps: float | None = None) -> Growth:
    """Of an argument that is first clamped to [eps, 1 - eps]."""
    if eps is None or not 0 < c.number(eps) < 0.5:
        raise c.fail("without eps it is unbounded near 0 and 1")
    limit = up(math.log1p((1 - 2 * eps) / eps) * (1 + 1e-12))  # log((1 - eps)/eps), which cancels near 1/2
    return bounded(c, self, math.inf, low=-limit, high=limit)


@operation("nan_to_num", statement="finite numbers stay as they are", analytic="analytic")
def nan_to_num(
    c: GrowthContext, self: Growth, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Growth:
    """What is bounded is finite, so it is the identity."""
    return self


@operation("hardshrink softshrink threshold", statement="|f(x)| ≤ |x| + |value|", analytic="piecewise analytic")
def shrink(c: GrowthContext, self: Growth, lambd: Number = 0.5, threshold: Number = 0.0, value: Number = 0.0) -> Growth:
    """Pieces are x, shifts of x by λ, and constants."""
    shift = abs(c.number(value)) if c.name == "threshold" else abs(c.number(lambd)) if c.pieces else 0.0
    c.number(threshold)
    return bounded(c, self, 1, shift)


# ---- limits -----------------------------------------------------------------------------------------------------------


def clamped(c: GrowthContext, x: Growth, low: GrowthLike | None, high: GrowthLike | None) -> Growth:
    """Between limits, of which one may be missing; tensors of limits count by their extremes."""

    def limit(value: GrowthLike | None, end: Callable[[torch.Tensor], torch.Tensor]) -> float | None:
        if value is None:
            return None
        if isinstance(value, Growth):
            if value.value is None or value.masked is not None:
                raise c.fail("a limit that depends on the input, or is infinite, is not covered")
            return float(end(value.value.double()))
        if isinstance(value, torch.Tensor):
            return c.number(float(end(value.double())))
        return c.number(value)

    lows = (limit(low, torch.amin), limit(low, torch.amax))
    highs = (limit(high, torch.amin), limit(high, torch.amax))
    limits = [v for v in (*lows, *highs) if v is not None]
    largest = max(map(abs, limits), default=0.0)
    n = math.prod(c.shape)
    both = low is not None and high is not None
    keeps_zero = (lows[1] is None or lows[1] <= 0) and (highs[0] is None or highs[0] >= 0)
    if c.pieces:
        return Growth(c.shape, poly_add(x.expanded(n), (up_mul(largest, up_sqrt(float(n))),)), max(x.entry, largest))
    norm = x.expanded(n)
    if not keeps_zero:  # else 0 stays 0, and nothing moves away from it
        norm = poly_add(norm, (up_mul(largest, up_sqrt(float(n))),))
    # PyTorch returns ``high`` everywhere where low > high.
    least = -math.inf if lows[0] is None else lows[0] if highs[0] is None else min(lows[0], highs[0])
    lower = max(least, x.lower if highs[0] is None else min(x.lower, highs[0]))
    upper = math.inf if highs[1] is None else highs[1]
    entry = largest if both else max(x.entry, largest) if math.isfinite(x.entry) else math.inf
    relation = None
    if lows[0] is not None and high is None and x.relation is not None and x.relation.kind == "root square sum":
        floor = lows[0] if c.rounding is None else c.rounding.least(lows[0])
        if floor > 0:  # a format may not hold it
            relation = x.relation._replace(kind="root square sum clamped", eps=floor)
    return Growth(c.shape, norm, entry, lower, upper, relation=relation)


@operation("clamp clamp.Tensor clip clip.Tensor", statement="|clamp x| ≤ |x| + |limit|", analytic="piecewise analytic")
def clamp(c: GrowthContext, self: Growth, min: GrowthLike | None = None, max: GrowthLike | None = None) -> Growth:
    """Pieces are x and the limits; an infinite limit that is out of the way is none."""
    low = None if isinstance(min, float) and min == -math.inf else min
    high = None if isinstance(max, float) and max == math.inf else max
    return clamped(c, self, low, high)


@operation("clamp_min clamp_min.Tensor", statement="|clamp x| ≤ |x| + |limit|", analytic="piecewise analytic")
def clamp_min(c: GrowthContext, self: Growth, min: GrowthLike) -> Growth:
    """No upper limit."""
    return clamped(c, self, min, None)


@operation("clamp_max clamp_max.Tensor", statement="|clamp x| ≤ |x| + |limit|", analytic="piecewise analytic")
def clamp_max(c: GrowthContext, self: Growth, max: GrowthLike) -> Growth:
    """No lower limit."""
    return clamped(c, self, None, max)


@operation("hardtanh", statement="|clamp x| ≤ |x| + |limit|", analytic="piecewise analytic")
def hardtanh(c: GrowthContext, self: Growth, min_val: Number = -1, max_val: Number = 1) -> Growth:
    """A clamp."""
    return clamped(c, self, min_val, max_val)


__all__ = ["FUNCTIONS", "PIECEWISE", "Function", "bounded", "clamped", "reciprocal_of"]
