"""The operator, the trainable layer, and the model that starts as an exact network."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import constructions as C
from constructions.models.baseconv import BaseConvLayer, BaseConvModel, BaseConvOperator, DirectConvolution
from constructions.models.operators import (
    LayerWeights,
    OperatorWeights,
    apply_layer,
    apply_operator,
    direct_convolution,
    layer_as_operators,
    operator_as_layer,
    pad_for_operators,
)

MODES = ("causal", "circular")
sizes = st.integers(1, 4)


def integers(rng, *shape):
    return rng.integers(-3, 4, shape).astype(object)


def random_layer(rng, n, n_in, n_out, h, branches=False):
    return LayerWeights(
        integers(rng, n_in, h), integers(rng, h), integers(rng, n, h), integers(rng, h), integers(rng, n_in, h),
        integers(rng, h), integers(rng, h, n_out), integers(rng, n_out), integers(rng, 2) if branches else None,
    )  # fmt: skip


@given(sizes, sizes, st.sampled_from(MODES), st.integers(0, 10**6))
def test_direct_convolution_is_its_definition(n, d, mode, seed):
    rng = np.random.default_rng(seed)
    filter, u = integers(rng, n, d), integers(rng, n, d)
    expected = np.full((n, d), 0, dtype=object)
    for row in range(n):
        for lag in range(n if mode == "circular" else row + 1):
            expected[row] += filter[lag] * u[(row - lag) % n]
    assert (direct_convolution(filter, u, mode) == expected).all()
    module = DirectConvolution(n, mode)
    floats = module(torch.tensor(filter.astype(float)), torch.tensor(u.astype(float)))
    assert (floats.numpy() == expected).all()


@given(sizes, sizes, st.sampled_from(MODES), st.integers(0, 10**6))
def test_operator_and_its_layer_agree_exactly(n, d, mode, seed):
    rng = np.random.default_rng(seed)
    weights = OperatorWeights(integers(rng, d, d), *(integers(rng, n, d) for _ in range(3)))
    u = integers(rng, n, d)
    expected = apply_operator(weights, u, mode)
    layer, positions = operator_as_layer(weights)
    assert layer.filter.shape == (n, 2 * d)
    padded = np.concatenate([u, np.full((n, 2 * d), 0)], axis=1)
    assert (apply_layer(layer, padded + positions, mode) == expected).all()
    operator = BaseConvOperator.from_weights(weights, mode)
    batch = torch.tensor(u.astype(float)).expand(2, 3, n, d)
    assert (operator(batch)[1, 2].detach().numpy() == expected).all()
    assert (operator.as_layer()(torch.tensor(padded.astype(float))).detach().numpy() == expected).all()


@given(sizes, sizes, sizes, st.integers(1, 3), st.sampled_from(MODES), st.booleans(), st.integers(0, 10**6))
def test_layer_and_its_operators_agree_exactly(n, n_in, n_out, h, mode, branches, seed):
    rng = np.random.default_rng(seed)
    n_out = n_in if branches else n_out
    weights = random_layer(rng, n, n_in, n_out, h, branches)
    u = integers(rng, n, n_in)
    expected = apply_layer(weights, u, mode)
    state = pad_for_operators(weights, u)
    for operator in layer_as_operators(weights, n):
        state = apply_operator(operator, state, mode)
    assert (state[:, :n_out] == expected).all()
    layer = BaseConvLayer.from_weights(weights, mode)
    assert (layer(torch.tensor(u.astype(float))).detach().numpy() == expected).all()
    padded = torch.tensor(pad_for_operators(weights, u).astype(float))
    assert (layer.as_operators()(padded)[:, :n_out].detach().numpy() == expected).all()


NETWORKS = [
    {"form": "residual", "layout": "A"},
    {"form": "gram", "layout": "S"},
    {"form": "tight", "layout": "E"},
    {"form": "doubling", "layout": "A"},
]


@pytest.mark.parametrize("choice", NETWORKS)
def test_the_model_starts_as_the_exact_network(choice):
    net = C.gradient_descent(n_points=4, n_dims=2, n_steps=2, step_size=2, **choice)
    rng = np.random.default_rng(1)
    u = net.encode(*(rng.integers(-3, 4, shape) for shape in ((5, 4, 2), (5, 4), (5, 2))))
    model = BaseConvModel.from_network(net)
    computed = model(torch.tensor(u.astype(float)))
    assert (computed.detach().numpy() == net.evaluate(u).astype(float)).all()
    assert (net.decode(computed).detach().numpy() == net.decode(net.evaluate(u)).astype(float)).all()


def test_the_model_trains_every_parameter_and_layers_are_not_shared():
    net = C.gradient_descent(n_points=3, n_dims=2, n_steps=8, step_size=Fraction(1, 10))
    model = BaseConvModel.from_network(net, torch.float32)
    model(torch.randn(4, 3, 5)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert len({id(layer) for layer in model.layers}) == net.depth


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("mode", MODES)
def test_carried_and_read_channels_are_bit_exact(dtype, mode):
    net = C.read(n_rows=6, n_channels=3, source=1, target=4, start=0, stop=2, mode=mode)
    u = torch.randn(7, 6, 3, dtype=dtype) * 10.0 ** torch.randint(-6, 7, (7, 6, 3))
    model = BaseConvModel.from_network(net, dtype)
    expected = u.clone()
    expected[:, 4, :2] = u[:, 1, :2]
    assert torch.equal(net.decode(model(net.encode(u))), expected)


def test_one_changed_weight_changes_the_model():
    net = C.gradient_descent(n_points=3, n_dims=2, n_steps=2, step_size=2)
    model = BaseConvModel.from_network(net)
    u = torch.tensor(np.random.default_rng(0).integers(1, 4, (3, 5)).astype(float))
    before = model(u)
    with torch.no_grad():
        model.layers[0].filter[0, 0] += 1
    assert not torch.equal(model(u), before)


def test_errors_say_what_was_expected():
    with pytest.raises(ValueError, match="mode must be 'causal' or 'circular'"):
        BaseConvOperator(3, 2, mode="full")
    with pytest.raises(ValueError, match="3 rows, 2 channels"):
        BaseConvOperator(3, 2)(torch.zeros(2, 3))
    with pytest.raises(ValueError, match="d_hidden must be at least 1"):
        BaseConvLayer(3, 2, 2, 0)
    with pytest.raises(ValueError, match="n_in must be n_out"):
        BaseConvLayer(3, 2, 1, 4, branch_weights=True)
    with pytest.raises(ValueError, match="one entry more"):
        BaseConvModel(3, [2, 2], [4, 4])
    huge = C.linear(n_rows=1, weight=[[10**60]])
    with pytest.raises(OverflowError, match=r"overflows torch\.float32"):
        BaseConvModel.from_network(huge, torch.float32)
    with pytest.raises(ValueError, match="one shape"):
        direct_convolution(np.ones((2, 1)), np.ones((3, 1)))


@pytest.mark.gpu
def test_reduced_precision_is_refused_on_a_gpu():
    net = C.read(n_rows=6, n_channels=3, source=1, target=4, start=0, stop=2)
    model = BaseConvModel.from_network(net, torch.float32).to("cuda")
    u = torch.randn(7, 6, 3, device="cuda")
    assert torch.equal(net.decode(model(net.encode(u)))[:, 4, :2], u[:, 1, :2])
    torch.set_float32_matmul_precision("high")
    try:
        with pytest.raises(RuntimeError, match="TF32"):
            model(net.encode(u))
    finally:
        torch.set_float32_matmul_precision("highest")
