"""The a-priori bound: above what is measured, refused where it says nothing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

import constructions as C
from precls_theory.checking.prove import prove_network
from precls_theory.precision import measure
from precls_theory.precision.apriori import a_priori_bound
from precls_theory.theorems.precision.rounding import descent, detour, roundings

N, D = 6, 2


@pytest.mark.parametrize(("form", "k"), [("gram", 1), ("gram", 6), ("doubling", 1), ("doubling", 64)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_run_is_above_it(form: Any, k: int, dtype: torch.dtype) -> None:
    rng = np.random.default_rng(k)
    A = rng.standard_normal((8, N, D))
    A /= np.linalg.norm(A, 2, axis=(1, 2), keepdims=True) * 1.001 / math.sqrt(10 * N)  # (1/10N)·λ_max just below one
    b, x = rng.standard_normal((8, N)), rng.standard_normal((8, D))
    net = C.gradient_descent(n_points=N, n_dims=D, n_steps=k, step_size="1/10", form=form)
    u = net.encode(*(torch.tensor(value).to(dtype) for value in (A, b, x)))
    errors = np.linalg.norm(measure(net, u, split=False).errors["total"][:, 0], axis=1)
    for error, *data in zip(errors, A, b, x, strict=True):
        trace = float((data[0] ** 2).sum() / (10 * N)) * 1.0001
        norms = [float(np.linalg.norm(v)) * 1.0001 for v in data[1:]]
        precision = {torch.float32: 24, torch.float64: 53}[dtype]
        bound = a_priori_bound(net, precision, *norms, trace=trace)
        assert error <= bound <= a_priori_bound(net, precision, *norms)
        assert bound < 1e6 * error or error == 0


def test_it_is_refused_where_it_says_nothing() -> None:
    with pytest.raises(ValueError, match="too many"):
        a_priori_bound(descent("doubling", n_steps=2**20), 24, 1.0)
    with pytest.raises(ValueError, match="gram or doubling"):
        a_priori_bound(descent("residual"), 24, 1.0)
    other = C.gradient_descent(n_points=N, n_dims=D, n_steps=2, step_size=1, form="gram", layout="E")
    with pytest.raises(ValueError, match="layout A"):
        a_priori_bound(other, 24, 1.0)


def test_a_detour_is_equal_and_less_accurate() -> None:
    """What the control of the theorem shows: equality over Q says nothing about roundings."""
    plain, long = descent("gram"), detour(descent("gram"))
    assert prove_network(long).failure_probability_log2 < -60
    u = plain.encode(
        *(torch.tensor(v, dtype=torch.float32) for v in (np.eye(4, 3, 1)[:3, :2] + 0.3, np.ones(3), np.ones(2)))
    )
    lost = [measure(one, u[None], split=False).results["total"].largest for one in (plain, long)]
    assert lost[1] > 10 * lost[0]


def test_roundings_are_those_of_the_sums() -> None:
    first, second, step = roundings(descent("gram", 20, 5, 3))[:3]
    assert first["aa"] == 1
    assert (second["G"], second["x"], step["x"]) == (19, 28, 9)
