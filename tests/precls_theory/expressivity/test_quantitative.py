"""Sup-norm lower bounds for Square: exact, tight, and below every network measured."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from constructions.models.transformer import Transformer
from precls_theory.expressivity import (
    Partition,
    best_partition,
    causal_softmax_error,
    causal_softmax_lower_bound,
    max_pieces,
    measure_causal_softmax_error,
    measure_square_error,
    piecewise_linear,
    piecewise_linear_lower_bound,
)
from precls_theory.expressivity.quantitative import relu_network
from precls_theory.registry import Refuted, Size
from precls_theory.theorems.transformers import quantitative_square as theorems

rationals = st.fractions(-1, 1, max_denominator=50)


@given(knots=st.sets(rationals, min_size=0, max_size=6), seed=st.integers(0, 1000))
def test_no_partition_beats_the_bound(knots, seed):
    """Free knots and discontinuous pieces: the chord of each piece lowered by the optimum, then shaken."""
    ends = sorted({Fraction(-1), Fraction(1), *knots})
    pieces = []
    for index, (p, q) in enumerate(pairwise(ends)):
        shake = Fraction((seed * (index + 1)) % 7 - 3, 1000)
        pieces.append((-p * q - (q - p) ** 2 / 8 + shake, p + q))
    partition = Partition(tuple(ends), tuple(pieces))
    assert partition.square_error() >= piecewise_linear_lower_bound(len(pieces))


@pytest.mark.parametrize("p", [1, 2, 3, 5, 8, 13])
def test_equal_pieces_reach_the_bound_and_are_continuous(p):
    partition = best_partition(p)
    assert partition.square_error() == piecewise_linear_lower_bound(p) == Fraction(1, 2 * p * p)
    for knot, (a, b), (c, d) in zip(partition.knots[1:-1], partition.pieces, partition.pieces[1:], strict=False):
        assert a + b * knot == c + d * knot


@given(widths=st.lists(st.integers(1, 5), min_size=1, max_size=3), seed=st.integers(0, 1000))
def test_exact_pieces_are_those_of_the_network(widths, seed):
    network = relu_network(widths, seed)
    partition = piecewise_linear(network)
    assert partition.n_pieces <= max_pieces(widths)
    assert partition.square_error() >= piecewise_linear_lower_bound(partition.n_pieces)
    grid = torch.linspace(-1, 1, 257, dtype=torch.float64)
    with torch.no_grad():
        out = network(grid[:, None])[:, 0]
    for x, y in zip(grid.tolist(), out.tolist(), strict=True):
        piece = next(p for p, high in zip(partition.pieces, partition.knots[1:], strict=True) if Fraction(x) <= high)
        assert float(piece[0] + piece[1] * Fraction(x)) == pytest.approx(y, abs=1e-12)
    sampled = float((out - grid**2).abs().max())
    assert sampled <= float(partition.square_error()) * (1 + 1e-12) + 1e-12


def test_trained_networks_come_near_the_bound():
    result = measure_square_error((4,), seeds=range(2), n_steps=600)
    assert result.lower_bound == Fraction(1, 50)
    assert result.lower_bound <= result.error < 2 * result.lower_bound
    assert result.pieces <= result.max_pieces == 5


@pytest.mark.parametrize(("width", "heads"), [(2, 1), (8, 2)])
def test_one_causal_layer_trained_on_square_stays_above_one_half(width, heads):
    """Row 0 is affine in u_0: no training gets its error on [-1, 1] below 1/2, and training does come near."""
    error = measure_causal_softmax_error(width, heads, seeds=(0,), n_steps=150)
    assert float(causal_softmax_lower_bound()) <= error < 0.75


def test_the_error_of_a_causal_layer_is_exact():
    model = Transformer(1, 1, 2, 1, mlp="none")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.unembed.bias.fill_(0.5)  # the best constant
    low, high = causal_softmax_error(model, 3)
    assert low == 0.5
    assert high == pytest.approx(0.5)
    with torch.no_grad():
        model.embed.weight[0, 0] = model.unembed.weight[0, 0] = 1.0  # 1/2 + u: worst at u = -1
    assert causal_softmax_error(model, 3)[0] == pytest.approx(1.5)
    assert model.embed.weight.dtype == torch.float32  # the caller's model is left as it was


class Cubic(nn.Module):
    """``u + 5 u³``: an odd function, whose second difference at -1, 0, 1 vanishes too."""

    def forward(self, u):
        return u + 5 * u**3


@pytest.mark.parametrize(
    "model",
    [
        Cubic(),
        Transformer(1, 1, 4, 1, mask="full", mlp="none"),
        Transformer(1, 1, 4, 1, mlp="gelu"),
        Transformer(1, 1, 4, 1, mlp="none", norm="rms"),
        Transformer(1, 1, 4, 1, mlp="none", norm="layer", norm_placement="mlp", final_norm=True),
        Transformer(1, 1, 4, 1, mlp="none", attention="linear"),
        Transformer(1, 1, 4, 2, mlp="none"),
    ],
)
def test_only_one_causal_layer_has_such_an_error(model):
    with pytest.raises(ValueError, match="need not be affine"):
        causal_softmax_error(model, 3)


def test_theorems_hold_and_can_fail():
    assert theorems.square_piecewise_linear(Size(2, 2)).scope
    assert theorems.square_one_causal_softmax_layer(Size(2, 2)).scope
    with pytest.raises(Refuted, match="second difference"):
        theorems.require_second_difference(3)
    good = best_partition(3)
    with pytest.raises(Refuted, match="against the bound"):
        theorems.require_error(good, piecewise_linear_lower_bound(2))
    a, b = good.pieces[1]
    changed = Partition(good.knots, (good.pieces[0], (a + Fraction(1, 100), b), good.pieces[2]))
    with pytest.raises(Refuted, match="against the bound"):
        theorems.require_error(changed, piecewise_linear_lower_bound(3), exactly=True)


def test_bad_arguments():
    with pytest.raises(ValueError, match="at least 1 piece"):
        piecewise_linear_lower_bound(0)
    with pytest.raises(ValueError, match="positive"):
        max_pieces((3, 0))
    with pytest.raises(ValueError, match=r"nn\.Sequential"):
        piecewise_linear(nn.Sequential(nn.Linear(1, 2), nn.GELU(), nn.Linear(2, 1)))
    with pytest.raises(ValueError, match="one input"):
        piecewise_linear(nn.Sequential(nn.Linear(2, 1)))
    network = relu_network((2,))
    network[0].weight.data[0, 0] = float("nan")
    with pytest.raises(ValueError, match="finite"):
        piecewise_linear(network)
    with pytest.raises(ValueError, match="at least one seed"):
        measure_square_error((2,), seeds=())
