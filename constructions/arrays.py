"""NumPy arrays and PyTorch tensors behind the few operations that encoding and decoding need."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import torch


def as_arrays(**values: Any) -> dict[str, Any]:
    """The named values as tensors if one of them is a tensor, else as NumPy arrays (integers as exact objects).

    Raises ``ValueError`` naming the value that is empty or holds NaN or infinity.
    """
    tensors = [value for value in values.values() if isinstance(value, torch.Tensor)]
    arrays: dict[str, Any] = {}
    array: Any
    for name, value in values.items():
        if tensors:
            array = torch.as_tensor(value, dtype=tensors[0].dtype, device=tensors[0].device)
            if not array.is_floating_point():
                raise ValueError(f"{name} must be a floating-point tensor, got {array.dtype}")
            finite = bool(torch.isfinite(array).all())
        else:
            array = as_numpy(value)
            if array.dtype.kind in "iu":
                array = array.astype(object)
            elif array.dtype.kind not in "fO":
                raise ValueError(f"{name} must hold numbers or ring elements, got dtype {array.dtype}")
            is_float = array.dtype.kind == "f"
            floats: Any = array if is_float else [x for x in array.flat if isinstance(x, (float, np.floating))]
            finite = bool(np.isfinite(floats).all())
        if not finite:
            raise ValueError(f"{name} holds NaN or infinite values: every entry must be finite")
        arrays[name] = array
    return arrays


def as_numpy(value: Any) -> np.ndarray:
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
    entries: list[Any] = [value]
    for length in shape:
        if any(not isinstance(entry, (list, tuple)) or len(entry) != length for entry in entries):
            raise ValueError(f"nested lists must have rows of one length, expected shape {tuple(shape)}")
        entries = [inner for entry in entries for inner in entry]
    if any(isinstance(entry, np.ndarray) for entry in entries):
        return np.asarray(value)
    numbers = all(isinstance(entry, (int, float, np.number)) for entry in entries)
    if numbers and any(isinstance(entry, (float, np.floating)) for entry in entries):
        return np.array(entries, dtype=float).reshape(shape)
    return np.fromiter(entries, object, len(entries)).reshape(shape)


def empty_rows(like: list[Any], shape: tuple[int, ...]) -> Any:
    """Zeros of the given shape in the kind of array that can hold all of ``like``."""
    if isinstance(like[0], torch.Tensor):
        return torch.zeros(shape, dtype=like[0].dtype, device=like[0].device)
    dtype = np.result_type(*(array.dtype for array in like))
    return np.full(shape, 0, dtype=dtype)


def refuse_reduced_precision(u: torch.Tensor) -> None:
    """Raise ``RuntimeError`` where PyTorch would multiply ``u`` in TF32: float32 on CUDA, when the program asked for it."""
    if u.is_cuda and u.dtype == torch.float32 and torch.get_float32_matmul_precision() != "highest":
        raise RuntimeError(
            "float32 matrix products are set to reduced precision (TF32), which exact weights do not survive: call "
            "torch.set_float32_matmul_precision('highest')"
        )


def batch_shape(*shapes: Any) -> tuple[int, ...]:
    """The broadcast of leading batch shapes; raises ``ValueError`` when they do not agree."""
    return tuple(np.broadcast_shapes(*(tuple(shape) for shape in shapes)))


def as_fraction(name: str, value: Any) -> Fraction:
    """``value`` as an exact rational: a Fraction, an int, or a string such as ``"1/10"`` or ``"0.1"``.

    Raises ``TypeError`` for a float, which is rarely the number that was meant.
    """
    if isinstance(value, float):
        raise TypeError(f"{name} must be exact: write Fraction(1, 10) or '0.1' rather than the float {value!r}")
    try:
        exact = Fraction(value)
        # Of a NumPy integer the fraction would keep its type, which overflows in silence.
        return Fraction(int(exact.numerator), int(exact.denominator))
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise ValueError(f"{name} must be a rational number such as 1/10 or 0.1, got {value!r}") from error


def as_count(name: str, value: Any, minimum: int = 1) -> int:
    """``value`` as an int of at least ``minimum``; ``ValueError`` otherwise."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < minimum:
        raise ValueError(f"{name} must be an integer of at least {minimum}, got {value!r}")
    return int(value)
