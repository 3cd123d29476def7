"""What is known of a tensor's growth: polynomials with nonnegative coefficients, rounded upwards, and facts on entries."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, TypedDict, Unpack

import numpy as np
import torch
from torch import Tensor

from precls_theory.enclosures import norms
from precls_theory.enclosures.norms import up, up_div, up_mul, up_sqrt
from precls_theory.expressivity.tracing.program import Inconclusive

NormPolynomial = tuple[float, ...]
"""Coefficients, none negative, of a polynomial that bounds a norm; rounded upwards."""
Analyticity = Literal["analytic", "piecewise analytic", "neither"]
ANALYTIC, PIECEWISE, NEITHER = range(3)
KINDS: tuple[Analyticity, ...] = ("analytic", "piecewise analytic", "neither")
MAX_DEGREE = 4096
"""Growth faster than this is refused in words: the polynomials would have that many coefficients."""
_origins = itertools.count()


# ---- polynomials with nonnegative coefficients, rounded upwards ------------------------------------------------------


class TooFast(Exception):
    """A polynomial bound of a degree that is not computed."""


def trim(p: NormPolynomial) -> NormPolynomial:
    """Without leading zero coefficients; the zero polynomial is ``(0.0,)``."""
    while len(p) > 1 and p[-1] == 0:
        p = p[:-1]
    return p


def poly_add(p: NormPolynomial, q: NormPolynomial) -> NormPolynomial:
    """Upper bound of the sum."""
    pairs = itertools.zip_longest(p, q, fillvalue=0.0)
    return trim(tuple(a + b if a == 0 or b == 0 else up(a + b) for a, b in pairs))


def poly_hypot(p: NormPolynomial, q: NormPolynomial) -> NormPolynomial:
    """Upper bound of ``sqrt(p(t)² + q(t)²)``: the norm of a sum of the vectors ``(p_i, q_i) tⁱ``."""
    pairs = itertools.zip_longest(p, q, fillvalue=0.0)
    return trim(tuple(a + b if a == 0 or b == 0 else up(up(math.hypot(a, b))) for a, b in pairs))


def poly_scale(p: NormPolynomial, c: float) -> NormPolynomial:
    """Upper bound of ``c p`` for ``c >= 0``."""
    return trim(tuple(up_mul(a, c) for a in p))


def poly_mul(p: NormPolynomial, q: NormPolynomial) -> NormPolynomial:
    """Upper bound of the product."""
    if len(p) + len(q) - 2 > MAX_DEGREE:
        raise TooFast(f"its growth ‖u‖^{len(p) + len(q) - 2} is beyond the largest that is computed, ‖u‖^{MAX_DEGREE}")
    if p == (0.0,) or q == (0.0,):
        return (0.0,)
    with np.errstate(under="ignore", over="ignore"):
        product = np.convolve(np.array(p), np.array(q))
    terms = np.convolve(np.array(p) != 0, np.array(q) != 0)  # where there are none, the coefficient is exactly zero
    return trim(tuple(norms.inflate(float(c), int(n)) for c, n in zip(product, terms, strict=True)))


def poly_power(p: NormPolynomial, n: int) -> NormPolynomial:
    """Upper bound of the n-th power, n >= 1, by squaring."""
    if (len(p) - 1) * n > MAX_DEGREE:
        raise TooFast(f"its growth ‖u‖^{(len(p) - 1) * n} is beyond the largest that is computed, ‖u‖^{MAX_DEGREE}")
    result: NormPolynomial | None = None
    while True:
        if n % 2:
            result = p if result is None else poly_mul(result, p)
        n //= 2
        if n == 0:
            assert result is not None
            return result
        p = poly_mul(p, p)


def up_power(x: float, n: int) -> float:
    """Upper bound of ``xⁿ`` for ``x >= 0``, n >= 1; infinite where it overflows."""
    result = 1.0
    for digit in bin(n)[2:]:
        result = up_mul(result, result) if result != 1.0 else 1.0
        result = up_mul(result, x) if digit == "1" else result
    return result


def poly_value(p: NormPolynomial, t: float) -> float:
    """Upper bound of ``p(t)`` for ``t >= 0``."""
    total = 0.0
    for coefficient in reversed(p):
        total = up(up_mul(total, t) + coefficient)
    return total


# ---- the abstract value ----------------------------------------------------------------------------------------------


class Relation(NamedTuple):
    """How a tensor relates to the one with identity ``origin``, for norms written out by hand.

    ``kind``: which (its "square", its "mean square", ...), over groups of ``size`` entries along ``dims``, to which
    ``eps`` was added.
    """

    kind: str
    origin: int
    dims: tuple[int, ...] = ()
    eps: float = 0.0
    size: int = 0


class Changes(TypedDict, total=False):
    """The facts of a :class:`Growth` that a copy may change."""

    shape: tuple[int, ...]
    norm: NormPolynomial
    entry: float
    lower: float
    upper: float
    simplex: frozenset[int]
    masked: Tensor | None
    value: Tensor | None
    kind: int
    relation: Relation | None


@dataclass(frozen=True)
class Growth:
    """What is known of a tensor ``x`` computed from the input ``u``.

    ``norm``: ``‖x‖ ≤ Σ norm[i] ‖u‖ⁱ``.  ``entry``, ``lower``, ``upper``: ``|x_j| ≤ entry`` and ``lower ≤ x_j ≤
    upper`` for every entry.
    ``simplex``: (negative) dimensions along which the entries are nonnegative and sum to at most 1.  ``masked``: where
    entries are ``-inf`` (attention scores); the other facts are about the remaining entries.  ``value``: the tensor
    itself if it does not depend on the input.  ``kind``: analytic, piecewise analytic, or neither.  ``relation``:
    how it relates to another tensor, known by its identity ``origin``.
    """

    shape: tuple[int, ...]
    norm: NormPolynomial
    entry: float = math.inf
    lower: float = -math.inf
    upper: float = math.inf
    simplex: frozenset[int] = frozenset()
    masked: Tensor | None = None
    value: Tensor | None = None
    kind: int = ANALYTIC
    relation: Relation | None = None
    origin: int = field(default_factory=lambda: next(_origins))

    def __post_init__(self) -> None:
        norm = trim(tuple(self.norm))
        if not all(math.isfinite(coefficient) for coefficient in norm):
            norm = (math.inf,)  # the bound overflows: nothing is known, which a later softmax or norm may repair
        entry = min(self.entry, max(-self.lower, self.upper))
        if math.isfinite(entry) and (len(norm) > 1 or norm[0] == math.inf):
            norm = (up_mul(entry, up_sqrt(float(self.numel))),)
        if len(norm) == 1:
            entry = min(entry, norm[0])
        object.__setattr__(self, "norm", norm)
        object.__setattr__(self, "entry", entry)

    @property
    def numel(self) -> int:
        """The number of entries."""
        return math.prod(self.shape)

    @property
    def degree(self) -> int:
        """The growth exponent shown."""
        return len(self.norm) - 1

    def affine(self, c0: float, c1: float, shape: tuple[int, ...] | None = None, kind: int = ANALYTIC) -> Growth:
        """The growth of ``y`` with ``‖y‖ ≤ c0 + c1‖x‖``, for rules that users write; ``c0, c1`` are upper bounds."""
        if not (c0 >= 0 and c1 >= 0 and math.isfinite(c0) and math.isfinite(c1)):
            raise ValueError(f"the constants of a rule must be finite and nonnegative, got c0={c0}, c1={c1}")
        norm = poly_add((float(c0),), poly_scale(self.norm, float(c1)))
        return Growth(self.shape if shape is None else shape, norm, kind=max(self.kind, kind))

    def expanded(self, numel: int) -> NormPolynomial:
        """Norm of the tensor broadcast to ``numel`` entries."""
        return self.norm if numel == self.numel else poly_scale(self.norm, up_sqrt(up_div(float(numel), self.numel)))

    def same(self, **changes: Unpack[Changes]) -> Growth:
        """A copy with changes, and with a new identity; relations and values are lost unless given."""
        facts: Changes = {"relation": None, "value": None, **changes}
        return replace(self, origin=next(_origins), **facts)


def constant(value: Tensor, place: str = "constant") -> Growth:
    """The abstract value of a tensor that does not depend on the input; raises Inconclusive on NaN or ``+inf``."""
    shape = tuple(value.shape)
    if not value.is_floating_point() and not value.is_complex():
        numbers = value.double()
    else:
        numbers = torch.view_as_real(value).double() if value.is_complex() else value.double()
    if numbers.isnan().any() or (numbers == math.inf).any():
        raise Inconclusive(place, "a constant holds NaN or +inf")
    masked = numbers == -math.inf
    any_masked = bool(masked.any())
    finite = torch.where(masked, torch.zeros((), dtype=torch.float64), numbers) if any_masked else numbers
    entry = norms.frobenius_norm(finite) if value.is_complex() else norms.max_abs(finite)
    return Growth(
        shape, (norms.frobenius_norm(finite),), entry,
        lower=float(finite.min()) if finite.numel() and not value.is_complex() else -math.inf,
        upper=float(finite.max()) if finite.numel() and not value.is_complex() else math.inf,
        masked=masked if any_masked else None, value=value,
    )  # fmt: skip
