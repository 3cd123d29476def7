"""Files that a command is asked to write, looked at before the work that would be lost."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from constructions.files.output import check_output
from precls_theory.cli.output import Stopwatch, fail
from precls_theory.pictures.saving import PICTURES


def file_name(text: str) -> Path:
    """The parser of every option that names a file to be written: a :class:`~pathlib.Path` forgets the slash at the end
    by which ``picture.png/`` names a folder."""
    if text.endswith(("/", os.sep)):
        raise typer.BadParameter(f"{text!r} is the name of a folder, and a file is to be written: leave out the slash")
    return Path(text)


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
