"""A compiled network as a picture: its channels layer by layer, and the products between them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from constructions.networks.network import Network
from precls_theory.pictures.saving import save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CONV, GATE, OUT = "#2166ac", "#b2182b", "#999999"


def draw(network: Network, path: Path | None = None, dpi: int = 120) -> Figure:
    """Channels as columns of dots, hidden channels as diamonds between them; blue and red edges lead to their two
    factors.

    A carried value has one factor. Returns the matplotlib figure, saved to ``path`` when that is given.
    """
    import matplotlib.pyplot as plt
    from matplotlib.collections import LineCollection

    columns = [network.inputs, *(layer.outputs for layer in network.layers)]
    tallest = max(*map(len, columns), network.width, 1)
    figure, axes = plt.subplots(
        layout="constrained", figsize=(2.2 * (network.depth + 1), min(7.0, 1.2 + 0.28 * tallest))
    )

    def heights(count: int) -> np.ndarray:
        return (np.arange(count) + 0.5) / max(count, 1)

    for level, layer in enumerate(network.layers):
        before, hidden, after = (heights(n) for n in (len(columns[level]), layer.width, len(layer.outputs)))
        for sparse, colour, offset in ((layer.conv, CONV, 0.012), (layer.gate, GATE, -0.012)):
            real = sparse.columns < sparse.n_in
            ends = zip(sparse.rows[real], sparse.columns[real], strict=True)
            lines = [[(level, before[c]), (level + 0.55, hidden[r] + offset)] for r, c in ends]
            axes.add_collection(LineCollection(lines, colors=colour, linewidths=0.8, alpha=0.6))
        real = layer.out.columns < layer.out.n_in
        ends = zip(layer.out.rows[real], layer.out.columns[real], strict=True)
        lines = [[(level + 0.55, hidden[c]), (level + 1, after[r])] for r, c in ends]
        axes.add_collection(LineCollection(lines, colors=OUT, linewidths=0.8, alpha=0.6))
        axes.plot(np.full(layer.width, level + 0.55), hidden, "D", color="black", markersize=3)
        axes.text(level + 0.55, 1.03, f"layer {level + 1}\n{layer.width} hidden", ha="center", va="bottom", fontsize=8)
    for level, names in enumerate(columns):
        axes.plot(np.full(len(names), level), heights(len(names)), "o", color="black", markersize=4)
    if len(network.inputs) <= 30:
        for height, name in zip(heights(len(network.inputs)), network.inputs, strict=True):
            axes.text(-0.06, height, name, ha="right", va="center", fontsize=8)
    axes.set(xlim=(-0.4, network.depth + 0.2), ylim=(-0.03, 1.16))
    axes.axis("off")
    axes.plot([], [], color=CONV, label="convolution branch")
    axes.plot([], [], color=GATE, label="gate")
    axes.legend(loc="lower right", fontsize=7, frameon=False)
    if path is not None:
        save_figure(figure, path, dpi)
        plt.close(figure)
    return figure
