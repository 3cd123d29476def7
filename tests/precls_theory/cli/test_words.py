"""Errors of constructions in the words of the command line."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from precls_theory.cli.main import app
from precls_theory.cli.words import as_options

PARAMETERS = ("n_steps", "form", "step_size", "mode", "lower")
OPTIONS = ("n_steps", "form", "step_size", "lower")


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("use form='tight' (any number) or form='gram'", "use --form tight (any number) or --form gram"),
        ("got n_steps=3: use it", "got --n-steps 3: use it"),
        ("use mode='circular', or source <= target", "use --parameter mode=circular, or source <= target"),
        ("step_size must be a rational number", "--step-size must be a rational number"),
        ("form must be one of a, b, got 'x'", "--form must be one of a, b, got 'x'"),
        ("the form must not change", "the form must not change"),
        ("satisfy 0 < lower < upper, got lower=1/2.", "satisfy 0 < lower < upper, got --lower 1/2."),
        ("platform='x' and reform must", "platform='x' and reform must"),
    ],
)
def test_words(message: str, words: str) -> None:
    assert as_options(message, PARAMETERS, OPTIONS) == words


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gd", "--n-steps", "3", "--step-size", "1"], "--form tight"),
        (["gd", "--n-steps", "4", "--step-size", "1", "--form", "magic"], "--form must be one of"),
        (["gd", "--n-steps", "0", "--step-size", "1"], "--n-steps must be an integer"),
        (["gd", "--n-steps", "4", "--step-size", "x"], "--step-size must be a rational number"),
        (["newton", "--n-iters", "2", "--alpha", "1/9", "--refinements", "1", "--form", "direct"], "--form residual"),
    ],
)
def test_errors_of_build_speak_of_options(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(app, ["build", *arguments], env={"COLUMNS": "500", "TERM": "dumb"})
    assert result.exit_code == 2
    shown = " ".join(result.stderr.replace("│", " ").split())
    assert words in shown
    assert "form=" not in shown
    assert "n_steps" not in shown
