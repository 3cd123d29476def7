"""A matplotlib figure into a file, as safely as everything else is written."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from constructions.files.output import write_output

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURES = (".png", ".svg", ".pdf")
"""Endings of the files that a picture can be saved to."""


def save_figure(figure: Figure, path: str | Path, dpi: int = 120, *, inputs: Iterable[str | Path] = ()) -> None:
    """Draw ``figure`` and write it to ``path`` with :func:`~constructions.files.output.write_output`.

    Raises ``ValueError`` for an ending that is none of :data:`PICTURES`, ``OSError`` in words where it cannot be written.
    """
    ending = Path(path).suffix.lower()
    if ending not in PICTURES:
        raise ValueError(f"cannot plot to {path}: expected a file ending in {', '.join(PICTURES)}")
    drawn = BytesIO()
    figure.savefig(drawn, format=ending.removeprefix("."), dpi=dpi)
    write_output(path, drawn.getvalue(), inputs=inputs)
