"""``precls bench`` measures what it says, refuses a checkout that it cannot use, and draws its plot."""

from __future__ import annotations

import json
import textwrap

import pytest
import torch
from typer.testing import CliRunner

import constructions as C
from precls_theory import benchmarks
from precls_theory.cli.main import app

PEER = """
    import torch
    from torch import nn

    class Conv(nn.Module):
        def __init__(self, size, rows):
            super().__init__()
            self.conv = nn.Conv1d(size, size, rows, groups=size, padding=rows - 1)

        def forward(self, x):
            return self.conv(x.mT)[..., : x.shape[1]].mT

    class BaseConv(nn.Module):
        def __init__(self, d_model, l_max, conv_type, resid, causal):
            super().__init__()
            print("a module that prints")
            assert conv_type == "short" and causal and not resid
            self.in_proj, self.projection, self.out_proj = (nn.Linear(d_model, d_model) for _ in range(3))
            self.conv = Conv(d_model, l_max)

        def forward(self, u):
            return self.out_proj(self.conv(self.in_proj(u)) * self.projection(u))
"""


@pytest.fixture
def checkout(tmp_path):
    """A checkout with a module of the peer's interface, written for this test."""
    folder = tmp_path / "src" / "models" / "mixers"
    folder.mkdir(parents=True)
    (folder / "base_conv.py").write_text(textwrap.dedent(PEER))
    return tmp_path


def test_quick_bench_prints_one_document_and_a_plot(tmp_path, checkout):
    plot = tmp_path / "growth.png"
    arguments = ["bench", "--quick", "--json", "--plot", str(plot), "--peer", str(checkout)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert {"proof", "forward", "growth", "peer", "precls", "versions", "seconds"} <= set(document)
    assert all(row["gd_loop_over_network"] > 0 and row["network_over_lstsq"] > 0 for row in document["forward"])
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_a_layer_in_the_modules_of_the_peer_is_the_same_map(checkout):
    net = C.gradient_descent(n_points=3, n_dims=2, n_steps=1, step_size="1/2", layout="A", form="gram")
    base_conv = benchmarks.peer_base_conv(checkout)
    u = net.encode(*(value.double() for value in (torch.ones(3, 2), torch.arange(3.0), torch.ones(2))))
    size = max(net.width, len(net.inputs))
    state = torch.nn.functional.pad(u, (0, size - u.shape[-1])).unsqueeze(0)
    for layer in net.layers:
        state = benchmarks.as_peer_layer(base_conv, layer, net.n_rows, size).double()(state)
    assert torch.allclose(state[0, :, : len(net.outputs)], net.evaluate(u), atol=1e-12)


def test_a_folder_that_is_no_checkout_is_refused(tmp_path):
    result = CliRunner().invoke(app, ["bench", "--quick", "--peer", str(tmp_path)])
    assert result.exit_code == 1
    assert "no checkout" in result.stderr


@pytest.mark.parametrize("content", ["def broken(", "1 / 0", "class Other: pass"])
def test_a_broken_module_of_the_peer_is_refused(checkout, content):
    (checkout / "src" / "models" / "mixers" / "base_conv.py").write_text(content)
    with pytest.raises(benchmarks.PeerError, match="cannot be used"):
        benchmarks.peer_base_conv(checkout)


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (["--plot", "nowhere/growth.png"], "there is no folder nowhere", 1),
        (["--plot", "growth.xyz"], "ending in .png", 1),
        (["--device", "nowhere"], "not available", 2),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_measured(monkeypatch, arguments, words, code):
    monkeypatch.setattr(benchmarks, "proof_against_expand", lambda *sizes: pytest.fail("measured first"))
    result = CliRunner().invoke(app, ["bench", "--quick", "--json", *arguments])
    assert result.exit_code == code
    assert words in " ".join(result.stderr.replace("│", " ").split())
    if code == 1:
        assert words in json.loads(result.stdout)["error"]


def test_a_missing_package_of_the_peer_is_named(checkout):
    (checkout / "src" / "models" / "mixers" / "base_conv.py").write_text("import a_package_that_is_not_there\n")
    with pytest.raises(benchmarks.PeerError, match="a_package_that_is_not_there"):
        benchmarks.peer_base_conv(checkout)


def test_the_plain_loop_is_gradient_descent():
    A, b, x = benchmarks.problem(2, 4, 3, torch.float64, "cpu")
    net = C.gradient_descent(n_points=4, n_dims=3, n_steps=8, step_size=benchmarks.STEP_SIZE)
    assert torch.allclose(net.decode(net.evaluate(net.encode(A, b, x))), benchmarks.gd_loop(A, b, x, 8), atol=1e-12)
