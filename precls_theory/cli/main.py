"""The ``precls`` application: the commands, joined, and what holds for every one of them.

Standard output carries the answer alone: text, or under ``--json`` one document, whatever happens; that of an error is
``{"error": …}``. Words about the run, progress and errors go to standard error.

Exit codes: 0 done; 1 not done, refused or refuted, or the answer could not be written; 2 a command line that is wrong;
130 interrupted. A closed pipe (``precls verify | head``) and a closed standard output (``>&-``) are a line in words too.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import pkgutil
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup

from precls_theory import cli
from precls_theory.certificate import precls_version
from precls_theory.cli.output import Stopwatch, emit_json, said, show_error

INTERRUPTED = 130
if TYPE_CHECKING:
    from typer._click.core import Context
    from typer._click.exceptions import UsageError
else:
    UsageError = typer.BadParameter.__base__

HELP = """Exact neural networks that run least-squares algorithms: prove them, build them, solve with them.

Exit codes: 0 done, 1 not done or refused, 2 a command line that is wrong, 130 interrupted. With --json, standard output
is always one JSON document; that of an error is {"error": …}.
"""


class Precls(TyperGroup):
    """The group of commands: what went wrong is said in words, and as a document where one was asked for."""

    def invoke(self, ctx: Context) -> object:
        try:
            return super().invoke(ctx)
        except UsageError as error:
            said.error = error.format_message()
            raise

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: object,
    ) -> object:
        run = partial(
            super().main, args=args, prog_name=prog_name, complete_var=complete_var, standalone_mode=standalone_mode,
            windows_expand_args=windows_expand_args, **extra,
        )  # fmt: skip
        if not standalone_mode:
            return run()
        said.document, said.error = False, None
        if sys.stdout is None:  # typer and rich write nowhere then, without a word
            sys.exit(
                _failed("standard output is closed, and the answer has no other place: send it to a file or a pipe")
            )
        watch = Stopwatch()
        arguments = list(sys.argv[1:] if args is None else args)
        code = 0
        try:
            try:
                run()
            except SystemExit as end:
                if isinstance(end.__context__, BrokenPipeError):  # typer leaves without a word
                    raise end.__context__ from None
                code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
            except MemoryError:
                code = _failed("out of memory: ask for less, or for smaller sizes")
            except OSError:
                raise
            except Exception as error:
                said.error = f"{type(error).__name__}: {error}"
                _complete(arguments, watch)
                raise
            if code == INTERRUPTED:
                _failed("interrupted")
            if code:
                _complete(arguments, watch)
            if sys.stdout is not None:
                sys.stdout.flush()
        except OSError as error:
            code = _not_written(error)
        sys.exit(code)


def _failed(message: str) -> int:
    said.error = message
    show_error(message)
    return 1


def _complete(arguments: list[str], watch: Stopwatch) -> None:
    """Print the document of an error, where a command that was asked for one has printed none."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if "--json" in options and not said.document:
        emit_json({"error": said.error or "the command failed"}, watch)


def _not_written(error: OSError) -> int:
    """End in words when standard output cannot take the answer: a full disk, or a pipe whose reader has gone."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        # Python flushes once more at its end, and would complain once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if error.errno == errno.EPIPE:
        return _failed(f"cannot write to {error.filename or 'standard output'}: who read it has closed the pipe")
    if error.errno is None:  # words of ours
        return _failed(str(error))
    return _failed(f"cannot write to {error.filename or 'standard output'}: {error.strerror}")


app = typer.Typer(
    name="precls",
    cls=Precls,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
    help=HELP,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"precls {precls_version()}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """What stands before the name of a command."""


def _register_commands() -> None:
    """Each module ``precls_theory/cli/<name>.py`` with a ``register(app)`` function adds its command.

    All are imported at every start: what a command needs beyond typer and rich, it imports where it uses it.
    """
    for module in sorted(pkgutil.iter_modules(cli.__path__), key=lambda m: m.name):
        register = getattr(importlib.import_module(f"{cli.__name__}.{module.name}"), "register", None)
        if register is not None:
            register(app)


_register_commands()


def main() -> None:
    """Entry point of the console script."""
    app()


if __name__ == "__main__":
    main()
