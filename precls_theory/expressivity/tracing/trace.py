"""Trace a PyTorch model with ``torch.export``, in strict mode, at concrete shapes.

Strict mode interprets the bytecode of ``forward``: branches on values are refused even inside ``try``, whatever is read
out of a tensor (NumPy, ``item``) either becomes an operation or is refused, and changes of Python state (a call counter,
a list, a global) are reported.  What it returns is a graph of ATen operations with every argument in its place.  Where
the graph still changes tensors in place, or holds an operation that has no rule here, PyTorch's own functionalisation
and decompositions rewrite it.  So aliasing, in-place changes, defaults, and control flow are not this package's business.

On top of that the trace refuses

* side effects on Python state, and changed buffers: the model would not be a function of its input alone;
* constants without values, which is what ``.data`` of the input turns into;
* graphs that do not reproduce the model at random inputs of many sizes.  That is a guard, no part of a proof; it is what
  notices code that asks whether it is being compiled.

Most of the time of a certificate is that of ``torch.export`` in strict mode, which interprets every line of ``forward`` and
then traces what it found once more into ATen operations.  Of a Transformer of 12 layers and width 256 it alone takes 3.9 of
6.8 seconds of one core when warm (5.0 of 9.3 the first time in a process; PyTorch 2.13 on a small machine), the guard 0.5,
and the three walks over the graph 2.  Nothing is decomposed there: all its operations have rules.

The state of the process when the certificate is made is part of its scope: train or eval mode, the shape of the input,
default types, library versions.  Autograd is off.  ``nn.TransformerEncoder`` is taken without its fused kernels.
"""

from __future__ import annotations

import copy
import logging
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar
from unittest import mock

import torch
from torch import Tensor, fx, nn
from torch._ops import OpOverload
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind

from precls_theory.enclosures.threads import single_thread
from precls_theory.expressivity.tracing.program import Inconclusive, Program, Tensors, walk

Formula = Callable[..., object]
"""``formula(module, *args, **kwargs)``: what the module's forward returns, which may be more than a tensor."""

F = TypeVar("F", bound=Formula)
T = TypeVar("T")

FORMULAS: dict[type[nn.Module], Formula] = {}


def register_formula(module_type: type[nn.Module]) -> Callable[[F], F]:
    """Register ``formula(module, *args, **kwargs)``, tensor operations equal to the module's forward in eval mode."""

    def register(formula: F) -> F:
        FORMULAS[module_type] = formula
        return formula

    return register


def lookup(table: dict[type[nn.Module], T], module: nn.Module) -> T | None:
    """The entry for the module's type, or for a base class of which the subclass overrides no method.

    A module of which a method was replaced has no entry.
    """
    for base in type(module).__mro__:
        if base in table:
            overridden = [
                name
                for name, value in [("forward", type(module).forward), *vars(base).items()]
                if callable(value)
                and not isinstance(value, type)
                and name != "__init__"
                and (name in vars(module) or getattr(type(module), name, None) is not value)
            ]
            return None if overridden else table[base]
    return None


# ---- modules that stand for others -----------------------------------------------------------------------------------

_leaves: dict[int, nn.Module] = {}


@torch.library.custom_op("precls::leaf", mutates_args=())
def _leaf(inputs: list[Tensor], index: int) -> Tensor:
    """A module that has a user's rule: one operation in the graph."""
    return _leaves[index](*inputs).clone()


@_leaf.register_fake
def _(inputs: list[Tensor], index: int) -> Tensor:
    from torch._subclasses.fake_tensor import unset_fake_temporarily

    with unset_fake_temporarily(), torch.no_grad():
        out = _leaves[index](*(torch.zeros(x.shape, dtype=x.dtype) for x in inputs))
    return inputs[0].new_empty(out.shape, dtype=out.dtype)


