"""An exact Transformer in a larger trainable one is the same function."""

from __future__ import annotations

import pytest
import torch

import constructions as C
from constructions.transformers import gated, linear_attention
from constructions.transformers.embedding import embedded_transformer


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def inputs_of(network):
    return torch.randn(4, network.n_rows, len(network.inputs), dtype=torch.float64, generator=seeded(1))


@pytest.mark.parametrize("form", ["step", "ternary", "causal"])
@pytest.mark.parametrize("larger", [{}, {"width": 30, "n_heads": 12}, {"hidden": 5, "frozen": True}])
def test_transformers(form, larger):
    network = linear_attention.gradient_descent(n_points=2, n_dims=2, n_steps=2, step_size="1/3", form=form)
    model = embedded_transformer(network, seeded(), **larger)
    u = inputs_of(network)
    exact = network.to_torch(rows="all")(u)
    assert torch.allclose(model(u), exact, rtol=1e-12, atol=1e-12)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    (model(u) - 1).square().mean().backward()
    optimizer.step()
    assert not torch.allclose(model(u), exact)


def test_softmax_and_gated_mlps():
    """Means over rows by softmax, products by an MLP."""
    network = gated.gradient_descent(n_points=2, n_dims=1, n_steps=1, step_size="1/3")
    wide = {"width": network.width + 3, "n_heads": network.n_heads + 1, "hidden": network.hidden + 2}
    model = embedded_transformer(network, seeded(), **wide)
    u = inputs_of(network)
    assert torch.allclose(model(u), network.to_torch(rows="all")(u), rtol=1e-10, atol=1e-10)


def test_what_cannot_be_embedded_is_refused_in_words():
    transformer = linear_attention.gradient_descent(n_points=2, n_dims=2, n_steps=1, step_size="1/3")
    with pytest.raises(TypeError, match="exact Transformer"):
        embedded_transformer(C.explicit_gradient(n_points=2, n_dims=1))
    for name in ("width", "n_heads"):
        with pytest.raises(ValueError, match=f"{name} >="):
            embedded_transformer(transformer, **{name: 0})
