"""Upper bounds that hold: scalars rounded upwards, and operator norms of weight matrices from above.

Round-to-nearest followed by one step up is never below the exact result of a single operation, so every scalar
operation here takes one ``nextafter``.  Sums of nonnegative floats carry a relative error of at most
``γ_n = n u / (1 - n u)`` in any order of summation (Higham, Accuracy and Stability, §3.1; ``u = 2⁻⁵³``); the array
functions inflate by twice that.  Underflow adds at most ``2⁻¹⁰⁷⁴`` a term and is covered the same way.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from precls_theory.enclosures.threads import single_thread

_UNIT = 2.0**-53
_TINY = 5e-324
_SQUARINGS = 7


def up(x: float) -> float:
    """The next float above ``x``; zero, which only exact operations produce here, stays zero."""
    return x if x == 0 or math.isinf(x) else math.nextafter(x, math.inf)


def up_mul(x: float, y: float) -> float:
    """An upper bound of ``x y`` for ``x, y >= 0``; zero times anything is zero."""
    if x == 0 or y == 0:
        return 0.0
    return up(max(x * y, _TINY))


def up_div(x: float, y: float) -> float:
    """An upper bound of ``x / y`` for ``x >= 0 < y``."""
    return 0.0 if x == 0 else up(max(x / y, _TINY))


def down_mul(x: float, y: float) -> float:
    """A lower bound of ``x y``, of either sign; zero only where a factor is zero or a positive product underflows."""
    product = x * y
    if x == 0 or y == 0:
        return 0.0
    return math.nextafter(product, -math.inf) if product or (x < 0) != (y < 0) else 0.0


def down_add(x: float, y: float) -> float:
    """A lower bound of ``x + y``; a sum of floats that is zero is exact."""
    total = x + y
    return math.nextafter(total, -math.inf) if math.isfinite(total) and total else total if total == 0 else -math.inf


def up_sqrt(x: float) -> float:
    """An upper bound of the square root of ``x >= 0``."""
    return up(math.sqrt(x))


def inflate(value: float, terms: int) -> float:
    """``value`` enlarged by the rounding of a sum of ``terms`` products of nonnegative floats, underflow included."""
    if value == 0 and terms == 0:
        return 0.0
    return up(value * (1 + 4 * (terms + 4) * _UNIT) + (terms + 4) * _TINY)


def as_float64(weights: Tensor) -> np.ndarray:
    """The weights as float64 (exact from any narrower format).

    Raises ``ValueError`` if one is NaN or infinite, or if they are complex.
    """
    if weights.is_complex():
        raise ValueError("complex weights are not covered here")
    values = weights.detach().cpu().double().numpy()
    if not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).sum())
        raise ValueError(f"{bad} of {values.size} entries are NaN or infinite; a bound needs finite weights")
    return values


def max_abs(weights: Tensor) -> float:
    """The largest absolute entry (exact); 0 for an empty tensor."""
    values = as_float64(weights)
    return float(np.abs(values).max()) if values.size else 0.0


def _frobenius(values: np.ndarray) -> float:
    scale = float(np.abs(values).max()) if values.size else 0.0
    if scale == 0:
        return 0.0
    with np.errstate(under="ignore"):
        ratio = (
            values / scale
        )  # relative error u an entry, absorbed in the inflation; scaling avoids over- and underflow
        total = inflate(float((ratio * ratio).sum()), values.size)
    return up_mul(up_sqrt(total), scale)


def frobenius_norm(weights: Tensor) -> float:
    """An upper bound of the Frobenius norm."""
    return _frobenius(as_float64(weights))


def _spectral(matrix: np.ndarray) -> float:
    if matrix.shape[0] < matrix.shape[1]:
        matrix = matrix.T
    m = np.ascontiguousarray(matrix)
    # ‖M‖₂² = ‖MᵀM‖₂ ≤ ‖fl(MᵀM)‖₂ + γ_k‖M‖_F² (k the inner dimension: |fl(MᵀM) − MᵀM| ≤ γ_k |M|ᵀ|M| entrywise, and
    # ‖ |M|ᵀ|M| ‖₂ ≤ ‖M‖_F²).  Repeat; the last factor is bounded by its Frobenius norm, which costs a factor of
    # at most rank^(1/2^(s+1)).  Each round first divides by a power of two, which is exact short of underflow.
    frobenius = best = _frobenius(m)
    scales: list[tuple[float, float]] = []  # (scale, rounding term): ‖M_i‖ ≤ scale · sqrt(‖M_{i+1}‖ + term)
    for _ in range(_SQUARINGS):
        largest = float(np.abs(m).max())
        if largest == 0 or not math.isfinite(largest):
            break
        scale = 2.0 ** math.floor(math.log2(largest))
        with np.errstate(under="ignore"):
            m, norm = m / scale, frobenius / scale
            inner = m.shape[0]
            term = inflate(4 * (inner + 4) * _UNIT * norm * norm, 4) + m.size * 1e-300
            with single_thread():
                m = (torch.from_numpy(m).T @ torch.from_numpy(m)).numpy()
        scales.append((scale, term))
        value = frobenius = _frobenius(m)
        for factor, rounding in reversed(scales):
            value = up_mul(factor, up_sqrt(up(value + rounding)))
        best = min(best, value)
    return best


def spectral_norm(weights: Tensor) -> float:
    """An upper bound of the largest singular value of a matrix ``(..., m, n)`` (of the worst one in a batch)."""
    if weights.is_complex():  # A + iB acts on (Re x, Im x) as [[A, -B], [B, A]], with the same norm
        real, imaginary = weights.real, weights.imag
        weights = torch.cat([torch.cat([real, -imaginary], -1), torch.cat([imaginary, real], -1)], -2)
    values = as_float64(weights)
    if values.ndim < 2:
        return _frobenius(values)
    flat = values.reshape(-1, *values.shape[-2:])
    return max((_spectral(matrix) for matrix in flat), default=0.0)
