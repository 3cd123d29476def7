"""A target that acts on every row alone, and the loss of a layer of one unit at N rows by that at one row.

The identity, its proof and what follows for the stationary points: :mod:`precls_theory.landscape.rows`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import flint

from precls_theory.landscape.population_loss import Loss, fmpq

if TYPE_CHECKING:
    from precls_theory.landscape.problems import Problem


@dataclass(frozen=True, eq=False)
class RowWise:
    """A target that acts on each of the rows alone, as ``uᵀT u + l·u``, and the layer's problem at one row.

    ``quadratic`` is T (symmetric, D × D) and ``linear`` is l (D); one of them is zero. ``eigenvalues`` are those of T
    other than 0.
    """

    rows: int
    one_row: Problem
    quadratic: tuple[tuple[Fraction, ...], ...]
    linear: tuple[Fraction, ...]
    eigenvalues: tuple[Fraction, ...]

    @property
    def channels(self) -> int:
        return len(self.linear)

    def check(self, loss: Loss) -> None:
        """Both lines of the module's identity, multiplied out; ``ArithmeticError`` where one does not hold."""
        w = Weights(loss, self)
        generators = {name: w.by_name[name] for name in loss.names}
        pulled = {f"in_0_{d}": w.taps[0] * w.into[d] for d in range(self.channels)} | {"p_0": w.mean}
        at = [pulled[name] if name in pulled else generators[name] for name in self.one_row.loss.names]
        once = self.one_row.loss.polynomial.compose(*at, ctx=loss.polynomial.context())
        if self.rows * once + w.excess() != loss.polynomial:
            raise ArithmeticError("the loss at several rows is not that of one row plus the squares of the later taps")
        if once != w.formula():
            raise ArithmeticError("the loss at one row is not 2‖sym(p gᵀ) − T‖² + |q p + m g − l|²")
        self.check_eigenvalues()

    def check_eigenvalues(self) -> None:
        """T has these eigenvalues and 0, without multiplicity but for 0, or is 0."""
        size = self.channels
        matrix = flint.fmpq_mat(size, size, [fmpq(entry) for row in self.quadratic for entry in row])
        expected = flint.fmpq_poly([0] * (size - len(self.eigenvalues)) + [1])
        for value in self.eigenvalues:
            expected *= flint.fmpq_poly([fmpq(-value), 1])
        if matrix.charpoly() != expected:
            raise ArithmeticError("these are not the eigenvalues of the target's quadratic form")


class Weights:
    """The weights of the layer as polynomials, by role."""

    def __init__(self, loss: Loss, split: RowWise) -> None:
        self.split, self.context = split, loss.polynomial.context()
        self.by_name = dict(zip(loss.names, self.context.gens(), strict=True))
        self.into = [self.by_name[f"in_0_{d}"] for d in range(split.channels)]
        self.gate = [self.by_name[f"gate_0_{d}"] for d in range(split.channels)]
        self.taps = [self.by_name[f"filter_0_{k}"] for k in range(split.rows)]
        self.b, self.c, self.q = (self.by_name[name] for name in ("b_0", "c_0", "q_0"))
        self.zero = self.context.constant(0)
        rows = split.rows
        weighted = [tap * flint.fmpq(rows - k, rows) for k, tap in enumerate(self.taps)]
        self.mean = self.c + self.b * sum(weighted, self.zero)
        """m: the mean over the rows of the convolution's constant."""

    def excess(self) -> flint.fmpq_mpoly:
        """G."""
        sums = [sum(self.taps[: n + 1], self.zero) for n in range(self.split.rows)]
        average = sum(sums, self.zero) / self.split.rows
        spread = sum(((value - average) ** 2 for value in sums), self.zero)
        size = self.norm([*self.gate, self.q])
        return size * (self.norm(self.into) * self.later() + self.b**2 * spread)

    def later(self) -> flint.fmpq_mpoly:
        """A(f')."""
        rows = self.split.rows
        return sum(((rows - k) * tap**2 for k, tap in enumerate(self.taps) if k), self.zero)

    def formula(self) -> flint.fmpq_mpoly:
        """L_1 by its formula, at p = f_0 in and m."""
        p = [self.taps[0] * entry for entry in self.into]
        total = self.zero
        for i, row in enumerate(self.split.quadratic):
            for j, entry in enumerate(row):
                half = (p[i] * self.gate[j] + p[j] * self.gate[i]) * flint.fmpq(1, 2)
                total += 2 * (half - fmpq(entry)) ** 2
            total += (self.q * p[i] + self.mean * self.gate[i] - fmpq(self.split.linear[i])) ** 2
        return total

    def norm(self, values: Sequence[flint.fmpq_mpoly]) -> flint.fmpq_mpoly:
        return sum((value**2 for value in values), self.zero)

    def applied(self, values: Sequence[flint.fmpq_mpoly]) -> list[flint.fmpq_mpoly]:
        """T times a vector."""
        matrix = self.split.quadratic
        return [sum((fmpq(e) * v for e, v in zip(row, values, strict=True)), self.zero) for row in matrix]

    def inner(self, left: Sequence[flint.fmpq_mpoly], right: Sequence[flint.fmpq_mpoly]) -> flint.fmpq_mpoly:
        return sum((a * b for a, b in zip(left, right, strict=True)), self.zero)


def row_wise(problem: Problem, target: str, rows: int, linear: Sequence[Fraction]) -> RowWise | None:
    """How the target acts on a row, for those that act on each alone; ``problem`` is the layer at one row."""
    size = len(linear)
    square = [[Fraction(0)] * size for _ in range(size)]
    nothing = tuple([Fraction(0)] * size)
    half = Fraction(1, 2)
    if target == "square":
        square[0][0] = Fraction(1)
        return RowWise(rows, problem, tuple(map(tuple, square)), nothing, (Fraction(1),))
    if target == "multiply":
        square[0][1] = square[1][0] = half
        return RowWise(rows, problem, tuple(map(tuple, square)), nothing, (half, -half))
    if target == "linear":
        return RowWise(rows, problem, tuple(map(tuple, square)), tuple(linear), ())
    return None
