"""Numbers beside the algebra: descents descend, and end where the classification says."""

from fractions import Fraction

import numpy as np
import pytest

from precls_theory.landscape import landscape
from precls_theory.landscape.attention import attention_loss, attention_problem, best_steps
from precls_theory.landscape.numerical import FastLoss, adam, descend, gradient_flow, stationary


def test_flow_and_adam_descend():
    loss = FastLoss(landscape("square", "layer").parts[0].loss)
    starts = np.random.default_rng(1).normal(size=(4, 50))
    for follow in (lambda: gradient_flow(loss, starts, time=10.0), lambda: adam(loss, starts, n_steps=500)):
        end, losses = follow()
        assert losses.shape[1] == 50
        assert (loss.value(end) <= losses[0] + 1e-9).all()
    _, losses = gradient_flow(loss, starts, time=5.0)
    assert (np.diff(losses, axis=0) < 1e-9).all()


def test_starts_that_drift_along_a_valley_are_found_by_a_descent():
    """Linear in a layer: ‖∇L‖ also falls towards infinity; down the loss all these starts end at its least value."""
    loss = FastLoss(landscape("linear", "layer", 2).parts[0].loss)
    starts = 1.5 * np.random.default_rng(0).normal(size=(len(loss.names), 100))
    _, norms = stationary(loss, starts)
    drifting = starts[:, norms > 1e-10]
    assert drifting.shape[1] > 10
    lower = descend(loss, drifting)
    assert (loss.value(lower) <= loss.value(drifting)).all()
    end, norms = stationary(loss, lower, 600)
    assert (norms < 1e-10).all()
    assert np.abs(loss.value(end)).max() < 1e-9


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
