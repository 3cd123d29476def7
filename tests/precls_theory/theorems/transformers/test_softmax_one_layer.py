"""One softmax layer: the symbolic checks hold, refuse attentions without softmax, and fit the PyTorch model."""

from __future__ import annotations

import pytest
import sympy as sp
import torch

from constructions.models.transformer import LinearAttention, SoftmaxAttention
from precls_theory.registry import Refuted
from precls_theory.theorems.transformers import softmax_one_layer as module


def linear(scores, values):
    return sp.Add(*(s * v for s, v in zip(scores, values, strict=True)))


def unnormalised(scores, values):
    return sp.Add(*(sp.exp(s) * v for s, v in zip(scores, values, strict=True)))


def gated(scores, values):
    """Softmax whose output is multiplied by a value: what a gate does."""
    return module.softmax_attention(scores, values) * values[0]


@pytest.mark.parametrize("attention", [linear, unnormalised, gated])
def test_other_attentions_are_refused(attention):
    for check in (
        lambda: module.check_row0(1, attention),
        lambda: module.check_row0_every_width(attention),
        lambda: module.check_equal_rows(2, attention),
        lambda: module.mean_bound(2, attention),
    ):
        with pytest.raises(Refuted) as refusal:
            check()
        assert refusal.value.counterexample


def test_a_target_of_linear_growth_is_refused():
    with pytest.raises(Refuted):
        module.escape(module.T)
    e = sp.Symbol("e", nonnegative=True)
    miss = module.escape(module.T**2 / e)
    assert miss.subs(dict.fromkeys(miss.free_symbols, 0)) == 1


def row0_hessian(layer: torch.nn.Module) -> torch.Tensor:
    """Second derivatives of the sum of row 0's outputs in row 0, at a random input."""
    rest = torch.randn(1, 2, 4, dtype=torch.float64)

    def output(first: torch.Tensor) -> torch.Tensor:
        return layer(torch.cat([first.view(1, 1, 4), rest], dim=1))[0, 0].sum()

    return torch.autograd.functional.hessian(output, torch.randn(4, dtype=torch.float64))


def test_the_reference_model_is_what_the_proof_speaks_of():
    torch.manual_seed(0)
    assert row0_hessian(SoftmaxAttention(4, n_heads=2).double()).abs().max() == 0
    assert row0_hessian(LinearAttention(4, n_heads=2).double()).abs().max() > 1e-3


def test_bounded_by_the_values_along_a_ray():
    torch.manual_seed(1)
    layer = SoftmaxAttention(4, n_heads=1, mask="full", positions="alibi").double()
    direction = torch.randn(1, 3, 4, dtype=torch.float64)
    zero, one = (layer.v_proj(t * direction) for t in (0.0, 1.0))
    M, B = zero.abs().max(), (one - zero).abs().max()
    out = layer.out_proj
    for t in (1.0, 10.0, 1e3, 1e6):
        with torch.no_grad():
            bound = out.weight.abs().sum(1).max() * (M + B * t) + out.bias.abs().max()
            assert layer(t * direction).abs().max() <= bound * (1 + 1e-9)
