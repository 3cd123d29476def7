"""The one walk over a traced graph: what is constant is run, what is not goes to the domain, and nothing else is taken."""

from __future__ import annotations

import operator

import pytest
import torch
from torch import fx, nn

from precls_theory.expressivity.tracing.program import Call, Inconclusive, Program, Tensors, bind, walk

ATEN = torch.ops.aten
Size = tuple[int, ...]


class Named:
    """A domain of names: what it is handed, in order."""

    def __init__(self) -> None:
        self.calls: list[Call[str]] = []

    def start(self, program: Program) -> str:
        return "u"

    def apply(self, call: Call[str]) -> str | tuple[str, ...]:
        self.calls.append(call)
        return tuple(f"{call.name}{i}" for i in range(len(call.outs))) if call.several else call.name


class Drawn:
    """A graph written by hand."""

    def __init__(self) -> None:
        self.graph, self.constants = fx.Graph(), {}
        self.u = self.graph.placeholder("u")
        self.u.meta["val"] = torch.zeros(4)

    def constant(self, value: torch.Tensor) -> fx.Node:
        node = self.graph.placeholder(f"c{len(self.constants)}")
        node.meta["val"], self.constants[node] = value, value
        return node

    def call(self, target: object, *args: object, **kwargs: object) -> fx.Node:
        node = self.graph.call_function(target, args, kwargs)
        given = torch.utils._pytree.tree_map_only(fx.Node, lambda n: n.meta["val"], (args, kwargs))
        node.meta["val"] = target(*given[0], **given[1])
        return node

    def program(self, output: fx.Node) -> Program:
        return Program(self.graph, self.u, output, self.constants, nn.Identity())


def test_constants_are_run_and_the_rest_is_handed_on() -> None:
    drawn = Drawn()
    twice = drawn.call(ATEN.add.Tensor, *[drawn.constant(torch.full((4,), 3.0))] * 2)
    output = drawn.call(ATEN.mul.Tensor, drawn.u, twice)
    domain, recorded = Named(), []
    assert walk(drawn.program(output), domain, lambda node, value: recorded.append(value)) == "mul"
    (call,) = domain.calls
    assert call.arguments["self"] == "u"
    assert torch.equal(call.arguments["other"], torch.full((4,), 6.0))
    assert recorded == ["mul"]
    assert torch.equal(walk(drawn.program(output), Tensors(torch.arange(4.0))), 6 * torch.arange(4.0))


def test_several_results_are_taken_one_by_one() -> None:
    drawn = Drawn()
    parts = drawn.call(ATEN.split.Tensor, drawn.u, 2)
    second = drawn.call(operator.getitem, parts, 1)
    assert walk(drawn.program(second), Named()) == "split1"
    assert torch.equal(walk(drawn.program(second), Tensors(torch.arange(4.0))), torch.tensor([2.0, 3.0]))
    with pytest.raises(Inconclusive, match="it is not one tensor"):
        walk(drawn.program(parts), Named())


def test_what_the_output_does_not_need_is_not_run() -> None:
    drawn = Drawn()
    drawn.call(ATEN.exp.default, drawn.u)
    domain = Named()
    assert walk(drawn.program(drawn.call(ATEN.neg.default, drawn.u)), domain) == "neg"
    assert [call.name for call in domain.calls] == ["neg"]


def test_random_numbers_and_foreign_functions_are_refused() -> None:
    drawn = Drawn()
    noise = drawn.call(ATEN.rand_like.default, drawn.constant(torch.zeros(4)))
    with pytest.raises(Inconclusive, match="draws random numbers"):
        walk(drawn.program(drawn.call(ATEN.add.Tensor, drawn.u, noise)), Named())
    foreign = drawn.call(len, drawn.u)
    with pytest.raises(Inconclusive, match="there is no rule for 'len'"):
        walk(drawn.program(foreign), Named())


def test_arguments_at_their_default_are_left_out() -> None:
    target = ATEN.sum.dim_IntList
    assert bind(target, ("x", [1], False), {}) == {"self": "x", "dim": [1]}
    assert bind(target, ("x", [1]), {"keepdim": True}) == {"self": "x", "dim": [1], "keepdim": True}
    assert bind(ATEN.add.Tensor, ("x", "y"), {"alpha": 2}) == {"self": "x", "other": "y", "alpha": 2}
