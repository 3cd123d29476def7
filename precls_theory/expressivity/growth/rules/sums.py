"""Sums, means, variances, norms: triangle inequality and Cauchy-Schwarz."""

from __future__ import annotations

import math

import torch

from precls_theory.enclosures.norms import down_add, down_mul, up, up_div, up_mul, up_sqrt
from precls_theory.expressivity.growth.operation import GrowthContext, GrowthLike, dims_of, each, operation
from precls_theory.expressivity.growth.value import NEITHER, Growth, Relation, poly_add, poly_mul, poly_scale
from precls_theory.expressivity.tracing.program import Number, Sizes

TRIANGLE = "triangle inequality: ‖x ± αy‖ ≤ ‖x‖ + |α|‖y‖"


def _masks(c: GrowthContext, x: Growth, y: Growth) -> torch.Tensor | None:
    parts = [m.masked.expand(c.shape) for m in (x, y) if m.masked is not None]
    return None if not parts else parts[0] if len(parts) == 1 else parts[0] | parts[1]


def _combined(c: GrowthContext, x: Growth, y: Growth, alpha: float) -> Growth:
    """``x + alpha y``."""
    n, scale = math.prod(c.shape), abs(alpha)
    relation: Relation | None = None
    for first, second in ((x, y), (y, x)):  # eps is added to a mean square, for norms written out by hand
        if first.relation and first.relation.kind in ("mean square", "variance") and second.value is not None:
            shift = float(second.value.min()) if second.numel else 0.0
            size = first.relation.size
            if second.value.numel() == 1 and shift > 0 and alpha == 1 and not first.relation.eps:
                if c.rounding is not None:
                    shift = c.rounding.least(shift) if c.rounding.holds(shift, size) else 0.0
                relation = first.relation._replace(eps=shift) if shift > 0 else None
    if y.relation and y.relation.kind == "mean" and y.relation.origin == x.origin and alpha == -1:
        relation = y.relation._replace(kind="centred")
    least, most = (y.lower, y.upper) if alpha > 0 else (-y.upper, -y.lower)
    if scale != 1:  # rounded before it is added, where the sum may cancel
        least, most = down_mul(scale, least), -down_mul(scale, -most)
    lower, upper = down_add(x.lower, least), -down_add(-x.upper, -most)
    return Growth(
        c.shape, poly_add(x.expanded(n), poly_scale(y.expanded(n), scale)),
        up(x.entry + up_mul(y.entry, scale)), lower, upper, masked=_masks(c, x, y), relation=relation,
    )  # fmt: skip


@operation("add.Tensor add.Scalar", statement=TRIANGLE, masks=True, complex=True)
def add(c: GrowthContext, self: GrowthLike, other: GrowthLike, alpha: Number = 1) -> Growth:
    """-inf stays -inf unless it is multiplied by alpha."""
    x, y, a = c.growth(self), c.growth(other), c.number(alpha)
    if y.masked is not None and a != 1:
        raise c.fail("-inf is multiplied by alpha")
    return _combined(c, x, y, a)


@operation("sub.Tensor sub.Scalar subtract.Tensor subtract.Scalar", statement=TRIANGLE, masks=True, complex=True)
def subtract(c: GrowthContext, self: GrowthLike, other: GrowthLike, alpha: Number = 1) -> Growth:
    """-inf may only be what is subtracted from."""
    x, y, a = c.growth(self), c.growth(other), c.number(alpha)
    if y.masked is not None:
        raise c.fail("-inf is subtracted, which gives +inf")
    return _combined(c, x, y, -a)


@operation("rsub.Tensor rsub.Scalar", statement=TRIANGLE, complex=True)
def reverse_subtract(c: GrowthContext, self: GrowthLike, other: GrowthLike, alpha: Number = 1) -> Growth:
    """``other - alpha self``."""
    return _combined(c, c.growth(other), c.growth(self), -c.number(alpha))


