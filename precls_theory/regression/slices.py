"""How many slices a regression needs, and the sliced network that solves it.

The doubling form with K slices of β bits in a format of p bits gets about ``0.301·(β(K−2) + p − 5) − 2·log10 κ`` digits of the
largest coefficient (κ after scaling columns), and small coefficients lose part of what separates them from it. Data enter as
exact decimals: the slices hold what the format alone could not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch

import constructions as C
from constructions.networks.network import Network
from constructions.slicing.digits import BudgetError

FORMATS = {"float32": (24, 8, -126), "float64": (53, 22, -1022)}
"""Precision, bits a slice to count on, smallest exponent."""
MAX_PRODUCTS = 60_000
"""Sliced networks of more products of digits a layer are not built: minutes, and gigabytes."""
MAX_SLICES = 40
DIGITS_OF_A_BIT = math.log10(2)


@dataclass(frozen=True)
class SlicePlan:
    """Slices and doublings for the wanted digits; ``expected`` are the digits counted on, ``reason`` says why."""

    slices: int
    n_iters: int
    alpha: Fraction
    wanted: float
    expected: float
    reason: str


def choose(sigma: np.ndarray, n_dims: int, spread: float, wanted: float, dtype: str) -> SlicePlan | str:
    """The fewest slices that should give ``wanted`` digits in every coefficient; words where that is out of reach.

    ``sigma``: singular values of the scaled design; ``spread``: log10 of the largest coefficient over the smallest.
    """
    precision, bits, smallest = FORMATS[dtype]
    kappa = float(sigma[0] / sigma[-1])
    lost = 2 * math.log10(kappa) + spread / 2
    needed = (wanted + lost) / DIGITS_OF_A_BIT - precision + 5
    slices = max(2, math.ceil(needed / bits + 2))
    products = slices * (slices + 1) // 2 * (n_dims * n_dims * (n_dims + 1) // 2 + n_dims * n_dims)
    if slices > MAX_SLICES or slices * bits + precision + 5 > -smallest:
        return f"{wanted:.0f} digits would take {slices} slices of {bits} bits, more than {dtype} has exponents for"
    if products > MAX_PRODUCTS:
        return f"{wanted:.0f} digits would take {slices} slices and about {products} products of digits a layer"
    alpha = Fraction(2) ** -math.ceil(math.log2(float(sigma[0]) ** 2 * (1 + 1e-9)))
    remaining = (wanted + spread + 2) * math.log(10)
    n_iters = max(1, math.ceil(math.log2(remaining / min(float(alpha) * float(sigma[-1]) ** 2, 0.5))))
    expected = DIGITS_OF_A_BIT * (bits * (slices - 2) + precision - 5) - lost
    reason = (
        f"{wanted:.0f} digits at a condition number of {kappa:.1e} take {slices} slices of at least {bits} bits in {dtype}; "
        f"about {expected:.0f} digits are to be expected"
    )
    return SlicePlan(slices, n_iters, alpha, wanted, expected, reason)


def run(
    plan: SlicePlan, A: np.ndarray, b: np.ndarray, size: float, dtype: torch.dtype, device: str
) -> tuple[list[Fraction], Network]:
    """Build and run the sliced network on the scaled exact data; ``size`` is about the norm of the solution.

    A run in which the iterate leaves its range is repeated with a range 2^8 times as wide. Raises ``OverflowError`` where that
    does not help either, :class:`BudgetError` where class sums do not fit the format.
    """
    name = str(dtype).removeprefix("torch.")
    network = C.newton(n_points=A.shape[0], n_dims=A.shape[1], n_iters=plan.n_iters, alpha=plan.alpha)
    bound = Fraction(2) ** (math.ceil(math.log2(max(size, 2.0**-20))) + 1)
    for _ in range(3):
        bounds: dict[str, Any] = {"a": largest(A), "b": largest(b), "y": bound}
        sliced = C.sliced(network, slices=plan.slices, bounds=bounds, dtype=name)
        digits = torch.tensor(sliced.encode(A, b).astype(float), dtype=dtype, device=device)
        try:
            with torch.no_grad():
                return list(sliced.decode(sliced.to_torch(dtype=dtype, device=device)(digits))), sliced
        except OverflowError as error:
            reason, bound = error, bound * 2**8
    raise reason


def largest(values: np.ndarray) -> Fraction:
    """The largest magnitude of exact numbers (1 where all are zero)."""
    return max((abs(Fraction(value)) for value in values.flat), default=Fraction(0)) or Fraction(1)


__all__ = ["BudgetError", "SlicePlan", "choose", "run"]
