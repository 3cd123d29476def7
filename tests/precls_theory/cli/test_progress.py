"""On a pipe or in a log, long work says how far it is, now and then; short work says nothing."""

from __future__ import annotations

import time
from functools import partial

import pytest

from constructions.algebra.terms import channel
from constructions.networks.builder import Builder
from constructions.networks.tasks import Sequence
from precls_theory.cli import progress as module
from precls_theory.cli.progress import building, progress, steps, working


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that the test sets by hand."""
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_lines_on_a_pipe(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with steps(30, "checking") as report:
        for number in range(30):
            clock[0] = float(number)
            report.begin(f"checking [{number}]")
    assert capsys.readouterr().err.splitlines() == [
        "checking [2]: 2 of 30 done, 2 s", "checking [12]: 12 of 30 done, 12 s", "checking [22]: 22 of 30 done, 22 s",
    ]  # fmt: skip


def test_short_work_says_nothing(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress([1, 2, 3], "measuring")) == [1, 2, 3]
    assert capsys.readouterr().err == ""


def test_no_total_is_told_where_there_is_none(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    for number in progress(iter(range(4)), "looking"):
        clock[0] = float(number)
    assert capsys.readouterr().err.splitlines() == ["looking: 3 done, 2 s"]


def test_a_line_for_work_of_more_than_two_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "FIRST", 0.0)
    with working("compiling [x] …"):
        deadline = time.monotonic() + 10
        told = ""
        while not told and time.monotonic() < deadline:
            told = capsys.readouterr().err
    assert told == "compiling [x] …\n"
    monkeypatch.setattr(module, "FIRST", 3600.0)
    with working("compiling …"):
        pass
    assert capsys.readouterr().err == ""


def test_a_long_build_says_how_far_it_is(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    """A layer takes a second of this clock."""
    with building("chebyshev"):
        builder = Builder(1, ["x"])
        x = channel("x")
        for second in range(4):
            clock[0] = float(second)
            x = builder.layer(x=x * (second + 2))
        clock[0] = 13.0
        builder.build([x], partial(Sequence, 1, 1, n_inputs=1))
    assert capsys.readouterr().err.splitlines() == [
        "building chebyshev, layers written: 3 done, 2 s", "building chebyshev, layers compiled: 1 of 4 done, 13 s",
    ]  # fmt: skip
