"""From terms to weights: affine parts, filtered constants, shared products, channels that nobody reads."""

from __future__ import annotations

from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from constructions.algebra.filters import DELTA, EXCLUSIVE, MIDPOINT, PREFIX, Filter, shift
from constructions.algebra.terms import ONE, Form, Terms, as_terms, channel, convolve
from constructions.networks.builder import (
    Builder,
    compile_layer,
    merge_common_factors,
    merge_products,
    represent_affine,
)
from constructions.networks.tasks import Sequence

FILTERS = [DELTA, PREFIX, EXCLUSIVE, MIDPOINT, shift(1), Filter.of((1, 2), 3)]
N_ROWS = 4
numbers = st.fractions(min_value=-2, max_value=2, max_denominator=3)
forms = st.builds(
    lambda weights, constant: Form(dict(zip("xyz", weights, strict=True)), constant),
    st.tuples(numbers, numbers, numbers), numbers,
)  # fmt: skip
terms = st.lists(st.tuples(st.sampled_from(FILTERS), forms, forms, numbers), min_size=1, max_size=4)


def value(total: Terms, u: np.ndarray, mode: str) -> np.ndarray:
    """A sum of terms at every row, from its definition: u (rows, 3 channels)."""
    rows = dict(zip("xyz", u.T, strict=True))

    def form(f: Form) -> np.ndarray:
        start = np.full(len(u), Fraction(f.constant), dtype=object)
        return sum((weight * rows[name] for name, weight in f.weights.items()), start)

    parts = [
        c * (filter.matrix(len(u), mode) @ form(conv)) * form(gate) for (filter, conv, gate), c in total.items.items()
    ]
    return sum(parts, np.full(len(u), Fraction(0), dtype=object))


@pytest.mark.parametrize("mode", ["causal", "circular"])
@given(st.lists(terms, min_size=1, max_size=3), st.integers(0, 10**6))
def test_a_layer_computes_its_terms(mode, listed, seed):
    """Filtered constants among them, which a filter turns into constants that depend on the row."""
    outputs = [sum((Terms.product(*term) for term in entry), Terms()) for entry in listed]
    builder = Builder(N_ROWS, ["x", "y", "z"], mode)
    read = builder.layer(out=np.fromiter(outputs, object, len(outputs)))
    network = builder.build(read, partial(Sequence, N_ROWS, 3, n_inputs=3))
    u = np.random.default_rng(seed).integers(-3, 4, (N_ROWS, 3)).astype(object)
    result = network.evaluate(u)[:, list(network.task.columns)]
    for column, total in enumerate(outputs):
        assert (result[:, column] == value(total, u, mode)).all()


@pytest.mark.parametrize("filter", FILTERS[1:], ids=lambda filter: str(filter).replace("…", "and so on"))
@pytest.mark.parametrize("n_outputs", [1, 4])
def test_filtered_constants_are_kept(filter, n_outputs):
    """Represented by forms (one output) or by single channels (more outputs than channels)."""
    entries = [as_terms((index + 1) * channel("x") + index + 2) for index in range(n_outputs)]
    outputs = {f"out[{index}]": convolve(filter, entry) for index, entry in enumerate(entries)}
    linear = {name: dict(total.items) for name, total in outputs.items()}
    u = np.arange(12).reshape(4, 3).astype(object)
    for represented in (represent_affine(linear), merge_products(outputs)):
        for name, total in outputs.items():
            assert (value(represented[name], u, "causal") == value(total, u, "causal")).all()
            assert value(total, u, "causal").any()


def test_equal_outputs_share_a_channel_and_unread_ones_are_dropped():
    builder = Builder(2, ["x", "y"])
    x, y = channel("x"), channel("y")
    first, second, third = builder.layer(a=x * y, b=y * x, c=x * x)
    assert first == second != third
    out = builder.layer(out=first + second)
    network = builder.build([out], partial(Sequence, 2, 2, n_inputs=2))
    assert network.layers[0].outputs == ("a",)
    assert network.width == 1


