"""The checker: it accepts every construction, and refuses any change to anything that is stored.

By default a sample of the changes of each kind (:func:`some`, :func:`flips`); every one of them in the deep profile.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import flint
import numpy as np
import pytest
import sympy as sp
from helpers.mutations import DEEP
from helpers.networks import SMALL, fields, tap_changes, weights_of, with_filter, with_layer, with_weight
from hypothesis import given
from hypothesis import strategies as st

import constructions as C
from constructions.algebra.filters import Filter
from constructions.algebra.rings import FMPQ
from constructions.files.writing import dump
from constructions.networks.network import Network
from precls_theory.checking import check as checking
from precls_theory.checking.check import CheckResult, check
from precls_theory.checking.references import claimed

PAPER_SIZES = {
    "doubling": {"n_steps": 256, "form": "doubling", "layout": "A"},
    "tight": {"n_steps": 37, "form": "tight", "layout": "S"},
    "gram": {"n_steps": 4, "form": "gram", "layout": "E"},
    "residual": {"n_steps": 2, "form": "residual", "layout": "A"},
}


def paper_size(name: str) -> Network:
    """Gradient descent at N=20, D=5."""
    return C.gradient_descent(n_points=20, n_dims=5, step_size="1/10", **PAPER_SIZES[name])  # type: ignore[arg-type]


def refused(network: Network) -> CheckResult:
    """The result of a check that must fail, and whose counterexample must be one."""
    result = check(network)
    assert not result.ok
    assert (result.first_difference is not None) or (result.entry is not None)
    assert result.message
    if result.first_difference is not None:
        confirm(network, result.first_difference)
    json.dumps(result.to_json(), allow_nan=False)
    return result


def confirm(network: Network, found: dict[str, Any]) -> None:
    """Evaluate the counterexample independently of the checker: both values, over Q, and that they differ."""
    expected = C.rebuild(network.algorithm, network.parameters)
    given_input = {
        name: np.array([Fraction(int(entry)) for entry in np.ravel(value)], dtype=object).reshape(np.shape(value))
        for name, value in found["input"].items()
    }
    u = expected.encode(**given_input)
    column = expected.outputs.index(found["output"])
    value = network.evaluate(u)[found["row"], column]
    assert str(Fraction(value)) == found["computed"] != found["claimed"]
    claim = claimed(expected, u, FMPQ)
    place = expected.task.exact_rows.index(found["row"])
    said = claim[place, list(expected.task.columns).index(column)]
    assert flint.fmpq(said) == flint.fmpq(*map(int, found["claimed"].split("/")))


# --- Acceptance ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMALL)
def test_accepts_every_construction(name: str, tmp_path: Path) -> None:
    network = SMALL[name]()
    network.save(tmp_path / "network.safetensors")
    for candidate in (network, C.load(tmp_path / "network.safetensors")):
        result = check(candidate)
        assert result.ok, result.message
        assert result.first_difference is None
        assert result.entry is None
        assert "entry" not in result.to_json()


def test_small_networks_are_proved_over_q() -> None:
    result = check(SMALL["multiply"]())
    assert result.method == "polynomials over Q (fmpq_mpoly)"
    assert result.failure_probability_log2 is None


@pytest.mark.parametrize("name", PAPER_SIZES)
def test_accepts_the_papers_sizes(name: str) -> None:
    result = check(paper_size(name))
    assert result.ok
    assert result.method == "residues"
    assert result.failure_probability_log2 is not None
    assert result.failure_probability_log2 <= -60
    assert result.detail["primes"]


@given(
    form=st.sampled_from(["residual", "gram", "tight"]), layout=st.sampled_from("AES"), n_steps=st.integers(1, 5),
    n_points=st.integers(1, 4), n_dims=st.integers(1, 3), step=st.fractions(-2, 2, max_denominator=30),
)  # fmt: skip
def test_accepts_any_parameters(
    form: Any, layout: Any, n_steps: int, n_points: int, n_dims: int, step: Fraction
) -> None:
    network = C.gradient_descent(
        n_points=n_points, n_dims=n_dims, n_steps=n_steps, step_size=step, form=form, layout=layout
    )
    assert check(network).ok


# --- Mutation -----------------------------------------------------------------------------------------------------


def some(changes: Iterable[Any], name: str, most: int = 20) -> list[Any]:
    """All of the changes in the deep profile, else at most ``most``: the same each time, others for each name."""
    listed = list(changes)
    return listed if DEEP or len(listed) <= most else random.Random(name).sample(listed, most)


@pytest.mark.parametrize("name", SMALL)
def test_refuses_every_changed_weight(name: str) -> None:
    network = SMALL[name]()
    for depth, part, entry in some(weights_of(network), name):
        refused(with_weight(network, depth, part, entry))


@pytest.mark.parametrize("name", ["gd-doubling-A", "gd-tight-E", "newton-doubling", "read"])
def test_refuses_every_flipped_sign_and_lost_weight(name: str) -> None:
    network = SMALL[name]()
    for depth, part, entry in some(weights_of(network), f"sign of {name}"):
        weight = getattr(network.layers[depth], part).weights[entry]
        refused(with_weight(network, depth, part, entry, -2 * weight))
        refused(with_weight(network, depth, part, entry, -weight))


@pytest.mark.parametrize("name", PAPER_SIZES)
def test_refuses_changed_weights_at_the_papers_sizes(name: str) -> None:
    network = paper_size(name)
    for depth, part, entry in random.Random(name).sample(weights_of(network), 5):
        result = refused(with_weight(network, depth, part, entry, Fraction(1, 10**9)))
        assert result.first_difference is not None


@pytest.mark.parametrize("name", SMALL)
def test_refuses_every_changed_tap(name: str) -> None:
    network = SMALL[name]()
    for depth, index, filter in some(tap_changes(network), name):
        refused(with_filter(network, depth, index, filter))


@pytest.mark.parametrize("name", ["gd-doubling-S", "gd-residual-E", "gd-tight-S", "read", "read-circular"])
def test_refuses_every_changed_position(name: str) -> None:
    network = SMALL[name]()
    assert network.positions
    for at in np.ndindex(network.n_rows, len(network.inputs)):
        positions = dict(network.positions)
        positions[at] = positions.get(at, Fraction(0)) + Fraction(1, 2)  # type: ignore[index]
        refused(replace(network, positions=positions))
    refused(replace(network, positions={}))


@pytest.mark.parametrize("name", SMALL)
def test_refuses_every_renamed_channel(name: str) -> None:
    network = SMALL[name]()
    for index in range(len(network.inputs)):
        names = tuple("other" if i == index else old for i, old in enumerate(network.inputs))
        assert refused(replace(network, inputs=names)).entry["where"] == "inputs"  # type: ignore[index]
    for depth, layer in enumerate(network.layers):
        for index in range(len(layer.outputs)):
            names = tuple("other" if i == index else old for i, old in enumerate(layer.outputs))
            result = refused(with_layer(network, depth, replace(layer, outputs=names)))
            assert result.first_difference is None
            assert result.to_json()["first_difference"] is None
            assert result.to_json()["entry"]["stored"] == "other"


@pytest.mark.parametrize("name", SMALL)
def test_refuses_a_filter_given_to_another_channel(name: str) -> None:
    network = SMALL[name]()
    for depth, layer in enumerate(network.layers):
        for hidden in range(layer.width if len(layer.filters) > 1 else 0):
            changed = layer.filter_index.copy()
            changed[hidden] = (changed[hidden] + 1) % len(layer.filters)
            refused(with_layer(network, depth, replace(layer, filter_index=changed)))


PARAMETER_CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("gd-doubling-A", {"step_size": "1/11"}),
    ("gd-doubling-A", {"step_size": "-1/10"}),
    ("gd-doubling-A", {"n_steps": 4}),
    ("gd-doubling-A", {"n_steps": 3}),
    ("gd-doubling-A", {"form": "tight"}),
    ("gd-doubling-A", {"form": "none"}),
    ("gd-doubling-A", {"layout": "E"}),
    ("gd-doubling-S", {"layout": "E"}),
    ("gd-doubling-A", {"n_points": 3}),
    ("gd-doubling-A", {"n_dims": 1}),
    ("gd-doubling-A", {"colour": "red"}),
    ("heavy_ball", {"momentum": "1/3"}),
    ("heavy_ball", {"step_size": "1/8"}),
    ("chebyshev", {"lower": "1/8"}),
    ("chebyshev", {"upper": "2"}),
    ("newton-doubling", {"alpha": "1/8"}),
    ("newton-doubling", {"n_iters": 2}),
    ("newton-doubling", {"form": "residual"}),
    ("newton-refined", {"refinements": 0}),
    ("read", {"source": 0}),
    ("read", {"target": 3}),
    ("read", {"stop": 3}),
    ("linear", {"weight": [["1", "1/2"], ["0", "-2"]]}),
    ("linear", {"bias": None}),
    ("multiply", {"right": 0}),
    ("multiply", {"target": 0}),
]


@pytest.mark.parametrize(("name", "change"), PARAMETER_CHANGES, ids=str)
def test_refuses_every_changed_parameter(name: str, change: dict[str, Any]) -> None:
    network = SMALL[name]()
    refused(replace(network, parameters=network.parameters | change))


def test_refuses_a_missing_parameter_even_if_it_was_the_default() -> None:
    network = SMALL["gd-doubling-A"]()
    parameters = {name: value for name, value in network.parameters.items() if name != "layout"}
    result = refused(replace(network, parameters=parameters))
    assert result.entry is not None
    assert result.entry["where"] == "parameter layout"


def test_refuses_another_shape() -> None:
    network = SMALL["gd-doubling-A"]()
    assert refused(replace(network, mode="circular")).first_difference is not None
    for changed in (
        replace(network, n_rows=3),
        replace(network, layers=network.layers[:-1]),
        replace(network, layers=(*network.layers, network.layers[-1])),
        replace(network, inputs=(*network.inputs, "more")),
        replace(network, layers=()),
        replace(network, algorithm="magic"),
        replace(network, algorithm="gd"),
        replace(network, algorithm="heavy_ball"),
        replace(network, task=replace(network.task, layout="S")),  # type: ignore[type-var]
    ):
        assert refused(changed).entry is not None


def test_a_change_that_no_output_feels_is_named() -> None:
    """A tap beyond the last row: nothing reads it, and it is refused all the same."""
    network = SMALL["gd-doubling-A"]()
    (index,) = [i for i, filter in enumerate(network.layers[1].filters) if filter.tail]
    result = refused(with_filter(network, 1, index, Filter.of((1,) * network.n_rows, 7)))
    assert result.first_difference is None
    entry = result.to_json()["entry"]
    assert entry["where"] == "filter"
    assert entry["layer"] == 2
    assert entry["stored"] == {"head": ["1", "1"], "tail": "7"}
    assert entry["rebuilt"] == {"head": [], "tail": "1"}
    assert "every output is as claimed" in result.message


def test_a_difference_is_told_with_its_input() -> None:
    result = refused(with_weight(SMALL["linear"](), 0, "out", 0))
    found = result.to_json()["first_difference"]
    assert set(found) == {"output", "row", "input", "computed", "claimed"}
    assert found["row"] == 0
    assert f"output {found['output']} at row 0 is {found['computed']} instead of {found['claimed']}" in result.message
    assert "out (layer 1" in result.message


def test_counterexample_uses_small_integers() -> None:
    found = refused(with_weight(SMALL["gd-tight-A"](), 1, "out", 0)).first_difference
    assert found is not None
    assert max(abs(entry) for value in found["input"].values() for entry in np.ravel(value)) <= 2


def test_a_construction_that_is_wrong_itself_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Comparing with the rebuild alone would accept it: the proof must not."""
    good = SMALL["gd-gram-A"]()
    wrong = with_weight(good, 1, "out", 0)
    monkeypatch.setattr(checking, "rebuild", lambda algorithm, parameters: wrong)
    result = check(wrong)
    assert not result.ok
    assert result.entry is None
    assert result.first_difference is not None


