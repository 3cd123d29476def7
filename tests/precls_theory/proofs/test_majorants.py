"""Majorants: sums, products and networks against degrees, norms and denominators counted by hand."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from helpers.networks import SMALL

import constructions as C
from constructions.algebra.filters import Filter
from constructions.networks.layer import Layer, SparseMap
from precls_theory.proofs.majorants import (
    MAJORANTS,
    SLACK,
    VARIABLE,
    Majorant,
    _Channels,
    _PreparedMap,
    input_majorants,
    log2_add,
    log2_size,
    network_majorant,
    outward,
    worst,
)
from precls_theory.proofs.residues import Bound


def above(found: float, exact: float, width: float = 1e-9) -> bool:
    """A bound, strictly outward where rounding could matter, and no wider than rounding."""
    return exact <= found <= exact + width * (1 + abs(exact))


def test_logarithms_are_rounded_outward() -> None:
    assert SLACK == 2.0**-40
    assert outward(3.0) == 3 + 4 * SLACK
    assert outward(-3.0) == -3 + 4 * SLACK
    assert outward(-math.inf) == -math.inf
    assert outward(math.inf) == math.inf
    array = outward(np.array([3.0, -3.0, -math.inf]))
    assert array.tolist() == [3 + 4 * SLACK, -3 + 4 * SLACK, -math.inf]
    assert log2_size(Fraction(0)) == -math.inf
    for value in (Fraction(8), Fraction(-8), Fraction(1, 8), Fraction(-3, 7), Fraction(10**400), Fraction(1, 10**400)):
        exact = math.log2(abs(value.numerator)) - math.log2(value.denominator)
        assert exact < log2_size(value) <= exact + 2 * SLACK * (1 + abs(exact))
    assert above(log2_add(3.0, 3.0), 4.0)
    assert above(log2_add(5.0, 3.0), math.log2(40))
    assert above(log2_add(3.0, 5.0), math.log2(40))
    assert log2_add(3.0, 5.0) > math.log2(40)
    assert log2_add(2.0, -math.inf) == 2.0
    assert log2_add(-math.inf, 2.0) == 2.0
    assert log2_add(-math.inf, -math.inf) == -math.inf
    assert log2_size(Fraction(1)) > 0


def test_what_overflows_stays_infinite_and_zero_stays_zero() -> None:
    """NaN would be lost in the next maximum, and the bound with it."""
    big, zero = Majorant(1, 1.5e308), Majorant.of(0)
    overflowed = big * big
    assert overflowed.log2_norm == math.inf
    for total in (overflowed + overflowed, overflowed + 1, 1 + overflowed, overflowed * 5, overflowed * overflowed):
        assert total.log2_norm == math.inf
    for product in (zero * overflowed, overflowed * zero, zero * zero):
        assert product.log2_norm == -math.inf
    assert log2_add(math.inf, math.inf) == log2_add(math.inf, 1.0) == log2_add(-math.inf, math.inf) == math.inf
    with pytest.raises(
        OverflowError, match=r"^the coefficients are too long to bound: more than 10\^308 binary digits$"
    ):
        Bound.of_difference(overflowed, VARIABLE)
    with pytest.raises(OverflowError, match="too long to bound"):
        Bound.of_difference(VARIABLE, Majorant(1, math.nan))
    assert Bound.of_difference(big, VARIABLE).log2_height == outward(1.5e308) + 2 * SLACK


def test_networks_whose_coefficients_overflow_are_not_bounded_by_nothing() -> None:
    """Weights of 10^308 digits and more: 1020 squarings of 2^1000 x, and a product with a channel that is zero."""
    large = str(2**1000)
    square = Layer(
        conv=entries(3, 2, r0c0=large, r1c0="1"), gate=entries(3, 2, r0c0="1", r1c2="1"),
        out=entries(2, 3, r0c0="1", r1c1="1"), filters=(Filter.of((1,), 0),), filter_index=np.array([0, 0]),
        outputs=("x", "y", "z"),
    )  # fmt: skip
    with np.errstate(all="raise"):
        found = network_majorant(network([square] * 1020, {}, ((0, 0),)))
    assert found.degree >= 2**1020
    assert found.log2_norm == math.inf
    with pytest.raises(OverflowError, match="too long to bound"):
        Bound.of_difference(found, VARIABLE)


def test_constants() -> None:
    half = Majorant.of(Fraction(-3, 4))
    assert half.degree == 0
    assert above(half.log2_norm, math.log2(3 / 4))
    assert half.denominators == {4: 1}
    assert Majorant.of(5).denominators == {}
    assert Majorant.of(0).log2_norm == -math.inf
    assert (VARIABLE.degree, VARIABLE.log2_norm, VARIABLE.denominators) == (1, 0.0, {})
    assert MAJORANTS.element(Fraction(1, 3)).denominators == {3: 1}
    assert MAJORANTS.element(Fraction(1, 2)).denominators == {2: 1}
    coerced = MAJORANTS.coerce(np.array([[VARIABLE, 2]], dtype=object))
    assert coerced.shape == (1, 2)
    assert coerced[0, 0] is VARIABLE
    assert coerced[0, 1].log2_norm == Majorant.of(2).log2_norm
    assert MAJORANTS.name == "majorants (degree, norm, denominator)"


def test_sums_and_products() -> None:
    left = Majorant(2, 3.0, {3: 2, 5: 1})
    right = Majorant(5, 4.0, {3: 1, 7: 4})
    total, product = left + right, left * right
    assert (total.degree, total.denominators) == (5, {3: 2, 5: 1, 7: 4})
    assert above(total.log2_norm, math.log2(24))
    assert (right + left).denominators == {3: 2, 7: 4, 5: 1}
    assert (product.degree, product.denominators) == (7, {3: 3, 5: 1, 7: 4})
    assert product.log2_norm == outward(7.0)
    assert (-left) is left
    for difference in (left - right, right - left):
        assert (difference.degree, difference.log2_norm) == (5, total.log2_norm)
    for mixed in (left + Fraction(1, 3), Fraction(1, 3) + left, left - Fraction(1, 3), Fraction(1, 3) - left):
        assert mixed.denominators == {3: 2, 5: 1}
        assert above(mixed.log2_norm, math.log2(8 + 1 / 3))
    for scaled in (left * Fraction(2, 11), Fraction(2, 11) * left):
        assert scaled.denominators == {3: 2, 5: 1, 11: 1}
        assert above(scaled.log2_norm, 3 + math.log2(2 / 11))
        assert scaled.degree == 2
    assert (left + Majorant(0, 0.0, {11: 0})).denominators == {3: 2, 5: 1, 11: 0}
    assert above(left.log2_denominator, math.log2(45))
    assert left.log2_denominator > math.log2(45)
    assert left.log2_height == 3.0 + left.log2_denominator
    assert Majorant(1, 0.0).log2_denominator < 1e-11


def test_the_worst_of_several() -> None:
    entries = np.array([Majorant(2, 9.0, {3: 2, 5: 1}), Majorant(7, -4.0, {3: 1, 2: 6}), Majorant.of(0)], dtype=object)
    found = worst(entries)
    assert (found.degree, found.log2_norm, found.denominators) == (7, 9.0, {3: 2, 5: 1, 2: 6})
    assert worst(entries[::-1]).denominators == {2: 6, 3: 2, 5: 1}
    assert worst(np.array([Majorant(0, 0.0, {3: 0})], dtype=object)).denominators == {3: 0}
    nothing = worst(np.array([], dtype=object))
    assert (nothing.degree, nothing.log2_norm, nothing.denominators) == (0, -math.inf, {})


def test_inputs_are_variables_where_the_task_says() -> None:
    network = C.gradient_descent(n_points=2, n_dims=1, n_steps=1, step_size="1/2")
    u = input_majorants(network)
    assert u.shape == (network.n_rows, len(network.inputs))
    free = set(network.task.free_channels)
    for place in np.ndindex(*u.shape):
        assert (u[place] is VARIABLE) == (place in free)
        assert u[place].log2_norm == (0.0 if place in free else -math.inf)


# --- networks by hand --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Free:
    free_channels: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Bare:
    n_rows: int
    mode: str
    inputs: tuple[str, ...]
    layers: tuple[Layer, ...]
    positions: dict[tuple[int, int], Fraction]
    task: Free
    depth: int


def network(layers: list[Layer], positions: dict[tuple[int, int], Fraction], free: Any, n_rows: int = 4) -> Any:
    return Bare(n_rows, "causal", ("x", "y", "z"), tuple(layers), positions, Free(free), len(layers))


def entries(n_in: int, n_out: int, **weights: str) -> SparseMap:
    """``r0c2="1/3"``: the weight of column 2 in row 0."""
    table = {(int(key[1]), int(key[3])): Fraction(value) for key, value in weights.items()}
    return SparseMap.of(n_in, n_out, table)


FIRST = Layer(
    conv=entries(3, 3, r0c0="2/3", r0c3="5", r1c2="-3"),
    gate=entries(3, 3, r0c1="4", r1c3="1/7", r2c0="1"),
    out=entries(3, 2, r0c0="1/2", r0c1="3", r1c3="7/5"),
    filters=(Filter.of(("1/2", -3), 2), Filter.of((1, 2, 3, 4, 5, 6), 0)), filter_index=np.array([0, 1, 1]),
    outputs=("a", "b"),
)  # fmt: skip


def test_one_layer_by_hand() -> None:
    """Free x and y; z holds positional values 9/4 and −1. Denominators: lcm(3, 7, 2, 5) of the layer, 4 of the input."""
    positions = {(0, 2): Fraction(9, 4), (3, 2): Fraction(-1)}
    found = network_majorant(network([FIRST], positions, ((0, 0), (1, 0), (2, 1))))
    conv0 = (Fraction(2, 3) + 5) * (Fraction(1, 2) + 3 + 2 * 2)
    conv1 = 3 * Fraction(9, 4) * (1 + 2 + 3 + 4)
    first = conv0 * 4 / 2 + 3 * conv1 / 7
    assert above(found.log2_norm, math.log2(first))
    assert found.degree == 2
    # Row 0: 1/2 of (conv 2/3, a filter with 1/2, gate whole): 3; 3 of (conv whole, filter whole, gate 1/7): 1.
    assert found.denominators == {210: 3 + 1, 4: 1 + 1}  # one more, where an exponent is rounded up


def test_a_layer_that_repeats_shares_its_denominator() -> None:
    square = Layer(
        conv=entries(3, 1, r0c0="1/3"), gate=entries(3, 1, r0c0="1"),
        out=entries(1, 3, r0c0="1", r1c1="1/2"), filters=(Filter.of((1,), 0),), filter_index=np.array([0]),
        outputs=("x", "y", "z"),
    )  # fmt: skip
    found = network_majorant(network([square] * 3, {}, ((0, 0),)))
    # x, x²/3, x⁴/27, x⁸/2187: degree 8, and 1 + 2 + 4 of the layer's denominator 6, of which y alone needs the half.
    assert found.degree == 8
    assert found.denominators == {6: 7 + 1}
    assert above(found.log2_norm, -1.0)
    other = replace(square, conv=entries(3, 1, r0c0="1/5"))
    mixed = network_majorant(network([square, other], {}, ((0, 0),)))
    assert mixed.denominators == {6: 2 + 1, 10: 1 + 1}
    assert mixed.degree == 4


def product(weight: str, out: str = "1") -> Layer:
    """``out · (weight · x) · x`` in channel x; a weight of a fifth in a hidden channel that nobody reads."""
    return Layer(
        conv=entries(3, 2, r0c0=weight, r1c0="1/5"), gate=entries(3, 2, r0c0="1", r1c0="1"), out=entries(2, 3, r0c0=out),
        filters=(Filter.of((1,), 0),), filter_index=np.array([0, 0]), outputs=("x", "y", "z"),
    )  # fmt: skip


def test_denominators_of_layers_and_inputs() -> None:
    def found(*layers: Layer, positions: dict[tuple[int, int], Fraction] | None = None) -> dict[int, int]:
        return network_majorant(network(list(layers), positions or {}, ((0, 0),))).denominators

    assert found(product("1")) == {5: 0}
    whole = replace(product("1"), conv=entries(3, 2, r0c0="1"))
    halves = replace(whole, conv=entries(3, 2, r0c0="1/2"))
    assert found(halves) == {2: 1 + 1}
    # two layers of one denominator: exponents 2 (squared) and 1, each rounded up
    assert found(halves, replace(halves, gate=entries(3, 2, r0c0="-1"))) == {2: 2 + 1 + 1 + 1}
    prime = 10**20 + 39  # no float holds it
    assert found(replace(whole, conv=entries(3, 2, r0c0=f"1/{prime}"))) == {prime: 1 + 1}
    assert found(whole, positions={(0, 0): Fraction(1, 2)}) == {2: 2 + 1}
    # the channel that is read holds whole numbers, another a half
    assert found(whole, positions={(0, 0): Fraction(3), (0, 1): Fraction(1, 2)}) == {2: 0}


def test_filters_count_the_taps_within_the_rows() -> None:
    def norm(filter: Filter, n_rows: int) -> float:
        layer = Layer(
            conv=entries(3, 1, r0c0="1"), gate=entries(3, 1, r0c3="1"), out=entries(1, 1, r0c0="1"),
            filters=(filter,), filter_index=np.array([0]), outputs=("x",),
        )  # fmt: skip
        return network_majorant(network([layer], {}, ((0, 0),), n_rows)).log2_norm

    assert above(norm(Filter.of((1, -2, 4), 8), 1), 0.0)
    assert above(norm(Filter.of((1, -2, 4), 8), 2), math.log2(3))
    assert above(norm(Filter.of((1, -2, 4), 8), 3), math.log2(7))
    assert above(norm(Filter.of((1, -2, 4), -8), 5), math.log2(7 + 16))
    assert norm(Filter.of((), 0), 3) == -math.inf


def test_positional_values_add_to_free_channels() -> None:
    layer = Layer(
        conv=entries(3, 1, r0c2="1"), gate=entries(3, 1, r0c3="1"), out=entries(1, 1, r0c0="1"),
        filters=(Filter.of((1,), 0),), filter_index=np.array([0]), outputs=("x",),
    )  # fmt: skip
    for positions, value in (({(0, 2): Fraction(3)}, 4), ({(0, 2): Fraction(-3), (1, 2): Fraction(2)}, 4), ({}, 1)):
        found = network_majorant(network([layer], positions, ((0, 2),)))
        assert above(found.log2_norm, math.log2(value))
        assert found.denominators == {}
    both = network_majorant(network([layer], {(0, 2): Fraction(1, 4), (1, 2): Fraction(5, 6)}, ()))
    assert above(both.log2_norm, math.log2(5 / 6))
    assert both.denominators == {12: 1 + 1}
    assert both.degree == 0


def test_networks_without_layers_and_without_outputs() -> None:
    found = network_majorant(network([], {(0, 1): Fraction(-7)}, ((0, 0),)))
    assert (found.degree, found.denominators) == (1, {})
    assert above(found.log2_norm, math.log2(7))
    nothing = network_majorant(network([], {}, ()))
    assert (nothing.degree, nothing.log2_norm, nothing.denominators) == (0, -math.inf, {})


def test_degrees_beyond_floats_are_refused_or_rounded_up() -> None:
    square = Layer(
        conv=entries(3, 1, r0c0="1"), gate=entries(3, 1, r0c0="1"), out=entries(1, 3, r0c0="1"),
        filters=(Filter.of((1,), 0),), filter_index=np.array([0]), outputs=("x", "y", "z"),
    )  # fmt: skip
    exact = network_majorant(network([square] * 52, {}, ((0, 0),)))
    assert exact.degree == 2**52
    rounded = network_majorant(network([square] * 53, {}, ((0, 0),)))
    assert 2**53 < rounded.degree <= 2**53 + 2**14
    with (
        np.errstate(all="raise"),
        pytest.raises(OverflowError, match=r"^the degree of a network of depth 1100 is too large to bound$"),
    ):
        network_majorant(network([square] * 1100, {}, ((0, 0),)))


@pytest.mark.parametrize("name", ["gd-gram-A", "gd-residual-E", "newton-direct", "read", "linear"])
def test_networks_are_bounded_as_entry_by_entry(name: str) -> None:
    """The evaluator over majorants is another program for the bound, and no larger one."""
    built = SMALL[name]()
    by_entry = worst(built.evaluate(input_majorants(built), MAJORANTS))
    by_channel = network_majorant(built)
    assert by_entry.degree == by_channel.degree
    assert by_entry.log2_norm <= by_channel.log2_norm + 1e-6
    assert by_channel.log2_norm <= by_entry.log2_norm + 2 * built.depth * math.log2(4 * built.n_rows)


def test_sums_of_many_terms_leave_room_for_their_rounding() -> None:
    """4096 terms of norm 1: log2 of the sum is 12, and pairwise logaddexp2 may err by some 4096·2^-48·13."""
    n = 4096
    many = _PreparedMap(SparseMap.of(n, 1, {(0, column): Fraction(1) for column in range(n)}))
    found = many.apply(_Channels(np.zeros(n), np.zeros(n), np.zeros((n, 1))), 0)
    assert 0 <= found.log2_norm[0] - 12 - n * 2.0**-48 * 13 <= SLACK * (13 + 4)  # of each term, and of the sum


def test_a_layer_without_outputs() -> None:
    none = SparseMap.of(0, 0, {})
    empty = Layer(
        conv=SparseMap.of(3, 0, {}), gate=SparseMap.of(3, 0, {}), out=none, filters=(),
        filter_index=np.zeros(0, dtype=np.int64), outputs=(),
    )  # fmt: skip
    found = network_majorant(network([empty], {}, ((0, 0),)))
    assert (found.degree, found.log2_norm, found.denominators) == (0, -math.inf, {})
