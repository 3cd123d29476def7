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
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import flint
import numpy as np

from constructions.algebra.terms import Form, Terms, as_terms
from constructions.algebra.terms import convolve as convolve_terms
from constructions.compiler.circuit import CONSTANT, Circuit, Key, Wire
from constructions.networks.builder import Builder
from constructions.networks.network import Network
from constructions.networks.tasks import Task


class Linear(tuple[tuple[Key, Fraction], ...]):
    """A linear form over (filter, node), without the constant: sorted; in dictionaries, the weight of its oldest
    node is one.

    Hashed once, and by its nodes: hashing a rational number takes a modular inverse.
    """

    _hash: int | None = None

    def __hash__(self) -> int:
        if self._hash is None:
            weights = (self[0][1].numerator, self[-1][1].numerator) if self else ()
            self._hash = hash((tuple(key for key, _ in self), weights))
        return self._hash


LOCAL_SEARCH_PRODUCTS = 150
LOCAL_SEARCH_MOVES = 60
SEARCH_ENTRIES = 50_000
"""Above so many terms in the factors of all products a single schedule is made."""
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


@dataclass(frozen=True)
class Split:
    """A form as layer s makes it: an older part, what each filter reads, products of this layer."""

    old: Linear
    fresh: Mapping[int, Linear]
    new: Linear


@dataclass
class Layout:
    """A schedule: level of each product, the forms handed on by each layer, and the hidden channels that it takes.

    ``handed[s]`` lists the linear forms that layer s (0: the input) hands on, ``splits[s][form]`` how layer s makes
    each; ``channels[s]`` is an independent choice of them and ``combination[s][form]`` how each form is made of it.
    ``widths[s−1]`` counts the hidden channels of layer s.

    A filter that a form needs is applied to each node in the layer after it. When one node is that young, nodes of
    level ``late_from`` or more are filtered together with it: early is good for what several forms share, late for
    what is handed on unfiltered as well.
    """

    circuit: Circuit
    outputs: Sequence[Wire]
    levels: dict[int, int]
    depth: int
    late_from: int = NEVER
    handed: list[dict[Linear, None]] = field(default_factory=list)
    splits: list[dict[Linear, Split]] = field(default_factory=list)
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

    def split(self, form: Linear, s: int, factors: Mapping[Linear, Linear]) -> Split:
        """How layer s makes a form; ``factors`` are what its products read anyway, by their youngest part."""
        old: dict[Key, Fraction] = {}
        fresh: dict[int, list[tuple[Key, Fraction]]] = defaultdict(list)
        new: list[tuple[Key, Fraction]] = []
        reading = {filter for (filter, node), _ in form if filter and self.level(node) == s - 1}
        for (filter, node), weight in form:
            if not filter and self.level(node) == s:
                new.append(((0, node), weight))
            elif filter in reading and (self.level(node) == s - 1 or self.level(node) >= self.late_from):
                fresh[filter].append(((0, node), weight))
            else:
                old[filter, node] = weight
        for filter, parts in fresh.items():
            scale, young = _linear(parts)
            if factor := factors.get(young):
                # Filter the whole factor, and take back what that is too much: worth it when less is left to carry.
                rest = dict(old)
                for (_, node), weight in factor:
                    if self.level(node) < s - 1:
                        rest[filter, node] = rest.get((filter, node), Fraction(0)) - scale * weight
                rest = {key: weight for key, weight in rest.items() if weight}
                if len(rest) < len(old):
                    old, fresh[filter] = rest, [(key, scale * weight) for key, weight in factor]
        return Split(
            Linear(sorted(old.items())), {filter: Linear(parts) for filter, parts in fresh.items()}, Linear(new)
        )

    def young(self, form: Linear, s: int) -> tuple[Linear, Linear] | None:
        """``(youngest part, form)``, scaled alike, of an unfiltered form that holds nodes of layer s."""
        if any(filter for (filter, _), _ in form):
            return None
        scale, part = _linear(((key, weight) for key, weight in form if self.level(key[1]) == s))
        return (part, Linear((key, weight / scale) for key, weight in form)) if part else None

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
        return {filter: Linear(parts) for filter, parts in reads.items()}, right


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
        return Fraction(1), Linear()
    # The oldest node has weight one: an iterate x − η g keeps its scale.
    scale = min(kept, key=lambda term: (term[0][1], term[0][0]))[1]
    if scale == 1:
        return scale, terms if isinstance(terms, Linear) and len(terms) == len(kept) else Linear(kept)
    return scale, Linear((key, weight / scale) for key, weight in kept)


