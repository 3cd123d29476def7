"""Where the digits go: the error of a lowered network against exact values, in parts that add up.

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
from typing import Any

import flint
import numpy as np
import torch

from constructions.algebra.filters import DELTA
from constructions.algebra.rings import BALLS
from constructions.lowering.maps import rounded
from constructions.lowering.plan import BlockPlan, LayerPlan, plan_network
from constructions.lowering.row_filter import is_total
from constructions.networks.network import Network
from constructions.networks.tasks import Regression
from precls_theory.precision.convolution import Algorithm, with_convolution
from precls_theory.precision.exact import CHUNK, layer_values, to_ring

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

    def to_json(self) -> dict[str, Any]:
        """JSON-serialisable; infinite values as strings."""
        return {k: v if not isinstance(v, float) or math.isfinite(v) else str(v) for k, v in asdict(self).items()}


@dataclass(frozen=True)
class Measurement:
    """One network in one format: statistics by layer and of the results, total and by source; errors of the results.

    ``errors`` maps "total", "weights", "arithmetic" (and "convolution" for another algorithm, "truncation" where the
    solution is known) to signed errors of the
    results (batch, rows read, results). ``bits`` of the balls.
    """

    dtype: str
    device: str
    layers: tuple[dict[str, Statistics], ...]
    results: dict[str, Statistics]
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


def lowered_states(network: Network, module: Any, u: torch.Tensor) -> list[np.ndarray]:
    """The outputs of each layer of a lowered module, (channels, rows kept, batch), as float64."""
    found = []
    with torch.no_grad():
        for layer, (varying, constant) in zip(module.layers, module.states(u), strict=True):
            rows = max(state.shape[1] for state in (varying, constant) if state is not None)
            values = np.empty((len(layer.location), rows, u.shape[0]))
            for output, (row_constant, place) in enumerate(layer.location):
                values[output] = (constant if row_constant else varying)[place].double().cpu().numpy()
            found.append(values)
    return found


def stored_values(network: Network, u: np.ndarray, kept: tuple[int, ...], dtype: torch.dtype) -> list[np.ndarray]:
    """The network with its weights as the format stores them, in exact (ball) arithmetic: as :func:`layer_values`."""
    held, plans = plan_network(network, kept, dtype)
    known: dict[Fraction, Any] = {}

    def weight(value: Fraction) -> Any:
        if value not in known:
            known[value] = flint.arb(float(rounded([value], dtype)[0]))
        return known[value]

    varying = np.moveaxis(to_ring(u, BALLS), (-1, -2), (0, 1))[:, list(held)].copy()
    for (row, channel), entry in network.positions.items():
        if row in held:
            varying[channel, held.index(row)] = varying[channel, held.index(row)] + weight(entry)
    constant = np.empty((0, 1, u.shape[0]), dtype=object)
    found = []
    for plan in plans:
        made = [
            np.empty((0, 1, u.shape[0]), dtype=object)
            if block is None
            else _stored_block(block, varying, constant, weight)
            for block in (plan.varying, plan.constant)
        ]
        varying, constant = made
        found.append(_arranged(plan, varying, constant))
    return found


def _arranged(plan: LayerPlan, varying: np.ndarray, constant: np.ndarray) -> np.ndarray:
    rows = len(plan.context.wanted)
    parts = [
        np.broadcast_to(constant[place], (rows, constant.shape[2])) if row_constant else varying[place]
        for row_constant, place in plan.location
    ]
    return np.stack(parts)


def _stored_block(plan: BlockPlan, varying: np.ndarray, constant: np.ndarray, weight: Any) -> np.ndarray:
    context = plan.context
    rows, batch = (
        1 if plan.row_constant else len(context.wanted),
        varying.shape[2] if len(varying) else constant.shape[2],
    )
    zero = np.full((rows, batch), flint.arb(0), dtype=object)
    z = np.empty((plan.sources.size, rows, batch), dtype=object)
    for (filter, is_constant), places in plan.sources.members.items():
        if not is_constant and filter != DELTA:
            at = context.wanted[:1] if is_total(filter, context.mode) else context.wanted
            taps = filter.taps(context.n_rows)
        for place, number in places.items():
            if is_constant:
                z[number] = np.broadcast_to(constant[place], (rows, batch))
            elif filter == DELTA:
                z[number] = varying[place][[context.held.index(row) for row in context.wanted]][:rows]
            else:
                for i, row in enumerate(at):
                    total = zero[0]
                    for j, source in enumerate(context.held):
                        tap = (
                            taps[(row - source) % context.n_rows] if context.mode == "circular" or source <= row else 0
                        )
                        if tap:
                            total = total + weight(Fraction(tap)) * varying[place][j]
                    if len(at) == 1:
                        z[number] = np.broadcast_to(total, (rows, batch))
                    else:
                        z[number][i] = total

    def apply(n_out: int, entries: Any, constants: Any, source: np.ndarray) -> np.ndarray:
        out = np.stack([zero] * n_out) if n_out else np.empty((0, rows, batch), dtype=object)
        for (row, column), entry in entries.items():
            out[row] = out[row] + weight(entry) * source[column]
        for row, items in constants.items():
            for place in range(rows):
                total = Fraction(0)
                for filter, number in items:
                    seen = filter.taps(context.n_rows)
                    seen = seen if context.mode == "circular" else seen[: context.wanted[place] + 1]
                    total += number * (1 if filter == DELTA else sum(seen, Fraction(0)))
                out[row][place] = out[row][place] + weight(total)
        return out

    y = apply(plan.n_computed, plan.linear, plan.constants, z)
    if plan.n_units:
        conv = apply(plan.n_units, plan.conv.weights, plan.conv.constants, z)
        gate = apply(plan.n_units, plan.gate.weights, plan.gate.constants, z)
        y = y + apply(plan.n_computed, plan.mix, {}, conv * gate)
    return np.concatenate([y, z[list(plan.copies.values())]]) if plan.copies else y


def measure(
    network: Network, u: torch.Tensor, device: str = "cpu", split: bool = True, convolution: Algorithm = "lowered"
) -> Measurement:
    """Measure ``network`` lowered to the dtype of ``u`` (batch, rows, channels) on ``device``, at the rows that decode reads.

    ``split`` measures the rounding of weights and of arithmetic apart, at about three times the cost; ``convolution``
    runs the filters by another algorithm, whose share is then measured apart from the arithmetic of the lowering.
    Raises ``ValueError`` for another shape and for NaN or infinite entries, ``ArithmeticError`` where exact values are not found.
    """
    if u.ndim != 3 or u.shape[1:] != (network.n_rows, len(network.inputs)):
        raise ValueError(f"u must have shape (batch, {network.n_rows}, {len(network.inputs)}), got {tuple(u.shape)}")
    if not bool(torch.isfinite(u).all()):
        raise ValueError("u holds NaN or infinite values: every entry must be finite")
    dtype, kept = u.dtype, network.task.readout_rows
    module = network.to_torch(dtype=dtype, device=device)
    computed = lowered_states(network, module, u.to(device))
    usual = computed
    if convolution != "lowered":
        computed = lowered_states(network, with_convolution(network, module, convolution), u.to(device))
    inputs = u.double().cpu().numpy()
    names = ("total", "weights", "arithmetic") if split else ("total",)
    signed: list[dict[str, list[np.ndarray]]] = [{name: [] for name in names} for _ in computed]
    middles: list[list[np.ndarray]] = [[] for _ in computed]
    bits = BITS
    for start in range(0, len(inputs), CHUNK):
        part = slice(start, start + CHUNK)
        floats = [values[:, :, part] for values in computed]
        errors, exact, bits = _errors(network, inputs[part], floats, kept, dtype, split, bits)
        for index, new in enumerate(errors):
            middles[index].append(exact[index])
            for name, values in new.items():
                signed[index][name].append(values)
    if split and convolution != "lowered":
        add_convolution(signed, [run - own for run, own in zip(computed, usual, strict=True)])
    layers: list[dict[str, Statistics]] = []
    whole: dict[str, np.ndarray] = {}
    for index, found in enumerate(signed):
        values = np.concatenate(middles[index], axis=2)
        joined = {name: np.concatenate(pieces, axis=2) for name, pieces in found.items()}
        run = computed[index]
        layers.append(
            {name: statistics(error, values, dtype, run if name == "total" else None) for name, error in joined.items()}
        )
        if index == len(signed) - 1:
            whole = {
                name: np.moveaxis(error[list(network.task.columns)], (0, 1), (2, 1)) for name, error in joined.items()
            }
            results = np.moveaxis(values[list(network.task.columns)], (0, 1), (2, 1))
    if isinstance(network.task, Regression):
        limit = truncation(network, inputs, bits)
        if limit is not None:
            whole["truncation"] = limit
    final = {name: statistics(np.moveaxis(e, 0, -1), np.moveaxis(results, 0, -1), dtype) for name, e in whole.items()}
    return Measurement(str(dtype).removeprefix("torch."), device, tuple(layers), final, whole, bits)


def add_convolution(signed: list[dict[str, list[np.ndarray]]], gaps: list[np.ndarray]) -> None:
    """Take the error of the convolution's algorithm out of that of the arithmetic, layer by layer, and beside it."""
    for entry, gap in zip(signed, gaps, strict=True):
        entry["convolution"] = [gap]
        entry["arithmetic"] = [np.concatenate(entry["arithmetic"], axis=2) - gap]


