"""Numbers beside the algebra: descent from random starts, stationary points found numerically, and how near they are.

The losses are exact polynomials, so gradient flow and Adam here see no sampling noise; batches of starts are columns of
arrays and every step is a few NumPy operations. Stationary points are found as zeros of the gradient by a
Levenberg–Marquardt iteration on ``‖∇L‖²``, which ends at saddles as readily as at minima. :func:`distances` then says
how far each is from the *listed* sets: for a graph, the scaling is undone, the free weights are taken from the point
and the others from the graph, which gives an exact stationary point near it; its distance bounds that to the set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import sympy

from precls_theory.landscape.classification import charts
from precls_theory.landscape.ideals import integral, varieties
from precls_theory.landscape.population_loss import Loss, as_sympy
from precls_theory.landscape.problems import Problem
from precls_theory.landscape.roots import at_root
from precls_theory.landscape.slices import Chart, Slice
from precls_theory.landscape.strata import Graph, Points, strata

Array = np.ndarray


class FastLoss:
    """A loss, its gradient and Hessian on arrays of weights (n, batch)."""

    def __init__(self, loss: Loss) -> None:
        self.names = loss.names
        symbols = sympy.symbols(list(loss.names))
        expression = loss.sympy()
        self._value = sympy.lambdify(symbols, expression, "numpy", cse=True)
        slopes = [as_sympy(partial) for partial in loss.gradient]
        self._gradient = sympy.lambdify(symbols, slopes, "numpy", cse=True)
        size = len(symbols)
        self._upper = [(i, j) for i in range(size) for j in range(i, size)]
        self._hessian = sympy.lambdify(
            symbols, [as_sympy(loss.hessian[i, j]) for i, j in self._upper], "numpy", cse=True
        )

    def value(self, x: Array) -> Array:
        """(n, batch) to (batch,)."""
        return np.broadcast_to(self._value(*x), x.shape[1:])

    def gradient(self, x: Array) -> Array:
        """(n, batch) to (n, batch)."""
        return np.stack([np.broadcast_to(slope, x.shape[1:]) for slope in self._gradient(*x)])

    def hessian(self, x: Array) -> Array:
        """(n, batch) to (batch, n, n)."""
        result = np.empty((x.shape[1], len(x), len(x)))
        for (i, j), entry in zip(self._upper, self._hessian(*x), strict=True):
            result[:, i, j] = result[:, j, i] = entry
        return result


def adam(loss: FastLoss, x: Array, n_steps: int = 4000, learning_rate: float = 0.02) -> tuple[Array, Array]:
    """Adam with a learning rate that falls to zero as a cosine; the ends (n, batch) and the losses (n_steps, batch)."""
    first, second, losses = np.zeros_like(x), np.zeros_like(x), np.empty((n_steps, x.shape[1]))
    for step in range(1, n_steps + 1):
        losses[step - 1] = loss.value(x)
        slope = loss.gradient(x)
        first += 0.1 * (slope - first)
        second += 0.001 * (slope**2 - second)
        rate = learning_rate * (1 + np.cos(np.pi * step / n_steps)) / 2
        x = x - rate * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-12)
    return x, losses


def gradient_flow(loss: FastLoss, x: Array, time: float = 40.0, step: float = 0.01) -> tuple[Array, Array]:
    """``x' = −∇L(x)`` by Heun steps; the ends (n, batch) and the losses (steps, batch)."""
    n_steps = round(time / step)
    losses = np.empty((n_steps, x.shape[1]))
    for index in range(n_steps):
        losses[index] = loss.value(x)
        slope = loss.gradient(x)
        x = x - step / 2 * (slope + loss.gradient(x - step * slope))
    return x, losses


