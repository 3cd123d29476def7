"""Networks to and from Zoology's BaseConv: a small module with the same names of parameters stands for it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import constructions as C
from constructions.models.zoology import MIXER, Mixers, from_zoology, to_zoology
from precls_theory.checking.check import check


class BaseConv(nn.Module):
    """``conv(u) ⊙ projection(u) + u``, written from its description; a long convolution adds its input."""

    def __init__(self, d_model, l_max, kernel_size, use_act=False):
        super().__init__()
        self.projection = nn.Linear(d_model, d_model)
        self.conv = nn.Module()
        if kernel_size == -1:
            self.conv.filter = nn.Parameter(torch.randn(d_model, l_max))
        else:
            self.conv.conv = nn.Conv1d(d_model, d_model, kernel_size, groups=d_model, padding=kernel_size - 1)

    def forward(self, u):
        rows = u.shape[1]
        if hasattr(self.conv, "filter"):
            transform = torch.fft.rfft(u.mT, n=2 * rows) * torch.fft.rfft(self.conv.filter, n=2 * rows)
            convolved = torch.fft.irfft(transform, n=2 * rows)[..., :rows].mT + u
        else:
            convolved = self.conv.conv(u.mT)[..., :rows].mT
        return convolved * self.projection(u) + u


class Stack(nn.Module):
    def __init__(self, n_layers, **settings):
        super().__init__()
        self.layers = nn.ModuleList(nn.ModuleDict({"mixer": BaseConv(**settings)}) for _ in range(n_layers))
        self.positions = nn.Parameter(torch.randn(settings["l_max"], settings["d_model"]))

    def forward(self, u):
        state = nn.functional.pad(u, (0, self.positions.shape[1] - u.shape[-1])) + self.positions
        for layer in self.layers:
            state = layer["mixer"](state)
        return state


def loaded(mixers: Mixers) -> Stack:
    stack = Stack(**mixers.settings).double()
    stack.load_state_dict(mixers.state_dict, strict=True)
    return stack


NETWORKS = {
    "explicit gradient": lambda: C.explicit_gradient(n_points=4, n_dims=2),
    "tight, layout S": lambda: C.gradient_descent(
        n_points=2, n_dims=2, n_steps=3, step_size="3/2", form="tight", layout="S"
    ),
    "read": lambda: C.read(n_rows=3, n_channels=2, source=0, target=2, start=0, stop=1),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_there_and_back(name):
    """Strictly loadable; equal to the exact network on small integers; and, weights being floats, the same function again."""
    network = NETWORKS[name]()
    mixers = to_zoology(network, torch.float64)
    assert mixers.settings["n_layers"] == 2 * network.depth + 1
    u = np.random.default_rng(0).integers(-2, 3, (5, network.n_rows, len(network.inputs)))
    for column in range(u.shape[-1]):
        for row in range(u.shape[1]):
            if (row, column) not in network.task.free_channels:
                u[:, row, column] = 0
    exact = network.evaluate(u.astype(object))[..., list(network.task.columns)].astype(float)
    with torch.no_grad():
        output = loaded(mixers)(torch.tensor(u).double())[..., : exact.shape[-1]]
    assert output.numpy() == pytest.approx(exact, abs=1e-9)


def test_a_network_of_binary_fractions_comes_back_and_is_checked():
    network = C.explicit_gradient(n_points=4, n_dims=2)
    mixers = to_zoology(network, torch.float64)
    back = from_zoology(mixers, network)
    assert check(back).ok
    wrong = dict(mixers.state_dict)
    name = f"{MIXER.format(1)}.conv.conv.bias"
    wrong[name] = wrong[name] + 1
    assert not check(from_zoology(Mixers(wrong, mixers.settings), network)).ok


@pytest.mark.parametrize("kernel_size", [2, 4, -1])
def test_random_mixers_become_exact_networks(kernel_size):
    """Every parameter matters and is taken over."""
    torch.manual_seed(0)
    settings = {"d_model": 4, "l_max": 4, "kernel_size": kernel_size, "use_act": False, "n_layers": 2}
    stack, like = Stack(**settings).double(), C.explicit_gradient(n_points=3, n_dims=2)
    u = torch.randn(6, 4, 3, dtype=torch.float64)
    network = from_zoology(Mixers(stack.state_dict(), settings), like)
    padded = nn.functional.pad(u, (0, len(network.inputs) - 3))
    with torch.no_grad():
        assert torch.allclose(network.evaluate(padded), stack(u)[..., :2], atol=1e-11)
        for name, parameter in stack.named_parameters():
            old = parameter.clone()
            parameter += 0.25
            changed = from_zoology(Mixers(stack.state_dict(), settings), like)
            parameter.copy_(old)
            assert not torch.allclose(changed.evaluate(padded), stack(u)[..., :2]), name


def test_what_does_not_fit_is_refused_in_words():
    network = C.explicit_gradient(n_points=3, n_dims=2)
    mixers = to_zoology(network)
    with pytest.raises(ValueError, match="circular"):
        to_zoology(C.gradient_descent(n_points=3, n_dims=2, n_steps=1, step_size=1, form="residual"))
    with pytest.raises(ValueError, match="activations"):
        from_zoology(Mixers(mixers.state_dict, mixers.settings | {"use_act": True}), network)
    with pytest.raises(ValueError, match="missing or unexpected"):
        from_zoology(Mixers({**mixers.state_dict, "x": torch.zeros(1)}, mixers.settings), network)
    with pytest.raises(ValueError, match="has shape"):
        from_zoology(Mixers(mixers.state_dict, mixers.settings | {"kernel_size": 2}), network)
    with pytest.raises(ValueError, match="1000000000 mixers"):
        from_zoology(Mixers(mixers.state_dict, mixers.settings | {"n_layers": 10**9}), network)
    with pytest.raises(ValueError, match="rows"):
        from_zoology(mixers, C.explicit_gradient(n_points=5, n_dims=2))
    with pytest.raises(OverflowError, match="float32"):
        to_zoology(C.gradient_descent(n_points=1, n_dims=1, n_steps=1, step_size=10**60, layout="S", form="tight"))
