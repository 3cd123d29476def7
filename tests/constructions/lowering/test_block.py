"""Blocks: which are fused and when, that a fused block computes what its parts do, and what each part is told."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch

from constructions.algebra.filters import DELTA, PREFIX
from constructions.algebra.terms import Terms, as_terms, channel, convolve
from constructions.lowering import block as blocks
from constructions.lowering.block import Block, Fused
from constructions.lowering.maps import LoweredMap
from constructions.lowering.module import LoweredNetwork
from constructions.networks.builder import Builder
from constructions.networks.tasks import Sequence

N = 3
X, Y = channel("x"), channel("y")


def block(
    outputs: dict[str, Any], sums: Any = "any", mode: str = "causal", dtype: torch.dtype = torch.float64
) -> Block:
    """The varying block of a network of one layer."""
    builder = Builder(N, ["x", "y"], mode)  # type: ignore[arg-type]
    read = builder.layer(**outputs)
    network = builder.build(list(read), partial(Sequence, N, 2, n_inputs=2))
    (layer,) = LoweredNetwork(network, tuple(range(N)), dtype, sums).lowered_layers
    assert layer.varying is not None
    return layer.varying


def mixtures(bias: int = 0, linear: bool = False) -> dict[str, Any]:
    """Three outputs of four products each, every product in two of them or more, so that none is merged; biases, affine parts."""
    factors = [(X + 2 * Y, X - Y), (X, Y), (X - 3 * Y, X), (Y, Y), (2 * X + Y, X + Y)]
    p = [Terms.product(DELTA, left + k * bias, right - (k + 1) * bias) for k, (left, right) in enumerate(factors, 1)]
    outputs = {
        "a": p[0] + 2 * p[1] - p[2] + 3 * p[3],
        "b": p[0] - p[1] + p[3] + p[4],
        "c": p[4] + p[2] + 2 * p[1] + p[0],
    }
    return {name: value + 4 * X - Y + 2 if linear else value for name, value in outputs.items()}


DENSE: dict[str, dict[str, Any]] = {
    "products": mixtures(), "biases": mixtures(1), "linear": mixtures(0, True), "linear and biases": mixtures(2, True),
}  # fmt: skip


def exact(outputs: dict[str, Any]) -> torch.Tensor:
    """The outputs at the entries of ``state()``, over Q."""
    builder = Builder(N, ["x", "y"])
    network = builder.build(list(builder.layer(**outputs)), partial(Sequence, N, 2, n_inputs=2))
    values = network.evaluate(state().permute(2, 1, 0).numpy().astype(int).astype(object))
    return torch.tensor(values.astype(float)).permute(2, 1, 0)


def state(batch: int = 2, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.arange(1, 2 * N * batch + 1, dtype=dtype).reshape(2, N, batch) % 5


def test_small_dense_blocks_are_fused_and_equal_to_their_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    fused = 0
    for outputs in DENSE.values():
        for dtype in (torch.float64, torch.float16):
            made = block(outputs, dtype=dtype)
            fused += made.fused is not None
            x = state(dtype=dtype)
            together = made(x, None)
            assert together.dtype == dtype
            assert torch.equal(together[torch.tensor(made.order).argsort()].double(), exact(outputs))
            with monkeypatch.context() as patch:
                patch.setattr(blocks, "FUSED_COLUMNS", 0)
                assert torch.equal(made(x, None), together)
            fixed = block(outputs, "fixed", dtype=dtype)
            assert fixed.fused is None
            assert torch.equal(fixed(x, None), together)
    assert fused == 2 * len(DENSE)


def test_a_fused_block_runs_for_few_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    made = block(DENSE["linear"])
    monkeypatch.setattr(blocks, "FUSED_COLUMNS", N * 2)
    calls: list[int] = []
    forward = Fused.forward
    monkeypatch.setattr(Fused, "forward", lambda self, flat: (calls.append(flat.shape[1]), forward(self, flat))[1])
    for batch, expected in ((1, [3]), (2, [3, 6]), (3, [3, 6])):
        made(state(batch), None)
        assert calls == expected
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    made(state(1), None)
    assert calls == [3, 6]


def test_which_blocks_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """2 n_z (units + outputs) elements at most; dense parts; constants that are the same at every row."""
    made = block(DENSE["products"])
    assert made.products is not None
    assert made.mix is not None
    parts = (made.products, made.mix, made.linear)
    size = 2 * 2 * (made.mix.n_in + made.mix.n_out)
    for limit, fits in ((size, True), (size - 1, False)):
        monkeypatch.setattr(blocks, "FUSED_ELEMENTS", limit)
        assert Fused.fits(*parts, 2) is fits
        assert (block(DENSE["products"]).fused is not None) is fits
    monkeypatch.undo()
    ladder = LoweredMap(2, 2, {(0, 1): 1, (1, 0): 1}, torch.float64)  # type: ignore[dict-item]
    assert ladder.kind == "ladder"
    assert not Fused.fits(made.products, made.mix, ladder, 2)
    assert not Fused.fits(made.products, ladder, None, 2)
    assert made.mix.kind == "dense"
    summed = convolve(PREFIX, as_terms(X + 1))
    by_row = block({name: total + summed * Y for name, total in DENSE["products"].items()})
    assert by_row.products is not None
    assert by_row.mix is not None
    assert by_row.mix.kind == "dense"
    assert by_row.products.conv_bias is not None
    assert by_row.products.conv_bias.shape[1] == N
    assert by_row.fused is None


def test_maps_are_told_what_they_are_for() -> None:
    """Sums in one order are ladders, and so is a mixture of few products, which multiplies no entry by zero."""
    free, fixed = block(mixtures(0, True)), block(mixtures(0, True), "fixed")
    few = block({"a": X * Y + X * X + 2 * X - Y, "b": X * Y - Y * Y + X + 2 * Y})
    for made, kinds in ((free, ("dense", "dense")), (fixed, ("ladder", "ladder")), (few, ("ladder", "dense"))):
        assert made.mix is not None
        assert made.linear is not None
        assert (made.mix.kind, made.linear.kind) == kinds
    assert free.products is not None
    assert fixed.products is not None
    assert (free.products.conv.kind, free.products.gate.kind) == ("dense", "dense")
    assert (fixed.products.conv.kind, fixed.products.gate.kind) == ("ladder", "ladder")


def test_parts_that_are_not_there() -> None:
    copies = block({"a": X * 1, "b": Y * 1})
    assert (copies.linear, copies.products, copies.mix, copies.fused, copies.bias) == (None, None, None, None, None)
    assert copies(state(), None).tolist() == state().tolist()
    products = block(DENSE["products"])
    assert products.linear is None
    assert products.copies is None
    affine = block({"a": X + Y + 1, "b": X - 2 * Y})
    assert (affine.products, affine.mix, affine.fused, affine.copies) == (None, None, None, None)
    assert affine.bias is not None
    assert affine.n_computed == 2


def test_row_constant_blocks_hold_one_row_of_constants() -> None:
    """Totals of a circular network: a filtered constant in a product is the same at every row, and held once."""
    total = convolve(PREFIX, X + 1)
    builder = Builder(N, ["x", "y"], "circular")
    read = builder.layer(a=total * 1, b=X * Y)
    again = builder.layer(c=convolve(PREFIX, read[0] + 2) * read[0], d=read[1] * 1)
    network = builder.build(list(again), partial(Sequence, N, 2, n_inputs=2))
    lowered = LoweredNetwork(network, tuple(range(N)), torch.float64)
    constant = lowered.lowered_layers[1].constant
    assert constant is not None
    assert constant.products is not None
    assert constant.products.conv_bias is not None
    assert constant.products.conv_bias.shape == (1, 1, 1)
    x = torch.tensor([[1.0, 2, 3], [4, 5, 6]]).double().T[None]
    total_x = 1 + 2 + 3 + 3 * 1
    assert lowered(x)[0].tolist() == [[(3 * total_x + 6) * total_x, float(p)] for p in (4, 10, 18)]
