"""A user's own model on the command line: ``MODULE:FACTORY``, imported and called; and input shapes in words."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, redirect_stdout
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from torch import nn


def read_shape(text: str) -> tuple[int, ...]:
    """``"1,20,6"`` as a tuple; a usage error in words for anything else."""
    try:
        shape = tuple(int(part) for part in text.replace("x", ",").split(","))
    except ValueError:
        shape = ()
    if not shape or min(shape) < 1:
        raise typer.BadParameter(f"expected positive integers such as 1,20,6 (batch, rows, channels), got {text!r}")
    return shape


def prints_to_stderr() -> AbstractContextManager[object]:
    """While a user's code runs: what it prints is no part of a document on standard output."""
    return redirect_stdout(sys.stderr)


def load_model(name: str) -> nn.Module:
    """The module that ``FACTORY`` of the Python module ``MODULE`` is or returns, in eval mode.

    Raises:
        ValueError: the name is not of that form, or names nothing that is a model.
    """
    module_name, _, factory_name = name.partition(":")
    if not module_name or not factory_name:
        raise ValueError(f"expected MODULE:FACTORY, as in my_models:build, got {name!r}")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: object = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # the module is the user's, and may fail or end in any way
        raise ValueError(f"cannot import {module_name}: {type(error).__name__}: {error}") from error
    for part in factory_name.split("."):
        if not hasattr(found, part):
            raise ValueError(f"{module_name} has no {factory_name}")
        found = getattr(found, part)
    from torch import nn

    if not isinstance(found, nn.Module):
        if not callable(found):
            raise ValueError(f"{name} is a {type(found).__name__}, expected a torch.nn.Module or what returns one")
        found = _called(name, found)
    if not isinstance(found, nn.Module):
        raise ValueError(f"{name} returned a {type(found).__name__}, expected a torch.nn.Module")
    return found.eval()


def _called(name: str, factory: Callable[[], object]) -> object:
    try:
        return factory()
    except (Exception, SystemExit) as error:  # the factory is the user's, and may fail or end in any way
        raise ValueError(
            f"{name}() raised {type(error).__name__}: {error}; a factory takes no arguments and returns a torch.nn.Module"
        ) from error
