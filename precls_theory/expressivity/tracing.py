"""Trace a PyTorch model into a graph of tensor operations, at concrete shapes.

``torch.fx`` records what ``forward`` does to a stand-in for the input and refuses control flow that depends on the
input's values.  Two things are added.  The stand-in knows its shape, so that user code such as
``b, t, c = x.size()`` or ``mask[:t, :t]`` runs as written.  And modules whose ``forward`` is not traceable, or goes
through fused kernels (``nn.MultiheadAttention`` and what is built from it), are replaced by their defining formulas,
registered with :func:`register_formula`.

Tensors that the model's own code computes without looking at the input (masks, rotary tables, slices of positional
tables) become constants with the values that code computes.
"""

from __future__ import annotations

import copy
import inspect
import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, fx, nn

Function = TypeVar("Function", bound=Callable[..., Any])


class Inconclusive(Exception):
    """No certificate: ``module`` names the place, the message says what stands in the way."""

    def __init__(self, module: str, reason: str) -> None:
        super().__init__(f"cannot conclude: {module}: {reason}")
        self.module = module
        self.reason = reason


_FORMULAS: dict[type[nn.Module], Callable[..., Any]] = {}


def register_formula(module_type: type[nn.Module]) -> Callable[[Function], Function]:
    """Register ``formula(module, *args, **kwargs)``, tensor operations equal to the module's forward in eval mode."""

    def register(formula: Function) -> Function:
        _FORMULAS[module_type] = formula
        return formula

    return register


def lookup(table: dict[type[nn.Module], Any], module: nn.Module) -> Any | None:
    """The entry for the module's type, or for a base class of which the subclass overrides no method.

    A module of which a method was replaced has no entry.
    """
    for base in type(module).__mro__:
        if base in table:
            overridden = [
                name
                for name, value in [("forward", type(module).forward), *vars(base).items()]
                if inspect.isfunction(value)
                and name != "__init__"
                and (name in vars(module) or getattr(type(module), name, None) is not value)
            ]
            return None if overridden else table[base]
    return None


@dataclass
class Program:
    """The traced model: ``graph`` of operations, ``root`` holding its constants, an example ``value`` per node."""

    graph: fx.Graph
    root: nn.Module
    values: dict[fx.Node, Any] = field(default_factory=dict)
    places: dict[fx.Node, str] = field(default_factory=dict)

    def place(self, node: fx.Node) -> str:
        """Where the node comes from, for people: the module's path and type."""
        return self.places.get(node, "model")


_CONCRETE = frozenset(
    {
        "shape", "device", "dtype", "ndim", "requires_grad", "is_cuda", "layout", "is_nested", "is_sparse",
        "is_quantized", "is_meta", "names", "is_mkldnn", "is_mps", "is_xpu", "itemsize", "nbytes",
    }
)  # fmt: skip


_ALIASES = {"axis": "dim", "keepdims": "keepdim"}


class _ShapedProxy(fx.Proxy):
    """A proxy that answers questions about shape and type with concrete values."""

    @property
    def _value(self) -> Any:
        return self.tracer.live[self.node]  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> Any:
        if name in _CONCRETE and isinstance(self._value, Tensor):
            return getattr(self._value, name)
        return super().__getattr__(name)

    def size(self, dim: int | None = None) -> Any:
        return self._value.size() if dim is None else self._value.size(dim)

    def dim(self) -> int:
        return self._value.dim()

    ndimension = dim

    def numel(self) -> int:
        return self._value.numel()

    nelement = numel

    def is_floating_point(self) -> bool:
        return self._value.is_floating_point()

    def is_complex(self) -> bool:
        return self._value.is_complex()

    def is_contiguous(self, *args: Any, **kwargs: Any) -> bool:
        return self._value.is_contiguous(*args, **kwargs)

    def element_size(self) -> int:
        return self._value.element_size()

    def get_device(self) -> int:
        return self._value.get_device()

    def __len__(self) -> int:
        return len(self._value)

    def __iter__(self) -> Any:
        return iter(operator.getitem(self, index) for index in range(len(self._value)))  # type: ignore[call-overload]


