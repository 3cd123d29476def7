"""Targets without rounding: what a model should answer on inputs as they are, as rationals, and the error it makes.

Inputs are floats, hence integers over one power of two, and targets are rational functions of them. A target in float64 has
a rounding error of its own, about 1e-16 of its size: mean squared errors near 1e-32 would measure the target, not the
model. Here nothing is rounded but the difference, once: integers in NumPy arrays (a gradient of N(0, 1) float64 inputs takes
some 270 bits), python-flint for least squares.

Cost: O(B N D) integer products for B regressions and each step of gradient descent; the integers of k steps have O(k)
times as many bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import flint
import numpy as np
from torch import Tensor

from precls_theory.training.tasks import TrainingTask


@dataclass(frozen=True)
class ExactTargets:
    """``numerators / denominators``, (B, rows, outputs) objects (ints); the denominators are positive."""

    numerators: np.ndarray
    denominators: np.ndarray

    def errors(self, answers: Tensor) -> np.ndarray:
        """``answers − targets`` of float answers (B, rows, outputs), float64, each rounded once.

        ``inf`` where an answer is not finite. Raises ``OverflowError`` for a difference that float64 does not hold.
        """
        finite = answers.isfinite()
        values, scale = integers(answers.where(finite, 0.0))
        tops, bottoms = values * self.denominators - self.numerators * scale, self.denominators * scale
        return np.where(finite.cpu().numpy(), np.true_divide(tops, bottoms).astype(np.float64), np.inf)

    def mean_square(self, answers: Tensor) -> float:
        """The mean of the squared errors, right to a few units in the last place; ``inf`` where it is not finite."""
        try:
            with np.errstate(over="ignore"):
                squares = np.square(self.errors(answers)).ravel()
        except OverflowError:
            return math.inf
        return math.fsum(squares) / len(squares) if np.isfinite(squares).all() else math.inf


def integers(values: Tensor) -> tuple[np.ndarray, int]:
    """Ints (as objects) and a power of two: finite ``values`` are their quotients, exactly."""
    mantissas, exponents = np.frexp(values.detach().double().cpu().numpy())
    whole = np.ldexp(mantissas, 53).astype(np.int64)
    places = np.where(whole == 0, 0, exponents - 53)
    lowest = min(int(places.min(initial=0)), 0)
    return np.left_shift(whole.astype(object), (places - lowest).astype(object)), 1 << -lowest


def exact_targets(task: TrainingTask, u: Tensor) -> ExactTargets:
    """The targets of inputs ``u`` (B, n_rows, n_inputs) as they are, from the definition of the task.

    Raises ``ValueError`` for least squares whose rows do not determine a solution, or inputs that are not finite.
    """
    if not bool(u.isfinite().all()):
        raise ValueError("targets are of finite inputs")
    D = task.n_dims
    v, scale = integers(u)
    if task.name == "least_squares":
        return least_squares(v[..., :D], v[..., D])
    if task.name == "explicit_gradient":
        x = v[:, 0, :D]
        return _over(_gradient(v[:, 1:], x, scale), scale**3 * task.n_points)
    if task.name == "multistep_gd":
        return _gradient_descent(task, v, scale)
    if task.name == "read":
        return _over(np.concatenate([v[:, :-1], v[:, :1]], axis=1), scale)
    if task.name == "linear":
        return _over(2 * np.roll(v, 1, axis=-1) - v, 2 * scale)
    if task.name == "multiply":
        return _over(v[..., :D] * v[..., D:], scale**2)
    if task.name == "square":
        return _over(v * v, scale**2)
    raise ValueError(f"no exact targets for the task {task.name!r}")


def _gradient(data: np.ndarray, x: np.ndarray, one: int) -> np.ndarray:
    """``Σ_n a_n (a_n·x − one b_n)`` of rows ``[a_n, b_n]``: (B, D)."""
    A, b = data[..., :-1], data[..., -1]
    residual = (A * x[:, None]).sum(axis=-1) - one * b
    return np.asarray((A * residual[..., None]).sum(axis=1))


def _gradient_descent(task: TrainingTask, v: np.ndarray, scale: int) -> ExactTargets:
    """x over a denominator that each step multiplies by N scale² and the denominator of the step size."""
    data, x, below = v[:, :-1], v[:, -1, : task.n_dims], scale
    step = Fraction(task.step_size)
    for _ in range(task.n_steps):
        factor = scale**2 * task.n_points * step.denominator
        x = factor * x - step.numerator * _gradient(data, x, below)
        below *= factor
    return _over(x, below)


def least_squares(A: np.ndarray, b: np.ndarray) -> ExactTargets:
    """``(AᵀA)⁻¹Aᵀb`` of ints ``A`` (B, N, D) and ``b`` (B, N). Raises ``ValueError`` where AᵀA is singular."""
    D = A.shape[-1]
    gram = (A[..., :, None] * A[..., None, :]).sum(axis=1)
    moment = (A * b[..., None]).sum(axis=1)
    tops, bottoms = np.empty(moment.shape, dtype=object), np.empty(moment.shape, dtype=object)
    for place, (matrix, right) in enumerate(zip(gram, moment, strict=True)):
        try:
            solution = flint.fmpz_mat(D, D, matrix.ravel().tolist()).solve(flint.fmpz_mat(D, 1, right.tolist()))
        except ZeroDivisionError as error:
            raise ValueError(f"the rows of problem {place} do not determine a solution: AᵀA is singular") from error
        tops[place] = [int(entry.p) for entry in solution.entries()]
        bottoms[place] = [int(entry.q) for entry in solution.entries()]
    return ExactTargets(tops[:, None], bottoms[:, None])


def _over(numerators: np.ndarray, denominator: int) -> ExactTargets:
    """One denominator; (B, D) is the answer at one row."""
    values = numerators[:, None] if numerators.ndim == 2 else numerators
    return ExactTargets(values, np.full((1, 1, 1), denominator, dtype=object))