def _errors(
    network: Network,
    u: np.ndarray,
    computed: list[np.ndarray],
    kept: tuple[int, ...],
    dtype: torch.dtype,
    split: bool,
    bits: int,
) -> tuple[list[dict[str, np.ndarray]], list[np.ndarray], int]:
    """Signed errors of a chunk by layer and source, exact values, and the bits that were needed."""
    while bits <= MAX_BITS:
        with flint.ctx.workprec(bits):
            exact = layer_values(network, to_ring(u, BALLS), kept, BALLS)
            stored = stored_values(network, u, kept, dtype) if split else exact
            found, sharp = [], True
            for values, kept_values, floats in zip(exact, stored, computed, strict=True):
                finite = np.isfinite(floats)
                run = to_ring(np.where(finite, floats, 0.0), BALLS)
                pairs = {"total": run - values}
                if split:
                    pairs |= {"weights": kept_values - values, "arithmetic": run - kept_values}
                entry = {name: _middles(gap) for name, gap in pairs.items()}
                radius = _radii(pairs["total"])
                size, floor = np.abs(entry["total"]), 2.0**-90 * np.maximum(np.abs(_middles(values)), 2.0**-900)
                sharp = sharp and bool(((radius <= 1e-3 * size) | (radius <= floor) | ~finite).all())
                entry["total"] = np.where(finite, entry["total"], np.inf)
                if split:
                    entry["arithmetic"] = np.where(finite, entry["arithmetic"], np.inf)
                found.append(entry)
            if sharp:
                return found, [_middles(values) for values in exact], bits
        bits *= 2
    raise ArithmeticError(f"the errors are not known to three digits in {MAX_BITS} bits")


def _middles(balls: np.ndarray) -> np.ndarray:
    return np.fromiter((float(ball.mid()) for ball in balls.flat), float, balls.size).reshape(balls.shape)


def _radii(balls: np.ndarray) -> np.ndarray:
    return np.fromiter((float(ball.rad()) for ball in balls.flat), float, balls.size).reshape(balls.shape)


def truncation(network: Network, u: np.ndarray, bits: int) -> np.ndarray | None:
    """How far the exact results are from the least-squares solution, (batch, rows read, D); None where it is not unique."""
    task = network.task
    assert isinstance(task, Regression)
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
        with flint.ctx.workprec(bits):
            last = layer_values(network, to_ring(one[None], BALLS), task.readout_rows, BALLS)[-1]
            gaps = [[last[column, row, 0] - flint.arb(solution[i, 0]) for i, column in enumerate(task.columns)]
                    for row in range(last.shape[1])]  # fmt: skip
            found.append([[float(gap.mid()) for gap in row] for row in gaps])
    return np.array(found)
