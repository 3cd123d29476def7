"""Channels that Read does not see: an identity that is checked, and gives equations at every real stationary point."""

from dataclasses import replace

import numpy as np
import pytest

from precls_theory.landscape import landscape
from precls_theory.landscape.euler import unseen_channels
from precls_theory.landscape.numerical import FastLoss, stationary
from precls_theory.landscape.population_loss import Loss, as_sympy


def problem(channels=2):
    return landscape("read", "layer", channels, 2).parts[0]


def test_the_equations_hold_where_the_gradient_is_numerically_zero():
    read = problem()
    loss = FastLoss(read.loss)
    x, norms = stationary(loss, np.random.default_rng(0).normal(size=(len(loss.names), 60)))
    found = x[:, norms < 1e-12]
    assert found.shape[1] > 10
    symbols = loss.names
    for equation in read.squares.equations:
        value = [float(as_sympy(equation).subs(dict(zip(symbols, point, strict=True)))) for point in found.T[:8]]
        assert max(map(abs, value)) < 1e-3  # squares of these are in the ideal: half the digits


def test_a_false_identity_is_refused():
    read = problem()
    with pytest.raises(ArithmeticError, match="not that sum of squares"):
        read.squares.check(Loss(read.loss.polynomial + read.loss.polynomial.context().gens()[1] ** 2))
    coefficient, square = read.squares.terms[0]
    with pytest.raises(ArithmeticError, match="positive"):
        replace(read.squares, terms=((-coefficient, square), *read.squares.terms[1:])).check(read.loss)
    with pytest.raises(ArithmeticError):
        unseen_channels(landscape("linear", "layer", 2, 2).parts[0].loss, 2)  # which sees channel 1


def test_one_channel_needs_no_equations():
    assert problem(1).squares is None
    assert landscape("square", "layer", 2, 2).parts[0].squares is None
