"""Every finding shows what it says, here and now, and the command draws it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import constructions as C
from precls_theory.cli.main import app
from precls_theory.precision import measure
from precls_theory.precision.convolution import ALGORITHMS, with_convolution
from precls_theory.precision.findings import FINDINGS, reproduce, series

IN_THE_NOTEBOOK = {"null-space", "condition"}
"""Run and asserted by notebook 09, as all are: too long to be run twice."""


@pytest.mark.parametrize("name", [n for n, f in FINDINGS.items() if not f.needs_cuda and n not in IN_THE_NOTEBOOK])
def test_it_is_reproduced(name: str) -> None:
    finding, rows, shown = reproduce(name)
    assert shown
    flat = {label: dict.fromkeys(values, 1.0) for label, values in series(rows).items()}
    assert not finding.holds(flat)  # rows that show nothing are noticed


@pytest.mark.gpu
@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("name", FINDINGS)
def test_it_is_reproduced_beside_a_gpu(name: str, device: str) -> None:
    assert reproduce(name, device)[2]


@pytest.mark.parametrize("name", FINDINGS)
def test_it_runs_on_the_device_that_it_is_given(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On PyTorch's device without values nothing can be measured: no finding falls back to the CPU."""
    monkeypatch.setitem(FINDINGS, name, replace(FINDINGS[name], needs_cuda=False))
    with pytest.raises((NotImplementedError, RuntimeError), match="meta"):
        reproduce(name, "meta")


def test_the_command_draws_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in set(FINDINGS) - {"fft"}:
        monkeypatch.delitem(FINDINGS, name)
    result = CliRunner().invoke(app, ["precision", "findings", "--json", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)["findings"]
    assert found["name"] == "fft"
    assert (tmp_path / "finding-fft.svg").stat().st_size > 0
    assert "remedy" in CliRunner().invoke(app, ["precision", "findings"]).stdout
    with pytest.raises(ValueError, match="fft"):
        reproduce("nothing")


@pytest.mark.parametrize("form", ["gram", "doubling"])
def test_the_convolution_is_measured_apart(form) -> None:
    net = C.gradient_descent(n_points=6, n_dims=2, n_steps=4, step_size="1/10", form=form)
    A, b = torch.randn(4, 6, 2, generator=torch.manual_seed(0)), torch.randn(4, 6, generator=torch.manual_seed(1))
    u = net.encode(A, b)
    plain = measure(net, u).errors
    for algorithm in ALGORITHMS[1:]:
        e = measure(net, u, convolution=algorithm).errors
        parts = e["weights"] + e["arithmetic"] + e["convolution"]
        assert abs(parts - e["total"]).max() < 1e-6 * abs(e["total"]).max()
        assert abs(e["arithmetic"] - plain["arithmetic"]).max() < 1e-6 * abs(e["total"]).max()
        assert algorithm != "fft" or abs(e["convolution"]).max() > 0
    with pytest.raises(ValueError, match="fft"):
        with_convolution(net, net.to_torch(torch.float32), "winograd")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="float32"):
        with_convolution(net, net.to_torch(torch.bfloat16), "fft")