def _contains_proxy(arguments: Any) -> bool:
    found = False

    def visit(item: Any) -> Any:
        nonlocal found
        found = found or isinstance(item, fx.Proxy)
        return item

    fx.node.map_aggregate(arguments, visit)
    return found


def apply_model(model: nn.Module, u: Any) -> Any:
    """``model(u)``; attention modules of torch.nn that take several inputs get ``u`` for each (self-attention)."""
    if isinstance(model, nn.MultiheadAttention):
        return model(u, u, u, need_weights=False)[0]
    return model(u, u) if isinstance(model, nn.TransformerDecoderLayer) else model(u)


class _Tracer(fx.Tracer):
    """fx with concrete shapes, formulas in place of opaque modules, and leaves where the caller has a rule."""

    def __init__(self, is_leaf: Callable[[nn.Module], bool]) -> None:
        super().__init__()
        self._is_leaf = is_leaf
        self.program: Program
        self._stack: list[str] = []
        self.failed = ""
        self.live: dict[fx.Node, Any] = {}  # the tensors themselves; the program keeps their values as first computed
        self.versions: list[tuple[Tensor, int, str]] = []
        self.changes: dict[fx.Node, fx.Node] = {}  # operation in place -> what it changes

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        return attr_val  # parameters stay tensors, so that what is computed from them alone is a constant

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _ShapedProxy(node, self)

    def create_proxy(self, kind: str, target: Any, args: Any, kwargs: Any, *rest: Any, **named: Any) -> Any:
        here = self._stack[-1] if self._stack else "model"
        if kind in ("call_function", "call_method"):  # NumPy's names for arguments, and the first one by its name
            kwargs = {_ALIASES.get(name, name): value for name, value in kwargs.items()}
            if not args and "input" in kwargs:
                args = (kwargs.pop("input"),)
        proxy = super().create_proxy(kind, target, args, kwargs, *rest, **named)
        node = proxy.node
        self.program.places[node] = here
        if kind == "placeholder":
            return proxy

        def value_of(other: fx.Node) -> Any:
            if other not in self.live:  # constants and parameters that fx lifted into get_attr nodes
                assert other.op == "get_attr", other
                tensor = _attribute(self.root, str(other.target))
                self.live[other] = self.program.values[other] = tensor
                self.program.places[other] = here
                self.versions.append((tensor, tensor._version, here))
            return self.live[other]

        arguments = fx.node.map_arg(node.args, value_of)
        keywords = fx.node.map_arg(node.kwargs, value_of)
        if kind == "get_attr":  # a parameter that fx was asked for by name
            value_of(node)
        else:
            tensors = [(n, t, t._version) for n in node.all_input_nodes if isinstance(t := value_of(n), Tensor)]
            try:
                with torch.no_grad():
                    value = _run(kind, target, arguments, keywords, self.root)
            except Exception as error:
                raise Inconclusive(here, f"running {_name(target)} failed: {type(error).__name__}: {error}") from error
            self.changes.update((node, n) for n, t, version in tensors if t._version != version)
            self.live[node] = value
            self.program.values[node] = _snapshot(value)
        return proxy

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        try:
            path = self.path_of_module(m)
        except NameError:
            path = "(unregistered)"
        self._stack.append(f"{path or 'model'} ({type(m).__name__})")
        try:
            if m.training:
                check_training(m, self._stack[-1])
            if not _contains_proxy((args, kwargs)):
                with torch.no_grad():
                    return forward(*args, **kwargs)
            if m._forward_hooks or m._forward_pre_hooks:
                raise Inconclusive(self._stack[-1], "it has forward hooks, which are not part of any rule; remove them")
            if self._is_leaf(m):
                return self.create_proxy("call_module", path, args, kwargs)
            formula = lookup(_FORMULAS, m)
            if formula is not None:
                return formula(m, *args, **kwargs)
            if type(m).__module__.startswith("torch.nn.") and not isinstance(
                m, nn.Sequential | nn.ModuleList | nn.Identity
            ):
                raise Inconclusive(
                    self._stack[-1], f"there is no rule for {type(m).__name__}; register one with register_rule"
                )
            return forward(*args, **kwargs)
        except Exception:
            self.failed = self.failed or self._stack[-1]  # the innermost module
            raise
        finally:
            self._stack.pop()

    def trace_model(self, model: nn.Module, example: Tensor) -> Program:
        self.program = Program(fx.Graph(), model)
        tracer = self

        class Root(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.model = model

            def forward(self, u: Any) -> Any:
                tracer.live[u.node] = tracer.program.values[u.node] = example
                return apply_model(self.model, u)

        root = Root()
        self.program.root = root
        self.program.graph = self.trace(root)
        return self.program

    def path_of_module(self, mod: nn.Module) -> str:
        path = super().path_of_module(mod)
        return path.removeprefix("model").removeprefix(".") if path != "model" else ""


@contextmanager
def single_thread() -> Iterator[None]:
    """Small tensors are handled fastest by one thread; restores the number of threads afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def check_training(module: nn.Module, place: str) -> None:
    """Refuse a module whose forward is random, or updates statistics, while it is in training mode."""
    probability = getattr(module, "p", 0.0) if isinstance(module, nn.modules.dropout._DropoutNd) else 0.0
    if isinstance(module, nn.MultiheadAttention):
        probability = module.dropout
    if probability:
        raise Inconclusive(place, f"dropout {probability} is active, so the output is random; call model.eval() first")
    if isinstance(module, nn.modules.batchnorm._NormBase):
        raise Inconclusive(place, "batch statistics are active in training mode; call model.eval() first")


def _name(target: Any) -> str:
    return target if isinstance(target, str) else getattr(target, "__name__", str(target))


def _attribute(root: nn.Module, path: str) -> Any:
    return operator.attrgetter(path)(root)


def _run(kind: str, target: Any, args: Any, kwargs: Any, root: nn.Module) -> Any:
    if kind == "call_function":
        return target(*args, **kwargs)
    if kind == "call_method":
        return getattr(args[0], target)(*args[1:], **kwargs)
    return root.model.get_submodule(target)(*args, **kwargs)  # type: ignore[union-attr, operator]


def _snapshot(value: Any) -> Any:
    """A copy that later changes in place do not reach."""
    if isinstance(value, tuple | list):
        return type(value)(map(_snapshot, value)) if type(value) in (tuple, list) else value
    return value.clone() if isinstance(value, Tensor) else value


def _check_aliases(tracer: _Tracer) -> None:
    """Refuse an in-place change that a later operation could see through another name of the same memory."""

    def memory(node: fx.Node) -> int | None:
        value = tracer.live.get(node)
        return value.untyped_storage().data_ptr() if isinstance(value, Tensor) else None

    for tensor, version, place in tracer.versions:
        if tensor._version != version:
            raise Inconclusive(place, "a tensor that it uses as a constant is changed in place while the model runs")
    nodes = list(tracer.program.graph.nodes)
    for node, changed in tracer.changes.items():
        position = nodes.index(node)
        before = {other for other in nodes[:position] if memory(other) == memory(changed)}
        if any(before.intersection(later.all_input_nodes) for later in nodes[position + 1 :]):
            raise Inconclusive(
                tracer.program.place(node),
                f"{_name(node.target)} changes a tensor in place that is used again; write it out of place",
            )


def check_input_shape(input_shape: Any) -> None:
    """Raise ``ValueError`` unless the shape is of positive integers."""
    valid = isinstance(input_shape, tuple | list) and len(input_shape) > 0
    if not valid or not all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in input_shape):
        raise ValueError(f"input_shape must be positive integers, as in (batch, rows, channels); got {input_shape!r}")


def private_copy(model: nn.Module) -> nn.Module:
    """A copy on the CPU that needs no gradients, after its weights were found to be finite."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    for module in model.modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise Inconclusive(
                type(module).__name__, "it was compiled to TorchScript; give the module it was made from"
            )
    for name, parameter in [*model.named_parameters(), *model.named_buffers()]:
        if parameter.is_meta:
            raise ValueError(f"{name} is on the meta device, it has no values; load the weights first")
        if name and parameter.is_floating_point() and parameter.isnan().any():
            raise ValueError(f"{name} holds NaN; a bound needs finite weights")
    for name, parameter in model.named_parameters():
        if not parameter.isfinite().all():
            raise ValueError(f"{name} holds infinite weights; a bound needs finite weights")
    try:
        return copy.deepcopy(model).cpu().requires_grad_(False)
    except (
        Exception
    ) as error:  # weights that are not leaves (the old weight_norm), handles of the operating system, ...
        raise Inconclusive(
            type(model).__name__, f"the model cannot be copied ({type(error).__name__}: {error})"
        ) from error


