"""The equations of explicit gradient, layer by layer: coefficients of a layer minus those of what it should compute.

A causal BaseConv layer at row n is a sum of bilinear forms, one for each lag: with v = (u, 1),

    y_n[p] = Σ_{k ≤ n} v_{n−k}ᵀ B_k[p] v_n,     B_k[p][a, b] = Σ_h Out[h, p] f_h[k] In[a, h] Gate[b, h],

so the coefficients are multilinear in the weights. What the two layers should compute is written out here from the
definition, with the features of the layer-by-layer recipe between them: ``a_i a_j`` (i ≤ j) and ``a_i b`` of the row itself,
and the ``a`` of the row N before it (at the last row that is x_init); then ``(1/N) Σ_m (Q_m x − c_m)`` over the data rows.
Coefficients are exact: rationals, as integers over one denominator in python-flint's matrices.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import flint
import numpy as np

from constructions.models.operators import LayerWeights


@dataclass(frozen=True)
class Sizes:
    """N data rows, D unknowns: rows 0..N of D + 1 channels, and D(D+1)/2 + 2D features between the layers."""

    n_points: int
    n_dims: int

    @property
    def pairs(self) -> list[tuple[int, int]]:
        return [(i, j) for i in range(self.n_dims) for j in range(i, self.n_dims)]

    @property
    def n_features(self) -> int:
        return len(self.pairs) + 2 * self.n_dims


def features_wanted(sizes: Sizes) -> np.ndarray:
    """``B`` of the first layer, (N + 1 lags, features, D + 2, D + 2) of ints: the form of lag 0 is upper triangular."""
    D = sizes.n_dims
    one, b = D + 1, D
    wanted = np.zeros((sizes.n_points + 1, sizes.n_features, D + 2, D + 2), dtype=object)
    for p, (i, j) in enumerate(sizes.pairs):
        wanted[0, p, i, j] = 1
    for i in range(D):
        wanted[0, len(sizes.pairs) + i, i, b] = 1
        wanted[sizes.n_points, len(sizes.pairs) + D + i, i, one] = 1
    return wanted


def gradient_wanted(sizes: Sizes) -> np.ndarray:
    """``K`` of the second layer, (N + 1 lags, D, features + 1, features + 1) of fractions; it reads rows 1 to N alone."""
    D, F, N = sizes.n_dims, sizes.n_features, sizes.n_points
    wanted = np.full((N + 1, D, F + 1, F + 1), Fraction(0), dtype=object)
    for p, (i, j) in enumerate(sizes.pairs):
        for output, x in {(i, j), (j, i)}:
            wanted[:N, output, p, len(sizes.pairs) + D + x] = Fraction(1, N)
    for i in range(D):
        wanted[:N, i, len(sizes.pairs) + i, F] = Fraction(-1, N)
    return wanted


def coefficients(layer: LayerWeights) -> np.ndarray:
    """``B`` of a layer with rational weights: (lags, n_out, n_in + 1, n_in + 1), fractions, exactly.

    The biases of the convolution and of Out are part of lag 0.
    """
    n_in, hidden = layer.in_weight.shape
    n_out, lags = layer.out_weight.shape[1], len(layer.filter)
    pairs = flint.fmpq_mat(hidden, (n_in + 1) ** 2, _flat(_products(layer)))
    out = np.empty((lags, n_out, n_in + 1, n_in + 1), dtype=object)
    for lag in range(lags):
        weight = flint.fmpq_mat(n_out, hidden, _flat((layer.out_weight * layer.filter[lag][:, None]).T))
        out[lag] = _array(weight * pairs).reshape(n_out, n_in + 1, n_in + 1)
    gate = np.concatenate([layer.gate_weight, layer.gate_bias[None]])
    out[0, :, -1, :] += (layer.out_weight * layer.conv_bias[:, None]).T.dot(gate.T)
    out[0, :, -1, -1] += layer.out_bias
    return out


def _products(layer: LayerWeights) -> np.ndarray:
    """In[a, h] Gate[b, h] as (hidden, (n_in + 1)²)."""
    into = np.concatenate([layer.in_weight, layer.in_bias[None]])
    gate = np.concatenate([layer.gate_weight, layer.gate_bias[None]])
    return (into[:, None, :] * gate[None, :, :]).reshape(-1, into.shape[1]).T


def folded(form: np.ndarray) -> np.ndarray:
    """The form of lag 0 as the polynomial that it is: (…, n, n) upper triangular."""
    n = form.shape[-1]
    upper = np.triu(np.ones((n, n), dtype=bool))
    return np.where(upper, form + np.where(upper & ~np.eye(n, dtype=bool), form.swapaxes(-1, -2), 0), 0)


def _flat(values: np.ndarray) -> list[flint.fmpq]:
    return [flint.fmpq(int(v.numerator), int(v.denominator)) for v in values.flat]


def _array(matrix: flint.fmpq_mat) -> np.ndarray:
    entries = np.empty(matrix.nrows() * matrix.ncols(), dtype=object)
    entries[:] = [Fraction(int(v.p), int(v.q)) for v in matrix.entries()]
    return entries.reshape(matrix.nrows(), matrix.ncols())
