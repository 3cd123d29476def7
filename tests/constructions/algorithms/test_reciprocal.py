"""1/x by Newton's iteration: its depth, its error, which is attained, and the intervals that it refuses."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import constructions as C


@given(st.fractions("1/50", 10, max_denominator=50), st.fractions("1/50", 10, max_denominator=50), st.integers(0, 4))
def test_the_error_is_attained_at_the_lower_end(low: Fraction, length: Fraction, n_iters: int) -> None:
    high = low + length
    network = C.reciprocal(low=low, high=high, n_iters=n_iters)
    assert network.depth == n_iters + 1
    points = [low, high, (low + high) / 2, low + length / 7]
    values = network.decode(network.evaluate(network.encode(np.array(points, dtype=object)[:, None])))[:, 0]
    errors = [abs(1 / point - value) for point, value in zip(points, values, strict=True)]
    assert max(errors) == errors[0] == network.error_bound


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (2, 1), (1, 1)])
def test_other_intervals_are_refused(low: int, high: int) -> None:
    with pytest.raises(ValueError, match="0 < low < high"):
        C.reciprocal(low=low, high=high, n_iters=1)