def test_errors_say_what_is_missing():
    with pytest.raises(ValueError, match="at least one row"):
        Builder(0, ["x"])
    with pytest.raises(ValueError, match=r"layer 1 reads channels that do not exist: \['w'\]"):
        Builder(1, ["x"]).layer(out=channel("w") * 1)


def test_a_layer_that_repeats_is_written_once():
    builder = Builder(1, ["x", "y"])
    x, _ = builder.iterate(50, lambda x, y: {"x": x * y + 1, "y": y - x}, x=channel("x"), y=channel("y"))
    network = builder.build([x], partial(Sequence, 1, 2, n_inputs=2))
    assert network.depth == 50
    assert len({id(layer) for layer in network.layers}) <= 2


def test_a_single_family_is_iterated_as_it_is_written():
    builder = Builder(1, ["x"])
    x = builder.iterate(3, lambda x: {"x": x * x}, x=channel("x"))
    assert isinstance(x, Form)
    network = builder.build([x], partial(Sequence, 1, 1, n_inputs=1))
    assert network.evaluate(np.array([[3]], dtype=object)).tolist() == [[3**8]]


def test_a_step_that_leaves_a_family_out_is_refused_in_words():
    with pytest.raises(ValueError, match="a step from x, y must return just these, got x"):
        Builder(1, ["x", "y"]).iterate(2, lambda x, y: {"x": x * y}, x=channel("x"), y=channel("y"))


X, Y, Z = (channel(name) for name in "xyz")


def one_row(builder: Builder, outputs: list[Form], *values: int) -> list[Fraction]:
    """The outputs of a network of one row at these inputs."""
    network = builder.build(outputs, partial(Sequence, 1, len(values), n_inputs=len(values)))
    result = network.evaluate(np.array([values], dtype=object))[0]
    return [result[column] for column in network.task.columns]


def test_families_come_back_in_their_order():
    builder = Builder(1, ["x", "y"])
    pair = builder.layer(a=X + 1, b=np.array([X * Y, 2 * Y], dtype=object))
    assert isinstance(pair, tuple)
    assert pair[0] == channel("a")
    assert pair[1].tolist() == [channel("b[0]"), channel("b[1]")]
    assert one_row(builder, [pair[1][1], pair[0], pair[1][0]], 5, 7) == [14, 6, 35]


@pytest.mark.parametrize("settles", [True, False])
@pytest.mark.parametrize("times", [0, 1, 2, 3, 5])
def test_steps_of_several_layers_are_repeated(times, settles):
    """x, y to x + y², x by two layers; channels by one name settle, channels of a name a step never do."""
    builder = Builder(1, ["x", "y"])
    steps = 0

    def step(x: Form, y: Form) -> tuple[Form, Form]:
        nonlocal steps
        steps += 1
        name = "" if settles else f"{steps}."
        held, square = builder.layer(**{f"{name}held": x, f"{name}square": y * y})
        return builder.layer(**{f"{name}x": held + square, f"{name}y": held})

    x, y = builder.repeat(times, step, X, Y)
    assert steps == (min(times, 1) if settles else times)
    assert len(builder.layers) == 2 * times
    wanted = [2, 3]
    for _ in range(times):
        wanted = [wanted[0] + wanted[1] ** 2, wanted[0]]
    if times:
        assert one_row(builder, [x, y], 2, 3) == wanted
    else:
        assert (x, y) == (X, Y)


def test_a_repeated_step_of_arrays_settles_where_all_of_it_does():
    builder = Builder(1, ["x", "y"])

    def step(state: np.ndarray) -> tuple[np.ndarray]:
        return (builder.layer(s=np.array([state[1], state[0] + state[1]], dtype=object)),)

    (state,) = builder.repeat(6, step, np.array([X, Y], dtype=object))
    assert len(builder.layers) == 6
    assert builder.layers[1] is builder.layers[5]
    assert builder.layers[0] is not builder.layers[1]
    assert one_row(builder, list(state), 0, 1) == [8, 13]


