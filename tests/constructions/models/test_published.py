"""Networks to and from the published models: a small module with the same names of parameters stands for them."""

from __future__ import annotations

import re
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

import constructions as C
from constructions.models.published import PublishedModel, from_published, to_published


class Convolution(nn.Module):
    """Causal Conv1d over rows, or a filter by lag (circular if not causal); adds its input where ``resid``."""

    def __init__(self, size, n_rows, kind, resid, causal):
        super().__init__()
        self.resid, self.causal, self.n_rows = resid, causal, n_rows
        if kind == "short":
            self.conv = nn.Conv1d(size, size, n_rows, groups=size, padding=n_rows - 1)
        else:
            self.filter = nn.Parameter(torch.randn(size, n_rows))

    def forward(self, x):
        if hasattr(self, "conv"):
            y = self.conv(x.mT)[..., : self.n_rows].mT
        else:
            pad = self.n_rows if self.causal else 0
            transform = torch.fft.rfft(x.mT, n=self.n_rows + pad) * torch.fft.rfft(self.filter, n=self.n_rows + pad)
            y = torch.fft.irfft(transform, n=self.n_rows + pad)[..., : self.n_rows].mT
        return y + x if self.resid else y


class Mixer(nn.Module):
    def __init__(self, size, n_rows, kind, resid, causal):
        super().__init__()
        self.projection, self.in_proj, self.out_proj = (nn.Linear(size, size) for _ in range(3))
        self.branch_weights = nn.Parameter(torch.tensor([0.75, -0.5])) if resid else None
        self.conv = Convolution(size, n_rows, kind, resid, causal)

    def forward(self, u):
        y = self.out_proj(self.conv(self.in_proj(u)) * self.projection(u))
        if self.branch_weights is None:
            return y
        return u + self.branch_weights[0] * y + self.branch_weights[1] * u


def tree(**children):
    """A module with these children."""
    return nn.ModuleDict(children)


class Published(nn.Module):
    """Same names and settings as the published ``TransformerModel``, written from its description."""

    def __init__(self, n_positions, n_embd, n_layer, in_dims, out_dims, conv_type, causal, use_resid, **ignored):
        super().__init__()
        self._read_in, self._read_out = nn.Linear(in_dims, n_embd), nn.Linear(n_embd, out_dims)
        blocks = [
            tree(seq_mixer=tree(base_conv=Mixer(n_embd, n_positions, conv_type, use_resid, causal)))
            for _ in range(n_layer)
        ]
        self._backbone = tree(transformer=tree(wpe=nn.Embedding(n_positions, n_embd), h=nn.ModuleList(blocks)))

    def forward(self, u):
        transformer = self._backbone["transformer"]
        x = self._read_in(u) + transformer["wpe"].weight
        for block in transformer["h"]:
            x = block["seq_mixer"]["base_conv"](x)
        return self._read_out(x)


def loaded(model: PublishedModel) -> Published:
    module = Published(**model.settings).double()
    module.load_state_dict(model.state_dict, strict=True)
    return module


