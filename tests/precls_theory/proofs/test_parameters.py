"""Symbols through the builder: what is proved of them holds for their values, and what ignores them is refused."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import constructions as C
from precls_theory import Refuted
from precls_theory.checking.every_value import prove_for_every, prove_whole
from precls_theory.proofs.parameters import Parameter, Quotient, Symbols, all_weights
from precls_theory.proofs.variants import hard_coded, last_weight
from precls_theory.theorems.descent.gd_tight import prove_tight


@pytest.fixture
def symbols():
    return Symbols(x="1/3", y=2)


def test_arithmetic_is_that_of_rational_functions(symbols):
    x, y = symbols["x"], symbols["y"]
    assert x - x == 0
    assert type(x - x) is Fraction
    assert x / x == 1
    assert type(2 * x / x) is Fraction
    assert (x * x - y * y) / (x - y) == x + y
    assert 1 / (1 / x) == x
    assert (x + 1) ** 2 == x * x + 2 * x + 1
    assert x**-1 == 1 / x
    assert Fraction(1, 2) + x == x + Fraction(1, 2)
    assert 1 - x == -(x - 1)
    assert x != y
    assert x != Fraction(1, 3)
    assert hash(x + y) == hash(y + x)
    assert (3 * x - y / 2).at({"x": Fraction(1), "y": Fraction(5)}) == Fraction(1, 2)


def test_a_symbol_is_never_taken_for_a_number(symbols):
    with pytest.raises(TypeError, match="no numerator"):
        Fraction(symbols["x"])
    with pytest.raises(TypeError, match="no numerator"):
        symbols["x"].denominator  # noqa: B018
    with pytest.raises(ValueError, match="two families"):
        symbols["x"] + Symbols(z=1)["z"]
    with pytest.raises(ZeroDivisionError):
        symbols["x"] / 0


def test_comparisons_are_answered_at_the_samples_and_recorded(symbols):
    x, y = symbols["x"], symbols["y"]
    assert 0 < x < y
    assert abs(x - y) == y - x
    assert x <= y
    assert not x >= y
    assert symbols.assumed == {"x > 0", "x - y < 0"}


def test_weights_of_a_network_are_functions_of_its_step_size():
    """Built from the symbol and then specialised, or built from the number: one network."""
    symbols = Symbols(eta="1/10")
    sizes = {"n_points": 3, "n_dims": 2, "n_steps": 5, "form": "tight"}
    generic = symbols.build(C.gradient_descent, **sizes, step_size=symbols["eta"])
    for value in (Fraction(1, 10), Fraction(7, 5)):
        at = {"eta": value}
        numbers = {weight.at(at) if isinstance(weight, Parameter) else weight for weight in all_weights(generic)}
        assert numbers == all_weights(C.gradient_descent(**sizes, step_size=value))


def test_special_values_are_where_weights_vanish_or_coincide():
    symbols = Symbols(eta="1/10")
    network = symbols.build(C.gradient_descent, n_points=3, n_dims=1, n_steps=2, step_size=symbols["eta"], form="gram")
    assert {Fraction(-3), Fraction(3)} <= set(symbols.special_values([network]))
    with pytest.raises(ValueError, match="single symbol"):
        Symbols(a=1, b=2).special_values([])


def test_a_construction_that_ignores_its_parameter_is_refused():
    sizes = {"n_points": 2, "n_dims": 2, "n_steps": 3, "form": "tight"}
    prove_for_every(C.gradient_descent, prove_tight, sizes, {"n_steps": 2}, step_size="1/10")
    with pytest.raises(Refuted):
        prove_for_every(hard_coded(C.gradient_descent, step_size="1/10"), prove_tight, sizes, step_size="1/10")

    def wrong_at_two(**parameters):
        network = C.gradient_descent(**parameters)
        return last_weight(network) if parameters["step_size"] == 2 else network

    with pytest.raises(Refuted):  # 2 = N is a special value
        prove_for_every(wrong_at_two, prove_tight, sizes, {"n_steps": 2}, step_size="1/10")


def test_whole_networks_are_written_out():
    network = C.heavy_ball(n_points=2, n_dims=1, n_steps=2, step_size="1/3", momentum="1/2")
    prove_whole(network)
    with pytest.raises(Refuted):
        prove_whole(last_weight(network))


def test_quotients_in_arrays_are_compared_in_lowest_terms(symbols):
    v = symbols.variables(a=(2,))
    x = v.constant(symbols["x"])
    ratio = v.ring.elements([1 / symbols["x"]])
    assert isinstance(v["a"][0], Quotient)
    assert np.array_equal(v["a"] * x * ratio, v["a"])
    assert not np.array_equal(v["a"] * x, v["a"])
    assert str((v["a"] * ratio)[0]) == "(a_0)/(x)"
