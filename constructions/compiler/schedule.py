"""From a circuit to a schedule: which product in which layer, and what is carried past it.

A layer multiplies two affine forms, of which one may be convolved on the way in. So a product can be in layer t
when the nodes of one factor are ready by layer t−1, filters and all, and those of the other are ready but for their
filters. A filtered node is a channel from the layer after its node on, and is carried from there like any other.

What layer s hands on is a set of linear forms: the factors of later products, restricted to what layer s can
know. They are collected from the last layer backwards. A form (:class:`Recipe`) is made of products of layer s, filtered
values of layer s−1, and an older part, which layer s−1 had to hand on. Of the forms that layer s hands on only a
linearly independent choice gets a channel, those with an older part first: then the number of channels carried is
the rank of the older parts, the least that linear carrying can do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from functools import cached_property

from constructions.algebra.terms import channel_name
from constructions.compiler.circuit import Circuit, Wire, earliest, ready
from constructions.compiler.forms import Basis, FilteredNode, Linear, Term, monic, rank

LOCAL_SEARCH_PRODUCTS = 150
LOCAL_SEARCH_MOVES = 60
SEARCH_ENTRIES = 50_000
"""Above so many terms in the factors of all products a single schedule is made."""


class Filtering(Enum):
    """When a form's filter is applied to its nodes. Each node can be filtered in the layer after it, at once; or
    nodes wait for the youngest one of the form, and are filtered together with it.

    At once is good for what several forms share, together for what is handed on unfiltered as well.
    """

    AT_ONCE = "each node at once"
    PRODUCTS_WAIT = "inputs at once, products together"
    ALL_WAIT = "all nodes together"

    def waits(self, level: int) -> bool:
        """Whether a node made by layer ``level`` (0: an input) waits."""
        return self is Filtering.ALL_WAIT or (self is Filtering.PRODUCTS_WAIT and level > 0)


@dataclass(frozen=True)
class Gate:
    """A product as its layer forms it: ``(Σ filter ⋆ convolved[filter]) ⊙ gate``; filter 0 reads what is ready."""

    convolved: Mapping[int, Linear]
    gate: Wire


@dataclass(frozen=True)
class Recipe:
    """A form as its layer makes it: an older part carried past, ``Σ filter ⋆ filtered[filter]``, and products of the
    layer."""

    carried: Linear
    filtered: Mapping[int, Linear]
    products: Linear


@dataclass(frozen=True)
class ScheduledLayer:
    """One layer: its products by node, and the forms that it hands on, each with its recipe.

    ``reads`` are the forms that the layer before has to hand on, those that are carried first; ``width`` counts the
    hidden channels.
    """

    gates: Mapping[int, Gate]
    recipes: Mapping[Linear, Recipe]
    reads: tuple[Linear, ...]
    width: int

    @cached_property
    def basis(self) -> Basis:
        """The independent forms that get a channel, and how every form that is handed on is made of them."""
        return Basis.of(self.recipes)

    @cached_property
    def channels(self) -> dict[str, Linear]:
        """The form that each channel holds, by the name of the channel."""
        return {channel_name("v", index): form for index, form in enumerate(self.basis.chosen)}


@dataclass(frozen=True)
class Schedule:
    """The layers that compute ``outputs``, each of which is a form that the last layer hands on.

    ``levels`` says in which layer each product is; nodes that are not in it are inputs.
    """

    circuit: Circuit
    outputs: tuple[Wire, ...]
    levels: Mapping[int, int]
    filtering: Filtering
    layers: tuple[ScheduledLayer, ...]

    @property
    def depth(self) -> int:
        return len(self.layers)

    @property
    def width(self) -> int:
        return max(layer.width for layer in self.layers)

    @property
    def cost(self) -> tuple[int, int]:
        """The widest layer, then all layers together."""
        return self.width, sum(layer.width for layer in self.layers)


def schedule(circuit: Circuit, outputs: Sequence[Wire]) -> Schedule:
    """The narrowest schedule found at the least depth: earliest, latest, then single products moved within their
    slack."""
    first, depth = earliest(circuit, outputs)
    depth = max(depth, 1)
    if sum(len(factor.terms) for node in first for factor in circuit.products[node]) > SEARCH_ENTRIES:
        return schedule_at(circuit, outputs, first, depth)
    last = latest(circuit, outputs, depth)
    best = min(
        (
            schedule_at(circuit, outputs, levels, depth, filtering)
            for filtering in (Filtering if len(circuit.filters) > 1 else (Filtering.AT_ONCE,))
            for levels in ((first, last) if last != first else (first,))
        ),
        key=lambda found: found.cost,
    )
    if last == first or len(first) > LOCAL_SEARCH_PRODUCTS:
        return best
    return _improved(best, first, last)


def schedule_at(
    circuit: Circuit,
    outputs: Sequence[Wire],
    levels: Mapping[int, int],
    depth: int,
    filtering: Filtering = Filtering.AT_ONCE,
) -> Schedule:
    """The schedule with every product in the given layer: from the last layer backwards, each says what it reads."""
    placement = Placement(circuit, levels, filtering)
    wanted = tuple(dict.fromkeys(monic(wire.key)[1] for wire in outputs))
    layers: list[ScheduledLayer] = []
    for s in range(depth, 0, -1):
        layers.append(placement.layer(s, wanted))
        wanted = layers[-1].reads
    return Schedule(circuit, tuple(outputs), levels, filtering, tuple(reversed(layers)))


def latest(circuit: Circuit, outputs: Sequence[Wire], depth: int) -> dict[int, int]:
    """Each product in the last layer in which it still reaches all its readers in time."""
    first, _ = earliest(circuit, outputs)
    due: dict[int, int] = {}

    def read(wire: Wire, by: int, convolved: bool = False) -> None:
        for filter, node in wire.terms:
            due[node] = min(due.get(node, depth), by - (filter != 0 and not convolved))

    for wire in outputs:
        read(wire, depth)
    for node in reversed(circuit.reachable(outputs)):
        left, right = circuit.products[node]
        if max(ready(left, first, convolved=True), ready(right, first)) > max(
            ready(right, first, convolved=True), ready(left, first)
        ):
            left, right = right, left
        read(left, due[node] - 1, convolved=True)
        read(right, due[node] - 1)
    return {node: due[node] for node in first}


@dataclass(frozen=True)
class Placement:
    """Every product of a circuit in a layer (``levels``), and when filters are applied."""

    circuit: Circuit
    levels: Mapping[int, int]
    filtering: Filtering

    def level(self, node: int) -> int:
        """The layer after which a node is known: 0 for inputs."""
        return self.levels.get(node, 0)

    def layer(self, s: int, wanted: Iterable[Linear]) -> ScheduledLayer:
        """Layer s, when it has to hand on the forms ``wanted``."""
        gates = {node: self.gate(node) for node in sorted(self.levels) if self.levels[node] == s}
        factors = dict.fromkeys(
            monic(parts)[1] for gate in gates.values() for parts in (*gate.convolved.values(), gate.gate.key)
        )
        by_youngest = dict(pair for factor in reversed(factors) if (pair := self.by_youngest_part(factor, s - 1)))
        recipes = {form: self.recipe(form, s, by_youngest) for form in wanted}
        carried = dict.fromkeys(monic(recipe.carried)[1] for recipe in recipes.values())
        filtered: dict[int, dict[Linear, None]] = defaultdict(dict)
        for recipe in recipes.values():
            for filter, parts in recipe.filtered.items():
                filtered[filter].setdefault(monic(parts)[1])
        # What is carried comes first: of dependent forms the later ones get no channel.
        reads = dict.fromkeys([*carried, *(form for forms in filtered.values() for form in forms), *factors])
        width = sum(len(gate.convolved) for gate in gates.values())
        width += rank(carried) + sum(rank(forms) for forms in filtered.values())
        return ScheduledLayer(gates, recipes, tuple(form for form in reads if form), width)

    def gate(self, node: int) -> Gate:
        """How the layer of a product forms it: which factor is convolved, and what each filter reads."""
        left, right = self.circuit.products[node]
        before = self.level(node) - 1
        if ready(right, self.levels) > before or (
            ready(left, self.levels) <= before and self.n_parts(right, before) < self.n_parts(left, before)
        ):
            left, right = right, left
        young = self.young_filters(left, before)
        convolved: dict[int, list[Term]] = defaultdict(list)
        for (filter, source), weight in left.key:
            if filter in young:
                convolved[filter].append(((0, source), weight))
            else:
                convolved[0].append(((filter, source), weight))
        return Gate({filter: Linear(parts) for filter, parts in convolved.items()}, right)

    def young_filters(self, wire: Wire, before: int) -> set[int]:
        """Filters that the convolution branch must apply: one of their nodes is no older than the layer ``before``."""
        return {filter for filter, node in wire.terms if filter and self.level(node) == before}

    def n_parts(self, wire: Wire, before: int) -> int:
        """Number of terms into which the filters split a factor in the convolution branch."""
        young = self.young_filters(wire, before)
        return len({filter if filter in young else 0 for filter, _ in wire.terms})

    def by_youngest_part(self, factor: Linear, s: int) -> tuple[Linear, Linear] | None:
        """``(youngest part, factor)``, scaled alike, of an unfiltered factor that holds nodes of layer s."""
        if any(filter for (filter, _), _ in factor):
            return None
        scale, part = monic((key, weight) for key, weight in factor if self.level(key[1]) == s)
        return (part, Linear((key, weight / scale) for key, weight in factor)) if part else None

    def recipe(self, form: Linear, s: int, factors: Mapping[Linear, Linear]) -> Recipe:
        """How layer s makes a form; ``factors`` are what its products read anyway, by their youngest part."""
        carried: dict[FilteredNode, Fraction] = {}
        filtered: dict[int, list[Term]] = defaultdict(list)
        products: list[Term] = []
        applied = {filter for (filter, node), _ in form if filter and self.level(node) == s - 1}
        for (filter, node), weight in form:
            level = self.level(node)
            if not filter and level == s:
                products.append(((0, node), weight))
            elif filter in applied and (level == s - 1 or self.filtering.waits(level)):
                filtered[filter].append(((0, node), weight))
            else:
                carried[filter, node] = weight
        for filter, parts in filtered.items():
            scale, youngest = monic(parts)
            if factor := factors.get(youngest):
                # Filter the whole factor, and take back what that is too much: worth it when less is left to carry.
                rest = dict(carried)
                for (_, node), weight in factor:
                    if self.level(node) < s - 1:
                        rest[filter, node] = rest.get((filter, node), Fraction(0)) - scale * weight
                rest = {key: weight for key, weight in rest.items() if weight}
                if len(rest) < len(carried):
                    carried, filtered[filter] = rest, [(key, scale * weight) for key, weight in factor]
        return Recipe(
            Linear(sorted(carried.items())),
            {filter: Linear(parts) for filter, parts in filtered.items()},
            Linear(products),
        )


def _improved(best: Schedule, first: Mapping[int, int], last: Mapping[int, int]) -> Schedule:
    """Single products moved within their slack, as long as that is an improvement."""
    tried = 0
    improved = True
    while improved:
        improved = False
        for node, level in ((n, to) for n in first for to in range(first[n], last[n] + 1)):
            if level == best.levels[node] or not _may_move(best, node, level):
                continue
            if tried == LOCAL_SEARCH_MOVES:
                return best
            tried += 1
            moved = schedule_at(best.circuit, best.outputs, {**best.levels, node: level}, best.depth, best.filtering)
            if moved.cost < best.cost:
                best, improved = moved, True
    return best


def _may_move(found: Schedule, node: int, level: int) -> bool:
    """Whether a product can be in another layer: after its factors and before its readers.

    Filters make readiness depend on the branch, so only products away from any filter are moved.
    """
    moved = {**found.levels, node: level}
    for product in moved:
        factors = found.circuit.products[product]
        if product != node and not any(source == node for factor in factors for _, source in factor.terms):
            continue
        if any(filter for factor in factors for filter, _ in factor.terms):
            return False
        if max(ready(factor, moved) for factor in factors) >= moved[product]:
            return False
    return True


def circuit_width(circuit: Circuit, outputs: Sequence[Wire]) -> int:
    """The w of the theorem: over the layers, the most products in a layer plus earlier values still needed.

    Every product is in its earliest layer and every value needed later is carried by itself; a filtered value counts
    in the layer that filters it, and a product once for each filter of its convolved factor.
    """
    first, depth = earliest(circuit, outputs)
    widest = 0
    for layer in schedule_at(circuit, outputs, first, max(depth, 1)).layers:
        needed: set[FilteredNode] = set()
        for recipe in layer.recipes.values():
            needed |= {key for key, _ in recipe.carried}
            needed |= {(filter, source) for filter, parts in recipe.filtered.items() for (_, source), _ in parts}
        widest = max(widest, len(needed) + sum(len(gate.convolved) for gate in layer.gates.values()))
    return widest
