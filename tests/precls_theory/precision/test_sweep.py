"""Sweeps: nothing lost, nothing repeated, what is no number said to be none; the command."""

from __future__ import annotations

import json
import math
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import distributed
import joblib
import pandas as pd
import pytest
from typer.testing import CliRunner

from constructions.networks.network import Network
from precls_theory.cli.main import app
from precls_theory.precision import sweep as module
from precls_theory.precision.sweep import COLUMNS, NIST, Case, experiments, run_case, sweep

SMALL: dict[str, Any] = {"n_points": 6, "n_dims": 2, "samples": 3}


def test_an_interrupted_sweep_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [Case("gram", dtype, **SMALL) for dtype in ("float32", "float64", "bfloat16")]
    sweep(cases[:2], tmp_path)
    ran: list[Case] = []
    original = run_case
    monkeypatch.setattr(module, "run_case", lambda case: ran.append(case) or original(case))
    done: list[int] = []
    table = sweep(cases, tmp_path, progress=done.append)
    assert ran == cases[2:]
    assert sum(done) == 3
    assert list(table.columns) == list(COLUMNS)
    again = pd.read_parquet(tmp_path / "precision.parquet")
    assert again["dtype"].tolist() == ["float32", "float64", "bfloat16"]
    assert (again["bound_violations"] == 0).all()


def test_another_backend_gives_the_same_table(tmp_path: Path) -> None:
    cases = [Case("gram", "float32", seed=seed, **SMALL) for seed in range(2)]
    first = sweep(cases, tmp_path / "a")
    with joblib.parallel_config(backend="threading"):
        second = sweep(cases, tmp_path / "b", jobs=2)
    pd.testing.assert_frame_equal(first, second)


def test_dask_gives_the_same_table(tmp_path: Path) -> None:
    """The cases as tasks of a Dask scheduler, by joblib's switch of backends."""
    cases = [Case("gram", "float32", seed=seed, **SMALL) for seed in range(2)]
    first = sweep(cases, tmp_path / "a")
    cluster = distributed.Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None)
    with cluster as client, joblib.parallel_config(backend="dask"):
        second = sweep(cases, tmp_path / "b", jobs=-1)
        ran = client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.transition_counter)
    pd.testing.assert_frame_equal(first, second)
    assert ran > 0  # tasks did pass through its scheduler


def test_a_killed_sweep_leaves_no_half_a_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed in the middle of writing a case: that one runs again, the finished ones do not."""
    cases = [Case("gram", dtype, **SMALL) for dtype in ("float32", "float64", "bfloat16")]
    replace, ran = os.replace, []

    def killed(source: str, target: Path) -> None:
        if len(list(tmp_path.glob("cases/*.json"))) == 1:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        sweep(cases, tmp_path)
    monkeypatch.undo()
    original = run_case
    monkeypatch.setattr(module, "run_case", lambda case: ran.append(case) or original(case))
    table = sweep(cases, tmp_path)
    assert ran == cases[1:]
    assert table["dtype"].tolist() == ["float32", "float64", "bfloat16"]


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_sweep_that_the_system_kills_loses_and_repeats_no_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL, which nothing catches, to a process of its own in the middle of its third case."""
    cases = [Case("gram", "float32", seed=seed, **SMALL) for seed in range(5)]
    original, started = run_case, tmp_path / "started"

    def announced(case: Case) -> dict[str, object]:
        with started.open("a") as log:
            log.write(f"{case.key}\n")
        if case == cases[2]:
            time.sleep(600)
        return original(case)

    child = os.fork()
    if not child:
        monkeypatch.setattr(module, "run_case", announced)
        sweep(cases, tmp_path / "out")
        os._exit(1)  # not reached: the third case does not end
    while not (started.exists() and len(started.read_text().splitlines()) == 3):
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert {path.stem for path in tmp_path.glob("out/cases/*.json")} == {case.key for case in cases[:2]}
    ran: list[Case] = []
    monkeypatch.setattr(module, "run_case", lambda case: ran.append(case) or original(case))
    table = sweep(cases, tmp_path / "out")
    assert ran == cases[2:]
    assert table["seed"].tolist() == list(range(5))
    pd.testing.assert_frame_equal(table, sweep(cases, tmp_path / "whole"))


