"""A network as a list of integers: the data of a certificate, and nothing but data.

The list is read by ``coq/Decode.v``. Only integers are written, so that no name or text of a file can reach Coq. What is
not understood here (an unknown layout, a name of another family) becomes a number that the decoder refuses; the
verdict is the kernel's.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Sequence
from fractions import Fraction

from constructions.algebra.filters import Filter
from constructions.networks.construction import ALIASES
from constructions.networks.layer import Layer, SparseMap, layer_key
from constructions.networks.network import Network
from constructions.networks.parameters import PrimitiveParameters, recorded

FAMILIES = (
    "", "a", "b", "x", "aa", "ba", "P", "q", "W", "v", "G", "c", "previous", "r", "ra", "R", "M", "Y", "y", "is_start",
    "at_target", "u",
)  # fmt: skip
"""Families of channels, by the code that ``coq/NormalForm.v`` gives them."""
UNKNOWN = 2**20
"""A choice that the decoder does not have."""
ALGORITHMS = ("gradient_descent", "heavy_ball", "chebyshev", "newton", "read", "linear", "multiply")
INDICES = {
    0: ("b", "r", "is_start", "at_target"),
    1: ("a", "x", "ba", "q", "v", "c", "previous", "ra", "y", "u"),
    2: ("aa", "P", "W", "G", "R", "M", "Y"),
}
"""How many indices the channels of a family have: each channel has one spelling, so that no other name stands for it."""
INDEX = r"(0|[1-9][0-9]{0,5})"
_NAMES = {
    family: re.compile(family + (rf"\[{','.join([INDEX] * count)}\]" if count else "") + r"\Z")
    for count, families in INDICES.items()
    for family in families
}


class NotCovered(ValueError):
    """The library has no theorem on this kind of network."""


def stream(network: Network) -> list[int]:
    """``network`` as ``Decode.a_file`` reads it; :class:`NotCovered` for an algorithm of which the library knows nothing."""
    claim = algorithm(network)
    stored: list[Layer] = []
    places: dict[Hashable, int] = {}
    order = []
    by_identity: dict[int, int] = {}
    for layer in network.layers:
        if id(layer) not in by_identity:
            place = by_identity[id(layer)] = places.setdefault(layer_key(layer), len(stored))
            if place == len(stored):
                stored.append(layer)
        order.append(by_identity[id(layer)])
    positions = [[row, column, *rational(weight)] for (row, column), weight in sorted(network.positions.items())]
    return [
        *claim, network.n_rows, chosen(network.mode, ("causal", "circular")),
        *many(map(_name, network.inputs)), *many(positions), *many(map(_layer, stored)), *many([p] for p in order),
        *many([column] for column in network.task.columns),
    ]  # fmt: skip


def algorithm(network: Network) -> list[int]:
    """The claim: kind and parameters."""
    name = ALIASES.get(network.algorithm, network.algorithm)
    if name not in ALGORITHMS:
        raise NotCovered(
            f"the Coq library has no theorem on networks of algorithm {name!r}; it has theorems on {', '.join(ALGORITHMS)}"
        )
    kind = [ALGORITHMS.index(name)]

    def count(key: str) -> int:
        value = network.parameters.get(key, -1)
        return value if isinstance(value, int) else -1

    def ratio(key: str) -> list[int]:
        return rational(network.parameters.get(key))

    def choice(key: str, options: Sequence[str], default: str) -> int:
        return chosen(network.parameters.get(key, default), options)

    layout = choice("layout", "AES", "A")
    sizes = [count("n_points"), count("n_dims")]
    if name == "gradient_descent":
        form = choice("form", ("residual", "gram", "doubling", "tight"), "doubling")
        return [*kind, form, layout, *sizes, count("n_steps"), *ratio("step_size")]
    if name == "heavy_ball":
        return [*kind, layout, *sizes, count("n_steps"), *ratio("step_size"), *ratio("momentum")]
    if name == "chebyshev":
        return [*kind, layout, *sizes, count("n_steps"), *ratio("lower"), *ratio("upper")]
    if name == "newton":
        form = choice("form", ("direct", "residual", "doubling"), "doubling")
        refinements = count("refinements") if "refinements" in network.parameters else 0
        return [*kind, form, *sizes, count("n_iters"), *ratio("alpha"), refinements]
    if name == "read":
        keys = ("n_rows", "n_channels", "source", "target", "start", "stop")
        return [*kind, *map(count, keys), choice("mode", ("causal", "circular"), "causal")]
    if name == "linear":
        given = recorded(network.parameters, PrimitiveParameters)
        weight, bias = given.get("weight", []), given.get("bias")
        n_out = len(weight[0]) if weight else 0
        rows = [many(map(rational, row)) for row in weight]
        return [*kind, count("n_rows"), *many(rows), *many(map(rational, bias if bias is not None else [0] * n_out))]
    return [*kind, *map(count, ("n_rows", "n_channels", "left", "right", "target", "length"))]


def chosen(value: object, options: Sequence[object]) -> int:
    return list(options).index(value) if value in list(options) else UNKNOWN


def rational(value: object) -> list[int]:
    try:
        fraction = Fraction(value)  # type: ignore[call-overload]  # what it does not take, it refuses
    except (TypeError, ValueError, ZeroDivisionError):
        return [0, 0]
    return [fraction.numerator, fraction.denominator]


def many(items: Iterable[Sequence[int]]) -> list[int]:
    """How many, then each."""
    items = list(items)
    return [len(items), *(number for item in items for number in item)]


def _name(name: str) -> list[int]:
    family = name.partition("[")[0]
    match = _NAMES[family].match(name) if family in _NAMES else None
    if match is None:
        return [0, 0, 0]
    return [FAMILIES.index(family), *[*map(int, match.groups()), 0, 0][:2]]


def _layer(layer: Layer) -> list[int]:
    conv, gate, out = (forms(part) for part in (layer.conv, layer.gate, layer.out))
    units = [[index, *c, *g] for index, c, g in zip(layer.filter_index.tolist(), conv, gate, strict=True)]
    return [*many(map(_name, layer.outputs)), *many(map(_filter, layer.filters)), *many(units), *many(out)]


def _filter(filter: Filter) -> list[int]:
    return [*many(map(rational, filter.head)), *rational(filter.tail)]


def forms(sparse: SparseMap) -> list[list[int]]:
    """Each row of an affine map: its weights, then its constant."""
    weights: list[list[list[int]]] = [[] for _ in range(sparse.n_out)]
    constants = [[0, 1] for _ in range(sparse.n_out)]
    for row, column, weight in zip(sparse.rows.tolist(), sparse.columns.tolist(), sparse.weights, strict=True):
        if column == sparse.n_in:
            constants[row] = rational(weight)
        else:
            weights[row].append([column, *rational(weight)])
    return [[*many(entries), *constant] for entries, constant in zip(weights, constants, strict=True)]
