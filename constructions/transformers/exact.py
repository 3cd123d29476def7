"""Transformers with exact rational weights over named channels, and their lowering to :mod:`constructions.models.transformer`.

A block adds to the channels what its attention computes, then what its gated MLP computes; there are no norms.

* Linear attention: ``Σ_heads Σ_{j visible from i} (q_i·k_j) v_j``.
* Softmax attention with zero queries and keys: the mean of the values over the rows that row i sees.
* Gated MLP: ``down(act(gate(u)) ⊙ up(u))``. An activation enters by the one property that constructions use,
  ``act(z) − act(−z) = z``: its odd part is z/2. Its even part stays uninterpreted and must cancel.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import torch

from constructions.algebra.arrays import as_arrays, batch_shape, empty_rows
from constructions.algebra.rings import Ring, ring_of
from constructions.algebra.terms import Form, channel_name
from constructions.models.transformer import Transformer
from constructions.networks.evaluate import apply_map
from constructions.networks.layer import SparseMap

Mask = Literal["causal", "strict", "full"]
Gate = Literal["swiglu", "geglu", "reglu", "bilinear"]
Layout = Literal["separate", "E"]
MASKS: tuple[Mask, ...] = ("causal", "strict", "full")
GATES: tuple[Gate, ...] = ("swiglu", "geglu", "reglu", "bilinear")
ZERO = Form({})


class EvenPartRemains(ValueError):
    """The even part of the activation does not cancel in a gated MLP, so its output is not a polynomial."""


@dataclass(frozen=True, eq=False)
class Head:
    """``targets += mix of value``; with ``query`` and ``key`` linear attention, without them softmax taking means."""

    value: SparseMap
    targets: np.ndarray
    query: SparseMap | None = None
    key: SparseMap | None = None

    def maps(self) -> dict[str, SparseMap]:
        """The maps that this head has, by name."""
        named = {"query": self.query, "key": self.key, "value": self.value}
        return {name: sparse for name, sparse in named.items() if sparse is not None}


@dataclass(frozen=True, eq=False)
class Gated:
    """``targets += down(act(gate u) ⊙ up u)``."""

    gate: SparseMap
    up: SparseMap
    down: SparseMap
    targets: np.ndarray

    def maps(self) -> dict[str, SparseMap]:
        """The three maps, by name."""
        return {"gate": self.gate, "up": self.up, "down": self.down}

    @property
    def hidden(self) -> int:
        """Number of hidden units."""
        return self.gate.n_out


@dataclass(frozen=True)
class Block:
    """Attention heads, then an MLP; both optional."""

    heads: tuple[Head, ...] = ()
    mlp: Gated | None = None

    def parts(self) -> list[Head | Gated]:
        """Heads, then the MLP if there is one."""
        return [*self.heads, *([self.mlp] if self.mlp else [])]


@dataclass(frozen=True)
class DescentTask:
    """N data rows ``[a_n, b_n]`` and a query row, read at that last row.

    Layout ``"E"``: the query row is ``[x, 0]``. Layout ``"separate"``: it is ``[0, 0, x]``, x in D channels of its own.
    """

    n_points: int
    n_dims: int
    layout: Layout

    def encode(self, A: Any, b: Any, x_init: Any) -> Any:
        """Input (..., N+1, channels) from ``A`` (..., N, D), ``b`` (..., N), ``x_init`` (..., D): arrays or tensors.

        Raises ``ValueError`` on a wrong shape and on NaN or infinite entries.
        """
        arrays = as_arrays(A=A, b=b, x_init=x_init)
        expected = {"A": (self.n_points, self.n_dims), "b": (self.n_points,), "x_init": (self.n_dims,)}
        for name, shape in expected.items():
            if tuple(arrays[name].shape[-len(shape) :]) != shape:
                wanted = ", ".join(map(str, shape))
                raise ValueError(f"{name} must have shape (..., {wanted}), got {tuple(arrays[name].shape)}")
        batch = batch_shape(**{name: arrays[name].shape[: -len(shape)] for name, shape in expected.items()})
        n_channels = (1 if self.layout == "E" else self.n_dims + 1) + self.n_dims
        u = empty_rows(list(arrays.values()), (*batch, self.n_points + 1, n_channels))
        u[..., :-1, : self.n_dims] = arrays["A"]
        u[..., :-1, self.n_dims] = arrays["b"]
        start = 0 if self.layout == "E" else self.n_dims + 1
        u[..., -1, start : start + self.n_dims] = arrays["x_init"]
        return u

    def decode(self, output: Any) -> Any:
        """The iterate at the last row, shape (..., D)."""
        return output[..., -1, :]


@dataclass(frozen=True, eq=False)
class ExactTransformer:
    """Blocks over named channels. The first ``n_inputs`` channels are given, the others start at zero.

    ``positions`` is added to the input, ``{(row, channel): weight}``. ``outputs`` are the channels read.
    """

    n_rows: int
    mask: Mask
    attention: Literal["linear", "softmax"]
    gate: Gate | None
    channels: tuple[str, ...]
    n_inputs: int
    outputs: tuple[int, ...]
    blocks: tuple[Block, ...]
    task: DescentTask | None = None
    positions: Mapping[tuple[int, int], Fraction] = field(default_factory=dict)

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return len(self.blocks)

    @property
    def width(self) -> int:
        """Number of channels."""
        return len(self.channels)

    @property
    def n_heads(self) -> int:
        """Largest number of heads in a block."""
        return max((len(block.heads) for block in self.blocks), default=0)

    @property
    def hidden(self) -> int:
        """Largest number of hidden units of an MLP."""
        return max((block.mlp.hidden for block in self.blocks if block.mlp), default=0)

    @property
    def n_nonzero(self) -> int:
        """Number of nonzero weights, positional embedding included."""
        maps = (sparse for block in self.blocks for part in block.parts() for sparse in part.maps().values())
        return len(self.positions) + sum(sparse.n_nonzero for sparse in maps)

    def encode(self, A: Any, b: Any, x_init: Any) -> Any:
        """The input rows of a gradient-descent network; see :class:`DescentTask`."""
        return self._task().encode(A, b, x_init)

    def decode(self, output: Any) -> Any:
        """The iterate at the last row, shape (..., D)."""
        return self._task().decode(output)

    def _task(self) -> DescentTask:
        if self.task is None:
            raise ValueError("this network does not run gradient descent: give it rows of channels directly")
        return self.task

    def evaluate(self, u: Any, ring: Ring | None = None) -> np.ndarray:
        """Output channels of all rows, (..., n_rows, n_outputs), for ``u`` of shape (..., n_rows, n_inputs), over its
        ring.

        Raises ``ValueError`` for a wrong shape, ``TypeError`` for entries of no known ring, and
        :class:`EvenPartRemains` when an MLP is not a polynomial whatever the even part of its activation.
        """
        u = np.asarray(u)
        if u.ndim < 2 or u.shape[-2:] != (self.n_rows, self.n_inputs):
            raise ValueError(
                f"the network reads shape (..., {self.n_rows} rows, {self.n_inputs} channels), got {u.shape}"
            )
        ring = ring or ring_of(u)
        given = np.moveaxis(ring.coerce(u), (-1, -2), (0, 1))
        state = np.concatenate([given, ring.zeros((self.width - self.n_inputs, *given.shape[1:]))])
        for (row, index), weight in self.positions.items():
            at = state[index : index + 1, row]
            state[index : index + 1, row] = ring.reduce(at + ring.elements([weight]))
        for block in self.blocks:
            state = self._mlp(block, self._attend(block, state, ring), ring)
        return np.moveaxis(state[list(self.outputs)], (0, 1), (-1, -2))

    def _attend(self, block: Block, state: np.ndarray, ring: Ring) -> np.ndarray:
        """Key-value sums first, so that no rows × rows scores are formed."""
        u, out = with_one(state, ring), state.copy()
        for head in block.heads:
            value = apply_map(head.value, u, ring)
            if head.query is None or head.key is None:
                seen = [self.n_rows if self.mask == "full" else n + 1 for n in range(self.n_rows)]
                means = ring.elements([Fraction(1, n) for n in seen]).reshape(-1, *[1] * (value.ndim - 2))
                update = ring.reduce(means * visible_sum(value, self.mask, ring))
            else:
                key = apply_map(head.key, u, ring)
                sums = visible_sum(np.swapaxes(ring.reduce(key[:, None] * value[None, :]), 0, 2), self.mask, ring, 0)
                products = ring.reduce(apply_map(head.query, u, ring)[:, None] * np.swapaxes(sums, 0, 2))
                update = np.add.reduce(products, axis=0)
            out[head.targets] = ring.reduce(out[head.targets] + update)
        return out

    def _mlp(self, block: Block, state: np.ndarray, ring: Ring) -> np.ndarray:
        if block.mlp is None:
            return state
        u, mlp = with_one(state, ring), block.mlp
        if self.gate != "bilinear":
            require_even_parts_cancel(mlp, self.channels)
        products = ring.reduce(apply_map(mlp.gate, u, ring) * apply_map(mlp.up, u, ring))
        if self.gate != "bilinear":
            products = ring.reduce(ring.elements([Fraction(1, 2)]) * products)
        out = state.copy()
        out[mlp.targets] = ring.reduce(out[mlp.targets] + apply_map(mlp.down, with_one(products, ring), ring))
        return out

    def to_torch(self, dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu") -> Transformer:
        """The network as the reference model, from (batch, n_rows, n_inputs) to (batch, n_rows, n_outputs)."""
        return lower(self, dtype).to(device)

    def with_weight(self, block: int, part: int, name: str, weight: Fraction, index: int = 0) -> ExactTransformer:
        """The network with one stored weight replaced: what a check must refuse. ``part`` counts the block's parts."""
        parts = self.blocks[block].parts()
        sparse = parts[part].maps()[name]
        weights = sparse.weights.copy()
        weights[index] = weight
        changed: dict[str, Any] = {name: replace(sparse, weights=weights)}
        parts[part] = replace(parts[part], **changed)
        new = Block(
            tuple(p for p in parts if isinstance(p, Head)), next((p for p in parts if isinstance(p, Gated)), None)
        )
        return replace(self, blocks=(*self.blocks[:block], new, *self.blocks[block + 1 :]))

    def describe(self) -> list[str]:
        """The weights as formulas, one line a head or hidden unit, in the order of the blocks."""

        def written(sparse: SparseMap) -> list[str]:
            return [repr(renamed(form, self.channels)) for form in forms_of(sparse)]

        lines = [f"input: {self.channels[c]} at row {row} += {w}" for (row, c), w in self.positions.items()]
        for number, block in enumerate(self.blocks, 1):
            for head in block.heads:
                if head.query is None or head.key is None:
                    score = "mean over the visible rows j of"
                else:
                    pairs = zip(written(head.query), written(head.key), strict=True)
                    score = "Σ_j (" + " + ".join(f"({q})_i ({k})_j" for q, k in pairs) + ")"
                for target, value in zip(head.targets, written(head.value), strict=True):
                    lines.append(f"block {number} attention: {self.channels[target]} += {score} ({value})_j")
            if block.mlp:
                act, mlp = "" if self.gate == "bilinear" else "act", block.mlp
                units = zip(written(mlp.gate), written(mlp.up), strict=True)
                hidden = [f"{act}({gate})·({up})" for gate, up in units]
                for target, form in zip(mlp.targets, forms_of(mlp.down), strict=True):
                    total = " + ".join(f"{weight}·{hidden[int(unit)]}" for unit, weight in form.weights.items())
                    lines.append(f"block {number} MLP: {self.channels[target]} += {total}")
        return lines

    def __repr__(self) -> str:
        mlp = f", {self.gate} MLPs of {self.hidden} hidden units" if self.gate else ""
        return (
            f"<ExactTransformer: {self.mask} {self.attention} attention, {self.n_heads} heads{mlp}, "
            f"{self.n_rows} rows, depth {self.depth}, width {self.width}, {self.n_nonzero} nonzero weights>"
        )


