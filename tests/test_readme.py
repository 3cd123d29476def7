"""The README is true: its Python runs, its links exist, its modules and commands are there, CI runs its test command."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest
from typer.main import get_command

from precls_theory.cli.main import app
from precls_theory.pictures.readme import STEPS, depths, draw
from precls_theory.regression.data import read_regression
from precls_theory.regression.solving import solve

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_python_examples_print_what_is_written():
    failures, tests = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert tests > 5
    assert failures == 0


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)]+)\)", README))
def test_links_exist(link):
    assert (ROOT / link).exists()


@pytest.mark.parametrize("command", sorted(set(re.findall(r"precls ([a-z]+(?:-[a-z]+)*)", README)) - {"is"}))
def test_commands_exist(command):
    assert command in get_command(app).commands  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`((?:C|precls_theory)\.[A-Za-z_.]+)`", README))))
def test_names_exist(name):
    module, _, attributes = name.replace("C.", "constructions.", 1).partition(".")
    found = importlib.import_module(module)
    for attribute in attributes.split("."):
        if not hasattr(found, attribute):
            found = importlib.import_module(f"{found.__name__}.{attribute}")
        else:
            found = getattr(found, attribute)
    assert callable(found)


LAYOUT = README.split("## How the code is laid out")[1].split("To add an algorithm")[0]
NAMED = [
    path for row in re.findall(r"^\|[^|]+\| (`.+`) \|$", LAYOUT, flags=re.M) for path in re.findall(r"`([^`]+)`", row)
]


@pytest.mark.parametrize("path", NAMED)
def test_modules_of_the_layout_exist(path):
    assert (ROOT / path).is_dir() if path.endswith("/") else (ROOT / path).is_file()


@pytest.mark.parametrize("package", ["constructions", "precls_theory"])
def test_every_room_is_in_the_layout(package):
    rooms = [folder.parent.name for folder in (ROOT / package).glob("*/__init__.py")]
    assert len(rooms) > 5
    assert [room for room in rooms if not any(path.startswith(f"{package}/{room}/") for path in NAMED)] == []


def test_top_level_holds_nothing_else():
    allowed = {
        "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "constraints.txt", "precls_theory", "constructions",
        "notebooks", "tests",
    }  # fmt: skip
    built = {path.name for path in ROOT.glob("*.egg-info")} | {"build", "dist", "certificates"}
    assert {path.name for path in ROOT.iterdir() if not path.name.startswith(".")} - built == allowed


def test_ci_runs_the_test_command_of_the_readme():
    lines = re.findall(r"^python3 -m venv .*pytest.*$", README, flags=re.M)
    assert len(lines) == 1
    assert "grep -E '^python3 -m venv .*pytest' README.md" in (ROOT / ".ci" / "run").read_text()


def test_the_picture_can_be_drawn_again(tmp_path):
    path = tmp_path / "result.png"
    draw(solve(read_regression(ROOT / "notebooks" / "data" / "longley.csv", "employed")), path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert depths("doubling")[-1] == 10
    assert depths("doubling") == [(2 * steps).bit_length() for steps in STEPS]  # the lower bound is reached
