r"""A layer at N rows is a layer at one row and squares of the later taps; the minima that rows add.

The theorem and its proof, for one unit and every N, D, are in :mod:`precls_theory.landscape.rows`; here its identities are
multiplied out against the population loss, for one unit and for several, and the determinants of the two Hessian blocks
from which K and κ come are expanded with all weights symbols.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import flint
import numpy as np

from precls_theory.landscape import classify, landscape, targets
from precls_theory.landscape.components import GLOBAL, SPURIOUS
from precls_theory.landscape.population_loss import Loss, SymbolicModel, fmpq, population_loss
from precls_theory.landscape.problems import Problem, TargetName
from precls_theory.landscape.row_wise import RowWise, Weights
from precls_theory.landscape.rows import Described, placed
from precls_theory.proofs.symbolic import array_of
from precls_theory.registry import Evidence, Refuted, Size, theorem


def problem_at(target: TargetName, channels: int, rows: int) -> tuple[Problem, RowWise]:
    """The layer's problem and how it splits."""
    (problem,) = landscape(target, "layer", channels, rows).parts
    if problem.row_wise is None:
        raise Refuted(f"{target} does not act on each row alone")
    return problem, problem.row_wise


def prove_split(target: TargetName, channels: int, rows: int) -> None:
    """``L_N = N·L_1(f_0 in, m, g, q) + G`` and the formula of L_1, all weights symbols."""
    problem, split = problem_at(target, channels, rows)
    refuted(lambda: split.check(problem.loss))


def refuted(check: Callable[[], object]) -> None:
    """A check that raises ``ArithmeticError``, as a refutation."""
    try:
        check()
    except ArithmeticError as error:
        raise Refuted(str(error)) from error


def prove_units(units: int, rows: int, weight: Callable[[int, int], int] = lambda rows, lag: rows - lag) -> None:
    """The identity for several units, one channel, Square, the output bias included; G with sums over units.

    The bias β enters as ``N (β + Σ_h …)²`` around the same mean on both sides, so it is left in.
    """

    def shapes(n_rows: int) -> dict[str, tuple[int, ...]]:
        by_unit = dict.fromkeys(("in", "b", "c", "gate", "q"), (units,))
        return {**by_unit, "filter": (units, n_rows), "bias": (1,)}

    def apply(w: dict[str, np.ndarray], u: np.ndarray) -> np.ndarray:
        out = []
        for row in range(len(u)):
            total = w["bias"][0]
            for h in range(units):
                conv = w["c"][h]
                for lag in range(row + 1):
                    conv = conv + w["filter"][h, lag] * (w["in"][h] * u[row - lag, 0] + w["b"][h])
                total = total + conv * (w["gate"][h] * u[row, 0] + w["q"][h])
            out.append(total)
        return array_of(out, (len(u),))

    whole = population_loss(SymbolicModel(shapes(rows), rows, 1, apply), lambda u: targets.square(u)[:, 0])
    once = population_loss(SymbolicModel(shapes(1), 1, 1, apply), lambda u: targets.square(u)[:, 0])
    context = whole.polynomial.context()
    v = dict(zip(whole.names, context.gens(), strict=True))
    zero = context.constant(0)
    at: dict[str, flint.fmpq_mpoly] = {}
    spreads: list[list[flint.fmpq_mpoly]] = []
    for h in range(units):
        taps = [v[f"filter_{h}_{lag}"] for lag in range(rows)]
        sums = [sum(taps[: row + 1], zero) for row in range(rows)]
        mean = sum(sums, zero) / rows
        spreads.append([v[f"b_{h}"] * (value - mean) for value in sums])
        at |= {f"in_{h}": taps[0] * v[f"in_{h}"], f"b_{h}": zero, f"c_{h}": v[f"c_{h}"] + mean * v[f"b_{h}"]}
        at[f"filter_{h}_0"] = context.constant(1)
    pulled = once.polynomial.compose(*(at.get(name, v.get(name, zero)) for name in once.names), ctx=context)
    excess = zero
    for gate in ("gate", "q"):
        for lag in range(1, rows):
            seen = sum((v[f"filter_{h}_{lag}"] * v[f"in_{h}"] * v[f"{gate}_{h}"] for h in range(units)), zero)
            excess += weight(rows, lag) * seen**2
        for row in range(rows):
            excess += sum((spreads[h][row] * v[f"{gate}_{h}"] for h in range(units)), zero) ** 2
    if rows * pulled + excess != whole.polynomial:
        raise Refuted(f"{units} units, {rows} rows: the loss is not N·L_1 + G")


def restricted(polynomial: flint.fmpq_mpoly, zeros: list[str]) -> flint.fmpq_mpoly:
    """The polynomial where these weights are zero, in the same context."""
    names = polynomial.context().names()
    places = [index for index, name in enumerate(names) if name in zeros]
    kept = {m: c for m, c in polynomial.to_dict().items() if not any(m[place] for place in places)}
    return polynomial.context().from_dict(kept)


def block(loss: Loss, names: list[str], zeros: list[str]) -> flint.fmpq_mpoly:
    """The determinant of the Hessian in some weights where others are zero."""
    places = [loss.names.index(name) for name in names]
    return determinant([[restricted(loss.hessian[i, j], zeros) for j in places] for i in places])


