"""Random programs of tensor operations, with aliases and changes in place: every certificate must hold.

20 programs by default, 300 under the deep profile.
"""

from __future__ import annotations

import math
import os
import random
from functools import cache

import flint
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from precls_theory.expressivity import trace
from precls_theory.expressivity.balls.evaluator import Evaluator, Unsupported
from precls_theory.expressivity.growth.certificate import certify

N = 4
ALLOWANCE = 1e-9
COUNT = 300 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 20

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


def halves(x):
    """The first half of the channels is overwritten through a chunk."""
    h = x * 1
    p = h.chunk(2, -1)
    p[0].mul_(p[1]).clamp_(-3, 3)
    return h


def row_written(a, b):
    h = a.clone()
    h[:, 1] = b[:, 2] * 0.5
    return h


def through_a_view(a, b):
    h = a * 1
    h.view(1, N * N)[:, ::2].add_(b.reshape(1, N * N)[:, ::2])
    return h


def rows_unbound(a, b):
    h = a + 0
    first, *_ = h.unbind(1)
    first.copy_(b[:, 0])
    first.relu_()
    return h


def out_argument(a, b):
    h = torch.zeros_like(a)
    torch.maximum(a, b, out=h)
    return h


def two_names(a, b):
    h = a * 1
    k = h
    k += torch.relu(b)
    return h - k * 0.5


IN_PLACE = [
    lambda a, b: halves(a), row_written, through_a_view, rows_unbound, out_argument, two_names,
    lambda a, b: a.clone().masked_fill_(torch.ones(N, N).triu(1) > 0, 0.5), lambda a, b: F.relu(a * 1, inplace=True),
    lambda a, b: torch.zeros(1, N, N, dtype=a.dtype).index_copy_(1, torch.tensor([0, 2]), b[:, :2]),
    lambda a, b: a.clone().transpose_(1, 2).contiguous(), lambda a, b: (a * 1).add_(b, alpha=0.1),
    lambda a, b: a.clone().clamp_(min=-1),
]  # fmt: skip


TABLES = {"unary": UNARY, "weighted": WEIGHTED, "binary": BINARY, "in place": IN_PLACE}


class RandomProgram(nn.Module):
    """Two to eight operations, each on results of earlier ones."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        shapes = [(N, N), (N, N), (N, N), (N, N, 3)]
        self.weights = nn.ParameterList(torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes)
        rng, steps, made = random.Random(seed), [], 1
        for _ in range(rng.randrange(2, 9)):
            recent, other, kind = rng.randrange(max(0, made - 3), made), rng.randrange(made), rng.random()
            table = "unary" if kind < 0.4 else "weighted" if kind < 0.5 else "binary" if kind < 0.75 else "in place"
            steps.append((table, rng.randrange(len(TABLES[table])), recent, other))
            made += 1
        self.steps = steps

    def forward(self, u: Tensor) -> Tensor:
        values = [u]
        weights = list(self.weights)
        for table, index, recent, other in self.steps:
            x = values[recent]
            operation = TABLES[table][index]
            if table == "unary":
                values.append(operation(x))
            else:
                values.append(operation(x, weights if table == "weighted" else values[other]))
        return values[-1]


@cache
def certified(seed: int):
    """The program of that seed, its trace and its certificate."""
    model = RandomProgram(seed)
    program = trace(model, (1, N, N))
    return model, program, certify(program, model, None)


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


@pytest.mark.parametrize("start", range(0, COUNT, 5))
def test_certificates_of_random_programs_hold(start):
    for seed in range(start, start + 5):
        model, _, certificate = certified(seed)
        with torch.no_grad():
            for u in inputs(seed):
                value = float(model(u).norm())
                assert value <= bound(certificate.coefficients, float(u.norm())) * (1 + ALLOWANCE), seed


def test_the_programs_are_of_every_kind():
    exponents = {min(certified(seed)[2].exponent, 2) for seed in range(COUNT)}
    assert exponents == {0, 1, 2}
    assert any(table == "in place" for seed in range(COUNT) for table, *_ in certified(seed)[0].steps)


def test_bounds_of_pieces_hold_where_the_piece_is_continued():
    """The piece at a random point, with its signs frozen, evaluated elsewhere and far away."""
    checked = 0
    for seed in range(COUNT):
        _, program, certificate = certified(seed)
        if certificate.analytic != "piecewise analytic" or certificate.piece_coefficients is None:
            continue
        generator = torch.Generator().manual_seed(seed)
        try:
            with flint.ctx.workprec(200):
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
    assert checked >= 1
