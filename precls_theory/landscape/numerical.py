"""Numbers beside the algebra: descent from random starts, stationary points found numerically, and how near they are.

The losses are exact polynomials, so gradient flow and Adam here see no sampling noise; batches of starts are columns of
arrays and every step is a few NumPy operations. Stationary points are found as zeros of the gradient by a
Levenberg–Marquardt iteration on ``‖∇L‖²``, which ends at saddles as readily as at minima;
:mod:`precls_theory.landscape.enclosure` then proves how near each is to a *listed* set.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import sympy

from precls_theory.landscape.classification import charts
from precls_theory.landscape.ideals import integral, varieties
from precls_theory.landscape.population_loss import Loss, as_sympy
from precls_theory.landscape.problems import Problem
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

    A point is left alone once its gradient is below 1e-14.
    Levenberg–Marquardt on ``‖∇L‖²``: steps ``−(H² + λ)⁻¹ H ∇L``, λ by a factor 3 smaller after a success, else larger.
    """
    x, size = x.copy(), len(x)
    norm = np.linalg.norm(loss.gradient(x), axis=0)
    active = np.arange(x.shape[1])
    damping = np.full(x.shape[1], 1.0)
    for _ in range(n_steps):
        active = active[norm[active] >= 1e-14]
        if not len(active):
            break
        here = x[:, active]
        hessian, slope = loss.hessian(here), loss.gradient(here)
        squared = hessian @ hessian
        least = np.maximum(damping[active], 2e-16 * np.trace(squared, axis1=1, axis2=2))  # never singular in floats
        normal = squared + least[:, None, None] * np.eye(size)
        move = np.linalg.solve(normal, np.einsum("bij,jb->bi", hessian, slope)[..., None])[..., 0].T
        tried = here - move
        new = np.linalg.norm(loss.gradient(tried), axis=0)
        better = new < norm[active]
        x[:, active] = np.where(better, tried, here)
        norm[active] = np.where(better, new, norm[active])
        damping[active] = np.clip(np.where(better, damping[active] / 3, damping[active] * 3), 1e-11, 1e12)
    return x, norm


def descend(loss: FastLoss, x: Array, n_steps: int = 300) -> Array:
    """Lower values of the loss from the starts x (n, batch), by damped Newton steps with absolute eigenvalues.

    Steps ``−(|H| + μ)⁻¹ ∇L`` that are taken only where the loss decreases. :func:`stationary` lowers the norm of the gradient
    instead, which may follow a valley to infinity where the infimum is not attained along it; a descent leaves the valley.
    """
    x = x.copy()
    value = loss.value(x).copy()
    damping = np.full(x.shape[1], 1.0)
    active = np.arange(x.shape[1])
    for _ in range(n_steps):
        here = x[:, active]
        slope = loss.gradient(here)
        moving = np.linalg.norm(slope, axis=0) >= 1e-11
        active, here, slope = active[moving], here[:, moving], slope[:, moving]
        if not len(active):
            break
        eigenvalues, vectors = np.linalg.eigh(loss.hessian(here))
        along = np.einsum("bij,ib->bj", vectors, slope) / (np.abs(eigenvalues) + damping[active][:, None])
        tried = here - np.einsum("bij,bj->ib", vectors, along)
        new = loss.value(tried)
        better = new < value[active]
        x[:, active] = np.where(better, tried, here)
        value[active] = np.where(better, new, value[active])
        damping[active] = np.clip(np.where(better, damping[active] / 3, damping[active] * 4), 1e-10, 1e8)
    return x


@dataclass(frozen=True, eq=False)
class ListedSet:
    """One stratum of the stationary points, with the slice in which it lies."""

    problem: Problem
    chart: Chart
    stratum: Graph | Points


def listed_sets(problem: Problem) -> list[ListedSet]:
    """All strata of the problem's stationary points; ``ValueError`` where one was not resolved."""
    found = []
    for chart in charts(problem):
        piece = Slice(problem, chart)
        generators = [integral(equation, piece.integral_context) for equation in piece.equations]
        for variety in varieties(generators, piece.integral_context):
            for stratum in strata(variety):
                if not isinstance(stratum, Graph | Points):
                    raise ValueError(f"a set of stationary points is not resolved: {stratum.reason}")
                found.append(ListedSet(problem, chart, stratum))
    return found
