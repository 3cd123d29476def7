"""The domain of growth bounds: how a walk applies a record to abstract values."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, fx

from precls_theory.enclosures.formats import Rounding, terms_of
from precls_theory.enclosures.norms import up, up_mul, up_sqrt
from precls_theory.expressivity.growth.operation import MODULE_RULES, OPERATIONS, GrowthContext, Norms
from precls_theory.expressivity.growth.value import (
    ANALYTIC,
    KINDS,
    PIECEWISE,
    Growth,
    NormPolynomial,
    TooFast,
    constant,
    poly_add,
    poly_scale,
)
from precls_theory.expressivity.tracing.program import Argument, Call, Inconclusive, Program, place_of, walk
from precls_theory.expressivity.tracing.trace import lookup


@dataclass(frozen=True)
class AppliedRule:
    """One application of a rule: in which module, which operation, by which inequality, with what growth."""

    module: str
    operation: str
    rule: str
    norm: NormPolynomial


class Bounds:
    """Growth bounds; ``pieces`` for the analytic pieces instead of the function, ``dtypes`` for computed numbers."""

    def __init__(
        self,
        program: Program,
        norms: Norms,
        constants: dict[int, tuple[Tensor, Growth]],
        pieces: bool = False,
        dtypes: frozenset[torch.dtype] = frozenset(),
    ) -> None:
        self.program, self.norms, self.constants = program, norms, constants
        self.pieces, self.dtypes = pieces, dtypes
        self.state: dict[fx.Node, Growth | tuple[Growth, ...]] = {}
        self.steps: list[AppliedRule] = []

    def run(self) -> Growth:
        """The bound of the model's output."""
        result = walk(self.program, self, self.state.__setitem__)
        if isinstance(result, Tensor):
            result = constant(result, "output")
        if not result.norm[0] < math.inf:
            raise Inconclusive("output", "the bound overflows double precision")
        if result.masked is not None and bool(result.masked.any()):
            raise Inconclusive("output", "it has entries that are -inf, which no bound covers")
        if not self.program.output.meta["val"].is_floating_point():
            raise Inconclusive(
                "output", f"it is of type {self.program.output.meta['val'].dtype}, expected real numbers"
            )
        return result

    def start(self, program: Program) -> Growth:
        """The input: ``‖u‖ ≤ ‖u‖``."""
        return Growth(program.input_shape, (0.0, 1.0))

    def apply(self, call: Call[Growth]) -> Growth | tuple[Growth, ...]:
        """The record's rule, with the checks that are the same for every operation."""
        if call.target is torch.ops.precls.leaf.default:
            return self._leaf(call)
        record = OPERATIONS.get(call.target)
        if record is None:
            raise Inconclusive(
                call.place,
                f"there is no rule for the operation {call.target}; register one for the module with register_rule",
            )
        outs = [o for o in call.outs if isinstance(o, Tensor)]
        operands = call.operands()
        rounding = None
        if self.dtypes:
            rounding = Rounding.of(self.dtypes | {x.dtype for x in (*outs, *operands)})
        context = GrowthContext(call, record, self.pieces, self.norms, rounding)
        growths = _growths(call.arguments.values())
        if not record.integers and not outs[0].is_floating_point() and not outs[0].is_complex():
            raise context.fail(f"a result of type {outs[0].dtype} that depends on the input is not covered")
        arguments = {name: self._remembered(value) for name, value in call.arguments.items()}
        if any(g.masked is not None for g in _growths(arguments.values())) and not record.masks:
            raise context.fail("entries that are masked with -inf must go to a softmax first")
        dtype = arguments.get("dtype")
        if isinstance(dtype, torch.dtype) and (dtype.is_floating_point or dtype.is_complex):
            arguments.pop("dtype")  # the identity on real numbers; its rounding is in ``rounding``
        try:
            result = record.growth(context, **arguments)
        except TooFast as error:
            raise context.fail(str(error)) from error
        except (TypeError, ValueError, IndexError, KeyError, AttributeError, RuntimeError, ArithmeticError) as error:
            raise context.fail(f"its rule does not cover this call ({error})") from error
        results: list[Growth] = []
        for x in result if isinstance(result, tuple) else (result,):
            if not isinstance(x, Growth):
                raise context.fail(f"its rule does not cover this call (it returned {type(x).__name__}, no Growth)")
            results.append(x)
        if any(x.is_complex() for x in (*outs, *operands)):
            if not record.complex:
                raise context.fail("complex numbers are not covered")
            results = [replace(x, lower=-math.inf, upper=math.inf, simplex=frozenset(), relation=None) for x in results]
        found = []
        for x, out in zip(results, outs, strict=False):
            if x.shape != tuple(out.shape):
                raise context.fail(f"its rule does not cover this call (it expects {x.shape}, not {tuple(out.shape)})")
            if rounding is not None and not record.exact:
                x = _rounded(x, rounding, terms_of(call.name, operands, out))
            found.append(replace(x, kind=max([context.kind, *(g.kind for g in growths)])))
            self.steps.append(AppliedRule(call.place, call.name, record.statement, x.norm))
        return tuple(found) if isinstance(result, tuple) else found[0]

    def _remembered(self, value: Argument[Growth]) -> Argument[Growth]:
        """Constants as abstract values, found once per tensor (masks and positions stay what they are)."""
        if isinstance(value, Tensor) and value.is_floating_point():
            if id(value) not in self.constants:
                self.constants[id(value)] = (value, constant(value))
            return self.constants[id(value)][1]
        return value

    def _leaf(self, call: Call[Growth]) -> Growth:
        inputs, index = call.arguments["inputs"], call.arguments["index"]
        assert isinstance(inputs, list)  # the operation is this package's own
        module = next(m for m in self.program.leaves if id(m) == index)
        rule = lookup(MODULE_RULES, module)
        assert rule is not None
        growths = [constant(x, call.place) if isinstance(x, Tensor) else x for x in inputs]
        result = rule.growth(module, *growths)
        place = f"{call.place.split(' (')[0]} ({rule.name})"
        if not isinstance(result, Growth) or result.shape != call.shape:
            raise Inconclusive(place, f"its rule must return a Growth of shape {call.shape}, it returned {result!r}")
        kind = max([KINDS.index(rule.analytic), *(x.kind for x in growths)])
        if kind == PIECEWISE and self.pieces and rule.analytic != "analytic":
            raise Inconclusive(place, "a user's rule bounds the function, not its pieces")
        self.steps.append(AppliedRule(place, rule.name, rule.statement, result.norm))
        return replace(result, kind=max(kind, result.kind))

    def culprit(self, exponent: int) -> tuple[str, str]:
        """The operation at which the growth of the output first exceeds the exponent: walk back from the output."""
        node = self.program.output
        while True:
            faster = [
                other
                for other in node.all_input_nodes
                if other in self.state and max(g.degree for g in _growths([self.state[other]])) > exponent
            ]
            if not faster:
                return place_of(node), str(getattr(node.target, "_schema", node).name).removeprefix("aten::")
            node = faster[0]


