"""The records of ATen operations, grouped by the inequality that they rest on; importing this fills the registry."""

from precls_theory.expressivity.growth.rules import (
    attention,
    convolutions,
    moves,
    normalisation,
    pointwise,
    products,
    selection,
    sums,
)

__all__ = ["attention", "convolutions", "moves", "normalisation", "pointwise", "products", "selection", "sums"]
