"""One layer of softmax attention is not Square, Multiply or a step of gradient descent (Thm. D.34, Cor. D.32).

The weights of softmax are abstract here: a function that turns scores into numbers that sum to one. The checks evaluate
``attention(scores, values)`` on SymPy expressions, so an attention without the softmax is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import sympy as sp

from precls_theory.registry import Evidence, Refuted, Size, listed, theorem

Attention = Callable[[Sequence[sp.Expr], Sequence[sp.Expr]], sp.Expr]
T = sp.Symbol("t", real=True)


def softmax_attention(scores: Sequence[sp.Expr], values: Sequence[sp.Expr]) -> sp.Expr:
    """``Σ_j exp(s_j) v_j / Σ_j exp(s_j)``: one row of softmax attention that sees the given rows."""
    weights = [sp.exp(score) for score in scores]
    return sp.Add(*(w * v for w, v in zip(weights, values, strict=True))) / sp.Add(*weights)


def raw_attention(scores: Sequence[sp.Expr], values: Sequence[sp.Expr]) -> sp.Expr:
    """``Σ_j s_j v_j``: no softmax, hence no attention of these theorems."""
    return sp.Add(*(s * v for s, v in zip(scores, values, strict=True)))


def row0_output(width: int, attention: Attention, n_rows: int = 2) -> tuple[list[sp.Symbol], list[sp.Expr]]:
    """u_0 and the causal layer's output at row 0, with symbolic query, key, value and output weights and biases."""
    u = sp.Matrix(n_rows, width, lambda n, d: sp.Symbol(f"u_{n}_{d}"))

    def affine(name: str, row: sp.Matrix) -> sp.Matrix:
        weight = sp.Matrix(width, width, lambda i, j: sp.Symbol(f"{name}_{i}_{j}"))
        return row * weight + sp.Matrix(1, width, lambda _, j: sp.Symbol(f"{name}b_{j}"))

    first = u.row(0)
    score = (affine("Q", first) * affine("K", first).T)[0, 0]
    mixed = sp.Matrix(1, width, [attention([score], [value]) for value in affine("V", first)])
    return list(first), list(affine("O", mixed))


def require_flat(second_derivative: sp.Expr, what: str) -> None:
    """Raise :class:`Refuted` unless the expression is identically zero."""
    if sp.simplify(second_derivative) != 0:
        raise Refuted(f"{what} has a nonzero second derivative", {"second derivative": str(second_derivative)[:400]})


def check_row0(width: int, attention: Attention = softmax_attention) -> None:
    """All second derivatives of row 0's output in u_0 vanish, at this width, for every choice of weights."""
    u, output = row0_output(width, attention)
    for channel, value in enumerate(output):
        for i, left in enumerate(u):
            for right in u[i:]:
                require_flat(sp.diff(value, left, right), f"output {channel} of row 0 at width {width}")


def check_row0_every_width(attention: Attention = softmax_attention) -> None:
    """The same without a width: along ``u_0 = p + t w`` every value is α + βt, the one score some s(t)."""
    alpha, beta = sp.symbols("alpha beta", real=True)
    score = sp.Function("s", real=True)(T)
    output = attention([score], [alpha + beta * T])
    require_flat(sp.diff(output, T, 2), "row 0 along a line")


def check_equal_rows(n_rows: int, attention: Attention = softmax_attention) -> None:
    """Any mask, any width, no positions: with all rows equal to p + t w, all scores and all values of a row agree."""
    alpha, beta = sp.symbols("alpha beta", real=True)
    score = sp.Function("s", real=True)(T)
    output = attention([score] * n_rows, [alpha + beta * T] * n_rows)
    require_flat(sp.diff(output, T, 2), f"{n_rows} equal rows along a line")


def mean_bound(n_rows: int, attention: Attention = softmax_attention) -> sp.Expr:
    """M + B − |y| written as a sum of nonnegative terms, for ``|α_j| ≤ M``, ``|β_j t| ≤ B``; refuted if it is not.

    ``y = Σ π_j(t)(α_j + β_j t)`` with arbitrary scores. Substituting exp(s_j) = w_j > 0, ``(M + B) Σw − Σ w_j (α_j +
    β_j t)`` has to be ``Σ w_j ((M − α_j) + (B − β_j t))``, and the same with the other sign.
    """
    bound = sp.Symbol("M", positive=True) + sp.Symbol("B", nonnegative=True)
    scores = sp.symbols(f"s0:{n_rows}", real=True)
    values = sp.symbols(f"v0:{n_rows}", real=True)
    y = attention(scores, values)
    total = sp.Add(*(sp.exp(s) for s in scores))
    for sign in (1, -1):
        gap = sp.Add(*(sp.exp(s) * (bound - sign * v) for s, v in zip(scores, values, strict=True)))
        if sp.simplify((bound - sign * y) * total - gap) != 0:
            raise Refuted("the output is not a convex combination of the values", {"output": str(y)[:400]})
    return bound


