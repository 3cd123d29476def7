"""Lowered networks against the exact evaluator, where every float is an integer: whatever the rows, filters and constants."""

from __future__ import annotations

import itertools
import re
import warnings
from dataclasses import replace
from fractions import Fraction
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from constructions.algebra.filters import EXCLUSIVE, PREFIX, Filter
from constructions.algebra.terms import ONE, Form, as_terms, channel, convolve
from constructions.lowering import maps, module
from constructions.lowering.maps import Gather, LoweredMap, SparseProduct
from constructions.lowering.module import Limits, LoweredNetwork
from constructions.networks.builder import Builder
from constructions.networks.network import Network
from constructions.networks.tasks import Sequence

N = 4
X, Y = channel("x"), channel("y")
STEPS = Filter.of((1, 2), 3)
TAPS = Filter.of((0, 5, -1), 0)


def families(n: int) -> dict[str, Any]:
    """Products and sums of two channels, and of filtered, row-constant and constant ones, in the order of ``n``."""
    p, q = channel("p"), channel("q")
    choices = {
        "plain": ({"p": X * Y, "q": X - Y}, {"a": p * q, "b": q, "c": p + 2}),
        "totals": ({"p": convolve(PREFIX, X), "q": Y + 1}, {"a": p * p, "b": p * q, "c": q - 3, "d": p}),
        "totals last": ({"p": Y + 1, "q": convolve(PREFIX, X)}, {"c": p - 3, "a": q * q, "d": q, "b": p * q}),
        "filtered totals": (
            {"p": convolve(PREFIX, X), "q": convolve(PREFIX, Y)},
            {"a": convolve(STEPS, p), "b": convolve(TAPS, p) * q, "c": convolve(EXCLUSIVE, q + 1) + p},
        ),
        "constants": ({"p": as_terms(Form({}, Fraction(3))), "q": X}, {"a": p * q, "b": p, "c": convolve(STEPS, p)}),
        "constants alone": (
            {"p": as_terms(Form({}, Fraction(3))), "q": convolve(STEPS, as_terms(ONE))},
            {"a": p * q, "b": p - 4},
        ),
        "filters": (
            {"p": convolve(STEPS, X) * Y, "q": convolve(TAPS, Y)},
            {"b": convolve(TAPS, q) * p, "a": convolve(EXCLUSIVE, p), "c": convolve(PREFIX, q) + p * p},
        ),
        "mixed": (
            {"p": convolve(PREFIX, X), "q": convolve(PREFIX, Y), "r": X * Y},
            {"a": p * p + channel("r"), "b": convolve(STEPS, channel("r")) * p, "c": convolve(TAPS, q) * channel("r")},
        ),
        "mixed, turned": (
            {"p": convolve(PREFIX, X), "q": convolve(PREFIX, Y), "r": X * Y},
            {"a": p * p + channel("r"), "b": convolve(TAPS, channel("r")) * p, "c": convolve(STEPS, q) * channel("r")},
        ),
        "one through": ({"p": X * X, "q": convolve(TAPS, X) * Y}, {"a": q, "b": p}),
    }
    return choices[n] if isinstance(n, str) else choices


def built(name: str, mode: str, kept: tuple[int, ...], positions: bool) -> Network:
    builder = Builder(N, ["x", "y"], mode)
    if positions:
        where = builder.position("z", {1: 2, 3: -5})
        _x, _y = builder.layer(x=X + where, y=Y + 2 * where)
    first, second = families(name)
    builder.layer(**first)
    outputs = builder.layer(**second)

    class Kept(Sequence):
        readout_rows = kept

    return builder.build(list(outputs), partial(Kept, N, 2, n_inputs=3 if positions else 2))


def exact_floats(network: Network, u: np.ndarray) -> np.ndarray:
    return network.evaluate(u).astype(float)


