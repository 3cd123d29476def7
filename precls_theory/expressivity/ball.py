"""Evaluate a traced model in ball arithmetic: values and derivatives along a line, as rigorous enclosures.

The same graph that the growth certificate walks is evaluated over Arb balls (Johansson 2017) instead of floats.  Along
``u(s) = u + s v`` every tensor is a truncated power series in s (a jet), so one pass gives the value (order 0) and the
directional derivatives, all enclosed.  At a ReLU the sign of the argument must be certain for derivatives to exist;
the signs seen are the *piece* of the model that holds in a neighbourhood of ``u``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import flint
import numpy as np
import torch
from torch import Tensor, fx

from precls_theory.expressivity.growth import operation_name
from precls_theory.expressivity.rules import REARRANGEMENTS, gather
from precls_theory.expressivity.tracing import Program

Coefficients = tuple[np.ndarray, ...]


class Unsupported(Exception):
    """The model uses an operation that the ball evaluator does not know; the message names it."""


class UncertainSign(Exception):
    """A ReLU's argument is zero within the precision, so the input lies on (or too near) the border of two pieces."""


@contextmanager
def precision(bits: int) -> Iterator[None]:
    """Work with ``bits`` of precision inside the block."""
    before = flint.ctx.prec
    flint.ctx.prec = bits
    try:
        yield
    finally:
        flint.ctx.prec = before


def ball(x: Any) -> flint.arb:
    """An enclosure of a number: exact for floats and integers, one rounding for fractions."""
    if isinstance(x, flint.arb):
        return x
    if isinstance(x, Fraction):
        return flint.arb(flint.fmpq(x.numerator, x.denominator))
    if isinstance(x, bool | int | np.integer | np.bool_):
        return flint.arb(int(x))
    return flint.arb(float(x))


_to_balls = np.frompyfunc(ball, 1, 1)


def balls(values: Any) -> np.ndarray:
    """An object array of balls, from a tensor (float64 or narrower, exactly), nested lists or an array."""
    if isinstance(values, Tensor):
        values = values.detach().cpu().double().numpy()
    return np.asarray(_to_balls(np.asarray(values, dtype=object)), dtype=object)


class Jet:
    """``Σ_k coefficients[k] s^k`` modulo ``s^(order+1)``; missing coefficients are zero."""

    def __init__(self, coefficients: Sequence[np.ndarray], order: int) -> None:
        self.coefficients: Coefficients = tuple(np.asarray(c, dtype=object) for c in coefficients[: order + 1])
        self.order = order
        self.null: np.ndarray | None = None  # entries that are zero for every input, so that a ReLU has no kink there

    @property
    def shape(self) -> tuple[int, ...]:
        return self.coefficients[0].shape

    def map(self, linear: Callable[[np.ndarray], np.ndarray]) -> Jet:
        """Apply a linear map to every coefficient."""
        return Jet([linear(c) for c in self.coefficients], self.order)

    def __add__(self, other: Jet) -> Jet:
        long, short = sorted((self.coefficients, other.coefficients), key=len, reverse=True)
        shape = np.broadcast_shapes(self.shape, other.shape)
        rest = [np.broadcast_to(c, shape) for c in long[len(short) :]]
        return Jet([a + b for a, b in zip(long, short, strict=False)] + rest, self.order)

    def bilinear(self, other: Jet, product: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Jet:
        """The Cauchy product for a bilinear ``product``."""
        top = min(self.order, len(self.coefficients) + len(other.coefficients) - 2)
        out = []
        for k in range(top + 1):
            terms = [
                product(self.coefficients[i], other.coefficients[k - i])
                for i in range(max(0, k - len(other.coefficients) + 1), min(k, len(self.coefficients) - 1) + 1)
            ]
            out.append(sum(terms[1:], terms[0]))
        return Jet(out, self.order)

    def __mul__(self, other: Jet) -> Jet:
        return self.bilinear(other, np.multiply)

    def pointwise(self, function: Callable[[Any], Any]) -> Jet:
        """Apply an analytic function of one variable, given on balls and on Arb power series alike."""
        if len(self.coefficients) == 1:
            return Jet([np.asarray(np.frompyfunc(function, 1, 1)(self.coefficients[0]), dtype=object)], self.order)
        flat = np.stack([c.reshape(-1) for c in self.coefficients])
        out = np.empty((self.order + 1, flat.shape[1]), dtype=object)
        cap = flint.ctx.cap
        flint.ctx.cap = self.order + 1
        try:
            for j in range(flat.shape[1]):
                series = function(flint.arb_series(list(flat[:, j]), prec=self.order + 1))
                for k in range(self.order + 1):
                    out[k, j] = series[k]
        finally:
            flint.ctx.cap = cap
        return Jet([row.reshape(self.shape) for row in out], self.order)


def _matrix_product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Batched product of object arrays, by Arb's matrix multiplication."""
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    n, m, p = a.shape[-2], a.shape[-1], b.shape[-1]
    wide_a = np.broadcast_to(a, (*batch, n, m)).reshape(-1, n, m)
    wide_b = np.broadcast_to(b, (*batch, m, p)).reshape(-1, m, p)
    out = np.empty((wide_a.shape[0], n, p), dtype=object)
    for i, (x, y) in enumerate(zip(wide_a, wide_b, strict=True)):
        product = flint.arb_mat(n, m, x.reshape(-1).tolist()) * flint.arb_mat(m, p, y.reshape(-1).tolist())
        out[i] = np.array(product.entries(), dtype=object).reshape(n, p)
    return out.reshape(*batch, n, p)


def _one_over(x: Any) -> Any:
    return 1 / x


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + (-x).exp())


