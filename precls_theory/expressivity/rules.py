"""The growth rules of tensor operations, each with the inequality that it rests on.

A rule receives the abstract values of the operation's inputs and returns that of its output.  The inequalities are
proved in :mod:`precls_theory.theorems.transformers.any_depth`; the norm is the Euclidean norm over all entries (Frobenius).
"""

from __future__ import annotations

import math
import string
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx.node import map_aggregate

from precls_theory.expressivity import bounds
from precls_theory.expressivity.bounds import up, up_div, up_mul, up_sqrt
from precls_theory.expressivity.growth import (
    ANALYTIC,
    Context,
    Growth,
    Polynomial,
    complex_aware,
    constant,
    exact_in_floating_point,
    function_rule,
    mask_aware,
    poly_add,
    poly_hypot,
    poly_mul,
    poly_scale,
)

SIMPLEX = "softmax weights lie in a simplex: ‖A V‖ ≤ √n ‖V‖"
mask_aware(
    "add", "radd", "iadd", "__add__", "__radd__", "sub", "isub", "mul", "truediv", "div", "masked_fill", "where",
    "softmax", "scaled_dot_product_attention",
)  # fmt: skip


def _growth(c: Context, x: Any) -> Growth:
    """An operand as an abstract value: Python numbers and plain tensors are constants."""
    if isinstance(x, Growth):
        return x
    if isinstance(x, Tensor):
        return constant(x, c.place)
    if isinstance(x, bool | int | float):
        return constant(torch.tensor(float(x), dtype=torch.float64), c.place)
    raise c.fail(f"an operand of type {type(x).__name__} is not covered")


def _number(c: Context, x: Any) -> float:
    if isinstance(x, Growth) and x.value is not None and x.value.numel() == 1:
        x = float(x.value)
    if not isinstance(x, int | float):
        raise c.fail(f"expected a number, got {type(x).__name__}")
    if math.isnan(x):
        raise c.fail("a parameter is NaN")
    return float(x)


def _dims(dim: Any, ndim: int) -> tuple[int, ...]:
    if dim is None or dim == ():
        return tuple(range(-ndim, 0))
    return tuple(d if d < 0 else d - ndim for d in ((dim,) if isinstance(dim, int) else dim))


def _mask(c: Context, x: Growth) -> Tensor | None:
    return None if x.masked is None else x.masked.expand(c.shape)


def _any(c: Context, x: Growth, y: Growth) -> Tensor | None:
    a, b = _mask(c, x), _mask(c, y)
    return b if a is None else a if b is None else a | b


# ---- rearrangements: every entry of the output is an entry of the input ----------------------------------------------

REARRANGEMENTS: dict[str, Callable[..., Any]] = {
    **{
        name: getattr(torch.Tensor, name)
        for name in (
            "view", "reshape", "transpose", "permute", "expand", "contiguous", "flatten", "unsqueeze", "squeeze", "t",
            "narrow", "select", "index_select", "repeat", "repeat_interleave", "flip", "roll", "swapaxes", "movedim",
            "broadcast_to", "unflatten", "tile", "diagonal", "unfold", "swapdims", "moveaxis", "ravel", "adjoint",
        )
    },
    **{name: getattr(torch.Tensor, name) for name in ("chunk", "split", "unbind", "tensor_split")},
    "getitem": lambda x, index: x[index], "__getitem__": lambda x, index: x[index], "getattr": getattr,
    "expand_as": lambda x, other: x.expand(other.shape), "view_as": lambda x, other: x.reshape(other.shape),
    "reshape_as": lambda x, other: x.reshape(other.shape), "real": lambda x: x,
}  # fmt: skip


def gather(function: Callable[..., Any], shape: tuple[int, ...], args: Any, kwargs: Any) -> Any:
    """Apply a rearrangement to the positions 0, 1, ... of a tensor's entries: which entry goes where."""
    return function(torch.arange(math.prod(shape)).reshape(shape), *args, **kwargs)


def _simplex_after(x: Growth, where: Tensor) -> frozenset[int]:
    """Dimensions of the output along which entries are distinct members of one simplex of ``x``."""
    found = set()
    for dim in x.simplex:
        stride = math.prod(x.shape[len(x.shape) + dim + 1 :])
        size = x.shape[dim]
        group = where // (stride * size) * stride + where % stride  # the position with the index along dim removed
        for new in range(-where.ndim, 0):
            lines, values = group.movedim(new, -1), where.movedim(new, -1)
            ordered = values.sort(dim=-1).values
            distinct = (ordered[..., 1:] != ordered[..., :-1]).all()
            if bool((lines == lines[..., :1]).all()) and bool(distinct):
                found.add(new)
    return frozenset(found)


@function_rule(*REARRANGEMENTS, statement="entries are moved: ‖y‖ ≤ √m ‖x‖, m = how often one is repeated")
def _rearrange(c: Context, x: Any, *args: Any, **kwargs: Any) -> Any:
    if isinstance(x, tuple):  # an item of what chunk or split returned
        return x[args[0]]
    name = c.name

    def position(a: Any) -> Any:
        if not isinstance(a, Growth) or name in ("expand_as", "view_as", "reshape_as"):
            return a
        if a.value is None:
            raise c.fail("positions that depend on the input are not covered")
        return a.value

    if any(isinstance(a, torch.dtype) for a in (*args, *kwargs.values())):
        raise c.fail("a view as another type reinterprets the bits")
    if name == "getattr" and args[0] not in ("T", "mT", "H", "mH"):
        raise c.fail(f"attribute {args[0]!r} is not covered")
    where = gather(REARRANGEMENTS[name], x.shape, *map_aggregate((args, kwargs), position))

    def moved(positions: Tensor) -> Growth:
        times = 1
        if positions.numel() > 1:
            times = int(torch.bincount(positions.reshape(-1), minlength=1).max())
        norm = x.norm if times == 1 else poly_scale(x.norm, up_sqrt(float(times)))
        keeps_identity = name == "contiguous"
        return Growth(
            tuple(positions.shape), norm, x.entry, x.lower,
            simplex=_simplex_after(x, positions) if x.simplex else frozenset(),
            masked=None if x.masked is None else x.masked.reshape(-1)[positions],
            relation=x.relation if keeps_identity else None, **({"origin": x.origin} if keeps_identity else {}),
        )  # fmt: skip

    return tuple(moved(p) for p in where) if isinstance(where, tuple | list) else moved(where)


