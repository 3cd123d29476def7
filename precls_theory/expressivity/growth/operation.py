"""One record for each ATen operation: all that this package knows of it, in one place.

``growth`` is the rule, ``ball`` the evaluation in ball arithmetic; the other fields say where the rule holds.  A rule is
called with the arguments under the names of PyTorch's schema, and only with those that differ from the schema's
defaults, which its own defaults must repeat (a test compares them).  An argument that a rule does not name, or a type of
value that it does not expect, is `Inconclusive`: nothing is ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Required, TypeAlias, TypedDict, TypeVar, Unpack

import torch
from torch import Tensor, nn
from torch._ops import OpOverload

from precls_theory.enclosures import norms
from precls_theory.enclosures.formats import Rounding
from precls_theory.enclosures.norms import up, up_mul
from precls_theory.expressivity.growth.value import KINDS, Analyticity, Growth, constant
from precls_theory.expressivity.tracing.program import Call, Inconclusive, Number, Sizes
from precls_theory.expressivity.tracing.trace import lookup

Rule = Callable[..., object]
"""``rule(context, **arguments)``; the walk checks that what it returns is a value of the domain, or a tuple of them."""

T = TypeVar("T", bound=Rule)
ARGUED = "argued"


@dataclass(frozen=True)
class Operation:
    """What is known of an operation.

    ``statement`` is the inequality of its ``growth`` rule; ``analytic`` the regularity of the operation; ``exact``: it
    rounds nothing; ``masks``: the rule handles entries that are ``-inf``; ``complex``: it holds for complex numbers, in
    absolute values; ``integers``: its results may be truth values or positions that depend on the input;
    ``moves``: the rule only says which entry goes where, and serves the ball evaluation too.  ``proof``
    names the registered theorem that proves the inequality, or says that it is argued in the rule's docstring.
    """

    target: OpOverload
    growth: Rule
    statement: str
    exponent: int = 1
    analytic: Analyticity = "analytic"
    ball: Rule | None = None
    exact: bool = False
    masks: bool = False
    complex: bool = False
    integers: bool = False
    moves: bool = False
    proof: str = "growth-rules"

    @property
    def name(self) -> str:
        """As PyTorch writes it: ``aten.add.Tensor``."""
        return str(self.target)


class Facts(TypedDict, total=False):
    """The fields of an :class:`Operation` that its growth rule is registered with."""

    statement: Required[str]
    exponent: int
    analytic: Analyticity
    exact: bool
    masks: bool
    complex: bool
    integers: bool
    moves: bool
    proof: str


OPERATIONS: dict[OpOverload, Operation] = {}


def overloads(names: str) -> list[OpOverload]:
    """The overloads meant by ``"add.Tensor add.Scalar"``; without an overload's name, ``default``.

    What this version of PyTorch does not have is left out: a trace cannot contain it.
    """
    found = []
    for name in names.split():
        packet, _, overload = name.partition(".")
        target = getattr(getattr(torch.ops.aten, packet, None), overload or "default", None)
        if target is not None:
            found.append(target)
    return found


def operation(names: str, **facts: Unpack[Facts]) -> Callable[[T], T]:
    """Register the record of the operations called ``names`` with the decorated growth rule."""

    def register(growth: T) -> T:
        for target in overloads(names):
            assert target not in OPERATIONS, f"{target} has two records"
            OPERATIONS[target] = Operation(target, growth, **facts)
        return growth

    return register


def ball(names: str) -> Callable[[T], T]:
    """Give the operations called ``names`` the decorated evaluation in ball arithmetic."""

    def register(evaluate: T) -> T:
        for target in overloads(names):
            assert OPERATIONS[target].ball is None, f"{target} has two ball evaluations"
            OPERATIONS[target] = replace(OPERATIONS[target], ball=evaluate)
        return evaluate

    return register


# ---- rules for modules, given by users -------------------------------------------------------------------------------


@dataclass(frozen=True)
class ModuleRule:
    """A user's rule for a module type; trusted."""

    name: str
    growth: Rule
    statement: str
    exponent: int = 1
    analytic: Analyticity = "analytic"
    proof: str = "given by the user"


MODULE_RULES: dict[type[nn.Module], ModuleRule] = {}


