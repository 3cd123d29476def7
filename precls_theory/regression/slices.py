"""Which network solves a regression to the wanted digits at the least cost, and how it is made and run.

The doubling form with K slices of β bits in a format of p bits holds about ``β(K−2) + p`` bits below its largest entries, and a
coefficient keeps these less what the design loses (:attr:`precls_theory.regression.designs.Design.digits_lost`):

    0.301·(β(K−2) + p) − log10(‖e_jᵀ(αG)⁻¹‖·‖x‖ / |x_j|)

digits: within one digit of all that was measured (Longley, Wampler 1–5, Pontius, Filip, float32 and float64). A plain network of
floats (K = 1) has p bits. Refinement (:func:`constructions.gram_refinement`) forms one residual in digits where doubling
squares a matrix t times, and has 1.7 to 4 digits more at the same K; it takes ``2^p αλ_min > 1``, and wins
``log2(2^p αλ_min) − 3`` bits a round. Either runs on the columns as they are or, where there is an intercept, centred by the
network itself. For each of these the smallest K that gives the wanted digits is known before anything is built, and about how
many weights it takes (within a third of what was counted): the cheapest is run. Where counting its digits, which the exact
solution allows, finds fewer, one slice more is a candidate again. Data enter as exact decimals: slices hold what the format
cannot.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

import numpy as np
import torch

import constructions as C
from constructions.algebra.rationals import as_count
from constructions.networks.network import Network
from constructions.slicing.digits import BudgetError
from precls_theory.regression.designs import Design, Problem, largest, power_above

FORMATS = {"float32": (24, -126), "float64": (53, -1022)}
"""Precision and smallest exponent."""
MAX_PRODUCTS = 60_000
"""Sliced networks of more products of digits a layer are not built: minutes, and gigabytes."""
MAX_SLICES = 40
DIGITS_OF_A_BIT = math.log10(2)
MARGIN = 0.5
"""Digits that the formula may be too high by before one slice more is taken from the start."""
REFINED = 1.0
"""Digits that refinement is counted on to have more than doubling at the same number of slices."""
LEAST_BITS = 4
"""Slices have at least so many bits."""
MAX_TRIES = 2
"""Slices that are added at most."""
LEAST_GAIN = 3
"""Bits that a round of refinement has to win."""
SLACK = 6
"""Bits above the error of the residual below which corrections are not expected to fall."""

PlannedForm = Literal["doubling", "refinement"]


@dataclass(frozen=True)
class Need:
    """What is asked: digits in every coefficient, in a format."""

    wanted: float
    dtype: str

    @property
    def precision(self) -> int:
        """Bits of the format."""
        return FORMATS[self.dtype][0]


@dataclass(frozen=True)
class SlicePlan:
    """A network for the wanted digits: form, design, slices of so many bits (1: plain floats), doublings, rounds of refinement.

    ``expected`` are the digits counted on beforehand, ``weights`` about the nonzero weights.
    """

    form: PlannedForm
    centred: bool
    slices: int
    bits: int
    n_iters: int
    alpha: Fraction
    rounds: int
    wanted: float
    dtype: str
    expected: float
    weights: float
    condition_number: float
    others: tuple[str, ...] = ()
    tries: int = 0

    @property
    def name(self) -> str:
        """The network in words."""
        columns = "centred " if self.centred else ""
        if self.slices == 1:
            return f"{columns}{self.form} in plain floats"
        return f"sliced {columns}{self.form}"

    @property
    def reason(self) -> str:
        """One sentence for people; ``others`` lists the networks that it was the cheapest of."""
        slices = "" if self.slices == 1 else f", {self.slices} slices of {self.bits} bits"
        rounds = f", {self.rounds} rounds" if self.form == "refinement" else ""
        return (
            f"{self.wanted:.0f} digits in every coefficient at a condition number of {self.condition_number:.1e} take, in "
            f"{self.dtype}, {self.name}{slices}{rounds}: about {self.expected:.0f} digits are to be expected"
        )


def expected_digits(dtype: str, slices: int, bits: int, lost: float, form: PlannedForm = "doubling") -> float:
    """The formula of the module, less :data:`MARGIN`."""
    more = REFINED if form == "refinement" else 0.0
    held = bits * max(0, slices - 2) + FORMATS[dtype][0]
    return DIGITS_OF_A_BIT * held - lost - MARGIN + more


def bits_of(dtype: str, slices: int, n_terms: int) -> int:
    """About how many bits a slice leave room for class sums of ``n_terms`` products a slice, within the exponents."""
    precision, smallest = FORMATS[dtype]
    return min((precision - math.ceil(math.log2(slices * n_terms))) // 2 + 1, (-smallest - precision - 2) // slices)


def gain_bits(design: Design, dtype: str) -> int:
    """Bits that a round of refinement wins at least: M is off by about 2^−p/(αλ_min)."""
    return min(FORMATS[dtype][0] - 5, math.floor(FORMATS[dtype][0] + math.log2(design.contraction)) - 3)


def plan_for(form: PlannedForm, design: Design, slices: int, need: Need) -> SlicePlan | None:
    """The network of this form with so many slices; None where the form does not work."""
    n_points, n_dims = design.Z.shape
    bits = bits_of(need.dtype, slices, max(n_points, n_dims))
    if bits < LEAST_BITS or (form == "refinement" and (slices == 1 or gain_bits(design, need.dtype) < LEAST_GAIN)):
        return None
    contraction = min(design.contraction, 0.5)
    if form == "doubling":
        rounds, remaining = 0, (need.wanted + design.spread + 2) * math.log(10)
    else:
        rounds = n_rounds(design, slices, bits, need.dtype)
        remaining = (gain_bits(design, need.dtype) + 2) * math.log(2)
    n_iters = max(1, math.ceil(math.log2(remaining / contraction)))
    centred = design.moved is not None
    return SlicePlan(
        form, centred, slices, bits, n_iters, design.alpha, rounds, need.wanted, need.dtype,
        expected_digits(need.dtype, slices, bits, design.digits_lost, form),
        expected_weights(form, n_dims, slices, n_iters, rounds), design.condition_number,
    )  # fmt: skip


def n_rounds(design: Design, slices: int, bits: int, dtype: str) -> int:
    """Rounds until corrections are as small as the error of the residual: the first, and one for each gain."""
    first, last = first_correction(design), last_correction(design, slices, bits, dtype)
    return 1 + max(1, math.ceil((first - last) / useful_gain(design, bits, dtype)))


def useful_gain(design: Design, bits: int, dtype: str) -> int:
    """The gain of a round that digits on their grid can hold: a correction is cut where a slice ends."""
    gain = gain_bits(design, dtype)
    return gain - gain % bits if gain > bits else gain


def first_correction(design: Design) -> int:
    """log2 of about the largest entry of G⁻¹c, twice."""
    return math.ceil(math.log2(2 * design.size))


def last_correction(design: Design, slices: int, bits: int, dtype: str) -> int:
    """log2 of what the error of the residual leaves."""
    held = bits * (slices - 2) + FORMATS[dtype][0]
    return math.ceil(math.log2(design.size) - held - math.log2(design.contraction)) + SLACK


def expected_weights(form: PlannedForm, n_dims: int, slices: int, n_iters: int, rounds: int) -> float:
    """About how many weights are not zero: products of digits and carries, fitted to networks of 3 to 7 unknowns."""
    D, K = n_dims, slices
    symmetric, pairs = D * (D + 1) / 2, K * (K + 1) / 2
    if K == 1:
        return n_iters * 4 * (symmetric * D + D * D)
    if form == "doubling":
        return n_iters * (4 * pairs * (symmetric * D + D * D) + 8 * K * (symmetric + D))
    held = 2.5 * (symmetric * D + D**3) + 4 * K * (symmetric + D)
    return n_iters * held + 10 * (rounds + 1) * (pairs * D * D + 4 * K * symmetric)


def candidates(problem: Problem, need: Need, full: bool) -> list[SlicePlan] | str:
    """For each form and design the fewest slices that should do, the cheapest first; words where none is in reach.

    With ``full`` none is expected to have fewer digits than the sliced doubling form, which has no conditions, would have.
    """
    found: list[SlicePlan] = []
    least, words = need.wanted, ""
    designs = [design for design in (problem.design, problem.centred) if design is not None]
    forms: tuple[PlannedForm, ...] = ("doubling", "refinement")
    for form in forms:
        for design in designs:
            by_slices = (plan_for(form, design, slices, need) for slices in range(1, MAX_SLICES + 1))
            plan = next((plan for plan in by_slices if plan is not None and plan.expected >= least), None)
            if plan is not None and (refused := refusal(plan, problem.n_dims)) is None:
                found.append(plan)
            elif plan is not None:
                words = words or refused or ""
            if full and form == "doubling" and design.moved is None and plan is not None:
                least = plan.expected + DIGITS_OF_A_BIT * (plan.slices - 2)  # its slices may hold a bit more each
    if not found:
        return words or f"{need.wanted:.0f} digits would take more slices than {need.dtype} has exponents for"
    found.sort(key=lambda plan: plan.weights)
    others = tuple(f"{p.name}, K={p.slices} ({p.weights:.1e} weights)" for p in found)
    return [replace(plan, others=others if len(found) > 1 else ()) for plan in found]


def refusal(plan: SlicePlan, n_dims: int) -> str | None:
    """Words where the network would be too large, None otherwise."""
    pairs = plan.slices * (plan.slices + 1) // 2
    matrix = n_dims * n_dims * (n_dims + 1) // 2
    products = pairs * (matrix + n_dims * n_dims) if plan.form == "doubling" else pairs * n_dims**2 + 3 * matrix
    if products > MAX_PRODUCTS:
        return (
            f"{plan.wanted:.0f} digits would take {plan.slices} slices and about {products} products of digits a layer"
        )
    return None


Answer = tuple[list[Fraction], Network, SlicePlan]


def run(plan: SlicePlan, problem: Problem, dtype: torch.dtype, device: str) -> Answer:
    """Build and run the network; the coefficients, the network, and the plan with the bits of its slices.

    A run in which a channel leaves its range is repeated with wider ranges, twice. Raises ``OverflowError`` where that does
    not help, :class:`BudgetError` where class sums do not fit the format.
    """
    design = problem.centred if plan.centred else problem.design
    assert design is not None
    if plan.slices == 1:
        return run_plain(plan, design, dtype, device)
    wider = 0
    while True:
        sliced, plan = build(plan, design, wider)
        digits = torch.tensor(sliced.encode(problem.A, problem.b).astype(float), dtype=dtype, device=device)
        try:
            with torch.no_grad():
                return list(sliced.decode(sliced.to_torch(dtype=dtype, device=device)(digits))), sliced, plan
        except OverflowError:
            if wider == 2:
                raise
            wider += 1


def build(plan: SlicePlan, design: Design, wider: int) -> tuple[Network, SlicePlan]:
    """The sliced network, with the most bits a slice that fit, and the plan with these.

    The ranges of corrections depend on the bits, so that refinement tries one number after the other.
    """
    while True:
        claim = {"algorithm": construction(plan), "parameters": parameters(plan, design)}
        bits = plan.bits if plan.form == "refinement" else None
        try:
            sliced = C.sliced(
                claim,  # type: ignore[arg-type]
                slices=plan.slices, slice_bits=bits, bounds=magnitudes(plan, design, wider), dtype=plan.dtype,
            )  # fmt: skip
        except BudgetError:
            if bits is None or bits <= LEAST_BITS:
                raise
            plan = with_bits(plan, design, bits - 1)
            continue
        plan = with_bits(plan, design, as_count("slice_bits", sliced.parameters["slice_bits"]))
        more = one_more(plan, design) if plan.expected + MARGIN < plan.wanted else None
        if more is None:
            return sliced, plan
        plan = more  # there are fewer bits a slice than counted on


def with_bits(plan: SlicePlan, design: Design, bits: int) -> SlicePlan:
    """The plan with slices of so many bits."""
    rounds = n_rounds(design, plan.slices, bits, plan.dtype) if plan.form == "refinement" else 0
    expected = expected_digits(plan.dtype, plan.slices, bits, design.digits_lost, plan.form)
    return replace(plan, bits=bits, expected=expected, rounds=rounds)


def one_more(plan: SlicePlan, design: Design) -> SlicePlan | None:
    """The same with one slice more; None where there is no room for it."""
    made = plan_for(plan.form, design, plan.slices + 1, Need(plan.wanted, plan.dtype))
    return None if made is None else replace(made, others=plan.others, tries=plan.tries + 1)


def more_slices(plan: SlicePlan, problem: Problem) -> SlicePlan | None:
    """The same with one slice more, for a network that has been run; None after two of them, and for too large a one."""
    design = problem.centred if plan.centred else problem.design
    assert design is not None
    made = one_more(plan, design) if plan.tries < MAX_TRIES else None
    return None if made is None or refusal(made, problem.n_dims) else made


def construction(plan: SlicePlan) -> str:
    """The construction that is sliced, or run plainly."""
    if plan.form == "doubling":
        return "centred_newton" if plan.centred else "newton"
    return "centred_refinement" if plan.centred else "gram_refinement"


def parameters(plan: SlicePlan, design: Design) -> dict[str, object]:
    """Its parameters."""
    n_points, n_dims = design.Z.shape
    given: dict[str, object] = {
        "n_points": n_points, "n_dims": n_dims, "n_iters": plan.n_iters, "alpha": str(plan.alpha),
    }  # fmt: skip
    if plan.form == "refinement":
        given["refinements"] = plan.rounds
    if design.moved is not None:
        given["constant"] = str(design.problem.A[0, 0])
        given["scales"] = [str(scale) for scale in design.moved[1][1:]]
    return given


def magnitudes(plan: SlicePlan, design: Design, wider: int) -> dict[str, Fraction]:
    """How large channels become: the data exactly, the rest by the design and about its solution, times 2^8 each ``wider``."""
    iterate = power_above(2 * design.size) * 2 ** (8 * wider)
    bounds = {"a": largest(design.problem.A), "b": largest(design.problem.b)}
    if design.moved is not None:
        bounds |= {"z": largest(design.Z), "m": largest(np.array(design.moved[0], dtype=object))}
        bounds["x"] = power_above(2 * float(np.linalg.norm(design.problem.near))) * 2 ** (8 * wider)
    if plan.form == "doubling":
        return bounds | {"y": iterate}
    gram, moment = design.gram
    bounds |= {"G": power_above(gram), "c": power_above(moment), "r": 2 * power_above(moment)}
    bounds["x" if design.moved is None else "y"] = iterate
    gain = useful_gain(design, plan.bits, plan.dtype)
    first, last = first_correction(design), last_correction(design, plan.slices, plan.bits, plan.dtype)
    for done in range(plan.rounds):
        bounds[f"d{done}"] = Fraction(2) ** (max(first - gain * done, last) + 8 * wider)
    return bounds


def run_plain(plan: SlicePlan, design: Design, dtype: torch.dtype, device: str) -> Answer:
    """The network of floats, on data rounded to the format."""
    network = C.CONSTRUCTIONS[construction(plan)](**parameters(plan, design))
    assert isinstance(network, Network)
    A, b = (torch.tensor(v.astype(float), dtype=dtype, device=device) for v in (design.problem.A, design.problem.b))
    with torch.no_grad():
        found = network.decode(network.to_torch(dtype=dtype, device=device)(network.encode(A, b))).double().tolist()
    if not all(map(math.isfinite, found)):
        raise OverflowError("the network overflowed its number format")
    return [Fraction(value) for value in found], network, plan


__all__ = ["BudgetError", "Need", "SlicePlan", "candidates", "more_slices", "refusal", "run"]
