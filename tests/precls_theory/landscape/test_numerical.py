"""Numbers beside the algebra: nothing that random starts find is missing from the lists."""

import os
from fractions import Fraction

import numpy as np
import pytest

from precls_theory.landscape import landscape
from precls_theory.landscape.attention import attention_loss, attention_problem, best_steps
from precls_theory.landscape.numerical import FastLoss, adam, distances, gradient_flow, listed_sets, stationary

STARTS = 100_000 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 1_000


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("square", {}),
        ("linear", {"channels": 2}),
        ("multiply", {"form": "layer", "channels": 2}),
        ("square", {"rows": 2}),
    ],
)
def test_every_numerical_stationary_point_is_near_a_listed_set(target, options):
    """A gradient below 1e-10 puts a point within 0.005 of a listed one: near a quartic minimum |x|³ ~ 1e-10."""
    problem = landscape(target, **options).parts[0]
    loss = FastLoss(problem.loss)
    rng = np.random.default_rng(0)
    x, norms = stationary(loss, 1.5 * rng.normal(size=(len(loss.names), STARTS)))
    found = x[:, norms < 1e-10]
    assert found.shape[1] > 0.8 * STARTS
    distance, which = distances(listed_sets(problem), found)
    assert distance.max() < 0.005
    assert np.median(distance) < 1e-3
    assert len(set(which)) >= 3  # saddles too


def test_a_point_off_the_list_is_noticed():
    problem = landscape("square").parts[0]
    distance, _ = distances(listed_sets(problem), np.array([[0.5], [0.1], [-0.3], [0.2]]))
    assert distance[0] > 0.3


def test_flow_and_adam_descend():
    loss = FastLoss(landscape("square", "layer").parts[0].loss)
    starts = np.random.default_rng(1).normal(size=(4, 50))
    for descend in (lambda: gradient_flow(loss, starts, time=10.0), lambda: adam(loss, starts, n_steps=500)):
        end, losses = descend()
        assert losses.shape[1] == 50
        assert (loss.value(end) <= losses[0] + 1e-9).all()
    _, losses = gradient_flow(loss, starts, time=5.0)
    assert (np.diff(losses, axis=0) < 1e-9).all()


def test_linear_attention_trained_numerically_takes_the_best_step():
    (eta,) = best_steps(3, [Fraction(1)])
    assert eta == Fraction(3, 5)
    loss = FastLoss(attention_problem(3).loss)
    x, _ = adam(loss, np.random.default_rng(2).normal(size=(4, 40)))
    assert np.isclose(loss.value(x), 2 / 5, atol=1e-6).mean() > 0.9
    assert (loss.value(x) > 2 / 5 - 1e-9).all()
    pair = attention_loss(2, 2, factored=True)
    fast = FastLoss(pair)
    x, _ = adam(fast, np.random.default_rng(3).normal(size=(len(fast.names), 40)), n_steps=6000)
    least = 2 * (1 - Fraction(2, 5))  # d (1 − η) with η = n/(n + d + 1)
    assert abs(fast.value(x).min() - float(least)) < 1e-6
    assert (fast.value(x) > float(least) - 1e-9).all()


def test_variances_of_another_length_are_refused():
    with pytest.raises(ValueError, match="one a dimension"):
        attention_loss(1, 2, [Fraction(1)])
