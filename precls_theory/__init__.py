"""Proofs and measurements about the networks that :mod:`constructions` builds."""

from precls_theory.certificate import Certificate as Certificate
from precls_theory.certificate import certify as certify
from precls_theory.registry import Evidence as Evidence
from precls_theory.registry import Refuted as Refuted
from precls_theory.registry import Size as Size
from precls_theory.registry import Theorem as Theorem
from precls_theory.registry import all_theorems as all_theorems
from precls_theory.registry import theorem as theorem
