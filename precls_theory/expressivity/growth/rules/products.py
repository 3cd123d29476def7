"""Products: Cauchy-Schwarz, operator norms of weights, and rows in a simplex."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence

import torch

from precls_theory.enclosures.norms import down_mul, up, up_div, up_mul, up_sqrt
from precls_theory.expressivity.growth.operation import GrowthContext, GrowthLike, operation
from precls_theory.expressivity.growth.rules.pointwise import inverse_root, reciprocal_of, square_root
from precls_theory.expressivity.growth.value import (
    Growth,
    NormPolynomial,
    Relation,
    poly_add,
    poly_mul,
    poly_power,
    poly_scale,
    up_power,
)
from precls_theory.expressivity.tracing.program import Number, Sizes

SIMPLEX = "softmax weights lie in a simplex: ‖A V‖ ≤ √n ‖V‖"


def best(candidates: list[NormPolynomial]) -> NormPolynomial:
    """The smallest bound: a finite one, of the lowest degree, with the smallest leading coefficient."""
    return min(candidates, key=lambda p: (p == (math.inf,), len(p), p[-1]))


def product(c: GrowthContext, x: Growth, y: Growth) -> Growth:
    """``x ⊙ y``: every output entry is x_i y_j for its own pair (i, j), so ‖x ⊙ y‖² ≤ Σ_ij x_i² y_j² = ‖x‖²‖y‖²."""
    n = math.prod(c.shape)
    candidates = [poly_mul(x.norm, y.norm)]
    if math.isfinite(y.entry):
        candidates.append(poly_scale(x.expanded(n), y.entry))
    if math.isfinite(x.entry):
        candidates.append(poly_scale(y.expanded(n), x.entry))
    relation = Relation("square", x.origin) if x.origin == y.origin else None
    entry = up_mul(x.entry, y.entry) if math.isfinite(x.entry) and math.isfinite(y.entry) else math.inf
    simplex: frozenset[int] = frozenset()
    for first, second in ((x, y), (y, x)):
        if first.simplex and second.value is not None and second.lower >= 0 and second.entry <= 1:
            simplex = frozenset(d for d in first.simplex if first.shape[d] == c.shape[d])
        if second.relation and second.relation.kind.startswith("inverse root"):
            found = normalised(c, first, second.relation, second.shape)
            if found is not None:
                candidates, entry = [found.norm], found.entry
    lower, upper = _ends(x, y)
    if x.origin == y.origin and not c.dtype.is_complex:
        lower = max(lower, 0.0)
    return Growth(c.shape, best(candidates), entry, lower, upper, simplex, relation=relation)


def _ends(x: Growth, y: Growth) -> tuple[float, float]:
    """The least and the largest product of an entry of each."""
    if not all(map(math.isfinite, (x.lower, x.upper, y.lower, y.upper))):
        if x.lower >= 0 and y.lower >= 0:
            return down_mul(x.lower, y.lower), math.inf
        if x.upper <= 0 and y.upper <= 0:
            return 0.0, math.inf
        if (x.lower >= 0 and y.upper <= 0) or (x.upper <= 0 and y.lower >= 0):
            return -math.inf, 0.0
        return -math.inf, math.inf
    pairs = [(a, b) for a in (x.lower, x.upper) for b in (y.lower, y.upper)]
    return min(down_mul(a, b) for a, b in pairs), -min(down_mul(-a, b) for a, b in pairs)


def unit_variance(c: GrowthContext, x: Growth, size: int, eps: float | None) -> Growth:
    """Groups of ``size`` entries with mean square at most 1; ``eps`` if the mean was taken away before.

    That is where rounding counts: see :mod:`precls_theory.enclosures.formats`.
    """
    root, entry = up_sqrt(float(x.numel)), up_sqrt(float(size))
    if c.rounding is None:
        return Growth(x.shape, (root,), entry)
    if eps is None:
        stretch = c.rounding.root_mean_square(size)
        return Growth(x.shape, (up_mul(root, stretch),), up_mul(entry, stretch))
    slope, two = c.rounding.layer_norm_slope(x.numel, eps), up_sqrt(2.0)
    return Growth(x.shape, poly_add((up_mul(two, root),), poly_scale(x.norm, slope)))


def normalised(c: GrowthContext, x: Growth, inverse: Relation, shape: tuple[int, ...]) -> Growth | None:
    """``x/√(mean x² + eps)``, ``(x - mean x)/√(var x + eps)``, ``x/max(‖x‖, eps)``: norms at most √n, √n and 1."""
    kind, origin, dims, eps, size = inverse
    if x.shape != c.shape or len(shape) != len(x.shape):
        return None
    if kind == "inverse root square sum clamped":
        if x.origin != origin:
            return None
        if c.rounding is not None and up_sqrt(8.0 * (size + 4) * c.rounding.tiny) > eps * c.rounding.unit * 16:
            return None  # squares underflow where the norm still counts
        stretch = 1.0 if c.rounding is None else c.rounding.root_mean_square(size)
        return Growth(c.shape, (up_mul(up_sqrt(up_div(float(x.numel), float(size))), stretch),), stretch)
    rms = kind == "inverse root mean square" and x.origin == origin
    layer = kind == "inverse root variance" and x.relation is not None and x.relation[:3] == ("centred", origin, dims)
    if not (rms or layer):
        return None
    return unit_variance(c, x, size, eps if layer else None)


@operation("mul.Tensor mul.Scalar multiply.Tensor multiply.Scalar",
           statement="‖x ⊙ y‖ ≤ ‖x‖‖y‖, or max|y| ‖x‖ where y is bounded", exponent=2, masks=True, complex=True)  # fmt: skip
def multiply(c: GrowthContext, self: GrowthLike, other: GrowthLike) -> Growth:
    """-inf may only be multiplied by a positive constant."""
    x, y = c.growth(self), c.growth(other)
    if x.masked is None and y.masked is None:
        return product(c, x, y)
    hidden, factor = (x, y) if x.masked is not None else (y, x)
    if factor.value is None or factor.masked is not None or not float(factor.value.min()) > 0:
        raise c.fail("-inf is multiplied by something that may not be positive")
    assert hidden.masked is not None
    return product(c, x, y).same(masked=hidden.masked.expand(c.shape))


def quotient(c: GrowthContext, x: Growth, y: Growth) -> Growth:
    """``x / y`` where |y| is bounded below by a positive constant."""
    if y.value is not None and not y.value.is_complex():
        smallest = float(y.value.abs().min()) if y.numel else 1.0
        if smallest == 0:
            raise c.fail("division by zero")
        positive = float(y.value.min()) > 0
        if x.masked is not None and not positive:
            raise c.fail("-inf is divided by something that is not positive")
        n, inverse = math.prod(c.shape), up_div(1.0, smallest)
        lower, upper = -math.inf, math.inf
        if positive:
            lower = 0.0 if x.lower >= 0 else -up_mul(-x.lower, inverse) if math.isfinite(x.lower) else -math.inf
            upper = 0.0 if x.upper <= 0 else up_mul(x.upper, inverse) if math.isfinite(x.upper) else math.inf
        entry = up_mul(x.entry, inverse) if math.isfinite(x.entry) else math.inf
        masked = None if x.masked is None else x.masked.expand(c.shape)
        return Growth(c.shape, poly_scale(x.expanded(n), inverse), entry, lower, upper, masked=masked)
    if x.masked is not None or y.masked is not None:
        raise c.fail("-inf is divided by something that depends on the input")
    return product(c, x, reciprocal_of(c, y))


@operation("div.Tensor div.Scalar divide.Tensor divide.Scalar true_divide.Tensor true_divide.Scalar",
           statement="‖x / y‖ ≤ ‖x‖ / min|y| where |y| is bounded below by a positive constant", masks=True)  # fmt: skip
def divide(c: GrowthContext, self: GrowthLike, other: GrowthLike) -> Growth:
    """The divisor may depend on the input if it stays above a positive constant."""
    return quotient(c, c.growth(self), c.growth(other))


@operation("div.Tensor_mode div.Scalar_mode floor_divide floor_divide.Scalar", analytic="neither",
           statement="|round(x / y)| ≤ |x / y| + 1")  # fmt: skip
def divide_and_round(
    c: GrowthContext, self: GrowthLike, other: GrowthLike, rounding_mode: str | None = "floor"
) -> Growth:
    """Without a mode, a division."""
    y = quotient(c, c.growth(self), c.growth(other))
    if rounding_mode is None:
        return y
    return Growth(c.shape, poly_add(y.norm, (up_sqrt(float(y.numel)),)), up(y.entry + 1))


@operation("addcmul", statement="‖x + v y⊙z‖ ≤ ‖x‖ + |v|‖y‖‖z‖", exponent=2)
def add_product(
    c: GrowthContext, self: GrowthLike, tensor1: GrowthLike, tensor2: GrowthLike, value: Number = 1
) -> Growth:
    """A sum and a product."""
    n = math.prod(c.shape)
    y = product(c, c.growth(tensor1), c.growth(tensor2))
    return Growth(c.shape, poly_add(c.growth(self).expanded(n), poly_scale(y.expanded(n), abs(c.number(value)))))


@operation("addcdiv", statement="‖x + v y/z‖ ≤ ‖x‖ + |v|‖y/z‖")
def add_quotient(
    c: GrowthContext, self: GrowthLike, tensor1: GrowthLike, tensor2: GrowthLike, value: Number = 1
) -> Growth:
    """A sum and a quotient."""
    n = math.prod(c.shape)
    y = quotient(c, c.growth(tensor1), c.growth(tensor2))
    return Growth(c.shape, poly_add(c.growth(self).expanded(n), poly_scale(y.expanded(n), abs(c.number(value)))))


@operation("hypot", statement="√(x² + y²) ≤ |x| + |y|", analytic="neither")
def hypotenuse(c: GrowthContext, self: GrowthLike, other: GrowthLike) -> Growth:
    """Not analytic at 0."""
    n = math.prod(c.shape)
    return Growth(c.shape, poly_add(c.growth(self).expanded(n), c.growth(other).expanded(n)), lower=0.0)


@operation("atan2 arctan2", statement="|atan2| ≤ π", exponent=0, analytic="neither")
def angle(c: GrowthContext, self: GrowthLike, other: GrowthLike) -> Growth:
    """It jumps at the negative axis."""
    return Growth(c.shape, (up_mul(3.1415926535897936, up_sqrt(float(math.prod(c.shape)))),), 3.1415926535897936)


@operation("pow.Tensor_Scalar square float_power.Tensor_Scalar", statement="‖xⁿ‖ ≤ ‖x‖ⁿ", exponent=2)
def power(c: GrowthContext, self: Growth, exponent: Number = 2) -> Growth:
    """Whole exponents by repeated squaring; 1/2, -1/2 and -1 by their own rules."""
    n = c.number(exponent)
    if n in (0.5, -0.5):
        return square_root(c, self) if n > 0 else inverse_root(c, self)
    if n == -1:
        return reciprocal_of(c, self)
    if n < 0:
        return reciprocal_of(c, power(c, self, -n))
    if n != int(n):
        if not self.lower >= 0:
            raise c.fail(f"exponent {n}: of numbers that may be negative, only whole exponents are covered")
        c.kind = 2 if self.lower == 0 else c.kind  # x^n ≤ 1 + x^⌈n⌉ for x >= 0
        whole = poly_power(self.norm, math.ceil(n))
        return Growth(c.shape, poly_add(whole, (up_sqrt(float(self.numel)),)), lower=0.0)
    if n == 0:
        return c.growth(torch.ones(c.shape, dtype=torch.float64))
    if n > 2**31:
        raise c.fail(f"exponent {n:g} is beyond what is computed")
    whole_number = int(n)
    norm = poly_power(self.norm, whole_number)
    entry = up_power(self.entry, whole_number) if math.isfinite(self.entry) else math.inf
    relation = Relation("square", self.origin) if n == 2 else self.relation if n == 1 else None
    if n == 1:
        return Growth(c.shape, norm, entry, self.lower, self.upper)
    lower = 0.0 if whole_number % 2 == 0 or self.lower >= 0 else -math.inf
    return Growth(c.shape, norm, entry, lower, relation=relation)


# ---- matrices ---------------------------------------------------------------------------------------------------------


def _repeats(out_batch: tuple[int, ...], shape: tuple[int, ...]) -> float:
    """How often a batch of matrices is repeated by broadcasting."""
    return math.prod(out_batch) / max(math.prod(shape[:-2]), 1)


def matrix_product(c: GrowthContext, a: Growth, b: Growth) -> Growth:
    """``A B``, batched and broadcast, of matrices or vectors."""
    vector_a, vector_b = len(a.shape) == 1, len(b.shape) == 1
    sa = (1, *a.shape) if vector_a else a.shape
    sb = (*b.shape, 1) if vector_b else b.shape
    batch = tuple(torch.broadcast_shapes(sa[:-2], sb[:-2]))
    stretch_a, stretch_b = up_sqrt(_repeats(batch, sa)), up_sqrt(_repeats(batch, sb))
    wide_a = a.norm if stretch_a <= up_sqrt(1.0) else poly_scale(a.norm, stretch_a)
    wide_b = b.norm if stretch_b <= up_sqrt(1.0) else poly_scale(b.norm, stretch_b)
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
    out = (*batch, sa[-2], sb[-1])
    shape = tuple(
        n for k, n in enumerate(out) if not (vector_a and k == len(out) - 2) and not (vector_b and k == len(out) - 1)
    )
    return Growth(shape, best(candidates), entry)


MATRIX = "weights: ‖x W‖ ≤ ‖W‖₂‖x‖; " + SIMPLEX + "; otherwise ‖A B‖ ≤ ‖A‖‖B‖"


@operation("matmul bmm mm mv dot inner vdot linalg_matmul", statement=MATRIX, exponent=2, complex=True)
def matmul(
    c: GrowthContext,
    self: GrowthLike,
    other: GrowthLike | None = None,
    mat2: GrowthLike | None = None,
    vec: GrowthLike | None = None,
    tensor: GrowthLike | None = None,
) -> Growth:
    """Products of matrices and vectors."""
    second = next(x for x in (other, mat2, vec, tensor) if x is not None)
    if c.name in ("inner", "vdot") and len(c.shape):
        raise c.fail("only inner products of vectors are covered")
    return matrix_product(c, c.growth(self), c.growth(second))


@operation("linear", statement="‖x Wᵀ + b‖ ≤ ‖W‖₂‖x‖ + √rows ‖b‖", exponent=2, complex=True)
def linear(c: GrowthContext, input: GrowthLike, weight: GrowthLike, bias: GrowthLike | None = None) -> Growth:
    """Weights may depend on the input; then it is a product."""
    x, w = c.growth(input), c.growth(weight)
    if w.value is not None and len(w.shape) == 2:
        norm = poly_scale(x.norm, c.spectral(w.value))
    elif x.value is not None and len(x.shape) >= 2:
        norm = poly_scale(w.norm, c.spectral(x.value.reshape(-1, x.shape[-1])))
    else:
        norm = poly_mul(x.norm, w.norm)
    if bias is not None:
        norm = poly_add(norm, c.growth(bias).expanded(math.prod(c.shape)))
    return Growth(c.shape, norm)


@operation(
    "addmm baddbmm addmv addbmm", statement="‖βb + α x W‖ ≤ |β|‖b‖ + |α|‖W‖₂‖x‖", exponent=2, masks=True, complex=True
)
def add_matmul(
    c: GrowthContext, self: GrowthLike, mat1: GrowthLike | None = None, mat2: GrowthLike | None = None,
    batch1: GrowthLike | None = None, batch2: GrowthLike | None = None, mat: GrowthLike | None = None,
    vec: GrowthLike | None = None, beta: Number = 1, alpha: Number = 1,
) -> Growth:  # fmt: skip
    """``beta`` and ``alpha`` count; only what is added may be -inf."""
    a = c.growth(next(x for x in (mat1, batch1, mat) if x is not None))
    b = c.growth(next(x for x in (mat2, batch2, vec) if x is not None))
    made = matrix_product(c, a, b)
    if c.name == "addbmm":  # summed over the batch
        made = Growth(c.shape, poly_scale(made.norm, up_sqrt(float(a.shape[0]))))
    bias = c.growth(self)
    if a.masked is not None or b.masked is not None or (bias.masked is not None and c.number(beta) != 1):
        raise c.fail("-inf is multiplied")
    added = poly_scale(bias.expanded(math.prod(c.shape)), abs(c.number(beta)))
    masked = None if bias.masked is None else bias.masked.expand(c.shape)
    return Growth(c.shape, poly_add(added, poly_scale(made.norm, abs(c.number(alpha)))), masked=masked)


@operation("outer ger", statement="‖x yᵀ‖ = ‖x‖‖y‖", exponent=2, complex=True)
def outer(c: GrowthContext, self: GrowthLike, vec2: GrowthLike) -> Growth:
    """Every product of an entry of each."""
    return Growth(c.shape, poly_mul(c.growth(self).norm, c.growth(vec2).norm))


@operation("einsum", statement="Cauchy-Schwarz: ‖Σ x y‖ ≤ ‖x‖‖y‖; " + SIMPLEX, exponent=2, complex=True)
def einsum(c: GrowthContext, equation: str, tensors: Sequence[GrowthLike], path: Sizes | None = None) -> Growth:
    """Two operands; others are decomposed by PyTorch."""
    text = equation.replace(" ", "")
    if len(tensors) != 2 or "->" not in text:
        raise c.fail("only equations of two operands with '->' are covered")
    x, y = (c.growth(t) for t in tensors)
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
    extra = up_sqrt(float(math.prod(size[i] for i in lonely))) if lonely else 1.0
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
            permuted = [ia.index(i) for i in (*batch, *rows, *columns)]
            shape = [math.prod(size[i] for i in group) for group in (batch, rows, columns)]
            matrix = a.value.permute(permuted).reshape(shape)
            candidates.append(poly_scale(b.norm, c.spectral(matrix)))
    return Growth(c.shape, best(candidates))


@operation("fft_fft fft_rfft fft_ifft fft_irfft", complex=True,
           statement="Parseval: ‖FFT x‖ ≤ √n ‖x‖, ‖inverse FFT x‖ ≤ √(2/n) ‖x‖")  # fmt: skip
def fourier(c: GrowthContext, self: Growth, n: int | None = None, dim: int = -1, norm: str | None = None) -> Growth:
    """With the usual scaling; half a spectrum counts twice."""
    if norm not in (None, "backward"):
        raise c.fail(f"norm={norm!r} is not covered")
    default = 2 * (self.shape[dim] - 1) if c.name == "fft_irfft" else self.shape[dim]
    length = float(default if n is None else n)
    factor = up_sqrt(up_div(2.0, length)) if c.name in ("fft_ifft", "fft_irfft") else up_sqrt(length)
    return Growth(c.shape, poly_scale(self.norm, factor))
