"""Operations of which every output entry is an input entry, or a fixed number.

They are run on the positions 0, 1, ... of the entries instead of the entries, so what goes where is PyTorch's own
answer, for every argument: ‖y‖² ≤ Σ_s m_s ‖x_s‖², m_s = how often an entry of the operand s appears at most.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from precls_theory.enclosures import norms
from precls_theory.enclosures.norms import up_mul, up_sqrt
from precls_theory.expressivity.growth.operation import GrowthContext, GrowthLike, operation
from precls_theory.expressivity.growth.value import PIECEWISE, Growth, NormPolynomial, poly_hypot, poly_scale
from precls_theory.expressivity.tracing.program import Argument, Constant, Number, Sizes

placement = functools.partial(operation, moves=True)
"""Registers a record whose rule only says what goes where, which serves every domain."""
MOVED = "entries are moved: ‖y‖ ≤ √m ‖x‖, m = how often one is repeated"


def positions_of(
    c: GrowthContext, operands: dict[str, tuple[int, ...]], arguments: Mapping[str, Constant]
) -> tuple[Tensor, ...]:
    """Run the operation on positions: the operands, by name, are numbered one after the other; its results."""
    start, numbered = 0, {}
    for name, shape in operands.items():
        count = math.prod(shape)
        numbered[name] = torch.arange(start, start + count).reshape(shape)
        start += count
    found = c.call.target(**numbered, **arguments)
    return tuple(found) if isinstance(found, tuple | list) else (found,)


def _simplex_after(x: Growth, where: Tensor) -> frozenset[int]:
    """Dimensions of the output along which entries are distinct members of one simplex of ``x``."""
    found = set()
    for dim in x.simplex:
        stride = math.prod(x.shape[len(x.shape) + dim + 1 :])
        size = x.shape[dim]
        group = where // (stride * size) * stride + where % stride  # the position with the index along dim removed
        for new in range(-where.ndim, 0):
            lines, values = group.movedim(new, -1), where.movedim(new, -1)
            ordered = values.sort(dim=-1).values
            distinct = (ordered[..., 1:] != ordered[..., :-1]).all()
            if bool((lines == lines[..., :1]).all()) and bool(distinct):
                found.add(new)
    return frozenset(found)


def placed(c: GrowthContext, where: Tensor, sources: list[Growth], fill: float = 0.0) -> Growth:
    """The value of ``concatenated(sources)[where]``, with ``fill`` where the position is -1: its growth, or its balls."""
    if not isinstance(c, GrowthContext):
        return c.placed(where, sources, fill)
    flat = where.reshape(-1)
    norm: NormPolynomial = (0.0,)
    entry, lower, upper, start = 0.0, math.inf, -math.inf, 0
    masked = torch.zeros(flat.shape, dtype=torch.bool)
    for x in sources:
        here = flat[(flat >= start) & (flat < start + x.numel)] - start
        if here.numel():
            if x.value is not None and x.masked is None and not x.value.is_complex():
                part: NormPolynomial = (norms.frobenius_norm(x.value.reshape(-1)[here].double()),)
            else:
                times = int(torch.bincount(here, minlength=1).max())
                part = x.norm if times == 1 else poly_scale(x.norm, up_sqrt(float(times)))
            norm = part if norm == (0.0,) else poly_hypot(norm, part)
            entry, lower, upper = max(entry, x.entry), min(lower, x.lower), max(upper, x.upper)
            if x.masked is not None:
                inside = (flat >= start) & (flat < start + x.numel)
                masked[inside] = x.masked.reshape(-1)[flat[inside] - start]
        start += x.numel
    filled = int((flat < 0).sum())
    if filled and math.isinf(fill) and fill < 0:
        masked |= flat < 0
    elif filled:
        norm = poly_hypot(norm, (up_mul(abs(fill), up_sqrt(float(filled))),))
        entry, lower, upper = max(entry, abs(fill)), min(lower, fill), max(upper, fill)
    simplex: frozenset[int] = frozenset()
    if len(sources) == 1 and sources[0].simplex:
        x = sources[0]
        if not filled:
            simplex = _simplex_after(x, where)
        elif (
            fill == 0
            and where.shape == x.shape
            and bool((where == torch.arange(x.numel).reshape(x.shape))[where >= 0].all())
        ):
            simplex = x.simplex
    return Growth(
        tuple(where.shape), norm, entry, -math.inf if lower == math.inf else lower,
        math.inf if upper == -math.inf else upper, simplex, masked=masked.reshape(where.shape) if bool(masked.any()) else None,
    )  # fmt: skip


def truth(c: GrowthContext) -> Growth:
    """Truth values: 0 or 1."""
    return Growth(c.shape, (up_sqrt(float(math.prod(c.shape))),), 1.0, 0.0, 1.0)


def plain(c: GrowthContext, value: Argument[Growth]) -> Constant:
    """An argument that must not depend on the input, such as positions."""
    if isinstance(value, Growth):
        if value.value is None:
            raise c.fail("positions that depend on the input are not covered")
        return value.value
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(plain(c, v) for v in value) if isinstance(value, tuple) else [plain(c, v) for v in value]
    return value


@placement(
    "view _unsafe_view reshape transpose.int permute expand flatten.using_ints unsqueeze squeeze squeeze.dim squeeze.dims "
    "t narrow select.int slice.Tensor index_select repeat repeat_interleave.self_int flip fliplr flipud roll swapaxes "
    "swapdims movedim.int movedim.intlist moveaxis.int moveaxis.intlist broadcast_to unflatten.int tile diagonal unfold "
    "ravel numpy_T mT adjoint chunk split.Tensor split.sizes split_with_sizes unbind.int tensor_split.sections "
    "tensor_split.indices hsplit.int vsplit.int dsplit.int index.Tensor gather take take_along_dim pixel_shuffle "
    "pixel_unshuffle channel_shuffle rot90 atleast_1d atleast_2d atleast_3d expand_as view_as reshape_as diag_embed "
    "view_copy permute_copy transpose_copy.int expand_copy unsqueeze_copy squeeze_copy squeeze_copy.dim squeeze_copy.dims "
    "t_copy select_copy.int slice_copy.Tensor diagonal_copy unfold_copy split_copy.Tensor split_with_sizes_copy "
    "unbind_copy.int",
    statement=MOVED, exact=True, masks=True, complex=True, integers=True,
)  # fmt: skip
def move(c: GrowthContext, **arguments: Argument[Growth]) -> Growth | tuple[Growth, ...]:
    """One operand is moved; positions and the operand that only lends its shape are not."""
    name = "self" if "self" in arguments else "tensor"
    x = c.growth(arguments.pop(name))
    if c.name in ("expand_as", "view_as", "reshape_as"):
        arguments["other"] = torch.zeros(c.shape)  # the result has the other's shape
    if c.name == "diag_embed":
        where = c.call.target(torch.arange(1, x.numel + 1).reshape(x.shape), **arguments) - 1
        return placed(c, where, [x])
    if c.name == "adjoint" and c.dtype.is_complex:
        raise c.fail("the adjoint of a complex matrix is not covered")
    found = positions_of(c, {name: x.shape}, {k: plain(c, v) for k, v in arguments.items()})
    if c.several:
        return tuple(placed(c, where, [x]) for where in found)
    y = placed(c, found[0], [x])
    if (
        isinstance(c, GrowthContext)
        and c.name in ("expand", "expand_as", "broadcast_to", "expand_copy")
        and len(c.shape) == len(x.shape)
    ):
        return y.same(relation=x.relation)  # the same number for the whole group, as it was broadcast before
    return y


@operation(
    "alias contiguous clone detach alias_copy lift_fresh_copy lift_fresh positive _conj conj resolve_conj resolve_neg "
    "conj_physical requires_grad_",
    statement="the identity", exact=True, masks=True, complex=True, integers=True,
)  # fmt: skip
def identity(c: GrowthContext, self: Growth) -> Growth:
    """The same numbers (a conjugate has the same absolute values); what is known of them stays known."""
    return self


@operation(
    "to.dtype to.device to.other to.dtype_layout _to_copy type_as float double half",
    statement="the identity on real numbers", masks=True, complex=True, integers=True,
)  # fmt: skip
def convert(
    c: GrowthContext,
    self: Growth,
    other: GrowthLike | None = None,
    copy: bool = False,
    dtype: torch.dtype | None = None,
) -> Growth:
    """A conversion between formats of real numbers; truth values become 0 and 1."""
    source = c.call.operands()[0].dtype
    if source.is_complex and not c.dtype.is_complex:
        raise c.fail("the imaginary part is thrown away")
    if c.dtype == torch.bool:  # whether a number is 0
        c.kind = max(c.kind, PIECEWISE)
        return truth(c)
    if not (c.dtype.is_floating_point or c.dtype.is_complex):
        largest = torch.iinfo(c.dtype).max
        if source.is_floating_point or not self.entry <= largest or (self.lower < 0 and torch.iinfo(c.dtype).min == 0):
            raise c.fail(f"conversion from {source} to {c.dtype} rounds or wraps around")
        return self
    narrower = source.is_floating_point and torch.finfo(c.dtype).eps > torch.finfo(source).eps
    return self.same() if c.rounding is not None and narrower else self


@placement("tril triu", statement="entries are replaced by zeros", exact=True, integers=True)
def triangle(c: GrowthContext, self: Growth, diagonal: int = 0) -> Growth:
    """Run on positions from 1, so that 0 stands for what is replaced."""
    where = c.call.target(torch.arange(1, self.numel + 1).reshape(self.shape), diagonal) - 1
    return placed(c, where, [self])


@placement("cat concat concatenate stack hstack vstack dstack column_stack row_stack",
           statement="‖[x, y]‖ = hypot(‖x‖, ‖y‖)", exact=True, masks=True, complex=True, integers=True)  # fmt: skip
def join(c: GrowthContext, tensors: Sequence[GrowthLike], dim: int = 0) -> Growth:
    """All operands, numbered one after the other."""
    parts = [c.growth(t) for t in tensors]
    start, numbered = 0, []
    for x in parts:
        numbered.append(torch.arange(start, start + x.numel).reshape(x.shape))
        start += x.numel
    arguments = {} if dim == 0 else {"dim": dim}
    return placed(c, c.call.target(numbered, **arguments), parts)


@placement(
    "slice_scatter select_scatter diagonal_scatter scatter.src", statement=MOVED, exact=True, masks=True, complex=True
)
def scatter(c: GrowthContext, self: GrowthLike, src: GrowthLike, **arguments: Argument[Growth]) -> Growth:
    """Entries of one operand take the places of some of the other's."""
    x, y = c.growth(self), c.growth(src)
    (where,) = positions_of(c, {"self": x.shape, "src": y.shape}, {k: plain(c, v) for k, v in arguments.items()})
    return placed(c, where, [x, y])


