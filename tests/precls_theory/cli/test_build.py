"""``precls build``: what it prints, what it saves, and every way to be told no."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from helpers.commands import document, precls, words
from helpers.networks import fields

import constructions as C

GD = ["build", "gd", "--n-points", "3", "--n-dims", "2", "--n-steps", "4", "--step-size", "1/10"]


def test_build_saves_what_the_library_builds(tmp_path: Path) -> None:
    path = tmp_path / "gd.safetensors"
    result = precls(*GD, "-o", path)
    assert result.exit_code == 0
    expected = C.gradient_descent(n_points=3, n_dims=2, n_steps=4, step_size="1/10", form="doubling", layout="A")
    assert fields(C.load(path)) == fields(expected)
    assert f"depth 4, width {expected.width}, {expected.n_nonzero} nonzero weights" in result.stdout
    assert f"saved to {path}" in result.stdout


def test_build_defaults_are_the_papers_sizes() -> None:
    found = document(precls("build", "gradient_descent", "--n-steps", 256, "--step-size", "0.1", "--json"))
    network = C.gradient_descent(n_points=20, n_dims=5, n_steps=256, step_size=Fraction(1, 10))
    assert (found["depth"], found["width"], found["n_nonzero"]) == (10, network.width, network.n_nonzero)
    assert found["parameters"] == {
        "n_points": 20, "n_dims": 5, "n_steps": 256, "step_size": "0.1", "form": "doubling", "layout": "A",
    }  # fmt: skip
    assert found["file"] is None


BUILDS: dict[str, list[str]] = {
    "heavy_ball": ["--n-steps", "3", "--step-size", "1/7", "--momentum", "1/2"],
    "chebyshev": ["--n-steps", "3", "--lower", "1/7", "--upper", "1", "--layout", "E"],
    "newton": ["--n-iters", "3", "--alpha", "1/10", "--form", "residual", "--refinements", "1"],
    "gd": ["--n-steps", "5", "--step-size", "1/7", "--form", "tight", "--layout", "S"],
}


@pytest.mark.parametrize("algorithm", BUILDS)
def test_build_then_check(algorithm: str, tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    assert precls("build", algorithm, "--n-points", 3, "--n-dims", 2, *BUILDS[algorithm], "-o", path).exit_code == 0
    found = document(precls("check", path, "--json"))
    assert found["ok"] is True
    assert found["first_difference"] is None


PRIMITIVES: dict[str, dict[str, str]] = {
    "read": {"n_rows": "4", "n_channels": "3", "source": "0", "target": "2", "start": "0", "stop": "2"},
    "linear": {"n_rows": "2", "weight": '[[1, "1/2"], [0.25, 0]]', "bias": "null"},
    "multiply": {"n-rows": "2", "n-channels": "3", "left": "0", "right": "1", "target": "2", "length": "1"},
}


@pytest.mark.parametrize("algorithm", PRIMITIVES)
def test_primitives_by_generic_parameters(algorithm: str, tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    given = [text for name, value in PRIMITIVES[algorithm].items() for text in ("--parameter", f"{name}={value}")]
    result = precls("build", algorithm, *given, "-o", path)
    assert result.exit_code == 0, result.stderr
    assert precls("check", path).exit_code == 0


def test_a_decimal_in_json_stays_exact() -> None:
    given = ["--parameter", "n_rows=1", "--parameter", "weight=[[0.1]]"]
    found = document(precls("build", "linear", *given, "--json"))
    assert found["parameters"]["weight"] == [["0.1"]]


BAD_BUILDS: list[tuple[list[str], str]] = [
    (["magic"], "there is no construction 'magic': choose one of"),
    (["gd"], "gradient_descent needs --n-steps, --step-size"),
    ([*GD[1:], "--momentum", "1/2"], "gradient_descent takes no --momentum: it takes --n-points"),
    ([*GD[1:], "--parameter", "colour=red"], "gradient_descent takes no --parameter colour"),
    ([*GD[1:], "--parameter", "n_steps=3"], "n_steps is given twice"),
    ([*GD[1:], "--parameter", "n_steps"], "--parameter takes NAME=VALUE"),
    ([*GD[1:], "--layout", "Q"], "layout must be one of A, E, S, got 'Q'"),
    ([*GD[1:], "--form", "magic"], "form must be one of residual, gram, doubling, tight, got 'magic'"),
    (["gd", "--n-steps", "5", "--step-size", "1/10"], "power of two, got --n-steps 5: use --form tight"),
    (["gd", "--n-steps", "0", "--step-size", "1/10"], "--n-steps must be an integer of at least 1"),
    (["gd", "--n-steps", "four", "--step-size", "1/10"], "Invalid value for '--n-steps'"),
    (["gd", "--n-steps", "4", "--step-size", "nan"], "--step-size must be a rational number"),
    (["gd", "--n-steps", "4", "--step-size", "1/0"], "--step-size must be a rational number"),
    (["gd", "--n-steps", "4", "--step-size", "1e999999999"], "its exponent is too large"),
    (["gd", "--n-steps", "4", "--step-size", "1", "--n-dims", "0"], "--n-dims must be an integer of at least 1"),
    (["chebyshev", "--n-steps", "2", "--lower", "2", "--upper", "1"], "0 < lower < upper"),
    (["newton", "--n-iters", "2", "--alpha", "1", "--form", "direct", "--refinements", "1"], "refinement carries M"),
    (["read", "--parameter", "n_rows=2"], "read needs --n-channels"),
    (["linear", "--parameter", "n_rows=2", "--parameter", "weight=[[1],[1,2]]"], "rows of one length"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_BUILDS, ids=[message[:40] for _, message in BAD_BUILDS])
def test_bad_usage_of_build(arguments: list[str], message: str) -> None:
    result = precls("build", *arguments)
    assert result.exit_code == 2
    assert message in words(result)
    assert result.stdout == ""


def test_build_where_it_cannot_write(tmp_path: Path) -> None:
    result = precls(*GD, "-o", tmp_path / "missing" / "x.safetensors")
    assert result.exit_code == 1
    assert "there is no folder" in words(result)
    result = precls(*GD, "-o", tmp_path, "--json")
    assert result.exit_code == 1
    assert "it is a folder" in words(result)
    assert "it is a folder" in document(result)["error"]


def test_an_odd_name_is_shown_as_a_terminal_can(tmp_path: Path) -> None:
    odd = tmp_path / "gd\x1b[31m\n.safetensors"
    result = precls(*GD, "-o", odd)
    assert result.exit_code == 0
    assert odd.is_file()
    assert "gd\\x1b[31m\\n.safetensors" in result.stdout
    assert "\x1b" not in result.stdout
    result = precls("check", tmp_path / "none\x1b[31m.safetensors")
    assert result.exit_code != 0
    assert "\x1b[31m" not in result.stderr


@pytest.mark.parametrize("command", ["build", "check"])
def test_help_has_examples(command: str) -> None:
    result = precls(command, "--help")
    assert result.exit_code == 0
    assert f"precls {command} gd" in result.stdout
