"""Files of networks: exact round trips, equal bytes, and a clear error for anything else."""

from __future__ import annotations

import json
import os
import pickle
import random
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.networks import SMALL, fields, with_weight
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

import constructions as C
from constructions.algebra.filters import Filter
from constructions.algebra.rationals import read_rational, write_rational
from constructions.files.writing import dump, save
from constructions.networks.construction import CONSTRUCTIONS
from constructions.networks.layer import MAX_ROWS
from constructions.networks.network import Network

Tensors = dict[str, np.ndarray]
Metadata = dict[str, str]


@pytest.mark.parametrize("name", SMALL)
def test_round_trip(name: str, tmp_path: Path) -> None:
    network = SMALL[name]()
    network.save(tmp_path / "network.safetensors")
    loaded = C.load(tmp_path / "network.safetensors")
    assert fields(loaded) == fields(network)
    assert dump(loaded) == dump(network) == (tmp_path / "network.safetensors").read_bytes()


@given(
    step=st.fractions(max_denominator=10**40),
    layout=st.sampled_from("AES"),
    form=st.sampled_from(["tight", "gram", "residual"]),
    n_steps=st.integers(1, 4),
    size=st.tuples(st.integers(1, 3), st.integers(1, 2)),
)
def test_round_trip_of_any_rational(
    tmp_path_factory: pytest.TempPathFactory,
    step: Fraction,
    layout: Any,
    form: Any,
    n_steps: int,
    size: tuple[int, int],
) -> None:
    path = tmp_path_factory.mktemp("networks") / "network.safetensors"
    network = C.gradient_descent(
        n_points=size[0], n_dims=size[1], n_steps=n_steps, step_size=step, form=form, layout=layout
    )
    save(network, str(path))
    assert fields(C.load(path)) == fields(network)


def test_rationals_longer_than_python_converts(tmp_path: Path) -> None:
    """Weights beyond the 4300 digits at which ``int(text)`` stops."""
    huge = Fraction(3**20000 + 1, 7**9000)
    network = with_weight(SMALL["gd-gram-A"](), 1, "out", 0, huge)
    network.save(tmp_path / "huge.safetensors")
    assert fields(C.load(tmp_path / "huge.safetensors")) == fields(network)
    assert read_rational(write_rational(huge)) == huge


@given(st.fractions())
def test_rational_text(value: Fraction) -> None:
    assert write_rational(value) == str(value)
    assert read_rational(write_rational(value)) == value


@pytest.mark.parametrize(
    "text", ["2/4", "1/0", "-0", "+1", "01", "1/01", "1/-2", " 1", "1.5", "1e3", "", "1/", None, 3, "٣"]
)
def test_rational_text_has_one_spelling(text: Any) -> None:
    with pytest.raises(ValueError, match=r"rational|lowest"):
        read_rational(text)


def test_bytes_do_not_depend_on_the_process(tmp_path: Path) -> None:
    code = (
        "import sys, constructions as C; "
        "C.gradient_descent(n_points=3, n_dims=2, n_steps=5, step_size='1/10', form='tight').save(sys.argv[1])"
    )
    for seed in ("1", "2"):
        path = tmp_path / f"{seed}.safetensors"
        subprocess.run([sys.executable, "-c", code, path], check=True, env={**os.environ, "PYTHONHASHSEED": seed})
    assert (tmp_path / "1.safetensors").read_bytes() == (tmp_path / "2.safetensors").read_bytes()


def test_a_repeated_layer_is_stored_once() -> None:
    sizes = {m: len(dump(C.gradient_descent(n_points=3, n_dims=3, n_steps=2**m, step_size="1/10"))) for m in (4, 5, 40)}
    assert sizes[5] - sizes[4] < 50
    assert sizes[40] - sizes[4] < 400


def test_size_is_proportional_to_the_nonzeros() -> None:
    network = C.gradient_descent(n_points=200, n_dims=20, n_steps=1024, step_size=Fraction(1, 10))
    assert len(dump(network)) < 4 * network.n_nonzero


def test_loaded_network_computes(tmp_path: Path) -> None:
    network = C.gradient_descent(n_points=3, n_dims=2, n_steps=4, step_size="1/10")
    network.save(tmp_path / "gd.safetensors")
    loaded = C.load(tmp_path / "gd.safetensors")
    A, b = np.array([[1, 2], [3, -1], [0, 1]]), np.array([1, 0, 2])
    assert (
        loaded.decode(loaded.evaluate(loaded.encode(A, b))) == network.decode(network.evaluate(network.encode(A, b)))
    ).all()


