"""What floating point does to exact networks, each as a minimal reproduction with its remedy, made from the constructions.

Every finding is a function of the device, on which its networks run (LAPACK, beside some of them, stays on the CPU). It measures
against exact values and returns rows ``(series, x, y)``; what it shows is asserted of these rows, by :attr:`Finding.holds`,
whenever it runs. The remedies are what the constructions do by default. ``precls precision findings`` runs all, writes the
rows as one table and draws a picture of each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from fractions import Fraction

import flint
import numpy as np
import torch

import constructions as C
from constructions.algebra.rings import FMPQ
from constructions.networks.base import ExactNetwork
from constructions.networks.network import Network
from precls_theory.precision.convolution import ALGORITHMS, with_convolution
from precls_theory.precision.exact import exact_results, to_ring
from precls_theory.precision.stored import lowered_states
from precls_theory.precision.tf32 import EmulatedTF32

Rows = list[tuple[str, float, float]]
N, D = 20, 5


@dataclass(frozen=True)
class Finding:
    """A reproduction: what it shows, the remedy, axes, the run, and whether its rows show it."""

    title: str
    remedy: str
    axes: tuple[str, str]
    run: Callable[[str], Rows]
    holds: Callable[[dict[str, dict[float, float]]], bool]
    needs_cuda: bool = False


def series(rows: Rows) -> dict[str, dict[float, float]]:
    """The rows by series."""
    found: dict[str, dict[float, float]] = {}
    for name, x, y in rows:
        found.setdefault(name, {})[x] = y
    return found


def normal(
    samples: int, condition: float = 0.0, rank: int = 0, seed: int = 0, n_points: int = N, n_dims: int = D
) -> tuple[np.ndarray, np.ndarray]:
    """Random regressions in float32 numbers."""
    from precls_theory.precision.sweep import Case, data_of

    return data_of(
        Case("", n_points=n_points, n_dims=n_dims, condition=condition, rank=rank, samples=samples, seed=seed)
    )


def solutions(A: np.ndarray, b: np.ndarray) -> list[list[Fraction]]:
    """Least-squares solutions over Q."""

    def exact(values: np.ndarray) -> list[flint.fmpq]:
        return [flint.fmpq(*float(value).as_integer_ratio()) for value in values.flat]

    found = []
    for one, target in zip(A, b, strict=True):
        design, right = flint.fmpq_mat(*one.shape, exact(one)), flint.fmpq_mat(len(target), 1, exact(target))
        solved = (design.transpose() * design).solve(design.transpose() * right)
        found.append([Fraction(int(solved[i, 0].p), int(solved[i, 0].q)) for i in range(one.shape[1])])
    return found


def digits(found: Iterable[Iterable[float | Fraction]], exact: list[list[Fraction]]) -> float:
    """Median over regressions of the digits of the worst coefficient, at most 60."""
    worst = []
    for row, true in zip(found, exact, strict=True):
        gaps = [abs(Fraction(value) - t) / abs(t) for value, t in zip(row, true, strict=True)]
        worst.append(min(60.0 if not gap else -math.log10(gap) for gap in gaps))
    return float(np.median(worst))


def run(network: ExactNetwork, A: np.ndarray, b: np.ndarray, dtype: torch.dtype, device: str) -> list[list[float]]:
    """Results of a plain network."""
    with torch.no_grad():
        u = network.encode(*on(device, A, b, dtype))
        return network.decode(network.to_torch(dtype=dtype, device=device)(u)).double().tolist()


def on(device: str, A: np.ndarray, b: np.ndarray, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """A and b as tensors on the device."""
    return torch.tensor(A, dtype=dtype, device=device), torch.tensor(b, dtype=dtype, device=device)


def worst_entries(network: Network, A: np.ndarray, b: np.ndarray, found: Iterable[Iterable[float | Fraction]]) -> float:
    """The largest error of results against the network over Q."""
    gaps = []
    for one, target, values in zip(A, b, found, strict=True):
        u = network.encode(torch.tensor(one), torch.tensor(target)).numpy()
        exact = exact_results(network, u)
        gaps += [abs(Fraction(value) - true) for value, true in zip(values, exact, strict=True)]
    return float(max(gaps))


# --- The findings ----------------------------------------------------------------------------------------------------


def fft_rows(device: str) -> Rows:
    """Squares of integers, some of them large, in layer 1 of the Gram form: the error of each row, by algorithm."""
    a = [1.0, 3000.0, 0.0, 2.0, 0.0, 3.0, 0.0, 1.0, 1234.0, 0.0, 7.0, 0.0, 0.0]
    network = C.gradient_descent(n_points=len(a), n_dims=1, n_steps=1, step_size=1, form="gram")
    u = network.encode(torch.tensor([a], device=device)[..., None], torch.ones(1, len(a), device=device))
    rows: Rows = []
    for algorithm in ALGORITHMS[1:]:
        module = with_convolution(network, network.to_torch(dtype=torch.float32, device=device), algorithm)
        squares = lowered_states(network, module, u)[0][0, :, 0]
        rows += [(algorithm, float(row), abs(squares[row] - a[row] ** 2)) for row in range(len(a))]
    return rows


def null_space(device: str) -> Rows:
    """Rank 2 of 3: the largest error after 2^m steps in float32, plain and with seven slices."""
    A, b = normal(1, rank=2, n_points=8, n_dims=3)
    rows: Rows = []
    for m in (8, 16, 24):
        network = C.gradient_descent(n_points=8, n_dims=3, n_steps=2**m, step_size="1/4")
        rows.append(("plain", float(m), worst_entries(network, A, b, run(network, A, b, torch.float32, device))))
        sliced = C.sliced(network, slices=7, dtype="float32", bounds={"a": 16, "b": 64})
        with torch.no_grad():
            u = sliced.encode(*on(device, A, b, torch.float32))
            found = sliced.decode(sliced.to_torch(dtype=torch.float32, device=device)(u))
        rows.append(("sliced", float(m), worst_entries(network, A, b, found)))
    return rows


def conditioning(device: str) -> Rows:
    """Digits in float64 against the condition number κ: Newton's inverse, refined, sliced; LAPACK."""
    rows: Rows = []
    for exponent in (1, 2, 3, 4, 5):
        kappa = 10.0**exponent
        A, b = normal(4, condition=kappa, seed=exponent)
        A, b = A[:, :, :3], b
        exact = solutions(A, b)
        sizes = [np.linalg.svd(one, compute_uv=False) for one in A]
        largest, ratio = max(s[0] for s in sizes) ** 2, float(max(s[0] / s[-1] for s in sizes))
        alpha, n_iters = Fraction(2) ** -math.ceil(math.log2(largest)), math.ceil(math.log2(100 * ratio**2))
        plain, refined = (
            C.newton(n_points=N, n_dims=3, alpha=alpha, n_iters=n_iters, refinements=refinements)
            for refinements in (0, 2)
        )
        for name, network in (("normal equations", plain), ("refined", refined)):
            rows.append((name, ratio, digits(run(network, A, b, torch.float64, device), exact)))
        bound = 2 * max(float(abs(value)) for row in exact for value in row)
        sliced = C.sliced(plain, slices=4, bounds={"a": 16, "b": 64, "y": Fraction(bound).limit_denominator(64) + 1})
        with torch.no_grad():
            found = sliced.decode(sliced.to_torch(device=device)(sliced.encode(*on(device, A, b, torch.float64))))
        rows.append(("sliced", ratio, digits(found, exact)))
        lapack = torch.linalg.lstsq(torch.tensor(A), torch.tensor(b)[..., None]).solution[..., 0]
        rows.append(("LAPACK", ratio, digits(lapack.tolist(), exact)))
    return rows