@placement("copy", statement=MOVED, masks=True)
def copy(c: GrowthContext, self: GrowthLike, src: GrowthLike, non_blocking: bool = False) -> Growth:
    """All entries are replaced, in the format of the first operand."""
    x = c.growth(src)
    return placed(c, torch.arange(x.numel).reshape(x.shape).expand(c.shape), [x])


@placement("index_put", statement=MOVED, exact=True, masks=True)
def index_put(
    c: GrowthContext,
    self: GrowthLike,
    indices: Sequence[GrowthLike | None],
    values: GrowthLike,
    accumulate: bool = False,
) -> Growth:
    """Entries at given positions are replaced."""
    if accumulate:
        raise c.fail("accumulate=True is not covered")
    x, y = c.growth(self), c.growth(values)
    (where,) = positions_of(c, {"self": x.shape, "values": y.shape}, {"indices": plain(c, indices)})
    return placed(c, where, [x, y])


def _with_fill(
    c: GrowthContext, x: Growth, fill: GrowthLike, arguments: Mapping[str, Argument[Growth]], name: str
) -> Growth:
    number = float(fill) if isinstance(fill, int | float | bool) else c.number(plain(c, fill))
    if math.isnan(number) or number == math.inf:
        raise c.fail(f"filling with {number} is not covered")
    target: Callable[..., Tensor] = c.call.target
    where = target(
        torch.arange(x.numel).reshape(x.shape), **{k: plain(c, v) for k, v in arguments.items()}, **{name: -1}
    )
    return placed(c, where, [x], number)