@pytest.mark.parametrize("mode", ["causal", "circular"])
@pytest.mark.parametrize("name", list(families(0)))
def test_every_row_and_filter_is_exact(name, mode):
    u = np.random.default_rng(1).integers(-3, 4, (N, N, 2)).astype(object)
    for positions, sums in itertools.product((False, True), ("any", "fixed")):
        network = built(name, mode, (2,), positions)
        given = network.task.encode(u)
        expected = exact_floats(network, given)
        floats = torch.tensor(given.astype(float))
        for kept in (tuple(range(N)), (2,), (1, 3)):
            lowered = LoweredNetwork(network, kept, torch.float64, sums)
            assert np.array_equal(lowered(floats).numpy(), expected[:, list(kept)]), (kept, positions, sums)
        assert np.array_equal(lowered(floats[0]).numpy(), expected[0][[1, 3]])
        assert np.array_equal(lowered(floats[:3]).numpy(), expected[:3, [1, 3]])
        assert np.array_equal(module.lower(network, sums=sums)(floats).numpy(), expected[:, [2]])
        whole = module.lower(network, rows="all", sums=sums)
        assert np.array_equal(whole(floats).numpy(), expected)
        states = whole.states(floats)
        assert len(states) == network.depth
        varying, constant = states[-1]
        for output, (is_constant, place) in enumerate(whole.lowered_layers[-1].location):
            held = (constant if is_constant else varying)[place]
            assert np.array_equal(held.expand(N, N).T.numpy(), expected[:, :, output])


def test_sums_reach_every_map() -> None:
    network = built("filters", "causal", (0, 1, 2, 3), False)
    for sums in ("any", "fixed"):
        lowered = module.lower(network, rows="all", sums=sums)
        names = {type(part).__name__ for part in lowered.modules()}
        assert ("TreeMixRows" in names) == (sums == "fixed")
    with pytest.raises(ValueError, match=r"^rows must be 'readout' or 'all', got 'ALL'$"):
        module.lower(network, rows="ALL")
    with pytest.raises(ValueError, match=r"^sums must be 'any' or 'fixed', got 'FIXED'$"):
        module.lower(network, sums="FIXED")
    names = "torch.float64, torch.float32, torch.float16, torch.bfloat16"
    with pytest.raises(
        ValueError, match=rf"^a network is lowered to a floating-point dtype \({names}\), got torch.int8$"
    ):
        module.lower(network, dtype=torch.int8)


def test_positional_values_that_overflow_are_refused() -> None:
    network = built("plain", "causal", (0, 1, 2, 3), True)
    large = replace(network, positions={(1, 2): Fraction(10**5)})
    assert module.lower(large).positions is not None
    with pytest.raises(OverflowError, match=r"^a weight of about 10\^5 overflows torch.float16$"):
        module.lower(large, dtype=torch.float16)


def test_a_network_is_lowered_to_the_device_that_is_named() -> None:
    lowered = module.lower(built("mixed", "causal", (0, 1, 2, 3), True), device="meta")
    assert {buffer.device.type for buffer in lowered.buffers()} == {"meta"}


def test_a_batch_on_the_cpu_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    lowered = module.lower(built("plain", "causal", (0, 1, 2, 3), False))
    sizes: list[int] = []
    run = lowered._run
    monkeypatch.setattr(lowered, "_run", lambda u: (sizes.append(len(u)), run(u))[1])
    lowered.batch_chunk = 3
    lowered(torch.zeros(2, 4, N, 2, dtype=torch.float64))
    assert sizes == [3, 3, 2]


# --- maps -------------------------------------------------------------------------------------------------------------------


TABLE = {(0, 1): 2, (1, 0): -1, (1, 1): 3, (1, 2): 4, (3, 2): 1, (3, 0): 5}
ENTRIES = {key: Fraction(value) for key, value in TABLE.items()}


def matrix(n_out: int, n_in: int, entries: dict[tuple[int, int], Fraction]) -> torch.Tensor:
    rows = [[float(entries.get((row, column), 0)) for column in range(n_in)] for row in range(n_out)]
    return torch.tensor(rows, dtype=torch.float64)


