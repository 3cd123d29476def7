"""An exact network in a larger trainable model is the same function, and what is frozen stays."""

from __future__ import annotations

import pytest
import torch

import constructions as C
from constructions.models.embedding import embedded, padded
from constructions.transformers import linear_attention


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network_of(layout: str) -> C.Network:
    if layout == "S":
        return C.explicit_gradient(n_points=3, n_dims=2)
    return C.gradient_descent(n_points=3, n_dims=2, n_steps=1, step_size="1/2", layout="A", form="residual")


def inputs_of(network, dtype=torch.float64):
    return torch.randn(4, network.n_rows, len(network.inputs), dtype=dtype, generator=seeded(1))


@pytest.mark.parametrize("layout", ["S", "A"])
def test_it_is_the_same_function_and_every_spare_channel_can_matter(layout):
    network = network_of(layout)
    model, u = embedded(network, 1.5, seeded()), inputs_of(network)
    with torch.no_grad():
        exact, before = C.BaseConvModel.from_network(network)(u), model(u)
        assert torch.allclose(before, exact, rtol=1e-13, atol=1e-13)
        for wide, narrow in zip(model.layers, network.layers, strict=True):
            spare = wide.in_proj.out_features - narrow.width
            assert spare == -(-narrow.width // 2)
            for channel in range(narrow.width, narrow.width + spare):
                wide.out_proj.weight[:, channel] = 1
                assert not torch.allclose(model(u), before)
                wide.out_proj.weight[:, channel] = 0


@pytest.mark.parametrize("layout", ["S", "A"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-4)])
@pytest.mark.parametrize(("channels", "residual"), [(20, False), (20, True), (None, True)])
def test_more_channels_and_a_residual_change_nothing(layout, dtype, tolerance, channels, residual):
    network = network_of(layout)
    model = embedded(network, 1.3, seeded(), dtype, channels=channels, residual=residual)
    u, n_out = inputs_of(network, dtype), len(network.outputs)
    exact = C.BaseConvModel.from_network(network, dtype)(u)
    output = model(padded(u, model.positions.shape[1]))[..., :n_out]
    assert output.dtype == dtype
    assert torch.allclose(output, exact, rtol=tolerance, atol=tolerance)
    output.square().mean().backward()
    first = model.layers[0].out_proj.weight.grad
    assert bool((first[:n_out, network.layers[0].width :] != 0).any())


def test_frozen_weights_stay_under_momentum_and_decay():
    """The optimiser moves every other weight, and undoing that gives the network back."""
    network = network_of("S")
    model = embedded(network, 2.0, seeded(), frozen=True)
    u = inputs_of(network)
    exact = C.BaseConvModel.from_network(network)(u)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        (model(u) - 1).square().mean().backward()
        optimizer.step()
    assert not torch.allclose(model(u), exact)
    for name, value in C.BaseConvModel.from_network(network).named_parameters():
        path, _, leaf = name.rpartition(".")
        held = getattr(model.get_submodule(path), leaf)
        assert torch.equal(held[tuple(slice(0, size) for size in value.shape)], value), name
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(before[name])
    assert torch.allclose(model(u), exact, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("spare_width", [0.5, float("nan"), float("inf")])
def test_a_narrower_model_is_refused(spare_width):
    with pytest.raises(ValueError, match="at least as wide"):
        embedded(C.explicit_gradient(n_points=2, n_dims=1), spare_width, torch.Generator())


def test_what_cannot_be_embedded_is_refused_in_words():
    network = C.explicit_gradient(n_points=2, n_dims=1)
    transformer = linear_attention.gradient_descent(n_points=2, n_dims=2, n_steps=1, step_size="1/3")
    with pytest.raises(ValueError, match="at least as wide: 3 channels"):
        embedded(network, channels=1)
    with pytest.raises(TypeError, match="exact BaseConv network"):
        embedded(transformer)
    with pytest.raises(ValueError, match="channels already"):
        padded(torch.zeros(1, 2, 3), 2)
    with pytest.raises(OverflowError):
        embedded(C.gradient_descent(n_points=2, n_dims=1, n_steps=1, step_size=10**40), dtype=torch.float32)
