"""How well Square can be approximated on [-1, 1] by models of a given size: lower bounds, and exact errors.

* A function that is affine on each of p intervals misses ``x²`` by at least ``1/(2p²)`` somewhere: one interval has
  length ``ℓ ≥ 2/p``, and on it the second difference of ``e(x) = x² - (a + b x)`` at the ends and the middle is
  ``e(c-r) - 2e(c) + e(c+r) = 2r²`` with ``r = ℓ/2``, so ``4 max|e| ≥ 2r²``.  The pieces may be discontinuous, the knots
  free; equal pieces reach the bound, continuously, so it is tight (also for a ReLU network with p - 1 hidden units).
* A ReLU network on a scalar input with L hidden layers of widths w_1..w_L has at most ``Π (w_i + 1)`` pieces: each unit
  of a layer is affine on each piece so far, so it adds at most one knot there.
* One causal softmax layer: row 0 attends to itself only, so its output is affine in u_0, and the bound is that of one
  piece, 1/2, whatever the width, the heads and the positions (Thm. D.34 of Liu et al. 2025, made quantitative).

The error of a given ReLU network is computed exactly over the rationals, not sampled.  Source: new.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import flint
import torch
from torch import Tensor, nn

from constructions.models.transformer import SoftmaxAttention, Transformer, TransformerBlock
from precls_theory.enclosures.threads import single_thread
from precls_theory.expressivity.balls.evaluator import evaluate
from precls_theory.expressivity.tracing.trace import trace

Affine = tuple[Fraction, Fraction]  # (constant, slope)


def piecewise_linear_lower_bound(n_pieces: int) -> Fraction:
    """``1/(2p²)``: no function with p affine pieces on [-1, 1] is closer to ``x²`` in the sup norm.

    Raises:
        ValueError: ``n_pieces`` is less than 1.
    """
    if n_pieces < 1:
        raise ValueError(f"a piecewise linear function has at least 1 piece, got {n_pieces}")
    return Fraction(1, 2 * n_pieces**2)


def causal_softmax_lower_bound() -> Fraction:
    """1/2: the sup-norm error at row 0 of one causal softmax layer for Square on [-1, 1], at any width."""
    return piecewise_linear_lower_bound(1)


def max_pieces(widths: Sequence[int]) -> int:
    """The largest number of pieces of a ReLU network on a scalar input with these hidden widths."""
    if any(w < 1 for w in widths):
        raise ValueError(f"widths must be positive, got {tuple(widths)}")
    return math.prod(w + 1 for w in widths)


@dataclass(frozen=True)
class Partition:
    """A piecewise affine function on [-1, 1]: ``pieces[i]`` holds on ``[knots[i], knots[i+1]]``; exact rationals."""

    knots: tuple[Fraction, ...]
    pieces: tuple[Affine, ...]

    @property
    def n_pieces(self) -> int:
        """The number of pieces, neighbours with the same affine function counted once."""
        return 1 + sum(p != q for p, q in zip(self.pieces, self.pieces[1:], strict=False))

    def square_error(self) -> Fraction:
        """``sup |f(x) - x²|`` over [-1, 1], exactly: each difference is a parabola, extreme at ends or vertex."""
        worst = Fraction(0)
        for low, high, (a, b) in zip(self.knots, self.knots[1:], self.pieces, strict=False):
            vertex = b / 2
            for x in (low, high, *((vertex,) if low < vertex < high else ())):
                worst = max(worst, abs(a + b * x - x * x))
        return worst


def best_partition(n_pieces: int) -> Partition:
    """The continuous function with p equal pieces that reaches the bound: chords of ``x²``, lowered by the bound."""
    knots = tuple(Fraction(2 * i, n_pieces) - 1 for i in range(n_pieces + 1))
    shift = piecewise_linear_lower_bound(n_pieces)
    return Partition(knots, tuple((-p * q - shift, p + q) for p, q in pairwise(knots)))


def _rows(weight: Tensor, bias: Tensor | None) -> list[tuple[list[Fraction], Fraction]]:
    if not weight.isfinite().all() or (bias is not None and not bias.isfinite().all()):
        raise ValueError("weights must be finite")
    biases = [0.0] * weight.shape[0] if bias is None else bias.detach().double().tolist()
    rows = weight.detach().double().tolist()
    return [([Fraction(w) for w in row], Fraction(b)) for row, b in zip(rows, biases, strict=True)]


def piecewise_linear(model: nn.Module) -> Partition:
    """The exact pieces on [-1, 1] of an ``nn.Sequential`` of ``nn.Linear`` and ``nn.ReLU`` with one input and output.

    Raises:
        ValueError: another kind of module, or more than one input or output.
    """
    layers = list(model.children()) if isinstance(model, nn.Sequential) else []
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    if not linear or len(linear) + sum(isinstance(layer, nn.ReLU) for layer in layers) != len(layers):
        raise ValueError("expected an nn.Sequential of nn.Linear and nn.ReLU only, "
                         f"got {[type(layer).__name__ for layer in layers] or type(model).__name__}")  # fmt: skip
    if linear[0].in_features != 1 or linear[-1].out_features != 1:
        raise ValueError(
            f"expected one input and one output, got {linear[0].in_features} and {linear[-1].out_features}"
        )
    knots = [Fraction(-1), Fraction(1)]
    values: list[list[Affine]] = [[(Fraction(0), Fraction(1))]]  # per interval, the affine function of each channel
    for layer in layers:
        if isinstance(layer, nn.Linear):
            rows = _rows(layer.weight, layer.bias)
            values = [
                [
                    (
                        bias + sum((w * a for w, (a, _) in zip(row, channels, strict=True)), Fraction(0)),
                        sum((w * b for w, (_, b) in zip(row, channels, strict=True)), Fraction(0)),
                    )
                    for row, bias in rows
                ]
                for channels in values
            ]
        else:
            knots, values = _relu(knots, values)
    return Partition(tuple(knots), tuple(channels[0] for channels in values))


def _relu(knots: list[Fraction], values: list[list[Affine]]) -> tuple[list[Fraction], list[list[Affine]]]:
    """Cut each interval where a channel crosses zero; on each part a channel is kept or replaced by zero."""
    new_knots, new_values = [knots[0]], []
    for low, high, channels in zip(knots, knots[1:], values, strict=False):
        cuts = {-a / b for a, b in channels if b != 0}
        for cut in [*sorted(c for c in cuts if low < c < high), high]:
            middle = (new_knots[-1] + cut) / 2
            zero = (Fraction(0), Fraction(0))
            new_values.append([(a, b) if a + b * middle > 0 else zero for a, b in channels])
            new_knots.append(cut)
    return new_knots, new_values


def relu_network(widths: Sequence[int], seed: int = 0) -> nn.Sequential:
    """A ReLU network on a scalar with these hidden widths, in float64; the first knots spread over [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [1, *widths, 1]
    layers: list[nn.Module] = []
    for index, (n_in, n_out) in enumerate(pairwise(sizes)):
        layer = nn.Linear(n_in, n_out, dtype=torch.float64)
        with torch.no_grad():
            layer.weight.copy_(torch.randn(n_out, n_in, generator=generator, dtype=torch.float64) * (2 / n_in) ** 0.5)
            layer.bias.copy_(torch.rand(n_out, generator=generator, dtype=torch.float64) * 2 - 1)
            if index == 0:  # units open to alternating sides, from evenly spread knots that are jittered a little
                side = torch.tensor([(-1.0) ** i for i in range(n_out)], dtype=torch.float64)
                spread = (torch.arange(n_out, dtype=torch.float64) + 0.5) / n_out * 2 - 1
                layer.weight.copy_(side[:, None])
                layer.bias.copy_(-side * (spread + layer.bias / (2 * n_out)))
            elif index == len(widths):
                layer.weight.abs_()  # convex to begin with, as x² is
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


@dataclass(frozen=True)
class SquareError:
    """The best of several trained networks of one size, beside the bounds for its size and for its own pieces."""

    widths: tuple[int, ...]
    max_pieces: int
    pieces: int
    lower_bound: Fraction
    error: Fraction


def measure_square_error(widths: Sequence[int], seeds: Iterable[int] = range(4), n_steps: int = 1500) -> SquareError:
    """Train ReLU networks on Square over [-1, 1] and return the best, its sup-norm error computed exactly.

    The loss goes from the 2-norm to a high p-norm, which is what the sup norm asks for.
    """
    widths = tuple(widths)
    bound = piecewise_linear_lower_bound(max_pieces(widths))
    grid = torch.linspace(-1, 1, 401, dtype=torch.float64)[:, None]
    best: tuple[Fraction, int] | None = None
    for seed in seeds:
        model = relu_network(widths, seed)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps, eta_min=1e-5)
        for step in range(n_steps):
            p = 2 if step < n_steps // 3 else 8 if step < 2 * n_steps // 3 else 32
            error = (model(grid) - grid**2).abs()
            scale = error.detach().max().clamp_min(1e-12)
            loss = scale * ((error / scale) ** p).mean() ** (1 / p)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        partition = piecewise_linear(model)
        found = (partition.square_error(), partition.n_pieces)
        best = found if best is None or found < best else best
    if best is None:
        raise ValueError("give at least one seed")
    return SquareError(widths, max_pieces(widths), best[1], bound, best[0])


