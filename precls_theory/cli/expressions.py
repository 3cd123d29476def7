"""Commands whose arguments are expressions, which may begin with a minus sign as options do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from typer._click.core import Context
    from typer._click.exceptions import UsageError
else:
    UsageError = typer.BadParameter.__base__
_LIKE_AN_OPTION = re.compile(r"--?[A-Za-z][A-Za-z0-9-]*(=.*)?")


class ExpressionCommand(TyperCommand):
    """Says how an expression that begins with a minus sign is given, where one was taken for an option."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except UsageError as error:
            negative = expression_like_an_option(given, {name for p in self.params for name in p.opts})
            if hasattr(error, "option_name") and negative is not None:
                error.message += (
                    f". Is {negative!r} an expression? Write -- before one that begins with a minus, after all options: "
                    f'{ctx.command_path} … -- "{negative}"'
                )
            raise


def expression_like_an_option(args: list[str], options: set[str]) -> str | None:
    """The first argument before ``--`` that begins with a minus, names no option, and is more than a word or a name
    of one letter; ``None`` where there is none."""
    for arg in args:
        if arg == "--":
            return None
        if arg.startswith("-") and arg != "-" and arg.partition("=")[0] not in options and arg[:2] not in options:
            is_word = _LIKE_AN_OPTION.fullmatch(arg) is not None and len(arg) > 2
            if not is_word:
                return arg
    return None
