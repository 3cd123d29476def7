"""Sliced refinement: the residual in exact digits, the inverse in floats, every correction a sum of digits without a rest."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from unittest import mock

import numpy as np

import constructions as C
from constructions.algebra.rationals import as_count
from constructions.networks.layer import SparseMap
from constructions.networks.network import Network
from constructions.slicing.digits import Grid
from constructions.slicing.stage import Stage
from precls_theory.registry import Evidence, Refuted, Size, theorem
from precls_theory.theorems.precision.sliced_digits import prove_equal, read_digits, summary, with_weight

DIGITS = ("G", "c", "r")
"""Families of which all digits but the last are exact."""


def prove_refinement_digits(network: Network) -> dict[str, object]:
    """The channels of :func:`read_digits`, and that they are what refinement needs, wherever these are made:

    G, c and the residual r in K digits at least, exact but for the last; corrections d in digits that are all exact; and the
    iterate, as it is read out, exactly the sum of the corrections. Nothing is claimed of R and M, which are floats.
    Raises :class:`Refuted` otherwise; returns what was found.
    """
    report, slices = read_digits(network), as_count("slices", network.parameters["slices"])
    held: Counter[str] = Counter()
    for index, layer in enumerate(network.layers):
        digits: dict[str, list[str]] = {}
        for name in layer.outputs:
            value, _, position = name.rpartition("@")
            if value and position.lstrip("-").isdigit():  # neither a class sum, "@5S", nor a carry, "@5T"
                digits.setdefault(value, []).append(name)
        inexact = set(report.inexact[index + 1])
        for value, names in digits.items():
            family = value.partition("[")[0]
            correction = family[0] == "d" and family[1:].isdigit()
            if not correction and family not in DIGITS:
                continue
            exact = len(names) - len(inexact.intersection(names))
            least = len(names) if correction else max(slices, len(names)) - 1
            if exact < least:
                raise Refuted(
                    f"layer {index + 1}: {value} has {exact} exact digits of {len(names)}, {least} are needed"
                )
            held["d" if correction else family] += 1
    missing = {*DIGITS, "d"}.difference(held)
    if missing:
        raise Refuted(f"no digits of {', '.join(sorted(missing))}")
    if report.inexact_outputs:
        raise Refuted(f"the iterate is not the exact sum of the corrections: outputs {sorted(report.inexact_outputs)}")
    return summary(network, report) | {"values": dict(held)}


def small(slices: int = 5, **options: object) -> Network:
    """A network for the controls: two rounds in float32, with no room to spare above the last correction."""
    original = C.gram_refinement(n_points=3, n_dims=2, n_iters=1, alpha="1/8", refinements=2)
    return C.sliced(original, slices=slices, dtype="float32", bounds={"d1": Fraction(1, 2)}, **options)  # type: ignore[arg-type]


def one_bit_wider() -> Network:
    """Slices one bit wider than the sums have room for, with the construction's own refusals switched off."""

    def wider(slices: int, slice_bits: int, precision: int, min_exponent: int) -> Grid:
        return Grid(slices, slice_bits + 1, precision, min_exponent)

    bits = as_count("slice_bits", small(slices=8).parameters["slice_bits"])
    with (
        mock.patch("constructions.slicing.sliced.Grid", wider),
        mock.patch.object(Stage, "check_budget", return_value=None),
    ):
        return small(slices=8, slice_bits=bits)


def larger(family: str) -> Network:
    """What the run lets through twice as large for a family of corrections: its magnitude was taken by half."""
    network = small()
    limits = [
        None if limit is None else np.where([name.startswith(f"{family}[") for name in layer.outputs], 2 * limit, limit)
        for layer, limit in zip(network.layers, network.limits, strict=True)
    ]
    return replace(network, limits=tuple(limits))


def lost_carry(network: Network) -> Network:
    """The first carry of d_0 goes to neither of its digits: the same over Q, but the lower stays as large as the sum."""
    index = next(
        index for index, layer in enumerate(network.layers)
        if any(name.startswith("d0[") and name[-1].isdigit() and "T" not in name for name in layer.outputs)
    )  # fmt: skip
    layer = network.layers[index]
    out = layer.out.entries()
    into = Counter(hidden for _, hidden in out)
    n_in = layer.conv.n_in
    carry = min(row for (row, column) in layer.gate.entries() if column == n_in and into[row] == 2)
    kept = SparseMap.of(
        layer.out.n_in, layer.out.n_out, {key: weight for key, weight in out.items() if key[1] != carry}
    )
    return replace(network, layers=(*network.layers[:index], replace(layer, out=kept), *network.layers[index + 1 :]))


def twice(weight: Fraction) -> Fraction:
    return 2 * weight


@theorem(
    id="sliced-refinement-digits",
    title="Sliced refinement: exact residuals in every class but the last, and corrections without a rest",
    statement=r"\sum_{s+t=b}|z_s w_t|\le 2^{p}\,2^{-b}\ \Rightarrow\ \mathrm{fl}(S_b)=S_b\ \text{for}\ G,\ c,\ r=c-Gx;\quad "
    r"d_j=\sum_b d_{j,b}\ \text{exactly},\ x=\textstyle\sum_j d_j\ \text{exactly}",
    hypotheses=(
        "inputs within the magnitudes that the network was sliced for",
        "no correction or leading digit leaves its limit (a lowered network refuses a run in which one does)",
        "round to nearest, no overflow; any order of summation, constants of outputs added last",
    ),
    source="new",
    covers="every class sum and carry of the networks listed, for the magnitudes that the construction knows; M and its error "
    "map R are floats, of which nothing is claimed",
    controls={
        "slices one bit wider than the sums have room for": lambda: prove_refinement_digits(one_bit_wider()),
        "the magnitude of a correction by half": lambda: prove_refinement_digits(larger("d1")),
        "a lost carry": lambda: prove_refinement_digits(lost_carry(small())),
        "a residual in plain floats": lambda: prove_refinement_digits(small(floats=("R", "M", "r", "d0", "d1"))),
        "a digit counted twice": lambda: prove_equal(with_weight(small(), 1, twice)),
    },
)
def sliced_refinement_digits(size: Size) -> Evidence:
    N, D = size.n_points, size.n_dims
    network = C.sliced(C.gram_refinement(n_points=N, n_dims=D, n_iters=3, alpha="1/64", refinements=2), slices=3)
    found = {"float64": prove_refinement_digits(network), "float32, N=3, D=2": prove_refinement_digits(small())}
    chance = prove_equal(network)
    return Evidence(
        f"executed: N={N}, D={D}, t=3, two rounds, K=3 in float64, and N=3, D=2, t=1, two rounds, K=5 in float32: all channels "
        "and class sums, with the most bits a slice that the construction finds; equality with the original over Q for the "
        "first; argued: nothing",
        "integer intervals in units of the digits; residues for equality over Q", "exactness.py, residues.py",
        detail=found, failure_probability_log2=chance,
    )  # fmt: skip