def test_a_network_without_a_reference_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(network: Network) -> None:
        raise LookupError("no reference says what this computes")

    monkeypatch.setattr("precls_theory.checking.prove.claimed_majorant", missing)
    result = check(SMALL["read"]())
    assert not result.ok
    assert "no reference" in result.message


def test_a_recorded_error_bound_is_proved_again(tmp_path: Path) -> None:
    """Neither the bound nor the function shows in the weights, so the rebuild alone would accept any."""
    x = sp.Symbol("x")
    network = C.approximate(sp.exp(sp.sin(3 * x)), {x: (-1, 1)}, Fraction(1, 10**8))
    network.save(tmp_path / "network.safetensors")
    assert check(C.load(tmp_path / "network.safetensors")).ok
    bound = Fraction(network.parameters["error_bound"])
    for change, message in (
        ({"error_bound": str(bound / 2)}, "the recorded error bound is"),
        ({"label": "exp(sin(2*x))"}, "the recorded error bound is"),
        ({"label": "something else"}, "cannot be proved again"),
        ({"label": ""}, "cannot be proved again"),
    ):
        result = check(C.rebuild(network.algorithm, network.parameters | change))
        assert not result.ok
        assert message in result.message
        assert result.to_json()["entry"]["where"] == "parameter error_bound"


