"""The picture of ``precls precision``: median squared errors by case, with the figures of Liu et al. 2025 beside them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

    from precls_theory.precision.findings import Finding


from precls_theory.pictures.saving import save_figure

PAPER = {"softmax Transformers, best (paper)": 1e-8, "trained BaseConv, float32 (paper)": 1e-13}
"""Mean squared errors that the paper reports on its explicit-gradient task."""


def draw(table: DataFrame, folder: Path) -> None:
    """Write ``precision.svg`` and ``precision.png`` into ``folder``."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    known = table[table["median_mse"].notna() & (table["median_mse"] > 0)].reset_index(drop=True)
    labels = [
        f"{c} {int(k)}" + (f", {int(s)} slices" if s else "") + (f", κ={q:.0e}" if q else "")
        for c, k, s, q in zip(known["construction"], known["n_steps"], known["slices"], known["condition"], strict=True)
    ]
    names = list(dict.fromkeys(labels))
    figure, axes = plt.subplots(figsize=(7, 1.5 + 0.22 * max(len(names), 4)))
    for dtype in dict.fromkeys(known["dtype"]):
        rows = [index for index, kind in enumerate(known["dtype"]) if kind == dtype]
        axes.plot(known["median_mse"][rows], [names.index(labels[i]) for i in rows], "o", label=dtype, markersize=4)
    for name, value in PAPER.items():
        axes.axvline(value, color="0.6", linewidth=0.8, linestyle="--" if "Transformer" in name else ":", label=name)
    axes.set(xscale="log", xlabel="median mean squared error against the network over Q", yticks=range(len(names)))
    axes.set_yticklabels(names)
    axes.invert_yaxis()
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    for kind in ("svg", "png"):
        with matplotlib.rc_context({"savefig.bbox": "tight"}):
            save_figure(figure, folder / f"precision.{kind}", dpi=150)
    plt.close(figure)


def draw_finding(name: str, finding: Finding, rows: list[tuple[str, float, float]], folder: Path) -> None:
    """Write ``finding-NAME.svg`` and ``finding-NAME.png`` into ``folder``."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5.5, 3.2))
    plot_finding(axes, finding, rows)
    for kind in ("svg", "png"):
        with matplotlib.rc_context({"savefig.bbox": "tight"}):
            save_figure(figure, folder / f"finding-{name}.{kind}", dpi=150)
    plt.close(figure)


def plot_finding(axes: Axes, finding: Finding, rows: list[tuple[str, float, float]]) -> None:
    """The rows of a finding, one line a series; logarithmic where values span more than a hundredfold."""
    labels = list(dict.fromkeys(label for label, _, _ in rows))
    for label in labels:
        points = sorted((x, y) for other, x, y in rows if other == label)
        axes.plot(*zip(*points, strict=True), "o-", markersize=3, label=label)
    for axis, values in (("x", [x for _, x, _ in rows]), ("y", [y for _, _, y in rows])):
        positive = [value for value in values if value > 0]
        if positive and max(positive) > 100 * min(positive):
            scale = (
                {"value": "log"} if len(positive) == len(values) else {"value": "symlog", "linthresh": min(positive)}
            )
            getattr(axes, f"set_{axis}scale")(**scale)
    axes.set(xlabel=finding.axes[0], ylabel=finding.axes[1])
    axes.legend(fontsize="small")