def with_one(state: np.ndarray, ring: Ring) -> np.ndarray:
    """The channels with a last channel that is constantly 1, for the constants of affine maps."""
    return np.concatenate([state, ring.full((1, *state.shape[1:]), 1)])


def visible_sum(values: np.ndarray, mask: Mask, ring: Ring, axis: int = 1) -> np.ndarray:
    """For each row the sum over the rows that it sees, along the axis of the rows."""
    if mask == "full":
        total = np.add.reduce(values, axis=axis, keepdims=True)
        return np.broadcast_to(ring.reduce(total), values.shape)
    sums = ring.reduce(np.add.accumulate(values, axis=axis))
    if mask == "causal":
        return sums
    shifted = np.roll(sums, 1, axis=axis)
    np.moveaxis(shifted, axis, 0)[:1] = ring.zeros((1, *np.delete(shifted.shape, axis)))
    return shifted


def forms_of(sparse: SparseMap) -> list[Form]:
    """The outputs of an affine map as forms in its columns (named by number)."""
    weights: list[dict[str, Fraction]] = [{} for _ in range(sparse.n_out)]
    constants = [Fraction(0)] * sparse.n_out
    for (row, column), weight in sparse.entries().items():
        if column == sparse.n_in:
            constants[row] = weight
        else:
            weights[row][str(column)] = weight
    return [Form(w, c) for w, c in zip(weights, constants, strict=True)]


