"""The gradient at the last row in two layers, against the definition, in exact numbers and in PyTorch."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from helpers.problems import regressions
from hypothesis import given
from hypothesis import strategies as st

import constructions as C
from precls_theory.checking.check import check


def gradient(A, b, x):
    """From the definition, row by row."""
    total = [Fraction(0)] * len(x)
    for row, target in zip(A, b, strict=True):
        residual = sum(a * value for a, value in zip(row, x, strict=True)) - target
        total = [t + residual * a / len(b) for t, a in zip(total, row, strict=True)]
    return total


@given(data=st.data(), n_points=st.integers(1, 4), n_dims=st.integers(1, 3))
def test_is_the_gradient(data, n_points, n_dims):
    A, b, x = data.draw(regressions(n_points, n_dims))
    network = C.explicit_gradient(n_points=n_points, n_dims=n_dims)
    u = network.encode(A, b, x)
    assert network.decode(network.evaluate(u)).tolist() == gradient(A, b, x)


@pytest.mark.parametrize(("n_points", "n_dims"), [(1, 1), (1, 3), (20, 5)])
def test_size(n_points, n_dims):
    network = C.explicit_gradient(n_points=n_points, n_dims=n_dims)
    assert [layer.width for layer in network.layers] == [n_dims * (n_dims + 1) // 2 + 2 * n_dims, n_dims**2 + n_dims]
    assert network.inputs == (*(f"a[{i}]" for i in range(n_dims)), "b")  # no positional channel
    assert check(network).ok


def test_only_the_last_row_is_claimed():
    network = C.explicit_gradient(n_points=3, n_dims=2)
    assert network.task.exact_rows == network.task.readout_rows == (3,)


def test_saved_and_loaded(tmp_path):
    network = C.explicit_gradient(n_points=3, n_dims=2)
    network.save(tmp_path / "g.safetensors")
    assert check(C.load(tmp_path / "g.safetensors")).ok


def test_lowered():
    network = C.explicit_gradient(n_points=4, n_dims=2)
    rng = np.random.default_rng(0)
    A, b, x = rng.integers(-4, 5, (4, 2)), rng.integers(-4, 5, 4), rng.integers(-4, 5, 2)
    u = network.encode(*(torch.tensor(v, dtype=torch.float64) for v in (A, b, x)))
    assert network.decode(network.to_torch()(u)).tolist() == ((A @ x - b) @ A / 4).tolist()


@pytest.mark.parametrize("sizes", [{"n_points": 0, "n_dims": 1}, {"n_points": 1, "n_dims": 0}])
def test_sizes_are_refused(sizes):
    with pytest.raises(ValueError, match=r"n_(points|dims)"):
        C.explicit_gradient(**sizes)