@operation("lerp.Scalar lerp.Tensor", statement="‖x + w(y - x)‖ ≤ (1 + max|w|)‖x‖ + max|w| ‖y‖")
def interpolate(c: GrowthContext, self: GrowthLike, end: GrowthLike, weight: GrowthLike) -> Growth:
    """With a weight that is bounded; convex where it is in [0, 1]."""
    x, y, w = c.growth(self), c.growth(end), c.growth(weight)
    if not math.isfinite(w.entry):
        raise c.fail("a weight that is not bounded is not covered")
    n = math.prod(c.shape)
    own = 1.0 if w.lower >= 0 and w.upper <= 1 else up(1 + w.entry)
    return Growth(c.shape, poly_add(poly_scale(x.expanded(n), own), poly_scale(y.expanded(n), w.entry)))


def _count(c: GrowthContext, x: Growth) -> int:
    return x.numel // max(math.prod(c.shape), 1)


@operation("sum sum.dim_IntList", statement="Cauchy-Schwarz: ‖Σ x‖ ≤ √n ‖x‖ over n entries", complex=True)
def total(c: GrowthContext, self: Growth, dim: Sizes | None = None, keepdim: bool = False) -> Growth:
    """Signs stay."""
    n = _count(c, self)
    lower, upper = down_mul(n, self.lower), -down_mul(n, -self.upper)
    return Growth(c.shape, poly_scale(self.norm, up_sqrt(float(n))), up_mul(self.entry, float(n)), lower, upper)


@operation("mean mean.dim", statement="Cauchy-Schwarz: ‖mean x‖ ≤ ‖x‖/√n over n entries", complex=True)
def mean(c: GrowthContext, self: Growth, dim: Sizes | None = None, keepdim: bool = False) -> Growth:
    """It lies between the least and the largest."""
    dims, n = dims_of(dim, len(self.shape)), _count(c, self)
    relation: Relation | None = None
    if keepdim and self.relation is not None and self.relation.kind == "square":
        relation = Relation("mean square", self.relation.origin, dims, size=n)
    elif keepdim:
        relation = Relation("mean", self.origin, dims, size=n)
    return Growth(
        c.shape, poly_scale(self.norm, up_div(1.0, math.nextafter(math.sqrt(n), 0))), self.entry,
        self.lower, self.upper, relation=relation,
    )  # fmt: skip


def _correction(c: GrowthContext, unbiased: bool, correction: Number | None) -> float:
    return float(unbiased) if correction is None else c.number(correction)


def _variance(
    c: GrowthContext,
    x: Growth,
    dim: Sizes | None,
    unbiased: bool,
    correction: Number | None,
    keepdim: bool,
    shape: tuple[int, ...],
) -> Growth:
    dims = dims_of(dim, len(x.shape))
    n = math.prod(x.shape[d] for d in dims)
    less = _correction(c, unbiased, correction)
    if not 0 <= less < n:
        raise c.fail(f"correction {less:g} needs more than {less:g} entries, there are {n}")
    relation = Relation("variance", x.origin, dims, size=n) if keepdim else None
    factor = up_div(1.0, math.nextafter(n - less, 0))
    entry = up_mul(up_mul(x.entry, x.entry), up_mul(float(n), factor))
    return Growth(shape, poly_scale(poly_mul(x.norm, x.norm), factor), entry, 0.0, relation=relation)


VARIANCE = "‖var x‖ ≤ ‖x‖²/(n - correction)"


@operation("var var.dim var.correction", statement=VARIANCE, exponent=2)
def variance(
    c: GrowthContext,
    self: Growth,
    dim: Sizes | None = None,
    unbiased: bool = True,
    correction: Number | None = None,
    keepdim: bool = False,
) -> Growth:
    """``Σ (x - μ)² ≤ Σ x²``, and the norm of a vector of nonnegative numbers is at most their sum."""
    return _variance(c, self, dim, unbiased, correction, keepdim, c.shape)