def test_equal_layers_written_apart_are_one():
    builder = Builder(1, ["x"])
    for _ in range(3):
        x = builder.layer(x=X * X)
    network = builder.build([x], partial(Sequence, 1, 1, n_inputs=1))
    assert network.layers[0] is network.layers[1] is network.layers[2]


@pytest.mark.parametrize("filter", [DELTA, PREFIX])
def test_common_factors_are_taken_out_on_their_side(filter):
    """By hand: 2x⊙y + 3x⊙z = x⊙(2y + 3z); the other side; and x⊙y + y⊙z, which joins for the identity alone."""
    y2z3 = Form({"y": Fraction(2), "z": Fraction(3)})
    x, y, z = X, Y, Z
    left = merge_common_factors({(filter, x, y): Fraction(2), (filter, x, z): Fraction(3)})
    assert left.items == Terms.product(filter, x, y2z3).items
    right = merge_common_factors({(filter, y, x): Fraction(2), (filter, z, x): Fraction(3)})
    assert right.items == Terms.product(filter, y2z3, x).items
    crossed = {(filter, x, y): Fraction(2), (filter, z, x): Fraction(3)}
    joined = Terms.product(filter, x, y2z3) if filter is DELTA else Terms(crossed)
    assert merge_common_factors(crossed).items == joined.items
    apart = {(filter, x, x): Fraction(1), (filter, y, y): Fraction(-2), (filter, y, z): Fraction(5)}
    y2z5 = Form({"y": Fraction(-2), "z": Fraction(5)})
    assert merge_common_factors(apart).items == (Terms.product(filter, x, x) + Terms.product(filter, y, y2z5)).items
    assert merge_common_factors({}).items == {}


W = channel("w")


def test_every_round_of_common_factors_is_kept():
    """x(2y + 3z) and w(5y + 7v) from four products, and one that shares nothing."""
    v = channel("v")
    own = {
        (DELTA, X, Y): Fraction(2),
        (DELTA, X, Z): Fraction(3),
        (DELTA, Y, W): Fraction(5),
        (DELTA, v, W): Fraction(7),
    }
    y2z3, y5v7 = Form({"y": Fraction(2), "z": Fraction(3)}), Form({"y": Fraction(5), "v": Fraction(7)})
    expected = Terms.product(DELTA, X, y2z3) + Terms.product(DELTA, y5v7, W)
    assert merge_common_factors(own).items == expected.items
    alone = {(DELTA, channel("t"), channel("t")): Fraction(-1)}
    assert merge_common_factors(own | alone).items == (expected + Terms(alone)).items


def test_products_of_several_outputs_are_shared_and_not_merged():
    outputs = {"a": X * Y + 2 * (X * Z), "b": 3 * (X * Y) + Z * W, "c": Z * Z + X * Z + X * W}
    merged = merge_products(outputs)
    assert {name: terms.items for name, terms in merged.items()} == {name: t.items for name, t in outputs.items()}
    builder = Builder(1, ["x", "y", "z", "w"])
    read = builder.layer(**outputs)
    assert one_row(builder, list(read), 2, 3, 5, 7) == [6 + 20, 18 + 35, 25 + 10 + 14]
    assert builder.build(list(read), partial(Sequence, 1, 4, n_inputs=4)).width == 5  # xy, xz, zw, zz, xw


def test_products_of_different_filters_stay_apart():
    own = {(DELTA, X, Y): Fraction(1), (PREFIX, X, Z): Fraction(1), (EXCLUSIVE, X, Z): Fraction(1)}
    assert merge_common_factors(own).items == own