def escape(target: sp.Expr) -> sp.Expr:
    """How far the target p(t) = t^n/e − … is above M + Bt, times e > 0, at ``t = 1 + e (M + B + 1 + r)``, r ≥ 0.

    Returned as a polynomial in e, M, B, r whose coefficients are nonnegative and whose constant is positive, so that
    the miss is positive from t = 1 + e (M + B + 1) on; refuted when it is not of this kind.
    """
    m, b, r, e = sp.symbols("M B r e", nonnegative=True)
    bound = m + b * T
    miss = sp.Poly(sp.expand(e * (target - bound)).subs(T, 1 + e * (m + b + 1 + r)), m, b, r, e)
    if any(c < 0 for c in miss.coeffs()) or miss.eval({m: 0, b: 0, r: 0, e: 0}) <= 0:
        raise Refuted(f"{target} does not outgrow {bound}", {"miss": str(miss)})
    return miss.as_expr()


@theorem(
    id="softmax-one-layer-causal",
    title="One causal softmax layer is not Square or Multiply",
    statement=r"\partial^2 y_0 / \partial u_0^2 = 0 \ne 2 = \partial^2 u_0^2 / \partial u_0^2",
    hypotheses=("one layer of causal softmax attention", "any width and number of heads", "equality on any open set"),
    source="Liu et al. 2025, Thm. D.34 and Cor. D.32",
    covers="every width: symbolic weights at widths 1 to 3, and along any line with abstract values for every width; "
    "heads and the residual connection add, and so do their second derivatives",
    controls={
        "attention without the softmax": lambda: check_row0(1, raw_attention),
    },
)
def one_causal_layer(size: Size) -> Evidence:
    """Row 0 attends to itself alone, so it is affine in u_0; Square and Multiply have second derivative 2 on a line."""
    widths = (1, 2, 3)
    for width in widths:
        check_row0(width)
    check_row0_every_width()
    p, q = sp.symbols("p q", real=True)
    square, multiply = sp.diff((p + T) ** 2, T, 2), sp.diff((p + T) * (q + T), T, 2)
    if square != 2 or multiply != 2:
        raise Refuted("the targets are flat", {"square": str(square), "multiply": str(multiply)})
    return Evidence(
        scope=f"Executed: all weights symbols at widths {listed(widths)}, one head; along lines u_0 = p + t w "
        "with scores and values "
        "abstract, which covers every width. Argued: heads and the residual connection add",
        ring="SymPy expressions in the weights, the inputs and exp",
        engine="SymPy",
        detail={"second derivative of row 0": 0, "of Square": int(square), "of Multiply along (1, 1)": int(multiply)},
    )


@theorem(
    id="softmax-one-layer-full",
    title="One softmax layer with any mask is not Square, Multiply or a step of gradient descent",
    statement=r"|y_i(t)| \le M + B|t| \text{ along every ray; the targets are } t^2, t^2, t - \tfrac{\eta}{N} t^3",
    hypotheses=(
        "one layer of softmax attention with any mask under which each row sees a row",
        "any width and number of heads, with or without the residual connection",
        "positions added to the input or acting on the scores",
        "equality on any open set (the layer is analytic)",
    ),
    source="new (the causal single-head case is Liu et al. 2025, Thm. D.34)",
    covers="every width; the convexity identity at 1 to 4 visible rows, whose proof is termwise in the rows",
    controls={
        "attention without the softmax": lambda: check_equal_rows(2, raw_attention),
        "weights that do not sum to one": lambda: mean_bound(2, raw_attention),
        "a target that grows linearly": lambda: escape(T),
    },
)
def one_layer_any_mask(size: Size) -> Evidence:
    """Along ``u = t v`` scores are arbitrary and values are α_j + β_j t, so outputs are bounded by M + B|t|."""
    for n_rows in range(1, 5):
        check_equal_rows(n_rows)
        mean_bound(n_rows)
    e = sp.Symbol("e", nonnegative=True)
    # The ray of the step: one data row a = t e_1, b = 0, the query row x = t e_1, other rows zero; e = N/η (η > 0; for
    # η < 0 change the sign of the step). The misses are those of |step| against the bound.
    step = sp.expand(T - (1 / e) * T * (T * T))
    misses = {"Square, Multiply": str(escape(T**2 / e)), "gradient descent": str(escape(-step))}
    return Evidence(
        scope="Executed: with 1 to 4 visible rows, scores and values abstract, the output is a convex "
        "combination, and affine where "
        "rows are equal; the targets outgrow M + B|t|, M, B and N/η symbols. Argued: more visible rows, for "
        "the proof is termwise; "
        "heads and channels add; analyticity carries an open set to the ray",
        ring="SymPy expressions; nonnegative polynomials in M, B, r",
        engine="SymPy",
        detail={"miss at t = M + B + 1 + r": misses, "gradient descent along the ray": str(step)},
    )