def stationary(loss: FastLoss, x: Array, n_steps: int = 300) -> tuple[Array, Array]:
    """Zeros of the gradient from the starts x (n, batch): the ends, and the norms of the gradient there.

    Levenberg–Marquardt on ``‖∇L‖²``: steps ``−(H² + λ)⁻¹ H ∇L``, λ by a factor 3 smaller after a success, else larger.
    """
    size = len(x)
    damping = np.full(x.shape[1], 1.0)
    slope = loss.gradient(x)
    norm = np.linalg.norm(slope, axis=0)
    for _ in range(n_steps):
        hessian = loss.hessian(x)
        normal = hessian @ hessian + damping[:, None, None] * np.eye(size)
        move = np.linalg.solve(normal, np.einsum("bij,jb->bi", hessian, slope)[..., None])[..., 0].T
        tried = x - move
        new = loss.gradient(tried)
        new_norm = np.linalg.norm(new, axis=0)
        better = new_norm < norm
        x, slope, norm = np.where(better, tried, x), np.where(better, new, slope), np.where(better, new_norm, norm)
        damping = np.clip(np.where(better, damping / 3, damping * 3), 1e-11, 1e12)
        if not better.any() and norm.max() < 1e-13:
            break
    return x, norm


@dataclass(frozen=True, eq=False)
class ListedSet:
    """One stratum of the stationary points, with the slice in which it lies."""

    problem: Problem
    chart: Chart
    stratum: Graph | Points

    @cached_property
    def _run(self) -> Callable[..., Sequence[Array]]:
        assert isinstance(self.stratum, Graph)
        symbols = sympy.symbols(list(self.stratum.free))
        denominator = as_sympy(self.stratum.denominator)
        return sympy.lambdify(symbols, [as_sympy(n) / denominator for n in self.stratum.numerators], "numpy")

    def near(self, x: Array) -> Array:
        """Points of the set near x (n, batch): a list of candidates, (candidates, n, batch); NaN where there is none."""
        names = list(self.problem.loss.names)
        scale = np.ones_like(x)
        for unit in self.chart.units:
            pair = next(pair for pair in self.problem.scalings if unit in pair[0])
            s = x[names.index(unit)]
            with np.errstate(all="ignore"):
                for family, factor in zip(pair, (s, 1 / s), strict=True):
                    for name in family:
                        scale[names.index(name)] = factor
        candidates = []
        with np.errstate(all="ignore"):
            reduced = x / scale
            for values in self._points(names, reduced):
                point = np.empty_like(x)
                for index, name in enumerate(names):
                    point[index] = self.chart.fixed.get(name, values.get(name, 0.0))
                candidates.append(point * scale)
        return np.array(candidates)

    def _points(self, names: Sequence[str], reduced: Array) -> list[dict[str, Array | float]]:
        if isinstance(self.stratum, Points):
            return [
                {
                    name: at_root(value, self.stratum.modulus, index)
                    for name, value in zip(self.stratum.names, self.stratum.values, strict=True)
                }
                for index in range(len(self.stratum.roots()))
            ]
        values = self._run(*(reduced[names.index(name)] for name in self.stratum.free))
        return [dict(zip(self.stratum.names, values, strict=True))]


def listed_sets(problem: Problem) -> list[ListedSet]:
    """All strata of the problem's stationary points; ``ValueError`` where one was not resolved."""
    found = []
    for chart in charts(problem):
        piece = Slice(problem, chart)
        generators = [integral(partial, piece.integral_context) for partial in piece.gradient]
        for variety in varieties(generators, piece.integral_context):
            for stratum in strata(variety):
                if not isinstance(stratum, Graph | Points):
                    raise ValueError(f"a set of stationary points is not resolved: {stratum.reason}")
                found.append(ListedSet(problem, chart, stratum))
    return found


def distances(sets: Sequence[ListedSet], x: Array) -> tuple[Array, Array]:
    """For each point of x (n, batch) the distance to the nearest exact stationary point found, and the set's index."""
    best, which = np.full(x.shape[1], np.inf), np.full(x.shape[1], -1)
    for index, listed in enumerate(sets):
        for candidate in listed.near(x):
            with np.errstate(all="ignore"):
                distance = np.linalg.norm(candidate - x, axis=0)
            closer = distance < best
            best, which = np.where(closer, distance, best), np.where(closer, index, which)
    return best, which
