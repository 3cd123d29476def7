"""A-priori rounding bounds: k steps of gradient descent in floating point, in Gram and doubling form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import sympy
import torch

import constructions as C
from constructions.algebra.filters import DELTA
from constructions.algorithms.descent.gradient_descent import DescentForm
from constructions.lowering.plan import BlockPlan, Constants, plan_network
from constructions.networks.layer import Layer, SparseMap
from constructions.networks.network import Network
from constructions.slicing.digits import dyadic
from precls_theory.precision import apriori
from precls_theory.proofs.induction import Claims, RegressionSymbols, content, prove_base, prove_layer
from precls_theory.proofs.symbolic import apply, compose, flint_variables, mirror, parameters_of
from precls_theory.registry import Evidence, Refuted, Size, theorem

# --- How many roundings there are on a path -----------------------------------------------------------------------


def weight_roundings(weight: Fraction) -> int:
    """Of a weight and the product with it: none where it is a power of two, else two."""
    parts = dyadic(weight)
    return 0 if parts and abs(parts[0]) == 1 else 2


def source_roundings(plan: BlockPlan) -> np.ndarray:
    """Of each filtered channel: those of its sum over the rows held."""
    found = np.zeros(plan.sources.size, dtype=int)
    for (filter, constant), places in plan.sources.members.items():
        if constant or filter == DELTA:
            continue
        taps = [tap for tap in filter.taps(plan.context.n_rows) if tap]
        for number in places.values():
            found[number] = max(map(weight_roundings, taps)) + min(len(taps), len(plan.context.held)) - 1
    return found


def block_roundings(plan: BlockPlan) -> dict[str, int]:
    """The most roundings from what a block reads to each of its outputs, by the family of the output."""
    sources = source_roundings(plan)

    def affine(
        n_out: int, entries: Mapping[tuple[int, int], Fraction], constants: Constants, read: Sequence[int] | np.ndarray
    ) -> tuple[list[int], list[int]]:
        deepest, terms = [0] * n_out, [0] * n_out
        for (row, column), weight in entries.items():
            deepest[row] = max(deepest[row], int(read[column]) + weight_roundings(weight))
            terms[row] += 1
        for row, items in constants.items():
            deepest[row] = max(deepest[row], 0 if sum(number for _, number in items).denominator == 1 else 1)
            terms[row] += 1
        return deepest, terms

    def sums(found: tuple[list[int], list[int]]) -> list[int]:
        return [deepest + max(0, terms - 1) for deepest, terms in zip(*found, strict=True)]

    conv = sums(affine(plan.n_units, plan.conv.weights, plan.conv.constants, sources))
    gate = sums(affine(plan.n_units, plan.gate.weights, plan.gate.constants, sources))
    # errors of both factors count: relative perturbations multiply
    product = [left + right + 1 for left, right in zip(conv, gate, strict=True)]
    linear = affine(plan.n_computed, plan.linear, plan.constants, sources)
    mixed = affine(plan.n_computed, plan.mix, {}, product)
    whole = [max(a, b) + max(0, m + n - 1) for a, m, b, n in zip(linear[0], linear[1], mixed[0], mixed[1], strict=True)]
    names = plan.context.layer.outputs
    found: dict[str, int] = {}
    for place, output in enumerate(plan.order):
        count = whole[place] if place < plan.n_computed else int(sources[plan.copies[output]])
        family = names[output].partition("[")[0]
        found[family] = max(found.get(family, 0), count)
    return found


def roundings(network: Network) -> list[dict[str, int]]:
    """By layer and family of channels, as lowered to be read at the rows that decode reads."""
    _, plans = plan_network(network, network.task.readout_rows, torch.float32)
    found: list[dict[str, int]] = []
    for plan in plans:
        layer: dict[str, int] = {}
        for block in (plan.constant, plan.varying):
            for family, count in (block_roundings(block) if block is not None else {}).items():
                layer[family] = max(layer.get(family, 0), count)
        found.append(layer)
    return found


def prove_roundings(network: Network, step: int) -> dict[str, int]:
    """At most one in layer 1, N more for the sums of N + 1 rows, D + 4 more for x_1, ``step`` in every later layer.

    Raises :class:`Refuted` otherwise. ``x`` before layer 2 is a sum with one term that is not zero, which is exact; that
    this is so is read from :func:`prove_majorants`.
    """
    N, D = network.task.n_points, network.task.n_dims  # type: ignore[attr-defined]
    counts = roundings(network)
    if counts[0].keys() != {"aa", "ba", "x"} or max(counts[0]["aa"], counts[0]["ba"]) > 1:
        raise Refuted(f"layer 1 rounds more than once: {counts[0]}")
    n = apriori.n_roundings(N, D)
    late = {family: count for family, count in counts[1].items() if count + 1 > n}
    late |= {family: count for family, count in counts[1].items() if family in ("G", "c") and count > N}
    if late:
        raise Refuted(f"layer 2 rounds {late} times after one rounding, {n} and for G and c {N + 1} were claimed")
    for index, layer in enumerate(counts[2:], start=3):
        if max(layer.values()) > step:
            raise Refuted(f"layer {index} rounds {max(layer.values())} times, {step} were claimed")
    return {"layer 1": 1, "layer 2": max(counts[1].values()), "step": max(max(layer.values()) for layer in counts[2:])}


# --- What the errors are relative to -------------------------------------------------------------------------------


def absolute(network: Network) -> Network:
    """The network with the absolute values of its weights and taps."""
    made: dict[int, Layer] = {}

    def positive(sparse: SparseMap) -> SparseMap:
        return replace(sparse, weights=np.abs(sparse.weights))

    for layer in network.layers:
        if id(layer) not in made:
            if any(tap < 0 for filter in layer.filters for tap in (*filter.head, filter.tail)):
                raise Refuted("a filter has a negative tap")
            made[id(layer)] = replace(
                layer, conv=positive(layer.conv), gate=positive(layer.gate), out=positive(layer.out)
            )
    return replace(network, layers=tuple(made[id(layer)] for layer in network.layers))


def prove_majorants(network: Network) -> None:
    """The layers with absolute weights are what the proof takes them to be, on symbols. Raises :class:`Refuted` otherwise.

    x after layer 1 is x_init at every row, G and c (Gram) are the plain sums, P_1 has the majorant I + hG, x_1 has
    x + h(Gx + c); a step has x + h(Gx + c), or PP, Pq + q and Px + q.
    """
    positive = absolute(network)
    p = RegressionSymbols.of(positive, flint_variables)
    rows = list(network.task.readout_rows)
    h = p.variables.constant(parameters_of(network)["step_size"] / p.task.n_points)
    x1 = p.x + h * (apply(p.G, p.x) + p.c)
    nothing = np.full((p.task.n_dims, p.task.n_dims, 1), None)
    prove_base(positive, p.u, 1, {"x": p.x, "aa": nothing, "ba": nothing[0]}, p.variables)
    base: Claims
    if parameters_of(network)["form"] == "gram":
        base = {"G": p.G, "c": p.c, "previous": p.x, "x": x1}
        v = flint_variables(G=(p.task.n_dims, p.task.n_dims, 1), c=(p.task.n_dims, 1), x=(p.task.n_dims, 1))
        G, c, x = mirror(v["G"]), v["c"], v["x"]
        before: Claims = {"G": G, "c": c, "x": x, "previous": x}
        factor = v.constant(parameters_of(network)["step_size"] / p.task.n_points)
        after: Claims = {"G": G, "c": c, "previous": x, "x": x + factor * (apply(G, x) + c)}
    else:
        base = {"P": p.variables.identity(p.task.n_dims) + h * p.G, "q": h * p.c, "x": x1}
        v = flint_variables(P=(p.task.n_dims, p.task.n_dims, 1), q=(p.task.n_dims, 1), x=(p.task.n_dims, 1))
        P, q, x = mirror(v["P"]), v["q"], v["x"]
        before = {"P": P, "q": q, "x": x}
        after = {"P": compose(P, P), "q": apply(P, q) + q, "x": apply(P, x) + q}
    prove_base(positive, p.u, 2, base, p.variables, rows)
    proved = set()
    for index in range(2, positive.depth):
        if (key := content(positive, index)) not in proved:
            prove_layer(positive, index, before, after, v)
            proved.add(key)


# --- The constants ---------------------------------------------------------------------------------------------------


def prove_lemmas() -> None:
    """What the proofs use of γ and of y/(1 − y), as identities of polynomials whose one side is plainly not negative."""
    a, b, u, y, d, t = sympy.symbols("a b u y d tau", nonnegative=True)
    identities = {
        "γ_a + γ_b + γ_a γ_b <= γ_{a+b}": ((1 - a * u) * (1 - b * u) - (1 - (a + b) * u), a * b * u**2),
        "2 sqrt(tau) <= 1 + tau": ((1 + t) ** 2 - 4 * t, (1 - t) ** 2),
        # the left side divided by (1-2y-d)(1-y)^2 is 1/(1-2y-d) - 1/(1-y)^2 - d
        "(1 + s(y))^2 - 1 + d <= s(2y + d)": (
            (1 - y) ** 2 - (1 - 2 * y - d) * (1 + d * (1 - y) ** 2),
            y**2 + d * (1 - (1 - 2 * y - d) * (1 - y) ** 2),
        ),
    }
    for what, (left, right) in identities.items():
        if sympy.expand(left - right) != 0:
            raise Refuted(f"not an identity: {what}")


def prove_constants(
    gram: tuple[Fraction, Fraction] = apriori.GRAM,
    doubling: tuple[Fraction, Fraction] = apriori.DOUBLING,
    alpha: Fraction = apriori.ALPHA,
    small: Fraction = apriori.SMALL,
) -> None:
    """The inequalities of the inductions, in rationals. Raises :class:`Refuted` where one fails.

    For the doubling form j ≤ k/2, so jα ≤ small/2 =: s, F_j ≤ s/(1 − s) =: r and F_j + γ_{D+1}(√D + F_j + 1) ≤ m·jα.
    """
    s = small / 2
    r, m, c = s / (1 - s), 1 / (1 - s) + 1, Fraction(8, 3)
    root = Fraction(2828, 1000)  # below 2 sqrt(2)
    of_start, of_b = doubling
    required = {
        "(1 + ρ)^k <= 1/(1 - kρ) <= the factor of the Gram form": 1 / (1 - small) <= gram[0],
        "1 + 1/2 <= the constant of √k ω in the Gram form": Fraction(3, 2) <= gram[1],
        "2828/1000 <= 2 sqrt(2)": root**2 <= 8,
        "γ_{D+1}(√D + r)² <= the second part of α": (1 + r) ** 2 <= alpha,
        "γ_{D+1}(√D + r + 1) <= α": 2 + r <= alpha,
        "errors of q": 2 * c + m * (1 + c * s) <= root * c,
        "errors of x from x_0": of_start + m * (1 + of_start * s) <= 2 * of_start,
        "errors of x from b": of_b + m * (1 + of_b * s) + (1 + s) * c + 1 <= root * of_b,
    }
    wrong = [what for what, holds in required.items() if not holds]
    if wrong:
        raise Refuted(f"the induction does not go through: {'; '.join(wrong)}")


# --- The theorem ------------------------------------------------------------------------------------------------------


def descent(form: DescentForm, n_points: int = 3, n_dims: int = 2, n_steps: int = 4) -> Network:
    return C.gradient_descent(n_points=n_points, n_dims=n_dims, n_steps=n_steps, step_size="1/10", form=form)


def detour(network: Network, size: int = 1000) -> Network:
    """The network whose last layer adds ``size`` times a hidden channel to x and takes it away again: equal over Q."""
    layer = network.layers[-1]
    row, width = layer.outputs.index("x[0]"), layer.width

    def with_copy(sparse: SparseMap) -> SparseMap:
        entries = sparse.entries()
        entries |= {(width, column): weight for (hidden, column), weight in entries.items() if hidden == 0}
        return SparseMap.of(sparse.n_in, width + 1, entries)

    out = {(i, j + (j == width)): weight for (i, j), weight in layer.out.entries().items()}
    out |= {(row, 0): out.get((row, 0), Fraction(0)) + size, (row, width): Fraction(-size)}
    changed = replace(
        layer, conv=with_copy(layer.conv), gate=with_copy(layer.gate), out=SparseMap.of(width + 1, layer.out.n_out, out),
        filter_index=np.append(layer.filter_index, layer.filter_index[0]),
    )  # fmt: skip
    return replace(network, layers=(*network.layers[:-1], changed))


def prove_form(network: Network) -> dict[str, int]:
    """Roundings and majorants of one network; raises :class:`Refuted` where they are not those of the proof."""
    D = network.task.n_dims  # type: ignore[attr-defined]
    found = prove_roundings(network, D + 4 if parameters_of(network)["form"] == "gram" else D + 1)
    prove_majorants(network)
    return found


@theorem(
    id="rounding-a-priori",
    title="k steps of gradient descent in floating point: an error of at most …",
    statement=r"\|\hat x_k-x_k\|\le 1.06\,k\,\gamma_n(1+\tau)(\|x_0\|+1.5\sqrt k\,\omega)\ \text{(Gram)},\quad "
    r"\|\hat x_k-x_k\|\le k\,\alpha\,(2.2\|x_0\|+3.3\sqrt k\,\omega)\ \text{(doubling)};\quad n=N+D+5,\ "
    r"\alpha=\gamma_n(\sqrt D+\tau)+2.1\,D\,\gamma_{D+1},\ \tau=\tfrac{\eta}{N}\mathrm{tr}\,G,\ "
    r"\omega=\sqrt{\eta/N}\,\|b\|",
    hypotheses=(
        "0 ⪯ (η/N) G ⪯ I, layout A", "20 k γ_n (1 + τ) <= 1 (Gram), 20 k α <= 1 (doubling)",
        "round to nearest, no underflow or overflow; sums in any order, convolutions as sums (no FFT)",
    ),
    source="new (with Higham, Accuracy and Stability of Numerical Algorithms, Lemmas 3.1 and 3.3)",
    covers="roundings on every path and majorants read from the weights at the sizes run; the inductions for every k in "
    "exact constants",
    controls={
        "a rounding fewer in each doubling": lambda: prove_roundings(descent("doubling"), 2),
        "a rounding fewer in each step": lambda: prove_roundings(descent("gram"), 5),
        "1000 times a channel added and taken away": lambda: prove_majorants(detour(descent("doubling"))),
        "the residual form": lambda: prove_form(descent("residual")),
        "3.1 for 3.3": lambda: prove_constants(doubling=(apriori.DOUBLING[0], Fraction(31, 10))),
        "2 for 2.2": lambda: prove_constants(doubling=(Fraction(2), apriori.DOUBLING[1])),
        "1.04 for 1.06": lambda: prove_constants(gram=(Fraction(104, 100), apriori.GRAM[1])),
        "twice as many steps": lambda: prove_constants(small=Fraction(1, 10)),
        "2 for 2.1 in alpha": lambda: prove_constants(alpha=Fraction(2)),
    },
)  # fmt: skip
def rounding_a_priori(size: Size) -> Evidence:
    N, D = size.n_points, size.n_dims
    prove_lemmas()
    prove_constants()
    found: dict[str, dict[str, int]] = {}
    forms: tuple[DescentForm, ...] = ("gram", "doubling")
    for form in forms:
        found[form] = prove_form(descent(form, N, D, 8))
        for n_points, n_dims in ((1, 1), (2, 3), (5, 2)):
            prove_form(descent(form, n_points, n_dims))
    return Evidence(
        f"executed: N={N}, D={D}, and (1, 1), (2, 3), (5, 2): roundings of every output as lowered, majorants of every layer on "
        "symbols, the inequalities of both inductions in rationals; argued: other N and D, for the counts are those of sums "
        "of N + 1 rows and D + 2 terms; the chain of norms in precls_theory.precision.apriori",
        "Q[A, b, x_init], Q[P, q, x], rationals", "the lowering's plans, python-flint, SymPy", detail=found,
    )  # fmt: skip