mask_aware(*REARRANGEMENTS)
exact_in_floating_point(*REARRANGEMENTS, "relu", "abs", "neg", "masked_fill", "where", "cat", "tril", "triu")


@function_rule(
    "float", "double", "half", "bfloat16", "to", "type_as", "type", "clone", "detach", "requires_grad_", "cpu", "cuda",
    "positive", "conj", statement="the identity on real numbers",
)  # fmt: skip
def _identity(c: Context, x: Growth, *args: Any, **kwargs: Any) -> Growth:
    if not c.out.is_floating_point():
        raise c.fail(f"conversion to {c.out.dtype} rounds the input to integers")
    return x


mask_aware("float", "double", "half", "bfloat16", "to", "type", "type_as", "clone", "detach")
complex_aware("to", "type", "type_as", "clone", "detach", "conj", "positive", *REARRANGEMENTS)
complex_aware(
    "add", "radd", "iadd", "__add__", "__radd__", "sub", "isub", "__sub__", "rsub", "__rsub__", "neg", "negative",
    "mul", "imul", "multiply", "__mul__", "__rmul__", "rmul", "truediv", "div", "divide", "cat", "concat", "stack",
    "sum", "mean", "matmul", "bmm", "mm", "__matmul__", "linear", "einsum", "fft", "ifft", "rfft", "irfft",
    "zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full",
)  # fmt: skip


@function_rule("zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full", statement="a constant")
def _new_constant(c: Context, *args: Any, **kwargs: Any) -> Growth:
    return constant(c.out, c.place)


# ---- sums ------------------------------------------------------------------------------------------------------------


@function_rule("add", "radd", "iadd", "__add__", "__radd__", statement="triangle inequality: ‖x + y‖ ≤ ‖x‖ + ‖y‖")
def _add(c: Context, x: Any, y: Any, *, alpha: float = 1) -> Growth:
    x, y = _growth(c, x), _growth(c, y)
    n = math.prod(c.shape)
    plain, scale = _number(c, alpha) == 1, abs(_number(c, alpha))
    if y.masked is not None and not plain:
        raise c.fail("-inf is multiplied by alpha")
    relation = None
    for first, second in ((x, y), (y, x)):  # eps is added to a mean square, for norms written out by hand
        if first.relation and first.relation[0] in ("mean square", "variance") and second.value is not None:
            shift = float(second.value.min())
            if second.value.numel() == 1 and shift > 0 and plain and not first.relation[3]:
                relation = (*first.relation[:3], shift)
    lower = x.lower + (y.lower if plain else -math.inf)
    return Growth(
        c.shape, poly_add(x.expanded(n), poly_scale(y.expanded(n), scale)), up(x.entry + up_mul(y.entry, scale)),
        lower=math.nextafter(lower, -math.inf) if lower != 0 else 0.0, masked=_any(c, x, y), relation=relation,
    )  # fmt: skip


@function_rule("sub", "isub", "__sub__", "rsub", "__rsub__", statement="triangle inequality: ‖x - y‖ ≤ ‖x‖ + ‖y‖")
def _sub(c: Context, x: Any, y: Any, *, alpha: float = 1) -> Growth:
    x, y = _growth(c, x), _growth(c, y)
    if c.name in ("rsub", "__rsub__"):
        x, y = y, x
    if y.masked is not None:
        raise c.fail("-inf is subtracted, which gives +inf")
    n = math.prod(c.shape)
    scale = abs(_number(c, alpha))
    relation = None
    if y.relation and y.relation[0] == "mean" and y.relation[1] == x.origin and _number(c, alpha) == 1:
        relation = ("centred", x.origin, y.relation[2], 0.0)
    return Growth(
        c.shape, poly_add(x.expanded(n), poly_scale(y.expanded(n), scale)), up(x.entry + up_mul(y.entry, scale)),
        masked=_mask(c, x), relation=relation,
    )  # fmt: skip


@function_rule("neg", "negative", statement="‖-x‖ = ‖x‖")
def _neg(c: Context, x: Growth) -> Growth:
    return Growth(c.shape, x.norm, x.entry)


@function_rule("cat", "concat", "stack", "hstack", "vstack", statement="‖[x, y]‖ = hypot(‖x‖, ‖y‖)")
def _cat(c: Context, tensors: Any, *args: Any, **kwargs: Any) -> Growth:
    parts = [_growth(c, t) for t in tensors]
    norm: Polynomial = (0.0,)
    for part in parts:
        norm = poly_hypot(norm, part.norm)
    return Growth(c.shape, norm, max(p.entry for p in parts), min(p.lower for p in parts))


@function_rule("pad", statement="zeros or copies are added")
def _pad(c: Context, x: Growth, pad: Any, mode: str = "constant", value: float | None = None) -> Growth:
    if mode == "constant":
        fill = abs(_number(c, value or 0.0))
        if fill == math.inf:
            raise c.fail("filling with infinity is not covered")
        extra = up_mul(fill, up_sqrt(float(math.prod(c.shape))))  # negative widths crop: all entries may be filled
        return Growth(c.shape, poly_hypot(x.norm, (extra,)), max(x.entry, fill))
    if mode not in ("circular", "reflect", "replicate"):
        raise c.fail(f"mode {mode!r} is not covered")
    return Growth(c.shape, poly_scale(x.norm, up_sqrt(float(math.prod(c.shape)))), x.entry)


