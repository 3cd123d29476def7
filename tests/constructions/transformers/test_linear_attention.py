"""Gradient descent in linear attention: three forms, the layout conditions, and checks that can fail."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
import torch
from helpers.problems import array, gradient_descent, integer_regression, rationals, regressions, sizes, step_sizes
from hypothesis import given
from hypothesis import strategies as st

from constructions.transformers import linear_attention
from constructions.transformers.linear_attention import causal_depth, ternary_depth, ternary_schedule, unchecked_steps
from precls_theory.checking import transformers as claims
from precls_theory.registry import Refuted, Size
from precls_theory.theorems.transformers import linear_attention_causal, linear_attention_ternary

FORMS = ("step", "ternary", "causal")
THIRD = Fraction(1, 3)


def build(n_points=2, n_dims=2, n_steps=1, **options):
    return linear_attention.gradient_descent(
        n_points=n_points, n_dims=n_dims, n_steps=n_steps, step_size=THIRD, **options
    )


@given(st.data(), st.sampled_from(FORMS), st.integers(1, 15), step_sizes)
def test_gradient_descent_is_exact(data, form, n_steps, step_size):
    n_points, n_dims = data.draw(sizes)
    A, b, x = data.draw(regressions(n_points, n_dims))
    net = linear_attention.gradient_descent(
        n_points=n_points, n_dims=n_dims, n_steps=n_steps, step_size=step_size, form=form
    )
    got = net.decode(net.evaluate(net.encode(A, b, x)))
    np.testing.assert_array_equal(got, gradient_descent(A, b, x, n_steps, step_size))


@given(st.integers(1, 10**9))
def test_depths(n_steps):
    bound = ternary_depth(n_steps)
    assert 3 ** (bound - 1) < 2 * n_steps + 1 <= 3**bound
    assert bound <= causal_depth(n_steps) <= bound + 1
    schedule = ternary_schedule(n_steps)
    assert (sum(schedule), len(schedule)) == (n_steps, bound)


@pytest.mark.parametrize("n_steps", [1, 2, 4, 5, 13, 14, 40, 41])
def test_networks_have_the_depth_that_is_claimed(n_steps):
    assert build(n_steps=n_steps).depth == n_steps
    ternary, causal = build(n_steps=n_steps, form="ternary"), build(n_steps=n_steps, form="causal")
    assert (ternary.depth, ternary.width) == (ternary_depth(n_steps), 4 * 2 + 3)
    assert ternary.n_heads <= 4
    assert (causal.depth, causal.width) == (causal_depth(n_steps), 2**2 + 3 * 2 + 2)
    assert causal.n_heads <= (2 + 1) ** 2


@pytest.mark.parametrize(("form", "n_steps"), [("step", 1), ("ternary", 5), ("causal", 3)])
def test_every_wrong_weight_is_refused(form, n_steps):
    net = build(1, 1, n_steps, form=form)
    claims.verify_descent_polynomials(net, 1, 1, n_steps, THIRD)
    for number, block in enumerate(net.blocks):
        for part, head in enumerate(block.heads):
            for name, sparse in head.maps().items():
                for index in range(sparse.n_nonzero):
                    broken = net.with_weight(number, part, name, sparse.weights[index] + 1, index)
                    with pytest.raises(Refuted):
                        claims.verify_descent_polynomials(broken, 1, 1, n_steps, THIRD)


def test_a_wrong_weight_is_refused_modulo_a_prime_and_coordinatewise():
    net = build(5, 3, 13, form="ternary")
    small = linear_attention.gradient_descent(n_points=1, n_dims=1, n_steps=13, step_size=THIRD / 5, form="ternary")
    linear_attention_ternary.require_coordinatewise(net, small, 3)
    broken = net.with_weight(1, 0, "value", Fraction(7, 5), 2)
    with pytest.raises(Refuted, match="13 steps"):
        claims.verify_descent_residues(broken, 5, 3, 13, THIRD)
    with pytest.raises(Refuted, match="coordinate"):
        linear_attention_ternary.require_coordinatewise(broken, small, 3)
    # A weight that mixes two coordinates is refused too, whatever its size.
    head = net.blocks[1].heads[0]
    columns = head.value.columns.copy()
    columns[0] = (columns[0] + 1) % 3
    mixed = replace(net.blocks[1], heads=(replace(head, value=replace(head.value, columns=columns)),))
    with pytest.raises(Refuted):
        linear_attention_ternary.require_coordinatewise(
            replace(net, blocks=(net.blocks[0], mixed, net.blocks[2])), small, 3
        )


def test_wrong_recurrences_fail_the_theorem(monkeypatch):
    p, w = sp.symbols("P w")
    monkeypatch.setattr(linear_attention_ternary, "recurrence_identities", lambda: {"P^d = P": w - p})
    with pytest.raises(Refuted, match="false: P\\^d = P"):
        linear_attention_ternary.ternary(Size(2, 2))


@pytest.mark.parametrize("name", ["query", "key", "value"])
def test_a_layer_that_breaks_the_invariant_is_refused(name):
    block = linear_attention_ternary.block_at(1, 3)
    linear_attention_ternary.require_layer(1, 3, block)
    for part, head in enumerate(block.blocks[0].heads):
        broken = block.with_weight(0, part, name, head.maps()[name].weights[0] + 1)
        with pytest.raises(Refuted, match="layer 1"):
            linear_attention_ternary.require_layer(1, 3, broken)


def test_a_wrong_number_of_steps_is_refused():
    with pytest.raises(Refuted):
        claims.verify_descent_polynomials(build(n_steps=2), 2, 2, 3, THIRD)


def test_layout_e_adds_x_cubed_under_an_inclusive_mask():
    A, b, x = integer_regression(3, 2)
    net = unchecked_steps(3, 2, 1, THIRD / 3, "causal", "E")
    got = net.decode(net.evaluate(net.encode(A, b, x)))
    np.testing.assert_array_equal(got, gradient_descent(A, b, x, 1, THIRD) - THIRD / 3 * x * (x @ x))
    assert x.any()


def test_layout_e_under_a_strict_mask_does_one_step_and_no_second():
    A, b, x = integer_regression(3, 2)
    once, twice = (unchecked_steps(3, 2, k, THIRD / 3, "strict", "E") for k in (1, 2))
    np.testing.assert_array_equal(once.decode(once.evaluate(once.encode(A, b, x))), gradient_descent(A, b, x, 1, THIRD))
    assert (twice.decode(twice.evaluate(twice.encode(A, b, x))) != gradient_descent(A, b, x, 2, THIRD)).any()


def test_the_ternary_form_is_wrong_under_a_causal_mask():
    net = replace(build(4, 2, 4, form="ternary"), mask="causal")
    with pytest.raises(Refuted):
        claims.verify_descent_polynomials(net, 4, 2, 4, THIRD)


@pytest.mark.parametrize(
    "options",
    [
        {"layout": "E", "mask": "causal"},
        {"layout": "E", "n_steps": 2},
        {"layout": "E", "form": "ternary"},
        {"form": "ternary", "mask": "causal"},
        {"form": "causal", "mask": "full"},
        {"form": "quaternary"},
        {"layout": "A"},
        {"n_steps": 0},
        {"mask": "prefix"},
    ],
)
def test_constructions_that_would_be_wrong_are_refused(options):
    with pytest.raises(ValueError, match=r"must be|needs|layout E"):
        build(**options)


@given(st.data(), st.sampled_from(["causal", "full"]))
def test_multiply_is_exact(data, mask):
    n_rows, n_channels = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    length = data.draw(st.integers(1, n_channels))
    p, q, r = (data.draw(st.integers(0, n_channels - length)) for _ in range(3))
    net = linear_attention.multiply(
        n_rows=n_rows, n_channels=n_channels, left=p, right=q, target=r, length=length, mask=mask
    )
    entries = data.draw(st.lists(rationals, min_size=n_rows * n_channels, max_size=n_rows * n_channels))
    u = array(entries).reshape(n_rows, n_channels)
    expected = u.copy()
    expected[:, r : r + length] = u[:, p : p + length] * u[:, q : q + length]
    np.testing.assert_array_equal(net.evaluate(u), expected)
    # One-hot scores: every other term is an exact zero, so the product is rounded once in floating point as well.
    exact_products = torch.tensor(expected.astype(float))
    got = net.to_torch()(torch.tensor(u.astype(float))[None])[0]
    assert (got - exact_products).abs().max() <= 4e-15


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-4)])
@pytest.mark.parametrize("form", FORMS)
def test_pytorch(form, dtype, tolerance):
    """A batch of random problems in floating point, against the exact values of the same (rounded) inputs."""
    rng = np.random.default_rng(0)
    A, b, x = (rng.integers(-64, 65, shape) / 64 for shape in ((3, 20, 5), (3, 20), (3, 5)))
    net = linear_attention.gradient_descent(n_points=20, n_dims=5, n_steps=13, step_size=1, form=form)
    u = net.encode(*(torch.tensor(v, dtype=dtype) for v in (A, b, x)))
    got = net.decode(net.to_torch(dtype=dtype)(u)).double().numpy()
    for case in range(3):
        exact = gradient_descent(array(A[case]), array(b[case]), array(x[case]), 13, Fraction(1)).astype(float)
        assert np.abs(got[case] - exact).max() <= tolerance * np.abs(exact).max()


def test_bad_input():
    net = build(3, 2, 4, form="ternary")
    A, b, x = integer_regression(3, 2)
    with pytest.raises(ValueError, match="NaN or infinite"):
        net.encode(torch.full((3, 2), torch.inf), torch.zeros(3), torch.zeros(2))
    with pytest.raises(ValueError, match="x_init must have shape"):
        net.encode(A, b, b)
    with pytest.raises(ValueError, match="5 channels"):
        net.evaluate(A)
    with pytest.raises(TypeError, match=r"takes encode\(u\)"):
        linear_attention.multiply(n_rows=2, n_channels=2, left=0, right=1, target=0).encode(A, b, x)


def test_the_gap_under_a_causal_mask(monkeypatch):
    """The check refuses the bidirectional mask, where the bound is attained, and a false shape of the top part."""
    assert all(len(linear_attention_causal.require_gap(mask)) for mask in ("causal", "strict"))
    with pytest.raises(Refuted, match="the lower bound is attained"):
        linear_attention_causal.require_gap("full")
    causal_parts = linear_attention_causal.top_parts
    monkeypatch.setattr(
        linear_attention_causal, "top_parts", lambda n_layers, mask, a: causal_parts(n_layers, "causal", a)
    )
    linear_attention_causal.require_top_part(2, "causal", 1)
    with pytest.raises(Refuted, match="top part"):
        linear_attention_causal.require_top_part(2, "full", 1)


def test_description_names_every_head():
    lines = build(2, 2, 1).describe()
    assert lines == [
        "block 1 attention: x[0] += Σ_j ((x[0])_i (a[0])_j + (x[1])_i (a[1])_j + (-1)_i (b)_j) (-1/6*a[0])_j",
        "block 1 attention: x[1] += Σ_j ((x[0])_i (a[0])_j + (x[1])_i (a[1])_j + (-1)_i (b)_j) (-1/6*a[1])_j",
    ]
