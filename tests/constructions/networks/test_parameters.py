"""What a construction declares is all that it takes to add one; bounds hold for the library, the command and files."""

from __future__ import annotations

import importlib
import json
import math
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from typer.testing import CliRunner

import constructions as C
from constructions.algebra import terms
from constructions.files import reading
from constructions.networks.construction import CONSTRUCTIONS, parameters_of
from constructions.networks.parameters import Count
from precls_theory.checking.check import check
from precls_theory.checking.references import REFERENCES
from precls_theory.cli import build
from precls_theory.cli.main import app

MODULE = """
from fractions import Fraction
from functools import partial
from typing import Annotated, Literal

import numpy as np

from constructions.algebra.terms import channels, prefix
from constructions.networks.builder import Builder
from constructions.networks.construction import construction
from constructions.networks.network import Network
from constructions.networks.parameters import Channels, Count, Exact, Rational, Rows
from constructions.networks.tasks import Sequence
from precls_theory.checking.references import reference


@construction
def running_sum(
    *, n_rows: Rows, n_channels: Channels, times: Annotated[int, Count("times", fits="layers")],
    scale: Annotated[Rational, Exact("scale of each sum")], sign: Literal["plus", "minus"] = "plus",
) -> Network:
    builder = Builder(n_rows, [f"u[{i}]" for i in range(n_channels)])
    factor = scale if sign == "plus" else -scale
    y = channels("u", n_channels)
    for _ in range(times):
        y = builder.layer(y=prefix(y) * factor)
    return builder.build(y, partial(Sequence, n_rows, n_channels, n_inputs=n_channels))


@reference("running_sum")
def claim(network, u, ring):
    p = network.parameters
    factor = ring.elements([Fraction(p["scale"]) * (1 if p["sign"] == "plus" else -1)])
    u = ring.coerce(u)
    for _ in range(p["times"]):
        u = ring.reduce(factor * ring.reduce(np.add.accumulate(u, axis=-2)))
    return u
"""