def _is_one_causal_layer(model: nn.Module) -> bool:
    if type(model) is not Transformer or len(model.blocks) != 1 or type(model.blocks[0]) is not TransformerBlock:
        return False
    block = model.blocks[0]
    norms = (block.norm1, block.norm2, model.final_norm)
    attention = block.attention
    if type(attention) is not SoftmaxAttention or attention.mask != "causal" or block.mlp is not None:
        return False
    return all(type(norm) is nn.Identity for norm in norms)


def causal_softmax_error(model: nn.Module, n_rows: int) -> tuple[float, float]:
    """Lower and upper bounds of the sup-norm error at row 0 for Square on [-1, 1], for one causal softmax layer.

    ``model`` maps ``(1, n_rows, 1)`` to the same.  Row 0 is ``a + b u_0``; a and b are enclosed by evaluating at 0 and 1,
    and the error is that of one affine piece.

    Raises:
        ValueError: the model is not one :class:`constructions.models.transformer.SoftmaxAttention` under a causal mask between
            affine maps, so that row 0 need not be affine in u_0.
    """
    if not _is_one_causal_layer(model):
        raise ValueError(
            "expected a constructions.models.transformer.Transformer of depth 1: causal softmax attention, no MLP, no norm; "
            f"row 0 of this {type(model).__name__} need not be affine in its input"
        )
    program = trace(copy.deepcopy(model).double(), (1, n_rows, 1))
    at = [evaluate(program, [[[x]] + [[0]] * (n_rows - 1)])[0, 0, 0] for x in (-1, 0, 1)]
    if not (at[0] - 2 * at[1] + at[2]).contains(0):
        raise ValueError("row 0 is not affine in its input: the model's code is not that of its class")
    a, b = at[1], at[2] - at[1]
    errors = [abs(1 - a - b), abs(1 - a + b)]
    if bool(abs(b) < 2):  # the vertex of the error's parabola lies inside
        errors.append(abs(a + b * b / 4))
    worst = flint.arb(0)
    for error in errors:
        worst = worst.max(error)
    return float(worst.lower()), math.nextafter(float(worst.upper()), math.inf)


def measure_causal_softmax_error(
    width: int, n_heads: int = 1, n_rows: int = 3, seeds: Iterable[int] = range(2), n_steps: int = 300
) -> float:
    """Train one causal softmax layer of this width on Square over [-1, 1]; the least error reached at row 0."""
    best = math.inf
    for seed in seeds:
        with torch.random.fork_rng(devices=[]), single_thread():
            torch.manual_seed(seed)
            model = Transformer(1, 1, width, 1, n_heads=n_heads, mlp="none").double()
            optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps, eta_min=1e-4)
            for _ in range(n_steps):
                u = torch.rand(128, n_rows, 1, dtype=torch.float64) * 2 - 1
                error = (model(u) - u**2).abs()
                scale = error.detach().max()
                loss = scale * ((error / scale) ** 8).mean() ** (1 / 8)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
        best = min(best, causal_softmax_error(model, n_rows)[1])
    return best
