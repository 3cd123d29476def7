"""Whole regressions as measured cases: the network that ``precls solve`` builds, beside LAPACK in the same format.

A case named ``solve`` draws its regressions (singular values spread evenly on a logarithmic scale down to 1/κ, targets with
one percent of noise); ``solve NAME`` is one of NIST's (:mod:`precls_theory.regression.nist`). Data are rationals: the floats
drawn, or the decimals published. Digits are counted against the exact solution, coefficient by coefficient.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import torch

import constructions as C
from constructions.networks.network import Network
from precls_theory.precision.sweep import Case, data_of
from precls_theory.regression import nist
from precls_theory.regression.data import RegressionData
from precls_theory.regression.solving import Scaled, Solution, scale, solve

NOISE = 0.01


def regressions(case: Case) -> list[RegressionData]:
    """The regressions of a case."""
    name = case.construction.removeprefix("solve").strip()
    if name:
        return [nist.load(name)]
    A, b = data_of(case)
    noise = np.random.default_rng([case.seed, 1]).standard_normal(b.shape)
    dtype = getattr(torch, case.dtype)
    b = torch.tensor(b + NOISE * noise).to(dtype).double().numpy()
    exactly = np.frompyfunc(Fraction, 1, 1)
    names = tuple(f"x{j}" for j in range(1, case.n_dims + 1))
    return [RegressionData(names, exactly(one), exactly(target)) for one, target in zip(A, b, strict=True)]


def run_regressions(case: Case) -> dict[str, object]:
    """Measure a case: entries of a row of the table."""
    dtype = getattr(torch, case.dtype)
    solutions, below = [], 0
    drawn = regressions(case)
    for data in drawn:
        solution = solve(data, dtype=dtype, device=case.device, digits="full")
        solutions.append(solution)
        below += sum(solution.digits[name] < solution.lapack_digits[name] for name in solution.names)
    ours = [min(solution.digits.values()) for solution in solutions]
    lapack = [min(solution.lapack_digits.values()) for solution in solutions]
    last = solutions[-1]
    return {
        "n_points": drawn[-1].n_points, "n_dims": drawn[-1].n_dims, "samples": len(drawn),
        "condition": case.condition or last.condition_number,
        "slices": max(0 if s.sliced is None else s.sliced.slices for s in solutions), "n_steps": steps(last),
        "depth": last.network.depth, "width": last.network.width, "n_nonzero": last.network.n_nonzero,
        "median_digits": float(np.median(ours)), "worst_digits": min(ours), "lapack_digits": float(np.median(lapack)),
        "lapack_worst_digits": min(lapack), "below_lapack": below, "not_finite": 0, **cost(last, drawn[-1], dtype, case.device),
    }  # fmt: skip


def steps(solution: Solution) -> int:
    """log2 of the gradient steps that the network is worth."""
    return solution.network.depth if solution.sliced is None else solution.sliced.n_iters


def cost(solution: Solution, data: RegressionData, dtype: torch.dtype, device: str) -> dict[str, float]:
    """The forward pass of the sliced network over that of plain doubling, with as many doublings, and over LAPACK: ratios, one
    run after the other."""
    plan = solution.sliced
    if plan is None:
        return {}
    scaled = scale(data, dtype, device)
    plain = C.newton(n_points=data.n_points, n_dims=data.n_dims, n_iters=plan.n_iters, alpha=plan.alpha)
    sliced_time = forward(solution.network, scaled, dtype, device)
    plain_time = forward(plain, scaled, dtype, device)
    lapack = fastest(lambda: torch.linalg.lstsq(scaled.A, scaled.b.unsqueeze(-1)).solution)
    return {"times_plain": sliced_time / plain_time, "times_lapack": sliced_time / lapack}


def forward(network: Network, scaled: Scaled, dtype: torch.dtype, device: str) -> float:
    """Seconds of the fastest of a few forward passes on one regression."""
    module = network.to_torch(dtype=dtype, device=device)
    u = network.encode(scaled.A, scaled.b)
    with torch.no_grad():
        return fastest(lambda: module(u))


def fastest(run: Callable[[], torch.Tensor], repeats: int = 5) -> float:
    """Seconds of processor time (on a GPU: of the clock) of the fastest of several runs, each awaited."""
    best = float("inf")
    for _ in range(repeats):
        wall, own = time.perf_counter(), time.process_time()
        total = run().sum()
        total.item()
        best = min(best, time.perf_counter() - wall if total.is_cuda else time.process_time() - own)
    return best