def test_symbolic_proof_can_refuse() -> None:
    network = SMALL["multiply"]()
    assert checking.prove_symbolically(network)
    assert not checking.prove_symbolically(with_weight(network, 0, "out", 0))


@pytest.mark.parametrize(
    "name", ["gd-residual-A", "gd-residual-E", "gd-residual-S", "gd-gram-A", "newton-refined", "read-circular"]
)
def test_the_other_mode_is_refused(name: str) -> None:
    """A causal network can be asked for what depends on later rows: the counterexample is looked for there too."""
    network = SMALL[name]()
    other: Any = "circular" if network.mode == "causal" else "causal"
    assert refused(replace(network, mode=other)).first_difference is not None


def test_degree_beyond_a_word_is_refused_too() -> None:
    network = C.gradient_descent(n_points=3, n_dims=2, n_steps=2**40, step_size="1/10")
    result = check(with_weight(network, 20, "out", 0))
    assert not result.ok
    assert result.first_difference is not None
    assert "(mod" in result.first_difference["computed"]


# --- Bytes --------------------------------------------------------------------------------------------------------


def flips(data: bytes) -> Iterator[bytes]:
    """The file with one byte changed: once to a random other value, once by one bit; every fifth byte but in deep runs."""
    source = random.Random(0)
    for place in range(0, len(data), 1 if DEEP else 5):
        for value in {source.randrange(1, 256), 1 << source.randrange(8)}:
            changed = bytearray(data)
            changed[place] ^= value
            yield bytes(changed)


