"""The error polynomials of a two-layer network: network minus explicit gradient, coefficient by coefficient.

With the bilinear forms B of the first layer and K of the second (:mod:`precls_theory.training.certify.equations`) the answer at
the last row N is

    z = Σ_{m, l, l'} Σ B_{m−l}[p][a, b] K_{N−m}[p, p'] B_{N−l'}[p'][c, d] · v_l[a] v_m[b] v_l'[c] v_N[d],

of degree four in the (N + 1)(D + 1) inputs. The target is the same expression in B*, K*, so that the difference is

    δB K B + B* δK B + B* K* δB,

in which δB and δK are computed exactly and rounded once: nothing cancels, and the rest may run in float64. Every coefficient
comes with a proven bound on what rounding did to it.

**Theorem** (Higham 2002, §3.1, counted for this program). Let every entry of the forms be at most 2^64, let k ≤ 2^10 channels,
with the constant, lie between the layers, and let c ≤ 2^20 terms fall on a monomial. Then its computed coefficient is
within ``γ_n M + 1e-270`` of the exact one, where n = 2k + 5 + c, γ_n = nu/(1 − nu), and M is the sum of the absolute values of
all its terms.

*Proof.* The program rounds entries of the forms once, and then only multiplies and adds arrays, element by element, in IEEE
double precision: no library's matrix product, whose order of summation nobody states. Each operation that does not underflow
multiplies its result by a 1 + δ, |δ| ≤ u, so a term x y z reaches the result as x y z (1 + δ_1)…(1 + δ_n), where n counts the
roundings that it passes: 3 of its factors; in a sum of k products over p', 1 product and at most k − 1 sums, and as many in
the sum over p; 1 sum of the two inner parts and 1 of the two outer ones; and c additions on its monomial. A product that
underflows, or an entry, is off by at most 2^-1075 besides, which two factors of at most 2^64 multiply; there are fewer than
8 k² c such errors, hence less than 2^(3 + 20 + 20 − 1075 + 128 + 1) < 1e-270 in all. ∎

M is computed by the same program from absolute values, each of which loses at most a factor 1 − γ_n on its way: what makes up
for that (a factor of 1.0001 is more) makes it an upper bound.

There are C(V + 4, 4) coefficients an output for V = (N + 1)(D + 1) inputs: 11 million at N = 20, D = 5, where all five take
2 GB and about half a minute of one core; both grow as V⁴ D.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import overload

import numpy as np

from constructions.models.operators import LayerWeights
from precls_theory.training.certify.equations import Sizes, coefficients, features_wanted, folded, gradient_wanted

UNIT = 2.0**-53
DEGREE = 4
MAX_COEFFICIENTS = 80_000_000
LARGEST, UNDERFLOW = 2.0**64, 1e-270
"""Of the theorem: the largest entry of a form, and what underflow can do to a coefficient."""


@dataclass(frozen=True)
class ErrorPolynomial:
    """The error of one output: ``values`` and ``errors`` (bounds on their error) of all coefficients, float64.

    In the order of :func:`monomials`; the last variable is the constant 1.
    """

    n_variables: int
    values: np.ndarray
    errors: np.ndarray


@overload
def gamma(n: int) -> float: ...


@overload
def gamma(n: np.ndarray) -> np.ndarray: ...


def gamma(n: int | np.ndarray) -> float | np.ndarray:
    """``n u / (1 − n u)``, rounded up, of a number or an array."""
    return 1.0000001 * n * UNIT / (1 - n * UNIT)


def n_variables(sizes: Sizes) -> int:
    return (sizes.n_points + 1) * (sizes.n_dims + 1)


def monomials(n_variables: int) -> np.ndarray:
    """(4, C(V + 4, 4)): the sorted index quadruples of 0..V, V the constant, in colexicographic order."""
    table = np.zeros((1, n_variables + 1), dtype=np.int16)
    table[0] = np.arange(n_variables + 1)
    for length in range(2, DEGREE + 1):
        blocks = []
        for top in range(n_variables + 1):
            head = table[:, : comb(top + length - 1, length - 1)]
            blocks.append(np.concatenate([head, np.full((1, head.shape[1]), top, dtype=np.int16)]))
        table = np.concatenate(blocks, axis=1)
    return table


def place(indices: Sequence[np.ndarray]) -> np.ndarray:
    """The place of the monomials with these four indices (any order) among :func:`monomials`."""
    a, b, c, d = (np.asarray(index, dtype=np.int64) for index in np.broadcast_arrays(*indices))
    a, b = np.minimum(a, b), np.maximum(a, b)
    c, d = np.minimum(c, d), np.maximum(c, d)
    a, c = np.minimum(a, c), np.maximum(a, c)
    b, d = np.minimum(b, d), np.maximum(b, d)
    b, c = np.minimum(b, c), np.maximum(b, c)
    return a + b * (b + 1) // 2 + c * (c + 1) * (c + 2) // 6 + d * (d + 1) * (d + 2) * (d + 3) // 24


def error_polynomials(layers: Sequence[LayerWeights], sizes: Sizes) -> list[ErrorPolynomial]:
    """The errors of all outputs. Raises ``ValueError`` for other shapes, ``MemoryError`` beyond a size."""
    V, N, D = n_variables(sizes), sizes.n_points, sizes.n_dims
    size = comb(V + DEGREE, DEGREE)
    if size * D > MAX_COEFFICIENTS:
        raise MemoryError(
            f"the errors have {size * D:,} coefficients at N={N}, D={D}, and at most {MAX_COEFFICIENTS:,} are computed: "
            "choose smaller sizes"
        )
    plain = forms(layers, sizes)
    absolute = Forms(**{name: np.abs(form) for name, form in vars(plain).items()})
    values, magnitudes, counts = np.zeros((D, size)), np.zeros((D, size)), np.zeros(size)
    for m in range(N + 1):
        where = _places(m, sizes)
        np.add.at(counts, where, 1.0)
        for output in range(D):
            np.add.at(values[output], where, _terms(plain, m, output).ravel())
            np.add.at(magnitudes[output], where, _terms(absolute, m, output).ravel())
    share = 1.0001 * gamma(n_roundings(plain.first.shape[1], counts))
    for output in range(D):
        magnitudes[output] *= share
        magnitudes[output] += UNDERFLOW
    return [ErrorPolynomial(V, values[output], magnitudes[output]) for output in range(D)]


def _terms(forms: Forms, m: int, output: int) -> np.ndarray:
    """The terms (l, a, b; l', c, d) of row m, l ≤ m: δB K B + B* (δK B + K* δB)."""
    lag = len(forms.first) - 1 - m
    right, d_right = forms.first[::-1], forms.first_delta[::-1]
    k, dk, k_wanted = (part[lag, output] for part in (forms.second, forms.second_delta, forms.second_wanted))

    def through(matrix: np.ndarray, last: np.ndarray) -> np.ndarray:
        return sum_of_products(matrix.T, last.swapaxes(0, 1))  # (p, l', c, d)

    changed = through(dk, right) + through(k_wanted, d_right)
    total = sum_of_products(forms.first_delta[m::-1].swapaxes(0, 1), through(k, right))
    total += sum_of_products(forms.first_wanted[m::-1].swapaxes(0, 1), changed)
    return total


def sum_of_products(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """``Σ_p left[p] ⊗ right[p]``, one product and one sum after the other; factors that are zero add nothing."""
    rows, columns = left[0].size, right[0].size
    total, product = np.zeros((rows, columns)), np.empty((rows, columns))
    for a, b in zip(left, right, strict=True):
        kept = np.flatnonzero(a)
        if len(kept) == rows:
            np.multiply.outer(a.ravel(), b.ravel(), out=product)
            total += product
        else:
            total[kept] += np.multiply.outer(a.ravel()[kept], b.ravel())
    return total.reshape(*left.shape[1:], *right.shape[1:])


def n_roundings(n_channels: int, terms: np.ndarray) -> np.ndarray:
    """n of the theorem. Raises ``ValueError`` where its hypotheses on sizes do not hold."""
    if n_channels > 2**10 or terms.max(initial=0) > 2**20:
        raise ValueError(
            f"rounding is bounded for at most 1023 channels between the layers and 2^20 terms on a monomial, got "
            f"{n_channels - 1} and {int(terms.max(initial=0))}"
        )
    return 2 * n_channels + 5 + terms


def _places(m: int, sizes: Sizes) -> np.ndarray:
    """The monomials of the terms (l, a, b; l', c, d) of row m. The b of row 0 counts as a variable here."""
    N, width, V = sizes.n_points, sizes.n_dims + 1, n_variables(sizes)
    index = np.concatenate([np.arange(V).reshape(N + 1, width), np.full((N + 1, 1), V)], axis=1)
    rows = index[: m + 1, :, None, None, None, None], index[m][None, None, :, None, None, None]
    last = index[None, None, None, :, :, None], index[N][None, None, None, None, None, :]
    return place((*rows, *last)).ravel()


@dataclass(frozen=True)
class Forms:
    """B (lags, F + 1, D + 2, D + 2) and K (lags, D, F + 1, F + 1) in float64, what they should be, and the differences.

    The last feature of B is the constant 1. Differences are exact before their one rounding. Forms of lag 0 are upper
    triangular: both of their factors are the same row.
    """

    first: np.ndarray
    first_wanted: np.ndarray
    first_delta: np.ndarray
    second: np.ndarray
    second_wanted: np.ndarray
    second_delta: np.ndarray


def forms(layers: Sequence[LayerWeights], sizes: Sizes) -> Forms:
    """The forms of two layers; with more channels between them than there are features, F is their number.

    Raises ``ValueError`` for other shapes, and for coefficients that the theorem does not cover.
    """
    first, second = coefficients(layers[0]), coefficients(layers[1])
    lags, D, F = sizes.n_points + 1, sizes.n_dims, sizes.n_features
    if first.shape[0] != lags or first.shape[1] < F or first.shape[2] != D + 2 or len(second) != lags:
        raise ValueError(f"expected two layers of {lags} taps with at least {F} channels between them")
    first_wanted, second_wanted = 0 * first, 0 * second
    first_wanted[:, :F] = features_wanted(sizes)
    ideal = gradient_wanted(sizes)
    second_wanted[:, :D, :F, :F] = ideal[..., :F, :F]
    second_wanted[:, :D, :F, -1] = ideal[..., :F, F]
    for form in (first, second, second_wanted):
        form[0] = folded(form[0])

    def with_one(form: np.ndarray, one: int) -> np.ndarray:
        constant = np.zeros((lags, 1, D + 2, D + 2), dtype=object)
        constant[0, 0, -1, -1] = one
        return np.concatenate([form, constant], axis=1).astype(float)

    result = Forms(
        with_one(first, 1), with_one(first_wanted, 1), with_one(first - first_wanted, 0), second.astype(float),
        second_wanted.astype(float), (second - second_wanted).astype(float),
    )  # fmt: skip
    largest = max(float(np.abs(form).max()) for form in vars(result).values())
    if not largest <= LARGEST:
        raise ValueError(f"rounding is bounded for coefficients of at most 2^64 in a layer, got {largest:.3g}")
    return result
