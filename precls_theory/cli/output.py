"""What every command shares: one JSON document on standard output, everything else on standard error."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any, NoReturn, TypeVar

import torch
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import track

from precls_theory.certificate import precls_version, versions

T = TypeVar("T")
out = Console()
err = Console(stderr=True)


class Stopwatch:
    """Seconds since it was made; read with :attr:`seconds`."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._start


def emit_json(payload: dict[str, Any], watch: Stopwatch) -> None:
    """Print ``payload`` as the one JSON document, with the precls version, library versions and seconds."""
    document = {**payload, "precls": precls_version(), "versions": versions(), "seconds": watch.seconds}
    typer.echo(json.dumps(document, indent=2, default=str, allow_nan=False))


def fail(message: str, watch: Stopwatch | None = None) -> NoReturn:
    """A failure in words on standard error, and exit code 1.

    With ``watch`` (a command under ``--json`` that has printed no document yet) also the document ``{"error": message}``.
    """
    if watch is not None:
        emit_json({"error": message}, watch)
    err.print(f"[bold red]error:[/] {escape(message)}", highlight=False, soft_wrap=True)
    raise typer.Exit(1)


def warn(message: str) -> None:
    """A warning in words on standard error."""
    err.print(f"[bold yellow]warning:[/] {escape(message)}", highlight=False, soft_wrap=True)


def check_device(device: str) -> None:
    """A usage error in words unless PyTorch can compute on ``device`` here and give the result back."""
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise typer.BadParameter(f"device {device!r} is not available here: {reason}", param_hint="--device") from error


def progress(items: Iterable[T], description: str, total: int | None = None) -> Iterable[T]:
    """Iterate with a progress bar on standard error (shown only on a terminal)."""
    return track(items, description=description, console=err, total=total, transient=True)