@pytest.mark.parametrize("doublings", [900 if DEEP else 200])
def test_a_file_of_hundreds_of_doublings_is_checked(doublings: int, tmp_path: Path) -> None:
    """Degrees and heights grow beyond floats, and the primes with them (plans: tests of the residues)."""
    net = C.gradient_descent(n_points=1, n_dims=1, n_steps=2**doublings, step_size=Fraction(1, 10))
    net.save(tmp_path / "long.safetensors")
    result = check(C.load(tmp_path / "long.safetensors"))
    assert result.ok, result.message
    assert result.failure_probability_log2 is not None
    assert result.failure_probability_log2 <= -60
    assert not check(with_weight(net, 3, "out", 0, Fraction(1, 3))).ok


def test_a_degree_that_no_bound_covers_is_refused_in_words() -> None:
    net = C.gradient_descent(n_points=1, n_dims=1, n_steps=2**1100, step_size=Fraction(1, 10))
    assert check(net).message == "the degree of a network of depth 1102 is too large to bound"


@pytest.mark.parametrize("name", ["gd-doubling-A", "read"])
def test_every_changed_byte_is_refused_or_changes_nothing(name: str, tmp_path: Path) -> None:
    """Each flip fails to load, or is refused by the check, or leaves every stored value as it was.

    Of the last kind are the version of the package that wrote the file, and the blanks that pad its header.
    """
    network = SMALL[name]()
    data = dump(network)
    version = data.index(b'"precls":"') + len(b'"precls":"')
    header = 8 + int.from_bytes(data[:8], "little")
    path = tmp_path / "flipped.safetensors"
    counts = {"not loaded": 0, "refused": 0, "same": 0}
    for changed in flips(data):
        path.write_bytes(changed)
        try:
            loaded = C.load(path)
        except C.CorruptFileError:
            counts["not loaded"] += 1
            continue
        if fields(loaded) == fields(network):
            counts["same"] += 1
            place = next(i for i in range(len(data)) if changed[i] != data[i])
            assert version <= place < version + 20 or (data[place : place + 1] == b" " and place < header)
        else:
            counts["refused"] += 1
            assert not check(loaded).ok
    assert min(counts["not loaded"], counts["refused"], counts["same"]) > 0, counts
