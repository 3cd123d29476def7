"""Convolutions: Young's inequality for each pair of channels, and the spectral norm of that matrix for all of them."""

from __future__ import annotations

import math

import torch

from precls_theory.enclosures import norms
from precls_theory.enclosures.norms import up, up_mul, up_sqrt
from precls_theory.expressivity.growth.operation import GrowthContext, GrowthLike, operation
from precls_theory.expressivity.growth.value import Growth, poly_add, poly_mul, poly_scale
from precls_theory.expressivity.tracing.program import Sizes

YOUNG = "Young: ‖h ⋆ x‖ ≤ ‖h‖₁‖x‖ for each pair of channels, ‖·‖₂ of that matrix for all"


def _convolved(
    c: GrowthContext, x: Growth, w: Growth, bias: GrowthLike | None, groups: int, transposed: bool, spatial: int
) -> Growth:
    if w.value is not None:
        norms.as_float64(w.value)
        taps = tuple(range(2, w.value.ndim))
        count = math.prod(w.shape[2:])
        lengths = w.value.double().abs().sum(taps) * (1 + 4 * (count + 4) * 2.0**-53)  # (out, in/groups) or transposed
        per_group = lengths.reshape(groups, -1, lengths.shape[-1])
        norm = poly_scale(x.norm, norms.spectral_norm(per_group))
    else:  # the filter depends on the input: every output entry is a sum of products of one entry of each
        # Σ_o (Σ_i h_i x_{o-i})² ≤ Σ_o ‖h‖² Σ_{i} x_{o-i}²: each entry of x is seen at most once for each tap and channel
        seen = float(math.prod(w.shape[2:]) * (w.shape[1] if transposed else w.shape[0]))
        norm = poly_scale(poly_mul(x.norm, w.norm), up_sqrt(seen))
    if bias is not None:
        repeated = math.prod(c.shape) // c.shape[-1 - spatial]
        norm = poly_add(norm, poly_scale(c.growth(bias).norm, up_sqrt(float(repeated))))
    return Growth(c.shape, norm)


@operation("conv1d conv2d conv3d conv1d.padding conv2d.padding conv3d.padding", statement=YOUNG, exponent=2)
def convolution(
    c: GrowthContext, input: GrowthLike, weight: GrowthLike, bias: GrowthLike | None = None, stride: Sizes = 1,
    padding: Sizes | str = 0, dilation: Sizes = 1, groups: int = 1,
) -> Growth:  # fmt: skip
    """Zero padding, strides and dilation take entries away, or add zeros."""
    return _convolved(c, c.growth(input), c.growth(weight), bias, groups, False, int(c.name[4]))


@operation("conv_transpose1d conv_transpose2d.input conv_transpose3d.input", statement=YOUNG, exponent=2)
def transposed_convolution(
    c: GrowthContext, input: GrowthLike, weight: GrowthLike, bias: GrowthLike | None = None, stride: Sizes = 1,
    padding: Sizes = 0, output_padding: Sizes = 0, groups: int = 1, dilation: Sizes = 1,
) -> Growth:  # fmt: skip
    """The transpose of a convolution has its norm."""
    return _convolved(c, c.growth(input), c.growth(weight), bias, groups, True, int(c.name[14]))


@operation("convolution", statement=YOUNG, exponent=2)
def any_convolution(
    c: GrowthContext, input: GrowthLike, weight: GrowthLike, bias: GrowthLike | None, stride: Sizes, padding: Sizes,
    dilation: Sizes, transposed: bool, output_padding: Sizes, groups: int,
) -> Growth:  # fmt: skip
    """Both kinds."""
    w = c.growth(weight)
    return _convolved(c, c.growth(input), w, bias, groups, transposed, len(w.shape) - 2)


@operation("embedding", statement="rows of a table: ‖y‖ ≤ √m ‖table‖")
def embedding(
    c: GrowthContext, weight: GrowthLike, indices: GrowthLike, padding_idx: int = -1, scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Growth:  # fmt: skip
    """Each position is looked up; positions that depend on the input may all be the longest row."""
    w = c.growth(weight)
    if isinstance(indices, torch.Tensor):
        from precls_theory.expressivity.growth.rules.moves import placed

        numbered = torch.arange(w.numel).reshape(w.shape)
        return placed(c, numbered[indices], [w])
    if w.value is None:
        raise c.fail("a table and positions that both depend on the input are not covered")
    largest = norms.max_abs(w.value)
    longest = float((w.value.double() / (largest or 1.0)).norm(dim=1).max()) * (1 + 1e-12)  # squares do not underflow
    rows = up_sqrt(float(math.prod(c.shape[:-1])))
    return Growth(c.shape, (up_mul(up_mul(up(longest), largest), rows),), w.entry)
