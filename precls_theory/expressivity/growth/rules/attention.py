"""Softmax and attention: nonnegative weights that sum to 1, whatever the scores."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from precls_theory.enclosures.norms import up, up_mul, up_sqrt
from precls_theory.expressivity.growth.operation import GrowthContext, GrowthLike, operation
from precls_theory.expressivity.growth.rules.products import SIMPLEX
from precls_theory.expressivity.growth.value import Growth, poly_add, poly_scale


def check_masked(c: GrowthContext, masked: Tensor | None, dim: int) -> None:
    """Refuse where a whole line is -inf."""
    if masked is not None and bool(masked.all(dim=dim).any()):
        raise c.fail("a row is masked completely, so its softmax is 0/0 = NaN; let every row attend to something")


@operation("softmax.int _softmax special_softmax", masks=True, exponent=0,
           statement="softmax weights are nonnegative and sum to 1, whatever the scores")  # fmt: skip
def softmax(c: GrowthContext, self: Growth, dim: int, half_to_float: bool = False) -> Growth:
    """Each line has norm at most 1."""
    dim = dim if dim < 0 else dim - len(self.shape)
    if not self.shape:
        return Growth(c.shape, (1.0,), 1.0, 0.0, 1.0)
    check_masked(c, self.masked, dim)
    groups = float(math.prod(self.shape) // self.shape[dim])
    return Growth(c.shape, (up_sqrt(groups),), 1.0, 0.0, 1.0, frozenset({dim}))


@operation("_safe_softmax", masks=True, exponent=0,
           statement="softmax weights are nonnegative and sum to at most 1, whatever the scores")  # fmt: skip
def safe_softmax(c: GrowthContext, self: Growth, dim: int) -> Growth:
    """A line that is masked completely gives zeros."""
    dim = dim if dim < 0 else dim - len(self.shape)
    groups = float(math.prod(self.shape) // self.shape[dim])
    return Growth(c.shape, (up_sqrt(groups),), 1.0, 0.0, 1.0, frozenset({dim}))


@operation("log_softmax.int _log_softmax special_log_softmax", statement="|log softmax x| ≤ 2 max|x| + log n")
def log_softmax(c: GrowthContext, self: Growth, dim: int, half_to_float: bool = False) -> Growth:
    """``x - log Σ exp x``; in the norm, ‖x‖ + √n (‖x‖ + √groups log n), since each group's number is subtracted n times."""
    n = self.shape[dim] if self.shape else 1
    root = up_sqrt(float(n))
    shift = up(math.log(n) * (1 + 1e-12)) if n > 1 else 0.0
    groups = up_sqrt(float(self.numel // max(n, 1)))
    norm = poly_add(poly_scale(self.norm, up(1 + root)), (up_mul(root, up_mul(groups, shift)),))
    return Growth(c.shape, norm, up(2 * self.entry + shift) if math.isfinite(self.entry) else math.inf, upper=0.0)


@operation("scaled_dot_product_attention", statement=SIMPLEX, masks=True)
def attention(
    c: GrowthContext, query: GrowthLike, key: GrowthLike, value: GrowthLike, attn_mask: Growth | Tensor | None = None,
    dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> Growth:  # fmt: skip
    """The output's rows are convex combinations of rows of the values; a row that sees nothing is zero, or refused."""
    if dropout_p:
        raise c.fail(f"dropout {dropout_p} is active, so the output is random; call model.eval() first")
    if scale is not None and not c.number(scale) > 0 and is_causal:
        raise c.fail(
            f"scale = {scale}: PyTorch multiplies masked scores, which are -inf, by it, which gives NaN; use scale > 0"
        )
    q, k, v = c.growth(query), c.growth(key), c.growth(value)
    if any(t.masked is not None for t in (q, k, v)):
        raise c.fail("queries, keys and values must be finite")
    if isinstance(attn_mask, Tensor) and attn_mask.dtype == torch.bool:
        check_masked(c, ~attn_mask, -1)
    elif isinstance(attn_mask, Growth):
        node = c.call.node
        given = node.args[3] if len(node.args) > 3 else node.kwargs["attn_mask"]
        if attn_mask.value is None and given.meta["val"].dtype == torch.bool:  # type: ignore[union-attr]
            raise c.fail("a boolean mask that depends on the input may mask a row completely")
        check_masked(c, attn_mask.masked, -1)
    elif attn_mask is not None:
        raise c.fail(f"a mask of type {attn_mask.dtype} is not covered")
    repeats = math.prod(c.shape[:-2]) / max(math.prod(v.shape[:-2]), 1)
    rows = up_sqrt(up(c.shape[-2] * repeats))
    return Growth(c.shape, poly_scale(v.norm, rows), v.entry, v.lower if v.lower < 0 else 0.0, max(v.upper, 0.0))


@operation("dropout feature_dropout alpha_dropout feature_alpha_dropout native_dropout", statement="the identity in eval mode",
           exact=True)  # fmt: skip
def dropout(c: GrowthContext, input: Growth, p: float, train: bool | None) -> Growth | tuple[Growth, Growth]:
    """Random in training mode."""
    if train is None or (train and p):
        raise c.fail(f"dropout {p} is active, so the output is random; call model.eval() first")
    if c.several:
        return (input, c.growth(torch.ones(c.shape)))
    return input