@pytest.fixture
def running_sum(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module of someone else's with a construction and its reference, for as long as a test."""
    module = ModuleType("someone_elses_module")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(MODULE, module.__dict__)
    build._options.cache_clear()
    yield module.running_sum  # type: ignore[attr-defined]
    del CONSTRUCTIONS["running_sum"]
    del REFERENCES["running_sum"]
    build._options.cache_clear()


def test_an_algorithm_is_added_by_a_builder_and_a_reference(running_sum: Any, tmp_path: Path) -> None:
    network, path = running_sum(n_rows=3, n_channels=2, times=2, scale="1/2"), tmp_path / "sum.safetensors"
    network.save(path)
    assert C.load(path) == network
    assert check(C.load(path)).ok
    arguments = [
        "running_sum",
        "--n-rows",
        "3",
        "--n-channels",
        "2",
        "--times",
        "2",
        "--scale",
        "0.5",
        "--sign",
        "minus",
    ]
    result = CliRunner().invoke(app, ["build", *arguments, "-o", str(path)])
    assert result.exit_code == 0, result.stderr
    assert CliRunner().invoke(app, ["check", str(path)]).exit_code == 0
    assert C.load(path) == running_sum(n_rows=3, n_channels=2, times=2, scale="1/2", sign="minus")
    help = CliRunner().invoke(app, ["build", "--list"], env={"COLUMNS": "200"}).stdout
    assert "running_sum" in help
    assert "scale of each sum" in help


@pytest.mark.parametrize(("changes", "message"), [
    ({"times": 0}, "times must be an integer of at least 1"), ({"n_rows": 1.5}, "n_rows must be an integer"),
    ({"scale": "a"}, "scale must be a rational number"), ({"sign": "both"}, "sign must be one of plus, minus, got 'both'"),
    ({"scale": "1e-1000000000"}, "exponent is too large"), ({"scale": Decimal("1e-1000000000")}, "exponent is too large"),
])  # fmt: skip
def test_declared_bounds_guard_the_library(running_sum: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        running_sum(**{"n_rows": 2, "n_channels": 1, "times": 1, "scale": 1} | changes)


def test_a_file_is_refused_by_what_is_declared(running_sum: Any, tmp_path: Path) -> None:
    path = tmp_path / "sum.safetensors"
    running_sum(n_rows=3, n_channels=2, times=2, scale="1/2").save(path)
    claim_again(path, {"n_rows": 3, "n_channels": 2, "times": 10**6, "scale": "1/2", "sign": "plus"})
    with pytest.raises(
        C.CorruptFileError, match="parameter times is 1000000: too large for 3 rows, 2 inputs, 2 layers"
    ):
        C.load(path)


def claim_again(path: Path, parameters: dict[str, Any]) -> None:
    """Change the parameters that a file records."""
    with safe_open(path, framework="numpy") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, path, metadata | {"parameters": json.dumps(parameters)})


@pytest.mark.parametrize("build_with", [
    lambda number: C.newton(n_points=2, n_dims=1, n_iters=1, alpha=number),
    lambda number: C.linear(n_rows=1, weight=[[number]]),
    lambda number: C.linear(n_rows=1, weight=[[1]], bias=[number]),
    lambda number: C.approximate("x", {"x": (0, 1)}, number),
    lambda number: C.approximate("x", {"x": (0, number)}, "1e-3"),
    lambda number: C.heavy_ball(n_points=2, n_dims=1, n_steps=1, step_size=1, momentum=number),
    lambda number: C.chebyshev(n_points=2, n_dims=1, n_steps=1, lower=number, upper=1),
    lambda number: C.reciprocal(low=number, high=2, n_iters=1),
    lambda number: C.published_block(n_points=2, n_dims=1, n_applications=1, step_size=number),
    lambda number: C.gated_gradient_descent(n_points=2, n_dims=1, step_size=number),
    lambda number: C.gradient_descent(n_points=2, n_dims=1, n_steps=1, step_size=number),
])  # fmt: skip
@pytest.mark.parametrize("number", ["1e-1000000000", "1e1000000000", "1e-99_999_999_999"])
def test_numbers_whose_digits_would_fill_the_memory_are_refused_at_once(build_with: Any, number: str) -> None:
    with pytest.raises(ValueError, match="exponent is too large"):
        build_with(number)


@pytest.mark.parametrize(
    ("n_dims", "n_steps", "form", "filled"),
    [
        (100, 1, "tight", 0), (300, 1, "gram", 0), (20, 2**900, "doubling", 0), (300, 1, "gram", 8), (30, 1, "tight", 8),
        (300, 1, "residual", 0),
    ],
    ids=["100 unknowns", "300 unknowns", "2^900 steps", "300 unknowns in 80 KB", "30 unknowns", "300 in residual form"],
)  # fmt: skip
def test_a_small_file_that_claims_much_is_refused_before_it_is_built(
    n_dims: int, n_steps: int, form: str, filled: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few channels and few weights: what the parameters ask for would take minutes, or half an hour.

    Counted in steps of the algebra of layers, of which a file has so many for each number that it holds: none at all where
    the numbers are too few for the products of the data.
    """
    path = tmp_path / "hostile.safetensors"
    width = 2 * n_dims + 1 if form != "doubling" else 4
    weight = [
        [row + column**2 + 1 if filled else int(row == 0) for column in range(filled or 1)] for row in range(width)
    ]
    C.linear(n_rows=2, weight=weight).save(path)
    with safe_open(path, framework="numpy") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    claims = {"n_points": 2, "n_dims": n_dims, "n_steps": n_steps, "step_size": "1", "form": form, "layout": "A"}
    save_file(tensors, path, metadata | {"algorithm": "gradient_descent", "parameters": json.dumps(claims)})
    steps: list[int] = []
    count = terms.spend

    def counted(number: int) -> None:
        steps.append(number)
        count(number)

    monkeypatch.setattr(terms, "spend", counted)
    held = sum(tensor.size for name, tensor in tensors.items() if name != "pool")
    message = rf"a much larger network than the {held} numbers that it holds|too large for 2 rows"
    with pytest.raises(C.CorruptFileError, match=message):
        C.load(path)
    assert sum(steps[:-1]) <= reading.work_for(held)
    assert bool(steps) == (form == "residual")


def test_a_file_may_be_rebuilt_by_work_in_proportion_to_its_numbers() -> None:
    """A few seconds for 70 KB, and more than honest networks take (the next test)."""
    assert reading.work_for(0) == 20_000
    assert reading.work_for(1000) == 20_000 + 1000 * 8
    assert reading.work_for(13_850) < 230_000


HONEST: dict[str, Callable[[], Any]] = {
    "tight, many steps": lambda: C.gradient_descent(
        n_points=2, n_dims=4, n_steps=3**100, step_size="1/10", form="tight"
    ),
    "tight, one step": lambda: C.gradient_descent(n_points=1, n_dims=12, n_steps=1, step_size="1/10", form="tight"),
    "Newton by doubling": lambda: C.newton(n_points=2, n_dims=8, n_iters=3, alpha="1/7"),
    "a dense matrix": lambda: C.linear(n_rows=1, weight=[[i * j + 1 for j in range(40)] for i in range(40)]),
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_files_are_far_from_the_limit(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, path = HONEST[name](), tmp_path / "network.safetensors"
    network.save(path)
    steps: list[int] = []
    monkeypatch.setattr(terms, "spend", steps.append)
    assert C.load(path) == network
    with safe_open(path, framework="numpy") as file:
        held = sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys() if key != "pool")  # noqa: SIM118
    assert 2 * sum(steps) < reading.work_for(held)


def test_every_parameter_of_the_package_is_declared() -> None:
    for name in CONSTRUCTIONS:
        for parameter in parameters_of(name).values():
            declaration = parameter.declaration
            assert declaration is not None, f"{name}: {parameter.name}"
            assert declaration.help or declaration.metavar != "JSON", f"{name}: {parameter.name} says nothing"
            assert isinstance(declaration, Count) or not parameter.name.startswith("n_"), f"{name}: {parameter.name}"


def test_no_construction_is_where_none_is_looked_for() -> None:
    for home in C.homes():
        importlib.import_module(home)
    found = {build.__module__ for name, build in CONSTRUCTIONS.items() if build.__module__.startswith("constructions.")}
    without = {home for home in C.homes() if home not in C.homes_of_constructions()}
    assert found.isdisjoint(without)
    assert C.CONSTRUCTIONS["sliced"] is C.sliced


def test_repeated_steps_of_several_layers_are_built_once() -> None:
    for network, period in (
        (C.gradient_descent(n_points=2, n_dims=1, n_steps=50, step_size=1, form="residual"), 2),
        (C.published_block(n_points=2, n_dims=1, n_applications=50, step_size=1), 3),
        (C.newton(n_points=2, n_dims=1, n_iters=50, alpha=1, form="direct"), 2),
        (C.newton(n_points=2, n_dims=1, n_iters=1, alpha=1, refinements=50), 3),
    ):
        assert len({id(layer) for layer in network.layers}) <= 4 * period + 4
        assert network.depth >= 100


@pytest.mark.parametrize("build_with", [
    lambda n: C.gradient_descent(n_points=1, n_dims=1, n_steps=n, step_size=1, form="residual"),
    lambda n: C.gradient_descent(n_points=1, n_dims=1, n_steps=n, step_size=1, form="gram"),
    lambda n: C.heavy_ball(n_points=1, n_dims=1, n_steps=n, step_size=1, momentum=0),
    lambda n: C.chebyshev(n_points=1, n_dims=1, n_steps=n, lower=1, upper=2),
    lambda n: C.newton(n_points=1, n_dims=1, n_iters=n, alpha=1),
    lambda n: C.reciprocal(low=1, high=2, n_iters=n),
    lambda n: C.published_block(n_points=1, n_dims=1, n_applications=n, step_size=1),
])  # fmt: skip
def test_counts_whose_layers_would_fill_the_memory_are_refused_at_once(build_with: Any) -> None:
    with pytest.raises(ValueError, match="each takes a layer or more: at most 1000000"):
        build_with(10**12)


def test_steps_that_take_no_layer_each_are_not_counted_as_layers() -> None:
    assert C.gradient_descent(n_points=1, n_dims=1, n_steps=2**40, step_size=1).depth == 42
    assert C.gradient_descent(n_points=1, n_dims=1, n_steps=2**40 + 1, step_size=1, form="tight").depth == 42


def test_an_error_of_more_digits_than_the_memory_holds_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="more than 16777216 binary digits"):
        C.reciprocal(low=1, high=2, n_iters=40)
