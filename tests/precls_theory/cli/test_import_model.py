"""``precls import``: back from the published code's weights, exactly, with a claim that is checked."""

from __future__ import annotations

import json
import pickle

import pytest
import torch
from typer.testing import CliRunner

import constructions as C
from constructions.models.published import to_published
from precls_theory.cli.main import app


@pytest.fixture
def exported(tmp_path):
    """Explicit gradient with N = 4: 1/4 is a float, so nothing is rounded."""
    C.explicit_gradient(n_points=4, n_dims=1).save(tmp_path / "g.safetensors")
    assert (
        CliRunner().invoke(app, ["export", str(tmp_path / "g.safetensors"), "-o", str(tmp_path / "m.pt")]).exit_code
        == 0
    )
    return tmp_path / "m.pt"


def invoked(*arguments):
    return CliRunner().invoke(app, ["import", *map(str, arguments)])


def test_there_and_back_is_exact(exported, tmp_path):
    result = invoked(exported, "-o", tmp_path / "net.safetensors", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["exact"]
    assert document["claims"]["algorithm"] == "explicit_gradient"
    network = C.load(tmp_path / "net.safetensors")
    assert network.algorithm == "own_weights"
    assert CliRunner().invoke(app, ["check", str(tmp_path / "net.safetensors")]).exit_code == 0
    again = invoked(exported, "-o", tmp_path / "again.safetensors", "--claims", tmp_path / "g.safetensors")
    assert again.exit_code == 0, again.output
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "net.safetensors").read_bytes()


def test_what_is_not_the_function_is_refused_by_the_check(exported, tmp_path):
    """One weight moved by a float's last bit: the file is written, and says what it is not."""
    stored = torch.load(exported, weights_only=True)
    name = next(name for name in stored["state_dict"] if name.endswith("out_proj.weight"))
    weight = stored["state_dict"][name]
    place = tuple(torch.nonzero(weight)[0])
    weight[place] = torch.nextafter(weight[place], torch.tensor(torch.inf))
    torch.save(stored, tmp_path / "moved.pt")
    result = invoked(tmp_path / "moved.pt", "-o", tmp_path / "net.safetensors", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert not document["exact"]
    assert document["check"]["first_difference"] is not None
    refused = CliRunner().invoke(app, ["check", str(tmp_path / "net.safetensors")])
    assert refused.exit_code == 1
    assert "instead of" in refused.stderr


def test_other_claims(tmp_path):
    """A network of another kind, with positional channels of its own, keeps its claim."""
    network = C.gradient_descent(n_points=2, n_dims=1, n_steps=1, step_size="1/2", layout="E", form="gram")
    network.save(tmp_path / "gd.safetensors")
    model = to_published(network)
    torch.save({"state_dict": model.state_dict, "settings": model.settings}, tmp_path / "m.pt")
    result = invoked(tmp_path / "m.pt", "-o", tmp_path / "net.safetensors", "--claims", tmp_path / "gd.safetensors")
    assert result.exit_code == 0, result.output
    assert "is exactly gradient_descent" in result.stdout
    wrong = invoked(tmp_path / "m.pt", "-o", tmp_path / "wrong.safetensors")
    assert wrong.exit_code == 0
    assert "is not exactly explicit_gradient" in wrong.stdout


class Evil:
    def __reduce__(self):
        return print, ("executed",)


@pytest.mark.parametrize("kind", ["nothing", "text", "pickle", "list", "no settings", "layers", "shape", "nan"])
def test_foreign_files_are_refused_in_words(kind, exported, tmp_path):
    source, stored = tmp_path / "foreign.pt", torch.load(exported, weights_only=True)
    if kind == "text":
        source.write_text("weights")
    elif kind == "pickle":
        source.write_bytes(pickle.dumps({"state_dict": Evil(), "settings": {}}))
    elif kind == "list":
        torch.save([1, 2], source)
    elif kind == "no settings":
        torch.save({**stored, "settings": {}}, source)
    elif kind == "layers":
        torch.save({**stored, "settings": {**stored["settings"], "n_layer": 10**9}}, source)
    elif kind == "shape":
        torch.save({**stored, "settings": {**stored["settings"], "n_embd": 7}}, source)
    elif kind == "nan":
        stored["state_dict"]["_read_out.bias"][0] = torch.nan
        torch.save(stored, source)
    result = invoked(source, "-o", tmp_path / "net.safetensors")
    assert result.exit_code == 1
    assert result.stderr.strip()
    assert "executed" not in result.output
    assert not (tmp_path / "net.safetensors").exists()