def require_even_parts_cancel(mlp: Gated, channels: Sequence[str] | None = None) -> None:
    """Check on the weights alone that the MLP needs only the odd part of its activation.

    Write act(z) = z/2 + e(z) with e even and otherwise unknown. Hidden units whose gate is ±f share the unknown e(f);
    its coefficient in each output is ``Σ down · up`` over those units, an affine form that has to vanish identically.
    Raises :class:`EvenPartRemains` naming the gate otherwise, by ``channels`` if given.
    """
    gates, ups = forms_of(mlp.gate), forms_of(mlp.up)
    coefficients: dict[tuple[Form, int], Form] = defaultdict(lambda: ZERO)
    for (target, unit), weight in mlp.down.entries().items():
        if unit < mlp.hidden:
            gate = min(gates[unit], -gates[unit], key=lambda form: form.key)
            coefficients[gate, target] = coefficients[gate, target].plus(ups[unit].scaled(weight))
    for (gate, target), form in coefficients.items():
        if form != ZERO:
            named = channels or [f"channel {index}" for index in range(mlp.gate.n_in)]
            raise EvenPartRemains(
                f"the even part of act({renamed(gate, named)}) reaches {named[mlp.targets[target]]} with the "
                f"coefficient {renamed(form, named)}; an exact construction pairs each gated unit act(z)·y with −act(−z)·y"
            )


