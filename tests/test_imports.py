"""Dependencies go one way: ``precls_theory`` imports ``constructions``, and in neither do modules or rooms import in a circle."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
Graph = dict[str, set[str]]


def modules(package: str) -> dict[str, Path]:
    """Every module of a package by its dotted name."""
    paths = (ROOT / package).rglob("*.py")
    return {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p for p in paths}


def imported(body: list[ast.stmt]) -> Iterator[str]:
    """What runs when the module is imported: not what serves annotations alone, nor what a function imports."""
    for node in body:
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.If | ast.Try) and not (
            isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        ):
            yield from imported(node.body)


def graph(package: str) -> Graph:
    """Module to the modules of the same package that it imports."""
    known = modules(package)
    edges: Graph = {}
    for name, path in known.items():
        targets = (t if t in known else t.rpartition(".")[0] for t in imported(ast.parse(path.read_text()).body))
        # A package's __init__ lists names of its modules: the modules are what counts.
        edges[name] = {target for target in targets if target in known and target != name}
    return edges


def rooms(edges: Graph) -> Graph:
    """The same, by folders within the package."""
    room = {name: ".".join(name.split(".")[:2]) for name in edges}
    result: Graph = {}
    for name, targets in edges.items():
        if room[name].count("."):
            result.setdefault(room[name], set()).update({room[t] for t in targets if "." in t} - {room[name]})
    return result


def circle(edges: Graph) -> list[str]:
    try:
        list(TopologicalSorter(edges).static_order())
    except CycleError as error:
        return list(error.args[1])
    return []


PACKAGES = ["constructions", "precls_theory"]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_is_in_a_circle(package: str) -> None:
    assert circle(graph(package)) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_room_is_in_a_circle(package: str) -> None:
    assert circle(rooms(graph(package))) == []


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) != []
    assert circle(rooms({"p.a.x": {"p.b.y"}, "p.b.y": set(), "p.b.z": {"p.a.x"}})) != []


@pytest.mark.parametrize("name", sorted(modules("constructions")))
def test_constructions_import_nothing_of_precls_theory(name: str) -> None:
    tree = ast.parse(modules("constructions")[name].read_text())
    found = imported([node for node in ast.walk(tree) if isinstance(node, ast.stmt)])
    assert [target for target in found if target.split(".")[0] == "precls_theory"] == []
