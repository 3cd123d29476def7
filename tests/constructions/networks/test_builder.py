"""From terms to weights: affine parts, filtered constants, shared products, channels that nobody reads."""

from __future__ import annotations

from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from constructions.algebra.filters import DELTA, EXCLUSIVE, MIDPOINT, PREFIX, Filter, shift
from constructions.algebra.terms import Form, Terms, as_terms, channel, convolve
from constructions.networks.builder import Builder, merge_products, represent_affine
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
    network = builder.build([x], partial(Sequence, 1, 1, n_inputs=1))
    assert network.evaluate(np.array([[3]], dtype=object)).tolist() == [[3**8]]


def test_a_step_that_leaves_a_family_out_is_refused_in_words():
    with pytest.raises(ValueError, match="a step from x, y must return just these, got x"):
        Builder(1, ["x", "y"]).iterate(2, lambda x, y: {"x": x * y}, x=channel("x"), y=channel("y"))