def transformers(device: str) -> Rows:
    """Exact Transformers (linear attention) that take k steps: mean squared error against themselves over Q."""
    A, b = normal(8)
    rows: Rows = []
    for k in (1, 2, 4):
        network = C.linear_attention_gradient_descent(n_points=N, n_dims=D, n_steps=k, step_size="1/4")
        exact = [
            network.decode(network.evaluate(to_ring(network.encode(torch.tensor(one), torch.tensor(t)).numpy(), FMPQ)))
            for one, t in zip(A, b, strict=True)
        ]
        for name, dtype in (("float32", torch.float32), ("float64", torch.float64)):
            found = run(network, A, b, dtype, device)
            squares = [
                float(sum((Fraction(v) - Fraction(str(t))) ** 2 for v, t in zip(row, true, strict=True)) / D)
                for row, true in zip(found, exact, strict=True)
            ]
            rows.append((name, float(k), float(np.median(squares))))
        rows.append(("paper: softmax Transformers, best", float(k), 1e-8))
    return rows


def step_sizes(device: str) -> Rows:
    """Converged doubling: mean squared error over that of LAPACK, by step size."""
    A, b = normal(64)
    exact = solutions(A, b)
    rows: Rows = []
    for name, dtype in (("float32", torch.float32), ("float64", torch.float64)):
        lapack = torch.linalg.lstsq(torch.tensor(A, dtype=dtype), torch.tensor(b, dtype=dtype)[..., None]).solution
        reference = mean_square(lapack[..., 0].double().tolist(), exact)
        for step in (Fraction(1, 10), Fraction(1, 4), Fraction(1, 2)):
            network = C.gradient_descent(n_points=N, n_dims=D, n_steps=4096, step_size=step)
            rows.append((name, float(step), mean_square(run(network, A, b, dtype, device), exact) / reference))
    return rows


