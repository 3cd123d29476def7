"""Two processes that share batches make the run of one; what cannot be shared is refused in words."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from typer.testing import CliRunner

from precls_theory.cli.main import app
from precls_theory.training.devices import ALONE, Ranks, launch
from precls_theory.training.runs import LOG, Run, RunError, RunSettings, read_log

SETTINGS = RunSettings(
    "square", "baseconv", "published", 2, 1, "float64", depth=1, width=4, batch_size=8, learning_rate=1e-2
)
DEEP = settings.get_current_profile_name() == "deep"
ROOT = Path(__file__).resolve().parents[3]


def two_ranks() -> tuple[Ranks, Ranks]:
    """Two threads as two processes: ``mean`` waits for the other one."""
    barrier, given = threading.Barrier(2, timeout=60), {}

    def mean_of(rank: int):
        def mean(values):
            given[rank] = values.clone()
            barrier.wait()
            averaged = (given[0] + given[1]) / 2
            barrier.wait()
            return averaged

        return mean

    return Ranks(0, 2, mean_of(0)), Ranks(1, 2, mean_of(1))


def test_two_ranks_are_one_run(tmp_path):
    """Gradients are averaged, so the losses agree to rounding; rank 0 alone writes, and what it writes is one run."""
    one = Run.start(tmp_path / "one", SETTINGS)
    one.train(4)
    runs = [Run.start(tmp_path / "two", SETTINGS, ranks) for ranks in two_ranks()]
    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(run.train, 4) for run in runs]:
            done.result()
    same_run(one, tmp_path / "two")
    for name, value in runs[0].model.state_dict().items():
        assert torch.equal(runs[1].model.state_dict()[name], value), name


def same_run(one: Run, folder: Path) -> None:
    losses = [[loss for _, _, loss, _ in read_log(place / LOG)] for place in (one.folder, folder)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-12)
    two = Run.resume(folder)
    assert two.n_steps == 4
    for name, value in one.model.state_dict().items():
        assert torch.allclose(two.model.state_dict()[name], value, rtol=1e-9, atol=1e-12), name


def processes(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=300)


def averages(folder: Path) -> None:
    """What Fabric starts: each process knows which one it is, and gets the mean of both."""
    script = folder / "script.py"
    script.write_text(
        "import torch\n"
        "from pathlib import Path\n"
        "from precls_theory.training.devices import launch\n"
        "ranks = launch('cpu', 2)\n"
        "mean = float(ranks.mean(torch.tensor(10.0 * ranks.rank, dtype=torch.float64)))\n"
        "Path(str(ranks.rank)).write_text(f'{ranks.size} {mean}')\n"
    )
    done = processes([str(script)], folder)
    assert done.returncode == 0, done.stderr
    assert [(folder / str(rank)).read_text() for rank in range(2)] == ["2 5.0", "2 5.0"]


def trains(folder: Path) -> None:
    """Started as a user starts them; three interpreters load everything."""
    one = Run.start(folder / "one", SETTINGS)
    one.train(4)
    arguments = [
        "-m", "precls_theory.cli.main", "train", "--task", "square", "--recipe", "published", "--n-points", "2",
        "--n-dims", "1", "--dtype", "float64", "--depth", "1", "--width", "4", "--batch-size", "8", "--learning-rate",
        "1e-2", "--steps", "4", "--devices", "2", "--out", str(folder / "two"),
    ]  # fmt: skip
    done = processes(arguments, folder)
    assert done.returncode == 0, done.stderr
    assert "starting with 2 processes" in done.stderr.lower()
    same_run(one, folder / "two")


@pytest.mark.parametrize("what", [averages, *([trains] if DEEP else [])])
def test_two_processes(what, tmp_path):
    what(tmp_path)


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
    alone = RunSettings("square", "baseconv", "levenberg-marquardt", 2, 1)
    with pytest.raises(ValueError, match="one device"):
        Run.start(tmp_path / "run", alone, Ranks(0, 2))
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
