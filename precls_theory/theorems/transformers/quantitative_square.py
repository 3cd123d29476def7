"""Lower bounds for the sup-norm error of Square on [-1, 1]: p affine pieces, and one causal softmax layer."""

from __future__ import annotations

from fractions import Fraction

import flint
import sympy
import torch

from constructions.models.transformer import SoftmaxAttention
from precls_theory.expressivity.balls.evaluator import Evaluator
from precls_theory.expressivity.quantitative import (
    Partition,
    best_partition,
    max_pieces,
    piecewise_linear,
    piecewise_linear_lower_bound,
    relu_network,
)
from precls_theory.expressivity.tracing.trace import trace
from precls_theory.registry import Evidence, Refuted, Size, theorem
from precls_theory.theorems.transformers.softmax_one_layer import check_row0_every_width, raw_attention


def require_second_difference(power: int = 2) -> None:
    """``e(c-r) - 2e(c) + e(c+r) = 2r²`` for ``e(x) = x² - a - bx``: hence ``max|e| ≥ r²/2`` at radius r."""
    a, b, c, r = sympy.symbols("a b c r")

    def error(x: sympy.Expr) -> sympy.Expr:
        return x**power - a - b * x

    rest = sympy.expand(error(c - r) - 2 * error(c) + error(c + r) - 2 * r**2)
    if rest != 0:
        raise Refuted(f"the second difference is not 2r²: {rest} is left", {"left": str(rest)})


def require_reached(value: float) -> None:
    """A causal layer all of whose weights are zero but the output bias is that constant, and misses Square by 1/2.

    The module is run; the error of the constant is exact. Raises :class:`Refuted`.
    """
    layer = SoftmaxAttention(4, 2, "causal").double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.out_proj.bias.fill_(value)
        output = layer(torch.linspace(-1, 1, 24, dtype=torch.float64).reshape(2, 3, 4))
    if set(output.flatten().tolist()) != {value}:
        raise Refuted("constant weights do not give a constant")
    constant = Partition((Fraction(-1), Fraction(1)), ((Fraction(value), Fraction(0)),))
    require_error(constant, Fraction(1, 2), exactly=True)


def require_error(partition: Partition, bound: Fraction, exactly: bool = False) -> None:
    """The exact error of a piecewise affine function is at least the bound (equal to it if ``exactly``)."""
    error = partition.square_error()
    if error < bound or (exactly and error != bound):
        raise Refuted(f"error {error} against the bound {bound} for {partition.n_pieces} pieces")


@theorem(
    id="square-piecewise-linear",
    title="Square by p affine pieces: the error is at least 1/(2p²), and that is reached",
    statement=r"\inf_f \sup_{|x|\le 1} |f(x)-x^2| = \frac{1}{2p^2}\ "
    r"\text{ over } f \text{ with at most } p \text{ affine pieces}",
    hypotheses=("pieces are intervals; f may be discontinuous, its knots free",),
    source="new (classical free-knot argument)",
    covers="every p by the second difference and the pigeonhole principle; tightness for p = 1..32 by exact "
    "evaluation; Π(w_i + 1) pieces for ReLU networks, run on networks",
    controls={
        "an error below the bound": lambda: require_error(best_partition(3), Fraction(1, 17)),
        "a cube for the square": lambda: require_second_difference(power=3),
    },
)
def square_piecewise_linear(size: Size) -> Evidence:
    """The identity, the extremal functions, and exact errors of random ReLU networks against the bound."""
    require_second_difference()
    for p in range(1, 33):
        partition = best_partition(p)
        if partition.n_pieces != p:
            raise Refuted(f"the extremal function for p = {p} has {partition.n_pieces} pieces")
        require_error(partition, piecewise_linear_lower_bound(p), exactly=True)
    networks = [relu_network(widths, seed) for widths in ((1,), (4,), (3, 3), (2, 2, 2)) for seed in range(3)]
    for widths, network in zip([w for w in ((1,), (4,), (3, 3), (2, 2, 2)) for _ in range(3)], networks, strict=True):
        partition = piecewise_linear(network)
        if partition.n_pieces > max_pieces(widths):
            raise Refuted(f"{partition.n_pieces} pieces for hidden widths {widths}, more than {max_pieces(widths)}")
        require_error(partition, piecewise_linear_lower_bound(partition.n_pieces))
    return Evidence(
        "Executed: the second difference, a, b, c, r symbols; the extremal functions and their exact errors "
        "for p = 1..32; the pieces "
        f"and exact errors of {len(networks)} random ReLU networks. Argued: the pigeonhole principle (one of "
        "p pieces is 2/p long), "
        "tightness for p > 32",
        "Q", "SymPy, exact rational pieces", {"networks": len(networks)},
    )  # fmt: skip


@theorem(
    id="square-one-causal-softmax-layer",
    title="One causal softmax layer misses Square by at least 1/2 on [-1, 1]",
    statement=r"\sup_{\|u\|_\infty\le 1}|F(u)_0-u_0^2|\ge\tfrac12,\ \text{ and constant weights reach } \tfrac12",
    hypotheses=("one causal softmax layer with affine projections, any width, heads, positions on the scores",),
    source="new; Thm. D.34 of Liu et al. 2025, made quantitative",
    covers="every width and weight: softmax of one score is 1 identically, so row 0 is an affine map of u_0, to which "
    "the bound for one piece applies; second derivatives of random layers are also enclosed and found to be 0",
    controls={
        "a cube for the square": lambda: require_second_difference(power=3),
        "the constant 1/3": lambda: require_reached(1 / 3),
        "attention without the softmax": lambda: check_row0_every_width(raw_attention),
    },
)
def square_one_causal_softmax_layer(size: Size) -> Evidence:
    """softmax of a single score is 1, and jets of row 0 of random layers have no second-order term."""
    check_row0_every_width()
    require_second_difference()
    require_reached(0.5)
    largest = 0.0
    point = [[[1, 2, -1, 3], [0, 1, 1, -2], [2, -1, 0, 1]]]
    direction = [[[1, -2, 3, 1], [1, 0, 2, -1], [-1, 1, 1, 2]]]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for n_heads, positions in ((1, "none"), (2, "alibi"), (2, "rotary")):
            layer = SoftmaxAttention(4, n_heads, "causal", positions).double()  # type: ignore[arg-type]
            with flint.ctx.workprec(128):
                jet = Evaluator(trace(layer, (1, 3, 4)), 2)(point, direction)
                row0, row2 = jet.coefficients[2][0, 0], jet.coefficients[2][0, 2]
                if not all(bool(c.contains(0)) and float(c.abs_upper()) < 1e-30 for c in row0):
                    raise Refuted("row 0 has a second derivative", {"row 0": [str(c) for c in row0]})
                largest = max(largest, *(float(c.abs_upper()) for c in row2))
    if largest < 1e-6:
        raise Refuted("the check is vacuous: the last row has no second derivative either")
    return Evidence(
        "Executed: row 0 along any line, scores and values abstract, is affine; an affine function misses "
        "Square by 1/2, and by no "
        "less; constant weights, run, give the constant 1/2, whose exact error is 1/2; second derivatives of "
        "row 0 of three random "
        "layers enclosed. Argued: heads and channels add",
        "Q, Arb balls for the examples",
        "SymPy, python-flint",
    )
