"""Where the digits go: the error of a lowered network or trained model against exact values, in parts that add up.

Three runs on the same input: the network over Q (Arb balls, the one evaluator), the network with the *stored* weights in
exact arithmetic, and the lowered module. With x the exact value, x_w that of the stored weights and x̂ what was computed,

    x̂ − x = (x_w − x) + (x̂ − x_w):  the rounding of the weights, and the rounding of the arithmetic.

Another algorithm for the filters (:mod:`precls_theory.precision.convolution`) is a third term, its run less the
lowering's own. For least squares the iteration itself stops short of the solution x*: ``x − x*`` is its truncation,
the last number.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from fractions import Fraction

import flint
import numpy as np
import torch
from torch import nn

from constructions.algebra.rings import BALLS
from constructions.networks.base import ExactNetwork
from constructions.networks.tasks import Regression
from precls_theory.precision.convolution import Algorithm
from precls_theory.precision.exact import CHUNK, to_ring
from precls_theory.precision.subjects import Subject, subject_of

BITS = 192
"""Precision of the balls; doubled until radii are below a thousandth of the errors."""
MAX_BITS = 2**14


@dataclass(frozen=True)
class Statistics:
    """Errors over all entries: absolute, relative, in units in the last place, mean squared; counts of what is no number."""

    largest: float
    median: float
    relative: float
    median_relative: float
    ulp: float
    mean_square: float
    median_mean_square: float
    not_finite: int
    subnormal: int

    def to_json(self) -> dict[str, object]:
        """JSON-serialisable; infinite values as strings."""
        return {k: v if not isinstance(v, float) or math.isfinite(v) else str(v) for k, v in asdict(self).items()}


@dataclass(frozen=True)
class Measurement:
    """One network in one format: statistics by layer, of the results and of each result by its name, total and by source.

    ``errors`` maps "total", "weights", "arithmetic" (and "convolution" for another algorithm, "truncation" where the
    solution is known) to signed errors of the
    results (batch, rows read, results). ``bits`` of the balls.
    """

    dtype: str
    device: str
    layers: tuple[dict[str, Statistics], ...]
    results: dict[str, Statistics]
    outputs: dict[str, dict[str, Statistics]]
    errors: dict[str, np.ndarray]
    bits: int


def statistics(
    error: np.ndarray, exact: np.ndarray, dtype: torch.dtype, computed: np.ndarray | None = None
) -> Statistics:
    """Statistics of errors (entries, batch) against exact values; NaN and infinities count as infinite errors."""
    size = np.abs(error)
    size = np.where(np.isnan(size), np.inf, size)
    info = torch.finfo(dtype)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        relative = np.where(size == 0, 0.0, size / np.abs(exact))
        spacing = np.maximum(
            2.0 ** np.floor(np.log2(np.maximum(np.abs(exact), info.tiny))) * info.eps, info.tiny * info.eps
        )
        ulp = size / spacing
        by_sample = (size**2).reshape(-1, size.shape[-1]).mean(axis=0)
        values = np.zeros(1) if computed is None else np.abs(computed)
    with np.errstate(over="ignore"):
        return Statistics(
            largest=float(size.max(initial=0.0)), median=float(np.median(size)), relative=float(relative.max(initial=0.0)),
            median_relative=float(np.median(relative)), ulp=float(ulp.max(initial=0.0)), mean_square=float((size**2).mean()),
            median_mean_square=float(np.median(by_sample)), not_finite=int((~np.isfinite(size)).sum()),
            subnormal=int(((values > 0) & (values < info.tiny)).sum()),
        )  # fmt: skip


def measure(
    network: ExactNetwork | nn.Module,
    u: torch.Tensor,
    device: str = "cpu",
    split: bool = True,
    convolution: Algorithm = "lowered",
    target: np.ndarray | None = None,
) -> Measurement:
    """Measure a network or trained model in the dtype of ``u`` (batch, rows, channels) on ``device``.

    Exact BaseConv networks are lowered and measured at the rows that decode reads, exact Transformers at all rows. Trained
    models (``BaseConvModel``, ``Transformer``) are what their floats say: over Q their weights are those numbers, so in the
    dtype that they hold no error is one of weights; in another dtype the cast is. ``split`` measures the rounding of weights
    and of arithmetic apart, at about three times the cost; ``convolution`` runs the filters by another algorithm, whose share
    is then measured apart from the arithmetic. ``target`` (batch, rows read, results) is what the results should be: the
    distance of the exact ones from it is the ``truncation``. For least squares it is the solution, and need not be given.

    Raises ``TypeError`` for anything else, ``ValueError`` for another shape and for NaN or infinite entries,
    ``ArithmeticError`` where exact values are not found.
    """
    if u.ndim != 3:
        raise ValueError(f"u must have shape (batch, rows, channels), got {tuple(u.shape)}")
    if not bool(torch.isfinite(u).all()):
        raise ValueError("u holds NaN or infinite values: every entry must be finite")
    dtype = u.dtype
    subject = subject_of(network, dtype, device, u)
    usual = subject.computed(u)
    computed = usual if convolution == "lowered" else subject.computed(u, convolution)
    inputs = u.double().cpu().numpy()
    names = ("total", "weights", "arithmetic") if split else ("total",)
    signed: list[dict[str, list[np.ndarray]]] = [{name: [] for name in names} for _ in computed]
    middles: list[list[np.ndarray]] = [[] for _ in computed]
    results: list[np.ndarray] = []
    bits = BITS
    for start in range(0, len(inputs), CHUNK):
        part = slice(start, start + CHUNK)
        floats = [values[:, :, part] for values in computed]
        errors, exact, bits = _errors(subject, inputs[part], floats, split, bits)
        results.append(subject.results(exact[-1]))
        for index, new in enumerate(errors):
            middles[index].append(_middles(exact[index]))
            for name, values in new.items():
                signed[index][name].append(values)
    if split and convolution != "lowered":
        add_convolution(signed, [run - own for run, own in zip(computed, usual, strict=True)])
    layers: list[dict[str, Statistics]] = []
    joined: dict[str, np.ndarray] = {}
    for run, found, pieces in zip(computed, signed, middles, strict=True):
        values = np.concatenate(pieces, axis=2)
        joined = {name: np.concatenate(parts, axis=2) for name, parts in found.items()}
        layers.append(
            {name: statistics(error, values, dtype, run if name == "total" else None) for name, error in joined.items()}
        )
    whole = {name: subject.results(error) for name, error in joined.items()}
    true = np.concatenate(results)
    wanted = solutions(subject.task, inputs) if target is None and isinstance(subject.task, Regression) else target
    if wanted is not None:
        with flint.ctx.workprec(bits):
            whole["truncation"] = _middles(true - in_arb(np.broadcast_to(wanted, true.shape)))
    known = _middles(true)

    def table(at: slice) -> dict[str, Statistics]:
        """Statistics of some of the results, which are the last axis."""
        here = np.moveaxis(known[..., at], 0, -1)
        return {name: statistics(np.moveaxis(e[..., at], 0, -1), here, dtype) for name, e in whole.items()}

    outputs = {name: table(slice(place, place + 1)) for place, name in enumerate(subject.names)}
    return Measurement(
        str(dtype).removeprefix("torch."), device, tuple(layers), table(slice(None)), outputs, whole, bits
    )


def add_convolution(signed: list[dict[str, list[np.ndarray]]], gaps: list[np.ndarray]) -> None:
    """Take the error of the convolution's algorithm out of that of the arithmetic, layer by layer, and beside it."""
    for entry, gap in zip(signed, gaps, strict=True):
        entry["convolution"] = [gap]
        entry["arithmetic"] = [np.concatenate(entry["arithmetic"], axis=2) - gap]


