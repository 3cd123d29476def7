"""An exact network in a wider trainable model is the same function."""

from __future__ import annotations

import pytest
import torch

import constructions as C
from constructions.models.embedding import embedded


@pytest.mark.parametrize("layout", ["S", "A"])
def test_it_is_the_same_function_and_every_spare_channel_can_matter(layout):
    network = (
        C.explicit_gradient(n_points=3, n_dims=2)
        if layout == "S"
        else C.gradient_descent(n_points=3, n_dims=2, n_steps=1, step_size="1/2", layout="A", form="residual")
    )
    model = embedded(network, 1.5, torch.Generator().manual_seed(0))
    u = torch.randn(
        4, network.n_rows, len(network.inputs), dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )
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


@pytest.mark.parametrize("spare_width", [0.5, float("nan"), float("inf")])
def test_a_narrower_model_is_refused(spare_width):
    with pytest.raises(ValueError, match="at least as wide"):
        embedded(C.explicit_gradient(n_points=2, n_dims=1), spare_width, torch.Generator())
