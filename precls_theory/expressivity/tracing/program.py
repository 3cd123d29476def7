"""The traced model: a graph of ATen operations at concrete shapes, its constants, and one walk over it.

``walk`` is the only traversal.  It evaluates whatever does not depend on the input by running PyTorch's own operation,
and hands every other operation to a *domain*: growth bounds, bounds of pieces, bounds of computed numbers, balls and
jets, or plain tensors.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeAlias, TypeVar

import torch
from torch import Tensor, fx, nn
from torch._ops import OpOverload

Result = TypeVar("Result")
V = TypeVar("V")
"""What a domain computes with in place of a tensor: bounds, balls, or tensors."""

Constant: TypeAlias = "Tensor | int | float | complex | str | torch.dtype | Sequence[Constant] | None"
"""What does not depend on the input, in a graph of ATen operations."""

Argument: TypeAlias = V | "Constant" | Sequence["Argument[V]"]
"""What an operation is called with; a closed union, since PyTorch's schemas know no other types."""

Number: TypeAlias = int | float | complex
"""A ``Scalar`` of a schema."""

Sizes: TypeAlias = int | Sequence[int]
"""An ``int[]`` of a schema, for which PyTorch also takes one number."""


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
class Call(Generic[V]):
    """One application of an operation: ``arguments`` by the names of its schema, those at their default left out.

    Operands that do not depend on the input are plain tensors; the others are values of the domain.  ``args`` and
    ``kwargs`` are all arguments as the graph has them.
    """

    node: fx.Node
    place: str
    target: OpOverload
    arguments: Mapping[str, Argument[V]]
    args: tuple[Argument[V], ...] = ()
    kwargs: Mapping[str, Argument[V]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The operation's name without its overload."""
        return str(self.target._schema.name).removeprefix("aten::")

    @property
    def several(self) -> bool:
        """Whether the operation returns a tuple or list."""
        return isinstance(self.node.meta["val"], tuple | list)

    @property
    def outs(self) -> tuple[Tensor, ...]:
        """Stand-ins for the results, with shape and type but no values."""
        return tuple(self.node.meta["val"]) if self.several else (self.node.meta["val"],)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the (first) result."""
        return tuple(self.outs[0].shape)

    @property
    def dtype(self) -> torch.dtype:
        """The type of the (first) result's numbers."""
        return self.outs[0].dtype

    def operands(self) -> list[Tensor]:
        """Stand-ins for all tensors that go in."""
        return [v for n in self.node.all_input_nodes if isinstance(v := n.meta.get("val"), Tensor)]


class Domain(Protocol[V]):
    """What a walk computes with."""

    def start(self, program: Program) -> V:
        """The value of the input."""

    def apply(self, call: Call[V]) -> V | tuple[V, ...]:
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


def bind(target: OpOverload, args: Sequence[Argument[V]], kwargs: Mapping[str, Argument[V]]) -> dict[str, Argument[V]]:
    """Arguments by name, without those that equal their default."""
    found = {}
    for position, argument in enumerate(target._schema.arguments):
        value = args[position] if position < len(args) else kwargs.get(argument.name, argument.default_value)
        unset = not isinstance(value, Tensor) and not _holds_values(value) and value == argument.default_value
        if argument.name in _UNSEEN or (unset and (position >= len(args) or argument.has_default_value())):
            continue
        found[argument.name] = value
    return found


def _holds_values(value: object) -> bool:
    return isinstance(value, tuple | list) and any(not isinstance(v, bool | int | float | str | None) for v in value)


def _constant(
    node: fx.Node,
    target: Callable[..., Constant] | str,
    args: Sequence[object],
    kwargs: Mapping[str, object],
    place: str,
) -> Constant:
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
    elif isinstance(target, str) or (
        target is not operator.getitem and getattr(target, "__module__", "") not in ("_operator", "math", "torch")
    ):
        raise Inconclusive(place, f"{getattr(target, '__name__', target)} is no tensor operation of PyTorch's core set")
    try:
        with torch.no_grad():
            return run_operation(target, *args, **kwargs)
    except Exception as error:
        raise Inconclusive(place, f"running {target} failed: {type(error).__name__}: {error}") from error


def run_operation(target: Callable[..., Result], *args: object, **kwargs: object) -> Result:
    """PyTorch's own operation on tensors."""
    if target in (torch.ops.aten.view.default, torch.ops.aten._unsafe_view.default):
        target = torch.ops.aten.reshape.default  # the same numbers, whatever strides a kernel chose
        kwargs = {{"size": "shape"}.get(name, name): value for name, value in kwargs.items()}
    return target(*args, **kwargs)


def walk(
    program: Program, domain: Domain[V], record: Callable[[fx.Node, V | tuple[V, ...]], None] | None = None
) -> V | Tensor:
    """Carry the domain's values through the graph; returns that of the output."""
    values: dict[fx.Node, V | tuple[V, ...]] = {}
    constants: dict[fx.Node, Constant] = {}

    def found(node: fx.Node) -> Argument[V]:
        return values[node] if node in values else constants[node]

    for node in program.needed():
        place = place_of(node)
        if node.op == "placeholder":
            if node is program.input:
                values[node] = domain.start(program)
            else:
                constants[node] = program.constants[node]
            continue
        if node.op != "call_function":
            raise Inconclusive(place, f"{node.op} {node.target} is not part of a flat graph of operations")
        args: tuple[Argument[V], ...]
        kwargs: dict[str, Argument[V]]
        args, kwargs = torch.utils._pytree.tree_map_only(fx.Node, found, (node.args, node.kwargs))
        if not any(other in values for other in node.all_input_nodes):
            constants[node] = _constant(node, node.target, args, kwargs, place)
            continue
        if node.target is operator.getitem:
            several, position = args
            if not (isinstance(several, tuple) and isinstance(position, int)):
                raise Inconclusive(place, "getitem of anything but the results of an operation is not covered")
            values[node] = several[position]
            continue
        if not isinstance(node.target, OpOverload):
            name = getattr(node.target, "__name__", str(node.target))
            raise Inconclusive(place, f"there is no rule for {name!r}, which takes numbers out of tensors")
        results = node.meta["val"] if isinstance(node.meta.get("val"), tuple | list) else [node.meta.get("val")]
        if any(not isinstance(n, int) for out in results if isinstance(out, Tensor) for n in out.shape):
            raise Inconclusive(place, f"the shape of what {node.target} returns depends on the values of a tensor")
        value = domain.apply(Call(node, place, node.target, bind(node.target, args, kwargs), args, kwargs))
        if record is not None:
            record(node, value)
        values[node] = value
    if program.output in values:
        result = values[program.output]
        if not isinstance(result, tuple):
            return result
    elif isinstance(constant := constants[program.output], Tensor):
        return constant
    raise Inconclusive("output", "it is not one tensor")


class Tensors:
    """The domain of plain tensors: the graph run at one input."""

    def __init__(self, u: Tensor) -> None:
        self.u = u

    def start(self, program: Program) -> Tensor:
        """The input itself."""
        return self.u

    def apply(self, call: Call[Tensor]) -> Tensor | tuple[Tensor, ...]:
        """PyTorch's own operation."""
        with torch.no_grad():
            result: Tensor | Sequence[Tensor] = run_operation(call.target, *call.args, **call.kwargs)
        return result if isinstance(result, Tensor) else tuple(result)