# --- Saving -------------------------------------------------------------------------------------------------------


def test_save_refuses_what_it_could_not_rebuild(tmp_path: Path) -> None:
    network = SMALL["linear"]()
    with pytest.raises(ValueError, match=r"algorithm 'mystery'.*gradient_descent"):
        replace(network, algorithm="mystery").save(tmp_path / "x")
    with pytest.raises(ValueError, match=f"at most {MAX_ROWS}"):
        replace(network, n_rows=MAX_ROWS + 1).save(tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_save_to_a_path_that_cannot_be_written(tmp_path: Path) -> None:
    network = SMALL["linear"]()
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*missing"):
        network.save(tmp_path / "missing" / "x.safetensors")
    with pytest.raises(IsADirectoryError, match="it is a folder"):
        network.save(tmp_path)


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "network.safetensors"
    path.write_bytes(b"what was there before")

    def full_disk(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("constructions.files.output.os.fsync", full_disk)
    with pytest.raises(OSError, match=r"cannot write .*No space left"):
        SMALL["linear"]().save(path)
    assert path.read_bytes() == b"what was there before"
    assert list(tmp_path.iterdir()) == [path]


# --- Foreign and damaged files ------------------------------------------------------------------------------------


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no file"):
        C.load(tmp_path / "missing.safetensors")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        C.load(tmp_path)


def _write_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"weights": [1, 2, 3]}))


def _write_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.pkl", b"x")


FOREIGN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "empty or cut off"),
    "text": (lambda path: path.write_text("a,b\n1,2\n" * 20), "not a safetensors file"),
    "random": (lambda path: path.write_bytes(random.Random(0).randbytes(5000)), "not a safetensors file"),
    "pickle": (_write_pickle, "zip archive or a pickle"),
    "zip": (_write_zip, "zip archive or a pickle"),
    "torch.save": (lambda path: torch.save({"w": torch.ones(2)}, path), "zip archive or a pickle"),
    "other tool": (lambda path: save_file({"w": np.ones(3)}, path), "of another tool"),
    "other format": (
        lambda path: save_file({"w": np.ones(3)}, path, {"format": "pt"}),
        r"another tool \(format 'pt'\)",
    ),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_foreign_files(kind: str, tmp_path: Path) -> None:
    write, message = FOREIGN[kind]
    write(tmp_path / "file")
    with pytest.raises(C.CorruptFileError, match=message):
        C.load(tmp_path / "file")


def test_truncated_anywhere(tmp_path: Path) -> None:
    data = dump(SMALL["gd-doubling-A"]())
    path = tmp_path / "cut.safetensors"
    for length in [*range(0, len(data), 37), len(data) - 1]:
        path.write_bytes(data[:length])
        with pytest.raises(C.CorruptFileError):
            C.load(path)


def parts(network: Network, folder: Path) -> tuple[Tensors, Metadata]:
    """The tensors and metadata of the network's file."""
    network.save(folder / "whole.safetensors")
    with safe_open(folder / "whole.safetensors", framework="numpy") as file:
        return {name: file.get_tensor(name).copy() for name in file.keys()}, dict(file.metadata())  # noqa: SIM118


def _set(name: str, value: Any) -> Callable[[Tensors, Metadata], Any]:
    def change(tensors: Tensors, metadata: Metadata) -> None:
        if isinstance(value, str):
            metadata[name] = value
        elif isinstance(value, np.ndarray):
            tensors[name] = value
        else:
            tensors[name] = np.ascontiguousarray(value(tensors[name]), dtype=tensors[name].dtype)

    return change


def _drop(name: str) -> Callable[[Tensors, Metadata], Any]:
    return lambda tensors, metadata: tensors.pop(name, None) if name in tensors else metadata.pop(name)


def _pool(edit: Callable[[list[Any]], Any]) -> Callable[[Tensors, Metadata], Any]:
    def change(tensors: Tensors, metadata: Metadata) -> None:
        text = json.dumps(edit(json.loads(tensors["pool"].tobytes())))
        tensors["pool"] = np.frombuffer(text.encode(), dtype=np.uint8)

    return change


def _parameters(**changes: Any) -> Callable[[Tensors, Metadata], Any]:
    def change(tensors: Tensors, metadata: Metadata) -> None:
        metadata["parameters"] = json.dumps(json.loads(metadata["parameters"]) | changes)

    return change


