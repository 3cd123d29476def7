"""``precls verify``: what is listed, proved, saved and refused."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from precls_theory.certificate import certify
from precls_theory.cli import verify as command
from precls_theory.cli.main import app
from precls_theory.registry import Check, Control, Evidence, Refuted, Size, Theorem, all_theorems

RESULT_KEYS = {"id", "title", "source", "status", "scope", "ring", "engine", "seconds"}


def precls(*arguments: Any) -> Result:
    """Run a command, wide enough that no message is wrapped."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "300", "TERM": "dumb"})


def words(result: Result) -> str:
    """Standard error with line breaks and frames removed."""
    return " ".join(result.stderr.replace("│", " ").split())


def _proved(size: Size) -> Evidence:
    return Evidence(f"N={size.n_points}, D={size.n_dims}", "Q", "by hand", failure_probability_log2=-70.5)


def _refuted(size: Size) -> Evidence:
    raise Refuted("it is not so [for A]", {"A": [1]})


def _broken(size: Size) -> Evidence:
    raise RuntimeError("the check broke")


def _accepted() -> None:
    """A control that nothing refuses."""


def _wrong() -> None:
    raise Refuted("x is not x + 1")


def named(id: str, check: Check, **controls: Control) -> Theorem:
    controls = controls or {"x + 1 for x": _wrong}
    return Theorem(id, f"The {id} one", "x = x", ("x is x",), "new", "all x", check, controls)


@pytest.fixture
def theorems(monkeypatch: pytest.MonkeyPatch) -> dict[str, Theorem]:
    """Three theorems: one that holds, one that does not, one whose check breaks."""

    known = {id: named(id, check) for id, check in (("true", _proved), ("false", _refuted), ("broken", _broken))}
    monkeypatch.setattr(command, "all_theorems", lambda: known)
    return known


def test_proved(theorems: dict[str, Theorem]) -> None:
    result = precls("verify", "true")
    assert result.exit_code == 0
    assert "1 of 1 theorems proved at N=20, D=5" in result.stdout
    assert "failure < 2^-70" in result.stdout


def test_anything_else_fails(theorems: dict[str, Theorem]) -> None:
    for id, message in (("false", "false refuted: it is not so [for A]"), ("broken", "RuntimeError: the check broke")):
        result = precls("verify", "true", id)
        assert result.exit_code == 1
        assert "1 of 2 theorems proved" in result.stdout
        assert message in words(result)


def test_json(theorems: dict[str, Theorem]) -> None:
    result = precls("verify", "--json", "--n-points", 3, "--n-dims", 2)
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["ok"] is False
    assert [(entry["id"], entry["status"]) for entry in found["theorems"]] == [
        ("true", "proved"), ("false", "refuted"), ("broken", "failed"),
    ]  # fmt: skip
    assert all(set(entry) >= RESULT_KEYS for entry in found["theorems"])
    assert found["theorems"][0]["scope"] == "N=3, D=2"
    assert found["theorems"][1]["detail"]["counterexample"] == {"A": [1]}
    assert {"precls", "versions", "seconds"} <= set(found)
    assert json.loads(precls("verify", "true", "--json").stdout)["ok"] is True


def test_controls_are_shown(theorems: dict[str, Theorem]) -> None:
    result = precls("verify", "true")
    assert "1 of 1" in result.stdout
    assert "; 1 wrong variants refused" in result.stdout
    (found,) = json.loads(precls("verify", "true", "--json").stdout)["theorems"]
    assert found["controls"] == [{"variant": "x + 1 for x", "refused": True, "outcome": "x is not x + 1"}]


@pytest.mark.parametrize(
    ("control", "message"),
    [(_accepted, "'w' (accepted)"), ({"size": Size()}, "'w' (TypeError"), (lambda: 1 / 0, "'w' (ZeroDivisionError")],
)
def test_a_check_that_accepts_a_wrong_variant_proves_nothing(
    theorems: dict[str, Theorem], control: Control, message: str
) -> None:
    """Refused means Refuted: a control that breaks says nothing of the check."""
    theorems["blind"] = named("blind", _proved, right=_wrong, w=control)
    result = precls("verify", "blind")
    assert result.exit_code == 1
    assert f"blind failed: the check does not refuse what is wrong: {message}" in words(result)
    (found,) = json.loads(precls("verify", "blind", "--json").stdout)["theorems"]
    assert [entry["refused"] for entry in found["controls"]] == [True, False]
    assert found["status"] == "failed"


