"""NumPy arrays and PyTorch tensors behind the few operations that encoding and decoding need."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING

import flint
import numpy as np

from constructions.algebra.kinds import is_sympy, is_sympy_column, is_tensor
from constructions.algebra.types import Array

if TYPE_CHECKING:
    import torch

NOT_FINITE = "{name} holds NaN or infinite values: every entry must be finite"


def as_arrays(**values: object) -> dict[str, Array]:
    """The named values as tensors if one of them is a tensor, else as NumPy arrays (integers as exact objects).

    Tensors get the widest dtype among them. Raises ``ValueError`` naming the value that holds NaN or infinity, or has
    another dtype than of numbers, and ``TypeError`` for entries that cannot be added and multiplied.
    """
    tensors = [value for value in values.values() if is_tensor(value)]
    if tensors:
        import torch

        from constructions.algebra.guards import refuse
    dtype = functools.reduce(torch.promote_types, (tensor.dtype for tensor in tensors)) if tensors else None
    arrays: dict[str, Array] = {}
    for name, value in values.items():
        if tensors:
            tensor = torch.as_tensor(value, dtype=dtype, device=tensors[0].device)
            if not tensor.is_floating_point():
                raise ValueError(
                    f"{name} must be a floating-point tensor, got {tensor.dtype}: convert it (A.double()), or pass "
                    "integers as NumPy arrays to compute exactly"
                )
            arrays[name] = refuse(tensor, tensor, ~torch.isfinite(tensor), NOT_FINITE.format(name=name))
        else:
            array = as_numpy(value)
            if array.dtype.kind in "iu":
                array = array.astype(object)
            elif array.dtype.kind not in "fO":
                raise ValueError(f"{name} must hold numbers or ring elements, got dtype {array.dtype}")
            if array.dtype == object:
                kinds = {type(entry): entry for entry in array.flat}
                wrong = [entry for entry in kinds.values() if not is_number(entry)]
                if wrong:
                    raise TypeError(f"{name} must hold numbers or ring elements, got {wrong[0]!r}")
            finite = bool(np.isfinite(array).all()) if array.dtype.kind == "f" else all(map(is_finite, array.flat))
            if not finite:
                raise ValueError(NOT_FINITE.format(name=name))
            arrays[name] = array
    return arrays


def is_number(entry: object) -> bool:
    """Can ``entry`` be added and multiplied as an element of some commutative ring? Of any: tracers and bounds too."""
    no_ring = isinstance(entry, (str, bytes, complex, list, tuple, np.ndarray))
    return not no_ring and hasattr(entry, "__add__") and hasattr(entry, "__mul__")


def is_finite(entry: object) -> bool:
    """Is a float, ball or SymPy expression free of NaN and infinities? Entries of other rings are."""
    if isinstance(entry, (float, np.floating)):
        return math.isfinite(entry)
    if isinstance(entry, (flint.arb, flint.acb)):
        return bool(entry.is_finite())
    if not is_sympy(entry):
        return True
    import sympy

    return not entry.has(sympy.nan, sympy.oo, -sympy.oo, sympy.zoo)


def as_numpy(value: object) -> np.ndarray:
    """Nested lists, tuples, SymPy matrices or arrays as an array.

    Only lists and tuples are taken apart: NumPy would also take polynomials apart, which are sequences of terms.
    Raises ``ValueError`` for ragged lists.
    """
    if hasattr(value, "tolist") and not isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, (list, tuple)):
        return np.asarray(value)
    shape, level = [], value
    while isinstance(level, (list, tuple)) and level:
        shape.append(len(level))
        level = level[0]
    entries: Sequence[object] = [value]
    for length in shape:
        if any(not isinstance(entry, (list, tuple)) or len(entry) != length for entry in entries):
            raise ValueError(f"nested lists must have rows of one length, expected shape {tuple(shape)}")
        entries = [inner for entry in entries if isinstance(entry, (list, tuple)) for inner in entry]
    if any(isinstance(entry, np.ndarray) for entry in entries):
        return np.asarray(value)
    numbers = [entry for entry in entries if isinstance(entry, (int, float, np.number))]
    if len(numbers) == len(entries) and any(isinstance(entry, (float, np.floating)) for entry in numbers):
        return np.array(numbers, dtype=float).reshape(shape)
    return np.fromiter(entries, object, len(entries)).reshape(shape)


def column_vector(value: object) -> object:
    """``value``, or the entries of a SymPy column vector, which is a matrix of one column."""
    return list(value) if is_sympy_column(value) else value


def empty_rows(like: Sequence[Array], shape: tuple[int, ...]) -> Array:
    """Zeros of the given shape in the kind of array that can hold all of ``like``."""
    tensors = [array for array in like if is_tensor(array)]
    if tensors:
        # a zero of each, added: under vmap the result is mapped over whatever one of them is mapped over
        zero = functools.reduce(operator.add, (tensor.new_zeros(()) for tensor in tensors))
        return zero.new_zeros(shape)
    dtype = np.result_type(*(array.dtype for array in like if isinstance(array, np.ndarray)))
    return np.full(shape, 0, dtype=dtype)


def refuse_reduced_precision(u: torch.Tensor) -> None:
    """Raise ``RuntimeError`` where PyTorch would multiply ``u`` in TF32: float32 on CUDA, when the program asked for it."""
    import torch

    if u.is_cuda and u.dtype == torch.float32 and torch.get_float32_matmul_precision() != "highest":
        raise RuntimeError(
            "float32 matrix products are set to reduced precision (TF32), which exact weights do not survive: call "
            "torch.set_float32_matmul_precision('highest')"
        )


def batch_shape(**shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The broadcast of leading batch shapes by name; raises ``ValueError`` when they do not agree."""
    result: list[int] = []
    for shape in shapes.values():
        result = [1] * (len(shape) - len(result)) + result
        for place, size in enumerate(shape, len(result) - len(shape)):
            # sizes that a tracer (torch.export) leaves open are compared, never converted
            if size == result[place] or size == 1:
                continue
            if result[place] != 1:
                given = ", ".join(f"{name} has {tuple(shape)}" for name, shape in shapes.items())
                raise ValueError(f"leading batch dimensions must agree or be 1: {given}")
            result[place] = size
    return tuple(result)
