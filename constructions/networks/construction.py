"""The list of constructions: each a function from parameters to a network that can be rebuilt from its metadata."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import replace
from decimal import Decimal
from numbers import Integral, Rational
from typing import ParamSpec, TypeVar, overload

import flint

import constructions
from constructions.algebra.rationals import as_fraction
from constructions.networks.base import ExactNetwork
from constructions.networks.parameters import Count, Parameter, declared


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
        for home in constructions.homes_of_constructions():
            importlib.import_module(home)


CONSTRUCTIONS = Constructions()
ALIASES = {"gd": "gradient_descent"}


def plain(value: object, name: str = "a parameter") -> object:
    """A parameter as JSON holds it: rationals of any kind as ``"p/q"``, sequences, arrays and matrices as lists."""
    if hasattr(value, "tolist"):
        return plain(value.tolist(), name)
    if isinstance(value, (bool, str)) or value is None:
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, (Rational, Decimal, flint.fmpq, flint.fmpz)):
        return str(as_fraction(name, value))
    if isinstance(value, (list, tuple)):
        return [plain(entry, name) for entry in value]
    if isinstance(value, dict):
        return {str(key): plain(entry, str(key)) for key, entry in value.items()}
    return value


P = ParamSpec("P")
N = TypeVar("N", bound=ExactNetwork)


@overload
def construction(function: Callable[P, N], /) -> Callable[P, N]: ...


@overload
def construction(*, name: str = ..., records: bool = ...) -> Callable[[Callable[P, N]], Callable[P, N]]: ...


def construction(
    function: Callable[P, N] | None = None, /, *, name: str | None = None, records: bool = False
) -> Callable[P, N] | Callable[[Callable[P, N]], Callable[P, N]]:
    """Register a construction under its name; the network that it returns records its name and parameters.

    The builder receives its parameters as their declarations say (:mod:`constructions.networks.parameters`): checked, counts as
    ints and rational numbers as fractions. ``name`` is for a function whose own name is taken. A builder that
    ``records`` names its network itself, by parameters that it resolved, or leaves it unnamed where it claims nothing.
    """
    if function is None:
        return functools.partial(_register, name=name, records=records)
    return _register(function, name, records)


def _register(function: Callable[P, N], name: str | None, records: bool) -> Callable[P, N]:
    signature, parameters, known_as = inspect.signature(function), declared(function), name or function.__name__

    @functools.wraps(function)
    def build(*args: P.args, **kwargs: P.kwargs) -> N:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        recorded = {} if records else {key: plain(value, key) for key, value in bound.arguments.items()}
        for parameter in parameters.values():
            bound.arguments[parameter.name] = value = parameter.convert(bound.arguments[parameter.name])
            if isinstance(parameter.declaration, Count):
                parameter.declaration.check(parameter.name, value, bound.arguments.get("form"))
        network = function(*bound.args, **bound.kwargs)
        if records:
            return network
        return replace(network, algorithm=known_as, parameters=recorded)

    CONSTRUCTIONS[known_as] = build
    return build


def parameters_of(algorithm: str) -> dict[str, Parameter]:
    """The declared parameters of a construction by name; ``LookupError`` where there is no such construction."""
    build = CONSTRUCTIONS[ALIASES.get(algorithm, algorithm)]
    return declared(inspect.unwrap(build))


def converted(algorithm: str, recorded: Mapping[str, object]) -> dict[str, object]:
    """Recorded parameters as the builder receives them: rational numbers as fractions."""
    parameters = parameters_of(algorithm)
    return {name: parameters[name].convert(value) if name in parameters else value for name, value in recorded.items()}


def rebuild(algorithm: str, parameters: Mapping[str, object]) -> ExactNetwork:
    """Run the construction ``algorithm`` with these parameters; ``ValueError`` when there is none or they do not fit."""
    name = ALIASES.get(algorithm, algorithm)
    if name not in CONSTRUCTIONS:
        raise ValueError(f"unknown algorithm {algorithm!r}: expected one of {', '.join(sorted(CONSTRUCTIONS))}")
    try:
        return CONSTRUCTIONS[name](**parameters)
    except TypeError as error:
        raise ValueError(f"{name}: {error}") from error