DAMAGE: dict[str, tuple[Callable[[Tensors, Metadata], Any], str]] = {
    "version": (_set("format_version", "7"), "format version is '7', expected 1 or 2"),
    "missing key": (_drop("mode"), "missing or unexpected metadata: 'mode'"),
    "extra key": (_set("author", "x"), "missing or unexpected metadata: 'author'"),
    "n_rows word": (_set("n_rows", "two"), "n_rows is 'two'"),
    "n_rows zero": (_set("n_rows", "0"), "n_rows is '0'"),
    "n_rows absurd": (_set("n_rows", "9" * 5000), "n_rows is .*5002 characters"),
    "n_rows other": (_set("n_rows", "3"), "it has 3 rows, its parameters say 2"),
    "mode": (_set("mode", "acausal"), "mode is 'acausal'"),
    "inputs json": (_set("inputs", "["), "inputs is not valid JSON"),
    "inputs type": (_set("inputs", '["a", 3]'), "inputs must be a non-empty list of channel names"),
    "inputs repeat": (_set("inputs", '["a", "a", "b", "c", "d"]'), "inputs repeat a channel name"),
    "inputs fewer": (_set("inputs", '["a"]'), "must lie in 0..1"),
    "outputs empty": (_set("outputs", "[]"), "outputs must be a non-empty list"),
    "outputs more": (_set("outputs", '[["x"], ["y"], ["z"], ["w"], ["v"]]'), "missing tensors: layer.3"),
    "parameters list": (_set("parameters", "[]"), "parameters must be an object"),
    "parameters nested": (_set("parameters", "[" * 100000), "parameters is not valid JSON"),
    "parameters repeat": (_set("parameters", '{"n_dims":2,"n_dims":2}'), "a key occurs twice"),
    "parameters float": (_set("parameters", '{"step_size":0.1}'), "0.1 is not an exact number"),
    "parameters NaN": (_set("parameters", '{"step_size":NaN}'), "NaN is not an exact number"),
    "parameters unfit": (_parameters(layout="Q"), "do not rebuild: layout must be one of"),
    "parameters unknown": (_parameters(colour="red"), "do not rebuild: .*colour"),
    "algorithm": (_set("algorithm", "magic"), "do not rebuild: unknown algorithm 'magic'"),
    "missing tensor": (_drop("layer.0.gate.rows"), "missing tensors: layer.0.gate.rows"),
    "extra tensor": (_set("extra", np.zeros(1, np.int32)), "unexpected tensors: 'extra'"),
    "dtype": (_set("order", np.zeros(4, np.int64)), "'order' has dtype I64, expected I32"),
    "float weights": (_set("layer.0.out.weights", np.zeros(4)), "has dtype F64, expected I32"),
    "shape": (_set("order", np.zeros((2, 2), np.int32)), "not one-dimensional: order"),
    "order range": (_set("order", lambda t: t + 7), "order must name every stored layer"),
    "order chain": (_set("order", lambda t: t[:2]), "order must name every stored layer"),
    "order again": (_set("order", lambda t: [0, *t]), "is used after layers of"),
    "index range": (_set("layer.1.conv.columns", lambda t: t + 1000), r"layer.1.conv.columns must lie in 0\.\."),
    "negative index": (_set("layer.1.conv.rows", lambda t: t - 1), r"layer.1.conv.rows must lie in 0\.\."),
    "weight index": (_set("layer.1.out.weights", lambda t: t + 1000), r"layer.1.out.weights must lie in 0\.\."),
    "lengths": (_set("layer.1.out.weights", lambda t: t[:-1]), "rows, columns and weights differ in length"),
    "unsorted": (_set("layer.1.out.rows", lambda t: t[::-1]), "entries are not sorted"),
    "filter range": (_set("layer.0.filter_index", lambda t: t + 5), "filter_index must lie in"),
    "filter unused": (_set("layer.0.filter_index", lambda t: t * 0), "a stored filter is not used"),
    "filter starts": (_set("layer.0.filters.starts", lambda t: t + 1), "do not divide the"),
    "filter heads": (_set("layer.0.filters.heads", lambda t: t - 100), "filters.heads must lie in"),
    "pool bytes": (_set("pool", np.frombuffer(b"\xff\xfe[", np.uint8)), "pool of rational numbers"),
    "pool spacing": (_set("pool", lambda t: [*t[:-1], 32, t[-1]]), "unusual spacing"),
    "pool object": (_pool(lambda texts: {"a": 1}), "expected a list of numbers"),
    "pool float": (_pool(lambda texts: [0.5, *texts]), "0.5 is not a rational number"),
    "pool order": (_pool(lambda texts: texts[::-1]), "the numbers must increase"),
    "pool terms": (_pool(lambda texts: [*texts[:-1], "6/3"]), "not in lowest terms"),
    "pool unused": (_pool(lambda texts: [*texts, "1000000"]), "1 numbers of the pool are not used"),
    "huge n_dims": (_parameters(n_dims=10**9), "parameter n_dims is 1000000000: too large"),
    "huge n_points": (_parameters(n_points=10**12), "parameter n_points is .* too large"),
    "huge n_steps": (_parameters(n_steps=2**100), "parameter n_steps is .* too large"),
    "huge digits": (_parameters(n_steps=10**4000), "an integer of 4001 digits: too large"),
    "gram n_steps": (_parameters(form="gram", n_steps=10**6), "parameter n_steps is 1000000: too large"),
    "huge exponent": (_parameters(step_size="1e999999999"), "its exponent is too large"),
    "negative": (_parameters(n_dims=-(10**9)), "too large"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGE)
def test_inconsistent_files(kind: str, tmp_path: Path) -> None:
    change, message = DAMAGE[kind]
    tensors, metadata = parts(SMALL["gd-doubling-A"](), tmp_path)
    change(tensors, metadata)
    save_file(tensors, tmp_path / "changed.safetensors", metadata)
    with pytest.raises(C.CorruptFileError, match=message):
        C.load(tmp_path / "changed.safetensors")


def test_a_count_of_an_unknown_kind_is_bounded_too(tmp_path: Path) -> None:
    network = C.published_block(n_points=2, n_dims=1, n_applications=2, step_size="1/10")
    tensors, metadata = parts(network, tmp_path)
    _parameters(n_applications=10**6)(tensors, metadata)
    save_file(tensors, tmp_path / "changed.safetensors", metadata)
    with pytest.raises(C.CorruptFileError, match="n_applications is 1000000: too large"):
        C.load(tmp_path / "changed.safetensors")


def test_unchanged_parts_load(tmp_path: Path) -> None:
    """The rewriting that the test above relies on is not itself the damage."""
    network = SMALL["gd-doubling-A"]()
    tensors, metadata = parts(network, tmp_path)
    save_file(tensors, tmp_path / "changed.safetensors", metadata)
    assert fields(C.load(tmp_path / "changed.safetensors")) == fields(network)


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    tensors, metadata = parts(SMALL["gd-doubling-A"](), tmp_path)
    metadata["mode"], metadata["n_rows"] = "no", "none"
    tensors["extra"] = np.zeros(1, np.int32)
    save_file(tensors, tmp_path / "changed.safetensors", metadata)
    with pytest.raises(C.CorruptFileError) as error:
        C.load(tmp_path / "changed.safetensors")
    for part in ("mode is 'no'", "n_rows is 'none'", "unexpected tensors"):
        assert part in str(error.value)


def test_filters_must_be_canonical_and_distinct(tmp_path: Path) -> None:
    network = SMALL["gd-doubling-A"]()
    filters = network.layers[0].filters
    for bad, message in (
        (Filter((Fraction(1), Fraction(0)), Fraction(0)), "not in canonical form"),
        (filters[1], "a filter is stored twice"),
    ):
        layer = replace(network.layers[0], filters=(bad, *filters[1:]))
        replace(network, layers=(layer, *network.layers[1:])).save(tmp_path / "bad.safetensors")
        with pytest.raises(C.CorruptFileError, match=message):
            C.load(tmp_path / "bad.safetensors")


def test_a_stored_zero_is_refused(tmp_path: Path) -> None:
    network = SMALL["gd-doubling-A"]()
    weight = network.layers[1].out.weights[0]
    with_weight(network, 1, "out", 0, -weight).save(tmp_path / "zero.safetensors")
    with pytest.raises(C.CorruptFileError, match="a stored weight is zero"):
        C.load(tmp_path / "zero.safetensors")


def test_a_changed_weight_is_loaded_as_it_is(tmp_path: Path) -> None:
    """Loading reports what is stored; judging it is the checker's work."""
    changed = with_weight(SMALL["gd-doubling-A"](), 1, "out", 0)
    changed.save(tmp_path / "changed.safetensors")
    assert fields(C.load(tmp_path / "changed.safetensors")) == fields(changed)


def test_every_construction_of_the_gallery_is_registered() -> None:
    assert {SMALL[name]().algorithm for name in SMALL} <= set(CONSTRUCTIONS)
