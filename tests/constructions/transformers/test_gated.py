"""Multiply and gradient descent with gated MLPs: exact over Q, refused when one weight is wrong, measured in floats."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
import torch
from helpers.problems import array, gradient_descent, integer_regression, rationals, regressions, sizes, step_sizes
from hypothesis import given
from hypothesis import strategies as st

from constructions.algebra.rings import BALLS
from constructions.transformers import gated
from constructions.transformers.blocks import GATE_NAMES, EvenPartRemains, require_even_parts_cancel
from precls_theory.checking import transformers as claims
from precls_theory.registry import Refuted
from precls_theory.theorems.transformers import gated_mlp

gates = st.sampled_from(GATE_NAMES)
masks = st.sampled_from(["causal", "full"])


@given(st.data(), gates, masks)
def test_multiply_is_exact(data, gate, mask):
    n_rows, n_channels = data.draw(st.tuples(st.integers(1, 4), st.integers(2, 5)))
    length = data.draw(st.integers(1, n_channels))
    p, q, r = (data.draw(st.integers(0, n_channels - length)) for _ in range(3))
    net = gated.multiply(
        n_rows=n_rows, n_channels=n_channels, left=p, right=q, target=r, length=length, gate=gate, mask=mask
    )
    entries = data.draw(st.lists(rationals, min_size=n_rows * n_channels, max_size=n_rows * n_channels))
    u = array(entries).reshape(n_rows, n_channels)
    expected = u.copy()
    expected[:, r : r + length] = u[:, p : p + length] * u[:, q : q + length]
    np.testing.assert_array_equal(net.evaluate(u), expected)


@given(st.data(), gates, masks, st.integers(1, 3), step_sizes)
def test_gradient_descent_is_exact(data, gate, mask, n_steps, step_size):
    n_points, n_dims = data.draw(sizes)
    A, b, x = data.draw(regressions(n_points, n_dims))
    net = gated.gradient_descent(
        n_points=n_points, n_dims=n_dims, n_steps=n_steps, step_size=step_size, gate=gate, mask=mask
    )
    assert net.depth == n_steps + 1
    got = net.decode(net.evaluate(net.encode(A, b, x)))
    np.testing.assert_array_equal(got, gradient_descent(A, b, x, n_steps, step_size))


def test_two_hidden_units_a_product():
    units = {
        g: gated.multiply(n_rows=1, n_channels=3, left=0, right=1, target=2, gate=g, clear=False) for g in GATE_NAMES
    }
    assert {gate: net.hidden for gate, net in units.items()} == {"swiglu": 2, "geglu": 2, "reglu": 2, "bilinear": 1}


@pytest.mark.parametrize("gate", GATE_NAMES)
def test_every_wrong_weight_is_refused(gate):
    net = gated.multiply(n_rows=2, n_channels=3, left=0, right=1, target=2, gate=gate)
    refusals = 0
    for name, sparse in net.blocks[0].parts()[0].maps().items():
        for index in range(sparse.n_nonzero):
            for wrong in (sparse.weights[index] + 1, -sparse.weights[index]):
                broken = net.with_weight(0, 0, name, Fraction(wrong), index)
                with pytest.raises((Refuted, EvenPartRemains)):
                    claims.verify_multiply(broken, 3, 0, 1, 2)
                refusals += 1
    assert refusals == 2 * net.n_nonzero


@pytest.mark.parametrize("gate", ["swiglu", "bilinear"])
def test_every_wrong_weight_of_a_step_is_refused(gate):
    net = gated.gradient_descent(n_points=2, n_dims=1, step_size=Fraction(1, 3), gate=gate)
    for number, block in enumerate(net.blocks):
        for part, layer in enumerate(block.parts()):
            for name, sparse in layer.maps().items():
                for index in range(sparse.n_nonzero):
                    broken = net.with_weight(number, part, name, sparse.weights[index] * 2, index)
                    with pytest.raises((Refuted, EvenPartRemains)):
                        claims.verify_descent_polynomials(broken, 2, 1, 1, Fraction(1, 3))


def test_an_unpaired_gate_is_refused_by_its_weights_alone():
    net = gated.multiply(n_rows=1, n_channels=3, left=0, right=1, target=2).with_weight(0, 0, "down", Fraction(3))
    with pytest.raises(EvenPartRemains, match="even part"):
        require_even_parts_cancel(net.blocks[0].mlp)
    # The wrong network differs from every polynomial: with SiLU it is not even odd in the gate.
    model = net.to_torch()
    u = torch.tensor([[[1.5, 1.0, 0.0]]], dtype=torch.float64)
    assert abs(model(u)[0, 0, 2] + model(-u)[0, 0, 2] - 2 * 1.5) > 0.1


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "softplus", "silu with a factor"])
def test_other_gates_have_no_identity(name):
    others = {
        "sigmoid": lambda z: 1 / (1 + sp.exp(-z)),
        "tanh": sp.tanh,
        "softplus": lambda z: sp.log(1 + sp.exp(z)) * (1 + sp.sin(z)),
        "silu with a factor": lambda z: 2 * z / (1 + sp.exp(-z)),
    }
    with pytest.raises(Refuted):
        gated_mlp.require_gate_identity(name, others[name])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("gate", GATE_NAMES)
def test_float_errors_are_a_few_units(gate, dtype):
    """SiLU and GELU cancel benignly: act(z)y and −act(−z)y have one sign, so the sum is relatively accurate."""
    net = gated.multiply(n_rows=64, n_channels=3, left=0, right=1, target=2, gate=gate, clear=False)
    generator = torch.Generator().manual_seed(0)
    scale = 2.0 ** torch.randint(-12, 13, (1, 64, 1), generator=generator)
    u = (torch.randn(1, 64, 3, generator=generator, dtype=torch.float64) * scale).to(dtype)
    u[..., 2] = 0
    got = net.to_torch(dtype=dtype)(u)[0, :, 2].double()
    for value, (z, y, _) in zip(got.tolist(), u[0].double().tolist(), strict=True):
        exact = Fraction(z) * Fraction(y)
        assert abs(Fraction(value) - exact) <= 8 * Fraction(torch.finfo(dtype).eps) * abs(exact)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-14), (torch.float32, 1e-5)])
def test_a_step_in_pytorch(dtype, tolerance):
    A, b, x = integer_regression(20, 5)
    exact = gradient_descent(A, b, x, 1, Fraction(1, 8)).astype(float)
    for gate in GATE_NAMES:
        for mask in ("causal", "full"):
            net = gated.gradient_descent(n_points=20, n_dims=5, step_size=Fraction(1, 8), gate=gate, mask=mask)
            u = net.encode(*(torch.tensor(v.astype(float), dtype=dtype) for v in (A, b, x)))
            got = net.decode(net.to_torch(dtype=dtype)(u[None]))[0].double().numpy()
            assert np.abs(got - exact).max() <= tolerance * np.abs(exact).max()


def test_balls_enclose_the_exact_values():
    A, b, x = integer_regression(3, 2)
    net = gated.gradient_descent(n_points=3, n_dims=2, step_size=Fraction(1, 7))
    balls = net.decode(net.evaluate(net.encode(A, b, x), BALLS))
    for ball, value in zip(balls, gradient_descent(A, b, x, 1, Fraction(1, 7)), strict=True):
        assert ball.contains(BALLS.element(value)) or ball.overlaps(BALLS.element(value))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gate": "glu"}, "gate must be one of swiglu"),
        ({"mask": "strict"}, "mask must be 'causal' or 'full'"),
        ({"target": 3}, "target must be channels 3:4 within 0:3"),
        ({"n_rows": 0}, "n_rows must be an integer of at least 1"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        gated.multiply(**({"n_rows": 2, "n_channels": 3, "left": 0, "right": 1, "target": 2} | arguments))


def test_bad_input():
    net = gated.gradient_descent(n_points=3, n_dims=2)
    A, b, x = integer_regression(3, 2)
    with pytest.raises(ValueError, match="NaN or infinite"):
        net.encode(np.full((3, 2), np.nan), b, x)
    with pytest.raises(ValueError, match=r"A must have shape \(\.\.\., 3, 2\)"):
        net.encode(A.T, b, x)
    with pytest.raises(ValueError, match="4 rows"):
        net.evaluate(A)
    with pytest.raises(TypeError, match="step_size"):
        gated.gradient_descent(n_points=3, n_dims=2, step_size=0.1)
