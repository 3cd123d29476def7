"""Growth certificates: constants with ``‖F(u)‖ ≤ C0 + C1‖u‖``, by abstract interpretation of a traced model.

The abstract value of a tensor ``x`` that the model computes from its input ``u`` is a :class:`Growth`: a polynomial
``p`` with nonnegative coefficients and ``‖x‖ ≤ p(‖u‖)`` (Euclidean norms over all entries), together with what is
known of its entries.  Each operation has a rule (:mod:`precls_theory.expressivity.growth.rules`) that turns the abstract
values of its inputs into that of its output; composing them is the induction over the depth of the model.

*What the bound covers.*  The bound is about the real function that the model defines with its weights as they are:
all constants are rounded upwards, so it is a theorem for exact arithmetic (a conversion between formats is the
identity).  An evaluation in floating point adds its own rounding error: a third interpretation, with the roundings of
the model's format (:mod:`precls_theory.enclosures.formats`), gives ``computed_coefficients``, which no output that
PyTorch computes exceeds as long as nothing overflows.

*Open sets.*  A model with ReLUs (or clamps, maxima, masks that depend on the input) is one of finitely many analytic
functions at each input: its pieces.  The any-depth theorem on open sets needs a bound for the pieces, each continued
to all inputs, which can be larger: ``clamp(x, 0, 1) * x`` grows linearly, its middle piece is ``x²``.  A second
interpretation, with the rules for pieces, gives ``piece_coefficients``.

Source: new (no such certificate is in Liu et al. 2025); soundness of each rule is proved in
:mod:`precls_theory.theorems.transformers.any_depth`.
"""

from __future__ import annotations

import contextlib
import decimal
import math
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor, nn

from precls_theory.enclosures.formats import model_dtypes
from precls_theory.expressivity.growth import rules as _rules  # noqa: F401  (fills the registry)
from precls_theory.expressivity.growth.interpreter import AppliedRule, Bounds
from precls_theory.expressivity.growth.operation import Norms
from precls_theory.expressivity.growth.value import (
    ANALYTIC,
    KINDS,
    PIECEWISE,
    Analyticity,
    Growth,
    NormPolynomial,
    poly_value,
)
from precls_theory.expressivity.tracing.program import Inconclusive, Program
from precls_theory.expressivity.tracing.trace import check_input_shape, trace


def _shown(bound: float) -> str:
    """Six digits, rounded up, so that what is printed is a bound too."""
    return f"{decimal.Context(prec=6, rounding=decimal.ROUND_CEILING).create_decimal_from_float(bound).normalize():g}"


@dataclass(frozen=True)
class GrowthCertificate:
    """A proof that ``‖F(u)‖ ≤ Σ coefficients[i] ‖u‖ⁱ`` for all real inputs of shape ``input_shape``.

    The numbers that PyTorch computes in the model's own format obey ``computed_coefficients`` instead (``None``: no bound
    short of overflow), see :mod:`precls_theory.enclosures.formats`.
    ``C0`` and ``C1`` are the first two coefficients, rounded up; ``C1`` is ``None`` where the growth is faster than
    linear, and 0 where the output is bounded.  ``analytic`` says whether F is analytic, one of finitely many analytic
    pieces at each input, or neither is known; ``piece_coefficients`` bounds every piece, continued to all inputs
    (``None``: no polynomial bound known, with ``piece_reason``).  ``rules`` are the steps of the proof.
    """

    model: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    coefficients: NormPolynomial
    analytic: Analyticity
    piece_coefficients: NormPolynomial | None
    piece_reason: str
    computed_coefficients: NormPolynomial | None
    rules: tuple[AppliedRule, ...]

    @property
    def exponent(self) -> int:
        """The growth exponent: 0 bounded, 1 linear, ..."""
        return len(self.coefficients) - 1

    @property
    def C0(self) -> float:
        """The constant term, rounded up."""
        return self.coefficients[0]

    @property
    def C1(self) -> float | None:
        """The coefficient of ``‖u‖``, rounded up; ``None`` if the growth is faster than linear."""
        if self.exponent > 1:
            return None
        return self.coefficients[1] if self.exponent == 1 else 0.0

    @property
    def piece_exponent(self) -> int | None:
        """The growth exponent of the analytic pieces; the any-depth theorem holds on open sets if it is at most 1."""
        return None if self.piece_coefficients is None else len(self.piece_coefficients) - 1

    def bound(self, norm: float, computed: bool = False) -> float:
        """Upper bound of ``‖F(u)‖`` for ``‖u‖ ≤ norm``, rounded up; of what PyTorch returns if ``computed``."""
        if not (norm >= 0 and math.isfinite(norm)):
            raise ValueError(f"norm must be finite and nonnegative, got {norm}")
        if not computed:
            return poly_value(self.coefficients, norm)
        return math.inf if self.computed_coefficients is None else poly_value(self.computed_coefficients, norm)

    @cached_property
    def by_module(self) -> dict[str, tuple[str, ...]]:
        """The rules applied inside each module, in order, without repetition."""
        table: dict[str, dict[str, None]] = {}
        for step in self.rules:
            table.setdefault(step.module, {})[f"{step.operation}: {step.rule}"] = None
        return {module: tuple(rules) for module, rules in table.items()}

    def to_json(self) -> dict[str, object]:
        """Plain data, for ``--json``."""
        return {
            "model": self.model,
            "input_shape": list(self.input_shape),
            "output_shape": list(self.output_shape),
            "exponent": self.exponent,
            "C0": self.C0,
            "C1": self.C1,
            "coefficients": list(self.coefficients),
            "analytic": self.analytic,
            "piece_exponent": self.piece_exponent,
            "piece_coefficients": None if self.piece_coefficients is None else list(self.piece_coefficients),
            "piece_reason": self.piece_reason,
            "computed_coefficients": None if self.computed_coefficients is None else list(self.computed_coefficients),
            "rules": {module: list(rules) for module, rules in self.by_module.items()},
        }

    def __str__(self) -> str:
        powers = ["", "·‖u‖", *(f"·‖u‖^{i}" for i in range(2, len(self.coefficients)))]
        terms = " + ".join(_shown(c) + power for c, power in zip(self.coefficients, powers, strict=False))
        lines = [f"‖F(u)‖ ≤ {terms}   for every u of shape {self.input_shape}: {self.model}, {self.analytic}"]
        lines += [f"  {module}: {'; '.join(rules)}" for module, rules in self.by_module.items()]
        return "\n".join(lines)


