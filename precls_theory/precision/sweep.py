"""Measured cases in a table: constructions × formats × sizes × conditioning, in parallel, resumed where they stopped.

Every finished case is a JSON file of its own in ``DIR/cases``, named by a hash of the case, written all at once: an interrupted
sweep loses none and repeats none. The table is ``DIR/precision.parquet``; its columns are :data:`COLUMNS`. joblib runs the cases;
``joblib.parallel_config(backend=…)`` around :func:`sweep` hands them to another of its backends. With Dask (the extra ``dask``)::

    with distributed.Client(), joblib.parallel_config(backend="dask"):
        sweep(experiments()["condition"], folder, jobs=-1)
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from constructions.networks.function_task import FunctionTask

if TYPE_CHECKING:
    import pandas as pd
    import torch

import contextlib
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from constructions.files.output import write_output
from constructions.networks.base import ExactNetwork

NIST = ("wampler1", "wampler2", "wampler3", "wampler4", "wampler5", "pontius", "filip")
"""Regressions of the experiment ``nist``."""
COLUMNS = {
    "construction": "name of the construction and its form",
    "dtype": "number format of inputs, weights and arithmetic (tf32: float32, matrix products emulated in TF32)",
    "device": "PyTorch device",
    "n_points": "data rows N",
    "n_dims": "unknowns D",
    "n_steps": "steps of gradient descent, or Newton iterates",
    "condition": "condition number of the design (0: normal data)",
    "scale": "factor of the data",
    "rank": "rank of the design",
    "slices": "digits a channel (0: plain)",
    "convolution": "how filters are run: lowered (shifts and sums), direct, prefix, fft",
    "samples": "regressions measured",
    "seed": "seed of the data",
    "depth": "layers",
    "width": "hidden channels",
    "n_nonzero": "nonzero weights",
    "median_mse": "median over samples of the mean squared error against the network over Q",
    "largest": "largest absolute error against the network over Q",
    "median_digits": "median over samples of the smallest number of correct digits against the network over Q",
    "worst_digits": "smallest number of correct digits",
    "lapack_digits": "regressions solved: the same median for LAPACK in the same format",
    "lapack_worst_digits": "regressions solved: LAPACK's smallest number of correct digits",
    "below_lapack": "regressions solved: coefficients with fewer correct digits than LAPACK's",
    "times_plain": "regressions solved: time of a forward pass over that of the plain network",
    "times_lapack": "regressions solved: time of a forward pass over that of LAPACK",
    "largest_ulp": "largest error in units in the last place",
    "weights_mse": "median mean squared error from rounding the weights",
    "arithmetic_mse": "median mean squared error from rounding in the arithmetic",
    "convolution_mse": "median mean squared error from another algorithm for the filters",
    "truncation_mse": "median mean squared distance of the network over Q from the least-squares solution",
    "solution_mse": "median mean squared distance of the computed result from the least-squares solution",
    "lapack_mse": "the same for LAPACK's least squares in the same format",
    "median_bound_ratio": "median over samples of proven bound over largest error",
    "bound_violations": "errors above their proven bound",
    "not_finite": "results that are NaN or infinite",
    "message": "why there is no number, where there is none",
}
"""The columns of the table, and what they hold; errors are absolute, in units of the results."""


@dataclass(frozen=True)
class Case:
    """One measurement: a construction on random regressions in a format."""

    construction: str
    dtype: str = "float32"
    device: str = "cpu"
    n_points: int = 20
    n_dims: int = 5
    n_steps: int = 4
    condition: float = 0.0
    scale: float = 1.0
    rank: int = 0
    slices: int = 0
    samples: int = 32
    seed: int = 0
    convolution: str = "lowered"

    @property
    def key(self) -> str:
        """A hash that names the case."""
        named = {k: v for k, v in asdict(self).items() if (k, v) != ("convolution", "lowered")}
        return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:24]

    @property
    def format(self) -> str:
        """The dtype that PyTorch runs."""
        return "float32" if self.dtype == "tf32" else self.dtype


def network_of(case: Case) -> ExactNetwork:
    """The plain network of a case."""
    import constructions as C

    N, D = case.n_points, case.n_dims
    if case.construction.startswith("newton"):
        refinements = 1 if case.construction == "newton refined" else 0
        return C.newton(n_points=N, n_dims=D, n_iters=case.n_steps, alpha="1/64", refinements=refinements)
    if case.construction == "polynomial":
        return C.compile_polynomials(["t**8/3 - 7*t**3*s/11 + 1"], ["t", "s"])
    if case.construction == "approximation":
        return C.approximate("exp(x)*sin(3*x)", {"x": (-1, 1)}, 1e-12)
    if case.construction == "chebyshev":
        return C.chebyshev(n_points=N, n_dims=D, n_steps=case.n_steps, lower="1/10", upper=3)
    if case.construction == "linear attention":
        return C.linear_attention_gradient_descent(n_points=N, n_dims=D, n_steps=case.n_steps, step_size="1/4")
    if case.construction == "gated":
        return C.gated_gradient_descent(n_points=N, n_dims=D, n_steps=case.n_steps, step_size="1/4")
    if case.construction in ("residual", "gram", "doubling", "tight"):
        return C.gradient_descent(n_points=N, n_dims=D, n_steps=case.n_steps, step_size="1/4", form=case.construction)  # type: ignore[arg-type]
    raise ValueError(f"no construction is called {case.construction!r}")


def data_of(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """A (samples, N, D) and b (samples, N), rounded to the format: normal data, or a given condition number or rank."""
    import torch

    rng = np.random.default_rng(case.seed)
    A = rng.standard_normal((case.samples, case.n_points, case.n_dims))
    if case.condition or case.rank:
        left = np.linalg.qr(A)[0]
        right = np.linalg.qr(rng.standard_normal((case.samples, case.n_dims, case.n_dims)))[0]
        sizes = np.logspace(0, -math.log10(max(case.condition, 1.0)), case.n_dims) * math.sqrt(2 * case.n_points)
        sizes[case.rank or case.n_dims :] = 0
        A = (left * sizes) @ right.swapaxes(1, 2)
    x = rng.standard_normal((case.samples, case.n_dims))
    b = (A @ x[..., None])[..., 0]
    dtype = getattr(torch, case.format)
    return tuple(torch.tensor(value * case.scale).to(dtype).double().numpy() for value in (A, b))  # type: ignore[return-value]


def run_case(case: Case) -> dict[str, object]:
    """Measure one case: a row of the table. What cannot be measured is a row with a message."""
    import torch

    from precls_theory.precision.tf32 import EmulatedTF32

    torch.set_num_threads(1)
    row: dict[str, object] = {**asdict(case)}
    try:
        if case.construction.startswith("solve"):
            from precls_theory.precision.regressions import run_regressions

            row |= run_regressions(case)
            return {name: row.get(name) for name in COLUMNS}
        network = network_of(case)
        with EmulatedTF32() if case.dtype == "tf32" else contextlib.nullcontext():
            row |= _plain(case, network) if not case.slices else _sliced(case, network)
    except (OverflowError, ArithmeticError, ValueError, RuntimeError) as error:
        row["message"] = f"{type(error).__name__}: {error}"
    return {name: row.get(name) for name in COLUMNS}


def _inputs(case: Case, network: ExactNetwork) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
    import torch

    A, b = data_of(case)
    dtype = getattr(torch, case.format)
    u = network.encode(torch.tensor(A, dtype=dtype), torch.tensor(b, dtype=dtype))
    return u, A, b


def _points(case: Case, network: ExactNetwork) -> torch.Tensor:
    """Inputs of a network that computes functions: evenly distributed over its domain, or [−1, 1]."""
    import torch

    task = network.task
    assert isinstance(task, FunctionTask)
    domain = task.domain or [(-1, 1)] * len(task.variables)
    low, high = (np.array([float(side[i]) for side in domain]) for i in (0, 1))
    points = low + (high - low) * np.random.default_rng(case.seed).random((case.samples, len(domain)))
    return network.encode(torch.tensor(points, dtype=getattr(torch, case.format)))


def _size(network: ExactNetwork) -> dict[str, float]:
    return {"depth": network.depth, "width": network.width, "n_nonzero": network.n_nonzero}


def _plain(case: Case, network: ExactNetwork) -> dict[str, float]:
    import torch

    import constructions as C
    from precls_theory.precision.bounds import FORMATS, Bounder
    from precls_theory.precision.convolution import with_convolution
    from precls_theory.precision.measure import measure

    u, A, b = _inputs(case, network) if hasattr(network.task, "n_points") else (_points(case, network), None, None)
    found = measure(network, u, device=case.device, convolution=case.convolution)  # type: ignore[arg-type]
    total, e = found.results["total"], found.errors
    module = network.to_torch(dtype=u.dtype, device=case.device)
    if isinstance(network, C.Network):
        module = with_convolution(network, module, case.convolution)  # type: ignore[arg-type]
    with torch.no_grad():
        values = network.decode(module(u.to(case.device))).double().cpu().numpy()
    row = _size(network) | {
        "median_mse": total.median_mean_square, "largest": total.largest, "largest_ulp": total.ulp,
        "weights_mse": found.results["weights"].median_mean_square,
        "arithmetic_mse": found.results["arithmetic"].median_mean_square, "not_finite": total.not_finite,
    }  # fmt: skip
    if "convolution" in e:
        row["convolution_mse"] = found.results["convolution"].median_mean_square
    if "truncation" in e:
        row["truncation_mse"] = found.results["truncation"].median_mean_square
        row["solution_mse"] = float(np.median(((e["total"] + e["truncation"]) ** 2).mean(axis=(1, 2))))
        dtype = getattr(torch, case.format)
        if dtype in (torch.float32, torch.float64) and not case.rank:
            exact = values - (e["total"] + e["truncation"])[:, 0]
            lapack = torch.linalg.lstsq(torch.tensor(A, dtype=dtype), torch.tensor(b, dtype=dtype)[..., None]).solution
            row["lapack_mse"] = float(np.median(((lapack[..., 0].double().numpy() - exact) ** 2).mean(axis=1)))
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.abs(e["total"][:, 0]) / np.abs(values - e["total"][:, 0])
        digits = -np.log10(np.maximum(relative, 1e-60)).min(axis=1)
    row |= {"median_digits": float(np.median(digits)), "worst_digits": float(digits.min())}
    if isinstance(network, C.Network) and u.dtype in FORMATS and case.convolution != "fft" and case.dtype != "tf32":
        bounder = Bounder(network, u.dtype)
        columns = list(network.task.columns)
        bounds = np.array([bounder.bound(one)[:, columns] for one in u[:4].double().numpy()])
        errors = np.abs(e["total"][:4])
        row["bound_violations"] = int((errors > bounds).sum())
        largest = errors.max(axis=(1, 2))
        known = (largest > 0) & np.isfinite(largest)
        if known.any():
            row["median_bound_ratio"] = float(np.median(bounds.max(axis=(1, 2))[known] / largest[known]))
    return row


def _sliced(case: Case, network: ExactNetwork) -> dict[str, float]:
    import torch

    import constructions as C
    from constructions.slicing.task import SlicedTask
    from precls_theory.precision.exact import exact_results

    u = _inputs(case, network)[0] if hasattr(network.task, "n_points") else _points(case, network)
    dtype = getattr(torch, case.format)
    if not isinstance(network, C.Network):
        raise TypeError(f"BaseConv networks are sliced, got {type(network).__name__}")
    sliced = C.sliced(network, slices=case.slices, dtype=case.format, bounds=u.double().cpu().numpy())
    module = sliced.to_torch(dtype=dtype, device=case.device)
    assert isinstance(sliced.task, SlicedTask)
    with torch.no_grad():
        results = sliced.decode(module(sliced.task.slice(u).to(case.device)))
    worst, squares, largest = [], [], 0.0
    for one, found in zip(u.double().numpy(), results, strict=True):
        true = exact_results(network, one)
        gaps = [abs(f - t) for f, t in zip(found, true, strict=True)]
        relative = [float(gap / abs(t)) if t else float(gap) for gap, t in zip(gaps, true, strict=True)]
        worst.append(min(60.0 if not r else -math.log10(r) for r in relative))
        squares.append(sum(float(gap) ** 2 for gap in gaps) / len(gaps))
        largest = max(largest, *map(float, gaps))
    return _size(sliced) | {
        "median_mse": float(np.median(squares)), "largest": largest, "median_digits": float(np.median(worst)),
        "worst_digits": min(worst), "not_finite": 0,
    }  # fmt: skip


def sweep(
    cases: Iterable[Case], folder: Path, jobs: int = 1, progress: Callable[[int], object] | None = None
) -> pd.DataFrame:
    """Measure the cases that are not in ``folder`` yet; returns the table of all of them (pandas), also saved as Parquet.

    ``progress(n)`` is told how many more are done.
    """
    import joblib
    import pandas as pd

    wanted = list(dict.fromkeys(cases))
    store = folder / "cases"
    store.mkdir(parents=True, exist_ok=True)
    missing = [case for case in wanted if not (store / f"{case.key}.json").exists()]
    if progress is not None and len(wanted) > len(missing):
        progress(len(wanted) - len(missing))
    runner = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")
    finished: Iterator[tuple[Case, dict[str, object]]] = runner(joblib.delayed(_one)(case) for case in missing)
    for case, row in finished:
        _write(store / f"{case.key}.json", row)
        if progress is not None:
            progress(1)
    rows = [json.loads((store / f"{case.key}.json").read_text()) for case in wanted]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    numbers = [name for name in COLUMNS if name not in ("construction", "dtype", "device", "convolution", "message")]
    table[numbers] = table[numbers].apply(pd.to_numeric)
    table["message"] = table["message"].astype("string")
    write_output(folder / "precision.parquet", table.to_parquet(index=False))
    return table


def _one(case: Case) -> tuple[Case, dict[str, object]]:
    return case, run_case(case)


def _write(path: Path, row: dict[str, object]) -> None:
    plain = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
    write_output(path, json.dumps(plain))


def experiments(device: str = "cpu", quick: bool = False) -> dict[str, list[Case]]:
    """The cases of each named experiment."""
    small = partial(Case, device=device, n_points=6, n_dims=2, samples=4)
    sized: Callable[..., Case] = small if quick else partial(Case, device=device, samples=32)
    formats = ("float32", "float64") if quick else ("float64", "float32", "bfloat16", "float16")
    forms = [("gram", 4), ("doubling", 16), ("newton", 6)]
    if not quick:
        forms += [("residual", 4), ("tight", 5), ("chebyshev", 8), ("newton refined", 6), ("doubling", 4096)]
    conditions = (1e1, 1e3) if quick else (1e1, 1e2, 1e3, 1e4, 1e5)
    slices = {"float32": 4 if quick else 6, "float64": 3 if quick else 4}
    steps = 16 if quick else 256
    both = ("float32", "float64")
    few = partial(Case, "solve", device=device, n_points=6, samples=2)
    solved: Callable[..., Case] = few if quick else partial(Case, "solve", device=device, samples=17)
    unknowns = {"float32": 2, "float64": 2} if quick else {"float32": 3, "float64": 5}
    named = ("pontius",) if quick else tuple(NIST)
    return {
        "nist": [Case(f"solve {name}", "float64", device, samples=1) for name in named],
        "regressions": [
            solved(dtype=dtype, condition=c, seed=int(math.log10(c)), n_dims=unknowns[dtype])
            for c in ((1e2, 1e3) if quick else (1e2, 1e3, 1e4, 1e5, 1e6, 1e7))
            for dtype in both
        ],
        "constructions": [sized(form, dtype, n_steps=k) for form, k in forms for dtype in formats],
        "sliced": [
            sized("doubling", dtype, n_steps=steps, slices=s) for dtype in both for s in (0, slices[dtype])
        ]
        + [
            sized(name, dtype, n_steps=k, condition=c, slices=s and s - (not c))
            for name, k, c in (() if quick else (("newton", 19, 1e2), ("polynomial", 0, 0.0), ("approximation", 0, 0.0)))
            for dtype in both
            for s in (0, slices[dtype])
        ],
        "tf32": [sized(form, "tf32", n_steps=k) for form, k in forms],
        "transformers": [
            sized(name, dtype, n_steps=k)
            for name in ("linear attention", "gated")
            for k in (1, 2)
            for dtype in both
        ],
        "condition": [
            sized(form, dtype, n_steps=16, condition=c)
            for form in ("newton", "newton refined")
            for dtype in both
            for c in conditions
        ],
        "rank": [
            sized("doubling", "float32", n_steps=2**m, rank=max(1, (2 if quick else 5) - 2), slices=s)
            for m in ((4, 8) if quick else (8, 16, 24))
            for s in (0, slices["float32"])
        ],
        "convolution": [
            sized(form, dtype, n_steps=k, convolution=a)
            for form, k in (("gram", 4), ("doubling", 16))
            for dtype in both
            for a in ("direct", "prefix", "fft")
        ],
        "sizes": [
            Case("doubling", dtype, device, n_points=N, n_dims=D, n_steps=k, samples=4 if quick else 32)
            for dtype in both
            for N, D, k in ((4, 2, 16), (8, 2, 16), (8, 2, 64))[: 2 if quick else 3]
            + (() if quick else ((20, 2, 64), (20, 8, 64), (40, 5, 64), (20, 5, 64), (20, 5, 1024)))
        ],
        "scale": [sized("gram", dtype, scale=2.0**e) for dtype in both for e in (-40, -10, 10, 70)],
    }  # fmt: skip
