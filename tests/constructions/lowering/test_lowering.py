"""The lowering to PyTorch computes what the exact network does, in any form, with rows dropped or kept."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.problems import integer_regression, layouts
from hypothesis import assume, given
from hypothesis import strategies as st

import constructions as C
from constructions.algebra.arrays import refuse_reduced_precision
from constructions.algebra.filters import Filter
from constructions.algebra.terms import channels, convolve
from constructions.lowering import maps, module
from constructions.networks.builder import Builder
from constructions.networks.tasks import Sequence


def networks(draw) -> C.Network:
    """Any of the regression networks, at sizes where small integers stay exact in float64."""
    size = {"n_points": draw(st.integers(1, 4)), "n_dims": draw(st.integers(1, 3))}
    if draw(st.booleans()):
        form = draw(st.sampled_from(["direct", "residual", "doubling"]))
        refinements = 0 if form == "direct" else draw(st.integers(0, 1))
        return C.newton(**size, n_iters=draw(st.integers(0, 1)), alpha="1/2", form=form, refinements=refinements)
    form = draw(st.sampled_from(["residual", "gram", "doubling", "tight"]))
    step = Fraction(size["n_points"], 2)  # step/N is a power of two: every intermediate value is a dyadic rational
    return C.gradient_descent(
        **size, n_steps=draw(st.sampled_from([1, 2])), step_size=step, form=form, layout=draw(layouts)
    )


@given(st.data(), st.integers(0, 10**6), st.sampled_from(["all", "readout"]))
def test_equal_to_the_exact_network_where_floats_are_exact(data, seed, rows):
    """Dyadic data and weights: float64 makes no rounding error, so equality is bit by bit."""
    net = networks(data.draw)
    A, b, x = integer_regression(net.task.n_points, net.task.n_dims, seed)
    arguments = (A, b, x) if net.task.takes_start else (A, b)
    exact = net.evaluate(net.encode(*arguments))
    assume(max(Fraction(v).numerator.bit_length() for v in exact.flat) <= 40)
    tensors = [torch.tensor(value.astype(float)) for value in arguments]
    output = net.to_torch(rows=rows)(net.encode(*tensors))
    assert output.shape[-2] == (net.n_rows if rows == "all" else 1)
    kept = exact if rows == "all" else exact[list(net.task.readout_rows)]
    np.testing.assert_array_equal(output.numpy(), kept.astype(float))


@pytest.mark.parametrize("force", ["ladder", "dense", "csr"])
@pytest.mark.parametrize("form", ["residual", "doubling", "tight"])
def test_every_kind_of_map_computes_the_same(monkeypatch, force, form):
    limits = {"ladder": (100, 0, 0, 2.0), "dense": (0, 10**9, 10**9, 0.0), "csr": (0, 0, 0, 2.0)}[force]
    for name, value in zip(("LADDER_STEPS", "TINY_ELEMENTS", "DENSE_ELEMENTS", "DENSE_DENSITY"), limits, strict=True):
        monkeypatch.setattr(maps, name, value)
    A, b, x = integer_regression(4, 3)
    net = C.gradient_descent(n_points=4, n_dims=3, n_steps=2, step_size=2, form=form)
    model = net.to_torch()
    kinds = {part.kind for part in model.modules() if isinstance(part, maps.LoweredMap)}
    assert force in kinds
    floats = [torch.tensor(value.astype(float)) for value in (A, b, x)]
    exact = net.decode(net.evaluate(net.encode(A, b, x)))
    np.testing.assert_array_equal(net.decode(model(net.encode(*floats))).numpy(), exact.astype(float))


@given(st.data(), st.sampled_from(["causal", "circular"]), st.sampled_from(["all", "one"]))
def test_any_filter_at_any_rows(data, mode, rows):
    n_rows, small = data.draw(st.integers(1, 5)), st.integers(-2, 2).map(Fraction)
    filter = Filter.of(data.draw(st.lists(small, max_size=6)), data.draw(small))
    builder = Builder(n_rows, ["u[0]", "u[1]"], mode)
    u = channels("u", 2)
    outputs = builder.layer(y=np.array([convolve(filter, u[0] + 3) * (u[1] + 1), convolve(filter, u[0]) + u[1], u[0]]))
    keep = tuple(range(n_rows)) if rows == "all" else (data.draw(st.integers(0, n_rows - 1)),)

    class Kept(Sequence):
        readout_rows = keep

    net = builder.build(outputs, lambda columns: Kept(n_rows, 2, columns, 2))
    values = np.array(data.draw(st.lists(small, min_size=2 * n_rows, max_size=2 * n_rows)), dtype=object)
    values = values.reshape(n_rows, 2)
    output = net.to_torch()(torch.tensor(values.astype(float)))
    np.testing.assert_array_equal(output.numpy(), net.evaluate(values)[list(keep)].astype(float))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_carried_channels_are_bit_exact(dtype):
    """Two channels ride through three layers beside a product of theirs that is computed in each."""
    builder = Builder(3, ["u[0]", "u[1]"], "circular")
    u = channels("u", 2)
    for _ in range(3):
        u, product = builder.layer(u=u, product=u[0] * u[1])
    net = builder.build([*u, product], lambda columns: Sequence(3, 2, columns, 2))
    values = torch.randn(5, 3, 2, dtype=torch.float64).to(dtype)
    output = net.decode(net.to_torch(dtype=dtype)(net.encode(values)))
    assert torch.equal(output[..., :2], values)
    assert torch.equal(output[..., 2], values[..., 0] * values[..., 1])


def test_batch_is_cut_without_changing_the_result(monkeypatch):
    net = C.gradient_descent(n_points=4, n_dims=2, n_steps=4, step_size=2)
    u = net.encode(torch.randint(-2, 3, (200, 4, 2)).double(), torch.randint(-2, 3, (200, 4)).double())
    whole = net.to_torch()(u)
    monkeypatch.setattr(module, "BATCH_ELEMENTS", 1)
    assert torch.equal(net.to_torch()(u), whole)


def test_gradients_flow_to_the_input():
    net = C.gradient_descent(n_points=4, n_dims=2, n_steps=2, step_size="1/2", form="gram")
    A, b, x = (torch.tensor(value.astype(float), requires_grad=True) for value in integer_regression(4, 2))
    net.decode(net.to_torch()(net.encode(A, b, x))).sum().backward()
    matrix = torch.eye(2, dtype=torch.float64) - A.detach().T @ A.detach() / 8
    assert torch.allclose(x.grad, (matrix @ matrix).sum(0))


def test_model_refuses_what_it_cannot_run():
    net = C.gradient_descent(n_points=4, n_dims=2, n_steps=2, step_size="1/2")
    with pytest.raises(ValueError, match="4 rows, 5 channels"):
        net.to_torch()(torch.zeros(3, 5, dtype=torch.float64))
    with pytest.raises(TypeError, match="float32"):
        net.to_torch(dtype=torch.float32)(torch.zeros(4, 5, dtype=torch.float64))
    for dtype in (torch.int32, torch.complex64, "float32", np.float32):
        with pytest.raises(ValueError, match="floating-point dtype"):
            net.to_torch(dtype=dtype)
    with pytest.raises(ValueError, match="rows must be"):
        net.to_torch(rows="some")
    huge = C.linear(n_rows=1, weight=[[10**50]])
    with pytest.raises(OverflowError, match=r"float32"):
        huge.to_torch(dtype=torch.float32)


def test_reduced_precision_on_a_gpu_is_refused():
    seen_by_the_check = SimpleNamespace(is_cuda=True, dtype=torch.float32)
    refuse_reduced_precision(seen_by_the_check)
    torch.set_float32_matmul_precision("high")
    try:
        with pytest.raises(RuntimeError, match="TF32"):
            refuse_reduced_precision(seen_by_the_check)
        refuse_reduced_precision(SimpleNamespace(is_cuda=True, dtype=torch.float64))
        refuse_reduced_precision(torch.zeros(1))
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gpu_matches_the_exact_network(dtype):
    A, b, x = integer_regression(4, 3)
    for form in ("residual", "gram", "doubling", "tight"):
        net = C.gradient_descent(n_points=4, n_dims=3, n_steps=2, step_size=2, form=form)
        floats = [torch.tensor(value.astype(float), dtype=dtype, device="cuda") for value in (A, b, x)]
        exact = net.decode(net.evaluate(net.encode(A, b, x)))
        model = net.to_torch(dtype=dtype, device="cuda")
        np.testing.assert_array_equal(net.decode(model(net.encode(*floats))).cpu().numpy(), exact.astype(float))
