"""Gates decide: gated MLPs multiply exactly, and with the means of softmax attention run gradient descent (§7)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import partial

import sympy as sp

from constructions.transformers import gated
from constructions.transformers.blocks import GATE_NAMES, EvenPartRemains, require_even_parts_cancel
from constructions.transformers.exact import ExactTransformer
from precls_theory.checking import transformers as claims
from precls_theory.checking.every_value import prove_every_step
from precls_theory.proofs.variants import deaf_to_step, wrong_part, wrong_transformer
from precls_theory.registry import Evidence, Refuted, Size, theorem

STEP_SIZE = Fraction(1, 3)
SMALL = (2, 2)
Z, Y = sp.symbols("z y", real=True)

ACTIVATIONS: dict[str, Callable[[sp.Expr], sp.Expr]] = {
    "swiglu": lambda z: z / (1 + sp.exp(-z)),
    "geglu": lambda z: z * (1 + sp.erf(z / sp.sqrt(2))) / 2,
    "geglu (tanh)": lambda z: z * (1 + sp.tanh(sp.sqrt(2 / sp.pi) * (z + sp.Rational(44715, 10**6) * z**3))) / 2,
    "reglu": lambda z: (z + sp.Abs(z)) / 2,
}
"""SiLU, GELU (erf, and its usual tanh approximation) and ReLU = max(z, 0) as SymPy expressions."""


def require_gate_identity(name: str, activation: Callable[[sp.Expr], sp.Expr]) -> None:
    """Prove ``act(z) y − act(−z) y = z y``; raises :class:`Refuted` with what is left and its value at z = y = 1."""
    left = activation(Z) * Y - activation(-Z) * Y - Z * Y
    if sp.simplify(sp.expand(left.rewrite(sp.exp))) != 0 and sp.simplify(left) != 0:
        value = sp.N(left.subs({Z: 1, Y: 1}))
        raise Refuted(
            f"{name}: act(z)y − act(−z)y is not zy", {"remainder": str(sp.simplify(left)), "at z=y=1": str(value)}
        )


@contextmanager
def even_parts_cancel() -> Iterator[None]:
    """A network through which the even part of an activation passes is no polynomial: :class:`Refuted`."""
    try:
        yield
    except EvenPartRemains as remains:
        raise Refuted(str(remains)) from remains


@theorem(
    id="gate-identities",
    title="Two gated hidden units multiply exactly",
    statement=r"\mathrm{act}(z)\,y - \mathrm{act}(-z)\,y = z\,y",
    hypotheses=("act is SiLU, GELU (erf or tanh form) or ReLU, as in SwiGLU, GEGLU, ReGLU",),
    source="new",
    covers="all real z, y; a bilinear unit is zy itself, the sigmoid gate of a GLU is shown not to satisfy it",
    controls={
        "the gate of a sigmoid GLU": lambda: require_gate_identity("sigmoid", lambda z: 1 / (1 + sp.exp(-z))),
    },
)
def gate_identities(size: Size) -> Evidence:
    """Each activation is z/2 plus an even function."""
    for name, activation in ACTIVATIONS.items():
        require_gate_identity(name, activation)
    for z in (sp.Symbol("z", nonnegative=True), sp.Symbol("z", negative=True)):
        if sp.simplify(ACTIVATIONS["reglu"](z) - sp.Max(z, 0)) != 0:
            raise Refuted("(z + |z|)/2 is not max(z, 0)", {"z": str(z.assumptions0)})
    try:
        require_gate_identity("sigmoid GLU", lambda z: 1 / (1 + sp.exp(-z)))
    except Refuted:
        pass
    else:
        raise Refuted("the sigmoid gate satisfies the identity, against the bounded-gate impossibility")
    return Evidence(
        scope="Executed: z and y real symbols, each activation as a formula; that the sigmoid gate of a GLU is none of them. "
        "Argued: that PyTorch's activations are these formulas, up to rounding",
        ring="SymPy expressions",
        engine="SymPy",
        detail={"activations": list(ACTIVATIONS)},
    )


@theorem(
    id="gated-multiply",
    title="One gated MLP is Multiply (and Square), with two hidden units",
    statement=r"u_n[r] \leftarrow u_n[p]\, u_n[q] \text{ at every row } n",
    hypotheses=("SwiGLU, GEGLU, ReGLU or bilinear MLP with a residual connection", "no norm before the MLP"),
    source="new",
    covers="symbolic entries at 3 rows, 4 channels; any activation with odd part z/2, its even part uninterpreted",
    controls={
        "a weight of a bilinear MLP off by 1/3": lambda: claims.verify_multiply(
            wrong_transformer(gated.multiply(n_rows=2, n_channels=3, left=0, right=1, target=2, gate="bilinear")),
            3,
            0,
            1,
            2,
        ),
        "a weight of the MLP off by 1/3": {"build": wrong_part(gated.multiply)},
    },
)
@even_parts_cancel()
def multiply(size: Size, build: Callable[..., ExactTransformer] = gated.multiply) -> Evidence:
    """The even part cancels on the weights; what remains is a polynomial identity."""
    for gate in GATE_NAMES:
        for left, right, target in ((0, 1, 2), (1, 1, 0), (0, 1, 0)):
            net = build(n_rows=3, n_channels=4, left=left, right=right, target=target, gate=gate)
            ring = claims.verify_multiply(net, 4, left, right, target, name=f"Multiply with {gate}")
        add = build(n_rows=1, n_channels=3, left=0, right=1, target=2, gate=gate, clear=False)
        if add.hidden != (1 if gate == "bilinear" else 2):
            raise Refuted(f"{gate} takes {add.hidden} hidden units for a product")
    scope = (
        "Executed: 3 rows, 4 channels, three choices of channels, every gate, every input a symbol, the even part of the "
        "activation uninterpreted. Argued: other channels and rows, for the block acts row by row"
    )
    return Evidence(scope=scope, ring=ring, engine="python-flint", detail={"gates": list(GATE_NAMES)})


@theorem(
    id="gated-gradient-descent",
    title="Softmax attention that takes means, with gated MLPs and no norm, runs gradient descent",
    statement=r"x_{k} = x_{k-1} - \tfrac{\eta}{N}(G x_{k-1} - c) \text{ at the last row, in } k+1 \text{ blocks}",
    hypotheses=("layout E: [x_init, 0] is the last row", "SwiGLU, GEGLU, ReGLU or bilinear MLPs", "no norm layers"),
    source="new",
    covers="symbolic entries at N=D=2, k = 1, 2, causal and full masks, every gate; every η by a symbol "
    "through the builder; the given size modulo a prime",
    controls={
        "a weight of the MLP off by 1/3": {"build": wrong_part(gated.gradient_descent)},
        "a weight of a bilinear MLP off by 1/3, by residues alone": lambda: claims.verify_descent_residues(
            wrong_transformer(gated.gradient_descent(n_points=2, n_dims=2, step_size=STEP_SIZE, gate="bilinear")),
            2,
            2,
            1,
            STEP_SIZE,
        ),
        "a step size of 1/3 whatever is asked for": {"build": deaf_to_step(gated.gradient_descent, STEP_SIZE)},
    },
)
@even_parts_cancel()
def gradient_descent(size: Size, build: Callable[..., ExactTransformer] = gated.gradient_descent) -> Evidence:
    """Zero scores weigh each visible row equally, so attention is rational; then polynomial identities."""
    n, d = SMALL
    chances = []
    for gate in GATE_NAMES:
        for mask in ("causal", "full"):
            for k in (1, 2):
                net = build(
                    n_points=n, n_dims=d, n_steps=k, step_size=STEP_SIZE, gate=gate, mask=mask
                )  # fmt: skip
                ring = claims.verify_descent_polynomials(net, n, d, k, STEP_SIZE, f"{gate}, {mask} mask, k={k}")
        large = build(n_points=size.n_points, n_dims=size.n_dims, n_steps=3, step_size=STEP_SIZE, gate=gate)
        for block in large.blocks:
            if gate != "bilinear" and block.mlp:
                require_even_parts_cancel(block.mlp)
        chances.append(
            claims.verify_descent_residues(large, size.n_points, size.n_dims, 3, STEP_SIZE, failure_log2=-63.0)
        )
    for gate in GATE_NAMES:
        prove_every_step(partial(build, gate=gate), n, d, 2)
    return Evidence(
        scope=f"Executed: N={n}, D={d}, k = 1, 2, every gate and mask, A, b, x_init symbols, and η a symbol through the builder; "
        f"N={size.n_points}, D={size.n_dims}, k = 3 by residues, every gate. Argued: other k, for the builder repeats its block; "
        "other N and D",
        ring=ring,
        engine="python-flint",
        failure_probability_log2=math.log2(sum(2.0**chance for chance in chances)),
        detail={"depth": large.depth, "width": large.width, "hidden units (bilinear)": large.hidden},
    )
