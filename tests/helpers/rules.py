"""Single operations as programs, built call by call without a trace: growth rules run on them in milliseconds."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import pytest
import torch
from torch import Tensor, fx, nn

from precls_theory.expressivity.growth import rules as _rules  # noqa: F401  (fills the registry)
from precls_theory.expressivity.growth.interpreter import Bounds
from precls_theory.expressivity.growth.operation import overloads
from precls_theory.expressivity.growth.value import KINDS, Growth
from precls_theory.expressivity.tracing.program import Inconclusive, Program, Tensors, walk

SIZES = (0.0, 0.1, 30.0, 1e7)
"""Lengths of inputs; the ends show the constant and the leading coefficient of a bound."""


class Operations:
    """A graph in the making: ``op("sum.dim_IntList", x, [-1])`` adds a call of that overload and returns its node."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.graph = fx.Graph()
        self.input = self.graph.placeholder("u")
        self.input.meta["val"] = torch.full(shape, 0.5, dtype=torch.float64)
        self.constants: dict[fx.Node, Tensor] = {}
        self.called: list[fx.Node] = []

    def _node(self, x: object) -> object:
        if isinstance(x, Tensor):
            node = self.graph.placeholder(f"c{len(self.constants)}")
            node.meta["val"] = self.constants[node] = x
            return node
        return [self._node(item) for item in x] if isinstance(x, list) else x

    def __call__(self, name: str, *args: object, **kwargs: object) -> fx.Node:
        (target,) = overloads(name)
        given = tuple(map(self._node, args)), {key: self._node(x) for key, x in kwargs.items()}
        node = self.graph.call_function(target, *given)
        values = torch.utils._pytree.tree_map_only(fx.Node, lambda n: n.meta["val"], given)
        node.meta["val"] = target(*values[0], **values[1])
        self.called.append(node)
        return node

    def part(self, node: fx.Node, index: int) -> fx.Node:
        """One of several results."""
        found = self.graph.call_function(operator.getitem, (node, index))
        found.meta["val"] = node.meta["val"][index]
        return found


Build = Callable[[Operations, fx.Node], fx.Node]


@dataclass(frozen=True)
class Case:
    """What is known of ``build(op, u)``, with u of ``shape``: the facts of its :class:`Growth`, and how sharp they are.

    ``norm``, ``low``, ``high``, ``entry`` (``None``: what the limits give), ``simplex``, ``kind`` are those that the
    statement of the rule promises; ``share`` of the bound is reached at an input far out along ``at`` (or at the inputs that
    every case is tried at).  ``pieces``: the norm for the analytic pieces, ``refused`` the end of the reason there.
    """

    build: Build
    norm: tuple[float, ...]
    low: float = -inf
    high: float = inf
    entry: float | None = None
    share: float = 1.0
    shape: tuple[int, ...] = (2, 3)
    at: Tensor | None = None
    simplex: frozenset[int] = frozenset()
    kind: int = 0
    pieces: tuple[float, ...] | None = None
    refused: str = ""


def program(build: Build, shape: tuple[int, ...] = (2, 3)) -> Program:
    op = Operations(shape)
    return Program(op.graph, op.input, build(op, op.input), op.constants, nn.Identity())


def bound(build: Build, shape: tuple[int, ...] = (2, 3), pieces: bool = False, **options: object) -> Growth:
    return Bounds(program(build, shape), {}, {}, pieces, **options).run()  # type: ignore[arg-type]


def directions(shape: tuple[int, ...], at: Tensor | None) -> list[Tensor]:
    """Inputs of norm 1: equal, alternating, one entry, dense, one sign, and the given one."""
    count = torch.Size(shape).numel()
    generator = torch.Generator().manual_seed(1)
    spike = torch.zeros(count, dtype=torch.float64)
    spike[count // 2] = 1.0
    signs = torch.ones(count, dtype=torch.float64)
    signs[1::2] = -1
    dense = [torch.randn(count, generator=generator, dtype=torch.float64) for _ in range(2)]
    found = [torch.ones(count, dtype=torch.float64), signs, spike, *dense, *([] if at is None else [at.double()])]
    return [sign * x.reshape(shape) / x.norm() for x in found for sign in (1, -1)]


@dataclass(frozen=True)
class Seen:
    """What evaluation shows of a bound: the largest share at 0 and far out, and the least and largest entries."""

    at_zero: float
    far: float
    least: float
    most: float


def observe(traced: Program, growth: Growth, at: Tensor | None) -> Seen:
    """Evaluate at every size along every direction; fails where a fact about the result is violated."""
    at_zero = far = 0.0
    least, most = inf, -inf
    for size in SIZES:
        for direction in directions(traced.input_shape, at)[: 1 if size == 0 else None]:
            out = walk(traced, Tensors(direction * size))
            y = (torch.view_as_real(out) if out.is_complex() else out).double().reshape(-1)
            assert y.isfinite().all(), (size, y)
            limit = sum(c * size**i for i, c in enumerate(growth.norm))
            largest = float(y.abs().max())
            reached = float((y / (largest or 1.0)).norm()) * largest  # squares of small numbers do not underflow
            slack = 1e-9 * (1 + largest)
            assert reached <= limit * (1 + 1e-9) + slack, (size, reached, limit)
            if not out.is_complex():
                assert largest <= growth.entry + slack, (size, y)
                assert float(y.min()) >= growth.lower - slack, (size, y)
                assert float(y.max()) <= growth.upper + slack, (size, y)
            for dim in growth.simplex:
                assert float(out.sum(dim).max()) <= 1 + 1e-9, (size, dim)
            least, most = min(least, float(y.min())), max(most, float(y.max()))
            if size == 0 and limit:
                at_zero = max(at_zero, reached / limit)
            if size == SIZES[-1] and limit:
                far = max(far, reached / limit)
    return Seen(at_zero, far, least, most)


def close(numbers: tuple[float, ...]) -> object:
    return pytest.approx(numbers, rel=1e-9, abs=1e-300)


def examine(case: Case) -> None:
    """The facts are those of the statement, hold, and are reached."""
    traced = program(case.build, case.shape)
    growth = Bounds(traced, {}, {}).run()
    assert growth.norm == close(case.norm)
    assert all(found >= promised * (1 - 1e-14) for found, promised in zip(growth.norm, case.norm, strict=True))
    entry = max(-case.low, case.high) if case.entry is None else case.entry
    assert (growth.lower, growth.upper, growth.entry) == close((case.low, case.high, entry))
    assert growth.simplex == case.simplex
    assert KINDS[growth.kind] == KINDS[case.kind]
    seen = observe(traced, growth, case.at)
    assert max(seen.far, seen.at_zero if len(growth.norm) == 1 else 0) >= case.share - 1e-6
    if case.kind == 1 and case.pieces is not None:
        assert Bounds(traced, {}, {}, pieces=True).run().norm == close(case.pieces)
    elif case.kind == 1:
        with pytest.raises(Inconclusive, match=re.escape(case.refused) + "$"):
            Bounds(traced, {}, {}, pieces=True).run()


def refuses(build: Build, reason: str, shape: tuple[int, ...] = (2, 3), **options: object) -> None:
    """The call is refused in these words."""
    with pytest.raises(Inconclusive) as error:
        bound(build, shape, **options)  # type: ignore[arg-type]
    assert error.value.reason == reason
