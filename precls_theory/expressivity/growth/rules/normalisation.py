"""Layer, group, RMS, instance and batch norms: bounded outputs, or an affine map with stored statistics."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from precls_theory.enclosures.norms import up, up_div, up_mul, up_sqrt
from precls_theory.expressivity.growth.operation import GrowthContext, GrowthLike, operation
from precls_theory.expressivity.growth.rules.products import unit_variance
from precls_theory.expressivity.growth.value import Growth, poly_add, poly_scale

UNIT = "‖(x - μ)/√(σ² + eps)‖² ≤ n over n entries: the output is bounded"


def _check_eps(c: GrowthContext, eps: float, size: int) -> float:
    value = c.number(eps)
    if not value > 0:
        raise c.fail(f"eps = {eps}: the norm is 0/0 where all entries of a row are equal; use eps > 0")
    if c.rounding is not None and not c.rounding.holds(value, size):
        raise c.fail(f"eps = {eps} may underflow in this format")
    return value


def _normalise(
    c: GrowthContext,
    x: Growth,
    size: int,
    weight: GrowthLike | None,
    bias: GrowthLike | None,
    eps: float | None = None,
) -> Growth:
    gain = 1.0 if weight is None else c.growth(weight).entry
    if not math.isfinite(gain):
        raise c.fail("a gain that depends on the input is not covered")
    unit = unit_variance(c, x, size, eps)
    entry = up_mul(gain, unit.entry) if math.isfinite(unit.entry) else math.inf
    norm = poly_scale(unit.norm, gain)
    if bias is not None:
        shift = c.growth(bias)
        norm, entry = poly_add(norm, shift.expanded(x.numel)), up(entry + shift.entry)
    return Growth(c.shape, norm, entry)


def _statistics(c: GrowthContext, x: Growth, y: Growth, size: int, eps: float) -> Growth | tuple[Growth, ...]:
    """A native operation also returns the mean and 1/√(σ² + eps), whose bounds are those of their formulas."""
    if not c.several:
        return y
    inverse = up_div(1.0, math.nextafter(math.sqrt(eps), 0))
    found = [y]
    for out, what in zip(c.outs[1:], ("mean", "inverse"), strict=False):
        shape = tuple(out.shape)
        root = up_sqrt(float(max(math.prod(shape), 1)))
        if what == "mean":
            found.append(Growth(shape, poly_scale(x.norm, up_div(1.0, math.nextafter(math.sqrt(size), 0)))))
        else:
            found.append(Growth(shape, (up_mul(inverse, root),), inverse, 0.0))
    return tuple(found)


@operation("layer_norm native_layer_norm", statement=UNIT, exponent=0)
def layer_norm(
    c: GrowthContext, input: Growth, normalized_shape: Sequence[int], weight: GrowthLike | None = None,
    bias: GrowthLike | None = None, eps: float = 1e-05, cudnn_enable: bool = True,
) -> Growth | tuple[Growth, ...]:  # fmt: skip
    """Groups are the last dimensions."""
    size = math.prod(normalized_shape)
    value = _check_eps(c, eps, size)
    return _statistics(c, input, _normalise(c, input, size, weight, bias, value), size, value)


def _wide(c: GrowthContext, parameter: GrowthLike | None, ndim: int) -> torch.Tensor | None:
    """A gain or shift along dimension 1."""
    if parameter is None:
        return None
    g = c.growth(parameter)
    if g.value is None:
        raise c.fail("a gain or shift that depends on the input is not covered")
    return g.value.reshape((-1,) + (1,) * (ndim - 2))


@operation("group_norm native_group_norm", statement=UNIT, exponent=0)
def group_norm(
    c: GrowthContext, input: Growth, num_groups: int | None = None, weight: GrowthLike | None = None,
    bias: GrowthLike | None = None, eps: float = 1e-05, cudnn_enabled: bool = True, N: int = 0, C: int = 0,
    HxW: int = 0, group: int | None = None,
) -> Growth | tuple[Growth, ...]:  # fmt: skip
    """Groups of channels, of one sample each."""
    groups = num_groups if num_groups is not None else group
    if groups is None:
        raise c.fail("the number of groups is missing")
    size = input.numel // (input.shape[0] * groups)
    value = _check_eps(c, eps, size)
    gain, shift = (_wide(c, p, len(input.shape)) for p in (weight, bias))
    return _statistics(c, input, _normalise(c, input, size, gain, shift, value), size, value)


@operation(
    "rms_norm _fused_rms_norm", statement="‖x/√(mean x² + eps)‖² ≤ n over n entries: the output is bounded", exponent=0
)
def rms_norm(
    c: GrowthContext,
    input: Growth,
    normalized_shape: Sequence[int],
    weight: GrowthLike | None = None,
    eps: float | None = None,
) -> Growth | tuple[Growth, ...]:
    """Without eps, the format's epsilon is taken, which is positive."""
    size = math.prod(normalized_shape)
    value = torch.finfo(c.call.operands()[0].dtype).eps if eps is None else eps
    value = _check_eps(c, value, size)
    y = _normalise(c, input, size, weight, None)
    if not c.several:
        return y
    inverse = up_div(1.0, math.nextafter(math.sqrt(value), 0))
    shape = tuple(c.outs[1].shape)
    return y, Growth(shape, (up_mul(inverse, up_sqrt(float(math.prod(shape)))),), inverse, 0.0)


