"""What a construction needs, it declares, once: the type, the bounds and the meaning of each of its parameters.

A parameter of a function decorated with :func:`constructions.networks.construction.construction` is annotated with one
of the declarations below::

    @construction
    def newton(*, n_points: Points, n_iters: Annotated[int, Count("iterates", minimum=0, fits="layers")], ...)

The declaration is read by the decorator, which hands the builder checked and converted values; by ``precls build``, which
makes an option of it; and by the reader of files, which refuses a count that the file cannot hold before anything is
built. A ``Literal`` declares itself. What has no declaration is left to the builder as it is given.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Literal, TypedDict, TypeVar, cast, get_args, get_origin, get_type_hints

from constructions.algebra.rationals import as_count, as_fraction
from constructions.networks.tasks import LayoutName

Held = Literal["rows", "channels", "layers", "doublings", "triplings", "pairs"]
"""What of a file bounds a count: its rows, its largest number of channels, its layers L, or 2^L, or 3^L; or its channels and,
where a network holds more than 4 numbers for each pair, the square root of a fourth of the numbers held."""
MAX_LAYERS = 10**6
"""Most steps of a construction that writes out a layer, or several, for each."""


@dataclass(frozen=True)
class Declaration:
    """A parameter in words; ``help`` says what it is, ``usual`` is what ``precls build`` takes unless told otherwise."""

    help: str

    def convert(self, name: str, value: object) -> object:
        """The value as the builder wants it; ``ValueError`` in words when it is none."""
        return value

    @property
    def metavar(self) -> str:
        """How a value is written on the command line."""
        return "JSON"


@dataclass(frozen=True)
class Count(Declaration):
    """An integer of at least ``minimum``, which no file of fewer ``fits`` holds (by the value of the parameter ``form``,
    where that is a dictionary)."""

    minimum: int = 1
    fits: Held | Mapping[str, Held] = "channels"
    usual: int | None = None

    def convert(self, name: str, value: object) -> int:
        """An int; ``ValueError`` for anything else, and below ``minimum``."""
        return as_count(name, value, self.minimum)

    def held(self, form: object) -> Held:
        """What of a file bounds this count, in this form of the construction."""
        return self.fits if isinstance(self.fits, str) else self.fits.get(str(form), "layers")

    def check(self, name: str, value: object, form: object) -> None:
        """``ValueError`` for a count whose layers alone would fill the memory: 10^9 steps, each a layer or more."""
        if self.held(form) == "layers" and isinstance(value, int) and value > MAX_LAYERS:
            raise ValueError(f"{name} is {value}, and each takes a layer or more: at most {MAX_LAYERS} are built")

    @property
    def metavar(self) -> str:
        """How a value is written on the command line."""
        return "INTEGER"


@dataclass(frozen=True)
class Exact(Declaration):
    """A rational number."""

    def convert(self, name: str, value: object) -> Fraction:
        """A fraction; ``ValueError`` for what is no rational number, ``TypeError`` for a float."""
        return as_fraction(name, value)

    @property
    def metavar(self) -> str:
        """How a value is written on the command line."""
        return "P/Q"


@dataclass(frozen=True)
class Choice(Declaration):
    """One of some words."""

    options: tuple[str, ...] = ()

    def convert(self, name: str, value: object) -> str:
        """The word; ``ValueError`` naming the words for any other value."""
        if not isinstance(value, str) or value not in self.options:
            raise ValueError(f"{name} must be one of {', '.join(self.options)}, got {value!r}")
        return value

    @property
    def metavar(self) -> str:
        """How a value is written on the command line."""
        return "|".join(self.options)


@dataclass(frozen=True)
class Switch(Declaration):
    """True or false."""

    def convert(self, name: str, value: object) -> bool:
        """A bool; ``ValueError`` for anything else."""
        if not isinstance(value, bool):
            raise ValueError(f"{name} must be true or false, got {value!r}")
        return value


Rational = Fraction | int | str
Points = Annotated[int, Count("data rows N", fits="rows", usual=20)]
Dims = Annotated[int, Count("unknowns D", usual=5)]
GramDims = Annotated[int, Count("unknowns D", fits="pairs", usual=5)]
"""D of a network that holds the D(D+1)/2 products of the data, each with weights of its own."""
Rows = Annotated[int, Count("rows", fits="rows")]
Row = Annotated[int, Count("a row, from 0", minimum=0, fits="rows")]
Place = Annotated[int, Count("a channel, from 0", minimum=0)]
Channels = Annotated[int, Count("channels", fits="channels")]
StepSize = Annotated[Rational, Exact("step size η, exactly: 1/10 or 0.1")]


P = TypeVar("P", bound=Mapping[str, object])


class IterationCounts(TypedDict, total=False):
    """Sizes and counts of an iteration for least squares."""

    n_points: int
    n_dims: int
    n_steps: int
    n_iters: int
    n_applications: int
    refinements: int


class IterationParameters(IterationCounts, total=False):
    """What an iteration for least squares records, each form the parameters that it takes."""

    step_size: Rational
    momentum: Rational
    lower: Rational
    upper: Rational
    alpha: Rational
    constant: Rational
    scales: list[Rational] | None


class IterationValues(IterationCounts, total=False):
    """The same as the builder receives them: rationals as fractions."""

    step_size: Fraction
    momentum: Fraction
    lower: Fraction
    upper: Fraction
    alpha: Fraction
    constant: Fraction
    form: str
    layout: LayoutName


class PrimitiveParameters(TypedDict, total=False):
    """What a primitive records: sizes, rows, the places of blocks of channels, and the matrix of ``linear``."""

    n_rows: int
    n_channels: int
    source: int
    target: int
    start: int
    stop: int
    left: int
    right: int
    length: int
    clear: bool
    weight: Sequence[Sequence[Rational]]
    bias: Sequence[Rational] | None


class ClaimParameters(TypedDict):
    """A construction by name, as a network made of another one records it."""

    algorithm: str
    parameters: dict[str, object]


def recorded(parameters: Mapping[str, object], kind: type[P]) -> P:
    """``parameters`` as those that the construction of this ``kind`` records; ``KeyError`` where a required one is missing."""
    required: frozenset[str] = getattr(kind, "__required_keys__", frozenset())
    missing = required - parameters.keys()
    if missing:
        raise KeyError(f"the parameters {', '.join(sorted(missing))} are not recorded")
    return cast(P, parameters)


def claim_of(parameters: Mapping[str, object]) -> ClaimParameters:
    """The construction that the parameter ``network`` names; ``ValueError`` where it names none."""
    inner = parameters.get("network")
    if not isinstance(inner, dict) or not isinstance(inner.get("parameters"), dict):
        raise ValueError(f"expected {{'algorithm': …, 'parameters': {{…}}}}, got {inner!r:.200}")
    return recorded(inner, ClaimParameters)


@dataclass(frozen=True)
class Parameter:
    """A parameter of a construction: its declaration, and its default (``inspect.Parameter.empty`` where it has none)."""

    name: str
    declaration: Declaration | None
    default: object

    @property
    def required(self) -> bool:
        """Must it be given?"""
        return self.default is inspect.Parameter.empty

    def convert(self, value: object) -> object:
        """The value as the builder wants it; a default, and what is not declared, as it is."""
        if self.declaration is None or (value is self.default) or (value is None and self.default is None):
            return value
        return self.declaration.convert(self.name, value)


def declared(function: Callable[..., object]) -> dict[str, Parameter]:
    """The parameters of a construction by name."""
    hints = get_type_hints(function, include_extras=True)
    return {
        name: Parameter(name, _declaration(hints.get(name)), parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
    }


def _declaration(hint: object) -> Declaration | None:
    """The declaration in an annotation, also behind ``| None``; ``None`` where it has none."""
    help = ""
    if get_origin(hint) is Annotated:
        hint, *notes = get_args(hint)
        for note in notes:
            if isinstance(note, Declaration) and type(note) is not Declaration:
                return note
            help = note.help if isinstance(note, Declaration) else help
    if get_origin(hint) is Literal:
        return Choice(help, tuple(map(str, get_args(hint))))
    if hint is bool:
        return Switch(help)
    inner = [_declaration(part) for part in get_args(hint)] if get_origin(hint) is not Literal else []
    found = next((part for part in inner if isinstance(part, (Choice, Count, Exact, Switch))), None)
    if found is not None and type(None) in get_args(hint):
        return found
    return Declaration(help) if help else None


@dataclass(frozen=True)
class Sizes:
    """What a file holds."""

    rows: int
    channels: int
    layers: int
    numbers: int

    def bound(self, count: Count, form: object) -> int:
        """The largest value of a count that a network of these sizes can have been built with."""
        layers = min(self.layers, 4096)
        bounds: dict[Held, int] = {
            "rows": self.rows, "channels": self.channels, "layers": self.layers, "doublings": 2**layers,
            "triplings": 3**layers, "pairs": min(self.channels, math.isqrt(self.numbers // 4)),
        }  # fmt: skip
        return bounds[count.held(form)]
