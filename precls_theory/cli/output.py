"""What every command shares: one JSON document on standard output, everything else on standard error."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any, NoReturn, TypeVar

import typer
from rich.console import Console
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


def fail(message: str) -> NoReturn:
    """A failure in words on standard error, and exit code 1."""
    err.print(f"[bold red]error:[/] {message}", highlight=False, soft_wrap=True)
    raise typer.Exit(1)


def warn(message: str) -> None:
    """A warning in words on standard error."""
    err.print(f"[bold yellow]warning:[/] {message}", highlight=False, soft_wrap=True)


def progress(items: Iterable[T], description: str, total: int | None = None) -> Iterable[T]:
    """Iterate with a progress bar on standard error (shown only on a terminal)."""
    return track(items, description=description, console=err, total=total, transient=True)
