"""The planner: what it counts on beforehand against what is built and counted, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from precls_theory.regression import nist, slices
from precls_theory.regression.data import RegressionData
from precls_theory.regression.slices import Need
from precls_theory.regression.solving import scaled_exactly, solve


def regression(scale: int = 1) -> RegressionData:
    """Two regressors that vary little about a large mean: centring helps."""
    rng = np.random.default_rng(3)
    A = np.array(
        [[Fraction(1), *(Fraction(1000 * scale + int(v)) for v in rng.integers(0, 9, 2))] for _ in range(9)],
        dtype=object,
    )
    b = np.array([Fraction(int(v)) for v in rng.integers(-50, 50, 9)], dtype=object)
    return RegressionData(("intercept", "u", "v"), A, b, intercept=True)


def planned(data: RegressionData, wanted: float, dtype: str = "float64", full: bool = False) -> list[slices.SlicePlan]:
    given = scaled_exactly(data)
    assert given is not None
    found = slices.candidates(given[0], Need(wanted, dtype), full)
    assert not isinstance(found, str), found
    return found


def test_the_cheapest_network_is_chosen_and_the_choice_is_told() -> None:
    data = regression()
    found = planned(data, 16)
    assert {(plan.form, plan.centred) for plan in found} >= {
        ("doubling", False),
        ("doubling", True),
        ("refinement", True),
    }
    assert [plan.weights for plan in found] == sorted(plan.weights for plan in found)
    solution = solve(data, dtype=torch.float64, digits=16)
    assert solution.sliced is not None
    assert (solution.sliced.form, solution.sliced.centred) == (found[0].form, found[0].centred)
    assert min(solution.digits.values()) >= 16
    assert found[0].name in solution.sliced.reason
    document = solution.to_json()["sliced"]
    assert isinstance(document, dict)
    assert len(document["candidates"]) == len(found)
    without = replace(data, intercept=False)
    assert not any(plan.centred for plan in planned(without, 16))
    # what was counted on beforehand, against what was built and counted
    assert 2 / 3 < solution.network.n_nonzero / found[0].weights < 3 / 2
    assert -1.5 < min(solution.digits.values()) - solution.sliced.expected < 5


def test_few_digits_take_plain_floats() -> None:
    solution = solve(regression(), dtype=torch.float64, digits=8)
    assert solution.sliced is not None
    assert solution.sliced.slices == 1
    assert solution.network.precision is None
    assert min(solution.digits.values()) >= 8
    assert "plain floats" in solution.sliced.reason


def test_full_precision_is_never_expected_to_have_fewer_digits_than_doubling() -> None:
    for data in (regression(), nist.load("wampler2"), nist.load("pontius")):
        found = planned(data, 16, full=True)
        (doubling,) = (plan for plan in found if (plan.form, plan.centred) == ("doubling", False))
        assert all(plan.expected >= doubling.expected for plan in found)


def test_refinement_takes_a_format_that_resolves_the_square_of_the_condition_number() -> None:
    forms = {plan.form for plan in planned(nist.load("wampler2"), 12, "float32")}
    assert forms == {"doubling"}
    assert {plan.form for plan in planned(nist.load("wampler2"), 12)} == {"doubling", "refinement"}


@pytest.mark.parametrize("form", ["doubling", "refinement"])
@pytest.mark.parametrize("centred", [False, True])
def test_every_form_reaches_what_it_was_chosen_for(form: slices.PlannedForm, centred: bool) -> None:
    data = regression()
    given = scaled_exactly(data)
    assert given is not None
    (plan,) = (plan for plan in planned(data, 18) if (plan.form, plan.centred) == (form, centred))
    found, network, made = slices.run(plan, given[0], torch.float64, "cpu")
    exact = data.exact_fit().coefficients.values()
    scale = [Fraction(2) ** (given[2] - e) for e in given[1]]
    errors = [abs(v * s - t) / abs(t) for v, s, t in zip(found, scale, exact, strict=True)]
    assert max(errors) < Fraction(1, 10**18)
    assert network.parameters["slice_bits"] == made.bits


def test_a_range_that_is_left_is_widened() -> None:
    data = regression()
    given = scaled_exactly(data)
    assert given is not None
    problem = replace(given[0], near=given[0].near / 64)
    plan = planned(data, 16)[0]
    found, _, _ = slices.run(plan, problem, torch.float64, "cpu")
    right, _, _ = slices.run(plan, given[0], torch.float64, "cpu")
    assert all(abs(f - r) <= abs(r) / 10**12 for f, r in zip(found, right, strict=True))


def test_too_many_digits_are_refused_in_words() -> None:
    given = scaled_exactly(nist.load("filip"))
    assert given is not None
    found = slices.candidates(given[0], Need(60, "float32"), full=False)
    assert isinstance(found, str)
    assert "60 digits" in found
