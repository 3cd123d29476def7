"""What an architecture can and cannot express: growth certificates, counterexamples, quantitative lower bounds."""

from precls_theory.expressivity.counterexample import Counterexample, counterexample, entries
from precls_theory.expressivity.growth import (
    Growth,
    GrowthCertificate,
    Operation,
    growth_certificate,
    register_rule,
    registered_rules,
)
from precls_theory.expressivity.quantitative import (
    Partition,
    SquareError,
    best_partition,
    causal_softmax_error,
    causal_softmax_lower_bound,
    max_pieces,
    measure_causal_softmax_error,
    measure_square_error,
    piecewise_linear,
    piecewise_linear_lower_bound,
)
from precls_theory.expressivity.tracing.program import Inconclusive
from precls_theory.expressivity.tracing.trace import register_formula, trace

__all__ = [
    "Counterexample",
    "Growth",
    "GrowthCertificate",
    "Inconclusive",
    "Operation",
    "Partition",
    "SquareError",
    "best_partition",
    "causal_softmax_error",
    "causal_softmax_lower_bound",
    "counterexample",
    "entries",
    "growth_certificate",
    "max_pieces",
    "measure_causal_softmax_error",
    "measure_square_error",
    "piecewise_linear",
    "piecewise_linear_lower_bound",
    "register_formula",
    "register_rule",
    "registered_rules",
    "trace",
]
