"""The atlas: architectures × targets, every cell checked when it is made."""

from precls_theory.expressivity.atlas.cells import (
    Cell,
    cells,
    check_cell,
    check_impossible,
    provable_miss,
    ray,
    representative,
)
from precls_theory.expressivity.atlas.rows import ARCHITECTURES, TARGETS, Architecture

__all__ = [
    "ARCHITECTURES",
    "TARGETS",
    "Architecture",
    "Cell",
    "cells",
    "check_cell",
    "check_impossible",
    "provable_miss",
    "ray",
    "representative",
]