def renamed(form: Form, names: Sequence[str]) -> Form:
    """A form whose columns are named by number, with names."""
    return Form({names[int(column)]: weight for column, weight in form.weights.items()}, form.constant)


def lower(network: ExactTransformer, dtype: torch.dtype) -> Transformer:
    """Load the weights into the reference model, rounding each once; heads and hidden units are padded with zeros."""
    heads, width = max(network.n_heads, 1), network.width
    sizes = [s.n_out for block in network.blocks for head in block.heads for s in head.maps().values()]
    head_dim = max(sizes, default=1)
    model = Transformer(
        n_in=network.n_inputs, n_out=len(network.outputs), width=width, depth=network.depth, n_rows=network.n_rows,
        n_heads=heads, attention=network.attention, mask=network.mask, mlp=network.gate or "none",
        hidden=max(network.hidden, 1), positions="learned" if network.positions else "none", head_dim=head_dim,
    ).to(dtype)  # fmt: skip
    state = {name: torch.zeros_like(value) for name, value in model.state_dict().items()}
    state["embed.weight"][range(network.n_inputs), range(network.n_inputs)] = 1
    state["unembed.weight"][range(len(network.outputs)), list(network.outputs)] = 1
    for (row, index), weight in network.positions.items():
        state["position"][row, index] = float(weight)
    for number, block in enumerate(network.blocks):
        prefix = f"blocks.{number}"
        for h, head in enumerate(block.heads):
            for name, sparse in head.maps().items():
                _load(state, f"{prefix}.attention.{name[0]}_proj", sparse, row_offset=h * head_dim)
            columns = range(h * head_dim, h * head_dim + len(head.targets))
            state[f"{prefix}.attention.out_proj.weight"][head.targets, columns] = 1
        if block.mlp:
            _load(state, f"{prefix}.mlp.gate", block.mlp.gate)
            _load(state, f"{prefix}.mlp.up", block.mlp.up)
            _load(state, f"{prefix}.mlp.down", block.mlp.down, rows=block.mlp.targets)
    model.load_state_dict(state)
    return model.requires_grad_(False)