class _Leaf(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.index = id(module)

    def forward(self, *inputs: Tensor) -> Tensor:
        return torch.ops.precls.leaf(list(inputs), self.index)


class _Formula(nn.Module):
    def __init__(self, module: nn.Module, formula: Formula) -> None:
        super().__init__()
        self.module, self.formula = module, formula

    def forward(self, *args: object, **kwargs: object) -> object:
        return self.formula(self.module, *args, **kwargs)


def _substituted(model: nn.Module, is_leaf: Callable[[nn.Module], bool], leaves: list[nn.Module]) -> nn.Module:
    """The model with stand-ins for modules that have a user's rule or formula."""
    if is_leaf(model):
        leaves.append(model)
        return _Leaf(model)
    formula = lookup(FORMULAS, model)
    if formula is not None:
        return _Formula(model, formula)
    for name, child in list(model.named_children()):
        new = _substituted(child, is_leaf, leaves)
        if new is not child:
            setattr(model, name, new)
    return model


# ---- calling a model with one tensor ---------------------------------------------------------------------------------


def apply_model(model: nn.Module, u: Tensor) -> object:
    """What the model makes of ``u``: one tensor, if it can be certified.

    Modules of torch.nn that take several inputs get ``u`` for each; recurrent ones return their sequence of states; models
    of Hugging Face's ``transformers`` get ``u`` as embedded inputs, or as the picture, and their last hidden state (or
    logits) is taken.
    """
    if isinstance(model, nn.MultiheadAttention):
        return model(u, u, u, need_weights=False)[0]
    if isinstance(model, nn.Transformer | nn.TransformerDecoder | nn.TransformerDecoderLayer):
        return model(u, u)
    if isinstance(model, nn.RNNBase):
        return model(u)[0]
    if hasattr(type(model), "get_input_embeddings") and hasattr(model, "config"):
        pictures = getattr(model, "main_input_name", "") == "pixel_values"
        out = model(pixel_values=u) if pictures else model(inputs_embeds=u)
        for name in ("last_hidden_state", "logits"):
            if getattr(out, name, None) is not None:
                return getattr(out, name)
        return out
    return model(u)


class _NothingCaptured:
    """Stands for the global collector of hidden states in ``transformers``, which a call that asks for none leaves empty.

    A forward sets and resets the real one, which strict mode reports as a change of Python state.
    """

    def get(self) -> None:
        """Nothing is collected."""

    def set(self, value: object) -> None:
        """Nothing is kept."""

    def reset(self, token: object) -> None:
        """There is nothing to restore."""


class _Root(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, u: Tensor) -> object:
        return apply_model(self.model, u)


# ---- what is refused before a trace ----------------------------------------------------------------------------------


def check_input_shape(input_shape: object) -> None:
    """Raise ``ValueError`` unless the shape is of positive integers."""
    sizes = list(input_shape) if isinstance(input_shape, tuple | list) else []
    if not sizes or not all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in sizes):
        raise ValueError(f"input_shape must be positive integers, as in (batch, rows, channels); got {input_shape!r}")


def check_training(module: nn.Module, place: str) -> None:
    """Refuse a module whose forward is random, or updates statistics, while it is in training mode."""
    probability = getattr(module, "p", 0.0) if isinstance(module, nn.modules.dropout._DropoutNd) else 0.0
    if isinstance(module, nn.MultiheadAttention | nn.RNNBase):
        probability = module.dropout
    if probability:
        raise Inconclusive(place, f"dropout {probability} is active, so the output is random; call model.eval() first")
    if isinstance(module, nn.modules.batchnorm._NormBase) and not (
        isinstance(module, nn.modules.instancenorm._InstanceNorm) and not module.track_running_stats
    ):
        raise Inconclusive(place, "batch statistics are active in training mode; call model.eval() first")


