"""Growth certificates: constants with ``‖F(u)‖ ≤ C0 + C1‖u‖``, by one walk over a traced model."""

from precls_theory.expressivity.growth.certificate import GrowthCertificate, growth_certificate
from precls_theory.expressivity.growth.operation import (
    MODULE_RULES,
    OPERATIONS,
    ModuleRule,
    Operation,
    has_module_rule,
    register_rule,
    registered_rules,
)
from precls_theory.expressivity.growth.value import Growth, NormPolynomial

__all__ = [
    "MODULE_RULES",
    "OPERATIONS",
    "Growth",
    "GrowthCertificate",
    "ModuleRule",
    "NormPolynomial",
    "Operation",
    "growth_certificate",
    "has_module_rule",
    "register_rule",
    "registered_rules",
]