def _deviation(c: GrowthContext, x: Growth, v: Growth, dim: Sizes | None, correction: float) -> Growth:
    """``‖std x‖² = Σ var x ≤ ‖x‖²/(n - correction)``."""
    n = math.prod(x.shape[d] for d in dims_of(dim, len(x.shape)))
    c.kind = NEITHER
    factor = up_sqrt(up_div(1.0, math.nextafter(n - correction, 0)))
    return Growth(v.shape, poly_scale(x.norm, factor), up_sqrt(v.entry), 0.0)


DEVIATION = "‖std x‖ ≤ ‖x‖/√(n - correction)"


@operation("std std.dim std.correction", statement=DEVIATION, analytic="neither")
def deviation(
    c: GrowthContext,
    self: Growth,
    dim: Sizes | None = None,
    unbiased: bool = True,
    correction: Number | None = None,
    keepdim: bool = False,
) -> Growth:
    """The root of the variance, not analytic where it is 0."""
    v = _variance(c, self, dim, unbiased, correction, False, c.shape)
    return _deviation(c, self, v, dim, _correction(c, unbiased, correction))


@operation("var_mean var_mean.dim var_mean.correction std_mean std_mean.dim std_mean.correction",
           statement=VARIANCE + "; " + DEVIATION + "; ‖mean x‖ ≤ ‖x‖/√n", exponent=2)  # fmt: skip
def variance_and_mean(
    c: GrowthContext,
    self: Growth,
    dim: Sizes | None = None,
    unbiased: bool = True,
    correction: Number | None = None,
    keepdim: bool = False,
) -> tuple[Growth, Growth]:
    """Both at once."""
    v = _variance(c, self, dim, unbiased, correction, keepdim, c.shape)
    if c.name.startswith("std"):
        v = _deviation(c, self, v, dim, _correction(c, unbiased, correction))
    return v, mean(c, self, dim, keepdim)


@operation("linalg_vector_norm norm.ScalarOpt_dim norm.Scalar norm.ScalarOpt_dim_dtype linalg_norm",
           statement="‖(‖x‖_p)‖ ≤ n^max(0, 1/p - 1/2) ‖x‖", analytic="neither", complex=True)  # fmt: skip
def vector_norm(
    c: GrowthContext,
    self: Growth,
    ord: Number | None = 2,
    p: Number | None = 2,
    dim: Sizes | None = None,
    keepdim: bool = False,
) -> Growth:
    """p-norms, p >= 1, of groups of n entries, against the Euclidean norm of the group."""
    if c.name == "linalg_norm" and not (ord in (None, 2) and dim is not None and isinstance(dim, int | tuple | list) and
                                        (isinstance(dim, int) or len(dim) == 1)):  # fmt: skip
        raise c.fail("only Euclidean norms along one dimension are covered")
    power = ord if "linalg" in c.name else p
    power = 2 if power is None else power
    if not isinstance(power, int | float) or not power >= 1:
        raise c.fail(f"the norm of order {power} is not covered, only those from 1 to inf")
    n = _count(c, self)
    stretch = 1.0 if power >= 2 else up(n ** (1 / power - 0.5) * (1 + 1e-12))
    relation = None
    if power == 2 and keepdim and not c.call.operands()[0].is_complex():
        relation = Relation("root square sum", self.origin, dims_of(dim, len(self.shape)), size=n)
    return Growth(c.shape, poly_scale(self.norm, stretch), up_mul(self.entry, float(n)), 0.0, relation=relation)


@operation("cumsum", statement="prefix sums: ‖L x‖ ≤ ‖L‖_F ‖x‖ with ‖L‖_F² = n(n+1)/2", complex=True)
def prefix_sums(c: GrowthContext, self: Growth, dim: int) -> Growth:
    """A triangular matrix of ones along one dimension."""
    n = self.shape[dim] if self.shape else 1
    return Growth(c.shape, poly_scale(self.norm, up_sqrt(n * (n + 1) / 2)), up_mul(self.entry, float(n)))


