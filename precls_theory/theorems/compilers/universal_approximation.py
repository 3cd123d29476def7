"""Universal approximation with explicit constants for analytic functions, and 1/x by Newton's iteration."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import sympy as sp

import constructions as C
from constructions.approximation.approximate import INTERPOLATION_SHARE
from constructions.approximation.ball_functions import BallFunction
from constructions.approximation.chebyshev_network import Approximation
from constructions.approximation.ellipses import best_ellipse
from precls_theory.approximation.error import NoSeriesError, chebyshev_error, taylor_error
from precls_theory.approximation.gallery import GALLERY
from precls_theory.proofs.parameters import Symbols
from precls_theory.proofs.symbolic import require_equal
from precls_theory.proofs.variants import Build, hard_coded, last_weight, wrong
from precls_theory.registry import Evidence, Refuted, Size, theorem

X = sp.Symbol("x")


def small_sine() -> Approximation:
    """sin on [−1, 1] to 1/10, for the controls."""
    network = C.approximate([sp.sin(X)], {X: (-1, 1)}, Fraction(1, 10))
    assert isinstance(network, Approximation)
    return network


def wrong_sine() -> Approximation:
    """The same with one weight changed."""
    network = last_weight(small_sine())
    assert isinstance(network, Approximation)
    return network


def least_depth(degree: int, n_variables: int) -> int:
    """max(1, ⌈log2 d⌉) for one variable and ⌈log2 d⌉ + ⌈log2 n⌉ for more."""
    return max(1, (degree - 1).bit_length() + (n_variables - 1).bit_length())


def check_approximation(network: Approximation, functions: list[sp.Expr], tolerance: Fraction) -> dict[str, object]:
    """Prove from the weights that ``network`` is within its error bound of ``functions``, in the depth of the theorem.

    Raises :class:`Refuted` when the bound is above the tolerance, when the weights do not prove it, or when the network
    is deeper than ⌈log2 d⌉ + ⌈log2 n⌉.
    """
    name = "; ".join(map(str, functions))
    if network.error_bound > tolerance:
        raise Refuted(f"{name}: the bound {float(network.error_bound):.6g} is above {float(tolerance):.6g}")
    proved = chebyshev_error(network, functions)
    if proved > network.error_bound:
        raise Refuted(
            f"{name}: the bound is {float(network.error_bound):.6g}, and the weights prove only {float(proved):.6g}",
            {"function": name, "claimed": str(network.error_bound), "proved": str(proved)},
        )
    detail: dict[str, object] = {
        "degree": network.degree, "depth": network.depth, "width": network.width,
        "error_bound": float(network.error_bound), "from_the_weights": float(proved),
    }  # fmt: skip
    if len(functions) == 1 and len(network.inputs) == 1:
        try:
            taylor = taylor_error(network, functions[0])
        except NoSeriesError:
            taylor = None
        if taylor is not None:
            detail["by_taylor_expansions"] = float(taylor)
            if taylor > network.error_bound:
                claimed = float(network.error_bound)
                raise Refuted(f"{name}: the bound is {claimed:.6g}, Taylor expansions prove only {float(taylor):.6g}")
    depth = least_depth(network.degree, len(network.inputs))
    if network.depth > depth or (len(network.inputs) == 1 and network.depth != depth):
        raise Refuted(f"{name}: depth {network.depth} for degree {network.degree}, expected {depth}")
    return detail


@theorem(
    id="universal-approximation",
    title="Analytic functions, with explicit constants",
    statement=r"|f| \le M \text{ on } E_\rho \;\Rightarrow\; \exists\, p,\ \deg p \le d = "
    r"\left\lceil \log_\rho \tfrac{4M}{(\rho-1)\varepsilon} \right\rceil : \|f - p\|_\infty \le \varepsilon, "
    r"\quad p \text{ is a BaseConv network of } \max(1, \lceil \log_2 d \rceil) \text{ layers}; "
    r"\quad n \text{ variables: } \lceil \log_2 d \rceil + \lceil \log_2 n \rceil",
    hypotheses=(
        "f is real on the box and analytic on the closed Bernstein ellipse E_rho, rho > 1, in each variable, the "
        "others real in their intervals",
        "|f| <= M there",
        "n <= 3 variables; d is the largest degree in one variable",
        "n > 1: errors of the variables add up, multiplied by 1 + (2/pi) log(d+1) for each variable before",
    ),
    source="Thm. 4.2, Props. D.43 and D.44 of Liu et al. 2025, there for smooth f; constants: Trefethen, Thm. 8.2",
    covers="exp, sin, exp(sin 3x), the Runge function, GELU, 1/x, Franke's function, softmax of three logits: error "
    "and depth of each network proved from its weights (in one variable twice, in independent ways); degree at most d",
    controls={
        "a weight off by 1/3": lambda: check_approximation(wrong_sine(), [sp.sin(X)], Fraction(1, 10)),
        "another function": lambda: check_approximation(small_sine(), [sp.cos(X)], Fraction(1, 10)),
        "a bound below the error": lambda: check_approximation(small_sine(), [sp.sin(X)], Fraction(1, 10**9)),
    },
)
def universal_approximation(size: Size) -> Evidence:
    detail: dict[str, object] = {}
    for name, entry in GALLERY.items():
        network = C.approximate(list(entry.expressions), entry.domain, entry.tolerance)
        detail[name] = check_approximation(network, list(entry.expressions), entry.tolerance)
        if len(entry.domain) == 1:
            check_degree(network, entry.expressions[0], entry.tolerance)
    return Evidence(
        scope=f"Executed: {len(GALLERY)} functions of one to three variables, on the whole of their domains: error and depth of "
        "each network from its weights, its degree against the theorem's. Argued: the bound for every f (Trefethen, Thm. 8.2), "
        "of which these are instances",
        ring="Arb balls over Q",
        engine="python-flint",
        detail=detail,
    )


def check_degree(network: Approximation, function: sp.Expr, tolerance: Fraction) -> None:
    """The network's degree is at most that of the theorem, for some rho and M proved by balls."""
    (variable,) = function.free_symbols
    share = tolerance * INTERPOLATION_SHARE
    assert network.task.domain is not None  # type: ignore[attr-defined]
    ellipse = best_ellipse(BallFunction(function, [variable]), network.task.domain, 0, share)  # type: ignore[attr-defined]
    degree = ellipse.degree_for(tolerance)
    while ellipse.error(degree) > tolerance:
        degree += 1
    if network.degree > degree:
        raise Refuted(
            f"{function}: degree {network.degree}, the theorem needs {degree}",
            {"rho": str(ellipse.rho), "M": str(ellipse.maximum), "degree": network.degree, "bound": degree},
        )