def test_the_fewest_hidden_channels_represent_affine_parts():
    """x + y + c for three c: one form; x + y, x − y: as many forms as channels, forms; three of two channels: channels."""
    same = represent_affine({str(c): dict(as_terms(X + Y + c).items) for c in (1, 2, 3)})
    assert {key for terms in same.values() for key in terms.items} == {(DELTA, X + Y, ONE), (DELTA, ONE, ONE)}
    tie = represent_affine({"p": dict(as_terms(X + Y).items), "m": dict(as_terms(X - Y).items)})
    assert {key[1] for terms in tie.values() for key in terms.items} == {X + Y, X - Y}
    many = represent_affine({str(k): dict(as_terms(X + k * Y).items) for k in (1, 2, 3)})
    assert {key[1] for terms in many.values() for key in terms.items} == {X, Y}
    assert many["3"].items == {(DELTA, X, ONE): 1, (DELTA, Y, ONE): 3}


def affine_keys(*outputs: object) -> set[tuple[Filter, Form]]:
    """The hidden channels of affine outputs, by filter and form."""
    linear = {str(place): dict(as_terms(output).items) for place, output in enumerate(outputs)}
    return {key[:2] for terms in represent_affine(linear).values() for key in terms.items}


def test_constants_are_counted_where_a_filter_turns_them_into_channels():
    def sums(*entries: Form) -> set[tuple[Filter, Form]]:
        return affine_keys(*(convolve(PREFIX, entry) for entry in entries))

    assert affine_keys(X + Y, 2 * X + 2 * Y, 3 * X + 3 * Y) == {(DELTA, X + Y)}
    assert affine_keys(*(X + k * Y + k for k in (1, 2, 3))) == {(DELTA, X), (DELTA, Y), (DELTA, ONE)}
    assert sums(*(X + k * Y for k in (1, 2, 3))) == {(PREFIX, X), (PREFIX, Y)}
    assert sums(X + 1, X + 2, X + 3) == {(PREFIX, X), (PREFIX, ONE)}
    assert sums(X + 1, 2 * X + 3) == {(PREFIX, X + 1), (PREFIX, X + Fraction(3, 2))}


def test_parts_of_several_filters_are_added():
    outputs = {"a": 2 * as_terms(X) + convolve(PREFIX, Y) + convolve(EXCLUSIVE, 3 * Z + 1)}
    u = np.arange(12).reshape(4, 3).astype(object)
    merged = represent_affine({"a": dict(outputs["a"].items)})["a"]
    assert (value(merged, u, "causal") == value(outputs["a"], u, "causal")).all()


def test_a_layer_of_constants_has_places_for_its_filters():
    layer = compile_layer(("x",), {"a": as_terms(3)})
    assert (layer.filter_index.dtype, layer.filter_index.shape) == (np.int64, (0,))


def test_a_layer_says_its_sizes():
    layer = compile_layer(("x", "y"), {"a": as_terms(X * Y + 3), "b": convolve(PREFIX, X + 1) * Y})
    assert (layer.conv.n_in, layer.conv.n_out) == (2, 2)
    assert (layer.gate.n_in, layer.gate.n_out) == (2, 2)
    assert (layer.out.n_in, layer.out.n_out) == (2, 2)
    assert layer.outputs == ("a", "b")
    assert layer.out.entries() == {(0, 0): 1, (0, 2): 3, (1, 1): 1}
    assert [layer.filters[index] for index in layer.filter_index] == [DELTA, PREFIX]
    assert layer.conv.entries() == {(0, 0): 1, (1, 0): 1, (1, 2): 1}
    assert layer.gate.entries() == {(0, 1): 1, (1, 1): 1}


