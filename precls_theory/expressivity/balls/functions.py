"""The ball evaluations of ATen operations, one function for each; they complete the records of the growth rules.

Every function gets the evaluator and the arguments by the names of PyTorch's schema.  Functions of one entry are given
on balls and on Arb power series alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

import flint
import numpy as np
import torch
from torch import Tensor

from precls_theory.enclosures.jets import Jet, ball, balls, matrix_product
from precls_theory.expressivity.balls.errors import UncertainSign, Unsupported
from precls_theory.expressivity.growth import rules as _rules  # noqa: F401  (the records must be there)
from precls_theory.expressivity.growth.operation import ball as evaluates
from precls_theory.expressivity.growth.operation import each
from precls_theory.expressivity.tracing.program import Number, Sizes

if TYPE_CHECKING:
    from precls_theory.expressivity.balls.evaluator import Evaluator, JetLike


Series: TypeAlias = flint.arb | flint.arb_series
"""A ball, or a power series with balls as coefficients."""


def _one_over(x: Series) -> Series:
    return 1 / x


def _sigmoid(x: Series) -> Series:
    return 1 / (1 + (-x).exp())


def _tanh(x: Series) -> Series:
    return 2 / (1 + (x * -2).exp()) - 1


def _gelu(x: Series) -> Series:
    return x * (1 + (x * flint.arb(2).rsqrt()).erf()) / 2


def _gelu_tanh(x: Series) -> Series:
    # PyTorch's constants: √(2/π) and 0.044715
    scale = (2 / flint.arb.pi()).sqrt()
    return x * (1 + _tanh(scale * (x + ball(Fraction(44715, 10**6)) * x * x * x))) / 2


def _inverse(x: Jet) -> Jet:
    return x.pointwise(_one_over)


FUNCTIONS: dict[str, Callable[[Series], Series]] = {
    "sigmoid": _sigmoid,
    "tanh": _tanh,
    "silu": lambda b: b * _sigmoid(b),
    "mish": lambda b: b * _tanh((1 + b.exp()).log()),
    "erf": lambda b: b.erf(),
    "erfc": lambda b: 1 - b.erf(),
    "exp": lambda b: b.exp(),
    "expm1": lambda b: b.exp() - 1,
    "log": lambda b: b.log(),
    "log1p": lambda b: (b + 1).log(),
    "log_sigmoid": lambda b: -(1 + (-b).exp()).log(),
    "sqrt": lambda b: b.sqrt(),
    "rsqrt": lambda b: b.rsqrt(),
    "sin": lambda b: b.sin(),
    "cos": lambda b: b.cos(),
    "atan": lambda b: b.atan(),
    "reciprocal": _one_over,
}
"""Analytic functions without parameters."""


def _register(name: str, function: Callable[[Series], Series]) -> None:
    evaluates(name)(lambda e, self: e.jet(self).pointwise(function))


for _name, _function in FUNCTIONS.items():
    _register(_name, _function)


@evaluates("alias contiguous clone detach alias_copy lift_fresh_copy lift_fresh positive to.dtype to.device to.other "
           "to.dtype_layout _to_copy type_as float double half")  # fmt: skip
def identity(e: Evaluator, self: JetLike, other: JetLike | None = None, copy: bool = False) -> JetLike:
    """Conversions are exact here."""
    return self


@evaluates("dropout feature_dropout alpha_dropout")
def dropout(e: Evaluator, input: JetLike, p: float, train: bool) -> JetLike:
    """The identity in eval mode."""
    if train and p:
        raise Unsupported("dropout is random")
    return input


# ---- sums and products ------------------------------------------------------------------------------------------------


@evaluates("add.Tensor add.Scalar")
def add(e: Evaluator, self: JetLike, other: JetLike, alpha: Number = 1) -> Jet:
    """``x + alpha y``."""
    return e.jet(self) + scaled(e, other, alpha)


@evaluates("sub.Tensor sub.Scalar")
def subtract(e: Evaluator, self: JetLike, other: JetLike, alpha: Number = 1) -> Jet:
    """``x - alpha y``."""
    return e.jet(self) + scaled(e, other, -alpha)


@evaluates("rsub.Tensor rsub.Scalar")
def reverse_subtract(e: Evaluator, self: JetLike, other: JetLike, alpha: Number = 1) -> Jet:
    """``y - alpha x``."""
    return e.jet(other) + scaled(e, self, -alpha)


def scaled(e: Evaluator, x: JetLike, factor: JetLike) -> Jet:
    """``factor x``; once is exact."""
    return e.jet(x) if isinstance(factor, int | float) and factor == 1 else e.jet(x) * e.jet(factor)


@evaluates("neg")
def negative(e: Evaluator, self: Jet) -> Jet:
    """``-x``."""
    return self.map(np.negative)


@evaluates("mul.Tensor mul.Scalar")
def multiply(e: Evaluator, self: JetLike, other: JetLike) -> Jet:
    """``x ⊙ y``."""
    return scaled(e, self, other)


@evaluates("div.Tensor div.Scalar")
def divide(e: Evaluator, self: JetLike, other: JetLike) -> Jet:
    """``x / y``."""
    return e.jet(self) * _inverse(e.jet(other))


@evaluates("addcmul")
def add_product(e: Evaluator, self: JetLike, tensor1: JetLike, tensor2: JetLike, value: Number = 1) -> Jet:
    """``x + v y ⊙ z``."""
    return e.jet(self) + scaled(e, e.jet(tensor1) * e.jet(tensor2), value)


@evaluates("lerp.Scalar lerp.Tensor")
def interpolate(e: Evaluator, self: JetLike, end: JetLike, weight: JetLike) -> Jet:
    """``x + w (y - x)``."""
    x = e.jet(self)
    return x + (e.jet(end) + x.map(np.negative)) * e.jet(weight)


@evaluates("pow.Tensor_Scalar square")
def power(e: Evaluator, self: Jet, exponent: Number = 2) -> Jet:
    """Whole exponents by squaring, and roots."""
    if isinstance(exponent, complex):
        raise Unsupported("complex powers have no ball evaluation")
    if exponent in (0.5, -0.5, -1):
        return self.pointwise({0.5: lambda b: b.sqrt(), -0.5: lambda b: b.rsqrt(), -1: _one_over}[exponent])
    if not math.isfinite(exponent) or exponent != int(exponent) or exponent < 1:
        raise Unsupported(f"the power {exponent} has no ball evaluation")
    result: Jet | None = None
    for digit in bin(int(exponent))[2:]:
        result = self if result is None else result * result * self if digit == "1" else result * result
    assert result is not None
    return result


@evaluates("linear")
def linear(e: Evaluator, input: JetLike, weight: JetLike, bias: JetLike | None = None) -> Jet:
    """``x Wᵀ + b``; units whose weights are all zero are marked, since they have no kink."""
    w, x = e.jet(weight).map(lambda c: c.T), e.jet(input)
    flat = x.map(lambda c: c.reshape(-1, c.shape[-1]))
    out = flat.bilinear(w, matrix_product)
    shape = (*x.shape[:-1], out.shape[-1])
    out = out.map(lambda c: c.reshape(shape))
    out = out if bias is None else out + e.jet(bias)
    if isinstance(weight, Tensor) and (bias is None or isinstance(bias, Tensor)):
        dead = (weight == 0).all(dim=1) & (torch.ones(()).bool() if bias is None else bias == 0)
        out.null = np.broadcast_to(dead.numpy(), shape)
    return out


@evaluates("matmul bmm mm mv dot")
def matmul(
    e: Evaluator,
    self: JetLike,
    other: JetLike | None = None,
    mat2: JetLike | None = None,
    vec: JetLike | None = None,
    tensor: JetLike | None = None,
) -> Jet:
    """Vectors are matrices of one row or column."""
    a, b = e.jet(self), e.jet(next(x for x in (other, mat2, vec, tensor) if x is not None))
    first, second = len(a.shape) == 1, len(b.shape) == 1
    wide_a = a.map(lambda c: c[None, :]) if first else a
    wide_b = b.map(lambda c: c[:, None]) if second else b
    out = wide_a.bilinear(wide_b, matrix_product)
    if first:
        out = out.map(lambda c: c[..., 0, :])
    return out.map(lambda c: np.asarray(c[..., 0], dtype=object)) if second else out


@evaluates("addmm baddbmm addmv")
def add_matmul(
    e: Evaluator, self: JetLike, mat1: JetLike | None = None, mat2: JetLike | None = None,
    batch1: JetLike | None = None, batch2: JetLike | None = None, mat: JetLike | None = None,
    vec: JetLike | None = None, beta: Number = 1, alpha: Number = 1,
) -> Jet:  # fmt: skip
    """``β b + α x W``."""
    a, b = (next(x for x in pair if x is not None) for pair in ((mat1, batch1, mat), (mat2, batch2, vec)))
    return scaled(e, self, beta) + scaled(e, matmul(e, a, b), alpha)


@evaluates("einsum")
def einsum(e: Evaluator, equation: str, tensors: Sequence[JetLike]) -> Jet:
    """Two operands."""
    if len(tensors) != 2:
        raise Unsupported("einsum of other than two operands has no ball evaluation")
    first, second = map(e.jet, tensors)
    return first.bilinear(second, lambda a, b: np.asarray(np.einsum(equation, a, b, optimize=False), dtype=object))


def _axes(dim: Sizes | None, ndim: int) -> tuple[int, ...]:
    return tuple(range(ndim)) if dim is None or dim in ((), []) else (dim,) if isinstance(dim, int) else tuple(dim)


@evaluates("sum sum.dim_IntList")
def total(e: Evaluator, self: Jet, dim: Sizes | None = None, keepdim: bool = False) -> Jet:
    """Sums along dimensions."""
    axes = _axes(dim, len(self.shape))
    return self.map(lambda c: np.asarray(c.sum(axis=axes, keepdims=keepdim), dtype=object))


@evaluates("mean mean.dim")
def mean(e: Evaluator, self: Jet, dim: Sizes | None = None, keepdim: bool = False) -> Jet:
    """Means along dimensions."""
    n = math.prod(self.shape[a] for a in _axes(dim, len(self.shape)))
    return total(e, self, dim, keepdim).map(lambda c: c / flint.arb(n))


def _centred(x: Jet, axes: tuple[int, ...]) -> Jet:
    return x + x.map(lambda c: -(c.sum(axis=axes, keepdims=True) / flint.arb(math.prod(c.shape[a] for a in axes))))


@evaluates("var.dim var.correction var")
def variance(
    e: Evaluator,
    self: Jet,
    dim: Sizes | None = None,
    unbiased: bool = True,
    correction: Number | None = None,
    keepdim: bool = False,
) -> Jet:
    """``Σ (x - μ)²/(n - correction)``."""
    axes = _axes(dim, len(self.shape))
    less = int(unbiased) if correction is None else correction
    centred = _centred(self, axes)
    n = math.prod(self.shape[a] for a in axes)
    return total(e, centred * centred, axes, keepdim).map(lambda c: c / (flint.arb(n) - ball(less)))


@evaluates("cumsum")
def prefix_sums(e: Evaluator, self: Jet, dim: int) -> Jet:
    """Along one dimension."""
    return self.map(lambda c: np.cumsum(c, axis=dim))


# ---- attention and norms ----------------------------------------------------------------------------------------------


@evaluates("softmax.int _softmax")
def softmax(e: Evaluator, self: JetLike, dim: int = -1, half_to_float: bool = False) -> Jet:
    """Scores that are -inf have weight zero; the others are shifted by an exact number."""
    scores = e.jet(self)
    hidden = np.frompyfunc(lambda b: not b.is_finite() and bool(b < 0), 1, 1)(scores.coefficients[0]).astype(bool)
    zero = flint.arb(0)
    middle = np.frompyfunc(lambda b: b.mid(), 1, 1)(np.where(hidden, flint.arb(-(10**9)) ** 9, scores.coefficients[0]))
    top = np.max(middle, axis=dim, keepdims=True)
    shifted = [np.where(hidden, zero, c) for c in scores.coefficients]
    shifted[0] = np.where(hidden, zero, shifted[0] - top)
    exp = Jet(shifted, e.order).pointwise(lambda b: b.exp()).map(lambda c: np.where(hidden, zero, c))
    return exp * _inverse(exp.map(lambda c: c.sum(axis=dim, keepdims=True)))


@evaluates("scaled_dot_product_attention")
def attention(
    e: Evaluator, query: JetLike, key: JetLike, value: JetLike, attn_mask: JetLike | None = None,
    dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> Jet:  # fmt: skip
    """Its defining formula; grouped keys are repeated."""
    if dropout_p:
        raise Unsupported("dropout has no ball evaluation")
    q, k, v = e.jet(query), e.jet(key), e.jet(value)
    if enable_gqa:
        times = q.shape[-3] // k.shape[-3]
        k, v = (x.map(lambda c: np.repeat(c, times, axis=-3)) for x in (k, v))
    factor = ball(scale) if scale is not None else flint.arb(q.shape[-1]).rsqrt()
    scores = matmul(e, q, k.map(lambda c: np.swapaxes(c, -1, -2))).map(lambda c: c * factor)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    if isinstance(attn_mask, Tensor) and attn_mask.dtype == torch.bool:
        scores = choose(e, attn_mask, scores, -math.inf)
    elif attn_mask is not None:
        scores = scores + e.jet(attn_mask)
    return matmul(e, softmax(e, scores), v)


def choose(e: Evaluator, condition: JetLike, x: JetLike, y: JetLike) -> Jet:
    """``x`` where a constant condition holds."""
    if not isinstance(condition, Tensor):
        raise Unsupported("a condition that depends on the input has no ball evaluation")
    chosen = condition.bool().numpy()
    a, b = e.jet(x), e.jet(y)
    zero = np.array(flint.arb(0), dtype=object)
    length = max(len(a.coefficients), len(b.coefficients))
    pad = [[*j.coefficients, *([zero] * (length - len(j.coefficients)))] for j in (a, b)]
    return Jet([np.where(chosen, p, q) for p, q in zip(*pad, strict=True)], e.order)


@evaluates("where.self where.ScalarSelf where.ScalarOther where.Scalar")
def where(e: Evaluator, condition: JetLike, self: JetLike, other: JetLike) -> Jet:
    """The first operand where the condition holds."""
    return choose(e, condition, self, other)


@evaluates("masked_fill.Scalar masked_fill.Tensor")
def masked_fill(e: Evaluator, self: JetLike, mask: JetLike, value: JetLike) -> Jet:
    """The number where the mask holds."""
    return choose(e, mask, value, self)


def _normalised(
    e: Evaluator, x: Jet, axes: tuple[int, ...], eps: float, weight: JetLike | None, bias: JetLike | None,
) -> Jet:  # fmt: skip
    square = total(e, x * x, axes, True).map(lambda c: c / flint.arb(math.prod(x.shape[a] for a in axes))) + e.jet(eps)
    out = x * square.pointwise(lambda b: b.rsqrt())
    out = out if weight is None else out * e.jet(weight)
    return out if bias is None else out + e.jet(bias)


@evaluates("layer_norm")
def layer_norm(
    e: Evaluator, input: JetLike, normalized_shape: Sequence[int], weight: JetLike | None = None, bias: JetLike | None = None,
    eps: float = 1e-05, cudnn_enable: bool = True,
) -> Jet:  # fmt: skip
    """Its defining formula."""
    axes = tuple(range(-len(tuple(normalized_shape)), 0))
    return _normalised(e, _centred(e.jet(input), axes), axes, eps, weight, bias)


@evaluates("rms_norm")
def rms_norm(
    e: Evaluator,
    input: JetLike,
    normalized_shape: Sequence[int],
    weight: JetLike | None = None,
    eps: float | None = None,
) -> Jet:
    """Its defining formula."""
    if eps is None:
        raise Unsupported("RMSNorm with eps=None takes the epsilon of the number format; give eps")
    return _normalised(e, e.jet(input), tuple(range(-len(tuple(normalized_shape)), 0)), eps, weight, None)


@evaluates("batch_norm")
def batch_norm(
    e: Evaluator, input: JetLike, weight: JetLike | None, bias: JetLike | None, running_mean: JetLike | None,
    running_var: JetLike | None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Jet:  # fmt: skip
    """With stored statistics, an affine map."""
    if training or running_mean is None or running_var is None:
        raise Unsupported("batch statistics have no ball evaluation")
    x = e.jet(input)
    wide = (-1,) + (1,) * (len(x.shape) - 2)

    def channel(p: JetLike) -> Jet:
        return e.jet(p).map(lambda c: c.reshape(wide))

    out = (x + channel(running_mean).map(np.negative)) * (channel(running_var) + e.jet(eps)).pointwise(
        lambda b: b.rsqrt()
    )
    out = out if weight is None else out * channel(weight)
    return out if bias is None else out + channel(bias)


# ---- functions with kinks ---------------------------------------------------------------------------------------------


def kinked(e: Evaluator, x: JetLike, slope: Number | Tensor) -> Jet:
    """x where it is positive, ``slope x`` elsewhere; the signs are recorded, or given by the pattern."""
    jet = e.jet(x)
    first = jet.coefficients[0]
    positive = np.frompyfunc(lambda b: b > 0, 1, 1)(first).astype(bool)
    negative = np.frompyfunc(lambda b: b < 0, 1, 1)(first).astype(bool)
    zero = np.frompyfunc(lambda b: b.is_zero(), 1, 1)(first).astype(bool)
    if e.pattern is not None:
        chosen = np.array(e.pattern[len(e.signs) : len(e.signs) + first.size]).reshape(first.shape)
        positive, negative, zero = chosen > 0, chosen <= 0, np.zeros_like(zero)
    unsure = ~(positive | negative)
    if jet.null is not None:
        unsure &= ~jet.null
    e.signs.extend((positive.astype(int) - negative.astype(int)).reshape(-1).tolist())
    if e.order and unsure.any():
        raise UncertainSign("a ReLU's argument is zero within the precision; move the input or raise the precision")
    scale = np.broadcast_to(balls(slope), first.shape)
    out = [np.where(positive, c, c * scale) for c in jet.coefficients]
    hull = np.frompyfunc(lambda b, s: (b * s).union(b if b.is_zero() else b.union(flint.arb(0))), 2, 1)
    if (unsure & ~zero).any():
        out[0] = np.where(unsure & ~zero, hull(first, scale), out[0])
    return Jet(out, e.order)


@evaluates("relu")
def relu(e: Evaluator, self: JetLike) -> Jet:
    """Slope 0 for negative arguments."""
    return kinked(e, self, 0.0)


@evaluates("abs")
def absolute(e: Evaluator, self: JetLike) -> Jet:
    """Slope -1 for negative arguments."""
    return kinked(e, self, -1.0)


@evaluates("leaky_relu")
def leaky_relu(e: Evaluator, self: JetLike, negative_slope: Number = 0.01) -> Jet:
    """Its own slope for negative arguments."""
    return kinked(e, self, negative_slope)


@evaluates("prelu _prelu_kernel")
def prelu(e: Evaluator, self: JetLike, weight: Tensor) -> Jet:
    """A slope for each channel."""
    jet = e.jet(self)
    if weight.numel() > 1 and weight.ndim == 1:
        weight = weight.reshape((-1,) + (1,) * (len(jet.shape) - 2))
    return kinked(e, jet, weight)


@evaluates("gelu")
def gelu(e: Evaluator, self: JetLike, approximate: str = "none") -> Jet:
    """Both forms."""
    return e.jet(self).pointwise(_gelu if approximate == "none" else _gelu_tanh)


@evaluates("softplus")
def softplus(e: Evaluator, self: JetLike, beta: Number = 1, threshold: Number = 20) -> Jet:
    """The identity from the threshold on, as PyTorch defines it."""

    def function(b: Series) -> Series:
        value = ball(beta) * (b[0] if isinstance(b, flint.arb_series) else b)
        if value > ball(threshold):
            return b
        if not value <= ball(threshold):
            raise UncertainSign("a softplus argument lies at its threshold within the precision")
        return (1 + (b * ball(beta)).exp()).log() / ball(beta)

    return e.jet(self).pointwise(function)


@evaluates("conv1d")
def conv1d(
    e: Evaluator, input: JetLike, weight: JetLike, bias: JetLike | None = None, stride: Sizes = 1, padding: Sizes = 0,
    dilation: Sizes = 1, groups: int = 1,
) -> Jet:  # fmt: skip
    """A fixed filter, zero padding."""
    step, wide, hole = (each(p, 1)[0] for p in (stride, padding, dilation))
    if isinstance(weight, Jet) or not isinstance(input, Jet) or len(input.shape) != 3:
        raise Unsupported("this convolution has no ball evaluation")
    w = balls(weight)
    size = w.shape[-1]
    reach = hole * (size - 1) + 1

    def convolved(c: np.ndarray) -> np.ndarray:
        padded = np.full((*c.shape[:-1], c.shape[-1] + 2 * wide), flint.arb(0), dtype=object)
        padded[..., wide : wide + c.shape[-1]] = c
        count = (padded.shape[-1] - reach) // step + 1
        at = np.arange(count)[:, None] * step + np.arange(size) * hole
        windows = padded[..., at].reshape(c.shape[0], groups, -1, count, size)
        filters = w.reshape(groups, -1, *w.shape[1:])
        out = np.einsum("bgitk,goik->bgot", windows, filters, optimize=False)
        return out.reshape(c.shape[0], -1, count)

    out = input.map(convolved)
    return out if bias is None else out + e.jet(bias).map(lambda c: c[:, None])
