"""Circuits: the algebra of wires, depth, sharing, and instructions that are not well formed."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from helpers.circuits import filters, sequence_circuits
from helpers.mutations import changed_filters, changed_weights, differs
from hypothesis import given
from hypothesis import strategies as st

import constructions as C
from constructions.algebra.filters import Filter
from constructions.algebra.rings import RATIONALS
from constructions.compiler import rebalance_circuit
from constructions.compiler.circuit import Circuit
from constructions.compiler.instructions import instructions, read_instructions
from constructions.compiler.schedule import circuit_width
from precls_theory.checking.check import check
from precls_theory.checking.references import claimed, computed


def value(network: C.Network, *inputs: Any) -> list[Any]:
    return list(network.decode(network.evaluate(network.encode(list(inputs)))))


def test_additions_and_rational_factors_are_free():
    x, y = C.wires("x, y")
    wire = 2 * x - y / 3 + Fraction(1, 2) - (y - x) + 0 * y
    assert wire.depth == 0
    assert not x.circuit.products
    network = C.compile_circuit([wire, wire])
    assert network.depth == 1
    assert value(network, 3, 3) == [3 * 3 - Fraction(4, 3) * 3 + Fraction(1, 2)] * 2


def test_equal_products_are_one_gate():
    x, y = C.wires("x y")
    assert x * y == y * x
    assert (2 * x) * (y - 1) == 2 * ((y - 1) * x)
    assert len(x.circuit.products) == 2
    assert x * y - y * x == x.circuit.constant(0)
    assert x * 0 == 0 * y


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 5, 16, 17, 31, 33])
def test_powers_are_balanced(exponent):
    (x,) = C.wires("x")
    network = C.compile_circuit([x**exponent])
    assert network.depth == max(1, (max(exponent, 1) - 1).bit_length())
    assert value(network, 3) == [3**exponent]


def test_depth_is_that_of_the_circuit_and_rebalancing_makes_it_least():
    x, y = C.wires("x y")
    chain = x
    for j in range(7):
        chain = chain * (x + j * y)
    assert C.compile_polynomials([chain], ["x", "y"]).depth == chain.depth == 7
    short = C.compile_polynomials([chain], ["x", "y"], rebalance=True)
    assert short.depth == 3
    assert value(short, 2, 3) == value(C.compile_circuit([chain]), 2, 3)


def test_what_rebalancing_costs_is_reported():
    x, y, z = C.wires("x y z")
    value_ = x
    for i in range(6):
        value_ = value_ * (x + (i + 1) * y) + (i + 2) * z
    found = rebalance_circuit([value_])
    assert (found.written.depth, found.network.depth, found.n_terms) == (6, 3, 28)
    assert found.network.width > found.written.width
    assert str(found).startswith(f"depth 6 to 3, width {found.written.width} to {found.network.width}, ")
    at_least = rebalance_circuit([(x + y * z) ** 4])  # degree 8 in three layers already
    assert at_least.network is at_least.written
    with pytest.raises(ValueError, match="one row"):
        rebalance_circuit([Circuit(2).input("x")])


def test_a_product_of_matrices_is_found_in_its_expansion():
    circuit = C.Circuit()
    product = circuit.input("M0", 2, 2)
    for index in range(1, 8):
        product = product @ circuit.input(f"M{index}", 2, 2)
    found = rebalance_circuit(list(product.flat))
    assert (found.n_terms, found.written.depth) == (4 * 128, 7)
    assert [layer.width for layer in found.network.layers] == [32, 16, 8]  # four products of 2×2 matrices, two, one


def test_matrices_of_wires():
    X = C.Circuit().input("X", 2, 2)
    network = C.compile_circuit(X @ X @ X)
    assert network.depth == 2
    given = np.array([[1, 2], [3, 4]], dtype=object)
    assert value(network, *given.flat) == list((given @ given @ given).flat)
    assert network.inputs == ("X[0,0]", "X[0,1]", "X[1,0]", "X[1,1]")


def test_width_is_at_most_products_plus_values_needed():
    x, y, z = C.wires("x y z")
    late = (x * y + z) ** 8 + x * y + z  # x*y + z is carried as one value, not as three
    network = C.compile_circuit([late])
    assert network.width == 2 <= circuit_width(x.circuit, [late]) == 3


@given(st.lists(filters, min_size=1, max_size=3), st.sampled_from(["causal", "circular"]), st.integers(1, 5))
def test_filters_of_filters_are_their_matrix_product(chosen, mode, n_rows):
    circuit = Circuit(n_rows, mode)
    wire = circuit.input("x") + 2
    expected = np.eye(n_rows, dtype=object) * Fraction(1)
    for filter in chosen:
        wire = wire.convolve(filter)
        # In a circular circuit a finite filter wraps around.
        size = len(filter.head) if mode == "circular" and not filter.tail else 0
        wrapped = [sum(filter.taps(max(size, n_rows))[lag::n_rows], Fraction(0)) for lag in range(n_rows)]
        expected = Filter.of(wrapped, 0).matrix(n_rows, mode) @ expected
    x = np.arange(1, n_rows + 1).astype(object)
    total = np.zeros(n_rows, dtype=object)
    for (filter, node), weight in wire.terms.items():
        total = total + circuit.filters[filter].matrix(n_rows, mode) @ (x * weight if node >= 0 else [weight] * n_rows)
    assert list(total) == list(expected @ (x + 2))


@given(sequence_circuits(), st.integers(0, 2**32 - 1))
def test_networks_do_what_the_instructions_say(outputs, seed):
    network = C.compile_circuit(outputs)
    assert network.depth == max(1, *(wire.depth for wire in outputs))
    rng = np.random.default_rng(seed)
    u = rng.integers(-3, 4, (network.n_rows, len(network.inputs))).astype(object)
    u[:, 2:] = 0  # positional channels are added by the network
    assert (computed(network, u, RATIONALS) == claimed(network, u, RATIONALS)).all()
    assert network.width <= max(1, circuit_width(outputs[0].circuit, outputs))


def test_a_changed_program_is_refused():
    circuit = Circuit(3)
    x, y = circuit.input("x"), circuit.input("y")
    network = C.compile_circuit([(x * y).prefix_sum() * x + y.shift(1), x * x - 1])
    assert check(network).ok
    wrong = [*changed_weights(network), *changed_filters(network)]
    felt = [what for what, other in wrong if differs(network, other)]
    assert len(felt) > 20
    assert all(not check(other).ok for _, other in wrong)


def test_instructions_make_the_same_network_again():
    circuit = Circuit(4, "circular")
    x, mask = circuit.input("x"), circuit.row_constants("mask", {1: "1/3"})
    network = C.compile_circuit([(x * mask).total() * x.shift(2) + 1])
    again = C.rebuild(network.algorithm, network.parameters)
    assert again.depth == network.depth == 2
    assert [layer.conv.entries() for layer in again.layers] == [layer.conv.entries() for layer in network.layers]
    assert again.positions == network.positions == {(1, 1): Fraction(1, 3)}


def test_sequences_in_and_out():
    circuit = Circuit(3)
    x = circuit.input("x")
    network = C.compile_circuit([x.prefix_sum(), x * x.shift(1)])
    u = np.array([[[1], [2], [3]]], dtype=object)
    assert network.decode(network.evaluate(network.encode(u))).tolist() == [[[1, 0], [3, 2], [6, 6]]]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda x, y: x * 0.5, TypeError, "exact rationals, got float 0.5"),
        (lambda x, y: x + float("nan"), TypeError, "exact rationals"),
        (lambda x, y: x / y, TypeError, "divides by rational numbers alone"),
        (lambda x, y: x / 0, ZeroDivisionError, "cannot divide by 0"),
        (lambda x, y: 1 / x, TypeError, "has no division"),
        (lambda x, y: 2**x, TypeError, "cannot be an exponent"),
        (lambda x, y: x**-1, ValueError, "whole number from 0 to 1000, got -1"),
        (lambda x, y: x**0.5, ValueError, "whole number"),
        (lambda x, y: x * C.wires("z")[0], ValueError, "two circuits"),
        (lambda x, y: C.compile_circuit([x, C.wires("z")[0]]), ValueError, "two circuits"),
        (lambda x, y: C.compile_circuit([]), ValueError, "at least one output"),
        (lambda x, y: C.compile_circuit([x, 3]), TypeError, "outputs are wires, got int"),
        (lambda x, y: C.compile_polynomials([x, 3]), TypeError, "cannot be mixed"),
        (lambda x, y: C.compile_polynomials([x], ["y", "x"]), ValueError, "inputs are x, y, in this order"),
        (lambda x, y: x.circuit.input("x"), ValueError, "has an input 'x' already"),
        (lambda x, y: x.shift(-1), ValueError, "lag of at least 0"),
        (lambda x, y: x.total(), ValueError, "use prefix_sum"),
        (lambda x, y: Circuit(2, "circular").input("x").prefix_sum(), ValueError, "use total"),
        (lambda x, y: Circuit(2).row_constants("e", {2: 1}), ValueError, "row 2 is not one of the 2 rows"),
        (lambda x, y: Circuit(2).row_constants("e", {0: 0.5}), TypeError, "must be exact"),
        (lambda x, y: Circuit(0), ValueError, "n_rows"),
        (lambda x, y: Circuit(2, "backwards"), ValueError, "'causal' or 'circular'"),
        (lambda x, y: x.circuit.constant(0.5), TypeError, "exact"),
    ],
)
def test_errors_say_what_was_expected(make, error, message):
    with pytest.raises(error, match=message):
        make(*C.wires("x y"))


def parameters(**changes: Any) -> dict[str, Any]:
    x, y = C.wires("x y")
    return instructions([x * y]) | changes


@pytest.mark.parametrize(
    "changes",
    [
        {"products": [[[[0, 5, "1"]], [[0, 1, "1"]]]]},
        {"products": [[[[0, 2, "1"]], [[0, 1, "1"]]]]},  # reads itself
        {"products": [[[[0, 0, "1/0"]], [[0, 1, "1"]]]]},
        {"products": [[[[0, 0, 0.5]], [[0, 1, "1"]]]]},
        {"products": [[[[3, 0, "1"]], [[0, 1, "1"]]]]},
        {"products": [[[[0, 0]], [[0, 1, "1"]]]]},
        {"products": [7]},
        {"outputs": []},
        {"outputs": [[[0, 9, "1"]]]},
        {"inputs": ["x", "x"]},
        {"inputs": ["x", 3]},
        {"filters": [[["1"], "zero"]]},
        {"n_rows": 0},
        {"n_rows": 10**12},
        {"mode": "backwards"},
        {"row_constants": [["e", [[5, "1"]]]]},
    ],
)
def test_instructions_that_are_not_well_formed_are_refused(changes):
    assert read_instructions(**parameters())[0].n_nodes == 3
    with pytest.raises(ValueError):
        C.rebuild("circuit", parameters(**changes))