def test_positional_values_are_added_at_their_rows() -> None:
    builder = Builder(3, ["x"])
    first = builder.position("p", {0: 2, 2: Fraction(-1, 2)})
    second = builder.position("q", {1: 5})
    assert (first, second) == (channel("p"), channel("q"))
    assert builder.inputs == ("x", "p", "q")
    assert builder.positions == {(0, 1): 2, (2, 1): Fraction(-1, 2), (1, 2): 5}
    assert {type(value) for value in builder.positions.values()} == {Fraction}
    out = builder.layer(y=X + 10 * first + 100 * second)
    network = builder.build([out], partial(Sequence, 3, 1, n_inputs=3))
    u = np.array([[1, 0, 0]] * 3, dtype=object)
    assert network.evaluate(u)[:, 0].tolist() == [21, 501, -4]
    assert (network.algorithm, network.parameters) == ("unnamed", {})


def test_iterations_are_written_out_until_they_settle() -> None:
    """From x, y to families a, b: the second layer reads what the third does, and is the same object."""
    builder = Builder(1, ["x", "y"])
    builder.iterate(5, lambda a, b: {"a": a * b, "b": a - b}, a=X, b=Y)
    first, *later = builder.layers
    assert len(later) == 4
    assert all(layer is later[0] for layer in later)
    assert first is not later[0]
    partly = Builder(1, ["a", "y"])
    a, b = partly.iterate(4, lambda a, b: {"a": a + b, "b": 2 * b}, a=channel("a"), b=Y)
    assert one_row(partly, [a, b], 1, 1) == [16, 16]


@pytest.mark.parametrize("times", [0, 1, 2, 3])
def test_iterations_are_as_many_as_asked(times: int) -> None:
    builder = Builder(1, ["x"])
    y = builder.iterate(times, lambda y: {"y": 2 * y + 1}, y=X)
    assert len(builder.layers) == times
    if times:
        assert one_row(builder, [y], 5) == [6 * 2**times - 1]
    else:
        assert y == X


def test_a_family_may_become_an_array_and_keeps_its_shape() -> None:
    builder = Builder(1, ["x", "y"])

    def step(s: Form | np.ndarray) -> tuple[Form | np.ndarray]:
        first, second = (s[1, 0], s[0, 0]) if isinstance(s, np.ndarray) else (s, Y)
        return (builder.layer(s=np.array([[first], [second]], dtype=object)),)

    (pair,) = builder.repeat(2, step, X)
    assert isinstance(pair, np.ndarray)
    assert pair.shape == (2, 1)
    assert pair.tolist() == [[channel("s[0,0]")], [channel("s[1,0]")]]


def test_what_is_missing_is_named_up_to_five_times() -> None:
    wanted = [channel(name) * 1 for name in "gfedcb"]
    with pytest.raises(ValueError, match=r"^layer 1 reads channels that do not exist: \['b', 'c', 'd', 'e', 'f'\]$"):
        Builder(1, ["x"]).layer(out=np.array(wanted, dtype=object))
    with pytest.raises(ValueError, match=r"^a step from x, y must return just these, got z, y$"):
        Builder(1, ["x", "y"]).iterate(1, lambda x, y: {"z": X, "y": Y}, x=X, y=Y)


def test_progress_is_told_in_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[object, ...]] = []
    monkeypatch.setattr("constructions.networks.builder.tell", lambda *words: told.append(words))
    builder = Builder(1, ["x"])
    out = builder.layer(y=builder.layer(x=X * X) + 1)
    builder.build([out], partial(Sequence, 1, 1, n_inputs=1))
    written = [("layers written", 1), ("layers written", 2)]
    assert told == [*written, ("layers compiled", 1, 2), ("layers compiled", 2, 2)]


def test_a_layer_is_added_again_where_its_channels_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[object, ...]] = []
    monkeypatch.setattr("constructions.networks.builder.tell", lambda *words: told.append(words))
    builder = Builder(1, ["x"])
    x = builder.layer(x=3 * X)
    builder.again(0)
    assert builder.layers[1] is builder.layers[0]
    assert told == [("layers written", 1), ("layers written", 2)]
    assert one_row(builder, [x], 2) == [18]
    builder.layer(y=x)
    with pytest.raises(ValueError, match=r"^layer 4 reads channels that do not exist: \['x'\]$"):
        builder.again(0)