@function_rule("sum", statement="Cauchy-Schwarz: ‖Σ x‖ ≤ √n ‖x‖ over n entries")
def _sum(c: Context, x: Growth, dim: Any = None, keepdim: bool = False, **kwargs: Any) -> Growth:
    n = float(x.numel // math.prod(c.shape))
    return Growth(c.shape, poly_scale(x.norm, up_sqrt(n)), up_mul(x.entry, n) if math.isfinite(x.entry) else math.inf)


@function_rule("mean", statement="Cauchy-Schwarz: ‖mean x‖ ≤ ‖x‖/√n over n entries")
def _mean(c: Context, x: Growth, dim: Any = None, keepdim: bool = False, **kwargs: Any) -> Growth:
    dims = _dims(dim, len(x.shape))
    n = float(x.numel // math.prod(c.shape))
    relation: tuple[Any, ...] | None = None
    if keepdim:
        square = x.relation is not None and x.relation[0] == "square"
        relation = ("mean square", x.relation[1], dims, 0.0) if square else ("mean", x.origin, dims, 0.0)  # type: ignore[index]
    lower = 0.0 if x.lower >= 0 else -math.inf
    return Growth(c.shape, poly_scale(x.norm, up_div(1.0, math.nextafter(math.sqrt(n), 0))), x.entry, lower,
                  relation=relation)  # fmt: skip


@function_rule("var", statement="‖var x‖ ≤ ‖x‖² · n/(n - correction)", exponent=2)
def _var(
    c: Context, x: Growth, dim: Any = None, unbiased: bool = True, keepdim: bool = False, *, correction: Any = None
) -> Growth:
    dims = _dims(dim, len(x.shape))
    n = math.prod(x.shape[d] for d in dims)
    less = (1 if unbiased else 0) if correction is None else correction
    if not 0 <= less < n:
        raise c.fail(f"correction {less} needs more than {less} entries, there are {n}")
    relation = ("variance", x.origin, dims, 0.0) if keepdim else None
    return Growth(c.shape, poly_scale(poly_mul(x.norm, x.norm), up_div(1.0, float(n - less))), lower=0.0,
                  relation=relation)  # fmt: skip


@function_rule("cumsum", statement="prefix sums: ‖L x‖ ≤ ‖L‖_F ‖x‖ with ‖L‖_F² = n(n+1)/2")
def _cumsum(c: Context, x: Growth, dim: int, **kwargs: Any) -> Growth:
    n = x.shape[dim]
    return Growth(c.shape, poly_scale(x.norm, up_sqrt(n * (n + 1) / 2)))


@function_rule("tril", "triu", statement="entries are replaced by zeros")
def _triangle(c: Context, x: Growth, diagonal: int = 0) -> Growth:
    return Growth(c.shape, x.norm, x.entry, min(x.lower, 0.0), x.simplex)


@function_rule("amax", "amin", statement="‖max x‖ ≤ ‖x‖", analytic="piecewise analytic")
def _extreme(c: Context, x: Growth, dim: Any = None, keepdim: bool = False) -> Growth:
    return Growth(c.shape, x.norm, x.entry)


# ---- products --------------------------------------------------------------------------------------------------------


def _best(candidates: list[Polynomial]) -> Polynomial:
    return min(candidates, key=lambda p: (p == (math.inf,), len(p), p[-1]))


def _product(c: Context, x: Growth, y: Growth) -> Growth:
    n = math.prod(c.shape)
    # Every output entry is x_i y_j for its own pair (i, j), so ‖x ⊙ y‖² ≤ Σ_ij x_i² y_j² = ‖x‖²‖y‖² with broadcasting.
    candidates = [poly_mul(x.norm, y.norm)]
    if math.isfinite(y.entry):
        candidates.append(poly_scale(x.expanded(n), y.entry))
    if math.isfinite(x.entry):
        candidates.append(poly_scale(y.expanded(n), x.entry))
    relation = None
    if x.origin == y.origin:
        relation = ("square", x.origin, (), 0.0)
    entry = up_mul(x.entry, y.entry) if math.isfinite(x.entry) and math.isfinite(y.entry) else math.inf
    simplex: frozenset[int] = frozenset()
    for first, second in ((x, y), (y, x)):
        if first.simplex and second.value is not None and second.lower >= 0 and second.entry <= 1:
            simplex = frozenset(d for d in first.simplex if len(first.shape) >= -d and first.shape[d] == c.shape[d])
        if second.relation and second.relation[0].startswith("inverse root"):
            bounded = _normalised(c, first, second)
            if bounded is not None:
                candidates, entry = [bounded.norm], bounded.entry
    nonneg = x.origin == y.origin or (x.lower >= 0 and y.lower >= 0)
    return Growth(c.shape, _best(candidates), entry, 0.0 if nonneg else -math.inf, simplex, relation=relation)


def _unit_variance(c: Context, x: Growth, size: int, eps: float | None) -> Growth:
    """Groups of ``size`` entries with mean square at most 1; ``eps`` if the mean was taken away before.

    That is where rounding counts: see :mod:`precls_theory.expressivity.rounding`.
    """
    root, entry = up_sqrt(float(x.numel)), up_sqrt(float(size))
    if c.rounding is None or eps is None:
        return Growth(c.shape, (root,), entry)
    slope, two = c.rounding.layer_norm_slope(x.numel, eps), up_sqrt(2.0)
    return Growth(c.shape, poly_add((up_mul(two, root),), poly_scale(x.norm, slope)))


def _normalised(c: Context, x: Growth, inverse: Growth) -> Growth | None:
    """``x/√(mean x² + eps)`` and ``(x - mean x)/√(var x + eps)``: every group of n entries has norm at most √n."""
    kind, origin, dims, eps = inverse.relation  # type: ignore[misc]
    rms = kind == "inverse root mean square" and x.origin == origin
    layer = (
        kind == "inverse root variance"
        and x.relation is not None
        and x.relation[:2] == ("centred", origin)
        and x.relation[2] == dims
    )
    if not (rms or layer) or x.shape != c.shape:
        return None
    return _unit_variance(c, x, math.prod(x.shape[d] for d in dims), eps if layer else None)


@function_rule(
    "mul", "imul", "multiply", "__mul__", "__rmul__", "rmul",
    statement="‖x ⊙ y‖ ≤ ‖x‖‖y‖, or max|y| ‖x‖ where y is bounded", exponent=2,
)  # fmt: skip
def _mul(c: Context, x: Any, y: Any) -> Growth:
    x, y = _growth(c, x), _growth(c, y)
    masked = _any(c, x, y)
    if masked is not None:
        other = y if x.masked is not None else x
        if other.value is None or other.masked is not None or float(other.value.min()) <= 0:
            raise c.fail("-inf is multiplied by something that may not be positive")
    return _product(c, x, y).same(masked=masked) if masked is not None else _product(c, x, y)


@function_rule(
    "truediv", "div", "divide", "itruediv", "__truediv__", "__rtruediv__", "true_divide",
    statement="‖x / y‖ ≤ ‖x‖ / min y where y is bounded below by a positive constant",
)  # fmt: skip
def _div(c: Context, x: Any, y: Any, *, rounding_mode: Any = None) -> Growth:
    if rounding_mode is not None:
        raise c.fail("rounding is not covered")
    x, y = _growth(c, x), _growth(c, y)
    if c.name == "__rtruediv__":
        x, y = y, x
    if y.value is not None:
        smallest = float(y.value.abs().min())
        if smallest == 0:
            raise c.fail("division by zero")
        if x.masked is not None and float(y.value.min()) <= 0:
            raise c.fail("-inf is divided by something that is not positive")
        n = math.prod(c.shape)
        inverse = up_div(1.0, smallest)
        positive = float(y.value.min()) > 0
        return Growth(
            c.shape, poly_scale(x.expanded(n), inverse),
            up_mul(x.entry, inverse) if math.isfinite(x.entry) else math.inf,
            0.0 if positive and x.lower >= 0 else -math.inf, masked=_mask(c, x),
        )  # fmt: skip
    if x.masked is not None or y.masked is not None:
        raise c.fail("-inf is divided by something that depends on the input")
    return _product(c, x, _reciprocal(c, y))


def _reciprocal(c: Context, y: Growth) -> Growth:
    if not y.lower > 0:
        raise c.fail("the denominator depends on the input and is not bounded away from 0 (no eps > 0 was recognised)")
    entry = up_div(1.0, y.lower)
    relation = None
    if y.relation and y.relation[0].startswith("root"):
        relation = (f"inverse {y.relation[0]}", *y.relation[1:])
    return Growth(y.shape, (up_mul(entry, up_sqrt(float(y.numel))),), entry, 0.0, relation=relation)


@function_rule("reciprocal", statement="1/x ≤ 1/min x")
def _reciprocal_rule(c: Context, x: Growth) -> Growth:
    return _reciprocal(c, x)


@function_rule("sqrt", statement="√x ≤ 1 + x; analytic where x ≥ c > 0")
def _sqrt(c: Context, x: Growth) -> Growth:
    if not x.lower > 0:
        raise c.fail("the argument is not bounded away from 0 (no eps > 0 was recognised)")
    relation = None
    if x.relation and x.relation[0] in ("mean square", "variance") and x.relation[3] > 0:
        relation = (f"root {x.relation[0]}", *x.relation[1:])
    ones = up_sqrt(float(x.numel))
    return Growth(c.shape, poly_add((ones,), x.norm), up(1 + x.entry), math.nextafter(math.sqrt(x.lower), 0),
                  relation=relation)  # fmt: skip


@function_rule("rsqrt", statement="1/√x ≤ 1/√(min x)")
def _rsqrt(c: Context, x: Growth) -> Growth:
    return _reciprocal(c, _sqrt(c, x))


@function_rule("pow", "ipow", "__pow__", "square", statement="‖xⁿ‖ ≤ ‖x‖ⁿ", exponent=2)
def _pow(c: Context, x: Any, exponent: Any = 2) -> Growth:
    if not isinstance(x, Growth) or x.value is not None:
        raise c.fail("a power whose exponent depends on the input is not covered")
    n = _number(c, exponent)
    if n in (0.5, -0.5, -1):
        return {0.5: _sqrt, -0.5: _rsqrt, -1: _reciprocal}[n](c, x)
    if n != int(n) or n < 0:
        raise c.fail(f"exponent {n} is not covered")
    if n == 0:
        return constant(torch.ones(c.shape), c.place)
    norm, entry = x.norm, x.entry
    for _ in range(int(n) - 1):
        norm = poly_mul(norm, x.norm)
        entry = up_mul(entry, x.entry) if math.isfinite(entry) else math.inf
    relation = ("square", x.origin, (), 0.0) if n == 2 else None
    return Growth(c.shape, norm, entry, 0.0 if n % 2 == 0 else -math.inf, relation=relation)


def _repeats(out_batch: tuple[int, ...], shape: tuple[int, ...]) -> float:
    """How often a batch of matrices is repeated by broadcasting."""
    return math.prod(out_batch) / max(math.prod(shape[:-2]), 1)


def _matmul_growth(c: Context, a: Growth, b: Growth) -> Growth:
    vector_a, vector_b = len(a.shape) == 1, len(b.shape) == 1
    sa = (1, *a.shape) if vector_a else a.shape
    sb = (*b.shape, 1) if vector_b else b.shape
    batch = tuple(torch.broadcast_shapes(sa[:-2], sb[:-2]))
    stretch_a, stretch_b = up_sqrt(_repeats(batch, sa)), up_sqrt(_repeats(batch, sb))
    wide_a, wide_b = poly_scale(a.norm, stretch_a), poly_scale(b.norm, stretch_b)
    candidates = [poly_mul(wide_a, wide_b)]  # Σ_k ‖A_k‖²‖B_k‖² ≤ Σ_k‖A_k‖² Σ_k‖B_k‖²
    if b.value is not None and not vector_b:
        candidates.append(poly_scale(wide_a, c.spectral(b.value)))
    if a.value is not None and not vector_a:
        candidates.append(poly_scale(wide_b, c.spectral(a.value)))
    if -1 in a.simplex:  # each row of A B is a (sub-)convex combination of rows of B; there are sa[-2] of them
        candidates.append(poly_scale(b.norm, up_sqrt(up(sa[-2] * _repeats(batch, sb)))))
    if -2 in b.simplex:
        candidates.append(poly_scale(a.norm, up_sqrt(up(sb[-1] * _repeats(batch, sa)))))
    # Where an operand is entrywise bounded its norm is a constant, so the first candidate is linear already.
    entry = b.entry if -1 in a.simplex else math.inf
    return Growth(c.shape, _best(candidates), entry)


@function_rule(
    "matmul", "bmm", "mm", "__matmul__", "mv", "dot",
    statement="weights: ‖x W‖ ≤ ‖W‖₂‖x‖; " + SIMPLEX + "; otherwise ‖A B‖ ≤ ‖A‖‖B‖", exponent=2,
)  # fmt: skip
def _matmul(c: Context, a: Any, b: Any) -> Growth:
    return _matmul_growth(c, _growth(c, a), _growth(c, b))


@function_rule("linear", statement="‖x Wᵀ + b‖ ≤ ‖W‖₂‖x‖ + √rows ‖b‖")
def _linear(c: Context, x: Growth, weight: Any, bias: Any = None) -> Growth:
    w = _growth(c, weight)
    if w.value is not None:
        out = Growth(c.shape, poly_scale(x.norm, c.spectral(w.value)))
    else:
        out = Growth(c.shape, poly_mul(x.norm, w.norm))
    if bias is None:
        return out
    return Growth(c.shape, poly_add(out.norm, _growth(c, bias).expanded(math.prod(c.shape))))


@function_rule("addmm", "baddbmm", statement="‖b + x W‖ ≤ ‖b‖ + ‖W‖₂‖x‖")
def _addmm(c: Context, bias: Any, a: Any, b: Any, *, beta: float = 1, alpha: float = 1) -> Growth:
    product = _matmul_growth(c, _growth(c, a), _growth(c, b))
    added = _growth(c, bias).expanded(math.prod(c.shape))
    return Growth(c.shape, poly_add(poly_scale(added, abs(beta)), poly_scale(product.norm, abs(alpha))))


@function_rule("einsum", statement="Cauchy-Schwarz: ‖Σ x y‖ ≤ ‖x‖‖y‖; " + SIMPLEX, exponent=2)
def _einsum(c: Context, equation: str, *operands: Any) -> Growth:
    if len(operands) == 1 and isinstance(operands[0], tuple | list):
        operands = tuple(operands[0])
    text = equation.replace(" ", "")
    if len(operands) != 2 or "->" not in text:
        raise c.fail("only equations of two operands with '->' are covered")
    x, y = (_growth(c, o) for o in operands)
    inputs, out = text.split("->")
    first, second = inputs.split(",")
    if "..." in text:  # spelled out with capitals that the equation does not use
        free = [letter for letter in string.ascii_uppercase if letter not in text]
        dots = ["".join(free[: len(o.shape) - len(t) + 3]) for o, t in ((x, first), (y, second)) if "..." in t]
        if len(set(dots)) > 1:
            raise c.fail("'...' that stands for different numbers of dimensions is not covered")
        first, second, out = (t.replace("...", dots[0]) for t in (first, second, out))
    if len(set(first)) < len(first) or len(set(second)) < len(second) or len(set(out)) < len(out):
        raise c.fail("a repeated index (a diagonal) is not covered")
    size = dict(zip(first, x.shape, strict=True))
    if any(size.setdefault(i, n) != n for i, n in zip(second, y.shape, strict=True)):
        raise c.fail("broadcasting inside einsum is not covered")
    # An index in one operand only that is summed away costs the root of its size; then Cauchy-Schwarz.
    lonely = [i for i in {*first, *second} if i not in out and (i in first) != (i in second)]
    extra = up_sqrt(float(math.prod(size[i] for i in lonely)))
    candidates = [poly_scale(poly_mul(x.norm, y.norm), extra)]
    for a, ia, b, ib in ((x, first, y, second), (y, second, x, first)):
        contracted = [i for i in ia if i not in out]
        if len(contracted) == 1 and contracted[0] in ib and not lonely:
            dim = ia.index(contracted[0]) - len(ia)
            if dim in a.simplex:
                count = float(math.prod(size[i] for i in ia if i not in ib))
                candidates.append(poly_scale(b.norm, up_sqrt(count)))
        if a.value is not None and not lonely and all(i in out for i in ib if i not in ia):
            # batch indices (in both and in the output): the worst matrix; others as rows and columns
            batch = [i for i in ia if i in ib and i in out]
            rows = [i for i in ia if i in out and i not in ib]
            columns = [i for i in ia if i not in out]
            order = [ia.index(i) for i in (*batch, *rows, *columns)]
            shape = [math.prod(size[i] for i in group) for group in (batch, rows, columns)]
            matrix = a.value.permute(order).reshape(shape)
            candidates.append(poly_scale(b.norm, c.spectral(matrix)))
    return Growth(c.shape, _best(candidates))


@function_rule("outer", statement="‖x yᵀ‖ = ‖x‖‖y‖", exponent=2)
def _outer(c: Context, x: Any, y: Any) -> Growth:
    return Growth(c.shape, poly_mul(_growth(c, x).norm, _growth(c, y).norm))


@function_rule("conv1d", statement="Young: ‖h ⋆ x‖ ≤ ‖h‖₁‖x‖ for each pair of channels, ‖·‖₂ of that matrix for all")
def _conv1d(
    c: Context, x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> Growth:  # fmt: skip
    x, w = _growth(c, x), _growth(c, weight)
    if w.value is None:
        if x.value is None:
            raise c.fail("a filter that depends on the input is not covered")
        sums = up_mul(up_sqrt(float(x.numel)), up_sqrt(float(c.shape[-1])))
        norm = poly_scale(w.norm, up_mul(sums, x.entry))
    else:
        bounds.as_float64(w.value)
        lengths = w.value.double().abs().sum(-1) * (1 + 4 * (w.shape[-1] + 4) * 2.0**-53)
        per_group = lengths.reshape(groups, -1, lengths.shape[-1])
        norm = poly_scale(x.norm, bounds.spectral_norm(per_group))
    if bias is not None:
        repeated = math.prod(c.shape) // c.shape[-2]
        b = _growth(c, bias)
        norm = poly_add(norm, poly_scale(b.norm, up_sqrt(float(repeated))))
    return Growth(c.shape, norm)


def _fourier_length(c: Context, x: Growth, n: Any, dim: int, norm: Any) -> float:
    if norm not in (None, "backward"):
        raise c.fail(f"norm={norm!r} is not covered")
    if c.name == "irfft":
        return float(n if n is not None else 2 * (x.shape[dim] - 1))
    return float(n if n is not None else x.shape[dim])


@function_rule("fft", "rfft", statement="Parseval: ‖FFT x‖ ≤ √n ‖x‖")
def _fft(c: Context, x: Growth, n: int | None = None, dim: int = -1, norm: Any = None) -> Growth:
    return Growth(c.shape, poly_scale(x.norm, up_sqrt(_fourier_length(c, x, n, dim, norm))))


@function_rule("ifft", "irfft", statement="Parseval: ‖inverse FFT x‖ ≤ √(2/n) ‖x‖")
def _ifft(c: Context, x: Growth, n: int | None = None, dim: int = -1, norm: Any = None) -> Growth:
    length = _fourier_length(c, x, n, dim, norm)
    return Growth(c.shape, poly_scale(x.norm, up_sqrt(up_div(2.0, length))))


# ---- softmax and attention -------------------------------------------------------------------------------------------


def _check_masked(c: Context, masked: Tensor | None, dim: int) -> None:
    if masked is not None and bool(masked.all(dim=dim).any()):
        raise c.fail("a row is masked completely, so its softmax is 0/0 = NaN; let every row attend to something")


@function_rule("softmax", statement="softmax weights are nonnegative and sum to 1, whatever the scores", exponent=0)
def _softmax(c: Context, x: Growth, dim: int | None = None, **kwargs: Any) -> Growth:
    if dim is None:
        raise c.fail("give dim")
    dim = dim if dim < 0 else dim - len(x.shape)
    _check_masked(c, x.masked, dim)
    groups = float(math.prod(x.shape) // x.shape[dim])
    return Growth(c.shape, (up_sqrt(groups),), 1.0, 0.0, frozenset({dim}))


@function_rule("scaled_dot_product_attention", statement=SIMPLEX)
def _sdpa(
    c: Context, query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> Growth:  # fmt: skip
    if dropout_p:
        raise c.fail(f"dropout {dropout_p} is active, so the output is random; call model.eval() first")
    q, v = _growth(c, query), _growth(c, value)
    k = _growth(c, key)
    if any(t.masked is not None for t in (q, k, v)):
        raise c.fail("queries, keys and values must be finite")
    if attn_mask is not None:
        mask = _growth(c, attn_mask)
        if c.boolean_input:
            raise c.fail("a boolean mask that depends on the input may mask a row completely")
        if mask.value is not None and mask.value.dtype == torch.bool:
            _check_masked(c, ~mask.value, -1)
        else:
            _check_masked(c, mask.masked, -1)
    repeats = math.prod(c.shape[:-2]) / math.prod(v.shape[:-2])
    rows = up_sqrt(up(c.shape[-2] * repeats))
    return Growth(c.shape, poly_scale(v.norm, rows), v.entry)


@function_rule("masked_fill", "where", statement="entries are replaced", analytic="piecewise analytic")
def _select(c: Context, first: Any, second: Any, third: Any) -> Growth:
    condition, x, y = (second, third, first) if c.name == "masked_fill" else (first, second, third)
    condition, x, y = _growth(c, condition), _growth(c, x), _growth(c, y)
    n = math.prod(c.shape)
    masked: Tensor | None = None
    if condition.value is not None:
        c.kind = ANALYTIC
        chosen = condition.value.bool().expand(c.shape)
        for part, here in ((x, chosen), (y, ~chosen)):
            hidden = _mask(c, part)
            if hidden is not None:
                masked = hidden & here if masked is None else masked | (hidden & here)
        if bool(chosen.all()) or not bool(chosen.any()):
            only = x if bool(chosen.all()) else y
            if only.shape == c.shape and only.value is None:
                return only.same(masked=masked)
        norm = poly_hypot(x.expanded(n), y.expanded(n))
    elif x.masked is not None or y.masked is not None:
        raise c.fail("a mask of -inf that depends on the input may mask a row completely")
    else:
        norm = poly_hypot(x.expanded(n), y.expanded(n))
    zero = x if x.value is not None and x.entry == 0 else None
    simplex = y.simplex if zero is not None and y.shape == c.shape and y.lower >= 0 else frozenset()
    return Growth(c.shape, norm, max(x.entry, y.entry), min(x.lower, y.lower), simplex, masked)


@function_rule("dropout", "dropout1d", "dropout2d", "alpha_dropout", statement="the identity in eval mode")
def _dropout(c: Context, x: Growth, p: float = 0.5, training: bool = True, inplace: bool = False) -> Growth:
    if training and p:
        raise c.fail(f"dropout {p} is active, so the output is random; call model.eval() first")
    return x


# ---- norms -----------------------------------------------------------------------------------------------------------


def _normalise(c: Context, x: Growth, size: int, weight: Any, bias: Any, eps: float | None = None) -> Growth:
    gain = 1.0 if weight is None else _growth(c, weight).entry
    if not math.isfinite(gain):
        raise c.fail("a gain that depends on the input is not covered")
    unit = _unit_variance(c, x, size, eps)
    entry, norm = up_mul(gain, unit.entry), poly_scale(unit.norm, gain)
    if bias is not None:
        shift = _growth(c, bias)
        norm, entry = poly_add(norm, shift.expanded(x.numel)), up(entry + shift.entry)
    return Growth(c.shape, norm, entry)


@function_rule(
    "layer_norm", "group_norm", statement="‖(x - μ)/√(σ² + eps)‖² ≤ n over n entries: the output is bounded", exponent=0
)
def _layer_norm(c: Context, x: Growth, shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Growth:
    if not eps > 0:
        raise c.fail(f"eps = {eps}: the norm is 0/0 where all entries of a row are equal; use eps > 0")
    if c.name == "group_norm":  # (x, groups, weight, bias, eps): gains and shifts run along dimension 1
        wide = (-1,) + (1,) * (len(x.shape) - 2)
        gain, shift = (None if p is None else _growth(c, p).value.reshape(wide) for p in (weight, bias))  # type: ignore
        return _normalise(c, x, x.numel // (x.shape[0] * shape), gain, shift, eps)
    return _normalise(c, x, math.prod(shape), weight, bias, eps)


@function_rule("rms_norm", statement="‖x/√(mean x² + eps)‖² ≤ n over n entries: the output is bounded", exponent=0)
def _rms_norm(c: Context, x: Growth, shape: Any, weight: Any = None, eps: float | None = None) -> Growth:
    if eps is not None and not eps > 0:  # None means the format's epsilon, which is positive
        raise c.fail(f"eps = {eps}: the norm is 0/0 where a row is zero; use eps > 0")
    return _normalise(c, x, math.prod(shape), weight, None)


@function_rule("normalize", statement="rows are divided by their norm: at most 1", exponent=0, analytic="neither")
def _unit(c: Context, x: Growth, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Any = None) -> Growth:
    if p != 2 or not eps > 0 or not isinstance(dim, int):
        raise c.fail(f"p = {p}, dim = {dim!r}, eps = {eps}: only p = 2, one dimension and eps > 0 are covered")
    return Growth(c.shape, (up_sqrt(float(x.numel // x.shape[dim])),), 1.0)


# ---- functions of one entry ------------------------------------------------------------------------------------------


def _pointwise(
    *names: str, slope: float, offset: float = 0.0, entry: float = math.inf, lower: float = -math.inf,
    statement: str, analytic: Any = "analytic", pieces: Callable[[Context, Growth], Growth] | None = None,
) -> None:  # fmt: skip
    """Rule for ``|f(x)| ≤ slope |x| + offset``, ``|f| ≤ entry``, ``f ≥ lower``; f has no parameters of its own."""

    @function_rule(*names, statement=statement, analytic=analytic, exponent=0 if math.isfinite(entry) else 1)
    def _rule(c: Context, x: Any, *, inplace: bool = False, approximate: str = "none") -> Growth:
        x = _growth(c, x)
        if c.pieces and pieces is not None:
            return pieces(c, x)
        shift = up_mul(offset, up_sqrt(float(x.numel)))
        bound = up(up_mul(slope, x.entry) + offset) if math.isfinite(x.entry) and math.isfinite(slope) else math.inf
        norm = poly_add(poly_scale(x.norm, slope), (shift,)) if math.isfinite(slope) else (math.inf,)
        if math.isfinite(entry) and not math.isfinite(slope):
            norm = (up_mul(entry, up_sqrt(float(x.numel))),)
        return Growth(c.shape, norm, min(entry, bound), -math.inf if c.pieces and pieces is None else lower)


def _no_pieces(c: Context, x: Growth) -> Growth:
    raise c.fail("one of its pieces, continued to all inputs, grows exponentially")


_pointwise("relu", slope=1, lower=0.0, statement="|relu x| ≤ |x|", analytic="piecewise analytic")
_pointwise("abs", "absolute", slope=1, lower=0.0, statement="||x|| = |x|", analytic="piecewise analytic")
_pointwise("gelu", slope=1, statement="|gelu x| ≤ |x|")
_pointwise("silu", "mish", slope=1, statement="|x σ(x)| ≤ |x|")
_pointwise("tanh", "erf", "sin", slope=math.inf, entry=1.0, statement="|f| ≤ 1")
_pointwise("cos", slope=math.inf, entry=1.0, statement="|cos| ≤ 1")
_pointwise("atan", "arctan", slope=1, entry=1.5707963267948968, statement="|arctan| ≤ π/2")
_pointwise("sign", "sgn", slope=math.inf, entry=1.0, statement="|sign| ≤ 1", analytic="piecewise analytic",
           pieces=lambda c, x: Growth(c.shape, (up_sqrt(float(x.numel)),), 1.0))  # fmt: skip
_pointwise("round", "floor", "ceil", "trunc", slope=1, offset=1.0, statement="|round x| ≤ |x| + 1", analytic="neither")
_pointwise("selu", slope=2, statement="|selu x| ≤ 2|x|", analytic="piecewise analytic", pieces=_no_pieces)
_pointwise(
    "hardswish", slope=1, statement="|hardswish x| ≤ |x|", analytic="piecewise analytic",
    pieces=lambda c, x: Growth(c.shape, poly_add(poly_scale(poly_mul(x.norm, x.norm), 0.16666666666666669), x.norm)),
)  # fmt: skip
_pointwise(
    "hardsigmoid", slope=math.inf, entry=1.0, lower=0.0, statement="0 ≤ f ≤ 1", analytic="piecewise analytic",
    pieces=lambda c, x: Growth(c.shape, poly_add(x.norm, (up_sqrt(float(x.numel)),))),
)  # fmt: skip


@function_rule("lt", "le", "gt", "ge", "eq", "ne", "logical_not", "isnan", "bool", statement="a truth value: 0 or 1",
               exponent=0, analytic="piecewise analytic")  # fmt: skip
def _truth(c: Context, *operands: Any) -> Growth:
    return Growth(c.shape, (up_sqrt(float(math.prod(c.shape))),), 1.0, 0.0)


@function_rule("sigmoid", statement="0 < σ < 1", exponent=0)
def _sigmoid(c: Context, x: Growth) -> Growth:
    return Growth(c.shape, (up_sqrt(float(x.numel)),), 1.0, 0.0)  # analytic, so its pieces are itself


@function_rule("elu", "celu", statement="|elu x| ≤ max(1, α)|x|, |celu x| ≤ |x|", analytic="piecewise analytic")
def _elu(c: Context, x: Growth, alpha: float = 1.0, inplace: bool = False) -> Growth:
    if not alpha > 0:
        raise c.fail(f"alpha = {alpha}: expected a positive number")
    if c.pieces:
        return _no_pieces(c, x)
    return Growth(c.shape, x.norm if c.name == "celu" else poly_scale(x.norm, max(1.0, alpha)))


@function_rule("leaky_relu", statement="|f(x)| ≤ max(1, |slope|)|x|", analytic="piecewise analytic")
def _leaky_relu(c: Context, x: Growth, negative_slope: float = 0.01, inplace: bool = False) -> Growth:
    return Growth(c.shape, poly_scale(x.norm, max(1.0, abs(negative_slope))))


@function_rule("softplus", statement="0 ≤ softplus x ≤ |x| + log(2)/β", analytic="piecewise analytic")
def _softplus(c: Context, x: Growth, beta: float = 1.0, threshold: float = 20.0) -> Growth:
    if not (beta > 0 and threshold >= 0):
        raise c.fail(f"beta = {beta}, threshold = {threshold}: expected positive numbers")
    return Growth(c.shape, poly_add(x.norm, (up_mul(up_div(0.6931471805599454, beta), up_sqrt(float(x.numel))),)))


@function_rule("exp", statement="exp x ≤ exp(max x) where x is bounded", exponent=0)
def _exp(c: Context, x: Growth) -> Growth:
    if not math.isfinite(x.entry) or x.entry > 700:
        raise c.fail("the exponential of a quantity that grows with the input has no polynomial bound")
    entry = math.exp(x.entry) * (1 + 1e-12)  # the C library's exp is within a few units in the last place
    return Growth(c.shape, (up_mul(entry, up_sqrt(float(x.numel))),), entry, 0.0)


def _clamped(c: Context, x: Growth, low: float | None, high: float | None) -> Growth:
    limits = [limit for limit in (low, high) if limit is not None]
    largest = max(map(abs, limits), default=0.0)
    norm = poly_add(x.norm, (up_mul(largest, up_sqrt(float(x.numel))),))
    if c.pieces:
        return Growth(c.shape, norm)
    # PyTorch returns ``high`` everywhere where low > high.
    return Growth(c.shape, norm, largest if len(limits) == 2 else math.inf, -math.inf if low is None else min(limits))


@function_rule("clamp", "clip", "clamp_min", "clamp_max", statement="|clamp x| ≤ |x| + |limit|",
               analytic="piecewise analytic")  # fmt: skip
def _clamp(c: Context, x: Growth, min: Any = None, max: Any = None) -> Growth:
    if c.name == "clamp_max" and max is None:
        min, max = None, min
    return _clamped(c, x, *(None if limit is None else _number(c, limit) for limit in (min, max)))


@function_rule("hardtanh", "relu6", statement="|clamp x| ≤ |x| + |limit|", analytic="piecewise analytic")
def _hardtanh(c: Context, x: Growth, min_val: Any = None, max_val: Any = None, inplace: bool = False) -> Growth:
    low, high = (0.0, 6.0) if c.name == "relu6" else (-1.0, 1.0)
    return _clamped(
        c, x, low if min_val is None else _number(c, min_val), high if max_val is None else _number(c, max_val)
    )


@function_rule("maximum", "minimum", statement="|max(x, y)| ≤ hypot(x, y)", analytic="piecewise analytic")
def _maximum(c: Context, x: Any, y: Any) -> Growth:
    x, y = _growth(c, x), _growth(c, y)
    n = math.prod(c.shape)
    return Growth(c.shape, poly_hypot(x.expanded(n), y.expanded(n)))


@function_rule("glu", statement="‖a ⊙ σ(b)‖ ≤ ‖a‖")
def _glu(c: Context, x: Growth, dim: int = -1) -> Growth:
    return Growth(c.shape, x.norm, x.entry)
