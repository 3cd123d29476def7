"""Work is counted inside a limit alone, limits nest, and whoever waits is told."""

from __future__ import annotations

import pytest

from constructions.algebra.work import TooMuchWork, at_most, reported, spend, tell


def test_the_step_beyond_the_limit_is_refused() -> None:
    spend(10**9)  # outside nothing is counted
    with at_most(5):
        spend(5)
        with pytest.raises(TooMuchWork, match="more work than its size allows"):
            spend(1)
    spend(10**9)


def test_the_inner_limit_counts_inside_it() -> None:
    with at_most(5):
        with at_most(100):
            spend(50)
        spend(5)
        with pytest.raises(TooMuchWork):
            spend(1)


def test_reports_reach_the_innermost_listener() -> None:
    outer: list[tuple[str, int, int | None]] = []
    inner: list[tuple[str, int, int | None]] = []
    tell("layers", 0)
    with reported(lambda *what: outer.append(what)):
        tell("layers", 1, 3)
        with reported(lambda *what: inner.append(what)):
            tell("layers", 2)
    tell("layers", 3)
    assert (outer, inner) == ([("layers", 1, 3)], [("layers", 2, None)])