def test_which_maps_are_dense_and_which_a_ladder(monkeypatch: pytest.MonkeyPatch) -> None:
    def kind(entries: dict[tuple[int, int], Fraction] = ENTRIES, **options: Any) -> str:
        made = LoweredMap(4, 3, entries, options.pop("dtype", torch.float64), **options)
        assert (made.matrix is None) == (made.kind != "dense")
        assert made.sparse is None or made.sparse.weights.dtype == made.dtype
        return made.kind

    permutation = {(row, row % 3): Fraction(1) for row in range(4)}
    assert (kind(), kind(selects=True), kind(sums="fixed")) == ("dense", "ladder", "ladder")
    assert (kind(permutation), kind({(0, 0): Fraction(1)})) == ("ladder", "dense")
    for tiny, wanted in ((12, "dense"), (11, "ladder")):
        monkeypatch.setattr(maps, "TINY_ELEMENTS", tiny)
        assert kind() == wanted
    monkeypatch.setattr(maps, "LADDER_STEPS", 2)
    for elements, density, wanted in ((12, 2.0, "dense"), (11, 2.0, "csr"), (0, 0.5, "dense"), (0, 0.51, "csr")):
        monkeypatch.setattr(maps, "DENSE_ELEMENTS", elements)
        monkeypatch.setattr(maps, "DENSE_DENSITY", density)
        assert kind() == wanted
    assert kind(dtype=torch.float16) == "ladder"
    assert kind(dtype=torch.float32) == "csr"