def _growths(arguments: Iterable[Argument[Growth]]) -> list[Growth]:
    """All abstract values among the arguments that depend on the input."""
    found: list[Growth] = []
    for value in arguments:
        found += [x for x in (value if isinstance(value, tuple | list) else [value]) if isinstance(x, Growth)]
    return found


def _rounded(x: Growth, rounding: Rounding, terms: int) -> Growth:
    """The bounds for the computed result of an operation, whose sums have at most this many terms."""
    factor, least = up(1 + rounding.gamma(terms)), up_mul(float(terms), rounding.tiny)
    norm = poly_add(poly_scale(x.norm, factor), (up_mul(least, up_sqrt(float(x.numel))),))
    entry = up(up_mul(x.entry, factor) + least)
    lower, upper = _below(x.lower, factor, least), -_below(-x.upper, factor, least)
    return replace(x, norm=norm, entry=entry, lower=lower, upper=upper)


def _below(low: float, factor: float, least: float) -> float:
    """A lower bound after rounding.  Zero stays: rounding keeps signs.  A positive one survives if the format can hold it."""
    if low == 0 or math.isinf(low):
        return low
    return math.nextafter(math.nextafter(low * (2 - factor if low > 0 else factor), -math.inf) - least, -math.inf)


__all__ = ["ANALYTIC", "AppliedRule", "Bounds"]
