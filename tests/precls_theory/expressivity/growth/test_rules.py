"""Rules at inputs where their bound is reached, or nearly: one that forgets an index, a size or a factor fails here."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from helpers.models import Wrap
from torch import Tensor, nn

from precls_theory.expressivity import growth_certificate

SHAPE = (1, 4, 6)
ONES = torch.ones(SHAPE, dtype=torch.float64)
SIGNS = ONES * torch.tensor([1.0, -1.0] * 3, dtype=torch.float64)
ROWS_DIFFER = ONES * torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64)[:, None]
SPIKE = torch.zeros_like(ONES).index_put(
    (torch.tensor(0), torch.tensor(1), torch.tensor(2)), torch.tensor(1.0).double()
)


def hand_norm(u: Tensor, mean_over: int, variance_over: int) -> Tensor:
    return (u - u.mean(mean_over, keepdim=True)) / torch.sqrt(u.var(variance_over, keepdim=True, correction=0) + 1e-4)


REACHED = {
    "einsum, an index of one operand": (
        lambda u: torch.einsum("bij,bjk->bi", u, torch.ones(1, 6, 3).double()),
        ONES,
        1.0,
    ),
    "group norm": (lambda u: F.group_norm(u, 2), SIGNS, 1.0),
    "group norm, one group": (lambda u: F.group_norm(u, 1), SIGNS, 1.0),
    "norm by hand": (lambda u: hand_norm(u, -1, -1), SIGNS, 1.0),
    "norm by hand, along rows": (lambda u: hand_norm(u, 1, 1), ROWS_DIFFER, 1.0),
    "norm by hand, mean and variance of other entries": (lambda u: hand_norm(u, 1, -1), ROWS_DIFFER, 0.5),
    "reflected twice": (lambda u: F.pad(u, (3, 3), mode="reflect"), SPIKE, 0.7),
    "variance": (lambda u: u.var(-1, correction=0), SPIKE, 0.3),
    "unbiased variance": (lambda u: u[..., :2].var(-1), SIGNS * torch.tensor([1.0, 0, 0, 0]).double()[:, None], 0.1),
    "scaled product": (
        lambda u: torch.addmm(torch.zeros(4, 4).double(), u[0], torch.eye(6, 4).double(), alpha=-3.0),
        SPIKE,
        0.99,
    ),
    "divided by small numbers": (lambda u: u / torch.tensor([2.0, 1.0, 0.25, 1.0, 1.0, 1.0]).double(), SPIKE, 1.0),
}


@pytest.mark.parametrize("name", sorted(REACHED))
def test_bounds_are_reached(name):
    function, u, part = REACHED[name]
    certificate = growth_certificate(
        Wrap(lambda m, x: function(x), weight=nn.Parameter(torch.zeros(1).double())), SHAPE, exponent=None
    )
    best = 0.0
    for scale in (1.0, 1e3, 1e6):
        reached = float(function(u * scale).norm()) / certificate.bound(float(u.norm()) * scale)
        assert reached <= 1 + 1e-9
        best = max(best, reached)
    assert best >= part - 1e-3
