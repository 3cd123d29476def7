"""Two processes that share batches make the run of one; what cannot be shared is refused in words."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from precls_theory.cli.main import app
from precls_theory.training.devices import ALONE, Ranks, launch
from precls_theory.training.runs import LOG, Run, RunError, RunSettings, read_log

SETTINGS = RunSettings(
    "square", "baseconv", "published", 2, 1, "float64", depth=1, width=4, batch_size=8, learning_rate=1e-2
)
ROOT = Path(__file__).resolve().parents[3]


def test_two_processes_are_one_run(tmp_path):
    """Started as a user starts them; the gradients are averaged, so the losses agree to rounding, and it resumes."""
    one = Run.start(tmp_path / "one", SETTINGS)
    one.train(4)
    command = [
        sys.executable, "-m", "precls_theory.cli.main", "train", "--task", "square", "--recipe", "published", "--n-points", "2",
        "--n-dims", "1", "--dtype", "float64", "--depth", "1", "--width", "4", "--batch-size", "8", "--learning-rate",
        "1e-2", "--steps", "4", "--devices", "2", "--out", str(tmp_path / "two"),
    ]  # fmt: skip
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "starting with 2 processes" in done.stderr.lower()
    losses = [[loss for _, _, loss, _ in read_log(tmp_path / name / LOG)] for name in ("one", "two")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-12)
    two = Run.resume(tmp_path / "two")
    assert two.n_steps == 4
    for name, value in one.model.state_dict().items():
        assert torch.allclose(two.model.state_dict()[name], value, rtol=1e-9, atol=1e-12), name


def test_shares_of_a_batch_make_the_batch():
    batch = torch.arange(6)
    shares = [Ranks(rank, 3).share(batch) for rank in range(3)]
    assert sorted(torch.cat(shares).tolist()) == batch.tolist()
    assert {len(share) for share in shares} == {2}
    assert launch("cpu", 1) is ALONE
    with pytest.raises(ValueError, match="choose a multiple"):
        Ranks(0, 4).share(batch)


def test_a_process_that_is_not_the_first_writes_nothing(tmp_path):
    run = Run.start(tmp_path / "run", SETTINGS, Ranks(1, 2))
    run.train(1)
    assert not (tmp_path / "run").exists()


def test_recipes_that_solve_least_squares_are_refused(tmp_path):
    settings = RunSettings("square", "baseconv", "levenberg-marquardt", 2, 1)
    with pytest.raises(ValueError, match="one device"):
        Run.start(tmp_path / "run", settings, Ranks(0, 2))
    with pytest.raises(RunError, match="holds no run"):
        Run.resume(tmp_path / "run")


def test_what_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    for options, words in ((["--devices", "2"], "precls[devices]"), (["--tensorboard"], "precls[tensorboard]")):
        arguments = [
            "train",
            "--task",
            "square",
            "--recipe",
            "adam",
            "--steps",
            "1",
            "--out",
            str(tmp_path / words[7:-1]),
        ]
        result = CliRunner().invoke(app, [*arguments, *options])
        assert result.exit_code == 1
        assert words in " ".join(result.stderr.split())


def test_tensorboard_gets_every_loss(tmp_path, monkeypatch):
    """The writer is a stand-in with the interface of ``torch.utils.tensorboard``: what it is told is looked at."""
    told = []

    class Writer:
        def __init__(self, folder, purge_step):
            told.append((Path(folder).name, purge_step))

        def add_scalar(self, name, value, step):
            told.append((name, value, step))

        def close(self):
            told.append("closed")

    module = type(sys)("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    arguments = ["train", "--task", "square", "--recipe", "adam", "--n-points", "2", "--n-dims", "1", "--depth", "1"]
    arguments += ["--width", "4", "--steps", "2", "--tensorboard", "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    log = Run.resume(tmp_path / "run").log
    assert told == [("tensorboard", 1), *((f"loss/{stage}", loss, step) for step, stage, loss, _ in log), "closed"]