def private_copy(model: nn.Module) -> nn.Module:
    """A copy on the CPU that needs no gradients, after its weights were found to be finite."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    for path, module in model.named_modules():
        place = f"{path or 'model'} ({type(module).__name__})"
        if isinstance(module, torch.jit.ScriptModule):
            raise Inconclusive(place, "it was compiled to TorchScript; give the module it was made from")
        if isinstance(module, torch._dynamo.eval_frame.OptimizedModule):
            raise Inconclusive(place, "it is a compiled module; give the module it was made from")
        if module.training:
            check_training(module, place)
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


# ---- torch.export ----------------------------------------------------------------------------------------------------


@contextmanager
def _quietly() -> Iterator[list[warnings.WarningMessage]]:
    """One thread, defining formulas instead of fused encoder kernels, nothing printed; yields the warnings.

    Whether a mask looks causal decides which kernel ``nn.Transformer`` takes, not what it computes: the mask is applied.
    """
    fused = torch.backends.mha.get_fastpath_enabled()
    disabled = logging.root.manager.disable
    with ExitStack() as stack:
        stack.enter_context(single_thread())
        stack.enter_context(torch.no_grad())
        found = stack.enter_context(warnings.catch_warnings(record=True))
        warnings.simplefilter("always")
        causal = "torch.nn.modules.transformer._detect_is_causal_mask"
        stack.enter_context(
            mock.patch(causal, lambda mask, is_causal=None, size=None: bool(is_causal) and mask is None)
        )
        capturing = sys.modules.get("transformers.utils.output_capturing")
        if hasattr(capturing, "_active_collector"):
            stack.enter_context(mock.patch.object(capturing, "_active_collector", _NothingCaptured()))
        try:  # guards say for which other shapes a trace would be right; nothing here uses another shape
            name = "torch._dynamo.functional_export._suggest_or_raise_constraint_violation"
            stack.enter_context(mock.patch(name, return_value=None))
            stack.enter_context(mock.patch("torch.fx.config.do_not_emit_stack_traces", True))  # nothing here reads them
        except AttributeError:  # a PyTorch without them: slower, and as right
            pass
        torch.backends.mha.set_fastpath_enabled(False)
        logging.disable(logging.CRITICAL)
        try:
            yield found
        finally:
            torch.backends.mha.set_fastpath_enabled(fused)
            logging.disable(disabled)


def _words(error: BaseException) -> str:
    """What export said, in one line for people."""
    text = str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    first = lines[0] if lines else type(error).__name__
    explanation = next((line for line in lines if line.startswith("Explanation:")), "")
    where = re.findall(r'File "([^"]+)", line (\d+), in (\w+)\s*\n\s*(.+)', text)
    own = [w for w in where if "/torch/" not in w[0]]
    at = f" at `{own[-1][3].strip()}` (line {own[-1][1]} of {own[-1][0].rsplit('/', 1)[-1]})" if own else ""
    parts = [first.rstrip("."), explanation.removeprefix("Explanation:").strip().rstrip(".")]
    return ": ".join(p for p in parts if p)[:300] + at


def _export(root: nn.Module, example: Tensor, name: str) -> ExportedProgram:
    try:
        with _quietly() as said:
            torch._dynamo.reset()
            exported = torch.export.export(root, (example,), strict=True)
    except Inconclusive:
        raise
    except Exception as error:
        text = f"{type(error).__name__} {error}"
        if re.search(r"[Dd]ata.dependent|GuardOnDataDependent|Unbacked|unbacked", text):
            raise Inconclusive(
                name, f"control flow or a number depends on the input's values ({_words(error)})"
            ) from error
        raise Inconclusive(
            name,
            f"torch.export refuses it ({type(error).__name__}: {_words(error)}); write it in torch operations, or "
            "register a rule for that module with register_rule",
        ) from error
    for warning in said:
        if "side effects" in str(warning.message):
            effects = re.sub(r"\s+", " ", str(warning.message).split("double check:")[-1])[:200]
            raise Inconclusive(
                name,
                f"its forward changes Python state outside itself ({effects.strip()}), so what it computes may depend "
                "on earlier calls",
            )
    for (
        target,
        value,
    ) in exported.constants.items():  # before anything runs on them: PyTorch's own passes may crash there
        if type(value) not in (Tensor, nn.Parameter, nn.Buffer):
            raise Inconclusive(
                name,
                f"{target} is a constant without values ({type(value).__name__}): `.data` or the storage of a tensor was "
                "taken while the model runs",
            )
    return exported


def _flat(exported: ExportedProgram, known: frozenset[OpOverload], name: str) -> ExportedProgram:
    """Functional, and with as few operations that are not ``known`` as PyTorch's decompositions allow."""
    changing = {spec.arg.name for spec in exported.graph_signature.input_specs if spec.kind == InputKind.USER_INPUT}
    plain = True
    for node in exported.graph.nodes:
        target = node.target
        if node.op != "call_function" or "_assert" in str(target) or getattr(target, "__name__", "") == "getitem":
            changing.update([node.name] if changing.intersection(n.name for n in node.all_input_nodes) else [])
            continue
        depends = bool(changing.intersection(n.name for n in node.all_input_nodes))
        changing.update([node.name] if depends else [])
        if (
            not isinstance(target, OpOverload)
            or (depends and target not in known)
            or (target._schema.is_mutable and (depends or target is not torch.ops.aten.detach_.default))
        ):
            plain = False
    if plain:
        return exported
    found = torch.export.default_decompositions().items()
    table = {op: f for op, f in found if op not in known and not op._schema.is_mutable}
    try:
        with _quietly():
            return exported.run_decompositions(table)
    except Exception as error:
        raise Inconclusive(name, f"its changes in place cannot be written out of place ({_words(error)})") from error


