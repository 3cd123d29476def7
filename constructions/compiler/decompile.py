"""Back from a network to what it computes: SymPy polynomials, or a circuit where these would be too large."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import flint
import numpy as np
import sympy as sp
from sympy.polys.polyutils import expr_from_dict

from constructions.algebra.rings import ElementRing, Ring, polynomials
from constructions.compiler.circuit import Circuit, Wire
from constructions.networks import evaluate as layers
from constructions.networks.base import ExactNetwork
from constructions.networks.layer import Layer, SparseMap
from constructions.networks.stack import LayerStack
from constructions.transformers import evaluate as blocks
from constructions.transformers.blocks import Block, BlockStack

Nested = list["sp.Expr | Wire | Nested"]
"""Expressions or wires, nested in lists like the array that a network decodes."""
WORK_PER_TERM = 500
"""A layer may multiply at most this many pairs of terms for each term of the budget."""


def network_polynomials(network: ExactNetwork, max_terms: int = 20_000) -> Nested:
    """What ``network`` decodes, as SymPy polynomials in its inputs, nested in lists like ``decode``'s array.

    The symbols are the input channels that ``encode`` fills: ``x`` in a network of one row, else ``a0_3`` for
    channel a[0] at row 3. When a polynomial on the way has more than ``max_terms`` terms, the result is wires of a
    circuit instead (see :func:`network_circuit`). Raises ``ValueError`` when ``max_terms`` is below one.
    """
    if max_terms < 1:
        raise ValueError(f"max_terms must be at least 1, got {max_terms}")
    names = _symbols(network)
    context = flint.fmpq_mpoly_ctx.get([f"z{index}" for index in range(max(1, len(names)))], flint.Ordering.lex)
    ring = polynomials(context)
    u = ring.zeros((network.n_rows, len(network.inputs)))
    for entry, generator in zip(names, context.gens(), strict=False):
        u[entry] = generator
    stages = _stages(network)
    for state in _states(network, u, ring):
        sizes = np.frompyfunc(len, 1, 1)(state).astype(np.int64)
        too_long = sizes.max(initial=0) > max_terms
        if too_long or (stages and _work(stages.pop(0), sizes) > WORK_PER_TERM * max_terms):
            return network_circuit(network)
    symbols = [sp.Symbol(name) for name in names.values()]
    output = blocks.read(network, state) if isinstance(network, BlockStack) else np.moveaxis(state, 0, -1)
    return _mapped(network.decode(output), lambda poly: _sympy(poly, symbols))


def _stages(network: ExactNetwork) -> list[Layer | Block]:
    if isinstance(network, LayerStack):
        return list(network.layers)
    if isinstance(network, BlockStack):
        return list(network.blocks)
    raise TypeError(f"expected an exact network, got {type(network).__name__}")


def _states(network: ExactNetwork, u: np.ndarray, ring: Ring) -> Iterator[np.ndarray]:
    """The channels (channels, rows) before the first layer or block and after each."""
    if isinstance(network, BlockStack):
        return blocks.states(network, u, ring)
    assert isinstance(network, LayerStack)
    return layers.states(network, u, ring)


def network_circuit(network: ExactNetwork) -> Nested:
    """What ``network`` decodes, as wires of one circuit over numbers, nested in lists like ``decode``'s array."""
    circuit = Circuit()
    ring = ElementRing("circuit", circuit.constant, (Wire,))
    u = ring.zeros((network.n_rows, len(network.inputs)))
    for entry, name in _symbols(network).items():
        u[entry] = circuit.input(name)
    return _mapped(network.decode(network.evaluate(u, ring)), lambda wire: wire)


def _symbols(network: ExactNetwork) -> dict[tuple[int, int], str]:
    """A name for every input entry that carries data."""

    def name(row: int, channel: int) -> str:
        plain = re.sub(r"\W+", "_", network.inputs[channel].replace("[", "")).strip("_")
        return network.inputs[channel] if network.n_rows == 1 else f"{plain}_{row}"

    return {entry: name(*entry) for entry in network.task.free_channels}


def _work(stage: Layer | Block, sizes: np.ndarray) -> int:
    """At most so many pairs of terms does a layer or block multiply, when its channels (channels, rows) have ``sizes``
    terms."""
    sizes = np.concatenate([sizes, np.ones((1, sizes.shape[1]), dtype=np.int64)])

    def bound(sparse: SparseMap) -> np.ndarray:
        total = np.zeros((sparse.n_out, sizes.shape[1]), dtype=np.int64)
        np.add.at(total, sparse.rows, sizes[sparse.columns])
        return total

    if isinstance(stage, Block):
        pairs = 0
        for head in stage.heads:
            value = bound(head.value).astype(object).sum(axis=1)
            if head.query is None or head.key is None:
                pairs += int(value.sum())
                continue
            # all rows of the sums of key times value, for each row of the query
            sums = bound(head.key).astype(object).sum(axis=1)[:, None] * value[None]
            pairs += int((bound(head.query).astype(object).sum(axis=1)[:, None] * sums).sum())
        if stage.mlp is not None:
            pairs += int((bound(stage.mlp.gate).astype(object) * bound(stage.mlp.up)).sum())
        return pairs
    layer = stage
    conv, gate = bound(layer.conv), bound(layer.gate)
    mixes = np.array([not layer.filters[index].is_identity for index in layer.filter_index], dtype=bool)
    conv[mixes] = conv[mixes].sum(axis=1, keepdims=True)
    return int((conv.astype(object) * gate).sum()) if conv.size else 0


def _sympy(poly: flint.fmpq_mpoly, symbols: list[sp.Symbol]) -> sp.Expr:
    terms = {
        tuple(int(e) for e in exponents)[: len(symbols)]: sp.Rational(int(weight.p), int(weight.q))
        for exponents, weight in poly.to_dict().items()
    }
    # Not by way of Poly, which keeps a coefficient for every degree: x^(2^60) is one term.
    return expr_from_dict(terms, *symbols) if terms else sp.Integer(0)


def _mapped(decoded: np.ndarray, function: Callable[[flint.fmpq_mpoly | Wire], sp.Expr | Wire]) -> Nested:
    if decoded.ndim == 1:
        return [function(entry) for entry in decoded]
    return [_mapped(part, function) for part in decoded]
