"""Exact Transformers and BaseConv networks are one world: task, claim, reference, files, checks, lowering, commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from typer.testing import CliRunner

import constructions as C
from constructions.files.writing import dump
from constructions.transformers.exact import ExactTransformer
from precls_theory.checking.check import check
from precls_theory.cli.main import app

SIZES: dict[str, Any] = {"n_points": 2, "n_dims": 1, "step_size": "1/3"}
TRANSFORMERS: dict[str, Callable[[], ExactTransformer]] = {
    "gated gd": lambda: C.gated_gradient_descent(**SIZES, n_steps=2, gate="geglu"),
    "gated multiply": lambda: C.gated_multiply(n_rows=2, n_channels=3, left=0, right=1, target=2),
    "gated multiply, added": lambda: C.gated_multiply(
        n_rows=2, n_channels=3, left=0, right=1, target=2, clear=False, gate="bilinear", mask="full"
    ),
    "step": lambda: C.linear_attention_gradient_descent(**SIZES, n_steps=2),
    "step in layout E": lambda: C.linear_attention_gradient_descent(**SIZES, layout="E"),
    "ternary": lambda: C.linear_attention_gradient_descent(**SIZES, n_steps=3, form="ternary"),
    "causal": lambda: C.linear_attention_gradient_descent(**SIZES, n_steps=3, form="causal"),
    "multiply": lambda: C.linear_attention_multiply(n_rows=2, n_channels=2, left=0, right=1, target=0),
}


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_round_trip_and_check(name: str, tmp_path: Path) -> None:
    network, path = TRANSFORMERS[name](), tmp_path / "network.safetensors"
    network.save(path)
    loaded = C.load(path)
    assert loaded == network
    assert hash(loaded) == hash(network)
    assert dump(loaded) == path.read_bytes()
    assert check(loaded).ok


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_every_changed_weight_is_refused(name: str) -> None:
    network = TRANSFORMERS[name]()
    for number, block in enumerate(network.blocks):
        for part, piece in enumerate(block.parts()):
            for kind, sparse in piece.maps().items():
                broken = network.with_weight(number, part, kind, sparse.weights[-1] + 1, sparse.n_nonzero - 1)
                found = check(broken, seed=1)
                assert not found.ok
                assert found.entry is not None
                assert broken != network


def test_a_difference_comes_with_an_input_that_shows_it() -> None:
    network = TRANSFORMERS["step"]()
    broken = network.with_weight(1, 0, "value", Fraction(1, 7))
    found = check(broken, seed=3).first_difference
    assert found is not None
    given = {name: np.array(value, dtype=object) for name, value in found["input"].items()}
    output = broken.evaluate(broken.encode(**given))[found["row"]]
    assert str(output[broken.outputs.index(found["output"])]) == found["computed"] != found["claimed"]


@pytest.mark.parametrize(("key", "value", "message"), [
    ("mask", "sideways", "mask is 'sideways'"), ("gate", "relu", "gate is 'relu'"), ("n_inputs", "99", "n_inputs is '99'"),
    ("attention", "softmax", "other attention"), ("blocks", "[]", "blocks must be"), ("channels", "[]", "channels must be"),
    ("blocks", '[[{"scores":2147483647}]]', "larger than what is stored"), ("format_version", "1", "metadata"),
    ("format_version", "9", "format version is '9', expected 1 or 2"), ("parameters", '{"n_points":2}', "do not rebuild"),
])  # fmt: skip
def test_a_damaged_transformer_is_refused_in_words(key: str, value: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    C.linear_attention_gradient_descent(**SIZES).save(path)
    with safe_open(path, framework="numpy") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, path, metadata | {key: value})
    with pytest.raises(C.CorruptFileError, match=message):
        C.load(path)


def test_lowering_raises_on_overflow() -> None:
    for network in (C.linear_attention_gradient_descent(**SIZES | {"step_size": 10**60}),
                    C.gated_gradient_descent(**SIZES | {"step_size": 10**60})):  # fmt: skip
        with pytest.raises(OverflowError, match=r"10\^\d+ overflows torch.float32"):
            network.to_torch(dtype=torch.float32)
        network.to_torch(dtype=torch.float64)


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_the_same_methods(name: str) -> None:
    network = TRANSFORMERS[name]()
    task = network.task
    rng = np.random.default_rng(0)
    u = np.zeros((network.n_rows, len(network.inputs)), dtype=object)
    for at in task.free_channels:
        u[at] = int(rng.integers(-2, 3))
    exact = network.decode(network.evaluate(u)).astype(float)
    tensor = torch.tensor(u.astype(float))
    np.testing.assert_allclose(network.decode(network.evaluate(tensor)).numpy(), exact, atol=1e-9)
    np.testing.assert_allclose(network.decode(network.to_torch()(tensor[None, None]))[0, 0].numpy(), exact, atol=1e-9)
    polynomials = np.array(network.polynomials(), dtype=object)
    assert polynomials.shape == exact.shape
    assert network.algorithm in repr(network)
    with pytest.raises(ValueError, match="the network reads"):
        network.to_torch()(tensor[:, :1] if tensor.shape[1] > 1 else tensor[:1])
    with pytest.raises(TypeError, match=r"lowered to torch\.float64"):
        network.to_torch()(tensor.float())


def test_build_and_check_from_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    for arguments in (
        ["gated_gradient_descent", "--n-points", "2", "--n-dims", "1", "--n-steps", "1", "--gate", "reglu"],
        ["gated_multiply", *["--n-rows", "1", "--n-channels", "2", "--left", "0", "--right", "1", "--target", "0"]],
        [
            "linear_attention_gradient_descent",
            *["--n-points", "2", "--n-dims", "1", "--form", "ternary", "--n-steps", "3"],
        ],
        [
            "linear_attention_multiply",
            *["--n-rows", "2", "--n-channels", "2", "--left", "0", "--right", "1", "--target", "0"],
        ],
    ):
        result = CliRunner().invoke(app, ["build", *arguments, "-o", str(path)])
        assert result.exit_code == 0, result.stderr
        result = CliRunner().invoke(app, ["check", str(path), "--json"])
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout)["algorithm"] == arguments[0]


def test_equal_networks_are_equal() -> None:
    first = C.gradient_descent(n_points=2, n_dims=1, n_steps=2, step_size="0.1")
    again = C.gradient_descent(n_points=2, n_dims=1, n_steps=2, step_size=Fraction(1, 10))
    assert first == again
    assert len({first, again}) == 1
    assert first != C.gradient_descent(n_points=2, n_dims=1, n_steps=2, step_size="1/9")
    assert first != replace(first, algorithm="newton")  # the same weights, another claim
    assert first != replace(first, parameters=first.parameters | {"n_steps": 4})
    assert first != "something else"
    assert len(repr(first.layers[0])) < 120
    assert len(repr(first.layers[0].conv)) < 80


def test_values_of_encode_by_name() -> None:
    network = C.gradient_descent(n_points=2, n_dims=1, n_steps=2, step_size=1)
    A, b = [[1], [2]], [3, 4]
    assert (network.encode({"A": A, "b": b}) == network.encode(A, b)).all()
    with pytest.raises(TypeError, match=r"takes encode\(A, b, x_init\)"):
        network.encode(A, b, C=1)
    with pytest.raises(TypeError, match=r"takes encode\(A, b, x_init\): got a dictionary of A, y"):
        network.encode({"A": A, "y": b})
    function = C.reciprocal(low=1, high=2, n_iters=1)
    assert function.encode({"x": Fraction(3, 2)}) == function.encode([Fraction(3, 2)])
    with pytest.raises(ValueError, match="a value for each of x"):
        function.encode({"y": 1})


def test_what_is_no_baseconv_network_is_refused_in_words() -> None:
    with pytest.raises(TypeError, match="starts from an exact BaseConv network, got ExactTransformer"):
        C.BaseConvModel.from_network(TRANSFORMERS["step"]())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="got function"):
        C.BaseConvModel.from_network(lambda u: u)  # type: ignore[arg-type]
    network = C.gradient_descent(n_points=2, n_dims=1, n_steps=2, step_size=1)
    for refuse in (network.to_torch, lambda dtype: C.BaseConvModel.from_network(network, dtype)):
        with pytest.raises(ValueError, match=r"lowered to a floating-point dtype .*float8"):
            refuse(torch.float8_e4m3fn)
    huge = C.read(n_rows=2**20, n_channels=400, source=0, target=1, start=0, stop=1)
    with pytest.raises(MemoryError, match=r"has [\d,]+ parameters in .*: [\d,.]+ GiB are needed"):
        C.BaseConvModel.from_network(huge.__class__(**vars_of(huge)))


def vars_of(network: Any) -> dict[str, Any]:
    """The fields of a network with its layer a thousand times."""
    fields = {name: getattr(network, name) for name in network.__dataclass_fields__}
    return fields | {"layers": network.layers * 1000}


@pytest.mark.parametrize("name", ["step", "gated gd"])
def test_a_second_rounding_is_refused(name: str) -> None:
    baseconv = C.gradient_descent(n_points=2, n_dims=1, n_steps=2, step_size="1/3")
    for network in (TRANSFORMERS[name](), baseconv):
        model = network.to_torch()
        assert model.double() is model
        assert model.to("cpu") is model
        for change in (model.float, model.half, torch.nn.Sequential(model).float, lambda m=model: m.to(torch.bfloat16)):
            with pytest.raises(TypeError, match=r"rounded to torch\.float64 once.*to_torch\(dtype="):
                change()
        other = network.to_torch(dtype=torch.float32)
        with pytest.raises(TypeError, match=r"in torch\.float64, and this network was lowered to torch\.float32"):
            other.load_state_dict(model.state_dict())
        model.load_state_dict(network.to_torch().state_dict())


def test_decode_takes_outputs_alone() -> None:
    for network in (C.gradient_descent(n_points=2, n_dims=1, n_steps=2, step_size=1), TRANSFORMERS["step"]()):
        u = network.encode([[1], [2]], [3, 4], [0])
        with pytest.raises(ValueError, match="is it the input"):
            network.decode(u)
        with pytest.raises(ValueError, match="decode takes the output of this network"):
            network.decode(np.zeros((2, 7)))
        with pytest.raises(ValueError, match="got list"):
            network.decode([1, 2])
        network.decode(network.evaluate(u))