def plan(
    circuit: Circuit, outputs: Sequence[Wire], levels: dict[int, int], depth: int, late_from: int = NEVER
) -> Layout:
    """What every layer hands on, when the products are in the given layers."""
    layout = Layout(circuit, outputs, levels, depth, late_from)
    by_level: dict[int, list[int]] = defaultdict(list)
    for node, level in sorted(levels.items()):
        by_level[level].append(node)
    handed: list[dict[Linear, None]] = [{} for _ in range(depth + 1)]
    handed[depth] = dict.fromkeys(_linear(wire.key)[1] for wire in outputs)
    layout.widths = [0] * depth
    layout.splits = [{} for _ in range(depth + 1)]
    for s in range(depth, 0, -1):
        read: dict[Linear, None] = {}
        n_terms = 0
        for node in by_level[s]:
            reads, gate = layout.factors(node)
            n_terms += len(reads)
            read |= dict.fromkeys(_linear(parts)[1] for parts in (*reads.values(), gate.key))
        factors = dict(pair for form in reversed(read) if (pair := layout.young(form, s - 1)))
        carried: dict[Linear, None] = {}
        filtered: dict[int, dict[Linear, None]] = defaultdict(dict)
        for form in handed[s]:
            split = layout.splits[s][form] = layout.split(form, s, factors)
            carried.setdefault(_linear(split.old)[1])
            for filter, parts in split.fresh.items():
                filtered[filter].setdefault(_linear(parts)[1])
        # What is carried comes first: of dependent forms the later ones get no channel.
        handed[s - 1] = carried | {form: None for forms in filtered.values() for form in forms} | read
        handed[s - 1].pop(Linear(), None)
        n_terms += sum(len(_independent(forms)[0]) for forms in filtered.values())
        layout.widths[s - 1] = n_terms + len(_independent(carried)[0])
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
    if sum(len(factor.terms) for node in first for factor in circuit.products[node]) > SEARCH_ENTRIES:
        return plan(circuit, outputs, first, depth)
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
        rest = Linear((key, weight) for key, weight in terms if key != CONSTANT)
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
        forms: list[tuple[Fraction, Linear, Fraction]]
        if last:
            forms = [(*_linear(wire.key), wire.terms.get(CONSTANT, Fraction(0))) for wire in layout.outputs]
        else:
            forms = [(Fraction(1), form, Fraction(0)) for form in layout.channels[s]]
        outputs = np.empty(len(forms), dtype=object)
        for index, (scale, form, constant) in enumerate(forms):
            split = layout.splits[s][form]
            old = read(split.old, s - 1).scaled(scale) if split.old else Form({})
            items = dict(as_terms(old + Form({}, constant)).items)
            for filter, parts in split.fresh.items():
                _accumulate(items, convolve_terms(circuit.filters[filter], read_affine(parts, s - 1)), scale)
            for (_, node), weight in split.new:
                _accumulate(items, products[node], scale * weight)
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
            split = layout.splits[s][form]
            needed |= {key for key, _ in split.old}
            needed |= {(filter, source) for filter, parts in split.fresh.items() for (_, source), _ in parts}
        products = [node for node, level in first.items() if level == s]
        widest = max(widest, len(needed) + sum(len(layout.factors(node)[0]) for node in products))
    return widest