def _run_graph(program: Program, u: Tensor) -> Any:
    """The traced operations at another input."""
    values: dict[fx.Node, Any] = {}
    for node in program.graph.nodes:
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), values.__getitem__)
        if node.op == "output":
            return args[0]
        if node.op == "placeholder":
            values[node] = u
        elif node.op == "get_attr":
            values[node] = _attribute(program.root, str(node.target))
        else:
            values[node] = _run(node.op, node.target, args, kwargs, program.root)
    raise AssertionError("a traced graph ends in an output")  # pragma: no cover


def _reproduces(program: Program, model: nn.Module, example: Tensor) -> bool:
    """Whether graph and model agree at two random inputs, within rounding: a guard on the trace, no part of a proof."""
    tolerance = 1e-6 if example.dtype == torch.float64 else 1e-2
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        u = torch.randn(example.shape, generator=generator, dtype=torch.float64).to(example.dtype)
        with torch.no_grad(), single_thread():
            traced = _run_graph(program, u.clone())
            try:
                own = apply_model(model, u.clone())
            except Exception as error:
                raise Inconclusive(
                    type(model).__name__, f"it fails at a random input ({type(error).__name__}: {error})"
                ) from error
        if not isinstance(traced, Tensor) or not isinstance(own, Tensor):
            return isinstance(traced, Tensor) == isinstance(own, Tensor)
        if traced.shape != own.shape:
            return False
        finite = own.isfinite() & traced.isfinite()
        gap = (traced - own)[finite].abs().double()
        if gap.numel() and float(gap.max()) > tolerance * float(own[finite].abs().max()):
            return False
    return True


