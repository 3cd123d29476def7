"""The ``precls`` application: the commands, joined."""

from __future__ import annotations

import importlib
import pkgutil

import typer

from precls_theory import cli

app = typer.Typer(
    name="precls",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
    help="Exact neural networks that run least-squares algorithms: prove them, build them, solve with them.",
)


def _register_commands() -> None:
    """Each module ``precls_theory/cli/<name>.py`` with a ``register(app)`` function adds its command."""
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