def register_rule(
    module_type: type[nn.Module], *, statement: str = "", exponent: int = 1, analytic: Analyticity = "analytic"
) -> Callable[[T], T]:
    """Register ``rule(module, *growths) -> Growth`` for a module type, which is then one operation of every trace.

    The rule is trusted: it must bound the norm of the module's output for all inputs.  ``Growth.affine`` covers the
    common case::

        @register_rule(MyLayer, statement="‖y‖ ≤ 3 ‖x‖")
        def my_layer(module: MyLayer, x: Growth) -> Growth:
            return x.affine(c0=0.0, c1=3.0)

    Raises:
        TypeError: ``module_type`` is not a subclass of ``nn.Module``.
    """
    if not (isinstance(module_type, type) and issubclass(module_type, nn.Module)):
        raise TypeError(f"register_rule needs a subclass of torch.nn.Module, got {module_type!r}")

    def register(growth: T) -> T:
        text = statement or f"as registered for {module_type.__name__}"
        MODULE_RULES[module_type] = ModuleRule(module_type.__name__, growth, text, exponent, analytic)
        return growth

    return register


def has_module_rule(module: nn.Module) -> bool:
    """Whether a user's rule makes this module one operation of the trace."""
    return lookup(MODULE_RULES, module) is not None


def registered_rules() -> list[Operation | ModuleRule]:
    """Every record, users' rules included."""
    return [*OPERATIONS.values(), *MODULE_RULES.values()]


# ---- what a rule may ask ---------------------------------------------------------------------------------------------

Norms = dict[int, tuple[Tensor, float, float]]

GrowthLike: TypeAlias = Growth | Tensor | Number
"""What :meth:`GrowthContext.growth` takes: a ``Tensor`` or ``Scalar`` of the schema, whether it depends on the input or not."""


def dims_of(dim: Sizes | None, ndim: int) -> tuple[int, ...]:
    """Dimensions as negative numbers, in order; all of them where none is named."""
    if dim is None or (isinstance(dim, Sequence) and len(dim) == 0):
        return tuple(range(-ndim, 0))
    return tuple(sorted(d if d < 0 else d - ndim for d in ((dim,) if isinstance(dim, int) else dim)))


def each(value: Sizes, count: int) -> tuple[int, ...]:
    """One number for each of ``count`` dimensions; a single one stands for all."""
    items = (value,) if isinstance(value, int) else tuple(value)
    return items * count if len(items) == 1 else items


class GrowthContext:
    """The operation that a rule is applied to: its place, its result's shape, and helpers for its operands."""

    def __init__(
        self, call: Call[Growth], record: Operation, pieces: bool, cache: Norms, rounding: Rounding | None = None
    ) -> None:
        self.call, self.record, self.pieces, self.rounding = call, record, pieces, rounding
        self.place, self.name, self.several = call.place, call.name, call.several
        self.outs, self.shape, self.dtype = call.outs, call.shape, call.dtype
        self.kind = KINDS.index(record.analytic)  # a rule lowers it where, say, a mask turns out to be constant
        self._cache = cache

    def fail(self, reason: str) -> Inconclusive:
        """The error to raise when the rule does not apply."""
        return Inconclusive(self.place, f"{self.name}: {reason}")

    def growth(self, x: object) -> Growth:
        """An operand as an abstract value: numbers and plain tensors are constants."""
        if isinstance(x, Tensor):
            x = constant(x, self.place)
        elif isinstance(x, bool | int | float):
            x = constant(torch.tensor(float(x), dtype=torch.float64), self.place)
        elif not isinstance(x, Growth):
            raise self.fail(f"an operand of type {type(x).__name__} is not covered")
        if x.masked is not None and not self.record.masks:
            raise self.fail("entries that are masked with -inf must go to a softmax first")
        return x

    def number(self, x: object) -> float:
        """A finite parameter of the operation."""
        if isinstance(x, Tensor) and x.numel() == 1 and not x.is_complex():
            x = float(x)
        if not isinstance(x, int | float):
            raise self.fail(f"expected a number, got {type(x).__name__}")
        if not abs(x) < float("inf"):
            raise self.fail(f"a parameter is {x}, expected a finite number")
        return float(x)

    def spectral(self, weights: Tensor) -> float:
        """Upper bound of the spectral norm, computed once per tensor; in floating point, of what a product can reach."""
        if id(weights) not in self._cache:  # the tensor is kept beside its norms, so that its id is not used again
            frobenius = norms.frobenius_norm(torch.view_as_real(weights) if weights.is_complex() else weights)
            self._cache[id(weights)] = (weights, norms.spectral_norm(weights), frobenius)
        _, spectral, frobenius = self._cache[id(weights)]
        if self.rounding is None:
            return spectral
        gamma = self.rounding.gamma(4 * max((*weights.shape[-2:], 1)) + 64)
        return up(spectral + up_mul(gamma, frobenius))
