"""Sliced arithmetic: exact networks that carry more digits than their number format (new).

:func:`sliced` turns a network into another that equals it over Q and holds every channel as K digits of β bits, each a channel of
its own. In a format of p bits all sums of products of digits are exact but those of the last class, because they are
integers below 2^p in units of their class; carries are taken by adding and subtracting a constant
(:mod:`constructions.slicing.stage`). A float32 network then computes with about β(K−2) + p bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np

from constructions.algebra.rationals import as_count
from constructions.networks.base import ExactNetwork
from constructions.networks.construction import construction, rebuild
from constructions.networks.layer import SparseMap
from constructions.networks.network import Network
from constructions.networks.parameters import Count, Declaration
from constructions.slicing.digits import BudgetError, Grid
from constructions.slicing.magnitudes import Bounds, floats_of, resolve
from constructions.slicing.slicer import Output, SlicedLayers, read_layers, slice_layers
from constructions.slicing.task import SlicedTask

FORMATS = {"float32": (24, -126), "float64": (53, -1022)}
"""Precision in bits and exponent of the smallest normal number, by dtype."""
FLOAT32_BITS = 12
"""Slices of at most so many bits are for float32, unless ``dtype`` says otherwise."""
MAX_SLICES = 64


@construction(records=True)
def sliced(
    network: Annotated[
        Network | Mapping[str, object],
        Declaration('the original, {"algorithm": …, "parameters": {…}} where it is data'),
    ],
    *,
    slices: Annotated[int, Count("digits of a channel", minimum=2)],
    slice_bits: Annotated[int | None, Declaration("bits of a digit")] = None,
    bounds: Annotated[Bounds | None, Declaration("how large channels become, by name")] = None,
    dtype: Annotated[str | None, Declaration("the format to run in, float32 or float64")] = None,
    floats: Annotated[Sequence[str] | None, Declaration("families of channels carried as one float each")] = None,
) -> Network:
    """A network equal to ``network`` over Q that carries ``slices`` digits of ``slice_bits`` bits a channel in floats.

    ``slice_bits`` is the largest that fits unless given. ``bounds`` says how large channels become
    (:mod:`constructions.slicing.magnitudes`): magnitudes by channel or family name, or sample inputs. ``dtype`` is the
    format to run in, "float32" or "float64"; by default float32 for slices of up to 12 bits, float64 otherwise. ``decode``
    gives exact ``Fraction`` sums of the digits for floats, a tensor with ``as_tensor=True``. ``floats`` names families of
    channels that need no digits: they are computed as one float each, and cut into digits where digits read them. By
    default these are the inverse and the corrections of :func:`constructions.gram_refinement`, and none elsewhere.
    Depth 2(L−1)+1, and two more for each layer with a weight that is no small dyadic number beside a product; width about
    K²/2 times the number of products. Source: new. Raises ``ValueError`` for numbers below two, and where class sums cannot
    be exact.
    """
    if slices > MAX_SLICES:
        raise ValueError(f"slices must be at most {MAX_SLICES}, got {slices}")
    original, claimed = _original(network)
    if dtype is None:
        dtype = "float32" if slice_bits is not None and slice_bits <= FLOAT32_BITS else "float64"
    dtype = str(dtype).removeprefix("torch.")
    if dtype not in FORMATS:
        raise ValueError(f"dtype must be one of {', '.join(FORMATS)}, got {dtype!r}")
    read = read_layers(original)
    exponents = resolve(original, bounds, read)
    plain = tuple(floats_of(original) if floats is None else floats)
    grid, made = _fit(original, slices, slice_bits, dtype, exponents, plain, read)
    task = SlicedTask(
        original.task, original.n_rows, original.inputs, tuple(exponents[0]), made.digits, len(made.inputs), made.groups
    )
    parameters = {
        "network": {"algorithm": original.algorithm, "parameters": original.parameters}, "slices": slices,
        "slice_bits": grid.slice_bits, "bounds": exponents, "dtype": dtype,
        **({} if floats is None else {"floats": list(floats)}),
    }  # fmt: skip
    return Network(
        n_rows=original.n_rows, mode=original.mode, inputs=made.inputs, layers=made.layers, task=task,
        algorithm="sliced" if claimed else "unnamed", parameters=parameters if claimed else {},
        positions=made.positions, limits=made.limits, precision=grid.precision,
    )  # fmt: skip


def _original(network: ExactNetwork | Mapping[str, object]) -> tuple[Network, bool]:
    """The network to slice, and whether it is the one that its parameters build (else the result claims nothing)."""
    if isinstance(network, Mapping):
        if network.get("algorithm") == "sliced":
            raise ValueError("a sliced network is not sliced again: slice the original with more slices")
        parameters = network.get("parameters", {})
        if not isinstance(parameters, Mapping):
            raise ValueError(f"the parameters of the original must be a dictionary, got {parameters!r:.200}")
        network, claimed = rebuild(str(network.get("algorithm")), parameters), True
    else:
        claimed = False
    if not isinstance(network, Network):
        raise TypeError(f"sliced takes an exact BaseConv network, got {type(network).__name__}")
    if network.algorithm == "sliced":
        raise ValueError("this network is sliced already: slice the original with more slices")
    if claimed:
        return network, True
    try:
        rebuilt = rebuild(network.algorithm, network.parameters)
        return network, isinstance(rebuilt, Network) and same_weights(network, rebuilt)
    except (ValueError, TypeError):
        return network, False


def same_weights(left: Network, right: Network) -> bool:
    """Do two networks hold the same numbers?"""

    def same(a: SparseMap, b: SparseMap) -> bool:
        parts = ("rows", "columns", "weights")
        return (a.n_in, a.n_out) == (b.n_in, b.n_out) and all(
            np.array_equal(getattr(a, part), getattr(b, part)) for part in parts
        )

    if (left.n_rows, left.mode, left.inputs, left.positions) != (
        right.n_rows,
        right.mode,
        right.inputs,
        right.positions,
    ):
        return False
    if left.depth != right.depth or left.task != right.task:
        return False
    pairs = {(id(a), id(b)): (a, b) for a, b in zip(left.layers, right.layers, strict=True)}.values()
    return all(
        a.filters == b.filters
        and a.outputs == b.outputs
        and np.array_equal(a.filter_index, b.filter_index)
        and all(same(getattr(a, part), getattr(b, part)) for part in ("conv", "gate", "out"))
        for a, b in pairs
    )


def _fit(
    network: Network,
    slices: int,
    slice_bits: int | None,
    dtype: str,
    exponents: list[list[int]],
    floats: tuple[str, ...],
    read: Mapping[int, list[Output]],
) -> tuple[Grid, SlicedLayers]:
    """The layers with the given bits a slice, or with the most that fit."""
    precision, smallest = FORMATS[dtype]
    if slice_bits is not None:
        bits = as_count("slice_bits", slice_bits, minimum=2)
        if 2 * bits >= precision:
            raise ValueError(
                f"slice_bits must be below {precision // 2} in {dtype}, whose {precision} bits hold a product of two "
                f"digits, got {bits}"
            )
        grid = Grid(slices, bits, precision, smallest)
        return grid, slice_layers(network, grid, exponents, floats=floats, read=read)
    largest = (precision - 1) // 2
    for may_split, most, least in ((False, largest, largest - 4), (True, largest, 4)):
        for bits in range(most, least - 1, -1):
            grid = Grid(slices, bits, precision, smallest)
            try:
                return grid, slice_layers(network, grid, exponents, may_split, floats, read)
            except BudgetError as error:
                reason = error
    raise BudgetError(f"no number of bits a slice makes all class sums exact in {dtype}: {reason}")
