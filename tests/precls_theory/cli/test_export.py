"""``precls export``: files that torch reads without running code, equal to the network."""

from __future__ import annotations

import json

import pytest
import torch
from typer.testing import CliRunner

import constructions as C
from constructions.models.published import PublishedModel, from_published
from precls_theory.cli.main import app
from precls_theory.training.runs import Run, RunSettings


def test_a_saved_network_is_exported(tmp_path):
    network = C.explicit_gradient(n_points=4, n_dims=2)
    network.save(tmp_path / "g.safetensors")
    result = CliRunner().invoke(
        app, ["export", str(tmp_path / "g.safetensors"), "-o", str(tmp_path / "m.pt"), "--json"]
    )
    assert result.exit_code == 0, result.output
    stored = torch.load(tmp_path / "m.pt", weights_only=True)
    assert set(stored) == {"state_dict", "settings"}
    assert json.loads(result.stdout)["settings"] == stored["settings"]
    back = from_published(PublishedModel(**stored), network)
    u = network.encode(*(torch.ones(shape, dtype=torch.float64) for shape in ((4, 2), (4,), (2,))))
    assert back.decode(back.evaluate(u)).tolist() == network.decode(network.evaluate(u)).tolist()


def test_a_run_is_exported_in_its_own_dtype(tmp_path):
    run = Run.start(
        tmp_path / "run", RunSettings("explicit_gradient", "baseconv", "adam", n_points=2, n_dims=1, width=4, depth=2)
    )
    result = CliRunner().invoke(app, ["export", str(run.folder), "-o", str(tmp_path / "m.pt")])
    assert result.exit_code == 0, result.output
    stored = torch.load(tmp_path / "m.pt", weights_only=True)
    assert {value.dtype for value in stored["state_dict"].values()} == {torch.float32}
    back = from_published(PublishedModel(**stored), C.explicit_gradient(n_points=2, n_dims=1))
    u = torch.randn(3, 3, 2, dtype=torch.float64)
    with torch.no_grad():
        padded = torch.nn.functional.pad(u, (0, len(back.inputs) - 2))
        assert torch.allclose(back.evaluate(padded), run.model.double()(u))


@pytest.mark.parametrize("source", ["nothing", "folder"])
def test_what_cannot_be_exported_is_said(source, tmp_path):
    (tmp_path / "folder").mkdir()
    result = CliRunner().invoke(app, ["export", str(tmp_path / source), "-o", str(tmp_path / "m.pt")])
    assert result.exit_code == 1
    assert source in " ".join(result.stderr.split())
    assert not (tmp_path / "m.pt").exists()


def test_mixers_for_zoology_come_back_and_are_checked(tmp_path):
    saved, mixers = tmp_path / "g.safetensors", tmp_path / "m.pt"
    C.explicit_gradient(n_points=4, n_dims=2).save(saved)
    result = CliRunner().invoke(app, ["export", str(saved), "--to", "zoology", "-o", str(mixers), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["settings"]["n_layers"] == 5
    arguments = ["import", str(mixers), "-o", str(tmp_path / "back.safetensors"), "--json"]
    result = CliRunner().invoke(app, [*arguments, "--claims", str(saved)])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["exact"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "--claims" in result.output
    result = CliRunner().invoke(
        app, ["export", str(saved), "--to", "zoology", "-o", str(mixers), "--conv-type", "long"]
    )
    assert result.exit_code == 1
