"""What an exact Transformer is: blocks of attention heads and gated MLPs with rational weights over named channels.

A block adds to the channels what its attention computes, then what its gated MLP computes; there are no norms.

* Linear attention: ``Σ_heads Σ_{j visible from i} (q_i·k_j) v_j``.
* Softmax attention with zero queries and keys: the mean of the values over the rows that row i sees.
* Gated MLP: ``down(act(gate(u)) ⊙ up(u))``. An activation enters by the one property that constructions use,
  ``act(z) − act(−z) = z``: its odd part is z/2. Its even part stays uninterpreted and must cancel.
"""

from __future__ import annotations

from abc import ABC
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal, Self

import numpy as np

from constructions.algebra.terms import Form
from constructions.networks.base import ExactNetwork
from constructions.networks.layer import Mask, SparseMap, map_key

GateName = Literal["swiglu", "geglu", "reglu", "bilinear"]
GATE_NAMES: tuple[GateName, ...] = ("swiglu", "geglu", "reglu", "bilinear")
ZERO = Form({})


Attention = Literal["linear", "softmax"]
ATTENTIONS: tuple[Attention, ...] = ("linear", "softmax")


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

    def with_map(self, name: str, sparse: SparseMap) -> Head:
        """The same with the map ``name`` replaced."""
        maps = self.maps() | {name: sparse}
        return Head(maps["value"], self.targets, maps.get("query"), maps.get("key"))


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

    def with_map(self, name: str, sparse: SparseMap) -> Gated:
        """The same with the map ``name`` replaced."""
        maps = self.maps() | {name: sparse}
        return Gated(maps["gate"], maps["up"], maps["down"], self.targets)

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


def block_key(block: Block) -> Hashable:
    """A value that is equal for two blocks exactly when everything stored about them is."""
    return len(block.heads), tuple(
        (part.targets.tobytes(), tuple((name, map_key(sparse)) for name, sparse in part.maps().items()))
        for part in block.parts()
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class BlockStack(ExactNetwork, ABC):
    """Blocks over ``channels``, of which the first are the ``inputs`` and the others start at zero.

    ``positions`` is added to the input, ``{(row, channel): weight}``. ``reads`` are the channels that come out. The methods
    that run the network are those of :class:`constructions.transformers.exact.ExactTransformer`.
    """

    mask: Mask
    attention: Attention
    gate: GateName | None
    channels: tuple[str, ...]
    reads: tuple[int, ...]
    blocks: tuple[Block, ...]

    @property
    def n_inputs(self) -> int:
        """Number of channels that are given."""
        return len(self.inputs)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the channels read."""
        return tuple(self.channels[index] for index in self.reads)

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

    def weights_key(self) -> Hashable:
        """Everything stored about the blocks and what stands around them."""
        return (
            self.mask, self.attention, self.gate, self.channels, self.inputs, self.reads, tuple(map(block_key, self.blocks)),
        )  # fmt: skip

    def with_weight(self, block: int, part: int, name: str, weight: Fraction, index: int = 0) -> Self:
        """The network with one stored weight replaced: what a check must refuse. ``part`` counts the block's parts."""
        parts = self.blocks[block].parts()
        sparse = parts[part].maps()[name]
        weights = sparse.weights.copy()
        weights[index] = weight
        parts[part] = parts[part].with_map(name, replace(sparse, weights=weights))
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
