"""The picture of the README: ``python -m precls_theory.pictures.readme notebooks/data/longley.csv OUT.png``."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import constructions as C
from precls_theory.pictures.saving import save_figure
from precls_theory.regression.data import read_regression
from precls_theory.regression.solving import Solution, solve

STEPS = tuple(2**m for m in range(9))


def depths(form: str) -> list[int]:
    """Depth of the networks that take 1, 2, 4, …, 256 steps (read off networks that were built)."""
    sizes = {"n_points": 2, "n_dims": 2, "step_size": Fraction(1, 10), "form": form}
    return [C.gradient_descent(**sizes, n_steps=steps).depth for steps in STEPS]  # type: ignore[arg-type]


def draw(solution: Solution, path: Path) -> None:
    """Left: depth against steps, with the proven lower bound. Right: correct digits by coefficient."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), constrained_layout=True)
    for form, marker in (("residual", "s"), ("gram", "^"), ("doubling", "o")):
        left.loglog(STEPS, depths(form), marker + "-", label=f"{form} form")
    left.loglog(STEPS, [(2 * steps).bit_length() for steps in STEPS], "k:", label="no network has fewer: ⌈log₂(2k+1)⌉")
    left.set_xlabel("steps k of gradient descent")
    left.set_ylabel("layers")
    left.set_xticks(STEPS, list(map(str, STEPS)))
    left.minorticks_off()
    left.legend(frameon=False, fontsize=8)
    rows = range(len(solution.names))
    right.barh(
        [row + 0.2 for row in rows],
        list(solution.digits.values()),
        0.4,
        label=f"network, {solution.network.depth} layers",
    )
    right.barh([row - 0.2 for row in rows], list(solution.lapack_digits.values()), 0.4, label="LAPACK", color="0.75")
    right.set_yticks(list(rows), solution.names)
    right.set_xlabel("correct digits, float64 (NIST Longley)")
    right.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    save_figure(figure, path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    data, out = map(Path, sys.argv[1:])
    draw(solve(read_regression(data, "employed")), out)
