"""Refusals of values that keep working where PyTorch traces a program or maps it over a batch.

``if bad.any(): raise`` reads a value while the program runs. ``torch.compile`` breaks its graph there, and
``torch.func.vmap`` has no value to give. :func:`refuse` is the same test as an operator of its own, which both of them carry
along and execute with the numbers at hand. ``torch.export`` leaves it out: an exported program runs where this package is
not installed, and answers NaN with NaN.
"""

from __future__ import annotations

import torch
from torch import Tensor

VALUE = "<value>"
"""Stands in a message for the first value that is refused."""


@torch.library.custom_op("precls::refuse", mutates_args=())
def _refuse(shown: Tensor, wrong: Tensor, message: str, overflow: bool) -> Tensor:
    """One, or an error."""
    if bool(wrong.any()):
        if VALUE in message:
            message = message.replace(VALUE, f"{shown[wrong].reshape(-1)[0].item():.6g}")
        raise (OverflowError if overflow else ValueError)(message)
    return shown.new_ones(())


@_refuse.register_fake
def _(shown: Tensor, wrong: Tensor, message: str, overflow: bool) -> Tensor:
    return shown.new_ones(())


@_refuse.register_vmap
def _(
    info: object, in_dims: tuple[int | None, ...], shown: Tensor, wrong: Tensor, message: str, overflow: bool
) -> tuple[Tensor, None]:
    moved = (x if at is None else x.movedim(at, 0) for x, at in zip((shown, wrong), in_dims, strict=False))
    return _refuse(*moved, message, overflow), None


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def is_exporting() -> bool:
    """Is ``torch.export`` at work? Asked outside the traced program: inside, PyTorch 2.11 says so of ``torch.compile`` too."""
    return torch.compiler.is_exporting()


def refuse(values: Tensor, shown: Tensor, wrong: Tensor, message: str, overflow: bool = False) -> Tensor:
    """``values``, unless a flag of ``wrong`` is set: then ``ValueError`` (``OverflowError``) with ``message``.

    ``wrong`` has the shape of ``shown``, of which the message gives the first number that is refused, or is a single flag.
    """
    if is_exporting():
        return values
    if not torch.compiler.is_compiling():
        try:
            if not bool(wrong.any()):
                return values
        except RuntimeError:  # under vmap a flag has no value: the operator sees the whole batch
            pass
    # a factor one, so that no compiler finds the operator without use
    result: Tensor = values * _refuse(shown.detach(), wrong, message, overflow)
    return result