def test_overflow_is_never_a_small_error() -> None:
    row = run_case(Case("gram", "float32", scale=2.0**70, n_steps=4, **SMALL))
    assert row["not_finite"] > 0
    assert row["largest"] == float("inf")


def test_sliced_cases_have_more_digits() -> None:
    plain, sliced = (run_case(Case("doubling", "float32", n_steps=16, slices=s, **SMALL)) for s in (0, 4))
    assert sliced["median_digits"] > plain["median_digits"] + 2


def test_the_readme_gives_the_figures_of_the_table() -> None:
    root = Path(__file__).parents[3]
    table = pd.read_parquet(root / "notebooks" / "data" / "precision_cpu.parquet")
    sliced = table[
        (table["slices"] > 0) & (table["construction"] == "doubling") & (table["n_steps"] == 256) & (table["rank"] == 0)
    ]
    found = sliced.set_index("dtype")["median_digits"]
    digits = {dtype: math.floor(found[dtype]) for dtype in ("float64", "float32")}
    text = f"{digits['float64']} digits in float64, {digits['float32']} in float32 (256 steps; medians)"
    assert text in (root / "README.md").read_text()


def test_what_the_committed_table_says() -> None:
    """Every regression of the table has the digits asked for and no fewer than LAPACK; no bound was exceeded."""
    table = pd.read_parquet(Path(__file__).parents[3] / "notebooks" / "data" / "precision_cpu.parquet")
    solved = table[table["construction"].str.startswith("solve")]
    assert {f"solve {name}" for name in NIST} < set(solved["construction"])
    assert solved["samples"].sum() > 200
    assert (solved["below_lapack"] == 0).all()
    assert (solved["worst_digits"] >= solved["dtype"].map({"float32": 15, "float64": 16})).all()
    assert table["bound_violations"].sum() == 0
    assert table["message"].isna().all()
    sliced = table[
        (table["slices"] > 0) & (table["dtype"] == "float32") & (table["rank"] == 0) & ~table.index.isin(solved.index)
    ]
    assert (sliced["median_digits"] >= 12).all()


def test_regressions_are_solved_beside_lapack() -> None:
    row = run_case(Case("solve", "float32", condition=100, n_points=6, n_dims=2, samples=1))
    assert row["below_lapack"] == 0
    assert row["worst_digits"] >= 15 > row["lapack_worst_digits"]
    assert row["times_plain"] > 0


def test_every_experiment_has_cases() -> None:
    for quick in (True, False):
        for name, cases in experiments(quick=quick).items():
            assert cases, name
            assert len({case.key for case in cases}) == len(set(cases))


def test_every_case_runs_on_the_device_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """cpu:0 is a name for the CPU that nothing has as its default."""
    assert {case.device for cases in experiments("cuda", quick=True).values() for case in cases} == {"cuda"}
    asked: list[object] = []
    original = Network.to_torch

    def spy(self: Network, *args: Any, **options: Any) -> Any:
        asked.append(options.get("device"))
        return original(self, *args, **options)

    monkeypatch.setattr(Network, "to_torch", spy)
    for case in (
        Case("gram", slices=0, **SMALL),
        Case("gram", slices=3, **SMALL),
        Case("solve", condition=10, **SMALL),
    ):
        row = run_case(replace(case, device="cpu:0", samples=1))
        assert row["message"] is None
    assert len(asked) >= 4
    assert set(asked) == {"cpu:0"}


def test_the_command(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["precision", "sliced", "--quick", "--json", "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert [case["slices"] for case in document["cases"]] == [0, 4, 0, 3]
    assert all(set(COLUMNS) <= set(case) for case in document["cases"])
    for kind in ("parquet", "svg", "png"):
        assert (tmp_path / "out" / f"precision.{kind}").stat().st_size > 0
    assert CliRunner().invoke(app, ["precision", "nothing"]).exit_code == 2


@pytest.mark.gpu
def test_the_command_on_a_gpu(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["precision", "--device", "cuda", "--json", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
