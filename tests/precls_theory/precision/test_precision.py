"""Random cases against their bounds: none above, and how tight the bounds are.

A few by default, for errors above their bounds alone; ten thousand, and the medians, by
``HYPOTHESIS_PROFILE=deep pytest -s tests/precls_theory/precision/test_precision.py`` (six minutes of one core).
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import torch
from hypothesis import settings

import constructions as C
from constructions.networks.network import Network
from precls_theory.precision import measure
from precls_theory.precision.bounds import Bounder

FORMATS = (torch.float32, torch.float64)
KINDS = ("gram", "doubling", "residual", "tight", "newton", "sliced")
DEEP = settings().max_examples >= 500
CASES = 10_000 if DEEP else 12
BATCH = 20 if DEEP else 1
TIGHTNESS = {"gram": 100, "doubling": 100, "residual": 250}
"""Medians of bound over error that are promised: Gram and doubling to 10 layers, residual to 10 steps."""


def network(kind: str, rng: np.random.Generator) -> Network:
    """A random one of its kind, of at most ten layers or steps."""
    sizes: dict[str, Any] = {"n_points": int(rng.integers(2, 21)), "n_dims": int(rng.integers(1, 6))}
    step = str(rng.choice(["1/10", "1/4", "3/7"]))
    if kind == "newton":
        return C.newton(**sizes, n_iters=int(rng.integers(1, 8)), alpha="1/64", refinements=int(rng.integers(0, 2)))
    if kind == "sliced":
        small: dict[str, Any] = {"n_points": 4, "n_dims": 2, "n_steps": 4, "step_size": step}
        return C.sliced(C.gradient_descent(**small), slices=3, slice_bits=8, bounds={"a": 8, "b": 32})
    most = {"gram": 10, "residual": 10, "doubling": 9, "tight": 20}[kind]
    k = int(rng.integers(1, most))
    return C.gradient_descent(**sizes, n_steps=2 ** (k - 1) if kind == "doubling" else k, step_size=step, form=kind)  # type: ignore[arg-type]


def data(net: Network, kind: str, dtype: torch.dtype, rng: np.random.Generator) -> torch.Tensor:
    task: Any = getattr(net.task, "original", net.task)
    scale = 1.0 if kind == "sliced" else float(rng.choice([1.0, 1.0, 0.03, 2.0**-30]))
    A = rng.standard_normal((BATCH, task.n_points, task.n_dims)) * scale
    A[rng.random(A.shape) < 0.05] = 0
    b = rng.standard_normal((BATCH, task.n_points)) * scale
    x = rng.standard_normal((BATCH, task.n_dims))
    given = [torch.tensor(value).to(dtype) for value in (A, b, x)]
    return net.encode(*given) if task.takes_start else net.encode(*given[:2])


def run_turn(turn: int) -> tuple[str, torch.dtype, int, int, list[float]]:
    """One network and its batch of cases, by its own seed: kind, format, cases, entries above their bound, bound over error."""
    rng = np.random.default_rng([2026, turn])
    kind, dtype = KINDS[turn % len(KINDS)], FORMATS[turn // len(KINDS) % 2]
    net = network(kind, rng)
    u = data(net, kind, dtype, rng)
    errors = np.abs(measure(net, u, split=False).errors["total"])
    bounder, columns = Bounder(net, dtype), list(net.task.columns)
    above, ratios = 0, []
    for error, one in zip(errors, u.double().numpy(), strict=True):
        bound = bounder.bound(one)[:, columns]
        assert not np.isnan(error).any()
        above += int((error > bound).sum())
        if 0 < error.max() < np.inf:
            ratios.append(float(bound.max() / error.max()))
    return kind, dtype, len(errors), above, ratios


def test_no_error_of_many_random_cases_is_above_its_bound() -> None:
    ratios: dict[tuple[str, torch.dtype], list[float]] = defaultdict(list)
    above = cases = 0
    for turn in range(CASES // BATCH):
        kind, dtype, count, over, found = run_turn(turn)
        ratios[kind, dtype] += found
        above, cases = above + over, cases + count
    assert cases == CASES
    assert above == 0
    medians = {key: float(np.median(values)) for key, values in ratios.items()}
    for (kind, dtype), median in sorted(medians.items(), key=str):
        print(f"{kind} {dtype}: {len(ratios[kind, dtype])} cases, bound over error {median:.0f} (median)")
        assert 1 < median <= (TIGHTNESS.get(kind, np.inf) if DEEP else np.inf), (kind, dtype)
    if DEEP:
        assert set(medians) == {(kind, dtype) for kind in KINDS for dtype in FORMATS}
