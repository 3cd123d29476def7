"""Sliced refinement: equal over Q, the residual exact in floats, more digits than the format with fewer weights than doubling."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import flint
import numpy as np
import pytest
import torch

import constructions as C
from constructions.networks.network import Network
from precls_theory.checking.check import check
from precls_theory.precision import exact_digits, unexpected
from tests.helpers.problems import integer_regression

N, D, KAPPA = 12, 3, 100.0


def refinement(refinements: int = 3, **options: Any) -> Network:
    sizes: dict[str, Any] = {"n_points": 4, "n_dims": 2, "n_iters": 2, "alpha": "1/8"}
    return C.gram_refinement(**(sizes | options), refinements=refinements)


def exact_rounds(A: np.ndarray, b: np.ndarray, alpha: Fraction, n_iters: int, rounds: int) -> list[Fraction]:
    """``x ← x + M (c − G x)`` with M by its other definition: ``G⁻¹(I − (I − αG)^(2^t))``, as a sum of powers."""
    G, c = A.T @ A, A.T @ b
    eye = np.array([[Fraction(int(i == j)) for j in range(len(c))] for i in range(len(c))], dtype=object)
    power, M = eye, eye * Fraction(0)
    for _ in range(2**n_iters):
        M, power = M + alpha * power, power @ (eye - alpha * G)
    x = c * Fraction(0)
    for _ in range(rounds):
        x = x + M @ (c - G @ x)
    return list(x)


@pytest.mark.parametrize("rounds", [1, 2, 3])
@pytest.mark.parametrize("n_iters", [0, 2])
def test_rounds_of_refinement_over_the_rationals(rounds: int, n_iters: int) -> None:
    network = refinement(rounds, n_iters=n_iters)
    assert network.depth == n_iters + 2 * rounds + 2
    A, b, _ = integer_regression(4, 2, seed=1)
    A, b = A / Fraction(7), b / Fraction(3)
    exact = exact_rounds(A, b, Fraction(1, 8), n_iters, rounds)
    assert network.decode(network.evaluate(network.encode(A, b))).tolist() == exact
    assert check(network).ok
    sliced = C.sliced(network, slices=3, slice_bits=8)
    assert sliced.decode(sliced.evaluate(sliced.encode(A, b))).tolist() == exact


def test_saved_checked_and_refused_when_changed(tmp_path: Any) -> None:
    network = C.sliced(refinement(), slices=3, slice_bits=8)
    network.save(tmp_path / "network.safetensors")
    loaded = C.load(tmp_path / "network.safetensors")
    assert loaded == network
    assert check(loaded).ok
    fewer = C.sliced(refinement(2), slices=3, slice_bits=8)
    wrong = check(replace(fewer, parameters=network.parameters, algorithm="sliced"))
    assert not wrong.ok


@pytest.mark.parametrize(("slices", "dtype"), [(4, "float32"), (3, "float64")])
def test_what_the_weights_prove_exact(slices: int, dtype: str) -> None:
    """The iterate and every class of the residual but the last are exact; the inverse and the corrections are floats."""
    network = C.sliced(refinement(), slices=slices, dtype=dtype)
    report = exact_digits(network)
    assert not unexpected(network, report)
    inexact = {name.partition("[")[0] for names in report.inexact.values() for name in names if name[-1].isdigit()}
    assert {"R", "M"} <= inexact  # floats, and said to be
    cut = [name for names in report.inexact.values() for name in names if name.startswith("d") and "T" not in name]
    assert all(name.endswith("S") for name in cut)  # a correction is rounded once, and its digits are exact


@pytest.mark.parametrize(("dtype", "slices", "rounds", "gain", "least"), [
    ("float64", 4, 4, 20, 19.0), ("float32", 6, 7, 5, 11.0),
])  # fmt: skip
def test_more_digits_than_the_format_at_less_width(
    dtype: str, slices: int, rounds: int, gain: int, least: float
) -> None:
    kappa = KAPPA if dtype == "float64" else 10.0
    rng = np.random.default_rng(0)
    left, right = np.linalg.qr(rng.standard_normal((N, D)))[0], np.linalg.qr(rng.standard_normal((D, D)))[0]
    kind = getattr(torch, dtype)
    A = torch.tensor(left * np.logspace(0, -math.log10(kappa), D) @ right.T).to(kind)
    b = torch.tensor(rng.standard_normal(N)).to(kind)
    exact_A = np.array([[Fraction(float(v)) for v in row] for row in A], dtype=object)
    exact_b = np.array([Fraction(float(v)) for v in b], dtype=object)
    design = np.linalg.lstsq(A.double().numpy(), b.double().numpy(), rcond=None)[0]
    size, n_iters = 4 * float(np.abs(design).max()), math.ceil(math.log2(40 * kappa**2))

    def matrix(values: np.ndarray) -> flint.fmpq_mat:
        flat = [flint.fmpq(v.numerator, v.denominator) for v in values.flat]
        return flint.fmpq_mat(len(values), values.size // len(values), flat)

    G, c = matrix(exact_A).transpose() * matrix(exact_A), matrix(exact_A).transpose() * matrix(exact_b)
    true = [Fraction(int(v.p), int(v.q)) for v in G.solve(c).entries()]
    common: dict[str, Any] = {"n_points": N, "n_dims": D, "n_iters": n_iters, "alpha": "1/2"}
    corrections = {f"d{j}": size * 2.0 ** (-gain * j) for j in range(rounds)}
    bounds = {"a": 1, "b": 4, "G": 2, "c": 4, "r": 4, "x": size, **corrections}
    network = C.sliced(C.gram_refinement(**common, refinements=rounds), slices=slices, dtype=dtype, bounds=bounds)
    doubling = C.sliced(C.newton(**common), slices=slices, dtype=dtype, bounds={"a": 1, "b": 4, "y": size})
    found = network.decode(network.to_torch(kind)(network.encode(A, b)))
    digits = min(-math.log10(abs(f - t) / abs(t)) for f, t in zip(found, true, strict=True))
    assert digits > least
    assert network.n_nonzero < 0.8 * doubling.n_nonzero
    plain = C.gram_refinement(**common, refinements=rounds)
    without = plain.decode(plain.to_torch(kind)(plain.encode(A, b))).double().tolist()
    assert min(-math.log10(abs(Fraction(f) - t) / abs(t)) for f, t in zip(without, true, strict=True)) < digits - 5


def test_a_correction_beyond_its_range_is_an_error_in_words() -> None:
    network = C.sliced(refinement(), slices=3, slice_bits=8, bounds={"d1": Fraction(1, 2**20)})
    A, b, _ = integer_regression(4, 2, seed=1)
    digits = network.encode(A / 16, b / 16).astype(float)
    with pytest.raises(OverflowError, match="d1"):
        network.to_torch(torch.float32)(torch.tensor(digits, dtype=torch.float32))
