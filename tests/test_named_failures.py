"""Every failure in ``named_failures.md`` and ``named_failures_soundness.md`` has a test, and that test is there."""

import ast
import re
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parent
LISTED = "\n".join(path.read_text(encoding="utf-8") for path in sorted(TESTS.glob("named_failures*.md")))


@cache
def functions_of(file: str) -> frozenset[str]:
    """The functions that a test file defines; none if it is not there."""
    body = ast.parse((TESTS / file).read_text(encoding="utf-8")).body if (TESTS / file).is_file() else []
    return frozenset(node.name for node in body if isinstance(node, ast.FunctionDef))


def missing(listed: str) -> list[str]:
    """Tests of the list that no file defines."""
    return [
        f"{file}::{name}"
        for file, name in re.findall(r"\| (\S+\.py)::(\w+) \|", listed)
        if name not in functions_of(file)
    ]


def test_every_named_failure_has_its_test() -> None:
    rows = [line for line in LISTED.splitlines() if line.startswith("| ") and line != "| failure | test |"]
    assert len(rows) > 100
    assert [row for row in rows if not re.fullmatch(r"\| .*\| \S+\.py::test_\w+ \|", row)] == []
    assert missing(LISTED) == []


def test_a_test_that_is_gone_is_noticed() -> None:
    listed = "| lost | test_names.py::test_gone |\n| lost | nowhere.py::test_x |\n"
    listed += "| there | test_names.py::test_a_name_means_one_thing |"
    assert missing(listed) == ["test_names.py::test_gone", "nowhere.py::test_x"]
