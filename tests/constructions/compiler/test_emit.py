"""From a schedule to layers: one layer of the network for each of the schedule, and the values of its outputs."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import constructions as C
from constructions.compiler.emit import emit
from constructions.compiler.instructions import task_of
from constructions.compiler.schedule import schedule
from constructions.networks.network import Network


def network_of(outputs: list[C.Wire]) -> Network:
    return emit(schedule(outputs[0].circuit, outputs), task_of(outputs[0].circuit))


def value(network: Network, *values: object) -> list[Fraction]:
    return [Fraction(int(v.p), int(v.q)) if hasattr(v, "p") else Fraction(v)
            for v in network.decode(network.evaluate(network.encode(list(values))))]  # fmt: skip


def test_a_layer_of_the_schedule_is_a_layer_of_the_network() -> None:
    home = C.Circuit()
    x, y = home.input("x"), home.input("y")
    outputs = [(x * y + 1) * (x - y) + Fraction(1, 3)]
    assert network_of(outputs).depth == len(schedule(home, outputs).layers) == 2
    assert value(network_of(outputs), Fraction(5), Fraction(2)) == [Fraction(11 * 3) + Fraction(1, 3)]


def test_early_values_are_carried_to_where_they_are_read() -> None:
    home = C.Circuit()
    x, y = home.input("x"), home.input("y")
    square = x * x
    network = network_of([square * square + y, y])
    assert network.depth == 2
    assert value(network, Fraction(2), Fraction(7)) == [23, 7]


def test_what_is_no_product_has_a_layer_all_the_same() -> None:
    home = C.Circuit()
    x = home.input("x")
    network = network_of([x, home.constant(5), 2 * x + 1])
    assert network.depth == 1
    assert value(network, Fraction(3)) == [3, 5, 7]


@pytest.mark.parametrize("mode", ["causal", "circular"])
def test_filters_and_constants_by_row_survive(mode: str) -> None:
    home = C.Circuit(3, mode)  # type: ignore[arg-type]
    x = home.input("x")
    ramp = home.row_constants("ramp", {1: 1, 2: 2})
    sums = C.total(x) if mode == "circular" else C.prefix_sum(x)
    network = network_of([C.shift(x * ramp, 1) + sums])
    u = np.array([[2], [3], [5]], dtype=object)
    products = np.array([0, 3, 10])
    moved = np.roll(products, 1) if mode == "circular" else np.array([0, 0, 3])
    added = np.full(3, 10) if mode == "circular" else np.array([2, 5, 10])
    assert (network.decode(network.evaluate(network.encode(u)))[:, 0].astype(int) == moved + added).all()
    assert network.positions  # the ramp is a positional channel


def test_one_product_of_equal_factors_is_made_once() -> None:
    home = C.Circuit()
    x, y = home.input("x"), home.input("y")
    network = network_of([x * y, y * x, 2 * (x * y)])
    assert network.layers[0].width == 1
    assert value(network, Fraction(3), Fraction(4)) == [12, 12, 24]
