"""Files that a command is asked to write, looked at before the work that would be lost."""

from __future__ import annotations

from pathlib import Path

import typer

from constructions.files.output import check_output
from precls_theory.cli.output import Stopwatch, fail
from precls_theory.pictures.saving import PICTURES


def check_writable(
    output: Path | None,
    plot: Path | None,
    watch: Stopwatch | None,
    *,
    inputs: tuple[Path, ...] = (),
    others: tuple[Path | None, ...] = (),
) -> None:
    """Fail (as :func:`~precls_theory.cli.output.fail` does) when one of the files could not be written, is an input, or
    is named twice; ``typer.BadParameter`` when a picture has an ending that is none of those that can be drawn."""
    if plot is not None and plot.suffix.lower() not in PICTURES:
        raise typer.BadParameter(f"cannot plot to {plot}: expected a file ending in {', '.join(PICTURES)}")
    taken = list(inputs)
    for path in (output, plot, *others):
        if path is not None:
            try:
                check_output(path, inputs=taken)
            except OSError as error:
                fail(str(error), watch)
            taken.append(path)
