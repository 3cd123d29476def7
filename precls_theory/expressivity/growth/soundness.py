"""Random calls of an operation, from its schema, and whether its rule's bound holds for them.

A call has operands of random shapes that depend on the input (pieces of it) or are constants, some with -inf, and
parameters of every kind that the schema allows, NaN and infinity among them.  A rule may refuse a call; if it answers,
its bound and all that it says of single entries must hold at wild inputs, up to an allowance for float64.  This runs
rules; it does not prove them for all calls.
"""

from __future__ import annotations

import math
import operator
import random
from collections.abc import Callable, Iterator
from typing import TypeAlias

import torch
from torch import Tensor, fx, nn
from torch._ops import OpOverload

from precls_theory.expressivity.growth import rules as _rules  # noqa: F401  (fills the registry)
from precls_theory.expressivity.growth.interpreter import Bounds
from precls_theory.expressivity.growth.operation import OPERATIONS
from precls_theory.expressivity.growth.value import Growth, poly_value
from precls_theory.expressivity.tracing.program import Inconclusive, Program, Tensors, walk

NUMBERS = (0, 1, -1, 2, 3, 0.5, -0.3, 2.5, 11.0, -50.0, 1e-6, math.inf, -math.inf, math.nan)
SCALES = (0.0, 1e-6, 1e-2, 1.0, 3.0, 30.0, 1e3, 1e5)
ALLOWANCE = 1e-9


class Drawn:
    """A tensor argument: of this shape, and a constant or a piece of the input."""

    def __init__(self, shape: tuple[int, ...], kind: str = "input", value: Tensor | None = None) -> None:
        self.shape, self.kind, self.value = shape, kind, value


DrawnArgument: TypeAlias = "Drawn | int | float | str | list[Drawn] | list[int] | None"
"""An argument of a random call."""

DrawnArguments: TypeAlias = dict[str, DrawnArgument]


def _constant(shape: tuple[int, ...], rng: random.Random, kind: str) -> Drawn:
    generator = torch.Generator().manual_seed(rng.randrange(2**31))
    if kind == "bool":
        return Drawn(shape, kind, torch.rand(shape, generator=generator) < 0.5)
    if kind == "positions":
        return Drawn(shape, kind, torch.randint(0, 2, shape, generator=generator))
    value = torch.randn(shape, generator=generator, dtype=torch.float64) * rng.choice((0.5, 1.0, 20.0))
    if kind == "masked":
        value = value.masked_fill(torch.rand(shape, generator=generator) < 0.2, -math.inf)
    return Drawn(shape, "constant", value.abs() if kind == "positive" else value)


def _shape(rng: random.Random, ndim: int | None = None) -> tuple[int, ...]:
    return tuple(rng.choice((1, 2, 3, 4)) for _ in range(rng.choice((1, 2, 2, 3, 3, 4)) if ndim is None else ndim))


def _tensor(rng: random.Random, shape: tuple[int, ...]) -> Drawn:
    kind = rng.choice(("input", "input", "input", "constant", "masked", "positive"))
    return Drawn(shape) if kind == "input" else _constant(shape, rng, kind)


def _related(rng: random.Random, base: tuple[int, ...]) -> tuple[int, ...]:
    """A shape that often fits beside another one."""
    choice = rng.randrange(6)
    if choice <= 1 or not base:
        return base
    if choice == 2:
        return tuple(1 if rng.random() < 0.5 else n for n in base)
    if choice == 3:
        return base[-1:]
    if choice == 4 and len(base) >= 2:
        return (*base[:-2], base[-1], rng.choice((1, 2, 3)))
    return (*base[:-1], rng.choice((1, 2, 3))) if choice == 5 else ()


