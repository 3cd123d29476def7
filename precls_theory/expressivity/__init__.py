"""What an architecture can and cannot express: growth certificates, counterexamples, quantitative lower bounds."""

from precls_theory.expressivity.counterexample import Counterexample, counterexample, entries
from precls_theory.expressivity.growth import (
    Growth,
    GrowthCertificate,
    Rule,
    growth_certificate,
    register_rule,
    registered_rules,
)
from precls_theory.expressivity.tracing import Inconclusive, register_formula, trace

__all__ = [
    "Counterexample",
    "Growth",
    "GrowthCertificate",
    "Inconclusive",
    "Rule",
    "counterexample",
    "entries",
    "growth_certificate",
    "register_formula",
    "register_rule",
    "registered_rules",
    "trace",
]
