"""What texts name is there: modules, classes and functions in the README, the changelog, docstrings and notebooks."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOTTED = re.compile(r"(?<![\w/.-])(?:constructions|precls_theory)(?:\.[A-Za-z_]\w*)+")
ROLE = re.compile(r":(?:func|class|data|meth|attr|exc):`~?\.?([A-Za-z_]\w*)`")
SOURCES = sorted(path for package in ("constructions", "precls_theory") for path in (ROOT / package).rglob("*.py"))
TEXTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "notebooks").glob("*.ipynb")), *SOURCES]


@cache
def known(path: Path) -> frozenset[str]:
    """What a module defines, imports or reads, by name."""
    return frozenset(names_of(path.read_text(encoding="utf-8")))


def names_of(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name).rpartition(".")[2]


def is_there(name: str) -> bool:
    """Whether the dotted name is a module, or begins with one that knows the rest; found without importing anything."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        place = ROOT.joinpath(*parts[:count])
        file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if file.is_file():
            return set(parts[count:]) <= known(file)
    return False


def test_dotted_names_are_there() -> None:
    named = {name for path in TEXTS for name in DOTTED.findall(path.read_text(encoding="utf-8"))}
    assert len(named) > 200
    assert sorted(name for name in named if not is_there(name) and not name.endswith((".safetensors", ".json"))) == []


def lost(text: str) -> list[str]:
    """Names that docstrings of a module refer to and nothing in it defines, imports or reads."""
    named = ROLE.findall(text)
    there = set(names_of(text)) if named else set[str]()
    return [name for name in named if name not in there]


def test_what_docstrings_refer_to_is_in_their_module() -> None:
    assert {
        str(path.relative_to(ROOT)): names for path in SOURCES if (names := lost(path.read_text(encoding="utf-8")))
    } == {}


@pytest.mark.parametrize(
    "name", ["precls_theory.nowhere", "precls_theory.registry.Nothing", "constructions.algebra.terms.lost"]
)
def test_a_name_that_was_lost_is_noticed(name: str) -> None:
    assert not is_there(name)
    assert is_there("precls_theory.registry.Evidence")
    assert lost('"""See :func:`gone` and :class:`A`."""\nclass A: ...') == ["gone"]
