"""From layers written as terms to sparse weights: merge, share, drop what nobody reads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, TypeAlias, TypeVarTuple

import numpy as np

from constructions.algebra.filters import DELTA, Filter
from constructions.algebra.terms import ONE, Expression, Form, Key, Terms, channel, flatten
from constructions.algebra.work import tell
from constructions.networks.layer import Layer, Mode, SparseMap
from constructions.networks.network import Network
from constructions.networks.tasks import Task

State = TypeVarTuple("State")
Family: TypeAlias = np.ndarray | Expression
"""A family of channels: terms, or an array of terms."""


class Builder:
    """Collects layers written over named channels and compiles them into a :class:`Network`.

    ``builder.layer(x=..., P=...)`` adds one layer whose outputs are the families ``x``, ``P``, … (scalars or
    object arrays of terms) and returns arrays of their channels for the next layer, in the order given.
    Equal outputs share a channel; channels that nobody reads are dropped by :meth:`build`.
    """

    def __init__(self, n_rows: int, inputs: list[str], mode: Mode = "causal") -> None:
        if n_rows < 1:
            raise ValueError(f"a network needs at least one row, got n_rows={n_rows}")
        self.n_rows = n_rows
        self.mode: Mode = mode
        self.inputs = tuple(inputs)
        self.positions: dict[tuple[int, int], Fraction] = {}
        self.layers: list[dict[str, Terms]] = []

    def position(self, name: str, values: Mapping[int, Fraction | int]) -> Form:
        """A positional channel with the given constants by row, added to the input; returns it as a form."""
        self.inputs = (*self.inputs, name)
        for row, value in values.items():
            self.positions[row, len(self.inputs) - 1] = Fraction(value)
        return channel(name)

    def layer(self, **families: Family) -> Any:
        """Add a layer; see the class. A single family is returned alone, several as a tuple."""
        results = self._add(families)
        return tuple(results) if len(results) > 1 else results[0]

    def _add(self, families: Mapping[str, Family]) -> list[np.ndarray | Form]:
        """Add a layer; the channels of each family."""
        known: dict[frozenset[tuple[Key, Fraction]], str] = {}
        outputs: dict[str, Terms] = {}
        results: list[np.ndarray | Form] = []
        for family, value in families.items():
            forms = []
            for name, terms in flatten(family, value):
                same = known.setdefault(frozenset(terms.items.items()), name)
                outputs.setdefault(same, terms)
                forms.append(channel(same))
            if isinstance(value, np.ndarray):
                results.append(np.fromiter(forms, object, len(forms)).reshape(value.shape))
            else:
                results.append(forms[0])
        self._check_reads(outputs)
        self.layers.append(outputs)
        tell("layers written", len(self.layers))
        return results

    def iterate(self, times: int, step: Callable[..., Mapping[str, Family]], **state: Family) -> Any:
        """Add the layer ``step(**state)`` ``times`` times, each reading the outputs of the one before.

        ``step`` returns families with the names of ``state``; a single family is returned alone, as by :meth:`layer`. Once
        the channels of a layer are those that it read, every further layer is the same one, and is not written out again.
        """
        for done in range(1, times + 1):
            families = step(**state)
            if families.keys() != state.keys():
                raise ValueError(f"a step from {', '.join(state)} must return just these, got {', '.join(families)}")
            new: dict[str, Family] = dict(zip(families, self._add(families), strict=True))
            settled = all(same_channels(new[family], state[family]) for family in state)
            state = new
            if settled:
                self.layers += [self.layers[-1]] * (times - done)
                break
        return tuple(state.values()) if len(state) > 1 else next(iter(state.values()))

    def repeat(self, times: int, step: Callable[[*State], tuple[*State]], *state: *State) -> tuple[*State]:
        """Take ``state = step(*state)`` ``times`` times, where a step adds several layers.

        As in :meth:`iterate`: once a step ends with the channels that it began with, every further one is the same.
        """
        for done in range(1, times + 1):
            first = len(self.layers)
            new = step(*state)
            settled = all(map(same_channels, new, state))
            state = new
            if settled:
                self.layers += self.layers[first:] * (times - done)
                break
        return state

    def again(self, place: int) -> None:
        """Add the layer written at this place once more, for a state of the same channels as before it."""
        layer = self.layers[place]
        self._check_reads(layer)
        self.layers.append(layer)
        tell("layers written", len(self.layers))

    def _check_reads(self, outputs: dict[str, Terms]) -> None:
        available = set(self.layers[-1]) if self.layers else set(self.inputs)
        missing = {name for terms in outputs.values() for name in terms.channels()} - available
        if missing:
            raise ValueError(f"layer {len(self.layers) + 1} reads channels that do not exist: {sorted(missing)[:5]}")

    def build(self, outputs: np.ndarray | Sequence[Form], task: Callable[..., Task]) -> Network:
        """The network whose outputs are the given channels (forms returned by the last layer).

        ``task(columns=...)`` is told which output channels carry them.
        """
        names = [name for form in np.asarray(outputs, dtype=object).flat for name in form.weights]
        needed = set(names)
        # Iterations repeat layers: each is looked at and compiled once, and shared.
        kept: list[dict[str, Terms]] = []
        read: dict[tuple[int, frozenset[str]], tuple[dict[str, Terms], set[str]]] = {}
        for spec in reversed(self.layers):
            wanted = id(spec), frozenset(needed)
            if wanted not in read:
                chosen = {name: terms for name, terms in spec.items() if name in needed}
                read[wanted] = chosen, set().union(*(terms.channels() for terms in chosen.values()))
            spec, needed = read[wanted]
            kept.append(spec)
        layers: list[Layer] = []
        inputs = self.inputs
        previous: tuple[tuple[str, ...], dict[str, Terms]] | None = None
        compiled: dict[tuple[int, tuple[str, ...]], Layer] = {}
        for spec in reversed(kept):
            place = id(spec), inputs
            if place not in compiled:
                again = previous is not None and (inputs, spec) == previous
                compiled[place] = layers[-1] if again else compile_layer(inputs, spec)
            previous = inputs, spec
            layers.append(compiled[place])
            tell("layers compiled", len(layers), len(kept))
            inputs = layers[-1].outputs
        columns = tuple(inputs.index(name) for name in names)
        return Network(
            n_rows=self.n_rows, mode=self.mode, inputs=self.inputs, layers=tuple(layers), positions=self.positions,
            task=task(columns=columns), algorithm="unnamed", parameters={},
        )  # fmt: skip


def same_channels(after: object, before: object) -> bool:
    """Are two families the same channels? An array and a single channel are not."""
    if isinstance(after, np.ndarray) and isinstance(before, np.ndarray):
        return np.array_equal(after, before)
    return type(after) is type(before) and bool(after == before)


def compile_layer(inputs: tuple[str, ...], outputs: Mapping[str, Terms]) -> Layer:
    """The layer with these output channels. Hidden channels are the distinct terms, after two savings.

    Products that occur in one output alone are merged over common factors (``pq + pr = p(q + r)``); the affine
    parts seen through one filter are represented by distinct forms or by single channels, whichever is fewer.
    """
    merged = merge_products(outputs)
    units: dict[Key, int] = {}
    out: dict[tuple[int, int], Fraction] = defaultdict(Fraction)
    constants: dict[int, Fraction] = {}
    for row, terms in enumerate(merged.values()):
        for key, coefficient in terms.items.items():
            if key == (DELTA, ONE, ONE):
                constants[row] = coefficient
            else:
                out[row, units.setdefault(key, len(units))] += coefficient
    filters = tuple(dict.fromkeys(filter for filter, _, _ in units))
    column = {name: index for index, name in enumerate(inputs)}
    n_in, width = len(inputs), len(units)

    def affine(forms: Iterable[Form]) -> SparseMap:
        rows = list(enumerate(forms))
        entries = {(row, column[name]): weight for row, form in rows for name, weight in form.weights.items()}
        return SparseMap.of(n_in, width, entries | {(row, n_in): form.constant for row, form in rows})

    return Layer(
        conv=affine(conv for _, conv, _ in units),
        gate=affine(gate for _, _, gate in units),
        out=SparseMap.of(width, len(merged), out | {(row, width): value for row, value in constants.items()}),
        filters=filters,
        filter_index=np.array([filters.index(filter) for filter, _, _ in units], dtype=np.int64),
        outputs=tuple(merged),
    )


def merge_products(outputs: Mapping[str, Terms]) -> dict[str, Terms]:
    """The same outputs with fewer distinct terms; see :func:`compile_layer`."""
    uses: dict[Key, int] = defaultdict(int)
    for terms in outputs.values():
        for key in terms.items:
            uses[key] += 1
    products, linear = {}, {}
    for name, terms in outputs.items():
        is_linear = {key: key[2] == ONE for key in terms.items}
        linear[name] = {key: c for key, c in terms.items.items() if is_linear[key]}
        shared = Terms({key: c for key, c in terms.items.items() if not is_linear[key] and uses[key] > 1})
        own = {key: c for key, c in terms.items.items() if not is_linear[key] and uses[key] == 1}
        products[name] = shared + merge_common_factors(own)
    affine = represent_affine(linear)
    return {name: products[name] + affine[name] for name in outputs}


def merge_common_factors(own: dict[Key, Fraction]) -> Terms:
    """Greedily join products of one output that share a factor: the most frequent factor first."""
    remaining = dict(own)
    result = Terms()
    while remaining:
        holders: dict[tuple[Filter, str, Form], list[Key]] = defaultdict(list)
        for key in remaining:
            filter, conv, gate = key
            for side, form in (("conv", conv), ("gate", gate)):
                # With the identity filter the two factors are interchangeable.
                holders[filter, "either" if filter.is_identity else side, form].append(key)
        (filter, side, form), keys = max(holders.items(), key=lambda item: len(item[1]))
        keys = list(dict.fromkeys(keys))
        if len(keys) == 1:
            combined: Terms = result + Terms(remaining)
            return combined
        other = Form({})
        for key in keys:
            partner = key[2] if (key[1] == form and side != "gate") else key[1]
            other = other.plus(partner.scaled(remaining.pop(key)))
        result += Terms.product(filter, other, form) if side == "gate" else Terms.product(filter, form, other)
    return result


def represent_affine(linear: Mapping[str, dict[Key, Fraction]]) -> dict[str, Terms]:
    """Affine parts by filter: one hidden channel a distinct form, or one an input channel, whichever is fewer."""
    by_filter: dict[Filter, dict[str, Form]] = defaultdict(dict)
    for name, terms in linear.items():
        for (filter, conv, _), coefficient in terms.items():
            form = by_filter[filter].get(name, Form({}))
            by_filter[filter][name] = form.plus(conv.scaled(coefficient))
    result: dict[str, Terms] = {name: Terms() for name in linear}
    for filter, forms in by_filter.items():
        distinct = {
            Form(form.weights, form.constant if filter != DELTA else Fraction(0)).monic()[1] for form in forms.values()
        }
        single = {name for form in forms.values() for name in form.weights}
        constant = filter != DELTA and any(form.constant for form in forms.values())
        by_channel = len(single) + constant < len({form for form in distinct if form.weights or form.constant})
        for name, form in forms.items():
            if by_channel:
                for source, weight in form.weights.items():
                    result[name] += Terms.product(filter, channel(source), ONE, weight)
            else:
                result[name] += Terms.product(
                    filter, Form(form.weights, form.constant if filter != DELTA else Fraction(0)), ONE
                )
            if (by_channel or filter == DELTA) and form.constant:
                result[name] += Terms.product(filter, Form({}, form.constant), ONE)
    return result
