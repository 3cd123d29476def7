"""Inputs at which a model provably misses a polynomial target."""

from precls_theory.expressivity.counterexample.exact import Counterexample, Mismatch
from precls_theory.expressivity.counterexample.search import counterexample, search
from precls_theory.expressivity.targets import entries, make_target

__all__ = ["Counterexample", "Mismatch", "counterexample", "entries", "make_target", "search"]
