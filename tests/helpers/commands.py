"""Commands run in this process, and what they print."""

from __future__ import annotations

import json
from typing import Any

from typer.testing import CliRunner, Result

from precls_theory.cli.main import app


def precls(*arguments: Any) -> Result:
    """Run a command, wide enough that no message is wrapped."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "500", "TERM": "dumb"})


def document(result: Result) -> dict[str, Any]:
    """Standard output as the one JSON document, with what every document holds."""
    found = json.loads(result.stdout)
    assert found["precls"]
    assert set(found["versions"]) >= {"torch", "sympy", "python-flint", "numpy"}
    assert found["seconds"] >= 0
    return found


def words(result: Result) -> str:
    """Standard error with line breaks and frames removed."""
    return " ".join(result.stderr.replace("│", " ").split())


# --- Build --------------------------------------------------------------------------------------------------------