@operation("logsumexp special_logsumexp", statement="|log Σ exp x| ≤ max|x| + log n")
def log_sum_exp(c: GrowthContext, self: Growth, dim: Sizes, keepdim: bool = False) -> Growth:
    """``max x ≤ log Σ exp x ≤ max x + log n``, in each group."""
    n = _count(c, self)
    shift = up(math.log(n) * (1 + 1e-12)) if n > 1 else 0.0
    norm = poly_add(self.norm, (up_mul(shift, up_sqrt(float(math.prod(c.shape)))),))
    return Growth(c.shape, norm, up(self.entry + shift))


@operation("diff", statement="‖x_{i+1} - x_i‖ ≤ 2‖x‖")
def difference(
    c: GrowthContext,
    self: Growth,
    n: int = 1,
    dim: int = -1,
    prepend: GrowthLike | None = None,
    append: GrowthLike | None = None,
) -> Growth:
    """Repeated n times."""
    if prepend is not None or append is not None:
        raise c.fail("prepended and appended rows are not covered")
    return Growth(c.shape, poly_scale(self.norm, 2.0**n))


@operation("trace", statement="Cauchy-Schwarz: |Σ x_ii| ≤ √n ‖x‖")
def trace(c: GrowthContext, self: Growth) -> Growth:
    """The sum of the diagonal."""
    return Growth(c.shape, poly_scale(self.norm, up_sqrt(float(min(self.shape)))))


@operation("avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d "
           "_adaptive_avg_pool2d _adaptive_avg_pool3d",
           statement="means of windows, an entry in at most m of them: ‖y‖ ≤ √m ‖x‖")  # fmt: skip
def average_pool(
    c: GrowthContext, self: Growth, kernel_size: Sizes = (), stride: Sizes = (), padding: Sizes = 0,
    ceil_mode: bool = False, count_include_pad: bool = True, divisor_override: int | None = None,
    output_size: Sizes | None = None,
) -> Growth:  # fmt: skip
    """``y_w² ≤ Σ_{i in w} x_i² · n_w/d²`` with n_w entries in the window and divisor d >= 1 (d = n_w if not overridden)."""
    spatial = int(next(ch for ch in c.name if ch.isdigit()))
    if output_size is not None:
        pairs = zip(c.shape[-spatial:], self.shape[-spatial:], strict=True)
        factor = float(math.prod(-(-out // size) + 1 for out, size in pairs))
    else:
        sizes = each(kernel_size, spatial)
        strides = each(stride, spatial) or sizes
        factor = float(math.prod(-(-k // s) for k, s in zip(sizes, strides, strict=True)))
        if divisor_override is not None:
            window = float(math.prod(sizes))
            factor = up_mul(factor, up_div(window, float(divisor_override) ** 2))
            return Growth(c.shape, poly_scale(self.norm, up_sqrt(factor)))
    return Growth(c.shape, poly_scale(self.norm, up_sqrt(factor)), self.entry, min(self.lower, 0.0))


@operation(
    "upsample_nearest1d upsample_nearest2d upsample_nearest3d",
    statement="entries are repeated: ‖y‖ ≤ √m ‖x‖",
    exact=True,
)
def nearest(
    c: GrowthContext, self: Growth, output_size: Sizes, scales: float | None = None, scales_h: float | None = None,
    scales_w: float | None = None, scales_d: float | None = None,
) -> Growth:  # fmt: skip
    """Run on positions."""
    from precls_theory.expressivity.growth.rules.moves import placed

    numbered = torch.arange(self.numel, dtype=torch.float64).reshape(self.shape)
    given = {k: v for k, v in c.call.arguments.items() if k not in ("self", "output_size")}
    return placed(c, c.call.target(numbered, output_size, **given).long(), [self])