def _above(values: torch.Tensor, zero: torch.Tensor) -> torch.Tensor:
    """Upper bounds of nonnegative numbers after a few roundings, which may have underflowed where they are not zero."""
    return torch.where(zero, 0.0, values * (1 + 1e-12) + 1e-320)


@operation("batch_norm native_batch_norm _native_batch_norm_legit_no_training cudnn_batch_norm "
           "_native_batch_norm_legit _native_batch_norm_legit.no_stats instance_norm",
           statement="stored statistics: an affine map, ‖y‖ ≤ max|w/√(v + eps)| ‖x‖ + const; own ones: " + UNIT)  # fmt: skip
def batch_norm(
    c: GrowthContext, input: Growth, weight: GrowthLike | None = None, bias: GrowthLike | None = None,
    running_mean: GrowthLike | None = None, running_var: GrowthLike | None = None, training: bool = False,
    use_input_stats: bool = False, momentum: float = 0.1, eps: float = 1e-05, cudnn_enabled: bool = True,
) -> Growth | tuple[Growth, ...]:  # fmt: skip
    """An affine map with stored statistics; with the statistics of its own input, a group norm."""
    ndim = len(input.shape)
    gain, shift = (_wide(c, p, ndim) for p in (weight, bias))
    own = training or use_input_stats or c.call.target is torch.ops.aten._native_batch_norm_legit.no_stats
    if own:
        if running_mean is not None or running_var is not None:
            raise c.fail("batch statistics are active in training mode; call model.eval() first")
        single = c.name == "instance_norm"
        size = input.numel // (input.shape[1] * (input.shape[0] if single else 1))
        value = _check_eps(c, eps, size)
        return _statistics(c, input, _normalise(c, input, size, gain, shift, value), size, value)
    mean, var = _wide(c, running_mean, ndim), _wide(c, running_var, ndim)
    if mean is None or var is None or not c.number(eps) + float(var.min()) > 0:
        raise c.fail("it needs stored statistics, with variances above -eps")
    if c.rounding is not None and not c.rounding.least(float(c.number(eps) + float(var.min()))) > 0:
        raise c.fail("its smallest variance may underflow in this format")
    gain = torch.ones((), dtype=torch.float64) if gain is None else gain.double().abs()
    scale = _above(gain / (var.double() + eps).sqrt(), gain == 0)
    largest = up(float(scale.max()))
    moved = c.growth(_above(mean.double().abs() * scale, (mean == 0) | (scale == 0)).reshape(-1))
    count = input.numel // input.shape[1]
    norm = poly_add(poly_scale(input.norm, largest), poly_scale(moved.norm, up_sqrt(float(count))))
    if shift is not None:
        norm = poly_add(norm, poly_scale(c.growth(shift.reshape(-1)).norm, up_sqrt(float(count))))
    y = Growth(c.shape, norm)
    return y if not c.several else (y, *(Growth(tuple(o.shape), (0.0,)) for o in c.outs[1:]))
