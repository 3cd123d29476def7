"""The picture of an approximation: its error between the two lines that the proof allows."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import sympy as sp
from matplotlib.figure import Figure

from constructions.networks.network import Network
from precls_theory.approximation.error import errors_at, function_task
from precls_theory.pictures.saving import save_figure


def plot_error(network: Network, functions: Sequence[sp.Expr], path: Path | None = None, n_points: int = 801) -> Figure:
    """A figure of the exact error and the proven bound: over the interval, or along the diagonal of the box.

    Saved to ``path`` where one is given; returns the figure.
    """
    task, domain = function_task(network)
    unit = [Fraction(i, n_points - 1) for i in range(n_points)]
    points = np.array([[low + (high - low) * t for low, high in domain] for t in unit], dtype=object)
    errors = errors_at(network, functions, points)
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    along = points[:, 0].astype(float) if len(domain) == 1 else np.linspace(0, 1, n_points)
    for column, function in enumerate(functions):
        axes.plot(along, errors[:, column], linewidth=0.9, label=str(function)[:60])
    bound = float(task.error_bound)
    for side in (-bound, bound):
        axes.axhline(side, color="black", linestyle="--", linewidth=0.9, label="proven bound" if side > 0 else None)
    axes.set_xlabel(task.variables[0] if len(domain) == 1 else "position on the diagonal of the box")
    axes.set_ylabel("network − function")
    axes.set_title(f"degree {task.degree}, {network.depth} layers, width {network.width}")
    axes.legend(loc="upper right", fontsize="small")
    if path is not None:
        save_figure(figure, path)
    return figure
