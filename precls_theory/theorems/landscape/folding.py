r"""Weights that only ever act multiplied: folding them loses no local minimum, and gains none.

A trained layer has In, a filter, Gate and Out; its units enter the loss through products. Two lemmas, for every size.

**Fold.** Let L(z, ab) be a loss in which the weights a ∈ R, b ∈ R^m act through ab only (filter tap and In at one row).
Then (a, b) ↦ ab is open at every point with a ≠ 0, and at a = 0, b = 0; at those points (z, a, b) is a local minimum
exactly when (z, ab) is one of the folded loss. *Proof.* Open and continuous maps carry local minima both ways. At a ≠ 0
b alone covers a neighbourhood; at (0, 0) so do small a and b. ∎ For m = 1 these and b ≠ 0 are all the points. A
stationary point with a = b = 0 that is not one of the folded loss (∂_cL ≠ 0) has the Hessian block
[[0, ∂_c L], [∂_c L, 0]]: a strict saddle.

**Out.** Let M_c = Σ_h o_{ch} p_h ⊗ q_h be the outputs of a layer of any number of outputs, rows, channels and units (p_h the
convolved factor, q_h the gate), the loss F(M) convex, S = F'(M). *A stationary point at which some unit has o_{·h} = 0 is a
saddle, unless S pairs with every p ⊗ q to zero, in which case the loss is least.* So at a spurious local minimum
every unit has a nonzero Out. *Proof.* Write S_c(p, q) for the pairing. Second derivatives at o_h = 0 are 0 in (p_h, q_h)
and S_c(δp, q_h), S_c(p_h, δq) against o_{ch}: if one is not 0, [[*, v], [v, 0]] is indefinite: a strict saddle. If all
are 0, choose c, a, b with S_c(a, b) = s ≠ 0 and let f = F''(p_h ⊗ q_h) ≥ 0 be the second derivative in o_c: along
``o_{ch} = δt², p_h + ta, q_h + tb`` the loss is ``L_0 + (δs + δ²f/2) t⁴ + O(t⁵)``, and δ small of the sign of −s makes it
negative: a degenerate saddle of order at most four. ∎

Hence the classification of a one-output layer with Out folded into In (o ≠ 0) has all local minima of the layer.
"""

from __future__ import annotations

from fractions import Fraction

import flint
import numpy as np
import sympy

from precls_theory.proofs.symbolic import array_of, flint_variables, require_equal
from precls_theory.registry import Evidence, Refuted, Size, theorem

a, b, c, z = sympy.symbols("a b c z")
HALF = Fraction(1, 2)


def prove_fold_block() -> None:
    """The Hessian block of L(z, ab) in (a, b) at a = b = 0, for a generic L of degree 4."""
    coefficients = sympy.symbols("l_:4_:4")
    loss = sum(coefficients[4 * i + j] * z**i * c**j for i in range(4) for j in range(4))
    folded = loss.subs(c, a * b)
    slope = sympy.diff(loss, c).subs(c, 0)
    block = sympy.hessian(folded, (a, b)).subs({a: 0, b: 0})
    if (block - sympy.Matrix([[0, slope], [slope, 0]])).applyfunc(sympy.expand) != sympy.zeros(2, 2):
        raise Refuted(f"the block is {block}")


def prove_out(rows: int, columns: int, power: int = 2, pairing_vanishes: bool = True) -> None:
    """Along the curve of the Out lemma the loss changes first at order four, by ``δ S(a, b) + δ² F''(pq, pq)/2``.

    F is a generic quadratic in M ∈ R^{rows × columns} with slopes S and second derivatives F; p = q = e_0 (coordinates
    can be chosen so), and S(·, q) = S(p, ·) = 0 means that the first row and column of S are zero.
    """
    size = rows * columns
    v = flint_variables(S=(rows, columns), F=(size, size), a=(rows,), b=(columns,), delta=(1,), t=(1,))
    first = [v.constant(1) if i == 0 else v.zeros(1) for i in range(max(rows, columns))]
    left = np.concatenate([first[i] + v["t"] * v["a"][i : i + 1] for i in range(rows)])
    right = np.concatenate([first[j] + v["t"] * v["b"][j : j + 1] for j in range(columns)])
    factor = v["delta"]
    for _ in range(power):
        factor = factor * v["t"]
    move = (left[:, None] * right[None] * factor).reshape(-1)
    S = v["S"].copy()
    if pairing_vanishes:
        S[0, :] = v.zeros(columns)
        S[:, 0] = v.zeros(rows)
    change = np.add.reduce(S.reshape(-1) * move)
    for i in range(size):
        for j in range(size):
            change = change + v["F"][min(i, j), max(i, j)] * move[i] * move[j] * v.constant(HALF)[0]
    pairing = np.add.reduce((S * v["a"][:, None] * v["b"][None]).reshape(-1))
    delta = v["delta"][0]
    expected = delta * pairing + delta * delta * v["F"][0, 0] * v.constant(HALF)[0]
    context = change.context()
    place = list(context.names()).index("t_0")
    parts: dict[int, dict[tuple[int, ...], flint.fmpq]] = {}
    for monomial, coefficient in change.to_dict().items():
        exponents = tuple(map(int, monomial))
        parts.setdefault(exponents[place], {})[(*exponents[:place], 0, *exponents[place + 1 :])] = coefficient
    for order, wanted in ((1, expected * 0), (2, expected * 0), (3, expected * 0), (4, expected)):
        found = context.from_dict(parts.get(order, {}))
        require_equal(array_of([found], (1,)), array_of([wanted], (1,)), f"order {order} of the loss", v.ring)


def prove_block() -> None:
    """[[x, v], [v, 0]] has determinant −v²."""
    x, v = sympy.symbols("x v")
    if sympy.Matrix([[x, v], [v, 0]]).det() != -(v**2):
        raise Refuted("determinant")


@theorem(
    id="landscape-folding",
    title="Folding filter, In and Out keeps all local minima; a unit with Out = 0 is at a saddle",
    statement=r"o_{\cdot h}=0,\ \nabla L=0,\ L>\min L\ \Rightarrow\ \text{a saddle, of order at most }4",
    hypotheses=("the loss is convex in the outputs' coefficients M",),
    source="new",
    covers="every size, argued in the module; the expansions executed for generic quadratics F on R^{2×2}, R^{2×3}, R^{3×3}",
    controls={
        "Out moved at order one": {"power": 1},
        "points where S does not vanish on the unit": {"pairing_vanishes": False},
    },
)
def folding(size: Size, power: int = 2, pairing_vanishes: bool = True) -> Evidence:
    prove_fold_block()
    prove_block()
    for rows, columns in ((2, 2), (2, 3), (3, 3)):
        prove_out(rows, columns, power, pairing_vanishes)
    return Evidence(
        "executed: the Hessian block of a fold for a generic polynomial of degree 3 in each of two variables; the fourth "
        "order along the curve for generic quadratics on R^{2×2}, R^{2×3}, R^{3×3}. Argued: openness, every size",
        "Q[F, S, a, b, δ, t]",
        "python-flint; SymPy for the block",
    )