def trace(
    model: nn.Module, input_shape: tuple[int, ...], is_leaf: Callable[[nn.Module], bool] = lambda module: False
) -> Program:
    """Trace ``model`` on an input of shape ``(batch, rows, channels)``; the model itself is not touched.

    Raises:
        ValueError: the shape is not a tuple of positive integers.
        Inconclusive: the model cannot be traced; the message names the module and the operation.
    """
    check_input_shape(input_shape)
    model = private_copy(model)
    floats = [p.dtype for p in [*model.parameters(), *model.buffers()] if p.is_floating_point()]
    example = torch.zeros(input_shape, dtype=floats[0] if floats else torch.get_default_dtype())
    random_state = torch.get_rng_state()
    state = {name: (t, t.clone()) for name, t in model.named_buffers()}
    tracer = _Tracer(is_leaf)
    try:
        with single_thread():
            program = tracer.trace_model(model, example)
    except Inconclusive:
        raise
    except fx.proxy.TraceError as error:
        raise Inconclusive(
            tracer.failed, f"control flow depends on the input ({error}); register a rule for that module"
        ) from error
    except Exception as error:
        raise Inconclusive(
            tracer.failed,
            f"its forward could not be followed ({type(error).__name__}: {error}); write it in torch operations, or "
            "register a rule for it with register_rule",
        ) from error
    if not torch.equal(random_state, torch.get_rng_state()):
        torch.set_rng_state(random_state)
        raise Inconclusive(type(model).__name__, "its forward draws random numbers")
    for name, (buffer, before) in state.items():
        if not torch.equal(buffer, before) and not buffer.isnan().any():
            raise Inconclusive(type(model).__name__, f"its forward changes its own buffer {name!r}")
    _check_aliases(tracer)
    if _reproduces(program, model, example):
        return program
    if example.dtype != torch.float64:  # rounding alone may have told them apart: in float64 it does not
        return trace(model.double(), input_shape, is_leaf)
    raise Inconclusive(
        type(model).__name__,
        "the operations traced do not reproduce its output at random inputs, so its forward asks for more than shapes "
        "(the type of its input, say); register a rule for that module",
    )
