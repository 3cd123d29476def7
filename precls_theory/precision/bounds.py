"""Proven bounds of the rounding error of a lowered network: first-order affine forms with a rigorous remainder (new).

The error of every channel is held as ``Σ_k X_k ε_k + r``, with noise symbols ``|ε_k| ≤ 1`` shared by all channels, so that
errors which cancel do cancel, and a remainder r for everything of second order. The weights, the copies and the order of
operations are
those of the plans from which the lowering makes its tensors (:mod:`constructions.lowering.plan`); the rounding of each weight
is computed exactly. Let u be the unit roundoff.

* **A sum** of n terms in any order, with S⁺ and S⁻ the sums of its positive and negative terms and s the result, errs by at most
  ``u·((n−2)·max(S⁺, S⁻) + |s|)·(1 + 4nu)``: it has n−1 additions; the last has the value s, and every partial sum lies
  between −S⁻ and S⁺. A fused multiply-add rounds less often, a wider accumulator too.
* **A sum over rows in the fixed tree** (``sums="fixed"``) errs by u times the sizes of the nodes of that tree, all added up.
* **A product** with a power of two is exact, any other errs by u times itself; both by η, half the smallest subnormal number
  and more, where they underflow. Copies are exact.
* **A product of two channels** c, g with errors e_c, e_g errs by ``c·e_g + g·e_c + e_c·e_g`` and its own rounding. The
  first two terms go into the symbols, the last into the remainder.
* One symbol stands for the rounding of each filtered channel, at all rows where these are equal, and of each output that is read,
  with the roundings of all rows where it is read through a sum.

The coefficients are computed in float64 about values that are themselves only computed: their distance from the exact ones
is covered by the bound itself where the format is no wider than float64, which enters the remainder once more, and the
rounding of the coefficients by a relative term in every sum.

The bound holds for round to nearest with gradual underflow. Where a value may overflow it is infinite.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from constructions.algebra.filters import DELTA, Filter
from constructions.lowering.context import Context
from constructions.lowering.maps import Sums, rounded
from constructions.lowering.plan import BlockPlan, Constants, LayerPlan, plan_network
from constructions.lowering.row_filter import folds, is_total, summed_rows
from constructions.networks.network import Network

MAX_SYMBOLS = 4000
"""Beyond so many symbols the smallest join the remainder."""
FORMATS = {torch.float64: 53, torch.float32: 24, torch.bfloat16: 8, torch.float16: 11}
_EPS = 2.0**-52


@dataclass(frozen=True)
class Arithmetic:
    """A number format: unit roundoff, underflow error, largest number."""

    dtype: torch.dtype

    @cached_property
    def u(self) -> float:
        return 2.0 ** -FORMATS[self.dtype]

    @cached_property
    def eta(self) -> float:
        smallest = torch.finfo(self.dtype).tiny * torch.finfo(self.dtype).eps
        return max(smallest, 5e-324)

    @cached_property
    def largest(self) -> float:
        return float(torch.finfo(self.dtype).max)

    def weights(self, values: list[Fraction]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weights as floats, the exact distance of each from its rounded self (rounded up), and is it a power of two?"""
        known: dict[Fraction, tuple[float, float, bool]] = {}
        for value in set(values):
            stored = float(rounded([value], self.dtype)[0])
            gap = abs(Fraction(stored) - value)
            power = math.frexp(stored)[0] in (0.5, -0.5)
            known[value] = (_near(value), float(gap) * (1 + 1e-15) if gap else 0.0, power)
        columns = [known[value] for value in values]
        return (
            np.array([c[0] for c in columns]), np.array([c[1] for c in columns]),
            np.array([c[2] for c in columns], dtype=bool),
        )  # fmt: skip