def determinant(matrix: list[list[flint.fmpq_mpoly]]) -> flint.fmpq_mpoly:
    """By the first row."""
    if len(matrix) == 1:
        return matrix[0][0]
    total = matrix[0][0] * 0
    for j, entry in enumerate(matrix[0]):
        if entry:
            minor = [[*row[:j], *row[j + 1 :]] for row in matrix[1:]]
            total += (-1) ** j * entry * determinant(minor)
    return total


def prove_blocks(target: TargetName, channels: int, rows: int, shift: int = 0) -> None:
    """At in = b = 0, gate = 0 the block of (in, gate) has the determinant ``(4N)^D Π_τ (4N f_0²τ(qc − τ) + c²q²A)``.

    At filter = 0, gate = 0 that of (f_0, gate) is ``2^{D+3} N^{D+1} c^{2D−2} κ``. ``shift`` spoils both.
    """
    problem, split = problem_at(target, channels, rows)
    w = Weights(problem.loss, split)
    into = [f"in_0_{d}" for d in range(channels)]
    gate = [f"gate_0_{d}" for d in range(channels)]
    product = w.context.constant((4 * rows) ** channels)
    for value in (*split.eigenvalues, *[Fraction(0)] * (channels - len(split.eigenvalues))):
        slope = w.q * w.c * fmpq(value) - fmpq(value**2) + shift
        product *= 4 * rows * w.taps[0] ** 2 * slope + w.c**2 * w.q**2 * w.later()
    if block(problem.loss, [*into, *gate], [*into, "b_0", *gate]) != product:
        raise Refuted(f"{target}, D={channels}, N={rows}: the block of (in, gate) has another determinant")
    kappa = w.c * w.q * w.inner(w.into, w.applied(w.into)) - w.norm(w.applied(w.into)) + shift
    expected = kappa * w.c ** (2 * channels - 2) * flint.fmpq(2 ** (channels + 3) * rows ** (channels + 1))
    if block(problem.loss, ["filter_0_0", *gate], [*gate, *(f"filter_0_{k}" for k in range(rows))]) != expected:
        raise Refuted(f"{target}, D={channels}, N={rows}: the block of (f_0, gate) has another determinant")


def prove_engine(least: int = 3) -> None:
    """Square, one channel, two rows: complete, with so many sets of spurious minima of loss 4."""
    problem, _ = problem_at("square", 1, 2)
    found = classify(problem)
    spurious = [str(component.loss) for component in found.real if component.kind == SPURIOUS]
    if not found.complete or spurious != ["4"] * least or found.components[0].kind != GLOBAL:
        raise Refuted(f"complete: {found.complete}, spurious minima of losses {spurious}")


def misplaced() -> None:
    """A point called a saddle where the Hessian has no negative eigenvalue."""
    problem, _ = problem_at("square", 1, 2)
    point = placed(taps=[0, 1], c=1, q=1)
    refuted(lambda: Described("saddle", Fraction(4), 3, [], (), point, "").component(problem))


@theorem(
    id="landscape-rows",
    title="A layer at N rows: the loss at one row, N times, and squares of the later taps",
    statement=r"L_N=N\,L_1(f_0\mathrm{in},m,g,q)+(|g|^2+q^2)\bigl(|\mathrm{in}|^2A(f')+b^2B(f')\bigr),\quad "
    r"\nabla L_N=0\Rightarrow G=0;\ \text{new minima iff}\ 4Nf_0^2\tau(qc-\tau)+c^2q^2A>0\ \forall\tau",
    hypotheses=(
        "a layer with one output, the output bias at its best value; u with independent standard Gaussian entries",
        "Square, Linear or Multiply (targets that act on each row alone); the kinds for one unit",
    ),
    source="new",
    covers="every N and D, and the kinds, argued in precls_theory.landscape.rows; executed with all weights symbols: the "
    "identity at D ≤ 2, N = 2 and at D = 1, N = 3, for two units (Square) at D = 1, N = 2; the Hessian blocks of Square "
    "and Multiply at D ≤ 2, N = 2; one classification (Square, D = 1, N = 2)",
    controls={
        "taps weighted alike": lambda: prove_units(2, 2, lambda rows, lag: rows),
        "blocks with another τ": lambda: prove_blocks("square", 1, 2, 1),
        "two sets of spurious minima": lambda: prove_engine(2),
        "a minimum called a saddle": lambda: misplaced(),
    },
)
def layer_at_rows(size: Size) -> Evidence:
    shapes: tuple[tuple[TargetName, int, int], ...] = (
        ("square", 1, 2), ("square", 2, 2), ("linear", 2, 2), ("multiply", 2, 2), ("square", 1, 3), ("linear", 1, 3),
    )  # fmt: skip
    for target, channels, rows in shapes:
        prove_split(target, channels, rows)
    prove_units(2, 2)
    for target, channels in (("square", 1), ("square", 2), ("multiply", 2)):
        prove_blocks(target, channels, 2)
    prove_engine()
    return Evidence(
        f"executed: the identity at {len(shapes)} sizes and for two units, the determinants of both blocks at three, the "
        "classification of Square at two rows. Argued: every N and D, that G = 0 at stationary points, and the kinds",
        "Q[weights]",
        "python-flint",
    )
