"""From a circuit to a network: which product in which layer, and what is carried past it.

A layer multiplies two affine forms, of which one may be convolved on the way in. So a product can be in layer t
when the nodes of one factor are ready by layer t−1, filters and all, and those of the other are ready but for their
filters. A filtered node is a channel from the layer after its node on, and is carried from there like any other.

What layer s has to hand on is a set of linear forms: the factors of later products, restricted to what layer s can
know. :func:`plan` collects them from the last layer backwards. A form splits into the products of layer s, filtered
values of layer s−1, and an older part, which layer s−1 had to hand on. Of the forms that layer s hands on only a
linearly independent choice gets a channel, those with an older part first: then the number of channels carried is
the rank of the older parts, the least that linear carrying can do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import flint
import numpy as np

from constructions.builder import Builder
from constructions.compiler.circuit import CONSTANT, Circuit, Key, Wire
from constructions.network import Network
from constructions.tasks import Task
from constructions.terms import Form, Terms, as_terms
from constructions.terms import convolve as convolve_terms

Linear = tuple[tuple[Key, Fraction], ...]
"""A linear form over (filter, node), without the constant: sorted, the weight of its oldest node one."""
LOCAL_SEARCH_PRODUCTS = 150
LOCAL_SEARCH_MOVES = 60
NEVER = 10**9
POLICIES = (NEVER, 1, 0)
"""Values of ``late_from`` that are tried when there are filters."""


def earliest(circuit: Circuit, outputs: Iterable[Wire]) -> tuple[dict[int, int], int]:
    """``(level of every product needed, depth)``: each product in the first layer that can hold it."""
    outputs = list(outputs)
    levels: dict[int, int] = {}
    for node in circuit.reachable(outputs):
        left, right = circuit.products[node]
        levels[node] = 1 + min(
            max(_ready(left, levels, convolved=True), _ready(right, levels)),
            max(_ready(right, levels, convolved=True), _ready(left, levels)),
        )
    return levels, max((_ready(wire, levels) for wire in outputs), default=0)


def _ready(wire: Wire, levels: dict[int, int], convolved: bool = False) -> int:
    """The layer after which ``wire`` can be read; by the convolution branch, its filters are still to come."""
    return max((levels.get(node, 0) + (filter != 0 and not convolved) for filter, node in wire.terms), default=0)


def latest(circuit: Circuit, outputs: Iterable[Wire], depth: int) -> dict[int, int]:
    """Each product in the last layer in which it still reaches all its readers in time."""
    outputs = list(outputs)
    first, _ = earliest(circuit, outputs)
    due: dict[int, int] = {}

    def read(wire: Wire, by: int, convolved: bool = False) -> None:
        for filter, node in wire.terms:
            due[node] = min(due.get(node, depth), by - (filter != 0 and not convolved))

    for wire in outputs:
        read(wire, depth)
    for node in reversed(circuit.reachable(outputs)):
        left, right = circuit.products[node]
        swap = not _left_convolves(left, right, first)
        read(right if swap else left, due[node] - 1, convolved=True)
        read(left if swap else right, due[node] - 1)
    return {node: due[node] for node in first}


def _left_convolves(left: Wire, right: Wire, levels: dict[int, int]) -> bool:
    by_left = max(_ready(left, levels, convolved=True), _ready(right, levels))
    return by_left <= max(_ready(right, levels, convolved=True), _ready(left, levels))


@dataclass
class Layout:
    """A schedule: level of each product, the forms handed on by each layer, and the hidden channels that it takes.

    A filter that a form needs is applied to each node in the layer after it; when one node is that young, nodes of level
    ``late_from`` or more are filtered together with it. (Early is good for what several forms share, late for what is
    a factor of products as it is.) ``handed[s]`` lists the linear forms that layer s (0: the input) hands on; ``channels[s]`` an independent choice
    of them and ``combination[s][form]`` how each form is made of it. ``widths[s−1]`` counts the hidden channels of
    layer s.
    """

    circuit: Circuit
    outputs: Sequence[Wire]
    levels: dict[int, int]
    depth: int
    late_from: int = NEVER
    handed: list[dict[Linear, None]] = field(default_factory=list)
    channels: list[list[Linear]] = field(default_factory=list)
    combination: list[dict[Linear, dict[int, Fraction]]] = field(default_factory=list)
    widths: list[int] = field(default_factory=list)

    @property
    def width(self) -> int:
        return max(self.widths)

    @property
    def cost(self) -> tuple[int, int]:
        return self.width, sum(self.widths)

    def level(self, node: int) -> int:
        return self.levels.get(node, 0)

    def split(self, form: Linear, s: int) -> tuple[Linear, dict[int, Linear], Linear]:
        """``(older part, {filter: what it reads}, products)`` of a form handed on by layer s."""
        old: list[tuple[Key, Fraction]] = []
        fresh: dict[int, list[tuple[Key, Fraction]]] = defaultdict(list)
        new: list[tuple[Key, Fraction]] = []
        reading = {filter for (filter, node), _ in form if filter and self.level(node) == s - 1}
        for (filter, node), weight in form:
            if not filter:
                (new if self.level(node) == s and s else old).append(((0, node), weight))
            elif filter in reading and (self.level(node) == s - 1 or self.level(node) >= self.late_from):
                fresh[filter].append(((0, node), weight))
            else:
                old.append(((filter, node), weight))
        return tuple(old), {filter: tuple(parts) for filter, parts in fresh.items()}, tuple(new)

    def factors(self, node: int) -> tuple[dict[int, Linear], Wire]:
        """``({filter: what the convolution branch reads}, gate)`` of a product; filter 0 reads what is ready."""
        left, right = self.circuit.products[node]
        before = self.level(node) - 1
        if _ready(right, self.levels) > before or (
            _ready(left, self.levels) <= before
            and _parts(right, self.levels, before) < _parts(left, self.levels, before)
        ):
            left, right = right, left
        fresh = _fresh(left, self.levels, before)
        reads: dict[int, list[tuple[Key, Fraction]]] = defaultdict(list)
        for (filter, source), weight in left.key:
            if filter in fresh:
                reads[filter].append(((0, source), weight))
            else:
                reads[0].append(((filter, source), weight))
        return {filter: tuple(parts) for filter, parts in reads.items()}, right


def _fresh(wire: Wire, levels: dict[int, int], before: int) -> set[int]:
    """Filters that the convolution branch must apply: one of their nodes is no older than the layer before."""
    return {filter for filter, node in wire.terms if filter and levels.get(node, 0) == before}


def _parts(wire: Wire, levels: dict[int, int], before: int) -> int:
    """Number of terms into which the filters split a factor in the convolution branch."""
    fresh = _fresh(wire, levels, before)
    return len({filter if filter in fresh else 0 for filter, _ in wire.terms})


def _linear(terms: Iterable[tuple[Key, Fraction]]) -> tuple[Fraction, Linear]:
    """``(scale, form)`` of an affine form without its constant."""
    kept = [(key, weight) for key, weight in terms if key != CONSTANT]
    if not kept:
        return Fraction(1), ()
    # The oldest node has weight one: an iterate x − η g keeps its scale.
    scale = min(kept, key=lambda term: (term[0][1], term[0][0]))[1]
    return (scale, tuple(kept)) if scale == 1 else (scale, tuple((key, weight / scale) for key, weight in kept))


def plan(
    circuit: Circuit, outputs: Sequence[Wire], levels: dict[int, int], depth: int, late_from: int = NEVER
) -> Layout:
    """What every layer hands on, when the products are in the given layers."""
    layout = Layout(circuit, outputs, levels, depth, late_from)
    by_level: dict[int, list[int]] = defaultdict(list)
    for node, level in sorted(levels.items()):
        by_level[level].append(node)
    handed: list[dict[Linear, None]] = [{} for _ in range(depth + 1)]
    carried: list[dict[Linear, None]] = [{} for _ in range(depth + 1)]
    handed[depth] = dict.fromkeys(_linear(wire.key)[1] for wire in outputs)
    layout.widths = [0] * depth
    for s in range(depth, 0, -1):
        filtered: dict[int, dict[Linear, None]] = defaultdict(dict)
        for form in handed[s]:
            old, fresh, _ = layout.split(form, s)
            if old:
                carried[s - 1].setdefault(_linear(old)[1])
            for filter, parts in fresh.items():
                filtered[filter].setdefault(_linear(parts)[1])
        handed[s - 1] |= carried[s - 1]
        n_terms = 0
        for forms in filtered.values():
            handed[s - 1] |= forms
            n_terms += len(_independent(forms)[0])
        for node in by_level[s]:
            reads, gate = layout.factors(node)
            n_terms += len(reads)
            for parts in (*reads.values(), gate.key):
                handed[s - 1].setdefault(_linear(parts)[1])
        handed[s - 1].pop((), None)
        layout.widths[s - 1] = n_terms + len(_independent(carried[s - 1])[0])
    layout.handed = handed
    for s in range(depth):
        chosen, combination = _independent(handed[s])
        layout.channels.append(chosen)
        layout.combination.append(combination)
    return layout


def _independent(forms: Iterable[Linear]) -> tuple[list[Linear], dict[Linear, dict[int, Fraction]]]:
    """A maximal independent choice, earlier forms first, and every form as a combination of it."""
    forms = [form for form in forms if form]
    component = _components(forms)
    chosen: list[Linear] = []
    combination: dict[Linear, dict[int, Fraction]] = {}
    for members in component:
        keys = sorted({key for form in members for key, _ in form})
        if len(members) == 1:
            pivots, reduced = [0], None
        else:
            row = {key: index for index, key in enumerate(keys)}
            matrix = flint.fmpq_mat(len(keys), len(members))
            for column, form in enumerate(members):
                for key, weight in form:
                    matrix[row[key], column] = flint.fmpq(weight.numerator, weight.denominator)
            reduced, rank = matrix.rref()
            pivots = [next(c for c in range(len(members)) if reduced[r, c] != 0) for r in range(rank)]
        base = len(chosen)
        chosen += [members[column] for column in pivots]
        for column, form in enumerate(members):
            if reduced is None:
                combination[form] = {base: Fraction(1)}
                continue
            entries = [(base + r, reduced[r, column]) for r in range(len(pivots)) if reduced[r, column] != 0]
            combination[form] = {index: Fraction(int(entry.p), int(entry.q)) for index, entry in entries}
    return chosen, combination


def _components(forms: list[Linear]) -> list[list[Linear]]:
    """The forms in groups that share no (filter, node), each in the given order."""
    parent = list(range(len(forms)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    holder: dict[Key, int] = {}
    for index, form in enumerate(forms):
        for key, _ in form:
            other = root(holder.setdefault(key, index))
            mine = root(index)
            parent[max(mine, other)] = min(mine, other)
    groups: dict[int, list[Linear]] = defaultdict(list)
    for index, form in enumerate(forms):
        groups[root(index)].append(form)
    return list(groups.values())


def schedule(circuit: Circuit, outputs: Sequence[Wire]) -> Layout:
    """The narrowest schedule found at the least depth: earliest, latest, then single products moved within their
    slack."""
    first, depth = earliest(circuit, outputs)
    depth = max(depth, 1)
    last = latest(circuit, outputs, depth)
    best = min(
        (
            plan(circuit, outputs, levels, depth, late_from)
            for late_from in (POLICIES if len(circuit.filters) > 1 else (NEVER,))
            for levels in ((first, last) if last != first else (first,))
        ),
        key=lambda layout: layout.cost,
    )
    if last == first:
        return best
    if len(first) > LOCAL_SEARCH_PRODUCTS:
        return best
    moves = 0
    improved = True
    while improved:
        improved = False
        for node in [node for node in first if first[node] < last[node]]:
            for level in range(first[node], last[node] + 1):
                if level == best.levels[node] or moves >= LOCAL_SEARCH_MOVES:
                    continue
                moved = _move(circuit, best.levels, node, level, first, last)
                if moved is None:
                    continue
                moves += 1
                candidate = plan(circuit, outputs, moved, depth, best.late_from)
                if candidate.cost < best.cost:
                    best, improved = candidate, True
    return best


def _move(
    circuit: Circuit, levels: dict[int, int], node: int, level: int, first: dict[int, int], last: dict[int, int]
) -> dict[int, int] | None:
    """The levels with one product moved, or ``None`` when it would come before a factor or after a reader.

    Filters make readiness depend on the branch, so only products away from any filter are moved.
    """
    moved = levels | {node: level}
    for product, (left, right) in ((p, circuit.products[p]) for p in levels):
        touches = product == node or any(source == node for factor in (left, right) for _, source in factor.terms)
        if touches and (
            any(filter for factor in (left, right) for filter, _ in factor.terms)
            or max(_ready(left, moved), _ready(right, moved)) >= moved[product]
        ):
            return None
    return moved


def emit(layout: Layout, task: Callable[..., Task]) -> Network:
    """The network of a schedule; ``task(columns=...)`` is told where the outputs are."""
    circuit = layout.circuit
    names = circuit.names
    builder = Builder(circuit.n_rows, list(circuit.inputs), circuit.mode)
    for node, values in circuit.positions.items():
        builder.position(names[node], values)
    held: list[Any] = []

    def read(form: Linear, s: int, constant: Fraction = Fraction(0)) -> Form:
        """A form handed on by layer s, over its channels."""
        scale, monic = _linear(form)
        if s == 0:
            return Form({names[node]: weight for (_, node), weight in form}, constant)
        weights = layout.combination[s][monic].items()
        return Form({name: scale * w for index, w in weights for name in held[index].weights}, constant)

    def read_affine(terms: Iterable[tuple[Key, Fraction]], s: int) -> Form:
        """An affine form, constant and all."""
        rest = tuple((key, weight) for key, weight in terms if key != CONSTANT)
        constant = next((weight for key, weight in terms if key == CONSTANT), Fraction(0))
        return read(rest, s, constant) if rest else Form({}, constant)

    def product(node: int, s: int) -> Terms:
        reads, gate = layout.factors(node)
        total: dict = {}
        for filter, parts in reads.items():
            # Not the product of Terms, which would take the constant of a factor apart.
            term = Terms.product(circuit.filters[filter], read_affine(parts, s - 1), read_affine(gate.key, s - 1))
            _accumulate(total, term, Fraction(1))
        return Terms(total)

    for s in range(1, layout.depth + 1):
        products = {node: product(node, s) for node, level in sorted(layout.levels.items()) if level == s}
        last = s == layout.depth
        forms: Iterable[tuple[Linear, Fraction]]
        if last:
            forms = [
                (tuple((k, w) for k, w in wire.key if k != CONSTANT), wire.terms.get(CONSTANT, Fraction(0)))
                for wire in layout.outputs
            ]
        else:
            forms = [(form, Fraction(0)) for form in layout.channels[s]]
        outputs = np.empty(len(list(forms)), dtype=object)
        for index, (form, constant) in enumerate(forms):
            old, fresh, new = layout.split(form, s)
            items = dict(as_terms(read(old, s - 1, constant) if old else Form({}, constant)).items)
            for filter, parts in fresh.items():
                _accumulate(items, convolve_terms(circuit.filters[filter], read_affine(parts, s - 1)), Fraction(1))
            for (_, node), weight in new:
                _accumulate(items, products[node], weight)
            outputs[index] = Terms(items)
        if len(outputs) == 0:
            held = []
            builder.layer(v=outputs)
            continue
        held = list(builder.layer(**{"y" if last else "v": outputs}))
    return builder.build(np.array(held, dtype=object), task)


def _accumulate(items: dict, terms: Terms, weight: Fraction) -> None:
    for key, coefficient in as_terms(terms).items.items():
        value = items.get(key, Fraction(0)) + weight * coefficient
        if value:
            items[key] = value
        else:
            del items[key]


def circuit_width(circuit: Circuit, outputs: Sequence[Wire]) -> int:
    """The w of the theorem: over the layers, the most products in a layer plus earlier values still needed.

    Every product is in its earliest layer and every value needed later is carried by itself; a filtered value counts
    in the layer that filters it, and a product once for each filter of its convolved factor.
    """
    first, depth = earliest(circuit, outputs)
    layout = plan(circuit, outputs, first, max(depth, 1))
    widest = 0
    for s in range(1, layout.depth + 1):
        needed: set[tuple] = set()
        for form in layout.handed[s]:
            old, fresh, _ = layout.split(form, s)
            needed |= {key for key, _ in old}
            needed |= {(filter, source) for filter, parts in fresh.items() for (_, source), _ in parts}
        products = [node for node, level in first.items() if level == s]
        widest = max(widest, len(needed) + sum(len(layout.factors(node)[0]) for node in products))
    return widest