def mean_square(found: list[list[float]], exact: list[list[Fraction]]) -> float:
    """Median over regressions of the mean squared error of the coefficients."""
    return float(np.median([
        float(sum((Fraction(v) - t) ** 2 for v, t in zip(row, true, strict=True)) / len(true))
        for row, true in zip(found, exact, strict=True)
    ]))  # fmt: skip


def tf32(device: str) -> Rows:
    """The largest relative error of a product of integers below 2^12 on a GPU, with TF32 allowed and not."""
    values = torch.arange(1, 4097, 16, dtype=torch.float32, device=device).reshape(16, 16)
    exact = values.double() @ values.double()
    rows: Rows = []
    allowed = torch.backends.cuda.matmul.allow_tf32
    try:
        for name, choice in (("TF32", True), ("float32", False)):
            torch.backends.cuda.matmul.allow_tf32 = choice
            rows.append((name, 12.0, float(((values @ values).double() - exact).abs().max() / exact.abs().max())))
    finally:
        torch.backends.cuda.matmul.allow_tf32 = allowed
    return rows


def tf32_emulated(device: str) -> Rows:
    """Newton's iteration in float32 and with the factors of its products cut to TF32: largest error by iterate."""
    A, b = normal(8, n_dims=3)
    rows: Rows = []
    for t in (2, 4, 6):
        network = C.newton(n_points=N, n_dims=3, n_iters=t, alpha="1/64")
        for name, mode in (("float32", nullcontext()), ("TF32, emulated", EmulatedTF32())):
            with mode:
                found = run(network, A, b, torch.float32, device)
            rows.append((name, float(t), worst_entries(network, A, b, found)))
    return rows


FINDINGS: dict[str, Finding] = {
    "fft": Finding(
        "An FFT mixes the rows of a channel: squares of integers stop being integers, and zeros zeros",
        "the lowering runs filters as shifts and sums, never through an FFT",
        ("row", "error of a² (float32)"), fft_rows,
        lambda s: any(s["fft"][row] for row in (2.0, 4.0, 6.0, 9.0, 11.0, 12.0))
        and not any({*s["direct"].values(), *s["prefix"].values()}),
    ),
    "null-space": Finding(
        "Rank 2 of 3 in float32: squaring doubles the error in the null space with every layer, to a silently wrong value",
        "sliced networks carry the digits that it eats; precls solve refuses a rank-deficient design in words",
        ("doublings", "largest error (float32)"), null_space,
        lambda s: s["plain"][24] > 100 * s["plain"][8] and s["sliced"][24] < 1e-6 * s["plain"][24],
    ),
    "condition": Finding(
        "Normal equations lose κ², refinement κ; sliced they keep more digits than LAPACK",
        "precls solve slices, with as many slices as κ asks for",
        ("condition number", "correct digits (float64)"), conditioning,
        lambda s: all(s["sliced"][x] > s["LAPACK"][x] for x in s["sliced"])
        and s["refined"][max(s["refined"])] > s["normal equations"][max(s["refined"])] + 2,
    ),
    "transformers": Finding(
        "Exact Transformers in float32 are at the rounding error: 1e-8 is a limit of training, not of the format",
        "exact weights, or training that starts from them",
        ("steps", "median squared error"), transformers,
        lambda s: max(s["float32"].values()) < 1e-12 and max(s["float64"].values()) < 1e-29,
    ),
    "step-size": Finding(
        "A small step costs digits: I − (η/N)G is rounded near I, and its distance from I is what is wanted",
        "steps near the largest allowed: within twice LAPACK's error there",
        ("step size η", "converged squared error / LAPACK's"), step_sizes,
        lambda s: all(s[d][0.5] < 2 and s[d][0.1] > 1.5 * s[d][0.5] for d in s),
    ),
    "tf32-emulated": Finding(
        "A network whose products are taken in TF32 is one of three digits",
        "a lowered network refuses to run while PyTorch is set to TF32",
        ("iterates", "largest error"), tf32_emulated,
        lambda s: all(s["TF32, emulated"][t] > 50 * s["float32"][t] for t in s["float32"]),
    ),
    "tf32": Finding(
        "TF32 keeps eleven bits of each factor, without a word",
        "a lowered network refuses to run while PyTorch is set to TF32",
        ("bits", "largest relative error"), tf32, lambda s: s["TF32"][12.0] > 1e-5 > s["float32"][12.0], needs_cuda=True,
    ),
}  # fmt: skip
"""The findings by name."""


def reproduce(name: str, device: str = "cpu") -> tuple[Finding, Rows, bool]:
    """Run one finding on a device: it, its rows, and whether they show what it says. ``ValueError`` for another name.

    One that needs a GPU runs there whatever is said.
    """
    if name not in FINDINGS:
        raise ValueError(f"no finding is called {name!r}: {', '.join(FINDINGS)}")
    finding = FINDINGS[name]
    rows = finding.run("cuda" if finding.needs_cuda and not device.startswith("cuda") else device)
    return finding, rows, finding.holds(series(rows))
