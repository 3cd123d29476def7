"""The names of the package: imported when they are used, and the same to a type checker and to Python."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

import constructions as C
from constructions.networks.construction import CONSTRUCTIONS

SOURCE = Path(C.__file__)


def declared() -> dict[str, tuple[str, str]]:
    """What the imports for type checkers say: name, module, name there."""
    blocks = [node for node in ast.parse(SOURCE.read_text()).body if isinstance(node, ast.If)]
    imports = [node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name: (node.module or "", alias.name) for node in imports for alias in node.names}


def test_type_checkers_and_python_see_the_same_names() -> None:
    assert declared() == C._HOMES


@pytest.mark.parametrize("name", sorted(C.__all__))
def test_every_name_is_what_its_module_holds(name: str) -> None:
    module, original = declared()[name]
    home = importlib.import_module(module)
    assert getattr(C, name) is getattr(home, original)
    assert name in dir(C)


def test_an_unknown_name() -> None:
    with pytest.raises(AttributeError, match="'constructions' has no attribute 'gradient_ascent'"):
        _ = C.gradient_ascent  # type: ignore[attr-defined]


def test_every_construction_is_found_by_its_name() -> None:
    names = list(CONSTRUCTIONS)
    assert len(names) == len(CONSTRUCTIONS) >= 12
    assert "gradient_descent" in CONSTRUCTIONS
    assert "gradient_ascent" not in CONSTRUCTIONS
    for name in names:
        assert name.endswith(CONSTRUCTIONS[name].__name__)  # a module's own name for it may be shorter
