"""Trained models and exact Transformers, measured layer by layer against enclosures of what their floats say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import flint
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import constructions as C
from constructions.algebra.rings import FMPQ
from constructions.models.baseconv import BaseConvModel
from constructions.models.exact_weights import exact_network
from constructions.models.transformer import Transformer
from precls_theory.cli.main import app
from precls_theory.precision import measure
from precls_theory.precision.exact import to_ring
from precls_theory.precision.trained import balls, trained_states
from precls_theory.training.runs import Run, RunSettings

KINDS: dict[str, dict[str, Any]] = {
    "as published": {"norm": "layer", "final_norm": True, "positions": "learned"},
    "rotary, swiglu, rms": {"norm": "rms", "positions": "rotary", "mlp": "swiglu"},
    "alibi, geglu, post": {"norm": "layer", "norm_placement": "post", "positions": "alibi", "mlp": "geglu", "mask": "full"},
    "linear, gelu": {"attention": "linear", "mlp": "gelu", "mask": "strict"},
    "silu, glu": {"attention": "none", "mlp": "glu"},
}  # fmt: skip


def transformer(kind: str) -> Transformer:
    torch.manual_seed(3)
    return Transformer(n_in=3, n_out=2, width=8, depth=2, n_rows=5, n_heads=2, **KINDS[kind])


def baseconv(mode: Any = "causal", branch_weights: bool = False) -> BaseConvModel:
    torch.manual_seed(4)
    model = BaseConvModel(6, (3, 3, 3), (4, 5), mode, branch_weights)
    for layer in model.layers:
        torch.nn.init.normal_(layer.conv_bias)  # type: ignore[arg-type]
    torch.nn.init.normal_(model.positions)
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_transformers_of_every_kind_are_at_their_rounding_error(kind: str) -> None:
    model = transformer(kind)
    u = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    found = measure(model, u)
    assert len(found.layers) == 3  # two blocks and the read-out
    assert all(layer["weights"].largest == 0 for layer in found.layers)
    assert 0 < found.results["total"].largest < 1e-5
    wide = measure(model.double(), u.double())
    assert 0 < wide.results["total"].largest < 1e-14
    assert list(wide.outputs) == ["y[0]", "y[1]"]
    largest = [output["total"].largest for output in wide.outputs.values()]
    assert max(largest) == wide.results["total"].largest


@pytest.mark.parametrize("mode", ["causal", "circular"])
@pytest.mark.parametrize("branch_weights", [False, True])
def test_the_enclosure_of_a_trained_model_holds_what_it_is_over_q(mode: Any, branch_weights: bool) -> None:
    """The one evaluator, over Q, on the model as an exact network: other code for the same function."""
    model = baseconv(mode, branch_weights)
    like = C.gradient_descent(n_points=5, n_dims=2, n_steps=1, step_size=1, layout="E", form="gram")
    network = exact_network(model, like)
    u = np.random.default_rng(0).standard_normal((2, 6, 3))
    exact = network.evaluate(to_ring(u, FMPQ))
    *_, last = trained_states(model, balls(u))
    assert all(ball.overlaps(flint.arb(value)) for ball, value in zip(last.flat, exact.flat, strict=True))
    assert max(float(ball.rad()) for ball in last.flat) < 1e-10
    moved = exact + flint.fmpq(1, 10**6)
    assert not any(ball.overlaps(flint.arb(value)) for ball, value in zip(last.flat, moved.flat, strict=True))


def test_weights_are_rounded_in_another_format_alone() -> None:
    model = baseconv().double()
    with torch.no_grad():
        for parameter in model.parameters():  # drawn in float32, which a factor of a third takes them out of
            parameter /= 3
    u = torch.randn(3, 6, 3, generator=torch.Generator().manual_seed(1))
    own = measure(model, u.double())
    assert own.results["weights"].largest == 0
    narrow = measure(model, u)
    e = narrow.errors
    assert 0 < narrow.results["weights"].largest < 1e-5
    assert np.allclose(e["weights"] + e["arithmetic"], e["total"], rtol=1e-6, atol=1e-30)


def test_an_fft_is_a_share_of_its_own() -> None:
    model = baseconv()
    u = torch.randn(3, 6, 3, generator=torch.Generator().manual_seed(1))
    found = measure(model, u, convolution="fft")
    e = found.errors
    assert np.allclose(e["weights"] + e["arithmetic"] + e["convolution"], e["total"], rtol=1e-6, atol=1e-30)
    assert 0 < found.results["convolution"].largest < 1e-4
    for wrong, convolution in ((model, "prefix"), (transformer("linear, gelu"), "fft")):
        with pytest.raises(ValueError, match="no filters that run by"):
            measure(wrong, u[:, :5] if wrong is not model else u, convolution=convolution)  # type: ignore[arg-type]


def test_what_training_left_is_the_truncation() -> None:
    model = baseconv()
    u = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(2))
    found = measure(model, u, target=np.zeros((2, 6, 3)))
    outputs = model(u).detach().double().numpy()
    gap = found.errors["truncation"] + found.errors["total"] - outputs
    assert np.abs(gap).max() < 1e-15


@pytest.mark.parametrize("softmax", [False, True])
def test_exact_transformers_by_block(softmax: bool) -> None:
    make: Any = C.gated_gradient_descent if softmax else C.linear_attention_gradient_descent
    network = make(n_points=6, n_dims=2, n_steps=2, step_size="1/10")
    rng = np.random.default_rng(0)
    A, b = rng.standard_normal((3, 6, 2)), rng.standard_normal((3, 6))
    u = network.encode(torch.tensor(A, dtype=torch.float32), torch.tensor(b, dtype=torch.float32))
    found = measure(network, u)
    e = found.errors
    assert len(found.layers) == network.depth
    assert np.allclose(e["weights"] + e["arithmetic"], e["total"], rtol=1e-6, atol=1e-30)
    assert 0 < found.results["weights"].largest < 1e-5  # a tenth is no float
    assert found.results["truncation"].largest > found.results["total"].largest
    # the last state is what the network itself gives
    computed = network.decode(network.to_torch(torch.float32)(u)).double().numpy()
    exact = network.decode(network.evaluate(to_ring(u.double().numpy(), FMPQ)))
    gaps = computed - np.vectorize(float)(exact)
    assert np.abs(gaps - e["total"][:, 0]).max() < 1e-12
    with pytest.raises(ValueError, match="no convolutions"):
        measure(network, u, convolution="fft")


def test_other_things_are_refused() -> None:
    with pytest.raises(TypeError, match="BaseConvModel and Transformer"):
        measure(torch.nn.Linear(2, 2), torch.zeros(1, 2, 2))
    with pytest.raises(ValueError, match="shape"):
        measure(baseconv(), torch.zeros(1, 6, 2))
    with pytest.raises(ValueError, match="NaN"):
        measure(baseconv(), torch.full((1, 6, 3), float("nan")))


def test_the_command_shows_where_the_digits_go(tmp_path: Path) -> None:
    file = tmp_path / "net.safetensors"
    C.linear_attention_gradient_descent(n_points=4, n_dims=2, n_steps=1, step_size="1/10").save(file)
    found = CliRunner().invoke(app, ["precision", "--network", str(file), "--quick", "--json"])
    assert found.exit_code == 0, found.output
    cases = json.loads(found.stdout)["cases"]
    assert {(case["dtype"], case["at"], case["name"]) for case in cases} >= {
        ("float32", "layer", "1"), ("float64", "result", "x[0]"), ("float64", "results", "all")
    }  # fmt: skip
    assert all({"total", "weights", "arithmetic"} <= set(case) for case in cases)
    run = RunSettings("explicit_gradient", "baseconv", "adam", 4, 2, "float32")
    Run.start(tmp_path / "run", run).save()
    shown = CliRunner().invoke(app, ["precision", "--network", str(tmp_path / "run"), "--convolution", "fft"])
    assert shown.exit_code == 0, shown.output
    assert "convolution" in shown.output
    assert CliRunner().invoke(app, ["precision", "--network", str(file), "--convolution", "fft"]).exit_code == 1
    assert CliRunner().invoke(app, ["precision", "--convolution", "fft"]).exit_code == 2
