"""Centring in the network: the same coefficients over Q, and digits that the uncentred design has not."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

import constructions as C
from precls_theory.checking.check import check
from precls_theory.regression.data import read_regression
from precls_theory.regression.designs import norm_exponent
from tests.helpers.problems import array

LONGLEY = Path(__file__).parents[3] / "notebooks" / "data" / "longley.csv"


def regression(n_points: int, n_dims: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    A, b = array(rng.integers(-5, 9, (n_points, n_dims)).tolist()), array(rng.integers(-5, 9, n_points).tolist())
    A[:, 0] = Fraction(1, 2)
    return A, b


def test_coefficients_of_the_original_columns() -> None:
    A, b = regression(6, 3)
    scales, alpha = [Fraction(2), Fraction(1, 4)], Fraction(1, 200)
    network = C.centred_newton(n_points=6, n_dims=3, n_iters=2, alpha=alpha, constant="1/2", scales=scales)
    assert network.depth == 6
    means = [sum(column) / 6 for column in A.T]
    Z = A.copy()
    for j, scale in enumerate(scales, 1):
        Z[:, j] = scale * (A[:, j] - means[j])
    y = array([Fraction(0)] * 3)
    for _ in range(4):
        y = y + alpha * (Z.T @ b - Z.T @ (Z @ y))
    x = [y[0] - 2 * (means[1] * scales[0] * y[1] + means[2] * scales[1] * y[2]), scales[0] * y[1], scales[1] * y[2]]
    assert network.decode(network.evaluate(network.encode(A, b))).tolist() == x
    assert check(network).ok
    assert not check(replace(network, parameters={**network.parameters, "constant": "1/3"})).ok
    sliced = C.sliced(network, slices=3, slice_bits=8, bounds={"a": 16, "b": 16})
    assert sliced.decode(sliced.evaluate(sliced.encode(A, b))).tolist() == x
    assert check(sliced).ok


def test_what_cannot_be_centred_is_refused() -> None:
    for wrong in (
        {"n_dims": 1},
        {"n_dims": 3, "constant": 0},
        {"n_dims": 3, "scales": [1]},
        {"n_dims": 3, "scales": [1, 0]},
    ):
        with pytest.raises(ValueError, match=r"centre|constant"):
            C.centred_newton(**({"n_points": 6, "n_iters": 2, "alpha": "1/8"} | wrong))  # type: ignore[arg-type]


def test_longley_in_plain_float64_gains_digits() -> None:
    """κ falls from 4e4 to about 1e2: the squares of both are what Newton's iteration loses."""
    data = read_regression(LONGLEY, "employed")
    columns = [norm_exponent(data.A[:, j]) for j in range(data.n_dims)]
    target = norm_exponent(data.b)
    A = np.array([[v / Fraction(2) ** e for v, e in zip(row, columns, strict=True)] for row in data.A], dtype=object)
    b = np.array([value / Fraction(2) ** target for value in data.b], dtype=object)
    exact = [
        v * Fraction(2) ** (e - target) for v, e in zip(data.exact_fit().coefficients.values(), columns, strict=True)
    ]
    N, D = A.shape
    Z = A - array([[Fraction(0), *(sum(column) / N for column in A.T[1:])]])
    scales = [Fraction(2) ** -norm_exponent(Z[:, j]) for j in range(1, D)]
    Z = np.concatenate([Z[:, :1], Z[:, 1:] * np.array(scales, dtype=object)], axis=1)

    def digits(network: C.Network) -> float:
        given = (torch.tensor(v.astype(float)) for v in (A, b))
        found = network.decode(network.to_torch()(network.encode(*given))).tolist()
        return min(-math.log10(abs((Fraction(f) - e) / e)) for f, e in zip(found, exact, strict=True))

    def sizes(design: np.ndarray) -> tuple[Fraction, int]:
        s = np.linalg.svd(design.astype(float), compute_uv=False)
        alpha = Fraction(2) ** -math.ceil(math.log2(s[0] ** 2))
        return alpha, math.ceil(math.log2(40 / (float(alpha) * s[-1] ** 2)))

    (alpha, t), (own, u) = sizes(A), sizes(Z)
    assert u < t - 10  # fewer doublings, too
    plain = C.newton(n_points=N, n_dims=D, n_iters=t, alpha=alpha)
    centred = C.centred_newton(n_points=N, n_dims=D, n_iters=u, alpha=own, constant=A[0, 0], scales=scales)
    assert digits(centred) > digits(plain) + 3
