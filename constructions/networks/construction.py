"""The list of constructions: each a function from parameters to a network that can be rebuilt from its metadata."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import replace
from decimal import Decimal
from numbers import Integral, Rational
from typing import Any, ParamSpec, TypeVar

import flint

import constructions
from constructions.algebra.rationals import as_fraction
from constructions.networks.base import ExactNetwork


class Constructions(MutableMapping[str, Callable[..., ExactNetwork]]):
    """Constructions by name; the module of one is imported when it is first asked for, and all of them for a list."""

    def __init__(self) -> None:
        self._known: dict[str, Callable[..., ExactNetwork]] = {}

    def __getitem__(self, name: str) -> Callable[..., ExactNetwork]:
        if name not in self._known:
            home = constructions.home_of(name)
            if home is None:
                self._import_all()
            else:
                importlib.import_module(home)
        return self._known[name]

    def __setitem__(self, name: str, build: Callable[..., ExactNetwork]) -> None:
        self._known[name] = build

    def __delitem__(self, name: str) -> None:
        del self._known[name]

    def __iter__(self) -> Iterator[str]:
        self._import_all()
        return iter(dict(self._known))

    def __len__(self) -> int:
        self._import_all()
        return len(self._known)

    def _import_all(self) -> None:
        for home in constructions.homes():
            importlib.import_module(home)


CONSTRUCTIONS = Constructions()
ALIASES = {"gd": "gradient_descent"}


def plain(value: Any) -> Any:
    """A parameter as JSON holds it: rationals of any kind as ``"p/q"``, sequences, arrays and matrices as lists."""
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, (bool, str)) or value is None:
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, (Rational, Decimal, flint.fmpq, flint.fmpz)):
        return str(as_fraction("a parameter", value))
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    return value


P = ParamSpec("P")
N = TypeVar("N", bound=ExactNetwork)


def construction(function: Callable[P, N]) -> Callable[P, N]:
    """Register a construction under its name; the network that it returns records its name and parameters."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def build(*args: P.args, **kwargs: P.kwargs) -> N:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        network = function(*bound.args, **bound.kwargs)
        return replace(network, algorithm=function.__name__, parameters=plain(dict(bound.arguments)))

    CONSTRUCTIONS[function.__name__] = build
    return build


def rebuild(algorithm: str, parameters: dict[str, Any]) -> ExactNetwork:
    """Run the construction ``algorithm`` with these parameters; ``ValueError`` when there is none or they do not fit."""
    name = ALIASES.get(algorithm, algorithm)
    if name not in CONSTRUCTIONS:
        raise ValueError(f"unknown algorithm {algorithm!r}: expected one of {', '.join(sorted(CONSTRUCTIONS))}")
    try:
        return CONSTRUCTIONS[name](**parameters)
    except TypeError as error:
        raise ValueError(f"{name}: {error}") from error