def _errors(
    subject: Subject, u: np.ndarray, computed: list[np.ndarray], split: bool, bits: int
) -> tuple[list[dict[str, np.ndarray]], list[np.ndarray], int]:
    """Signed errors of a chunk by layer and source, exact values as balls, and the bits that were needed."""
    while bits <= MAX_BITS:
        with flint.ctx.workprec(bits):
            exact = subject.exact(u)
            stored = (subject.stored(u) if split else None) or exact
            found, sharp = [], True
            for values, kept_values, floats in zip(exact, stored, computed, strict=True):
                finite = np.isfinite(floats)
                run = to_ring(np.where(finite, floats, 0.0), BALLS)
                pairs = {"total": run - values}
                if split:
                    # where the format holds the weights as they are, the two runs are one, and so are their balls
                    weights = np.zeros_like(floats) if kept_values is values else _middles(kept_values - values)
                    pairs["arithmetic"] = run - kept_values
                entry = {name: _middles(gap) for name, gap in pairs.items()}
                radius = _radii(pairs["total"])
                size, floor = np.abs(entry["total"]), 2.0**-90 * np.maximum(np.abs(_middles(values)), 2.0**-900)
                sharp = sharp and bool(((radius <= 1e-3 * size) | (radius <= floor) | ~finite).all())
                entry["total"] = np.where(finite, entry["total"], np.inf)
                if split:
                    entry["weights"] = weights
                    entry["arithmetic"] = np.where(finite, entry["arithmetic"], np.inf)
                found.append(entry)
            if sharp:
                return found, exact, bits
        bits *= 2
    raise ArithmeticError(f"the errors are not known to three digits in {MAX_BITS} bits")


def _middles(balls: np.ndarray) -> np.ndarray:
    return np.fromiter((float(ball.mid()) for ball in balls.flat), float, balls.size).reshape(balls.shape)


def _radii(balls: np.ndarray) -> np.ndarray:
    return np.fromiter((float(ball.rad()) for ball in balls.flat), float, balls.size).reshape(balls.shape)


def in_arb(values: np.ndarray) -> np.ndarray:
    """Rationals and floats as balls."""

    def ball(value: flint.fmpq | Fraction | float) -> flint.arb:
        exact = value if isinstance(value, flint.fmpq) else flint.fmpq(*Fraction(value).as_integer_ratio())
        return flint.arb(exact)

    return np.fromiter(map(ball, values.flat), object, values.size).reshape(values.shape)


def solutions(task: Regression, u: np.ndarray) -> np.ndarray | None:
    """The least-squares solutions over Q, (batch, 1, D) of ``fmpq``; None where one is not unique."""
    if task.n_points < task.n_dims:
        return None
    found = []
    for one in u:
        first = task.first_row
        data = one[first : first + task.n_points]
        A = flint.fmpq_mat(
            task.n_points, task.n_dims, [flint.fmpq(*float(v).as_integer_ratio()) for v in data[:, : task.n_dims].flat]
        )
        b = flint.fmpq_mat(task.n_points, 1, [flint.fmpq(*float(v).as_integer_ratio()) for v in data[:, task.n_dims]])
        try:
            solution = (A.transpose() * A).solve(A.transpose() * b)
        except ZeroDivisionError:
            return None
        found.append([solution.entries()])
    return np.array(found, dtype=object)
