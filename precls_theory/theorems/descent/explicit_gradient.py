"""The gradient of least squares in two layers, at the last row of the paper's layout, and in no fewer."""

from __future__ import annotations

from fractions import Fraction

import constructions as C
from precls_theory.proofs.induction import RegressionSymbols
from precls_theory.proofs.symbolic import MakeVariables, apply, flint_variables, require_equal, sympy_variables
from precls_theory.proofs.variants import Build, last_weight, late_row, wrong
from precls_theory.registry import Evidence, Refuted, Size, theorem


def prove_gradient(network: C.Network, make: MakeVariables = flint_variables) -> None:
    """On symbolic A, b and x the decoded output is ``(1/N) Σ_n (a_n·x − b_n) a_n``. Raises :class:`Refuted` otherwise."""
    p = RegressionSymbols.of(network, make)
    A, b, x = (p.variables[name] for name in ("A", "b", "x"))
    n_points = p.variables.constant(Fraction(1, len(b)))
    residuals = apply(A[:, :, None], x[:, None])[:, 0] - b
    expected = apply(A.T[:, :, None], residuals[:, None])[:, 0]
    computed = network.decode(network.evaluate(p.u, p.variables.ring))
    require_equal(computed, n_points * expected, "the gradient at the last row", p.variables.ring)


def require_two_layers(network: C.Network) -> None:
    """The gradient has degree 3 in (A, x), and a layer at most doubles the degree: one layer is not enough."""
    if network.depth != 2:
        raise Refuted(f"the network has {network.depth} layers, expected 2")


@theorem(
    id="explicit-gradient",
    title="The gradient of least squares in two layers",
    statement=r"g(x)=\tfrac1N\sum_n (a_n\cdot x-b_n)\,a_n \text{ at the last row of layout S, in two layers and in no fewer}",
    hypotheses=("N, D >= 1", "read at the last row alone"),
    source="Liu et al. 2025, §4 (task explicit_gradient); new in two layers without a mask",
    covers="the whole network at the given N and D, with A, b and x_init as symbols",
    controls={
        "the last weight off by 1/3": {"build": wrong(C.explicit_gradient, last_weight)},
        "the first filter a row late": {"build": wrong(C.explicit_gradient, late_row)},
        "three layers": lambda: require_two_layers(
            C.gradient_descent(n_points=2, n_dims=2, n_steps=1, step_size=1, layout="S")
        ),
    },
)
def explicit_gradient(size: Size, build: Build = C.explicit_gradient) -> Evidence:
    network = build(n_points=size.n_points, n_dims=size.n_dims)
    prove_gradient(network)
    require_two_layers(network)
    prove_gradient(build(n_points=2, n_dims=2), sympy_variables)
    return Evidence(
        f"executed: N={size.n_points}, D={size.n_dims}, all of A, b, x_init symbolic, through encode and decode, depth 2; "
        "argued: one layer is not enough, since its output has degree at most 2 and the gradient has degree 3",
        "Q[A, b, x_init]", "python-flint; SymPy at N=D=2",
    )  # fmt: skip
