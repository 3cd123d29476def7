"""Pictures of a landscape: its stationary sets by loss and dimension."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from precls_theory.landscape.classification import Classification
from precls_theory.landscape.components import DEGENERATE, GLOBAL, SADDLE, SPURIOUS, UNRESOLVED
from precls_theory.pictures.saving import PICTURES as PICTURES
from precls_theory.pictures.saving import save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOOKS = {
    GLOBAL: ("#3a8a5f", "o"),
    SPURIOUS: ("#c23b3b", "v"),
    DEGENERATE: ("#d9722b", "s"),
    SADDLE: ("#2a6fb0", "D"),
    UNRESOLVED: ("#8a5fb0", "x"),
}


def draw_landscape(parts: Sequence[Classification]) -> Figure:
    """One panel a part: every real stationary set at its loss (height) and dimension, by kind."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(parts), 3.4), layout="constrained")
    for axis, part in zip(figure.subplots(1, len(parts), squeeze=False)[0], parts, strict=True):
        seen: dict[tuple[float, int], int] = {}
        for component in part.real:
            if component.loss is None:
                continue
            colour, marker = LOOKS.get(component.kind, ("#7f7f7f", "x"))
            place = round(float(component.loss), 9), component.dimension
            shift = 0.12 * seen.get(place, 0)
            seen[place] = seen.get(place, 0) + 1
            known = axis.get_legend_handles_labels()[1]
            label = None if component.kind in known else component.kind
            axis.plot(component.dimension + shift, float(component.loss), marker, color=colour, ms=8, label=label)
        axis.set(title=part.problem.name, xlabel="dimension of the set", ylabel="loss")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.legend(frameon=False, fontsize=8)
    return figure


def save_landscape(figure: Figure, path: str | Path) -> None:
    """Write the picture; ``OSError`` in words where it cannot be written."""
    save_figure(figure, path)
