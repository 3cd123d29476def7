"""The traced model: a graph of ATen operations at concrete shapes, its constants, and one walk over it.

``walk`` is the only traversal.  It evaluates whatever does not depend on the input by running PyTorch's own operation,
and hands every other operation to a *domain*: growth bounds, bounds of pieces, bounds of computed numbers, balls and
jets, or plain tensors.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, fx, nn
from torch._ops import OpOverload


class Inconclusive(Exception):
    """No certificate: ``module`` names the place, the message says what stands in the way."""

    def __init__(self, module: str, reason: str) -> None:
        super().__init__(f"cannot conclude: {module}: {reason}")
        self.module = module
        self.reason = reason


@dataclass(frozen=True)
class Program:
    """``graph`` computes ``output`` from ``input``; ``constants`` are the tensors of the other placeholders.

    ``model`` is the private copy that was traced, ``leaves`` the modules that have a user's rule instead of operations.
    """

    graph: fx.Graph
    input: fx.Node
    output: fx.Node
    constants: dict[fx.Node, Tensor]
    model: nn.Module
    leaves: tuple[nn.Module, ...] = ()

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape at which the model was traced."""
        return tuple(self.input.meta["val"].shape)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of what it returns."""
        return tuple(self.output.meta["val"].shape)

    def needed(self) -> list[fx.Node]:
        """The nodes that the output depends on, in order."""
        wanted, stack = set(), [self.output]
        while stack:
            node = stack.pop()
            if node not in wanted:
                wanted.add(node)
                stack.extend(node.all_input_nodes)
        return [node for node in self.graph.nodes if node in wanted]


@dataclass(frozen=True)
class Call:
    """One application of an operation: ``arguments`` by the names of its schema, those at their default left out.

    Operands that do not depend on the input are plain tensors; the others are values of the domain.  ``args`` and
    ``kwargs`` are all arguments as the graph has them.
    """

    node: fx.Node
    place: str
    target: OpOverload
    arguments: dict[str, Any]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The operation's name without its overload."""
        return str(self.target._schema.name).removeprefix("aten::")

    @property
    def out(self) -> Any:
        """A stand-in for the result, with shape and type but no values."""
        return self.node.meta["val"]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the (first) result."""
        return tuple(self.out[0].shape if isinstance(self.out, tuple | list) else self.out.shape)

    def operands(self) -> list[Tensor]:
        """Stand-ins for all tensors that go in."""
        return [v for n in self.node.all_input_nodes if isinstance(v := n.meta.get("val"), Tensor)]


class Domain(Protocol):
    """What a walk computes with."""

    def start(self, program: Program) -> Any:
        """The value of the input."""

    def apply(self, call: Call) -> Any:
        """The value of an operation's result (a tuple if there are several)."""


_UNSEEN = frozenset({"memory_format", "layout", "device", "pin_memory", "non_blocking", "generator"})
"""Arguments that no value depends on (a generator matters to random operations only, which are refused)."""


def place_of(node: fx.Node) -> str:
    """Where the node comes from, for people: the module's path and type."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    for path, kind in reversed(stack):
        path, kind = str(path).removeprefix("model").removeprefix("."), str(kind).rsplit(".", 1)[-1]
        if kind == "_Root":
            break
        if kind != "_Formula":
            return f"{path.split('@')[0] or 'model'} ({kind})"
    return "model"


def bind(target: OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments by name, without those that equal their default."""
    found = {}
    for position, argument in enumerate(target._schema.arguments):
        value = args[position] if position < len(args) else kwargs.get(argument.name, argument.default_value)
        unset = not isinstance(value, Tensor) and not _holds_values(value) and value == argument.default_value
        if argument.name in _UNSEEN or (unset and (position >= len(args) or argument.has_default_value())):
            continue
        found[argument.name] = value
    return found


def _holds_values(value: Any) -> bool:
    return isinstance(value, tuple | list) and any(not isinstance(v, bool | int | float | str | None) for v in value)