def _load(
    state: dict[str, torch.Tensor], name: str, sparse: SparseMap, row_offset: int = 0, rows: np.ndarray | None = None
) -> None:
    """Write an affine map into ``name.weight`` and ``name.bias``; the column after the last input is the bias."""
    at = torch.as_tensor(sparse.rows + row_offset if rows is None else rows[sparse.rows])
    values = torch.tensor([float(w) for w in sparse.weights], dtype=torch.float64)
    bias = torch.as_tensor(sparse.columns == sparse.n_in)
    columns = torch.as_tensor(sparse.columns)
    weight = state[f"{name}.weight"]
    weight[at[~bias], columns[~bias]] = values[~bias].to(weight.dtype)
    state[f"{name}.bias"][at[bias]] = values[bias].to(weight.dtype)


Score = tuple[tuple[Form, Form], ...]
Forms = Sequence[Form] | np.ndarray


class TransformerBuilder:
    """Collects attention and MLP updates, written as forms over named channels, and compiles them."""

    def __init__(self, channels: Sequence[str], n_inputs: int, gate: Gate | None = None) -> None:
        if gate is not None and gate not in GATES:
            raise ValueError(f"gate must be one of {', '.join(GATES)}, got {gate!r}")
        self.channels, self.n_inputs, self.gate = tuple(channels), n_inputs, gate
        self.column = {name: index for index, name in enumerate(self.channels)}
        self._attention: list[dict[Score, dict[str, Form]]] = []
        self._products: list[dict[tuple[Form, Form], dict[str, Fraction]]] = []

    def block(self) -> None:
        """Begin a block."""
        self._attention.append({})
        self._products.append({})

    def attend(self, query: Forms, key: Forms, values: Mapping[str, Form]) -> None:
        """Linear attention: ``target += (query·key) value`` for each target; equal scores share a head."""
        score = tuple((q, k) for q, k in zip(query, key, strict=True) if ZERO not in (q, k))
        if score:
            self._add(self._attention[-1], score, values)

    def mean(self, values: Mapping[str, Form]) -> None:
        """Softmax attention with zero scores: ``target += mean of value over the visible rows``."""
        self._add(self._attention[-1], (), values)

    def multiply(self, left: Form, right: Form, targets: Mapping[str, Fraction | int]) -> None:
        """Gated MLP: ``target += weight · left · right``; one hidden unit if bilinear, else two."""
        weights = self._products[-1].setdefault((left, right), {})
        for target, weight in targets.items():
            weights[target] = weights.get(target, Fraction(0)) + weight

    @staticmethod
    def _add(known: dict[Score, dict[str, Form]], score: Score, values: Mapping[str, Form]) -> None:
        values = {target: value for target, value in values.items() if value != ZERO}
        if values:
            targets = known.setdefault(score, {})
            for target, value in values.items():
                targets[target] = targets.get(target, ZERO).plus(value)

    def build(
        self, n_rows: int, mask: Mask, outputs: Sequence[str], task: DescentTask | None = None,
        positions: Mapping[tuple[int, str], Fraction | int] | None = None,
    ) -> ExactTransformer:  # fmt: skip
        """The network that reads ``outputs``."""
        if mask not in MASKS:
            raise ValueError(f"mask must be one of {', '.join(MASKS)}, got {mask!r}")
        self._drop_unread(outputs)
        blocks = tuple(
            Block(tuple(self._head(score, values) for score, values in heads.items()), self._mlp(products))
            for heads, products in zip(self._attention, self._products, strict=True)
        )
        at = {(row, self.column[name]): Fraction(weight) for (row, name), weight in (positions or {}).items()}
        read = tuple(self.column[name] for name in outputs)
        attention: Literal["linear", "softmax"] = "softmax" if self.gate else "linear"
        return ExactTransformer(
            n_rows, mask, attention, self.gate, self.channels, self.n_inputs, read, blocks, task, at
        )

    def _drop_unread(self, outputs: Sequence[str]) -> None:
        """Remove updates of channels that neither a later part of the network nor the outputs read."""
        needed = set(outputs)
        for heads, products in zip(reversed(self._attention), reversed(self._products), strict=True):
            updates: tuple[dict[Any, Any], ...] = (products, heads)  # the MLP comes after the attention
            for known in updates:
                for key, targets in list(known.items()):
                    known[key] = {target: value for target, value in targets.items() if target in needed}
                    if not known[key]:
                        del known[key]
                for key, targets in known.items():
                    pairs = [key] if known is products else key
                    forms = [form for pair in pairs for form in pair]
                    forms += [value for value in targets.values() if isinstance(value, Form)]
                    needed |= {name for form in forms for name in form.weights}

    def _head(self, score: Score, values: Mapping[str, Form]) -> Head:
        value, targets = self._map(list(values.values())), np.array([self.column[target] for target in values])
        if not score:
            return Head(value, targets)
        return Head(value, targets, self._map([q for q, _ in score]), self._map([k for _, k in score]))

    def _mlp(self, products: Mapping[tuple[Form, Form], Mapping[str, Fraction]]) -> Gated | None:
        if not products:
            return None
        targets = list(dict.fromkeys(target for weights in products.values() for target in weights))
        signs = (1,) if self.gate == "bilinear" else (1, -1)
        gates: list[Form] = []
        ups: list[Form] = []
        down: dict[tuple[int, int], Fraction] = {}
        for (left, right), weights in products.items():
            for sign in signs:
                down.update({(targets.index(t), len(gates)): sign * Fraction(w) for t, w in weights.items()})
                gates.append(left.scaled(Fraction(sign)))
                ups.append(right)
        return Gated(
            self._map(gates), self._map(ups), SparseMap.of(len(gates), len(targets), down),
            np.array([self.column[target] for target in targets]),
        )  # fmt: skip

    def _map(self, forms: Sequence[Form]) -> SparseMap:
        n_in = len(self.channels)
        entries = {(i, self.column[name]): w for i, form in enumerate(forms) for name, w in form.weights.items()}
        entries |= {(i, n_in): form.constant for i, form in enumerate(forms)}
        return SparseMap.of(n_in, len(forms), entries)


def names(family: str, *shape: int) -> list[str]:
    """Names of the channels of an indexed family, in order."""
    return [channel_name(family, *index) for index in np.ndindex(*shape)]
