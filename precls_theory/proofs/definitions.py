"""The layers of the theorems, from their definitions: sums over rows written out, over the arrays of any ring.

They share no line with :mod:`constructions`, so that what is proved equal to them is proved of the definition and not
of a common helper.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from constructions.models.operators import LayerWeights


def convolution(filter: np.ndarray, u: np.ndarray, mode: str) -> np.ndarray:
    """``(filter ⋆ u)[n, d] = Σ_m filter[n−m, d] u[m, d]``, (N, D): over m ≤ n (causal), or all m with n−m mod N."""
    rows = range(len(u))

    def row(n: int) -> np.ndarray:
        if mode == "causal":
            terms = [filter[n - m] * u[m] for m in rows if m <= n]
        elif mode == "circular":
            terms = [filter[n - m if m <= n else n - m + len(u)] * u[m] for m in rows]
        else:
            raise ValueError(f"mode must be 'causal' or 'circular', got {mode!r}")
        result: np.ndarray = np.add.reduce(np.stack(terms), axis=0)
        return result

    return np.stack([row(n) for n in rows])


def operator(W: np.ndarray, B1: np.ndarray, H: np.ndarray, B2: np.ndarray, u: np.ndarray, mode: str) -> np.ndarray:
    """The paper's operator ``(u W + B1) ⊙ (H ⋆ u + B2)`` (Algorithm 1), (N, D)."""
    result: np.ndarray = (u @ W + B1) * (convolution(H, u, mode) + B2)
    return result


def layer(weights: LayerWeights, u: np.ndarray, mode: str) -> np.ndarray:
    """The layer ``w0 · Out((filter ⋆ In u + conv_bias) ⊙ Gate u) + w1 · u``; without branch weights the first term alone.

    ``weights`` has the fields of :class:`constructions.models.baseconv.LayerWeights`, maps acting from the right.
    """
    inner = u @ weights.in_weight + weights.in_bias
    gate = u @ weights.gate_weight + weights.gate_bias
    hidden = (convolution(weights.filter, inner, mode) + weights.conv_bias) * gate
    out: np.ndarray = hidden @ weights.out_weight + weights.out_bias
    if weights.branch_weights is None:
        return out
    # Slices, not entries: NumPy would take a polynomial apart into its terms.
    combined: np.ndarray = weights.branch_weights[:1] * out + weights.branch_weights[1:] * u
    return combined


def linear_attention(
    query: np.ndarray, key: np.ndarray, value: np.ndarray, biases: tuple[np.ndarray, ...], u: np.ndarray, mask: str
) -> np.ndarray:
    """``u_i + Σ_{j visible from i} (q_i · k_j) v_j`` with affine q (N, d), k (N, d) and v (N, D): one head of linear
    attention and its residual connection."""
    q, k, v = (u @ weight + bias for weight, bias in zip((query, key, value), biases, strict=True))
    visible: Callable[[int, int], bool] = {
        "full": lambda i, j: True, "causal": lambda i, j: j <= i, "strict": lambda i, j: j < i,
    }[mask]  # fmt: skip

    def row(i: int) -> np.ndarray:
        total: np.ndarray = u[i]
        for j in range(len(u)):
            if visible(i, j):
                total = total + np.add.reduce(q[i] * k[j], keepdims=True) * v[j]
        return total

    return np.stack([row(i) for i in range(len(u))])