def _near(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


class Matrix:
    """A linear map: exact weights W (as floats), |W|, the roundings of weights, and where products round."""

    def __init__(self, n_out: int, n_in: int, entries: dict[tuple[int, int], Fraction], a: Arithmetic) -> None:
        self.W = np.zeros((n_out, n_in))
        self.gap, self.product = np.zeros((n_out, n_in)), np.zeros((n_out, n_in))
        if entries:
            rows, columns = (np.array(index) for index in zip(*entries, strict=True))
            W, gap, power = a.weights(list(entries.values()))
            self.W[rows, columns], self.gap[rows, columns] = W, gap
            self.product[rows, columns] = np.where(power, 0.0, np.abs(W) + gap)
        self.A = np.abs(self.W)
        self.n = np.count_nonzero(self.W, axis=1).astype(float)[:, None]
        self.positive, self.negative = np.maximum(self.W, 0), np.maximum(-self.W, 0)
        self.inexact = np.count_nonzero(self.product, axis=1).astype(float)[:, None]
        self.tree: tuple[int, int] | None = None
        """Rows that the lowering sums in its fixed tree."""


@dataclass
class State:
    """Channels (C, rows): values v within ± w, coefficients X (C, rows, symbols), remainder r, and ``own`` (None: zero).

    ``own`` is the rounding of each entry itself. It becomes a symbol where it is read: one for a whole sum over rows.
    """

    v: np.ndarray
    w: np.ndarray
    X: np.ndarray
    r: np.ndarray
    own: np.ndarray | None = None

    @property
    def total(self) -> np.ndarray:
        size = np.abs(self.X).sum(axis=2) + self.r
        return size if self.own is None else size + self.own

    @classmethod
    def empty(cls, n_rows: int, n_symbols: int) -> State:
        zero = np.zeros((0, n_rows))
        return cls(zero, zero, np.zeros((0, n_rows, n_symbols)), zero)


class Block:
    """A block plan as matrices."""

    def __init__(self, plan: BlockPlan, a: Arithmetic) -> None:
        self.plan, context = plan, plan.context
        self.rows = 1 if plan.row_constant else len(context.wanted)
        n_z = plan.sources.size
        self.linear = Matrix(plan.n_computed, n_z, plan.linear, a)
        self.mix = Matrix(plan.n_computed, plan.n_units, plan.mix, a)
        self.conv = Matrix(plan.n_units, n_z, dict(plan.conv.weights), a)
        self.gate = Matrix(plan.n_units, n_z, dict(plan.gate.weights), a)
        self.bias = bias_of(plan.constants, plan.n_computed, self.rows, plan, a)
        self.conv_bias = bias_of(plan.conv.constants, plan.n_units, self.rows, plan, a)
        self.gate_bias = bias_of(plan.gate.constants, plan.n_units, self.rows, plan, a)
        # a product with a factor that is the constant 1 is exact
        self.exact_product = np.zeros((plan.n_units, 1), dtype=bool)
        for matrix, (value, gap) in ((self.conv, self.conv_bias), (self.gate, self.gate_bias)):
            alone = (matrix.n == 0) & (np.abs(value) == 1).all(axis=1, keepdims=True) & (gap == 0).all(1, keepdims=True)
            self.exact_product |= alone
        self.groups = [
            (
                filter,
                constant,
                list(places),
                list(places.values()),
                None if constant else self.row_map(filter, context, a),
            )
            for (filter, constant), places in plan.sources.members.items()
        ]
        self.copies = np.array(list(plan.copies.values()), dtype=int)

    def row_map(self, filter: Filter, context: Context, a: Arithmetic) -> Matrix | np.ndarray:
        """What a filter does to the rows held: a selection for the identity, else a matrix."""
        if filter == DELTA:
            return np.array([context.held.index(row) for row in context.wanted])
        at = context.wanted[:1] if is_total(filter, context.mode) else context.wanted
        taps = filter.taps(context.n_rows)
        entries = {
            (i, j): taps[(row - source) % context.n_rows]
            for i, row in enumerate(at)
            for j, source in enumerate(context.held)
            if (context.mode == "circular" or source <= row) and taps[(row - source) % context.n_rows]
        }
        matrix = Matrix(len(at), len(context.held), entries, a)
        if context.sums == "fixed":
            matrix.tree = summed_rows(filter, context.held, at, context.n_rows, context.mode)
        return matrix


def bias_of(
    constants: Constants, n_out: int, n_rows: int, plan: BlockPlan, a: Arithmetic
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Constants (outputs, rows) and how far the stored ones are from them."""
    context = plan.context
    value, gap = np.zeros((n_out, n_rows)), np.zeros((n_out, n_rows))
    for output, items in constants.items():
        for place in range(n_rows):
            row = context.wanted[place]
            total = Fraction(0)
            for filter, number in items:
                taps = filter.taps(context.n_rows)
                seen = taps if context.mode == "circular" else taps[: row + 1]
                total += number * (1 if filter == DELTA else sum(seen, Fraction(0)))
            W, distance, _ = a.weights([total])
            value[output, place], gap[output, place] = W[0], distance[0]
            if all(filter == DELTA for filter, _ in items):
                value[output], gap[output] = W[0], distance[0]
                break
    return value, gap


class Bounder:
    """Rounding bounds of one network in one format; weights are prepared once."""

    def __init__(
        self,
        network: Network,
        dtype: torch.dtype,
        rows: Literal["readout", "all"] = "readout",
        sums: Sums = "any",
    ) -> None:
        if dtype not in FORMATS:
            raise ValueError(f"dtype must be one of {', '.join(map(str, FORMATS))}, got {dtype!r}")
        if rows not in ("readout", "all"):
            raise ValueError(f"rows must be 'readout' or 'all', got {rows!r}")
        self.network, self.a = network, Arithmetic(dtype)
        self.kept = network.task.readout_rows if rows == "readout" else tuple(range(network.n_rows))
        self.held, self.plans = plan_network(network, self.kept, dtype, sums)
        made: dict[int, tuple[Block | None, Block | None]] = {}
        for plan in self.plans:
            if id(plan) not in made:
                made[id(plan)] = tuple(None if p is None else Block(p, self.a) for p in (plan.varying, plan.constant))  # type: ignore[assignment]
        self.blocks = [made[id(plan)] for plan in self.plans]

    def layers(self, u: np.ndarray, radius: np.ndarray | None = None) -> Iterator[tuple[LayerPlan, State, State]]:
        """The states after each layer, varying and row-constant, for one input (rows, channels)."""
        u = np.asarray(u, dtype=np.float64)
        v = u.T[:, list(self.held)].copy()
        w = np.zeros_like(v) if radius is None else np.asarray(radius, dtype=np.float64).T[:, list(self.held)]
        stored = torch.tensor(v).to(self.a.dtype).double().numpy()
        r = np.abs(stored - v) if radius is None else self.a.u * (np.abs(v) + w) * (stored != v)
        for (row, channel), weight in self.network.positions.items():
            if row in self.held:
                place = self.held.index(row)
                W, gap, _ = self.a.weights([weight])
                meets = v[channel, place] != 0 or w[channel, place] != 0
                v[channel, place] += W[0]
                r[channel, place] += gap[0] + (
                    self.a.u * (abs(v[channel, place]) + w[channel, place]) if meets else 0.0
                )
        state = State(v, w, np.zeros((*v.shape, 0)), r)
        constant = State.empty(1, 0)
        for plan, (varying_block, constant_block) in zip(self.plans, self.blocks, strict=True):
            made = [
                State.empty(rows, 0) if block is None else self._block(block, state, constant)
                for block, rows in ((varying_block, len(plan.context.wanted)), (constant_block, 1))
            ]
            state, constant = self._join(made, [state.X.shape[2]] * 2)
            yield plan, state, constant

    def _join(self, made: list[State], old: list[int]) -> tuple[State, State]:
        """The two new states over common symbols: those of before, then each block's own; unused ones are dropped."""
        shared = old[0]
        own = [max(0, state.X.shape[2] - shared) for state in made]
        total = shared + sum(own)
        for index, state in enumerate(made):
            X = np.zeros((*state.v.shape, total))
            start = shared + (own[0] if index else 0)
            if state.X.shape[2]:
                X[:, :, :shared] = state.X[:, :, :shared]
                X[:, :, start : start + own[index]] = state.X[:, :, shared:]
            state.X = X
        size = sum(np.abs(state.X).sum(axis=(0, 1)) for state in made if state.X.size) if total else np.zeros(0)
        size = np.zeros(total) if np.isscalar(size) else np.asarray(size)
        keep = np.flatnonzero(size)
        if len(keep) > MAX_SYMBOLS:
            order = keep[np.argsort(size[keep])]
            for state in made:
                state.r = state.r + np.abs(state.X[:, :, order[:-MAX_SYMBOLS]]).sum(axis=2)
            keep = np.sort(order[-MAX_SYMBOLS:])
        for state in made:
            state.X = state.X[:, :, keep]
        return made[0], made[1]

    def _sum(self, n: np.ndarray, positive: np.ndarray, negative: np.ndarray, extra: np.ndarray) -> np.ndarray:
        """The rounding of a sum of n terms in any order; ``extra`` bounds how far its terms may be off, all together."""
        u = self.a.u
        reach = np.maximum(positive, negative) + extra
        last = np.abs(positive - negative) + extra
        cost = np.maximum(n - 2, 0) * reach + np.where(n > 1, np.minimum(last, reach), 0.0)
        growth = 1 + 4 * n * u
        if n.size and n.max() * u > 0.1:
            growth = np.exp(np.minimum(2 * n * u, 600.0)) + 4 * n * u
        overflow = reach * growth >= self.a.largest
        return np.where(overflow, np.inf, cost * u * growth)

    def _tree(self, x: State, total: np.ndarray, rows: tuple[int, int]) -> np.ndarray:
        """The rounding of the sum of rows (rows, channels) by the lowering's tree: u times the size of every node of it."""
        u, part = self.a.u, slice(*rows)
        v, off = x.v[part], (x.w + 2 * total)[part]  # computed from the value, the value from the exact one
        size = np.zeros((1, v.shape[1]))
        levels = folds(len(v))
        for half, n in levels:
            head, head_off = v[:half].copy(), off[:half].copy()
            head[: n - half] += v[half:n]
            head_off[: n - half] += off[half:n]
            size += (np.abs(head) + head_off)[: n - half].sum(axis=0, keepdims=True)
            v, off = head, head_off
        growth = (1 + 4 * len(levels) * u) if len(levels) * u < 0.1 else math.exp(2 * len(levels) * u) + 1
        return np.where(size * growth >= self.a.largest, np.inf, u * size * growth * (1 + 64 * _EPS))

    def _apply(self, m: Matrix, x: State, total: np.ndarray) -> tuple[np.ndarray, ...]:
        """Positive and negative parts, off-ness and direct roundings of ``m x``: (positive, negative, extra, local)."""
        size = np.abs(x.v) + x.w + total
        up, down = np.maximum(x.v, 0), np.maximum(-x.v, 0)
        positive, negative = m.positive @ up + m.negative @ down, m.positive @ down + m.negative @ up
        extra = m.A @ (total + x.w)
        local = m.gap @ size + self.a.u * (m.product @ size) + m.inexact * self.a.eta
        return positive, negative, extra, local

    def _affine(
        self, m: Matrix, bias: tuple[np.ndarray, np.ndarray], x: State, total: np.ndarray
    ) -> tuple[State, np.ndarray]:
        """An affine map, and its own rounding error."""
        positive, negative, extra, local = self._apply(m, x, total)
        value, gap = bias
        positive, negative = positive + np.maximum(value, 0), negative + np.maximum(-value, 0)
        n = m.n + (value != 0).any(axis=1, keepdims=True)
        local = local + gap + self._sum(n, positive, negative, extra + gap)
        return self._linear(m, x, value), local

    def _linear(self, m: Matrix, x: State, value: np.ndarray | float = 0.0) -> State:
        norm = np.abs(x.X).sum(axis=2)
        r = m.A @ x.r + (m.n + 8) * _EPS * (m.A @ (norm + x.r))
        X = (m.W @ x.X.reshape(len(x.X), -1)).reshape(len(m.W), *x.X.shape[1:])
        return State(m.W @ x.v + value, m.A @ x.w if x.w.any() else np.zeros_like(r), X, r)

    def _sources(self, block: Block, varying: State, constant: State) -> State:
        """The stacked, filtered channels z, with a symbol for the rounding of each filter sum."""
        n_z, rows, shared = block.plan.sources.size, block.rows, varying.X.shape[2]
        pieces: list[tuple[list[int], State]] = []
        fresh: list[tuple[int, slice, float]] = []
        for _, is_constant, places, numbers, row_map in block.groups:
            source = constant if is_constant else varying
            picked = State(source.v[places], source.w[places], source.X[places], source.r[places])
            own = None if source.own is None else source.own[places]
            if is_constant or isinstance(row_map, np.ndarray):
                if isinstance(row_map, np.ndarray):
                    picked = State(
                        picked.v[:, row_map], picked.w[:, row_map], picked.X[:, row_map], picked.r[:, row_map]
                    )
                    own = None if own is None else own[:, row_map]
                pieces.append((numbers, picked))
                if own is None:
                    continue
                for place, row in np.argwhere(own > 0).tolist():  # what is the same at every row has one symbol
                    fresh.append(
                        (numbers[place], slice(None) if own.shape[1] == 1 else slice(row, row + 1), own[place, row])
                    )
                continue
            assert isinstance(row_map, Matrix)
            # rows are the axis that the filter mixes: transpose, apply, transpose back
            flipped = State(picked.v.T, picked.w.T, np.moveaxis(picked.X, 1, 0), picked.r.T)
            total = picked.total if own is None else picked.total + own
            positive, negative, extra, local = self._apply(row_map, flipped, total.T)
            added = self._sum(row_map.n, positive, negative, extra)
            if row_map.tree is not None:
                added = np.minimum(added, self._tree(flipped, total.T, row_map.tree))
            local = (local + added).T
            if own is not None:
                local = local + (row_map.A @ own.T).T
            mixed = self._linear(row_map, flipped)
            pieces.append((numbers, State(mixed.v.T, mixed.w.T, np.moveaxis(mixed.X, 0, 1), mixed.r.T)))
            for place, number in enumerate(numbers):
                if local.shape[1] == 1 or not local[place].any():
                    if local[place, 0]:
                        fresh.append((number, slice(None), local[place, 0]))
                    continue
                fresh += [(number, slice(row, row + 1), value) for row, value in enumerate(local[place]) if value]
        z = State(
            np.zeros((n_z, rows)),
            np.zeros((n_z, rows)),
            np.zeros((n_z, rows, shared + len(fresh))),
            np.zeros((n_z, rows)),
        )
        for numbers, piece in pieces:
            z.v[numbers], z.w[numbers], z.r[numbers] = piece.v, piece.w, piece.r
            z.X[numbers, :, :shared] = piece.X
        for index, (number, where, value) in enumerate(fresh):
            z.X[number, where, shared + index] = value
        return z

    def _block(self, block: Block, varying: State, constant: State) -> State:
        """One block: computed outputs, then copies."""
        z = self._sources(block, varying, constant)
        total = z.total
        lin = self._linear(block.linear, z)
        positive, negative, extra, local = self._apply(block.linear, z, total)
        n = block.linear.n
        X, r, v, w = lin.X, lin.r, lin.v, lin.w
        if block.plan.n_units:
            c, dc = self._affine(block.conv, block.conv_bias, z, total)
            g, dg = self._affine(block.gate, block.gate_bias, z, total)
            h, lh = self._multiply(c, dc, g, dg, block.exact_product)
            mixed = self._linear(block.mix, h)
            X, r, v, w = X + mixed.X, r + mixed.r, v + mixed.v, w + mixed.w
            more = self._apply(block.mix, h, h.total + lh)
            positive, negative, extra, local = (
                a + b for a, b in zip((positive, negative, extra, local), more, strict=True)
            )
            local = local + block.mix.A @ lh
            n = n + block.mix.n
        value, gap = block.bias
        positive, negative = positive + np.maximum(value, 0), negative + np.maximum(-value, 0)
        n = n + (value != 0).any(axis=1, keepdims=True)
        local = local + gap + self._sum(n, positive, negative, extra + gap)
        if (local == np.inf).any():
            r = np.where(np.isinf(local), np.inf, r)
            local = np.where(np.isinf(local), 0.0, local)
        out = State(v + value, w, X, r, local)
        if len(block.copies):
            at = block.copies
            copied = State(z.v[at], z.w[at], z.X[at], z.r[at], np.zeros((len(at), block.rows)))
            out = State(*(np.concatenate([getattr(out, k), getattr(copied, k)]) for k in ("v", "w", "X", "r", "own")))
        return out

    def _multiply(
        self, c: State, dc: np.ndarray, g: State, dg: np.ndarray, exact: np.ndarray
    ) -> tuple[State, np.ndarray]:
        """The product of two affine maps with their roundings dc, dg; returns it and its local error."""
        norm_c, norm_g = np.abs(c.X).sum(axis=2), np.abs(g.X).sum(axis=2)
        tc, tg = norm_c + c.r + dc, norm_g + g.r + dg
        size_c, size_g = np.abs(c.v) + c.w, np.abs(g.v) + g.w
        with np.errstate(invalid="ignore", over="ignore"):
            X = c.v[..., None] * g.X + g.v[..., None] * c.X
            r = size_c * g.r + size_g * c.r + c.w * norm_g + g.w * norm_c
            # the product of the errors, and once more for the distance of the computed values from the exact ones
            r = r + 3 * tc * tg + 4 * _EPS * (size_c * norm_g + size_g * norm_c)
            full = (size_c + tc) * (size_g + tg)
            local = size_c * dg + size_g * dc + np.where(exact, 0.0, self.a.u * full + self.a.eta)
        local = np.where(full >= self.a.largest, np.inf, local)
        w = size_c * g.w + size_g * c.w  # at least |c| w_g + |g| w_c + w_c w_g
        return State(c.v * g.v, w, X, r), local

    def bound(self, u: np.ndarray, radius: np.ndarray | None = None) -> np.ndarray:
        """The bound at one input (rows, channels): shape (rows kept, outputs)."""
        with np.errstate(over="ignore", invalid="ignore"):
            for last in self.layers(u, radius):
                _, varying, constant = last
                if not all(np.isfinite(s.v).all() and np.isfinite(s.r).all() for s in (varying, constant)):
                    return np.full((len(self.kept), len(self.network.outputs)), np.inf)
        return arrange(last[0], varying.total, constant.total, len(self.kept)) * (1 + 1e-9)


def arrange(plan: LayerPlan, varying: np.ndarray, constant: np.ndarray, n_rows: int) -> np.ndarray:
    """(rows, outputs) from what lies in the two states, (channels, rows) and (channels, 1)."""
    found = np.empty((n_rows, len(plan.location)))
    for output, (row_constant, place) in enumerate(plan.location):
        found[:, output] = constant[place, 0] if row_constant else varying[place]
    return found


def error_bound(
    network: Network, u: torch.Tensor | npt.ArrayLike, dtype: torch.dtype,
    rows: Literal["readout", "all"] = "readout", radius: npt.ArrayLike | None = None, sums: Sums = "any",
) -> np.ndarray:  # fmt: skip
    """An upper bound of ``|network.to_torch(dtype, rows=rows, sums=sums)(u) − exact network on u|``, entry by entry.

    ``u`` has shape (..., n_rows, n_channels), the result, float64, that of the lowered network's output. Entries of u that the
    format does not hold count their own rounding. With ``radius``, of the shape of u, the bound holds for every input within
    u ± radius. Infinite where a value may overflow. Cost: about (symbols)·(nonzero weights) multiplications a layer and
    input. Raises ``ValueError`` for a wrong shape, an unknown dtype, and NaN or infinite entries.
    """
    inputs = np.asarray(u.detach().cpu().double().numpy() if isinstance(u, torch.Tensor) else u).astype(np.float64)
    expected = (network.n_rows, len(network.inputs))
    if inputs.ndim < 2 or inputs.shape[-2:] != expected:
        raise ValueError(f"the network reads (..., {expected[0]} rows, {expected[1]} channels), got {inputs.shape}")
    if not np.isfinite(inputs).all():
        raise ValueError("u holds NaN or infinite values: every entry must be finite")
    widths = None if radius is None else np.broadcast_to(np.asarray(radius, dtype=np.float64), inputs.shape)
    if widths is not None and not (np.isfinite(widths).all() and (widths >= 0).all()):
        raise ValueError("radius must be finite and not negative")
    bounder = Bounder(network, dtype, rows, sums)
    batch = inputs.reshape(-1, *expected)
    boxes = [None] * len(batch) if widths is None else list(widths.reshape(-1, *expected))
    found = [bounder.bound(one, box) for one, box in zip(batch, boxes, strict=True)]
    shape = (*inputs.shape[:-2], len(bounder.kept), len(network.outputs))
    return np.array(found).reshape(shape)