@theorem(
    id="reciprocal-newton",
    title="1/x by Newton's iteration",
    statement=r"y_0 = \frac{8(a+b-x)}{a^2+6ab+b^2},\ y_{t+1} = y_t(2 - x y_t): \quad \max_{[a,b]} |1/x - y_t| = "
    r"\tfrac1a q^{2^t}, \quad q = \frac{(b-a)^2}{a^2+6ab+b^2}, \quad t+1 \text{ layers, the least possible}",
    hypotheses=("0 < a < b", "t >= 0"),
    source="new",
    covers="all x and all 0 < a < b, as identities and by symbols through the builder; the induction step on t",
    controls={
        "a weight off by 1/3": {"build": wrong(C.reciprocal, last_weight)},
        "the interval [1, 2] whatever is asked for": {"build": hard_coded(C.reciprocal, low=1, high=2)},
        "a residual that is cubed": lambda: prove_reciprocal(1, square=3),
    },
)
def reciprocal_newton(size: Size, build: Build = C.reciprocal) -> Evidence:
    """x y_0 lies in [1 − q, 1 + q], as a square and as a product that is nonnegative; 1 − x y_{t+1} = (1 − x y_t)²."""
    a, b, x, y = sp.symbols("a b x y", positive=True)
    scale = a**2 + 6 * a * b + b**2
    q, start = (b - a) ** 2 / scale, 8 * (a + b - x) / scale
    identities = {
        "1 + q - x y_0 is a square": (1 + q - x * start) * scale - 8 * (x - (a + b) / 2) ** 2,
        "x y_0 - (1 - q) vanishes at the ends": (x * start - 1 + q) * scale - 8 * (x - a) * (b - x),
        "the residual is squared": 1 - x * (y * (2 - x * y)) - (1 - x * y) ** 2,
    }
    for name, expression in identities.items():
        if sp.expand(sp.simplify(expression)) != 0:
            raise Refuted(f"{name}: the difference is {sp.factor(expression)}", {"identity": name})
    for n_iters in range(4):
        prove_reciprocal(n_iters, build)
    t = sp.Symbol("x")
    for low, high in ((1, 2), (Fraction(1, 7), 3), (5, 6)):
        for n_iters in range(5):
            network = build(low=low, high=high, n_iters=n_iters)
            assert isinstance(network, Approximation)
            (polynomial,) = (sp.sympify(value) for value in network.evaluate(np.array([[t]], dtype=object))[0])
            degree = int(sp.degree(sp.expand(polynomial), t))
            if network.depth != n_iters + 1 or degree != 2 ** (n_iters + 1) - 1 or network.degree != degree:
                raise Refuted(f"{n_iters} iterates: depth {network.depth}, degree {degree}", {"n_iters": n_iters})
            attained = abs(1 / Fraction(low) - Fraction(str(sp.Poly(polynomial, t).eval(sp.Rational(str(low))))))
            if attained != network.error_bound:
                raise Refuted(f"{n_iters} iterates: the error at {low} is {attained}, not {network.error_bound}")
    return Evidence(
        scope="Executed: the bounds of x y_0 and the squaring of the residual, a, b, x, y symbols; the networks for t = "
        "0..3 with a and b symbols through the builder (0 < a < b as their order alone): "
        "x y_t = 1 - (1 - x y_0)^(2^t) and the recorded bound; "
        "depth, degree and the attained bound on [1, 2], [1/7, 3], [5, 6] for t = 0..4. Argued: other t, by the squaring; that "
        "t + 1 layers are the least, by depth-lower-bound",
        ring="Q(a, b)[x]", engine="SymPy; python-flint",
    )  # fmt: skip


def prove_reciprocal(n_iters: int, build: Build = C.reciprocal, square: int = 2) -> None:
    """``x y_t = 1 − (1 − x y_0)^(2^t)`` and the recorded bound ``q^(2^t)/a``, a and b symbols. ``square`` is the 2."""
    symbols = Symbols(a=1, b=2)
    a, b = symbols["a"], symbols["b"]
    network = build(low=a, high=b, n_iters=n_iters)
    v = symbols.variables(x=(1, 1))
    x = v["x"]
    output = network.evaluate(x, v.ring)[:, list(network.task.columns)]
    residual = v.constant(1) - x * v.constant(8 / (a * a + 6 * a * b + b * b)) * (v.constant(a + b) - x)
    for _ in range(n_iters):
        residual = np.prod(np.stack([residual] * square), axis=0)
    require_equal(x * output, v.constant(1) - residual, "x y_t = 1 − (1 − x y_0)^(2^t)", v.ring)
    q = (b - a) ** 2 / (a * a + 6 * a * b + b * b)
    assert isinstance(network, Approximation)
    require_equal(v.constant(network.error_bound), v.constant(q ** (2**n_iters) / a), "the recorded bound", v.ring)
