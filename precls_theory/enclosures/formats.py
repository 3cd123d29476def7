"""What evaluation in floating point adds to a growth bound.

A growth bound is about the real function.  The numbers that PyTorch returns obey a slightly larger one, found by the
same induction over the operations: the *computed* operands obey the bounds so far, and a computed result exceeds the
rule's bound by rounding only.  With unit roundoff u and ``γ_n = n u/(1 - n u)`` (Higham, §3.1), in any order of summation,

* a rule that bounds sums by absolute values holds with a factor ``1 + γ_n`` for sums of n terms;
* ``‖fl(x W)‖ ≤ (‖W‖₂ + γ_n ‖W‖_F) ‖x‖``, since the error of an inner product is at most ``γ_n |x||w|``;
* LayerNorm is *not* bounded in floating point.  The mean has an error of up to ``γ‖x‖/√n``, and ``S = Σ(x - μ)²`` one of up
  to ``γ‖x‖²`` (whichever formula is used; a negative S is cut off at 0).  Where ``S ≥ 2γ‖x‖²`` at least half of S is seen,
  so the output is at most ``√(2n) + γ‖x‖/√eps``; elsewhere ``√S < √(2γ) ‖x‖``, so it is at most ``(√(2γ) + γ)‖x‖/√eps``.
  Rows that are nearly constant and large do come out larger than √n: by a factor of 10⁷ for float32 rows near 10¹².

All of it holds as long as nothing overflows; underflow adds at most the smallest normal number a term.  Source: new.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from precls_theory.enclosures.norms import up, up_div, up_mul, up_sqrt


@dataclass(frozen=True)
class Rounding:
    """A floating-point format: unit roundoff and smallest normal number."""

    unit: float
    tiny: float

    @classmethod
    def of(cls, dtypes: Iterable[torch.dtype]) -> Rounding:
        """The coarsest of the formats."""
        infos = [torch.finfo(dtype) for dtype in dtypes if dtype.is_floating_point]
        return cls(max(info.eps for info in infos) / 2, max(info.tiny for info in infos))

    def gamma(self, terms: int) -> float:
        """``γ_n`` from above; infinite where ``n u >= 1``."""
        product = up_mul(float(terms), self.unit)
        return up_div(product, math.nextafter(1 - product, 0)) if product < 1 else math.inf

    def least(self, x: float) -> float:
        """What is left of a positive constant in this format, from below; not positive where it may underflow."""
        return math.nextafter(x * (1 - 4 * self.unit), 0) - 4 * self.tiny

    def holds(self, eps: float, terms: int) -> bool:
        """Whether eps is so far above underflow that a mean of ``terms`` squares plus eps keeps half of eps at least."""
        return eps >= 8 * (terms + 4) * self.tiny

    def root_mean_square(self, terms: int) -> float:
        """Upper bound of the ratio of a root mean square to the computed one, whose sum has this many terms."""
        gamma = self.gamma(4 * terms + 64)
        return up_div(1.0, math.nextafter(math.sqrt(1 - gamma), 0)) if gamma < 1 else math.inf

    def layer_norm_slope(self, terms: int, eps: float) -> float:
        """The constant c of ``‖LN(x)‖ ≤ √2 √n + c ‖x‖``, with all roundings of the formula."""
        gamma = self.gamma(4 * terms + 64)
        return up_div(up(up_sqrt(2 * gamma) + 8 * gamma), math.nextafter(math.sqrt(eps), 0))


def model_dtypes(model: nn.Module) -> set[torch.dtype]:
    """The floating-point formats of the weights; PyTorch's default if there are none."""
    found = {p.dtype for p in [*model.parameters(), *model.buffers()] if p.is_floating_point()}
    return found or {torch.get_default_dtype()}


ONE_ENTRY_AT_A_TIME = frozenset({"add", "sub", "mul", "div"})
SUMS_OVER_SEVERAL_DIMS = (
    "einsum",
    "conv",
    "layer_norm",
    "rms_norm",
    "group_norm",
    "batch_norm",
    "instance_norm",
    "var",
    "std",
)


def terms_of(name: str, operands: Iterable[Tensor], out: Tensor) -> int:
    """How many terms the sums of an operation have at most, with room for a few roundings more of each."""
    operands = list(operands)
    if name in ONE_ENTRY_AT_A_TIME:
        return 4 + 64
    if any(part in name for part in SUMS_OVER_SEVERAL_DIMS):
        return 4 * max((x.numel() for x in operands), default=1) + 64
    # along one dimension, or over as many entries as go into one of the result
    sums = [max((*x.shape, x.numel() // max(out.numel(), 1), 1)) for x in operands]
    return 4 * max(sums, default=1) + 64
