"""What every command shares: one JSON document on standard output, everything else on standard error."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from precls_theory.certificate import precls_version, versions
from precls_theory.cli.progress import err
from precls_theory.cli.progress import progress as progress
from precls_theory.cli.progress import working as working

out = Console()


@dataclass
class Said:
    """What this run of a command has told so far: whether its JSON document is out, and its last error."""

    document: bool = False
    error: str | None = None


said = Said()


class Stopwatch:
    """Seconds since it was made; read with :attr:`seconds`."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._start


def emit_json(payload: Mapping[str, object], watch: Stopwatch) -> None:
    """Print ``payload`` as the one JSON document, with the precls version, library versions and seconds."""
    document = {**payload, "precls": precls_version(), "versions": versions(), "seconds": watch.seconds}
    text = json.dumps(document, indent=2, default=str, allow_nan=False)
    said.document = True
    typer.echo(text)


def fail(message: str, watch: Stopwatch | None = None) -> NoReturn:
    """A failure in words on standard error, and exit code 1.

    With ``watch`` (a command under ``--json`` that has printed no document yet) also the document ``{"error": message}``;
    :mod:`precls_theory.cli.main` prints it where a command has forgotten to.
    """
    said.error = message
    if watch is not None:
        emit_json({"error": message}, watch)
    show_error(message)
    raise typer.Exit(1)


def show_error(message: str) -> None:
    """One line on standard error, more where the message has more."""
    words = "\n".join(map(printable, message.split("\n")))
    err.print(f"[bold red]error:[/] {escape(words)}", highlight=False, soft_wrap=True)


def warn(message: str) -> None:
    """A warning in words on standard error."""
    err.print(f"[bold yellow]warning:[/] {escape(message)}", highlight=False, soft_wrap=True)


def wrote(*paths: object) -> None:
    """Say on standard error which files were written; ``None`` stands for a file that was not asked for."""
    for path in paths:
        if path is not None:
            err.print(f"wrote {escape(printable(path))}", highlight=False, soft_wrap=True)


def printable(path: object) -> str:
    """The name of a file as a terminal can show it: undecodable bytes and control characters are escaped."""
    text = str(path).encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def check_device(device: str) -> None:
    """A usage error in words unless PyTorch can compute on ``device`` here and give the result back."""
    import torch

    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise typer.BadParameter(f"device {device!r} is not available here: {reason}", param_hint="--device") from error
