"""Comparisons, selections by them, and orders."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from precls_theory.enclosures.norms import up, up_mul, up_sqrt
from precls_theory.expressivity.growth.operation import GrowthContext, GrowthLike, each, operation
from precls_theory.expressivity.growth.rules.moves import placed, truth
from precls_theory.expressivity.growth.value import ANALYTIC, Growth, poly_hypot, poly_scale
from precls_theory.expressivity.tracing.program import Number, Sizes


@operation(
    "lt.Tensor lt.Scalar le.Tensor le.Scalar gt.Tensor gt.Scalar ge.Tensor ge.Scalar eq.Tensor eq.Scalar ne.Tensor "
    "ne.Scalar less.Tensor less.Scalar less_equal.Tensor less_equal.Scalar greater.Tensor greater.Scalar "
    "greater_equal.Tensor greater_equal.Scalar not_equal.Tensor not_equal.Scalar logical_and logical_or logical_xor",
    statement="a truth value: 0 or 1", exponent=0, analytic="piecewise analytic", exact=True, integers=True,
)  # fmt: skip
def compare(c: GrowthContext, self: GrowthLike, other: GrowthLike) -> Growth:
    """Whatever is compared."""
    return truth(c)


@operation("logical_not isnan isinf isfinite signbit any any.dim any.dims all all.dim all.dims",
           statement="a truth value: 0 or 1", exponent=0, analytic="piecewise analytic", exact=True, integers=True)  # fmt: skip
def examine(c: GrowthContext, self: GrowthLike, dim: Sizes | None = None, keepdim: bool = False) -> Growth:
    """Whatever is tested."""
    return truth(c)


@operation("bitwise_not bitwise_and.Tensor bitwise_or.Tensor bitwise_xor.Tensor __and__.Tensor __or__.Tensor",
           statement="a truth value: 0 or 1", exponent=0, analytic="piecewise analytic", exact=True, integers=True)  # fmt: skip
def combine(c: GrowthContext, self: GrowthLike, other: GrowthLike | None = None) -> Growth:
    """Of truth values only."""
    if c.dtype != torch.bool:
        raise c.fail("the bits of numbers that depend on the input are not covered")
    return truth(c)


def _chosen(c: GrowthContext, condition: GrowthLike, x: Growth, y: Growth) -> Growth:
    """``x`` where the condition holds, ``y`` elsewhere."""
    if isinstance(condition, Growth) and condition.value is not None:
        condition = condition.value
    if isinstance(condition, Tensor):
        c.kind = ANALYTIC
        if x.relation or y.relation:  # all of one operand, as it is
            chosen = condition.bool().expand(c.shape)
            only = x if bool(chosen.all()) else y if not bool(chosen.any()) else None
            if only is not None and only.shape == c.shape:
                return only
        left = torch.arange(x.numel).reshape(x.shape)
        right = torch.arange(x.numel, x.numel + y.numel).reshape(y.shape)
        result = placed(c, torch.where(condition.bool(), left, right).expand(c.shape), [x, y])
        zero = x if x.value is not None and x.entry == 0 else None
        return result if zero is None or y.shape != c.shape or y.lower < 0 else result.same(simplex=y.simplex)
    if x.masked is not None or y.masked is not None:
        raise c.fail("a mask of -inf that depends on the input may mask a row completely")
    n = math.prod(c.shape)
    zero = x if x.value is not None and x.entry == 0 else None
    simplex = y.simplex if zero is not None and y.shape == c.shape and y.lower >= 0 else frozenset()
    norm = poly_hypot(x.expanded(n), y.expanded(n)) if zero is None else y.expanded(n)
    return Growth(c.shape, norm, max(x.entry, y.entry), min(x.lower, y.lower), max(x.upper, y.upper), simplex)


@operation("where.self where.ScalarSelf where.ScalarOther where.Scalar", statement="entries are replaced",
           analytic="piecewise analytic", masks=True)  # fmt: skip
def where(c: GrowthContext, condition: GrowthLike, self: GrowthLike, other: GrowthLike) -> Growth:
    """The first operand where the condition holds."""
    return _chosen(c, condition, c.growth(self), c.growth(other))


@operation(
    "masked_fill.Scalar masked_fill.Tensor", statement="entries are replaced", analytic="piecewise analytic", masks=True
)
def masked_fill(c: GrowthContext, self: GrowthLike, mask: GrowthLike, value: GrowthLike) -> Growth:
    """The number where the mask holds."""
    return _chosen(c, mask, c.growth(value), c.growth(self))


@operation("maximum minimum fmax fmin max.other min.other", statement="|max(x, y)| ≤ hypot(x, y)",
           analytic="piecewise analytic", exact=True)  # fmt: skip
def extreme_of_two(c: GrowthContext, self: GrowthLike, other: GrowthLike) -> Growth:
    """Pieces are the operands."""
    x, y = c.growth(self), c.growth(other)
    n = math.prod(c.shape)
    lower, upper = min(x.lower, y.lower), max(x.upper, y.upper)
    if not c.pieces and "max" in c.name:
        lower = max(x.lower, y.lower)
    elif not c.pieces:
        upper = min(x.upper, y.upper)
    return Growth(c.shape, poly_hypot(x.expanded(n), y.expanded(n)), max(x.entry, y.entry), lower, upper)


@operation("amax amin max min", statement="‖max x‖ ≤ ‖x‖", analytic="piecewise analytic", exact=True)
def extreme(c: GrowthContext, self: Growth, dim: Sizes | None = None, keepdim: bool = False) -> Growth:
    """Pieces are entries."""
    return Growth(c.shape, self.norm, self.entry, self.lower, self.upper)


@operation("max.dim min.dim cummax cummin median.dim nanmedian.dim kthvalue mode",
           statement="‖max x‖ ≤ ‖x‖, positions are at most n", analytic="piecewise analytic", exact=True,
           integers=True)  # fmt: skip
def extreme_and_position(
    c: GrowthContext, self: Growth, dim: int = -1, keepdim: bool = False, k: int = 1
) -> tuple[Growth, ...]:
    """Every output entry is an entry of its own line; a running one repeats it."""
    n = max((*self.shape, 1))
    norm = poly_scale(self.norm, up_sqrt(float(n))) if c.name.startswith("cum") else self.norm
    return (Growth(c.shape, norm, self.entry, self.lower, self.upper), position(c, n))


@operation("aminmax", statement="‖max x‖ ≤ ‖x‖", analytic="piecewise analytic", exact=True)
def both_extremes(c: GrowthContext, self: Growth, dim: int | None = None, keepdim: bool = False) -> tuple[Growth, ...]:
    """Pieces are entries."""
    found = Growth(c.shape, self.norm, self.entry, self.lower, self.upper)
    return (found, found.same())


def position(c: GrowthContext, n: int) -> Growth:
    """Positions below n, which jump: on each piece they are constants."""
    count = math.prod(c.shape)
    return Growth(c.shape, (up_mul(float(n), up_sqrt(float(count))),), float(n), 0.0, float(n))


@operation(
    "argmax argmin",
    statement="positions are at most n",
    exponent=0,
    analytic="piecewise analytic",
    exact=True,
    integers=True,
)
def argument(c: GrowthContext, self: Growth, dim: int | None = None, keepdim: bool = False) -> Growth:
    """A number below the number of entries."""
    return position(c, self.numel)


@operation("sort sort.stable topk msort argsort argsort.stable",
           statement="entries are moved: ‖sort x‖ ≤ ‖x‖", analytic="piecewise analytic", exact=True, integers=True)  # fmt: skip
def order(
    c: GrowthContext, self: Growth, k: int = 0, dim: int = -1, descending: bool = False, largest: bool = True,
    sorted: bool = True, stable: bool | None = None,
) -> Growth | tuple[Growth, Growth]:  # fmt: skip
    """A permutation of each line, or its first entries; each piece is a fixed permutation."""
    n = max((*self.shape, 1))
    values = Growth(c.shape, self.norm, self.entry, self.lower, self.upper)
    if c.name == "argsort":
        return position(c, n)
    return values if c.name == "msort" else (values, position(c, n))


@operation("max_pool1d max_pool2d max_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d "
           "max_pool2d_with_indices max_pool3d_with_indices max_pool1d_with_indices",
           statement="an entry is the maximum of at most m windows: ‖y‖ ≤ √m ‖x‖", analytic="piecewise analytic", exact=True,
           integers=True)  # fmt: skip
def max_pool(
    c: GrowthContext, self: Growth, kernel_size: Sizes = (), stride: Sizes = (), padding: Sizes = 0,
    dilation: Sizes = 1, ceil_mode: bool = False, output_size: Sizes | None = None,
) -> Growth | tuple[Growth, Growth]:  # fmt: skip
    """Every output entry is an input entry; each is in at most Π ⌈k/s⌉ windows (adaptive: at most Π (⌈out/in⌉ + 1)).

    With holes of d, the windows t and places j with ``ts + jd = i`` are those of one j modulo ``s/gcd(s, d)``.
    """
    spatial = int(next(ch for ch in c.name if ch.isdigit()))
    if output_size is not None:
        times = math.prod(
            -(-out // size) + 1 for out, size in zip(c.shape[-spatial:], self.shape[-spatial:], strict=True)
        )
    else:
        sizes = each(kernel_size, spatial)
        steps = zip(sizes, each(stride, spatial) or sizes, each(dilation, spatial), strict=True)
        times = math.prod(-(-k // (s // math.gcd(s, d))) for k, s, d in steps)
    y = Growth(c.shape, poly_scale(self.norm, up_sqrt(float(times))), self.entry, self.lower, self.upper)
    return (y, position(c, self.numel)) if c.several else y


@operation("bucketize.Tensor searchsorted.Tensor", statement="positions are at most n", exponent=0,
           analytic="piecewise analytic", exact=True, integers=True)  # fmt: skip
def bucket(
    c: GrowthContext,
    self: GrowthLike,
    boundaries: GrowthLike | None = None,
    sorted_sequence: GrowthLike | None = None,
    right: bool = False,
) -> Growth:
    """At most the number of boundaries, which are at most all entries."""
    return position(c, max(x.numel() for x in c.call.operands()) + 1)


@operation("fmod.Scalar remainder.Scalar", statement="|x mod n| ≤ |n|", exponent=0, analytic="neither")
def modulo(c: GrowthContext, self: Growth, other: Number) -> Growth:
    """The remainder is smaller than the divisor."""
    n = abs(c.number(other))
    if n == 0:
        raise c.fail("division by zero")
    return Growth(c.shape, (up_mul(n, up_sqrt(float(self.numel))),), up(n))
