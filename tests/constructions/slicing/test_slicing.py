"""Sliced networks: equal over Q, more digits in floats, honest about their range, saved and checked like any other."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sympy
import torch
from hypothesis import given
from hypothesis import strategies as st

import constructions as C
from constructions.algebra.filters import Filter
from constructions.networks.network import Network
from constructions.slicing import BudgetError
from constructions.slicing.task import SlicedTask
from precls_theory.checking.check import check
from tests.helpers.problems import array, gradient_descent, integer_regression

FORMS = ("residual", "gram", "doubling", "tight")


def descent(n_points: int = 4, n_dims: int = 2, n_steps: int = 2, step_size: str = "1/3", **options: Any) -> Network:
    return C.gradient_descent(n_points=n_points, n_dims=n_dims, n_steps=n_steps, step_size=step_size, **options)


def worst_digits(found: np.ndarray, exact: np.ndarray) -> float:
    """The smallest number of correct digits, at most 60."""
    errors = [abs(Fraction(f) - e) / abs(e) for f, e in zip(found.flat, exact.flat, strict=True)]
    return min(60.0 if not error else -math.log10(error) for error in errors)


@pytest.mark.parametrize("layout", ["A", "E", "S"])
@pytest.mark.parametrize("form", FORMS)
def test_sliced_equals_the_original_over_the_rationals(form: str, layout: str) -> None:
    original = descent(form=form, layout=layout)
    network = C.sliced(original, slices=3, slice_bits=8)
    A, b, x = integer_regression(4, 2, seed=1)
    A, b, x = A / 7, b / 3, x / 5
    found = network.decode(network.evaluate(network.encode(A, b, x)))
    assert found.tolist() == gradient_descent(A, b, x, 2, Fraction(1, 3)).tolist()
    assert check(network).ok


@given(slices=st.integers(2, 5), bits=st.integers(4, 8), seed=st.integers(0, 99))
def test_any_grid_gives_the_same_network_over_the_rationals(slices: int, bits: int, seed: int) -> None:
    network = C.sliced(descent(), slices=slices, slice_bits=bits)
    A, b, x = integer_regression(4, 2, seed)
    found = network.decode(network.evaluate(network.encode(A, b, x / 3)))
    assert found.tolist() == gradient_descent(A, b, x / 3, 2, Fraction(1, 3)).tolist()


def test_nondyadic_taps_and_weights_are_split() -> None:
    original = descent(form="gram")
    third = Filter.of((Fraction(1, 3), Fraction(1, 7)), Fraction(2, 5))
    layers = (original.layers[0], replace(original.layers[1], filters=tuple(
        f if f.is_identity else third for f in original.layers[1].filters)), *original.layers[2:])  # fmt: skip
    changed = replace(original, layers=layers)
    network = C.sliced(changed, slices=4, slice_bits=8)
    assert network.algorithm == "unnamed"  # it is not what its parameters build, so it claims nothing
    A, b, x = integer_regression(4, 2, seed=3)
    u = changed.encode(A, b, x)
    exact = changed.decode(changed.evaluate(u))
    assert network.decode(network.evaluate(network.encode(A, b, x))).tolist() == exact.tolist()
    lowered = network.to_torch(dtype=torch.float32)
    found = network.decode(lowered(torch.tensor(network.encode(A, b, x).astype(float), dtype=torch.float32)))
    assert worst_digits(found, exact) > 8


@pytest.mark.parametrize(
    ("dtype", "slices", "least", "most_plain"), [("float32", 6, 12.0, 7.5), ("float64", 4, 25.0, 16.5)]
)
def test_doubling_of_256_steps_has_many_more_digits_than_its_format(
    dtype: str, slices: int, least: float, most_plain: float
) -> None:
    original = descent(20, 5, 256, "1/10")
    network = C.sliced(original, slices=slices, dtype=dtype)
    rng = np.random.default_rng(0)
    A = rng.standard_normal((3, 20, 5)).astype(np.float32)
    b, x = rng.standard_normal((3, 20)).astype(np.float32), rng.standard_normal((3, 5)).astype(np.float32)
    floats = [torch.tensor(value, dtype=getattr(torch, dtype)) for value in (A, b, x)]
    run = network.to_torch(dtype=getattr(torch, dtype))
    found = network.decode(run(network.encode(*floats)))
    plain = original.decode(original.to_torch(dtype=getattr(torch, dtype))(original.encode(*floats)))
    for index in range(3):
        rational = [array(value[index].astype(float)) for value in (A, b, x)]
        exact = power_of_descent(*rational, Fraction(1, 10), 8)
        assert worst_digits(found[index], exact) > least
        assert worst_digits(plain[index].double().numpy(), exact) < most_plain
    assert torch.equal(network.decode(run(network.encode(*floats)), as_tensor=True), torch.tensor(
        found.astype(float), dtype=getattr(torch, dtype))) or dtype == "float32"  # fmt: skip


def power_of_descent(A: np.ndarray, b: np.ndarray, x: np.ndarray, step: Fraction, doublings: int) -> np.ndarray:
    """2^doublings gradient steps by squaring their affine map."""
    P = array(np.eye(A.shape[1], dtype=int)) - step / len(A) * (A.T @ A)
    q = step / len(A) * (A.T @ b)
    for _ in range(doublings):
        P, q = P @ P, P @ q + q
    return P @ x + q


def test_polynomials_and_newton_gain_digits_in_float32() -> None:
    t, s = sympy.symbols("t s")
    original = C.compile_polynomials([t**8 / 3 - sympy.Rational(7, 11) * t**3 * s + 1], [t, s])
    network = C.sliced(original, slices=6, slice_bits=8, bounds={"t": 1, "s": 1})
    point = [Fraction(3, 8), Fraction(-5, 16)]
    exact = original.decode(original.evaluate(original.encode(point)))
    floats = torch.tensor([[0.375, -0.3125]], dtype=torch.float32)
    found = network.decode(network.to_torch(dtype=torch.float32)(network.encode(floats)))[0]
    assert worst_digits(found, exact) > 12
    assert check(network).ok


def test_save_load_and_check(tmp_path: Any) -> None:
    network = C.sliced(descent(), slices=3, slice_bits=8)
    network.save(tmp_path / "sliced.safetensors")
    loaded = C.load(tmp_path / "sliced.safetensors")
    assert loaded.parameters == network.parameters
    assert check(loaded).ok
    assert isinstance(loaded.task, SlicedTask)
    # another carry constant telescopes away over Q, and the comparison with the rebuild finds it
    layer = loaded.layers[1]
    weights = layer.gate.weights.copy()
    weights[next(i for i, w in enumerate(weights) if abs(w) > 2**10)] += 1
    other_carry = replace(layer, gate=replace(layer.gate, weights=weights))
    result = check(replace(loaded, layers=(loaded.layers[0], other_carry, *loaded.layers[2:])))
    assert not result.ok
    assert result.entry is not None
    # a digit that is counted twice does not
    weights = layer.out.weights.copy()
    weights[0] *= 2
    doubled = replace(layer, out=replace(layer.out, weights=weights))
    result = check(replace(loaded, layers=(loaded.layers[0], doubled, *loaded.layers[2:])))
    assert not result.ok
    assert result.first_difference is not None


def test_many_steps_in_few_layers_load_again(tmp_path: Any) -> None:
    network = C.sliced(descent(3, 1, 1024, "1/4"), slices=2)
    network.save(tmp_path / "sliced.safetensors")
    assert C.load(tmp_path / "sliced.safetensors").parameters == network.parameters


def test_a_run_out_of_range_is_an_error_in_words() -> None:
    network = C.sliced(descent(n_steps=8), slices=4, slice_bits=8)
    A = torch.full((1, 4, 2), 7.0)  # (eta/N) G is far above 2 I, so P^j grows
    lowered = network.to_torch(dtype=torch.float32)
    with pytest.raises(OverflowError, match=r"leading digit .* bounds"):
        lowered(network.encode(A, torch.ones(1, 4), torch.zeros(1, 2)))
    with pytest.raises(ValueError, match=r"a\[0\] reaches 100.*sliced for magnitudes up to 8"):
        network.encode(torch.full((1, 4, 2), 100.0), torch.ones(1, 4))


def test_formats_and_budgets_are_checked() -> None:
    network = C.sliced(descent(), slices=3)
    assert network.precision == 53
    with pytest.raises(ValueError, match=r"53 bits.*slice the original"):
        network.to_torch(dtype=torch.float32)
    with pytest.raises(BudgetError, match="class sum"):
        C.sliced(descent(20, 5), slices=4, slice_bits=11, dtype="float32")
    with pytest.raises(ValueError, match="slice_bits must be below 12"):
        C.sliced(descent(), slices=4, slice_bits=12, dtype="float32")
    with pytest.raises(BudgetError, match="fewer slices"):
        C.sliced(descent(), slices=20, slice_bits=8)
    with pytest.raises(ValueError, match="sliced already"):
        C.sliced(network, slices=3)
    with pytest.raises(ValueError, match=r"no channel is called z"):
        C.sliced(descent(), slices=3, bounds={"z": 1})
    with pytest.raises(OverflowError, match="NaN or infinite"):
        network.decode(torch.full((1, 1, len(network.outputs)), float("nan"), dtype=torch.float64))


def test_bounds_from_sample_inputs() -> None:
    original = descent()
    rng = np.random.default_rng(0)
    u = original.encode(rng.standard_normal((8, 4, 2)), rng.standard_normal((8, 4)), rng.standard_normal((8, 2)))
    network = C.sliced(original, slices=3, bounds=u)
    run = network.to_torch()
    found = network.decode(run(network.task.slice(torch.tensor(u))))  # type: ignore[attr-defined]
    exact = original.decode(original.evaluate(array(u.astype(float))))
    assert worst_digits(found, exact) > 17
    assert check(network).ok


def test_a_block_of_constant_convolved_factors_is_lowered() -> None:
    """All products have a constant convolved factor: the lowering once had no matrix for them."""
    network = C.sliced(descent(1, 1, 1, "1/2"), slices=2, slice_bits=8)
    out = network.to_torch(dtype=torch.float32)(
        network.encode(torch.ones(1, 1, 1), torch.ones(1, 1), torch.zeros(1, 1))
    )
    assert network.decode(out).tolist() == [[Fraction(1, 2)]]


def test_carries_survive_the_lowering() -> None:
    """H = T − C is S rounded to a coarser unit in floats: digits after a stage are below 2^β units, not all zero."""
    network = C.sliced(descent(20, 5, 4, "1/10"), slices=5, slice_bits=8)
    lowered = network.to_torch(dtype=torch.float32, rows="all")
    rng = np.random.default_rng(0)
    u = network.encode(torch.tensor(rng.standard_normal((1, 20, 5)), dtype=torch.float32), torch.ones(1, 20))
    state, constant = u.permute(2, 1, 0).contiguous(), None
    for index, layer in enumerate(lowered.layers[:2]):
        state, constant = layer(state, constant)
        names = [network.layers[index].outputs[o] for o in sorted(
            range(len(layer.location)), key=lambda output, layer=layer: layer.location[output][1])]  # fmt: skip
    for place, name in enumerate(names):
        if name.startswith("aa["):
            position = int(name.rpartition("@")[2])
            digit = state[place] * 2.0**position
            assert digit.abs().max() <= 2**8 + 2**5
            if name.endswith("@16"):
                assert torch.equal(digit, digit.round())
                assert digit.abs().max() > 2**4
