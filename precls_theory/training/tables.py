"""Tables that are filled row by row: each row is written when it is there, and rows that the file has are not made again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from constructions.files.output import write_output

Row = dict[str, str | int | float | bool]


@dataclass(frozen=True)
class Job:
    """A row to make, and the columns by which it is known again in a file."""

    key: dict[str, str | int | float | bool]
    make: Callable[[], Row]


def fill(file: Path, jobs: Sequence[Job], description: str) -> None:
    """Write a CSV of the jobs' rows, in their order, going on where an earlier call was stopped.

    Raises ``ValueError`` for a file that is another table.
    """
    import pandas as pd

    from precls_theory.cli.progress import progress

    done: dict[tuple[str, ...], Row] = {}
    if file.exists():
        try:
            for row in pd.read_csv(file, keep_default_na=False).to_dict("records"):
                done[tuple(str(row[name]) for name in jobs[0].key)] = {str(name): value for name, value in row.items()}
        except (KeyError, pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
            raise ValueError(f"{file} is not a table of this command ({error}): name another file") from error
    wanted = {tuple(map(str, job.key.values())): job for job in jobs}
    for key, job in progress(wanted.items(), description, len(wanted)):
        if key not in done:
            done[key] = job.make()
            places = [*(key for key in wanted if key in done), *(key for key in done if key not in wanted)]
            write_output(file, pd.DataFrame([done[key] for key in places]).to_csv(index=False))