@placement("scatter.value", statement="entries are replaced", masks=True)
def scatter_value(c: GrowthContext, self: Growth, dim: int, index: GrowthLike, value: Number) -> Growth:
    """Entries at given positions are replaced by a number."""
    return _with_fill(c, self, value, {"dim": dim, "index": index}, "value")


@placement("index_fill.int_Scalar index_fill.int_Tensor", statement="entries are replaced", masks=True)
def index_fill(c: GrowthContext, self: Growth, dim: int, index: GrowthLike, value: GrowthLike) -> Growth:
    """Rows are replaced by a number."""
    number = c.number(value if not isinstance(value, Growth) else plain(c, value))
    at = plain(c, index)
    if not isinstance(at, Tensor):
        raise c.fail(f"expected a tensor of positions, got {type(at).__name__}")
    where = torch.arange(self.numel).reshape(self.shape).index_fill(dim, at, -1)
    return placed(c, where, [self], number)


@placement("constant_pad_nd", statement="a number is added at the borders", masks=True)
def constant_pad(c: GrowthContext, self: Growth, pad: Sequence[int], value: Number = 0) -> Growth:
    """Negative widths crop."""
    return _with_fill(c, self, value, {"pad": pad}, "value")


@placement("pad", statement="zeros, a number or copies are added at the borders", masks=True)
def pad(
    c: GrowthContext, self: Growth, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Growth:
    """Copies are counted by running on positions, as floats: the modes that mirror need them."""
    if mode == "constant":
        where = torch.nn.functional.pad(torch.arange(self.numel).reshape(self.shape), list(pad), "constant", -1)
        number = 0.0 if value is None else float(value)
        if math.isnan(number) or number == math.inf:
            raise c.fail(f"filling with {number} is not covered")
        return placed(c, where, [self], number)
    numbered = torch.arange(self.numel, dtype=torch.float64).reshape(self.shape)
    return placed(c, torch.nn.functional.pad(numbered, list(pad), mode).long(), [self])


@placement("reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d replication_pad3d",
           statement="copies are added at the borders", exact=True)  # fmt: skip
def mirror(c: GrowthContext, self: Growth, padding: Sizes) -> Growth:
    """Run on positions as floats, which these operations need."""
    return placed(
        c, c.call.target(torch.arange(self.numel, dtype=torch.float64).reshape(self.shape), padding).long(), [self]
    )


@placement("zeros_like ones_like full_like new_zeros new_ones new_full new_empty empty_like",
           statement="a constant of the input's shape", exact=True, masks=True, complex=True, integers=True)  # fmt: skip
def fresh(
    c: GrowthContext,
    self: Growth,
    size: Sizes | None = None,
    fill_value: Number | None = None,
    dtype: torch.dtype | None = None,
) -> Growth:
    """What it looks like does not matter, but its shape and type."""
    if "empty" in c.name:
        raise c.fail("it reads memory that was never written")
    value = 0.0 if "zeros" in c.name else 1.0 if "ones" in c.name else plain(c, fill_value)
    if not isinstance(value, Tensor | int | float):
        raise c.fail(f"expected a number to fill with, got {type(value).__name__}")
    return c.growth(torch.full(c.shape, float(value), dtype=c.dtype))


@placement("fill.Scalar fill.Tensor", statement="a constant of the input's shape")
def fill(c: GrowthContext, self: GrowthLike, value: GrowthLike) -> Growth:
    """Every entry is replaced by a number."""
    x = c.growth(value)
    return placed(c, torch.zeros(c.shape, dtype=torch.long), [x])


@operation("view_as_real", statement="‖(Re z, Im z)‖ = ‖z‖", exact=True, complex=True)
def view_as_real(c: GrowthContext, self: Growth) -> Growth:
    """Two real numbers for each complex one."""
    return Growth(c.shape, self.norm, self.entry)


@operation("view_as_complex", statement="‖x + iy‖ = ‖(x, y)‖", exact=True, complex=True)
def view_as_complex(c: GrowthContext, self: Growth) -> Growth:
    """One complex number for each two real ones."""
    return Growth(c.shape, self.norm, up_mul(self.entry, up_sqrt(2.0)) if math.isfinite(self.entry) else math.inf)


@operation("complex", statement="‖x + iy‖ = hypot(‖x‖, ‖y‖)", exact=True, complex=True)
def complex_of(c: GrowthContext, real: GrowthLike, imag: GrowthLike) -> Growth:
    """Real and imaginary parts are joined."""
    n = math.prod(c.shape)
    return Growth(c.shape, poly_hypot(c.growth(real).expanded(n), c.growth(imag).expanded(n)))


@operation("real imag", statement="|Re z|, |Im z| ≤ |z|", exact=True, complex=True)
def part(c: GrowthContext, self: Growth) -> Growth:
    """A part of a complex number is no larger than it; the real part of a real number is that number."""
    return (
        self if not c.call.operands()[0].is_complex() and c.name == "real" else Growth(c.shape, self.norm, self.entry)
    )
