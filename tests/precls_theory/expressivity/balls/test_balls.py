"""Ball evaluations of single operations enclose what PyTorch computes, with every option that changes the result."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from helpers.models import Wrap

from precls_theory.expressivity import trace
from precls_theory.expressivity.balls.evaluator import evaluate

CASES = {
    "GELU by tanh": lambda u: F.gelu(u, approximate="tanh"),
    "GELU": lambda u: F.gelu(u),
    "unbiased variance": lambda u: u.var(-1),
    "variance": lambda u: u.var(-1, correction=0),
    "power": lambda u: u**7,
    "lerp": lambda u: torch.lerp(u, u * u, 0.3),
    "addcmul": lambda u: torch.addcmul(u, u, u, value=-2.0),
    "PReLU": lambda u: F.prelu(u, torch.tensor([0.3, -2.0, 0.1], dtype=u.dtype)),
    "log sigmoid": lambda u: F.logsigmoid(u),
    "filled and rolled": lambda u: F.pad(u.roll(1, 2), (1, 2), value=3.0),
    "reversed subtraction": lambda u: 2 - u,
    "mish": lambda u: F.mish(u),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_enclosures_hold(name):
    function = CASES[name]
    u = torch.randn(1, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model = Wrap(lambda m, x: function(x), weight=torch.nn.Parameter(torch.zeros(1, dtype=torch.float64)))
    found = evaluate(trace(model, (1, 3, 4)), u, 200).reshape(-1)
    for ball, value in zip(found, function(u).reshape(-1).tolist(), strict=True):
        assert float(ball.rad()) < 1e-40
        assert float(ball.mid()) == pytest.approx(value, rel=1e-12, abs=1e-14)
