"""Tables that lose nothing: where the columns do not fit side by side, they stand below each other."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from precls_theory.cli.output import out

_PADDING = 3
"""Terminal cells between two columns."""


@dataclass(frozen=True)
class Column:
    """A heading and a text for every row; numbers stand to the right."""

    heading: str
    texts: Sequence[str]
    justify_right: bool = True

    @property
    def width(self) -> int:
        """Terminal cells of the longest entry."""
        return max(map(cell_len, (self.heading, *self.texts)))


def show(title: str, key: Column, *columns: Column) -> None:
    """Print ``columns`` in as many tables as the width of the output takes, each of them led by ``key``.

    No entry is cut off or broken, even where the key and one column alone are wider than the output.
    """
    for number, group in enumerate(groups(key, columns, out.width)):
        table = Table(title=escape(title) if number == 0 else None, box=box.SIMPLE, title_justify="left")
        for column in group:
            table.add_column(escape(column.heading), justify="right" if column.justify_right else "left", no_wrap=True)
        for row in zip(*(column.texts for column in group), strict=True):
            table.add_row(*map(escape, row))
        needed = sum(column.width + _PADDING for column in group) + 1
        console = out if needed <= out.width else Console(width=needed)
        console.print(table, highlight=False)


def groups(key: Column, columns: Sequence[Column], width: int) -> list[list[Column]]:
    """``columns`` dealt out, in order, to tables of at most ``width`` where that is possible, ``key`` first in each."""
    result = [[key]]
    for column in columns:
        wide = sum(other.width + _PADDING for other in (*result[-1], column)) + 1 > width
        if wide and len(result[-1]) > 1:
            result.append([key])
        result[-1].append(column)
    return result


def hyphenated(text: str, width: int) -> str:
    """``text`` with line breaks after its hyphens, and never inside a word, where it is wider than ``width``."""
    return "\n".join(textwrap.wrap(text, max(1, width), break_long_words=False, break_on_hyphens=True))


def shortened(rational: str, width: int) -> str:
    """``p`` or ``p/q`` in at most ``width``: where it is longer, the first digits of both and how many there are."""
    if len(rational) <= width:
        return rational
    parts = rational.split("/")
    note = f" ({' over '.join(str(len(part.lstrip('-'))) for part in parts)} digits)"
    each = max(4, (width - len(note) - 2 * len(parts)) // len(parts))
    return "/".join(part if len(part) <= each + 1 else f"{part[:each]}…" for part in parts) + note
