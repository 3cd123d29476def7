"""Random programs of tensor operations: every certificate must hold, for the function and for its pieces."""

from __future__ import annotations

import math
import random

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from precls_theory.expressivity import growth_certificate, trace
from precls_theory.expressivity.ball import Evaluator, Unsupported, precision

N = 4
ALLOWANCE = 1e-9

UNARY = [
    torch.relu, torch.tanh, torch.sigmoid, F.gelu, F.silu, torch.abs, F.softplus, F.elu, torch.sign, torch.cos, F.mish,
    F.hardswish, F.hardsigmoid, F.leaky_relu,
    lambda x: x.softmax(-1), lambda x: x.softmax(-2), lambda x: x.transpose(1, 2), lambda x: F.layer_norm(x, (N,)),
    lambda x: F.rms_norm(x, (N,), eps=1e-3), lambda x: x.clamp(-1, 0.5), lambda x: x.clamp(min=0.3),
    lambda x: x.cumsum(1), lambda x: x.mean(1, keepdim=True).expand(-1, N, -1), lambda x: x.sum(2, keepdim=True) + x,
    lambda x: x.tril(), lambda x: x.flip(1), lambda x: x.amax(1, keepdim=True) * torch.ones(N, N, dtype=x.dtype),
    lambda x: x * 0.3, lambda x: x / 2.5 + 1, lambda x: 2 - x, lambda x: x**2, lambda x: -x,
    lambda x: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-2),
    lambda x: (x - x.mean(-1, keepdim=True)) / torch.sqrt(x.var(-1, keepdim=True) + 1e-2),
    lambda x: x.masked_fill(torch.ones(N, N).triu(1) > 0, -math.inf).softmax(-1),
    lambda x: torch.where(x > 0, x, -3 * x), lambda x: x.repeat(1, 1, 2)[:, :, 1 : N + 1],
    lambda x: x.reshape(1, 2, 2 * N)[:, :, :N].repeat(1, 2, 1),
    lambda x: x.unsqueeze(1).expand(1, 2, N, N).reshape(1, 2 * N, N)[:, ::2], lambda x: torch.exp(torch.tanh(x)),
    lambda x: 1 / (1 + x * x), lambda x: torch.sqrt(1 + x * x),
    lambda x: x.view(1, N, 2, 2).permute(0, 2, 1, 3).reshape(1, N, N),
]  # fmt: skip
WEIGHTED = [
    lambda x, w: F.linear(x, w[0], w[1][0]), lambda x, w: x @ w[1], lambda x, w: w[2] @ x,
    lambda x, w: F.conv1d(x, w[3], padding=1), lambda x, w: torch.einsum("ij,bjk->bik", w[0], x),
]  # fmt: skip
BINARY = [
    torch.add, torch.sub, torch.mul, torch.matmul, torch.maximum, lambda a, b: torch.cat([a, b], 1)[:, 2 : N + 2],
    lambda a, b: torch.einsum("bij,bkj->bik", a, b), lambda a, b: F.scaled_dot_product_attention(a, b, a),
    lambda a, b: torch.where(a > b, a, b * 2), lambda a, b: a * b.softmax(-1), lambda a, b: a.softmax(-1) @ b,
    lambda a, b: a @ b.softmax(-2), lambda a, b: a / (b.abs() + 0.1), lambda a, b: torch.stack([a, b]).mean(0),
]  # fmt: skip


class RandomProgram(nn.Module):
    """Two to eight operations, each on results of earlier ones."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed, generator = seed, torch.Generator().manual_seed(seed)
        shapes = [(N, N), (N, N), (N, N), (N, N, 3)]
        self.weights = nn.ParameterList(torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes)

    def forward(self, u: Tensor) -> Tensor:
        rng = random.Random(self.seed)
        values = [u]
        for _ in range(rng.randrange(2, 9)):
            recent = rng.choice(values[-3:])
            kind = rng.random()
            if kind < 0.5:
                values.append(rng.choice(UNARY)(recent))
            elif kind < 0.65:
                values.append(rng.choice(WEIGHTED)(recent, list(self.weights)))
            else:
                values.append(rng.choice(BINARY)(recent, rng.choice(values)))
        return values[-1]


def inputs(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    found = []
    for exponent in range(-4, 8):
        dense = torch.randn(1, N, N, generator=generator, dtype=torch.float64) * 10.0**exponent
        sparse = dense * (torch.rand(dense.shape, generator=generator) < 0.2)
        found += [dense, sparse, torch.full_like(dense, 10.0**exponent)]
    return found


def bound(coefficients, size: float) -> float:
    return sum(c * size**i for i, c in enumerate(coefficients))


@pytest.mark.parametrize("start", range(0, 200, 50))
def test_certificates_of_random_programs_hold(start):
    exponents = set()
    for seed in range(start, start + 50):
        model = RandomProgram(seed)
        certificate = growth_certificate(model, (1, N, N), exponent=None)
        exponents.add(min(certificate.exponent, 2))
        with torch.no_grad():
            for u in inputs(seed):
                value = float(model(u).norm())
                assert value <= bound(certificate.coefficients, float(u.norm())) * (1 + ALLOWANCE), seed
    assert exponents == {0, 1, 2}


def test_bounds_of_pieces_hold_where_the_piece_is_continued():
    """The piece at a random point, with its signs frozen, evaluated elsewhere and far away."""
    checked = 0
    for seed in range(400):
        model = RandomProgram(seed)
        certificate = growth_certificate(model, (1, N, N), exponent=None)
        if certificate.analytic != "piecewise analytic" or certificate.piece_coefficients is None:
            continue
        generator = torch.Generator().manual_seed(seed)
        program = trace(model, (1, N, N))
        try:
            with precision(200):
                here = Evaluator(program)
                here(torch.randn(1, N, N, generator=generator, dtype=torch.float64))
                for scale in (1.0, 1e3):
                    u = torch.randn(1, N, N, generator=generator, dtype=torch.float64) * scale
                    out = Evaluator(program, pattern=here.signs)(u).coefficients[0].reshape(-1)
                    square = float(sum(x * x for x in out).upper())
                    limit = bound(certificate.piece_coefficients, float(u.norm()))
                    assert square <= (limit * (1 + ALLOWANCE)) ** 2, seed
                    checked += 1
        except Unsupported:
            continue
    assert checked >= 20