def growth_certificate(
    model: nn.Module, input_shape: tuple[int, ...] = (1, 20, 6), exponent: int | None = 1
) -> GrowthCertificate:
    """Prove a bound ``‖F(u)‖ ≤ C0 + C1‖u‖`` (``exponent=1``), or any polynomial bound (``exponent=None``).

    Args:
        model: any ``nn.Module`` that maps one tensor to one tensor, in eval mode where that matters.
        input_shape: ``(batch, rows, channels)``; the norms run over all entries, the batch included.
        exponent: the growth that is allowed; ``None`` for any.

    Raises:
        Inconclusive: no rule applies, or the proven growth is faster than ``exponent``; names the module.
        ValueError: weights that are NaN or infinite, or a shape that is not of positive integers.
    """
    if exponent is not None and (not isinstance(exponent, int) or isinstance(exponent, bool) or exponent < 0):
        raise ValueError(f"exponent must be a nonnegative integer or None, got {exponent!r}")
    check_input_shape(input_shape)
    return certify(trace(model, tuple(input_shape)), model, exponent)


def certify(program: Program, model: nn.Module, exponent: int | None = 1) -> GrowthCertificate:
    """The certificate of a model that was traced before; ``model`` names it and its formats."""
    norms: Norms = {}
    constants: dict[int, tuple[Tensor, Growth]] = {}
    function = Bounds(program, norms, constants)
    result = function.run()
    if exponent is not None and result.degree > exponent:
        place, name = function.culprit(exponent)
        cause = (
            "multiplies quantities that both depend on the input: the" if result.degree > 1 else "is not bounded: the"
        )
        raise Inconclusive(
            place,
            f"{name} {cause} proven growth is ‖u‖^{result.degree}, "
            f"more than the exponent {exponent} asked for (exponent=None returns the polynomial bound)",
        )
    coefficients, reason = (result.norm, "") if result.kind == ANALYTIC else (None, "not finitely many analytic pieces")
    if result.kind == PIECEWISE:
        try:
            coefficients, reason = Bounds(program, norms, constants, pieces=True).run().norm, ""
        except Inconclusive as error:
            reason = str(error)
    computed: NormPolynomial | None = None
    with contextlib.suppress(
        Inconclusive
    ):  # no bound holds in that format: constants underflow, or the bound overflows
        computed = Bounds(program, norms, constants, dtypes=frozenset(model_dtypes(model))).run().norm
    return GrowthCertificate(
        type(model).__name__,
        program.input_shape,
        result.shape,
        result.norm,
        KINDS[result.kind],
        coefficients,
        reason,
        computed,
        tuple(function.steps),
    )
