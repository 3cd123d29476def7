"""Errors of a Python interface in the words of the command line: ``--form tight``, and not ``form='tight'``."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from functools import partial

_VALUE = r"'[^']*'|\"[^\"]*\"|[^\s,;:()'\"]*[^\s,;:.()'\"]"


def as_options(message: str, parameters: Collection[str], options: Collection[str]) -> str:
    """``message`` with ``name=value`` written as the option it is, for every name in ``parameters``.

    Names in ``options`` have an option of their own (``n_steps`` is ``--n-steps``); the others are given by
    ``--parameter NAME=VALUE``. A name alone becomes its option where it can be nothing else: with an underscore, or
    as the subject of a sentence ("form must be …").
    """

    def option(name: str, value: str | None) -> str:
        bare = None if value is None else value.strip("'\"")
        if name in options:
            spelled = f"--{name.replace('_', '-')}"
            return spelled if bare is None else f"{spelled} {bare}"
        return f"--parameter {name}" if bare is None else f"--parameter {name}={bare}"

    for name in sorted(parameters, key=len, reverse=True):
        message = re.sub(rf"(?<![\w-]){name}=({_VALUE})", partial(_valued, option, name), message)
        alone = rf"(?<![\w-]){name}(?![\w=])" if "_" in name else rf"(?:^|(?<=[;:,] )){name}(?= must )"
        message = re.sub(alone, option(name, None), message)
    return message


def _valued(option: Callable[[str, str | None], str], name: str, found: re.Match[str]) -> str:
    return option(name, found[1])