def _tanh(x: Any) -> Any:
    return 2 / (1 + (-2 * x).exp()) - 1


def _gelu(x: Any) -> Any:
    return x * (1 + (x * flint.arb(2).rsqrt()).erf()) / 2


def _gelu_tanh(x: Any) -> Any:
    # PyTorch's constants: √(2/π) and 0.044715
    scale = (2 / flint.arb.pi()).sqrt()
    return x * (1 + _tanh(scale * (x + ball(Fraction(44715, 10**6)) * x * x * x))) / 2


class Evaluator:
    """Evaluates a traced program on jets; after a run, ``signs`` holds the sign of every ReLU argument.

    ``pattern`` evaluates the piece with those signs instead, continued to all inputs: the masked model F_s, in which
    a ReLU multiplies by 1 or 0 according to the pattern and not to its argument.
    """

    def __init__(self, program: Program, order: int = 0, pattern: Sequence[int] | None = None) -> None:
        self.program, self.order, self.pattern = program, order, pattern
        self.signs: list[int] = []

    def __call__(self, u: Any, direction: Any | None = None) -> Jet:
        """Jet of the model's output along ``u + s·direction``; ``u`` is a nested sequence of exact numbers."""
        start = [balls(u)] + ([] if direction is None else [balls(direction)])
        state: dict[fx.Node, Any] = {}
        self.signs = []
        for node in self.program.graph.nodes:
            if node.op == "placeholder":
                expected = tuple(self.program.values[node].shape)
                if start[0].shape != expected:
                    raise ValueError(f"the model was traced for inputs of shape {expected}, got {start[0].shape}")
                state[node] = Jet(start, self.order)
            elif node.op == "output":
                return state[node.all_input_nodes[0]]
            elif node.op == "get_attr" or all(isinstance(state[n], Tensor) for n in node.all_input_nodes):
                state[node] = self.program.values[node]
            elif node.op == "call_module":
                raise Unsupported(f"{self.program.place(node)} has a growth rule only, no formula")
            else:
                name = operation_name(node) or ""
                if name in _CONSTANTS:
                    state[node] = self.program.values[node]
                    continue
                args, kwargs = fx.node.map_arg((node.args, node.kwargs), state.__getitem__)
                state[node] = self._apply(name, node, args, kwargs)
        raise AssertionError("a traced graph ends in an output")  # pragma: no cover

    def jet(self, x: Any) -> Jet:
        """An operand as a jet; constants have order 0."""
        return x if isinstance(x, Jet) else Jet([balls(x)], self.order)

    def _apply(self, name: str, node: fx.Node, args: Any, kwargs: Any) -> Any:
        if name in REARRANGEMENTS:
            x = args[0]
            if isinstance(x, tuple):
                return x[args[1]]
            where = gather(REARRANGEMENTS[name], x.shape, args[1:], kwargs)

            def moved(positions: Tensor) -> Jet:
                return x.map(lambda c: c.reshape(-1)[positions.numpy()])

            return tuple(map(moved, where)) if isinstance(where, tuple | list) else moved(where)
        method = _OPERATIONS.get(name)
        if method is None:
            raise Unsupported(f"{self.program.place(node)}: {name or node.target} has no ball evaluation")
        return method(self, *args, **kwargs)

    # -- operations --

    def linear(self, x: Any, weight: Any, bias: Any = None) -> Jet:
        w = self.jet(weight).map(lambda c: c.T)
        flat = self.jet(x).map(lambda c: c.reshape(-1, c.shape[-1]))
        out = flat.bilinear(w, _matrix_product)
        shape = (*self.jet(x).shape[:-1], out.shape[-1])
        out = out.map(lambda c: c.reshape(shape))
        out = out if bias is None else out + self.jet(bias)
        if isinstance(weight, Tensor) and (bias is None or isinstance(bias, Tensor)):
            dead = (weight == 0).all(dim=1) & (torch.ones(()).bool() if bias is None else bias == 0)
            out.null = np.broadcast_to(dead.numpy(), shape)
        return out

    def add(self, x: Any, y: Any, alpha: Any = 1) -> Jet:
        return self.jet(x) + self.mul(y, alpha)

    def sub(self, x: Any, y: Any, alpha: Any = 1) -> Jet:
        return self.jet(x) + self.mul(y, -alpha)

    def neg(self, x: Jet) -> Jet:
        return x.map(np.negative)

    def mul(self, x: Any, y: Any) -> Jet:
        if isinstance(y, int | float) and y == 1:
            return self.jet(x)
        return self.jet(x) * self.jet(y)

    def div(self, x: Any, y: Any) -> Jet:
        return self.jet(x) * self.jet(y).pointwise(_one_over)

    def matmul(self, x: Any, y: Any) -> Jet:
        a, b = self.jet(x), self.jet(y)
        if len(a.shape) < 2 or len(b.shape) < 2:
            raise Unsupported("matmul with vectors has no ball evaluation")
        return a.bilinear(b, _matrix_product)

    def einsum(self, equation: str, *operands: Any) -> Jet:
        if len(operands) == 1 and isinstance(operands[0], tuple | list):
            operands = tuple(operands[0])
        first, second = map(self.jet, operands)
        return first.bilinear(second, lambda a, b: np.einsum(equation, a, b, optimize=False))

    def addmm(self, bias: Any, x: Any, y: Any) -> Jet:
        return self.matmul(x, y) + self.jet(bias)

    def softmax(self, x: Any, dim: int = -1, **kwargs: Any) -> Jet:
        scores = self.jet(x)
        hidden = np.frompyfunc(lambda b: not b.is_finite() and bool(b < 0), 1, 1)(scores.coefficients[0]).astype(bool)
        zero = flint.arb(0)
        middle = np.frompyfunc(lambda b: b.mid(), 1, 1)(
            np.where(hidden, flint.arb(-(10**9)) ** 9, scores.coefficients[0])
        )
        top = np.max(middle, axis=dim, keepdims=True)  # shifts all scores of a row by one exact number
        shifted = [np.where(hidden, zero, c) for c in scores.coefficients]
        shifted[0] = np.where(hidden, zero, shifted[0] - top)
        exp = Jet(shifted, self.order).pointwise(lambda b: b.exp()).map(lambda c: np.where(hidden, zero, c))
        total = exp.map(lambda c: c.sum(axis=dim, keepdims=True))
        return exp * total.pointwise(_one_over)

    def attention(
        self, query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0,
        is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
    ) -> Jet:  # fmt: skip
        if enable_gqa or dropout_p:
            raise Unsupported("grouped queries and dropout have no ball evaluation")
        q, k, v = self.jet(query), self.jet(key), self.jet(value)
        factor = ball(scale) if scale is not None else flint.arb(q.shape[-1]).rsqrt()
        scores = self.matmul(q, k.map(lambda c: np.swapaxes(c, -1, -2))).map(lambda c: c * factor)
        if is_causal:
            attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
        if isinstance(attn_mask, Tensor) and attn_mask.dtype == torch.bool:
            scores = self.masked_fill(scores, ~attn_mask, -math.inf)
        elif attn_mask is not None:
            scores = scores + self.jet(attn_mask)
        return self.matmul(self.softmax(scores), v)

    def masked_fill(self, x: Any, mask: Any, value: Any) -> Jet:
        return self.where(mask, value, x)

    def where(self, condition: Any, x: Any, y: Any) -> Jet:
        if isinstance(condition, Jet):
            raise Unsupported("a condition that depends on the input has no ball evaluation")
        chosen = condition.bool().numpy()
        a, b = self.jet(x), self.jet(y)
        zero = np.array(flint.arb(0), dtype=object)
        length = max(len(a.coefficients), len(b.coefficients))
        pad = [[*j.coefficients, *([zero] * (length - len(j.coefficients)))] for j in (a, b)]
        return Jet([np.where(chosen, p, q) for p, q in zip(*pad, strict=True)], self.order)

    def _centred(self, x: Jet, axes: tuple[int, ...]) -> Jet:
        return x + x.map(lambda c: -_mean(c, axes))

    def _scaled(self, x: Jet, axes: tuple[int, ...], eps: float, weight: Any, bias: Any) -> Jet:
        square = (x * x).map(lambda c: _mean(c, axes)) + self.jet(eps)
        out = x * square.pointwise(lambda b: b.rsqrt())
        out = out if weight is None else out * self.jet(weight)
        return out if bias is None else out + self.jet(bias)

    def layer_norm(self, x: Any, shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Jet:
        axes = tuple(range(-len(tuple(shape)), 0))
        return self._scaled(self._centred(self.jet(x), axes), axes, eps, weight, bias)

    def rms_norm(self, x: Any, shape: Any, weight: Any = None, eps: float | None = None) -> Jet:
        if eps is None:
            raise Unsupported("RMSNorm with eps=None takes the epsilon of the number format; give eps")
        return self._scaled(self.jet(x), tuple(range(-len(tuple(shape)), 0)), eps, weight, None)

    def relu(self, x: Any, *args: Any, slope: float = 0.0, **kwargs: Any) -> Jet:
        jet = self.jet(x)
        first = jet.coefficients[0]
        positive = np.frompyfunc(lambda b: b > 0, 1, 1)(first).astype(bool)
        negative = np.frompyfunc(lambda b: b < 0, 1, 1)(first).astype(bool)
        zero = np.frompyfunc(lambda b: b.is_zero(), 1, 1)(first).astype(bool)
        if self.pattern is not None:
            chosen = np.array(self.pattern[len(self.signs) : len(self.signs) + first.size]).reshape(first.shape)
            positive, negative, zero = chosen > 0, chosen <= 0, np.zeros_like(zero)
        unsure = ~(positive | negative)
        if jet.null is not None:
            unsure &= ~jet.null
        self.signs.extend((positive.astype(int) - negative.astype(int)).reshape(-1).tolist())
        if self.order and unsure.any():
            raise UncertainSign("a ReLU's argument is zero within the precision; move the input or raise the precision")
        scale = ball(slope)
        out = [np.where(positive, c, c * scale) for c in jet.coefficients]
        hull = np.frompyfunc(lambda b: (b * scale).union(b if b.is_zero() else b.union(flint.arb(0))), 1, 1)
        if (unsure & ~zero).any():
            out[0] = np.where(unsure & ~zero, hull(first), out[0])
        return Jet(out, self.order)

    def leaky_relu(self, x: Any, negative_slope: float = 0.01, inplace: bool = False) -> Jet:
        return self.relu(x, slope=negative_slope)

    def absolute(self, x: Any) -> Jet:
        return self.relu(x, slope=-1.0)

    def gelu(self, x: Any, approximate: str = "none") -> Jet:
        return self.jet(x).pointwise(_gelu if approximate == "none" else _gelu_tanh)

    def silu(self, x: Any, inplace: bool = False) -> Jet:
        return self.jet(x).pointwise(lambda b: b * _sigmoid(b))

    def softplus(self, x: Any, beta: float = 1.0, threshold: float = 20.0) -> Jet:
        def function(b: Any) -> Any:
            value = ball(beta) * (b[0] if isinstance(b, flint.arb_series) else b)
            if value > ball(threshold):  # PyTorch's definition: the identity from here on
                return b
            if not value <= ball(threshold):
                raise UncertainSign("a softplus argument lies at its threshold within the precision")
            return (1 + (b * ball(beta)).exp()).log() / ball(beta)

        return self.jet(x).pointwise(function)

    def var(
        self, x: Jet, dim: Any = None, unbiased: bool = True, keepdim: bool = False, *, correction: Any = None
    ) -> Jet:
        axes = _axes(dim, len(x.shape))
        less = int(unbiased) if correction is None else correction
        centred = self._centred(x, axes)
        total = self.sum(centred * centred, dim, keepdim)
        return total.map(lambda c: c / flint.arb(math.prod(x.shape[a] for a in axes) - less))

    def pow(self, x: Any, exponent: Any = 2) -> Jet:
        jet = self.jet(x)
        if exponent == 0.5:
            return jet.pointwise(lambda b: b.sqrt())
        if exponent == -0.5:
            return jet.pointwise(lambda b: b.rsqrt())
        if exponent != int(exponent) or exponent < 1:
            raise Unsupported(f"the power {exponent} has no ball evaluation")
        out = jet
        for _ in range(int(exponent) - 1):
            out = out * jet
        return out

    def sum(self, x: Jet, dim: Any = None, keepdim: bool = False, **kwargs: Any) -> Jet:
        axes = _axes(dim, len(x.shape))
        return x.map(lambda c: np.asarray(c.sum(axis=axes, keepdims=keepdim), dtype=object))

    def mean(self, x: Jet, dim: Any = None, keepdim: bool = False, **kwargs: Any) -> Jet:
        n = math.prod(x.shape[a] for a in _axes(dim, len(x.shape)))
        return self.sum(x, dim, keepdim).map(lambda c: c / flint.arb(n))

    def cumsum(self, x: Jet, dim: int, **kwargs: Any) -> Jet:
        return x.map(lambda c: np.cumsum(c, axis=dim))

    def cat(self, tensors: Any, dim: int = 0, **kwargs: Any) -> Jet:
        parts = [self.jet(t) for t in tensors]
        length = max(len(p.coefficients) for p in parts)

        def padded(part: Jet, k: int) -> np.ndarray:
            return (
                part.coefficients[k] if k < len(part.coefficients) else np.full(part.shape, flint.arb(0), dtype=object)
            )

        return Jet([np.concatenate([padded(p, k) for p in parts], axis=dim) for k in range(length)], self.order)

    def stack(self, tensors: Any, dim: int = 0) -> Jet:
        return self.cat([self.jet(t).map(lambda c: np.expand_dims(c, dim)) for t in tensors], dim)

    def tril(self, x: Jet, diagonal: int = 0) -> Jet:
        return self.where(torch.ones(x.shape, dtype=torch.bool).tril(diagonal), x, 0.0)

    def triu(self, x: Jet, diagonal: int = 0) -> Jet:
        return self.where(torch.ones(x.shape, dtype=torch.bool).triu(diagonal), x, 0.0)

    def glu(self, x: Jet, dim: int = -1) -> Jet:
        half = x.shape[dim] // 2
        value, gate = (x.map(lambda c, part=part: np.split(c, [half], axis=dim)[part]) for part in (0, 1))  # type: ignore[misc]
        return value * gate.pointwise(_sigmoid)

    def conv1d(
        self, x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
        groups: int = 1,
    ) -> Jet:  # fmt: skip
        stride, padding, dilation = (p[0] if isinstance(p, tuple | list) else p for p in (stride, padding, dilation))
        if isinstance(padding, str) or not isinstance(x, Jet) or isinstance(weight, Jet):
            raise Unsupported("this convolution has no ball evaluation")
        w = balls(weight)
        size = w.shape[-1]
        reach = dilation * (size - 1) + 1

        def convolve(c: np.ndarray) -> np.ndarray:
            wide = np.full((*c.shape[:-1], c.shape[-1] + 2 * padding), flint.arb(0), dtype=object)
            wide[..., padding : padding + c.shape[-1]] = c
            count = (wide.shape[-1] - reach) // stride + 1
            at = np.arange(count)[:, None] * stride + np.arange(size) * dilation
            windows = wide[..., at].reshape(c.shape[0], groups, -1, count, size)
            filters = w.reshape(groups, -1, *w.shape[1:])
            out = np.einsum("bgitk,goik->bgot", windows, filters, optimize=False)
            return out.reshape(c.shape[0], -1, count)

        out = x.map(convolve)
        return out if bias is None else out + self.jet(bias).map(lambda c: c[:, None])

    def identity(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        return x


def _axes(dim: Any, ndim: int) -> tuple[int, ...]:
    return tuple(range(ndim)) if dim is None or dim == () else (dim,) if isinstance(dim, int) else tuple(dim)


def _mean(c: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    return c.sum(axis=axes, keepdims=True) / flint.arb(math.prod(c.shape[a] for a in axes))


def _pointwise(function: Callable[[Any], Any]) -> Callable[..., Jet]:
    return lambda evaluator, x, *args, **kwargs: evaluator.jet(x).pointwise(function)


_OPERATIONS: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("add", "iadd", "__add__", "__radd__"), Evaluator.add),
    **dict.fromkeys(("sub", "isub", "__sub__"), Evaluator.sub),
    **dict.fromkeys(("mul", "imul", "__mul__", "__rmul__"), Evaluator.mul),
    **dict.fromkeys(("truediv", "div", "itruediv", "__truediv__"), Evaluator.div),
    **dict.fromkeys(("matmul", "bmm", "mm", "__matmul__"), Evaluator.matmul),
    **dict.fromkeys(("pow", "ipow", "__pow__", "square"), Evaluator.pow),
    **dict.fromkeys(
        ("float", "double", "half", "bfloat16", "to", "type", "type_as", "clone", "detach", "dropout"), Evaluator.identity
    ),
    **{
        name: getattr(Evaluator, name)
        for name in (
            "linear", "neg", "einsum", "addmm", "softmax", "masked_fill", "where", "layer_norm", "rms_norm", "relu",
            "leaky_relu", "softplus", "var", "gelu", "silu", "sum", "mean", "cumsum", "cat", "stack",
            "tril", "triu", "glu", "conv1d",
        )
    },
    "abs": Evaluator.absolute,
    "scaled_dot_product_attention": Evaluator.attention,
    "sigmoid": _pointwise(_sigmoid),
    "tanh": _pointwise(_tanh),
    "erf": _pointwise(lambda b: b.erf()),
    "exp": _pointwise(lambda b: b.exp()),
    "sqrt": _pointwise(lambda b: b.sqrt()),
    "rsqrt": _pointwise(lambda b: b.rsqrt()),
    "sin": _pointwise(lambda b: b.sin()),
    "cos": _pointwise(lambda b: b.cos()),
    "reciprocal": _pointwise(_one_over),
}  # fmt: skip


_CONSTANTS = frozenset({"zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full"})


def evaluate(program: Program, u: Any, bits: int = 256) -> np.ndarray:
    """Enclosures of the model's exact output at ``u`` (an object array of balls).

    Raises:
        Unsupported: an operation has no ball evaluation.
    """
    with precision(bits):
        return Evaluator(program)(u).coefficients[0]
