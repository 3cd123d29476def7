"""What a check found, in words."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:16]}…{text[-8:]} ({len(text)} characters)"


def describe_entry(entry: dict[str, object] | None) -> str:
    """An entry in words."""
    if entry is None:
        return "nothing differs"
    place = ", ".join(f"{key} {entry[key]}" for key in ("layer", "row", "column") if key in entry)
    stored, rebuilt = (short("nothing" if entry[key] is None else entry[key]) for key in ("stored", "rebuilt"))
    return f"{entry['where']}{f' ({place})' if place else ''} is {stored}, and the construction has {rebuilt}"


def describe_difference(found: dict[str, object]) -> str:
    """A counterexample in words; of the input, the entries that are not zero."""
    entries = []
    given_input = found["input"]
    for name, value in given_input.items() if isinstance(given_input, Mapping) else ():
        array = np.asarray(value, dtype=object)
        for index in np.argwhere(array != 0).tolist() if array.ndim else [[]] if value else []:
            entries.append(f"{name}{index or ''} = {array[tuple(index)]}")
    shown = ", ".join(entries[:12]) + (f" and {len(entries) - 12} more entries" if len(entries) > 12 else "")
    values = f"{short(found['computed'])} instead of {short(found['claimed'])}"
    given = f"{shown}, all else zero" if entries else "the zero input"
    return f"output {found['output']} at row {found['row']} is {values} for {given}"