class _Marked:
    """A value of the domain, so that the walk can tell it from a constant."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def _depends(arguments: Any) -> bool:
    found = False

    def look(item: Any) -> Any:
        nonlocal found
        found = found or isinstance(item, _Marked)
        return item

    torch.utils._pytree.tree_map_(look, arguments)
    return found


def _constant(node: fx.Node, target: Any, args: Any, kwargs: Any, place: str) -> Any:
    """Run an operation on constants alone."""
    if isinstance(target, OpOverload):
        if torch.Tag.nondeterministic_seeded in target.tags:
            raise Inconclusive(place, f"{target} draws random numbers, so the model is no function of its input")
        if target._schema.is_mutable and target is not torch.ops.aten.detach_.default:
            raise Inconclusive(place, f"{target} changes a tensor in place, which the trace should have removed")
        if "empty" in str(target._schema.name):  # uninitialised memory: whatever looks at it must not be certified
            if not (node.meta["val"].is_floating_point() or node.meta["val"].is_complex()):
                raise Inconclusive(place, f"{target} reads memory that was never written")
            return torch.full(node.meta["val"].shape, torch.nan, dtype=node.meta["val"].dtype)
    elif target is not operator.getitem and getattr(target, "__module__", "") not in ("_operator", "math", "torch"):
        raise Inconclusive(place, f"{getattr(target, '__name__', target)} is no tensor operation of PyTorch's core set")
    try:
        with torch.no_grad():
            return run_operation(target, *args, **kwargs)
    except Exception as error:
        raise Inconclusive(place, f"running {target} failed: {type(error).__name__}: {error}") from error


def run_operation(target: Any, *args: Any, **kwargs: Any) -> Any:
    """PyTorch's own operation on tensors."""
    if target in (torch.ops.aten.view.default, torch.ops.aten._unsafe_view.default):
        target = torch.ops.aten.reshape.default  # the same numbers, whatever strides a kernel chose
        kwargs = {{"size": "shape"}.get(name, name): value for name, value in kwargs.items()}
    return target(*args, **kwargs)


def walk(program: Program, domain: Domain, record: Callable[[fx.Node, Any], None] | None = None) -> Any:
    """Carry the domain's values through the graph; returns that of the output."""
    state: dict[fx.Node, Any] = {}
    for node in program.needed():
        place = place_of(node)
        if node.op == "placeholder":
            state[node] = _Marked(domain.start(program)) if node is program.input else program.constants[node]
            continue
        if node.op != "call_function":
            raise Inconclusive(place, f"{node.op} {node.target} is not part of a flat graph of operations")
        operands: Any = fx.node.map_arg((node.args, node.kwargs), state.__getitem__)
        args, kwargs = operands
        if not _depends((args, kwargs)):
            state[node] = _constant(node, node.target, args, kwargs, place)
            continue
        if node.target is operator.getitem:
            state[node] = _Marked(args[0].value[args[1]])
            continue
        if not isinstance(node.target, OpOverload):
            name = getattr(node.target, "__name__", str(node.target))
            raise Inconclusive(place, f"there is no rule for {name!r}, which takes numbers out of tensors")
        results = node.meta["val"] if isinstance(node.meta.get("val"), tuple | list) else [node.meta.get("val")]
        if any(not isinstance(n, int) for out in results if isinstance(out, Tensor) for n in out.shape):
            raise Inconclusive(place, f"the shape of what {node.target} returns depends on the values of a tensor")
        plain = torch.utils._pytree.tree_map_only(_Marked, lambda m: m.value, (args, kwargs))
        value = domain.apply(Call(node, place, node.target, bind(node.target, *plain), *plain))
        if record is not None:
            record(node, value)
        state[node] = _Marked(value)
    result = state[program.output]
    return result.value if isinstance(result, _Marked) else result


class Tensors:
    """The domain of plain tensors: the graph run at one input."""

    def __init__(self, u: Tensor) -> None:
        self.u = u

    def start(self, program: Program) -> Tensor:
        """The input itself."""
        return self.u

    def apply(self, call: Call) -> Any:
        """PyTorch's own operation."""
        with torch.no_grad():
            return run_operation(call.target, *call.args, **call.kwargs)