def _hinted(name: str, rng: random.Random) -> DrawnArguments | None:
    """Arguments of operations whose operands have to fit each other."""

    def tensor(*shape: int) -> Drawn:
        return _tensor(rng, shape)

    if name.startswith("conv"):
        spatial = int(name[-1]) if name[-1].isdigit() else rng.choice((1, 2))
        groups, size = rng.choice((1, 1, 2)), rng.choice((1, 2, 3))
        inside, outside = groups * rng.choice((1, 2)), groups * rng.choice((1, 2))
        turned = "transpose" in name or (name == "convolution" and rng.random() < 0.5)
        weight = (inside, outside // groups) if turned else (outside, inside // groups)
        found: DrawnArguments = {
            "input": tensor(rng.choice((1, 2)), inside, *[rng.choice((4, 5))] * spatial),
            "weight": _constant((*weight, *[size] * spatial), rng, "constant") if rng.random() < 0.8
            else Drawn((*weight, *[size] * spatial)),
            "bias": rng.choice((None, tensor(outside))), "groups": groups,
            "stride": [rng.choice((1, 2))] * spatial, "padding": [rng.choice((0, 1))] * spatial,
            "dilation": [rng.choice((1, 2))] * spatial,
        }  # fmt: skip
        if name == "convolution":
            found |= {"transposed": turned, "output_padding": [0] * spatial}
        return found
    if "pool" in name:
        spatial = int(next(ch for ch in name if ch.isdigit()))
        shape = (1, 2, *[rng.choice((4, 5, 6))] * spatial)
        if "adaptive" in name:
            return {"self": tensor(*shape), "output_size": [rng.choice((1, 2, 3, 5, 7))] * spatial}
        found = {"self": tensor(*shape), "kernel_size": [rng.choice((2, 3))] * spatial}
        if rng.random() < 0.7:
            found["stride"] = [rng.choice((1, 2, 3))] * spatial
        if rng.random() < 0.5:
            found |= {"padding": [1] * spatial, "ceil_mode": rng.random() < 0.5}
        if name in ("avg_pool2d", "avg_pool3d") and rng.random() < 0.5:
            found |= {"divisor_override": rng.choice((1, 2, 5)), "count_include_pad": rng.random() < 0.5}
        return found
    if name in ("layer_norm", "native_layer_norm", "rms_norm", "_fused_rms_norm"):
        shape = _shape(rng, 3)
        normal = list(shape[rng.choice((1, 2)) :])
        found = {"input": Drawn(shape), "normalized_shape": normal, "eps": rng.choice((1e-5, 1e-3, 0.0, -1.0, 1e-20))}
        found["weight"] = rng.choice((None, tensor(*normal)))
        if "layer" in name:
            found["bias"] = rng.choice((None, tensor(*normal)))
        return found
    if "group_norm" in name:
        batch, groups, per, length = rng.choice((1, 2, 3)), rng.choice((1, 2)), rng.choice((1, 2)), rng.choice((2, 3))
        channels = groups * per
        found = {"input": Drawn((batch, channels, length)), "eps": rng.choice((1e-5, 1e-3, 0.0)),
                 "weight": rng.choice((None, tensor(channels))), "bias": rng.choice((None, tensor(channels)))}  # fmt: skip
        if name == "group_norm":
            return found | {"num_groups": groups}
        return found | {"N": batch, "C": channels, "HxW": length, "group": groups}
    if "batch_norm" in name or name == "instance_norm":
        channels = rng.choice((1, 2, 3))
        stored = rng.random() < 0.6
        found = {
            "input": Drawn((rng.choice((1, 2)), channels, 3)), "weight": rng.choice((None, tensor(channels))),
            "bias": rng.choice((None, tensor(channels))), "momentum": 0.1, "eps": rng.choice((1e-5, 1e-2)),
            "running_mean": _constant((channels,), rng, "constant") if stored else None,
            "running_var": _constant((channels,), rng, "positive") if stored else None,
            "training": not stored, "use_input_stats": not stored, "cudnn_enabled": True,
        }  # fmt: skip
        return found
    if name == "scaled_dot_product_attention":
        heads, rows, keys, dims = rng.choice((1, 2)), rng.choice((1, 3)), rng.choice((1, 3)), rng.choice((1, 2))
        found = {"query": tensor(1, heads, rows, dims), "key": tensor(1, heads, keys, dims),
                 "value": tensor(1, heads, keys, rng.choice((1, 3)))}  # fmt: skip
        if rng.random() < 0.5:
            mask = (rows, keys)
            found["attn_mask"] = rng.choice(
                (_constant(mask, rng, "bool"), _tensor(rng, mask), _constant(mask, rng, "masked"))
            )
        elif rng.random() < 0.5:
            found["is_causal"] = True
        if rng.random() < 0.5:
            found["scale"] = rng.choice(NUMBERS)
        if rng.random() < 0.2:
            found["dropout_p"] = 0.5
        return found
    if name == "einsum":
        a, b, k = rng.choice((1, 2, 3)), rng.choice((1, 2)), rng.choice((1, 2, 3))
        equation, shapes = rng.choice((
            ("ij,jk->ik", ((a, b), (b, k))), ("ij,kj->ik", ((a, b), (k, b))), ("ij,jk->k", ((a, b), (b, k))),
            ("bij,bkj->bik", ((2, a, b), (2, k, b))), ("ij,k->i", ((a, b), (k,))), ("i,j->ij", ((a,), (b,))),
            ("bi,bi->b", ((a, b), (a, b))), ("...i,ij->...j", ((a, b), (b, k))), ("ij,ij->", ((a, b), (a, b))),
        ))  # fmt: skip
        return {"equation": equation, "tensors": [tensor(*s) for s in shapes]}
    if name in ("addmm", "baddbmm", "addmv", "addbmm"):
        a, b, k, batch = (rng.choice((1, 2, 3)) for _ in range(4))
        numbers: DrawnArguments = (
            {"beta": rng.choice(NUMBERS), "alpha": rng.choice(NUMBERS)} if rng.random() < 0.6 else {}
        )
        if name == "addmm":
            return {"self": tensor(k), "mat1": tensor(a, b), "mat2": tensor(b, k)} | numbers
        if name == "addmv":
            return {"self": tensor(a), "mat": tensor(a, b), "vec": tensor(b)} | numbers
        return {"self": tensor(1, a, k) if name == "baddbmm" else tensor(a, k), "batch1": tensor(batch, a, b),
                "batch2": tensor(batch, b, k)} | numbers  # fmt: skip
    if name == "linear":
        a, b, k = (rng.choice((1, 2, 3)) for _ in range(3))
        return {"input": tensor(2, a, b), "weight": tensor(k, b), "bias": rng.choice((None, tensor(k)))}
    if name in ("cat", "concat", "concatenate", "stack", "hstack", "vstack", "dstack", "column_stack", "row_stack"):
        shape = _shape(rng)
        found = {"tensors": [_tensor(rng, shape) for _ in range(rng.choice((1, 2, 3)))]}
        return found | ({"dim": rng.choice((0, -1))} if name in ("cat", "concat", "concatenate", "stack") else {})
    if name == "pad":
        mode = rng.choice(("constant", "reflect", "circular", "replicate"))
        widths = [rng.choice((0, 1, 2)), rng.choice((0, 1, 2 if mode != "constant" else -1))]
        found = {"self": Drawn((1, 2, 4)), "pad": widths, "mode": mode}
        if mode == "constant" and rng.random() < 0.7:
            found["value"] = rng.choice(NUMBERS)
        return found
    if name in ("index", "index_put"):
        at = _constant((2,), rng, "positions")
        found = {"self": tensor(2, 3), "indices": [at] if rng.random() < 0.7 else [at, at]}
        return found if name == "index" else found | {"values": tensor(1), "accumulate": rng.random() < 0.3}
    if name in ("gather", "take_along_dim", "scatter", "index_fill", "index_select", "embedding"):
        at = _constant((2, 2), rng, "positions")
        if name == "index_select":
            return {"self": tensor(2, 3), "dim": rng.choice((0, 1)), "index": _constant((3,), rng, "positions")}
        if name == "index_fill":
            return {
                "self": tensor(2, 3),
                "dim": 0,
                "index": _constant((1,), rng, "positions"),
                "value": rng.choice(NUMBERS),
            }
        if name == "embedding":
            return {"weight": tensor(3, 2), "indices": at}
        key = "indices" if name == "take_along_dim" else "index"
        found = {"self": tensor(2, 2), "dim": rng.choice((0, 1)), key: at}
        return found
    return None


def _argument(argument: torch._C.Argument, rng: random.Random, base: tuple[int, ...]) -> DrawnArgument:
    kind = str(argument.type)
    optional = kind.startswith("Optional") or argument.has_default_value()
    if optional and rng.random() < 0.4:
        return argument.default_value
    if "List[Tensor]" in kind:
        return [_tensor(rng, base) for _ in range(2)]
    if "Tensor" in kind:
        if argument.name in ("condition", "mask"):
            return rng.choice((_constant(_related(rng, base), rng, "bool"), _constant(base, rng, "bool")))
        return _tensor(rng, _related(rng, base))
    if "bool" in kind:
        return rng.random() < 0.5
    if "List[" in kind and "int" in kind.lower():
        return [rng.choice((-2, -1, 0, 1, 2, 3)) for _ in range(rng.choice((1, 1, 2, 3)))]
    if kind.startswith("Optional[number]") or "number" in kind.lower() or "Scalar" in kind:
        return rng.choice(NUMBERS)
    if "float" in kind:
        return rng.choice(NUMBERS)
    if "int" in kind.lower():
        return rng.choice((-2, -1, 0, 1, 2, 3))
    if "str" in kind:
        return rng.choice(("none", "tanh", "constant", "reflect", "floor", "trunc"))
    return argument.default_value


def random_call(target: OpOverload, rng: random.Random) -> Program | None:
    """A program of that one operation; ``None`` if PyTorch refuses these arguments."""
    name = str(target._schema.name).split("::")[1]
    base = _shape(rng)
    hinted = _hinted(name, rng)
    values: DrawnArguments = {}
    for argument in target._schema.arguments:
        if argument.name in ("memory_format", "layout", "device", "pin_memory", "dtype", "generator", "out_dtype"):
            continue
        if hinted is not None:
            if argument.name in hinted:
                values[argument.name] = hinted[argument.name]
            elif not argument.has_default_value():
                values[argument.name] = _argument(argument, rng, base)
            continue
        first = argument.name in ("self", "input") and "Tensor" in str(argument.type)
        values[argument.name] = Drawn(base) if first else _argument(argument, rng, base)
    graph = fx.Graph()
    start = graph.placeholder("u")
    constants: dict[fx.Node, Tensor] = {}
    operands: list[Drawn] = []

    def collect(x: DrawnArgument) -> None:
        if isinstance(x, Drawn):
            operands.append(x)
        elif isinstance(x, list):
            for item in x:
                collect(item)

    for value in values.values():
        collect(value)
    size = sum(math.prod(x.shape) for x in operands if x.kind == "input")
    if size == 0:
        return None
    start.meta["val"] = torch.zeros(size, dtype=torch.float64)
    at, nodes = 0, {}
    for number, x in enumerate(operands):
        if x.kind != "input":
            node = graph.placeholder(f"c{number}")
            node.meta["val"] = x.value
            assert x.value is not None
            constants[node] = x.value
        else:
            count = math.prod(x.shape)
            part = graph.call_function(torch.ops.aten.slice.Tensor, (start, 0, at, at + count))
            part.meta["val"] = torch.zeros(count, dtype=torch.float64)
            node = graph.call_function(torch.ops.aten.reshape.default, (part, list(x.shape)))
            node.meta["val"] = torch.zeros(x.shape, dtype=torch.float64)
            at += count
        nodes[id(x)] = node

    def replaced(x: DrawnArgument, using: Callable[[fx.Node], Tensor | fx.Node]) -> fx.node.Argument:
        if isinstance(x, Drawn):
            return using(nodes[id(x)])
        return [replaced(i, using) for i in x] if isinstance(x, list) else x

    try:
        with torch.no_grad():
            ones = {n: constants.get(n, torch.ones(n.meta["val"].shape, dtype=torch.float64)) for n in nodes.values()}
            example = {name: replaced(v, ones.__getitem__) for name, v in values.items()}
            out = target(**example)
    except Exception:
        return None
    result = graph.call_function(target, (), {n: replaced(v, lambda node: node) for n, v in values.items()})
    result.meta["val"] = out
    if isinstance(out, tuple | list):
        index = rng.randrange(len(out))
        picked = graph.call_function(operator.getitem, (result, index))
        picked.meta["val"] = out[index]
        result, out = picked, out[index]
    if not isinstance(out, Tensor):
        return None
    return Program(graph, start, result, constants, nn.Identity())


def wild(size: int, rng: random.Random) -> Iterator[Tensor]:
    """Inputs of many sizes: dense, sparse, equal, of one sign."""
    generator = torch.Generator().manual_seed(rng.randrange(2**31))
    for scale in SCALES:
        dense = torch.randn(size, generator=generator, dtype=torch.float64) * scale
        yield dense
        yield dense * (torch.rand(size, generator=generator) < 0.3)
        yield torch.full((size,), scale, dtype=torch.float64)
        yield -dense.abs()


def _wrong(out: Tensor, bound: Growth, u: Tensor, allowance: float) -> str:
    values = (torch.view_as_real(out) if out.is_complex() else out).detach().double()
    largest = float(values.abs().max()) if values.numel() else 0.0
    size = float((values / largest).norm()) * largest if largest else 0.0
    limit = poly_value(bound.norm, float(u.norm()))
    if not size <= limit * (1 + allowance) + allowance * 1e-6:
        return f"its norm is {size:.6g}, the bound {limit:.6g}"
    if out.numel() == 0 or out.is_complex():
        return ""
    slack = allowance * (1 + float(values.abs().max()))
    if not float(values.abs().max()) <= bound.entry + slack:
        return f"an entry is {float(values.abs().max()):.6g}, said to be at most {bound.entry:.6g}"
    if float(values.min()) < bound.lower - slack or float(values.max()) > bound.upper + slack:
        seen = f"[{float(values.min()):.6g}, {float(values.max()):.6g}]"
        return f"entries are in {seen}, said to be in [{bound.lower}, {bound.upper}]"
    for dim in bound.simplex:
        if float(values.sum(dim).max()) > 1 + 1e-6 or float(values.min()) < 0:
            return f"dimension {dim} is not in a simplex"
    return ""


def check(target: OpOverload, seed: int, tries: int = 30) -> tuple[int, str]:
    """How many random calls got a bound, and the first violation in words (empty if there is none)."""
    rng = random.Random(f"{target} {seed}")
    answered = 0
    for _ in range(tries):
        program = random_call(target, rng)
        if program is None:
            continue
        try:
            bound = Bounds(program, {}, {}).run()
        except Inconclusive:
            continue
        except (ValueError, RuntimeError):  # a constant that is not finite; an argument that fails at other values
            continue
        answered += 1
        for u in wild(program.input_shape[0], rng):
            out = walk(program, Tensors(u))
            if out.is_floating_point() and not out.isfinite().all():
                hidden = bound.masked if bound.masked is not None else torch.zeros(out.shape, dtype=torch.bool)
                if not out[~hidden].isfinite().all():
                    at = f"at an input of norm {float(u.norm()):.3g}"
                    return answered, f"{target} {_shown(program)}: an entry is not finite {at}"
                out = out.masked_fill(hidden, 0.0)
            reason = _wrong(out, bound, u, ALLOWANCE)
            if reason:
                return answered, f"{target} {_shown(program)}: {reason} at an input of norm {float(u.norm()):.3g}"
    return answered, ""


def _shown(program: Program) -> str:
    node = next(n for n in reversed(program.graph.nodes) if isinstance(n.target, OpOverload))
    parts = {k: tuple(v.meta["val"].shape) if isinstance(v, fx.Node) else v for k, v in node.kwargs.items()}
    return str(parts)[:300]


CRASHING = ("native_batch_norm", "cudnn_batch_norm")
"""Kernels that trust their arguments: random ones end the process."""


def operations() -> list[OpOverload]:
    """Every operation that has a record and can be called with random arguments."""
    return [target for target in OPERATIONS if not any(name in str(target) for name in CRASHING)]
