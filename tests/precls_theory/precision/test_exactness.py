"""The independent reading of a sliced network's weights: what is exact, and controls that it refuses."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

import constructions as C
from constructions.networks.network import Network
from precls_theory.precision.exactness import Known, Overflowing, _within, exact_digits, unexpected
from precls_theory.registry import Refuted
from precls_theory.theorems.precision.sliced_digits import prove_digits, prove_equal
from precls_theory.theorems.precision.sliced_refinement import lost_carry, small


def sliced(form: str = "doubling", n_steps: int = 8, bits: int = 8) -> Network:
    original = C.gradient_descent(n_points=6, n_dims=3, n_steps=n_steps, step_size="1/10", form=form)  # type: ignore[arg-type]
    return C.sliced(original, slices=4, slice_bits=bits)


@pytest.mark.parametrize("form", ["doubling", "gram", "tight", "residual"])
def test_everything_but_last_digits_is_exact(form: str) -> None:
    network = sliced(form, 4)
    report = exact_digits(network)
    assert unexpected(network, report) == []
    assert report.inexact_outputs == {group[-1] for group in network.task.groups}  # type: ignore[attr-defined]
    assert report.largest_sum_bits <= 24


def test_fewer_bits_than_the_network_was_made_for_are_refused() -> None:
    network = sliced()
    with pytest.raises(Overflowing):
        exact_digits(network, precision=network.precision - 6)  # type: ignore[operator]


def test_a_larger_limit_or_weight_is_refused() -> None:
    network = sliced()
    wide = replace(network, limits=tuple(None if limit is None else limit * 2.0**12 for limit in network.limits))
    with pytest.raises((Overflowing, Refuted)):
        prove_digits(wide)
    layer = network.layers[0]
    weights = layer.out.weights.copy()
    weights[0] = weights[0] * Fraction(1, 3)
    wrong = replace(network, layers=(replace(layer, out=replace(layer.out, weights=weights)), *network.layers[1:]))
    with pytest.raises((Overflowing, Refuted)):
        prove_digits(wrong)


def test_bounds_repeat_so_that_any_number_of_doublings_is_covered() -> None:
    few, many = exact_digits(sliced(n_steps=64)), exact_digits(sliced(n_steps=1024))
    assert many.n_repeated - few.n_repeated == 8  # four doublings more, two layers each, nothing new


def test_networks_that_are_not_sliced_are_refused() -> None:
    with pytest.raises(ValueError, match="sliced"):
        exact_digits(C.gradient_descent(n_points=2, n_dims=1, n_steps=1, step_size=1))


def test_a_limit_below_the_unit_of_a_rest_is_not_taken_for_zero() -> None:
    """A rest in units of 8 that a run keeps within 1/2: its bound is 1/2, where whole units would be none at all."""
    within = _within(Known(-3, 700, False), Fraction(1, 2))
    assert (within.bound * Fraction(2) ** -within.q, within.exact) == (Fraction(1, 2), False)
    assert _within(Known(1, 7, True), Fraction(9, 8)) == Known(1, 2, True)  # multiples of 1/2
    assert _within(Known(1, 2, False), Fraction(9, 8)) == Known(1, 2, False)


def test_a_lost_carry_is_the_same_network_over_the_rationals() -> None:
    """So it is the digits alone that refuse it."""
    network = lost_carry(small())
    prove_equal(network)
    with pytest.raises(Refuted):
        prove_digits(network)