def test_certificates(theorems: dict[str, Theorem], tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "certificates"
    precls("verify", "--certificates", folder)
    saved = {path.name: json.loads(path.read_text()) for path in folder.iterdir()}
    assert {name: entry["status"] for name, entry in saved.items()} == {
        "true.json": "proved", "false.json": "refuted", "broken.json": "failed",
    }  # fmt: skip
    for key in ("statement", "hypotheses", "n_points", "ring", "engine", "seconds", "versions"):
        assert key in saved["true.json"]
    (tmp_path / "file").write_text("")
    assert precls("verify", "true", "--certificates", tmp_path / "file" / "x").exit_code == 1
    assert precls("verify", "true", "--certificates", tmp_path / "file").exit_code == 2


def test_unknown_theorem(theorems: dict[str, Theorem]) -> None:
    result = precls("verify", "tru")
    assert result.exit_code == 2
    assert "there is no theorem 'tru': the nearest are true" in words(result)
    assert result.stdout == ""
    assert "there are true, false, broken" in words(precls("verify", "zzzzzzzz"))


def test_bad_sizes(theorems: dict[str, Theorem]) -> None:
    for arguments in (("--n-points", 0), ("--n-dims", -1), ("--n-dims", "five")):
        assert precls("verify", *arguments).exit_code == 2


def test_nothing_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proving nothing must not pass for proving everything."""
    monkeypatch.setattr(command, "all_theorems", dict)
    result = precls("verify")
    assert result.exit_code == 1
    assert "no theorem is registered" in words(result)


def test_theorems_that_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def clash() -> None:
        raise ValueError("theorem 'x' is registered twice")

    monkeypatch.setattr(command, "all_theorems", clash)
    result = precls("verify")
    assert result.exit_code == 1
    assert "the theorems cannot be loaded: theorem 'x' is registered twice" in words(result)


def test_list_of_the_real_theorems() -> None:
    known = all_theorems()
    result = precls("verify", "--list")
    assert result.exit_code == 0
    assert all(id in result.stdout for id in known)
    found = json.loads(precls("verify", "--list", "--json").stdout)["theorems"]
    assert [entry["id"] for entry in found] == list(known)
    assert all({"title", "source", "statement", "hypotheses", "covers"} <= set(entry) for entry in found)
    assert all(entry["controls"] for entry in found)


def test_a_real_theorem_is_proved() -> None:
    result = precls("verify", "gd-gram", "--n-points", 4, "--n-dims", 2, "--json")
    assert result.exit_code == 0
    (entry,) = json.loads(result.stdout)["theorems"]
    assert entry["status"] == "proved"
    assert entry["ring"]
    assert entry["engine"]
    assert entry["controls"]
    assert all(control["refused"] for control in entry["controls"])


def test_help_has_examples() -> None:
    assert "precls verify gd-doubling gd-tight" in precls("verify", "--help").stdout


@pytest.mark.parametrize("width", [80, 200])
def test_identifiers_stay_whole(theorems: dict[str, Theorem], width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command.out, "_width", width)
    result = precls("verify")
    for id, status in (("true", "proved"), ("false", "refuted"), ("broken", "failed")):
        assert any(line.split()[:2] == [id, status] for line in result.stdout.splitlines())


def test_processes_find_what_one_process_finds() -> None:
    few = ["newton-identities", "doubling-width", "explicit-gradient", "depth-lower-bound", "landscape-read"]
    few += ["landscape-folding", "landscape-population-loss", "operator-as-layer"]
    assert len(few) >= command.WORTH_PROCESSES
    result = precls("verify", *few, "--n-points", 3, "--n-dims", 2, "--jobs", 2, "--json")
    found = json.loads(result.stdout)["theorems"]
    assert [theorem["id"] for theorem in found] == few
    assert all(theorem["status"] == "proved" and theorem["controls"] for theorem in found)
    alone = [certify(all_theorems()[id], Size(3, 2)) for id in few]
    assert [theorem["scope"] for theorem in found] == [certificate.scope for certificate in alone]


def killed(*arguments: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def asleep(*arguments: Any) -> None:
    time.sleep(600)


def test_a_process_that_is_killed_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "START_METHOD", "fork")  # forked processes see what is replaced here
    monkeypatch.setattr(command, "certify_by_id", killed)
    result = precls("verify", "--jobs", 2)
    assert result.exit_code == 1
    assert "use --jobs 1" in words(result)


def test_an_interrupt_ends_the_processes_in_the_middle_of_their_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    processes: list[Any] = []

    def interrupted() -> None:
        with command.begun(list(all_theorems().values()), Size(2, 2), 2):
            processes.extend(multiprocessing.active_children())
            raise KeyboardInterrupt

    monkeypatch.setattr(command, "START_METHOD", "fork")
    monkeypatch.setattr(command, "certify_by_id", asleep)
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(processes) == 2
    for process in processes:
        process.join(30)
        assert not process.is_alive()