def _program(exported: ExportedProgram, model: nn.Module, leaves: list[nn.Module], name: str) -> Program:
    signature = exported.graph_signature
    for spec in signature.output_specs:
        if spec.kind not in (OutputKind.USER_OUTPUT, OutputKind.USER_INPUT_MUTATION):
            raise Inconclusive(name, f"its forward changes its own buffer {str(spec.target).removeprefix('model.')!r}")
    placeholders = {node.name: node for node in exported.graph.nodes if node.op == "placeholder"}
    constants: dict[fx.Node, Tensor] = {}
    start: fx.Node | None = None
    for spec in signature.input_specs:
        node = placeholders.get(getattr(spec.arg, "name", ""))
        if spec.kind == InputKind.USER_INPUT:
            start = node
            continue
        value = exported.state_dict.get(spec.target, exported.constants.get(spec.target))
        if node is None or value is None:
            raise Inconclusive(name, f"its input {spec.target} is no tensor")
        constants[node] = value.detach()
    outputs = [s.arg for s in signature.output_specs if s.kind == OutputKind.USER_OUTPUT]
    result = exported.graph.output_node().args[0]
    nodes = [n for n in result if isinstance(n, fx.Node) and n.name in {getattr(a, "name", None) for a in outputs}]
    if len(outputs) != 1 or not nodes or not isinstance(nodes[0].meta.get("val"), Tensor):
        raise Inconclusive(name, f"it returns {len(outputs)} values; wrap it so that it returns one tensor")
    if start is None:
        raise Inconclusive(name, "it has no tensor input")
    return Program(exported.graph, start, nodes[0], constants, model, tuple(leaves))


def _reproduces(program: Program, model: nn.Module, dtype: torch.dtype) -> bool:
    """Whether graph and model agree at random inputs of many sizes: a guard on the trace, no part of a proof."""
    tolerance = 1e-6 if dtype == torch.float64 else 1e-2
    generator = torch.Generator().manual_seed(0)
    for scale in (1.0, 1e-3, 1e2, 1e5):
        u = (torch.randn(program.input_shape, generator=generator, dtype=torch.float64) * scale).to(dtype)
        try:
            traced = walk(program, Tensors(u.clone()))
            own = apply_model(model, u.clone())
        except Inconclusive:
            raise
        except Exception as error:
            raise Inconclusive(
                type(model).__name__, f"it fails at a random input ({type(error).__name__}: {error})"
            ) from error
        if not isinstance(own, Tensor) or traced.shape != own.shape:
            return False
        finite = own.isfinite() & traced.isfinite()
        gap = (traced - own)[finite].abs().double()
        if gap.numel() and float(gap.max()) > tolerance * max(float(own[finite].abs().max()), 1e-300):
            return False
    return True


def trace(
    model: nn.Module,
    input_shape: tuple[int, ...],
    is_leaf: Callable[[nn.Module], bool] | None = None,
    known: frozenset[OpOverload] | None = None,
) -> Program:
    """Trace ``model`` on an input of shape ``(batch, rows, channels)``; the model itself is not touched.

    Args:
        is_leaf: which modules become one operation, because a user's rule covers them (default: those with one).
        known: operations that are kept as they are; all others are decomposed (default: those with a rule).

    Raises:
        ValueError: the shape is not a tuple of positive integers, or weights that are not finite.
        Inconclusive: the model cannot be traced, in words.
    """
    check_input_shape(input_shape)
    if known is None or is_leaf is None:
        from precls_theory.expressivity.growth.operation import OPERATIONS, has_module_rule

        known = frozenset(OPERATIONS) if known is None else known
        is_leaf = has_module_rule if is_leaf is None else is_leaf
    model, name = private_copy(model), type(model).__name__
    floats = [p.dtype for p in [*model.parameters(), *model.buffers()] if p.is_floating_point()]
    dtype = floats[0] if floats else torch.get_default_dtype()
    leaves: list[nn.Module] = []
    own = copy.deepcopy(model)
    root = _Root(_substituted(model, is_leaf, leaves))
    _leaves.update({id(module): module for module in leaves})
    try:
        random_state = torch.get_rng_state()
        exported = _flat(_export(root, torch.zeros(tuple(input_shape), dtype=dtype), name), known, name)
        program = _program(exported, own, leaves, name)
        with _quietly():
            same = _reproduces(program, own, dtype)
        if not torch.equal(random_state, torch.get_rng_state()):
            torch.set_rng_state(random_state)
            raise Inconclusive(name, "its forward draws random numbers")
        if same:
            return program
    finally:
        for module in leaves:
            _leaves.pop(id(module), None)
    if dtype != torch.float64:  # rounding alone may have told them apart: in float64 it does not
        return trace(own.double(), input_shape, is_leaf, known)
    raise Inconclusive(
        name,
        "the operations traced do not reproduce its output at random inputs, so its forward asks for more than tensors "
        "(whether it is being compiled, say); register a rule for that module",
    )