NETWORKS = {
    "explicit gradient": (lambda: C.explicit_gradient(n_points=4, n_dims=2), "short"),
    "explicit gradient, long": (lambda: C.explicit_gradient(n_points=4, n_dims=2), "long"),
    "tight, layout S": (
        lambda: C.gradient_descent(n_points=3, n_dims=2, n_steps=3, step_size="3/2", form="tight", layout="S"), "short",
    ),
    "residual, circular": (
        lambda: C.gradient_descent(n_points=3, n_dims=2, n_steps=2, step_size="3/2", form="residual"), "long",
    ),
    "read": (lambda: C.read(n_rows=3, n_channels=2, source=0, target=2, start=0, stop=1), "short"),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_there(name):
    """Strictly loadable, and equal to the exact network to the rounding of a few operations on small integers."""
    build, kind = NETWORKS[name]
    network = build()
    model = to_published(network, torch.float64, conv_type=kind)
    u = torch.tensor(np.random.default_rng(0).integers(-2, 3, (5, network.n_rows, model.settings["in_dims"])))
    padded = torch.nn.functional.pad(u, (0, len(network.inputs) - u.shape[-1]))
    exact = network.evaluate(padded.numpy().astype(object))[..., list(network.task.columns)].astype(float)
    with torch.no_grad():
        assert loaded(model)(u.double()).numpy() == pytest.approx(exact, abs=1e-9)


@pytest.mark.parametrize("name", NETWORKS)
def test_and_back(name):
    """Weights that float64 holds come back as the same function, over Q."""
    build, kind = NETWORKS[name]
    network = build()
    back = from_published(to_published(network, torch.float64, conv_type=kind), network)
    free = network.task.free_channels
    rng = np.random.default_rng(1)
    u = np.full((network.n_rows, len(network.inputs)), Fraction(0), dtype=object)
    for place in free:
        u[place] = Fraction(int(rng.integers(-3, 4)))
    there = network.decode(network.evaluate(u))
    v = (
        u[:, : len(back.inputs)]
        if len(back.inputs) <= u.shape[1]
        else np.pad(u, ((0, 0), (0, len(back.inputs) - u.shape[1])))
    )
    came = back.decode(back.evaluate(v))
    assert came.tolist() == there.tolist()


@pytest.mark.parametrize("use_resid", [False, True])
@pytest.mark.parametrize(("kind", "causal"), [("short", True), ("long", True), ("long", False)])
def test_random_models_become_exact_networks(kind, causal, use_resid):
    """Every parameter of the model, biases of the convolution and branches included, matters and is taken over."""
    torch.manual_seed(0)
    like = C.explicit_gradient(n_points=3, n_dims=2)
    settings = {
        "n_positions": 4, "n_embd": 5, "n_layer": 2, "in_dims": 3, "out_dims": 2, "conv_type": kind, "causal": causal,
        "use_resid": use_resid, "seq_op": "base_conv", "use_mlps": False, "use_seqop_ln": False, "use_final_ln": False,
    }  # fmt: skip
    module = Published(**settings).double()
    network = from_published(PublishedModel(module.state_dict(), settings), like)
    assert network.parameters["network"]["algorithm"] == "explicit_gradient"
    u = torch.randn(6, 4, 3, dtype=torch.float64)
    padded = torch.nn.functional.pad(u, (0, len(network.inputs) - 3))
    with torch.no_grad():
        assert torch.allclose(network.evaluate(padded), module(u), atol=1e-11)
        for name, parameter in module.named_parameters():
            old = parameter.clone()
            parameter += 0.25
            changed = from_published(PublishedModel(module.state_dict(), settings), like)
            parameter.copy_(old)
            v = torch.nn.functional.pad(u, (0, len(changed.inputs) - 3))
            assert not torch.allclose(changed.evaluate(v), module(u)), name


def test_wrong_models_are_refused_in_words():
    network = C.explicit_gradient(n_points=3, n_dims=2)
    model = to_published(network)
    circular = C.gradient_descent(n_points=3, n_dims=2, n_steps=1, step_size=1, form="residual")
    with pytest.raises(ValueError, match="short convolution is causal"):
        to_published(circular, conv_type="short")
    with pytest.raises(ValueError, match="use_mlps"):
        from_published(PublishedModel(model.state_dict, model.settings | {"use_mlps": True}), network)
    with pytest.raises(ValueError, match="seq_op"):
        from_published(PublishedModel(model.state_dict, model.settings | {"seq_op": "attn"}), network)
    with pytest.raises(ValueError, match="missing or unexpected"):
        from_published(PublishedModel({"x": torch.zeros(1)}, model.settings), network)
    with pytest.raises(ValueError, match=r"expected .* for these settings"):
        from_published(model, C.explicit_gradient(n_points=3, n_dims=3))
    bad = dict(model.state_dict)
    bad["_read_in.bias"] = torch.full_like(bad["_read_in.bias"], torch.nan)
    with pytest.raises(ValueError, match=re.escape("_read_in.bias has entries that are not finite")):
        from_published(PublishedModel(bad, model.settings), network)
    huge = C.gradient_descent(n_points=1, n_dims=1, n_steps=1, step_size=10**60)
    with pytest.raises(OverflowError, match="float32"):
        to_published(huge)
