"""Exact Transformers written as attention and MLP updates over named channels, and compiled to sparse rational weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import TypeVar

import numpy as np

from constructions.algebra.terms import Form, exact
from constructions.networks.layer import MASKS, Mask, SparseMap
from constructions.networks.tasks import Task
from constructions.transformers.blocks import GATE_NAMES, ZERO, Block, Gated, GateName, Head
from constructions.transformers.exact import ExactTransformer

Score = tuple[tuple[Form, Form], ...]


Forms = Sequence[Form] | np.ndarray


K = TypeVar("K")
V = TypeVar("V")


def _keep(updates: dict[K, dict[str, V]], needed: set[str]) -> None:
    """Remove updates of other channels."""
    for key, targets in list(updates.items()):
        updates[key] = {target: value for target, value in targets.items() if target in needed}
        if not updates[key]:
            del updates[key]


class TransformerBuilder:
    """Collects attention and MLP updates, written as forms over named channels, and compiles them."""

    def __init__(self, channels: Sequence[str], n_inputs: int, gate: GateName | None = None) -> None:
        if gate is not None and gate not in GATE_NAMES:
            raise ValueError(f"gate must be one of {', '.join(GATE_NAMES)}, got {gate!r}")
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
        self, n_rows: int, mask: Mask, outputs: Sequence[str], task: Callable[..., Task],
        positions: Mapping[tuple[int, str], Fraction | int] | None = None,
    ) -> ExactTransformer:  # fmt: skip
        """The network that reads ``outputs``; ``task(columns=...)`` is told which output channels carry the result."""
        if mask not in MASKS:
            raise ValueError(f"mask must be one of {', '.join(MASKS)}, got {mask!r}")
        self._drop_unread(outputs)
        blocks = tuple(
            Block(tuple(self._head(score, values) for score, values in heads.items()), self._mlp(products))
            for heads, products in zip(self._attention, self._products, strict=True)
        )
        at = {(row, self.column[name]): Fraction(weight) for (row, name), weight in (positions or {}).items()}
        return ExactTransformer(
            n_rows=n_rows, mask=mask, attention="softmax" if self.gate else "linear", gate=self.gate,
            channels=self.channels, inputs=self.channels[: self.n_inputs], blocks=blocks, positions=at,
            reads=tuple(self.column[name] for name in outputs), task=task(columns=tuple(range(len(outputs)))),
        )  # fmt: skip

    def _drop_unread(self, outputs: Sequence[str]) -> None:
        """Remove updates of channels that neither a later part of the network nor the outputs read."""
        needed = set(outputs)
        for heads, products in zip(reversed(self._attention), reversed(self._products), strict=True):
            # the MLP comes after the attention
            _keep(products, needed)
            needed |= {name for pair in products for form in pair for name in form.weights}
            _keep(heads, needed)
            needed |= {name for score in heads for pair in score for form in pair for name in form.weights}
            needed |= {name for values in heads.values() for form in values.values() for name in form.weights}

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
                down.update({(targets.index(t), len(gates)): sign * exact(w) for t, w in weights.items()})
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
