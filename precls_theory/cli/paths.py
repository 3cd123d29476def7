"""Files that a command is asked to write, looked at before the work that would be lost."""

from __future__ import annotations

from pathlib import Path

import typer

from precls_theory.cli.output import Stopwatch, fail

PICTURES = (".png", ".svg", ".pdf")


def check_writable(output: Path | None, plot: Path | None, watch: Stopwatch | None) -> None:
    """Fail (as :func:`~precls_theory.cli.output.fail` does) when a file could not be written; ``typer.BadParameter``
    when a picture has an ending that is none of :data:`PICTURES`."""
    if plot is not None and plot.suffix.lower() not in PICTURES:
        raise typer.BadParameter(f"cannot plot to {plot}: expected a file ending in {', '.join(PICTURES)}")
    for path in (output, plot):
        if path is not None and not path.parent.is_dir():
            fail(f"cannot write {path}: there is no folder {path.parent}", watch)
        if path is not None and path.is_dir():
            fail(f"cannot write {path}: it is a folder, and a file name is needed", watch)
