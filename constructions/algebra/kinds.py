"""Is a value of PyTorch's or SymPy's? Asked without importing either: where it was not imported, nothing is."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeGuard

if TYPE_CHECKING:
    import sympy
    import torch


def is_tensor(value: object) -> TypeGuard[torch.Tensor]:
    """Is ``value`` a tensor of PyTorch?"""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def is_sympy(value: object) -> TypeGuard[sympy.Basic]:
    """Is ``value`` an expression of SymPy?"""
    sympy = sys.modules.get("sympy")
    return sympy is not None and isinstance(value, sympy.Basic)


def is_sympy_column(value: object) -> TypeGuard[sympy.MatrixBase]:
    """Is ``value`` a matrix of SymPy with one column? Immutable ones are expressions of SymPy, mutable ones are not."""
    return bool(getattr(value, "is_Matrix", False)) and getattr(value, "cols", None) == 1


def is_sympy_type(kind: type) -> bool:
    """Is ``kind`` a type of SymPy expressions?"""
    sympy = sys.modules.get("sympy")
    return sympy is not None and issubclass(kind, sympy.Basic)
