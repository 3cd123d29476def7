"""Adam and gradient descent on sampled batches, and how long runs stay near each stationary set.

The error of a model is ``Σ_α c_α(θ) u^α`` with few monomials, so a batch enters through its features ``u^α`` alone: the
batch's gradient is ``2 Σ_α (mean of error·u^α) ∇c_α``, for all runs at once. Ends and times are read off the *exact* loss
and the listed sets, so sampling noise is in the path and not in the scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sympy

from precls_theory.landscape.enclosure import radii
from precls_theory.landscape.numerical import ListedSet
from precls_theory.landscape.population_loss import as_sympy, error_coefficients
from precls_theory.landscape.problems import Problem

Array = np.ndarray


class SampledLoss:
    """The mean square error on batches of standard Gaussian inputs, and its gradient, for arrays of weights (n, runs).

    ``names`` are the weights, in order: a layer's output bias is among them, last.
    """

    def __init__(self, problem: Problem) -> None:
        if problem.task is None:
            raise ValueError(f"{problem.name} has no model to sample: it was given by its loss alone")
        entries, context = error_coefficients(*problem.task)
        self.names = tuple(context.names())
        self.n_inputs = len(next(iter(entries[0])))
        symbols = sympy.symbols(list(self.names))
        self._features = [np.array(list(parts)) for parts in entries]
        self._values, self._slopes = [], []
        for parts in entries:
            c = [as_sympy(coefficient) for coefficient in parts.values()]
            self._values.append(sympy.lambdify(symbols, c, "numpy", cse=True))
            slopes = [[sympy.diff(value, symbol) for symbol in symbols] for value in c]
            self._slopes.append(sympy.lambdify(symbols, slopes, "numpy", cse=True))

    def gradient(self, x: Array, u: Array) -> Array:
        """At the weights x (n, runs), on the inputs u (batch, entries): (n, runs)."""
        runs = x.shape[1]
        total = np.zeros_like(x)
        for exponents, value, slope in zip(self._features, self._values, self._slopes, strict=True):
            features = np.prod(u[:, None, :] ** exponents[None], axis=2)  # (batch, monomials)
            c = np.array([np.broadcast_to(entry, runs) for entry in value(*x)])  # (monomials, runs)
            pairing = features.T @ (features @ c) / len(u)
            for weight, row in zip(pairing, slope(*x), strict=True):
                total += 2 * weight * np.array([np.broadcast_to(entry, runs) for entry in row])
        return total


@dataclass(frozen=True, eq=False)
class Run:
    """Where runs were, every so many steps: ``path`` (times, n, runs), with ``names`` of the weights."""

    names: tuple[str, ...]
    path: Array
    every: int


def train(
    loss: SampledLoss, starts: Array, n_steps: int, rng: np.random.Generator, batch: int = 64,
    learning_rate: float = 0.02, adaptive: bool = True, every: int = 10,
) -> Run:  # fmt: skip
    """Adam (``adaptive``), or plain gradient descent, from starts (n, runs); a fresh batch each step, a falling rate."""
    x = starts.copy()
    first, second, path = np.zeros_like(x), np.zeros_like(x), [x.copy()]
    for step in range(1, n_steps + 1):
        slope = loss.gradient(x, rng.normal(size=(batch, loss.n_inputs)))
        rate = learning_rate * (1 + np.cos(np.pi * step / n_steps)) / 2
        if adaptive:
            first += 0.1 * (slope - first)
            second += 0.001 * (slope**2 - second)
            slope = (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-12)
        x = x - rate * slope
        if step % every == 0:
            path.append(x.copy())
    return Run(loss.names, np.array(path), every)


def visits(sets: Sequence[ListedSet], run: Run, within: float = 0.3) -> Array:
    """For each set and run the steps spent within this distance of a point of the set, and nearest to it: (sets, runs).

    Distances are in the weights of the sets' loss: a layer's output bias, at its best value there, does not count.
    """
    names = sets[0].problem.loss.names
    places = [run.names.index(name) for name in names]
    times, _, runs = run.path.shape
    radius, which = radii(sets, run.path[:, places].transpose(1, 0, 2).reshape(len(names), -1))
    near = np.where(radius < within, which, -1).reshape(times, runs)
    return np.array([(near == index).sum(axis=0) * run.every for index in range(len(sets))])
