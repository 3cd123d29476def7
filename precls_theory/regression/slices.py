"""How many slices a regression needs, and the sliced network that solves it.

The doubling form with K slices of β bits in a format of p bits holds about ``β(K−2) + p`` bits below its largest entries. An
error ε of those in G⁻¹c is spread by G⁻¹, so coefficient j keeps

    0.301·(β(K−2) + p) − log10(‖e_jᵀ(αG)⁻¹‖·‖x‖ / |x_j|)

digits: within one digit of all that was measured (Longley, Wampler 1–5, Pontius, Filip, float32 and float64). K is the smallest
that gives the wanted digits by this formula; where counting them, which the exact solution allows, finds fewer, K grows. Data
enter as exact decimals: the slices hold what the format alone could not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import torch

import constructions as C
from constructions.algebra.rationals import as_count
from constructions.networks.network import Network
from constructions.slicing.digits import BudgetError

FORMATS = {"float32": (24, -126), "float64": (53, -1022)}
"""Precision and smallest exponent."""
MAX_PRODUCTS = 60_000
"""Sliced networks of more products of digits a layer are not built: minutes, and gigabytes."""
MAX_SLICES = 40
DIGITS_OF_A_BIT = math.log10(2)
MARGIN = 0.5
"""Digits that the formula may be too high by before one slice more is taken from the start."""


@dataclass(frozen=True)
class SlicePlan:
    """Slices and doublings for the wanted digits; ``expected`` are the digits counted on, ``reason`` says why."""

    slices: int
    n_iters: int
    alpha: Fraction
    wanted: float
    expected: float
    lost: float
    condition_number: float
    dtype: str

    @property
    def reason(self) -> str:
        """One sentence for people."""
        return (
            f"{self.wanted:.0f} digits in every coefficient at a condition number of {self.condition_number:.1e} take "
            f"{self.slices} slices in {self.dtype}: about {self.expected:.0f} digits are to be expected"
        )

    def with_slices(self, slices: int, bits: int) -> SlicePlan:
        """The plan with so many slices of so many bits."""
        return replace(self, slices=slices, expected=expected_digits(self.dtype, slices, bits, self.lost))


def expected_digits(dtype: str, slices: int, bits: int, lost: float) -> float:
    """The formula of the module, less :data:`MARGIN`."""
    return DIGITS_OF_A_BIT * (bits * (slices - 2) + FORMATS[dtype][0]) - lost - MARGIN


def bits_of(dtype: str, slices: int, n_terms: int) -> int:
    """About how many bits a slice leave room for class sums of ``n_terms`` products a slice, within the exponents."""
    precision, smallest = FORMATS[dtype]
    return min((precision - math.ceil(math.log2(slices * n_terms))) // 2 + 1, (-smallest - precision - 2) // slices)


def digits_lost(A: np.ndarray, x: np.ndarray, alpha: float) -> float:
    """log10 of ‖e_jᵀ(αG)⁻¹‖·‖x‖/|x_j|, at its largest over the coefficients that are not zero (A scaled, in float64)."""
    _, sigma, right = np.linalg.svd(A, full_matrices=False)
    inverse = (right.T / (alpha * sigma**2)) @ right
    size = float(np.linalg.norm(x))
    sizes = np.maximum(np.abs(x), 1e-8 * size)
    return float(np.log10(np.linalg.norm(inverse, axis=1) * size / sizes).max())


def choose(A: np.ndarray, x: np.ndarray, wanted: float, dtype: str) -> SlicePlan | str:
    """The fewest slices that should give ``wanted`` digits in every coefficient; words where that is out of reach.

    ``A``: the scaled design in float64; ``x``: about its solution.
    """
    n_points, n_dims = A.shape
    sigma = np.linalg.svd(A, compute_uv=False)
    alpha = Fraction(2) ** -math.ceil(math.log2(float(sigma[0]) ** 2 * (1 + 1e-9)))
    lost = digits_lost(A, x, float(alpha))
    spread = math.log10(np.abs(x).max() / max(np.abs(x).min(), 1e-8 * float(np.linalg.norm(x))))
    remaining = (wanted + spread + 2) * math.log(10)
    n_iters = max(1, math.ceil(math.log2(remaining / min(float(alpha) * float(sigma[-1]) ** 2, 0.5))))
    start = SlicePlan(2, n_iters, alpha, wanted, 0.0, lost, float(sigma[0] / sigma[-1]), dtype)
    for slices in range(2, MAX_SLICES + 1):
        bits = bits_of(dtype, slices, max(n_points, n_dims))
        plan = start.with_slices(slices, bits)
        if plan.expected >= wanted:
            return refusal(plan, n_dims) or plan
    return f"{wanted:.0f} digits would take more slices than {dtype} has exponents for"


def refusal(plan: SlicePlan, n_dims: int) -> str | None:
    """Words where the network would be too large, None otherwise."""
    products = plan.slices * (plan.slices + 1) // 2 * (n_dims * n_dims * (n_dims + 1) // 2 + n_dims * n_dims)
    if products > MAX_PRODUCTS:
        return (
            f"{plan.wanted:.0f} digits would take {plan.slices} slices and about {products} products of digits a layer"
        )
    return None


def run(
    plan: SlicePlan, A: np.ndarray, b: np.ndarray, size: float, dtype: torch.dtype, device: str
) -> tuple[list[Fraction], Network, SlicePlan]:
    """Build and run the sliced network on the scaled exact data; ``size`` is about the norm of the solution.

    Returns the coefficients, the network, and the plan with what its slices hold. A run in which the iterate leaves its range is
    repeated with a range 2^8 times as wide. Raises ``OverflowError`` where that does not help either, :class:`BudgetError`
    where class sums do not fit the format.
    """
    network = C.newton(n_points=A.shape[0], n_dims=A.shape[1], n_iters=plan.n_iters, alpha=plan.alpha)
    bound = Fraction(2) ** (math.ceil(math.log2(max(size, 2.0**-20))) + 1)
    widened = 0
    while True:
        bounds: dict[str, Fraction] = {"a": largest(A), "b": largest(b), "y": bound}
        sliced = C.sliced(network, slices=plan.slices, bounds=bounds, dtype=plan.dtype)
        bits = as_count("slice_bits", sliced.parameters["slice_bits"])
        made = plan.with_slices(plan.slices, bits)
        if made.expected + MARGIN < plan.wanted and plan.slices < MAX_SLICES:  # fewer bits a slice than counted on
            plan = plan.with_slices(plan.slices + 1, bits)
            continue
        digits = torch.tensor(sliced.encode(A, b).astype(float), dtype=dtype, device=device)
        try:
            with torch.no_grad():
                return list(sliced.decode(sliced.to_torch(dtype=dtype, device=device)(digits))), sliced, made
        except OverflowError:
            if widened == 2:
                raise
            widened, bound = widened + 1, bound * 2**8


def largest(values: np.ndarray) -> Fraction:
    """The largest magnitude of exact numbers (1 where all are zero)."""
    return max((abs(Fraction(value)) for value in values.flat), default=Fraction(0)) or Fraction(1)


__all__ = ["BudgetError", "SlicePlan", "choose", "run"]
