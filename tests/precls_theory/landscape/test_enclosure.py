"""Proved radii: exact arithmetic is inside every interval, and points off the list are told from points on it."""

import json
import os
from fractions import Fraction
from pathlib import Path

import flint
import numpy as np
import pytest

from precls_theory.landscape import landscape
from precls_theory.landscape.enclosure import Interval, exact_points, radii, value
from precls_theory.landscape.numerical import FastLoss, listed_sets, stationary
from precls_theory.landscape.starts import CASES, follow, problem_of

DATA = Path(__file__).parents[3] / "notebooks" / "data" / "landscape_starts.json"
STARTS = 100_000 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 200


def test_intervals_contain_the_exact_results():
    rng = np.random.default_rng(0)
    context = flint.fmpq_mpoly_ctx.get(("x", "y"), "degrevlex")
    x, y = context.gens()
    polynomial = x**3 * y * flint.fmpq(1, 3) - x * y**2 * 7 + flint.fmpq(22, 7)
    points = rng.normal(size=(2, 50)) * 10.0 ** rng.integers(-8, 8, size=(2, 50))
    found = value(polynomial, [Interval.exactly(row) for row in points])
    quotient = found / Interval.exactly(points[0])
    for index in range(50):
        a, b = (Fraction(float(v)) for v in points[:, index])
        exact = a**3 * b / 3 - a * b**2 * 7 + Fraction(22, 7)
        assert Fraction(float(found.low[index])) <= exact <= Fraction(float(found.high[index]))
        assert Fraction(float(quotient.low[index])) <= exact / a <= Fraction(float(quotient.high[index]))


def test_division_by_an_interval_with_zero_gives_nothing():
    quotient = Interval.exactly(1.0) / Interval(np.array([-1.0]), np.array([1.0]))
    assert np.isnan(quotient.low).all()


def test_the_enclosed_points_are_stationary():
    problem = landscape("square", rows=2).parts[0]
    x = np.random.default_rng(1).normal(size=(len(problem.loss.names), 20))
    for listed in listed_sets(problem):
        for point in exact_points(listed, x):
            values = [0.5 * (place.low + place.high) * np.ones(20) for place in point]
            assert np.abs(FastLoss(problem.loss).gradient(np.array(values))).max() < 1e-6


@pytest.mark.parametrize("name", CASES)
def test_every_stationary_point_from_random_starts_is_within_a_proved_radius_of_a_listed_one(name):
    """Near a degenerate set a gradient of 1e-10 leaves some (1e-10)^(1/3) of distance: hence 0.05."""
    summary = follow(problem_of(name), STARTS)
    assert summary["converged"] > 0.98 * STARTS
    assert summary["radius"]["largest"] < 0.05
    assert summary["sets met"] >= 2


def test_a_point_off_the_list_has_a_large_radius():
    radius, _ = radii(listed_sets(landscape("square").parts[0]), np.array([[0.5], [0.1], [-0.3], [0.2]]))
    assert radius[0] > 0.3


def test_a_missing_set_is_noticed():
    problem = landscape("square").parts[0]
    loss = FastLoss(problem.loss)
    x, norms = stationary(loss, 1.5 * np.random.default_rng(0).normal(size=(4, 300)))
    without = [listed for listed in listed_sets(problem) if listed.stratum.dimension > 0]
    radius, _ = radii(without, x[:, norms < 1e-10])
    assert radius.max() > 0.5


def test_the_committed_run_has_all_cases_and_is_what_the_test_asks():
    document = json.loads(DATA.read_text())
    assert document["command"].startswith("python -m precls_theory.landscape.starts 100000")
    assert set(document["cases"]) == set(CASES)
    for summary in document["cases"].values():
        assert summary["starts"] == 100_000
        assert summary["radius"]["largest"] < 0.05
        if "of these, after a descent" in summary:  # the others are of before starts were followed a second time
            assert summary["converged"] > 99_000
            assert summary["of these, after a descent"] < 0.4 * summary["converged"]
        assert sum(summary["levels"].values()) == summary["converged"]
