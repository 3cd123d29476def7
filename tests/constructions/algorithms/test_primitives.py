"""Read, Linear and Multiply: one layer each, exact over Q and bit-exact where they copy."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import sympy
import torch
from helpers.problems import array, rationals
from hypothesis import given
from hypothesis import strategies as st

import constructions as C

N, D = 4, 5


def sequences(draw, n_rows: int = N, n_channels: int = D) -> np.ndarray:
    count = n_rows * n_channels
    return array(draw(st.lists(rationals, min_size=count, max_size=count))).reshape(n_rows, n_channels)


def blocks(draw) -> tuple[int, int]:
    start, stop = sorted(draw(st.tuples(st.integers(0, D), st.integers(0, D))))
    return start, stop


@given(st.data(), st.sampled_from(["causal", "circular"]))
def test_read(data, mode):
    source, target = data.draw(st.tuples(st.integers(0, N - 1), st.integers(0, N - 1)))
    if mode == "causal":
        source, target = sorted((source, target))
    start, stop = blocks(data.draw)
    net = C.read(n_rows=N, n_channels=D, source=source, target=target, start=start, stop=stop, mode=mode)
    u = sequences(data.draw)
    expected = u.copy()
    expected[target, start:stop] = u[source, start:stop]
    assert net.depth == 1
    np.testing.assert_array_equal(net.decode(net.evaluate(net.encode(u))), expected)


@given(st.data())
def test_linear(data):
    weight, bias, u = sequences(data.draw, D, 3), sequences(data.draw, 1, 3)[0], sequences(data.draw)
    net = C.linear(n_rows=N, weight=weight, bias=bias)
    assert net.depth == 1
    np.testing.assert_array_equal(net.decode(net.evaluate(net.encode(u))), u @ weight + bias)


@given(st.data())
def test_multiply(data):
    length = data.draw(st.integers(1, 3))
    p, q, r = data.draw(st.tuples(*[st.integers(0, D - length)] * 3))
    u = sequences(data.draw)
    expected = u.copy()
    expected[:, r : r + length] = u[:, p : p + length] * u[:, q : q + length]
    net = C.multiply(n_rows=N, n_channels=D, left=p, right=q, target=r, length=length)
    assert net.depth == 1
    np.testing.assert_array_equal(net.decode(net.evaluate(net.encode(u))), expected)


@given(st.data(), st.sampled_from([torch.float32, torch.float64]), st.sampled_from(["causal", "circular"]))
def test_read_is_bit_exact_in_floating_point(data, dtype, mode):
    u = torch.tensor(
        data.draw(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=N * D, max_size=N * D)),
        dtype=dtype,
    ).reshape(N, D)
    net = C.read(n_rows=N, n_channels=D, source=0, target=2, start=1, stop=4, mode=mode)
    expected = u.clone()
    expected[2, 1:4] = u[0, 1:4]
    assert torch.equal(net.decode(net.to_torch(dtype=dtype)(net.encode(u))), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_channels_carried_beside_an_overflowing_product_stay_exact(dtype):
    u = torch.full((2, 4), torch.finfo(dtype).max, dtype=dtype)
    u[:, 3] = torch.tensor([0.1, -3.7], dtype=dtype)
    net = C.multiply(n_rows=2, n_channels=4, left=0, right=1, target=2, length=1)
    y = net.decode(net.to_torch(dtype=dtype)(net.encode(u)))
    assert torch.isinf(y[:, 2]).all()
    assert torch.equal(y[:, [0, 1, 3]], u[:, [0, 1, 3]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: C.read(n_rows=3, n_channels=2, source=2, target=0, start=0, stop=1), "circular"),
        (lambda: C.read(n_rows=3, n_channels=2, source=3, target=0, start=0, stop=1), "source must be a row"),
        (lambda: C.read(n_rows=3, n_channels=2, source=0, target=0, start=1, stop=3), "channels"),
        (lambda: C.read(n_rows=3, n_channels=2, source=0.0, target=1, start=0, stop=1), "source must be an integer"),
        (
            lambda: C.read(n_rows=3, n_channels=2, source=0, target=-1, start=0, stop=1),
            "target must be an integer of at least 0",
        ),
        (lambda: C.read(n_rows=3, n_channels=2, source=0, target=1, start=0.5, stop=1), "start must be an integer"),
        (lambda: C.multiply(n_rows=3, n_channels=4, left=0, right=1.0, target=0, length=2), "right"),
        (lambda: C.read(n_rows=3, n_channels=2, source=0, target=0, start=0, stop=1, mode="sideways"), "mode"),
        (lambda: C.linear(n_rows=3, weight=[[1, 2], [3]]), "one length"),
        (lambda: C.linear(n_rows=3, weight=[[1, 2]], bias=[1]), "bias must have 2"),
        (lambda: C.multiply(n_rows=3, n_channels=4, left=0, right=3, target=0, length=2), "right"),
    ],
)
def test_errors_say_what_to_do(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "weight", [np.array([[1, 2], [3, 4]]), sympy.Matrix([[1, 2], [3, 4]]), [[sympy.Integer(1), Fraction(2)], ["3", 4]]]
)
def test_linear_takes_matrices_of_any_library_and_is_saved(weight, tmp_path):
    C.linear(n_rows=1, weight=weight, bias=np.array([1, 0])).save(tmp_path / "linear.safetensors")
    net = C.load(tmp_path / "linear.safetensors")
    assert net.decode(net.evaluate(net.encode([[1, 1]]))).tolist() == [[5, 6]]


def test_linear_refuses_floats():
    with pytest.raises(TypeError, match="exact"):
        C.linear(n_rows=1, weight=[[0.5]])
