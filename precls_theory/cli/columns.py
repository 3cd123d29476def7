"""Tables that lose nothing: where the columns do not fit side by side, they stand below each other."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.markup import escape
from rich.table import Table


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


def tables(title: str, key: Column, columns: Sequence[Column], width: int) -> list[Table]:
    """``columns`` in as many tables of at most ``width`` as they need, each of them led by ``key``.

    No entry is cut off or broken, even where the key and one column alone are wider.
    """
    groups: list[list[Column]] = [[]]
    room = width - key.width - 3
    for column in columns:
        if groups[-1] and sum(other.width + 2 for other in groups[-1]) + column.width > room:
            groups.append([])
        groups[-1].append(column)
    return [_table(title if number == 0 else None, [key, *group]) for number, group in enumerate(groups)]


def _table(title: str | None, columns: Sequence[Column]) -> Table:
    table = Table(title=title, box=box.SIMPLE, padding=(0, 1, 0, 0), title_justify="left")
    for column in columns:
        table.add_column(
            escape(column.heading),
            justify="right" if column.justify_right else "left",
            no_wrap=True,
            overflow="ignore",
            min_width=column.width,
        )
    for row in zip(*(column.texts for column in columns), strict=True):
        table.add_row(*map(escape, row))
    return table


def hyphenated(text: str, width: int) -> str:
    """``text`` with line breaks after its hyphens, and never inside a word, where it is wider than ``width``."""
    return "\n".join(textwrap.wrap(text, max(1, width), break_long_words=False, break_on_hyphens=True))


def shortened(text: str, width: int) -> str:
    """``text``, or its beginning and the number of characters left out, in at most ``width`` where that is possible."""
    if len(text) <= width:
        return text
    note = f"… ({len(text)} digits)"
    return text[: max(8, width - len(note))] + note
