"""Sliced networks: equal over Q to the original, and in floats exact in every class but the last."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial

import constructions as C
from constructions.networks.network import Network
from precls_theory.checking.prove import prove_network
from precls_theory.precision.exactness import ExactnessReport, Overflowing, exact_digits, unexpected
from precls_theory.proofs.residues import FAILURE_LOG2, Unequal
from precls_theory.registry import Evidence, Refuted, Size, theorem


def prove_digits(network: Network, precision: int | None = None, n_shared: int = 0) -> dict[str, object]:
    """Every channel that is neither a carry in the making nor a last digit is exact, in any order of summation.

    At least ``n_shared`` layers meet the very bounds that an earlier one met. Raises :class:`Refuted` otherwise; returns what
    was found.
    """
    report = read_digits(network, precision)
    if report.n_repeated < n_shared:
        raise Refuted(f"{report.n_repeated} layers meet bounds that were met before, {n_shared} were expected")
    return summary(network, report)


def read_digits(network: Network, precision: int | None = None) -> ExactnessReport:
    """What the weights say, where all is exact but carries in the making and last digits; :class:`Refuted` otherwise."""
    try:
        report = exact_digits(network, precision)
    except Overflowing as error:
        raise Refuted(str(error)) from error
    wrong = unexpected(network, report)
    if wrong:
        raise Refuted(f"inexact in {report.precision} bits: {', '.join(wrong[:5])}", wrong)
    return report


def summary(network: Network, report: ExactnessReport) -> dict[str, object]:
    """Sizes of a network, and what is exact in it."""
    return {
        "slice_bits": network.parameters["slice_bits"], "slices": network.parameters["slices"], "depth": network.depth,
        "width": network.width, "largest_sum_bits": report.largest_sum_bits, "exact_channels": report.n_exact,
        "layers_that_repeat": report.n_repeated,
    }  # fmt: skip


def prove_equal(network: Network) -> float:
    """The network equals its original over Q; returns log2 of the failure probability, of which eight make 2^-60.

    Raises :class:`Refuted`.
    """
    try:
        return prove_network(network, failure_log2=FAILURE_LOG2 - 3).failure_probability_log2
    except Unequal as difference:
        raise Refuted(f"not equal to the original over Q: {difference}") from difference


def small() -> Network:
    """A network for the controls."""
    return C.sliced(C.gradient_descent(n_points=3, n_dims=2, n_steps=2, step_size="1/4"), slices=3, slice_bits=8)


def with_weight(network: Network, layer: int, change: Callable[[Fraction], Fraction]) -> Network:
    """The network with the first weight of the Out map of a layer changed."""
    changed = network.layers[layer]
    weights = changed.out.weights.copy()
    weights[0] = change(weights[0])
    layers = list(network.layers)
    layers[layer] = replace(changed, out=replace(changed.out, weights=weights))
    return replace(network, layers=tuple(layers))


def wide_limits() -> Network:
    network = small()
    return replace(network, limits=tuple(None if limit is None else limit * 2.0**12 for limit in network.limits))


@theorem(
    id="sliced-digits",
    title="Sliced networks: exact in every class but the last, for any number of doublings",
    statement=r"\sum_{s+t=b}|z_s w_t|\le 2^{p}\,2^{-b}\ \Rightarrow\ \mathrm{fl}(S_b)=S_b;\quad "
    r"d_b=S_b-H_1,\ d_{b-j\beta}\mathrel{+}=H_j-H_{j+1},\ \textstyle\sum_b d_b=\sum_b S_b",
    hypotheses=(
        "inputs within the magnitudes that the network was sliced for",
        "no leading digit leaves its limit (a lowered network refuses a run in which one does)",
        "round to nearest, no overflow; any order of summation, constants of outputs added last",
    ),
    source="new",
    covers="doubling for every number of doublings (the bounds of the digits repeat), Gram, residual, tight, Newton with "
    "refinement at the sizes checked; equality with the original over Q by residues",
    controls={
        "six bits fewer in the format": lambda: prove_digits(small(), 18),
        "limits 2^12 times as wide": lambda: prove_digits(wide_limits()),
        "a weight of a third": lambda: prove_digits(with_weight(small(), 0, lambda weight: weight / 3)),
        "a digit counted twice": lambda: prove_equal(with_weight(small(), 1, lambda weight: 2 * weight)),
        "bounds that have not settled yet": lambda: prove_digits(small(), n_shared=4),
    },
)
def sliced_digits(size: Size) -> Evidence:
    N, D = size.n_points, size.n_dims
    found: dict[str, object] = {}
    descent = partial(C.gradient_descent, n_points=N, n_dims=D, step_size="1/10")
    chances: list[float] = []
    for name, original, options in (
        ("doubling, float32", descent(n_steps=256), {"slices": 6, "dtype": "float32"}),
        ("doubling, float64", descent(n_steps=256), {"slices": 4}),
        ("gram, float32", descent(n_steps=3, form="gram"), {"slices": 5, "dtype": "float32"}),
        ("residual, float64", descent(n_steps=3, form="residual"), {"slices": 3}),
        ("refinement, float64", C.newton(n_points=N, n_dims=D, n_iters=3, alpha="1/64", refinements=1), {"slices": 3}),
    ):
        network = C.sliced(original, **options)  # type: ignore[arg-type]
        # each doubling is two layers; after the first few their bounds are those of the doubling before
        found[name] = prove_digits(network, n_shared=4 if name.startswith("doubling") else 0)
        chances.append(prove_equal(network))
    return Evidence(
        f"executed: N={N}, D={D}, the networks listed, all channels and class sums, the bounds of a doubling "
        "that repeat; argued: "
        "any number of doublings, by their repetition",
        "integer intervals in units of the digits; residues for equality over Q", "exactness.py, residues.py",
        detail=found, failure_probability_log2=math.log2(sum(2.0**chance for chance in chances)),
    )  # fmt: skip
