"""One name, one thing: names that once meant two or three things are defined in one module each."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NAMES = (
    *("Layout", "Split", "Target", "TargetName", "GATES", "Polynomial", "Form", "plan", "convolve", "Context", "Step"),
    *("Key", "as_numpy", "MAX_DEGREE", "MAX_ROWS"),
)


def defined(body: list[ast.stmt]) -> Iterator[str]:
    """Names that a module defines itself: classes, functions, constants and aliases of types."""
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


MODULES = {
    path.relative_to(ROOT).as_posix(): set(defined(ast.parse(path.read_text(encoding="utf-8")).body))
    for package in ("constructions", "precls_theory")
    for path in sorted((ROOT / package).rglob("*.py"))
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_means_one_thing(name: str) -> None:
    found = [module for module, names in MODULES.items() if name in names]
    assert len(found) <= 1, f"{name} is defined in {' and in '.join(found)}"


def test_a_second_definition_would_be_found() -> None:
    body = ast.parse("class A: ...\ndef b(): ...\nC: int = 1\nD = E = 2\nfrom x import F").body
    assert list(defined(body)) == ["A", "b", "C", "D", "E"]
    assert sum("MAX_DEGREE" in names for names in MODULES.values()) == 1