@pytest.mark.parametrize("form", ["ladder", "dense", "csr", "csr without a product"])
def test_maps_are_their_matrices(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {"ladder": (9, 0, 0, 2.0), "dense": (0, 99, 99, 0.0)}.get(form, (0, 0, 0, 2.0))
    for name, value in zip(("LADDER_STEPS", "TINY_ELEMENTS", "DENSE_ELEMENTS", "DENSE_DENSITY"), limits, strict=True):
        monkeypatch.setattr(maps, name, value)
    made = LoweredMap(4, 3, ENTRIES, torch.float64)
    assert made.kind == form.partition(" ")[0]
    if form.endswith("product"):

        def refuse(self: SparseProduct) -> torch.Tensor:
            raise RuntimeError("no compressed rows here")

        monkeypatch.setattr(SparseProduct, "_matrix", refuse)
    x = torch.tensor([[1.0, 2, -3, 4, 0], [5, 6, 7, -8, 1], [0, 1, 2, 3, 5]], dtype=torch.float64)
    y = torch.arange(20, dtype=torch.float64).reshape(4, 5)
    expected = matrix(4, 3, ENTRIES) @ x
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(made(x), expected)
        assert torch.equal(made.add_to(y.clone(), x), y + expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_compressed_rows_keep_the_format_and_the_last_row(dtype: torch.dtype) -> None:
    entries = {(0, 1): Fraction(2), (1, 0): Fraction(-3)}  # row 2 holds nothing
    y = SparseProduct(3, 2, entries, dtype)(torch.tensor([[1.0], [5.0]], dtype=dtype))
    assert y.dtype == dtype
    assert y.tolist() == [[10], [-3], [0]]


def test_the_largest_weight_is_the_one_that_overflows() -> None:
    with pytest.raises(OverflowError, match=r"^a weight of about 10\^400 overflows torch.float64$"):
        maps.rounded([Fraction(1), Fraction(-(10**400)), Fraction(2)], torch.float64)
    with pytest.raises(OverflowError, match=r"^a weight of about 10\^5 overflows torch.float16$"):
        maps.rounded([Fraction(1), Fraction(-(10**5))], torch.float16)


def test_gathered_rows_that_follow_each_other_are_a_slice() -> None:
    one = Fraction(1)
    together = Gather([(1, 0, one), (2, 1, one)], torch.float64)
    assert (together.where, together.weights) == (slice(1, 3), None)
    apart = Gather([(0, 2, one), (2, 0, Fraction(3))], torch.float64)
    assert apart.where is None
    assert apart.weights is not None
    x, y = torch.tensor([[1.0], [2.0], [4.0]]).double(), torch.ones(3, 1).double()
    together.add_to(y, x)
    apart.add_to(y, x)
    assert y.tolist() == [[5], [2], [6]]


# --- the ranges of digits ---------------------------------------------------------------------------------------------------


def limits() -> Limits:
    """Outputs a, b, c, d: a and d vary, up to 2 and anywhere; c and b are row-constant, up to 3 and 5."""
    layer = SimpleNamespace(outputs=("a", "b[2]", "c@x[1]", "d"))
    network: Any = SimpleNamespace(limits=(None, np.array([2.0, 5.0, 3.0, np.inf])), layers=(layer, layer))
    return Limits(network, 1, ((False, 0), (True, 1), (True, 0), (False, 1)), torch.float64)


def states(a: float, b: float, c: float, d: float) -> tuple[torch.Tensor, torch.Tensor]:
    varying = torch.zeros(2, N, 3, dtype=torch.float64)
    constant = torch.zeros(2, 1, 3, dtype=torch.float64)
    varying[0, 2, 1], varying[1, 0, 0], constant[0, 0, 2], constant[1, 0, 1] = a, d, c, b
    return varying, constant


def test_limits_lie_where_the_outputs_do() -> None:
    found = limits()
    assert found.names == {False: ["a", "d"], True: ["c@x[1]", "b[2]"]}
    assert found.varying is not None
    assert found.constant is not None
    assert found.varying.flatten().tolist() == [2, np.inf]
    assert found.constant.flatten().tolist() == [3, 5]
    within = states(-2, 5, -3, 1e300)
    assert [bool(flag) for flag in found.outside(*within)] == [False, False]
    assert found.describe(*within) is None
    assert found.describe(None, None) is None
    constant_alone = found.describe(None, states(0, 6, 0, 0)[1])
    assert constant_alone is not None
    assert constant_alone.startswith("the leading digit b[2] of batch entry 1 is 6,")
    assert found.outside(None, None) == []


@pytest.mark.parametrize(
    ("values", "flags", "name", "family", "entry", "value", "limit"),
    [
        ((2.5, 0, 0, 0), [True, False], "a", "a", 1, "2.5", "2"),
        ((0, -5.5, 0, 0), [False, True], "b[2]", "b", 1, "-5.5", "5"),
        ((0, 0, 4, 0), [False, True], "c@x[1]", "c", 2, "4", "3"),
        ((float("nan"), 9, 0, 0), [True, True], "a", "a", 1, "nan", "2"),
    ],
)
def test_what_leaves_its_range_is_named(values, flags, name, family, entry, value, limit) -> None:
    found = limits()
    pair = states(*values)
    assert [bool(flag) for flag in found.outside(*pair)] == flags
    assert found.describe(*pair) == (
        f"the leading digit {name} of batch entry {entry} is {value}, and the digits are exact up to {limit} only: scale the "
        f"data, or slice with a larger bounds={{'{family}': …}}"
    )


def test_layers_without_limits_have_none() -> None:
    layer = SimpleNamespace(outputs=("a", "b"))
    network: Any = SimpleNamespace(limits=(None, np.array([1.0, np.inf])), layers=(layer, layer))
    location = ((False, 0), (False, 1))
    free, bound = module.limits_of(network, [location, location], torch.float64)
    assert (free.varying, free.constant, bound.constant) == (None, None, None)
    assert bound.varying is not None
    assert bound.varying.flatten().tolist() == [1, np.inf]
    assert module.limits_of(SimpleNamespace(limits=(None, None)), [location, location], torch.float64) == []  # type: ignore[arg-type]


def limited(kept: tuple[int, ...], positions: bool = False, mode: str = "circular", **changes: Any) -> Network:
    """Circular totals p and the rest of two layers, with the second's outputs a = p², b = p·q, c = q − 3, d = p limited."""
    network = built("totals", mode, kept, positions)
    largest = {"a": 100.0, "b": np.inf, "c": 2.1, "d": 1e9}
    last = np.array([largest[name] for name in network.outputs])
    return replace(network, limits=(*[None] * (network.depth - 1), last), **changes)


def test_every_layer_refuses_by_its_own_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first layer's p is 11, beyond its limit of 10; the second is within its own."""
    network = limited((3,))
    first = np.array([10.0 if name == "p" else np.inf for name in network.layers[0].outputs])
    last = np.array([1e9] * len(network.outputs))
    model = replace(network, limits=(first, last)).to_torch()
    u = torch.zeros(1, N, 2, dtype=torch.float64)
    u[0, 0, 0] = 11
    with pytest.raises(OverflowError, match=r"^layer 1: the leading digit p of batch entry 0 is 11, "):
        model(u)
    assert model(u / 11).shape == (1, 1, 4)
    monkeypatch.setattr(module, "is_exporting", lambda: True)
    words = (
        "a sliced network refuses digits that leave their range, and an exported program cannot: export the network that was "
        "sliced, or run this one through torch.compile"
    )
    with pytest.raises(TypeError, match=f"^{re.escape(words)}$"):
        model(u / 11)


def test_a_causal_network_refuses_by_the_rows_that_it_holds() -> None:
    u = torch.zeros(2, N, 2, dtype=torch.float64)
    u[1, 0, 0], u[1, 1, 0], u[1, 2, 0] = 6, 5, 100  # 11 at row 1; row 2 is not held
    model = limited((1,), mode="causal").to_torch()
    assert model.first_rows == [0, 1]
    with pytest.raises(
        OverflowError, match=r"the leading digit a of batch entry 1 is 121, and the digits are exact up to 100"
    ):
        model(u)
    u[1, 0, 0] = 4
    assert model(u).shape[:2] == (2, 1)


@pytest.mark.parametrize("positions", [False, True])
@pytest.mark.parametrize("kept", [(0, 1, 2, 3), (3,), (1,)])
def test_a_network_refuses_what_leaves_its_limits(kept: tuple[int, ...], positions: bool) -> None:
    """x sums to 10 within, to 11 beyond; positions add 2 − 5 to each sum, whence 13 and 14 do. c is 4 below y at a row."""
    network = limited(kept, positions)
    model = network.to_torch()
    more = 3.0 if positions else 0.0
    within = torch.zeros(2, N, 2, dtype=torch.float64)
    within[:, 1, 0], within[:, 2, 0], within[:, :, 1] = 6 + more, 4, 2
    if positions:
        within[:, 1, 1], within[:, 3, 1] = -2, 12
    assert np.array_equal(
        model(network.task.encode(within)).numpy(),
        exact_floats(network, network.task.encode(within.numpy().astype(int).astype(object)))[:, list(kept)],
    )
    beyond = within.clone()
    beyond[1, 2, 0] += 1
    message = (
        f"layer {network.depth}: the leading digit a of batch entry 1 is 121, and the digits are exact up to 100 only: scale the "
        "data, or slice with a larger bounds={'a': …}"
    )
    with pytest.raises(OverflowError, match=f"^{re.escape(message)}$"):
        model(network.task.encode(beyond))
    with pytest.raises(
        OverflowError,
        match=r"^a leading digit leaves the range in which digits are exact: run the model as it is to see which$",
    ):
        torch.func.vmap(model)(network.task.encode(beyond)[:, None])
    same = torch.func.vmap(model)(network.task.encode(within)[:, None])[:, 0]
    assert torch.equal(same, model(network.task.encode(within)))
    for row in kept:
        low = within.clone()
        low[0, row, 1] -= 10
        with pytest.raises(OverflowError, match="the leading digit c of batch entry 0 is"):
            model(network.task.encode(low))


def test_limits_are_those_of_the_format() -> None:
    for dtype in (torch.float64, torch.float32):
        found = limited((0, 1)).to_torch(dtype=dtype).limits[1]
        assert isinstance(found, Limits)
        assert found.varying is not None
        assert found.varying.dtype == dtype
        assert torch.tensor(2.1, dtype=dtype).item() in found.varying.flatten().tolist()


def test_a_format_that_is_too_short_for_the_digits_is_refused() -> None:
    """A format of 24 bits has eps 2^-23."""
    network = limited((0, 1, 2, 3), precision=24)
    assert network.to_torch(dtype=torch.float32).dtype == torch.float32
    message = (
        "this network's digits need a format of 25 bits, and torch.float32 has fewer: slice the original for that format, "
        "C.sliced(..., dtype=...)"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        replace(network, precision=25).to_torch(dtype=torch.float32)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_positions_are_in_the_format(dtype: torch.dtype) -> None:
    model = built("plain", "causal", (1, 3), True).to_torch(dtype=dtype)
    assert model.positions is not None
    assert model.positions.dtype == dtype
    assert model.positions.squeeze(2).tolist() == [[0] * 2, [0] * 2, [2, -5]]
