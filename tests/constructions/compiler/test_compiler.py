"""Algorithms written as sequence programs compile to the depths of the hand-written networks, and to the same maps."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import constructions as C
from constructions.algebra.filters import EXCLUSIVE, MIDPOINT
from constructions.algebra.rings import Residues
from constructions.algebra.terms import identity
from constructions.compiler.circuit import convolved
from precls_theory.proofs.symbolic import flint_variables, require_equal

N, D, STEP = 4, 2, Fraction(1, 10)
Start = tuple[C.Circuit, np.ndarray, C.Wire, Any]


def layout_A(mode: str = "causal") -> Start:
    circuit = C.Circuit(N, mode)
    return circuit, circuit.input("a", D), circuit.input("b"), circuit.input("x", D)


def gram(start: Start, k: int) -> Any:
    _, a, b, x = start
    G, c, x = C.prefix_sum(np.outer(a, a)), C.prefix_sum(b * a), C.prefix_sum(x)
    for _ in range(k):
        x = x - STEP / N * (G @ x - c)
    return x


def doubling(start: Start, k: int) -> Any:
    _, a, b, x = start
    P, q = identity(D) - STEP / N * C.prefix_sum(np.outer(a, a)), STEP / N * C.prefix_sum(b * a)
    x = P @ C.prefix_sum(x) + q
    for _ in range(k.bit_length() - 1):
        P, q, x = P @ P, P @ q + q, P @ x + q
    return x


def tight(start: Start, k: int) -> Any:
    _, a, b, x = start
    W, v, x = -STEP / N * np.outer(a, a), STEP / N * b * a, C.prefix_sum(x)
    for digit in map(int, reversed(f"{k:b}")):
        x = x + digit * (C.prefix_sum(W) @ x + C.prefix_sum(v))
        H = convolved(W, MIDPOINT)
        W, v = 2 * W + H @ W + W @ H, 2 * v + H @ v + W @ convolved(v, MIDPOINT)
    return x


def residual(start: Start, k: int) -> Any:
    _, a, b, x = start
    x = C.total(x)
    for _ in range(k):
        x = x - STEP / N * C.total((a @ x - b) * a)
    return x


def heavy_ball(start: Start, k: int) -> Any:
    _, a, b, x = start
    G, c, x = C.prefix_sum(np.outer(a, a)), C.prefix_sum(b * a), C.prefix_sum(x)
    previous = x
    for _ in range(k):
        previous, x = x, x + Fraction(2, 3) * (x - previous) - STEP / N * (G @ x - c)
    return x


def newton_direct(start: Start, t: int) -> Any:
    _, a, b, _ = start
    G, c = C.prefix_sum(np.outer(a, a)), C.prefix_sum(b * a)
    M = STEP * identity(D)
    for _ in range(t):
        M = 2 * M - M @ (G @ M)
    return M @ c


def newton_doubling(start: Start, t: int) -> Any:
    _, a, b, _ = start
    R, y = identity(D) - STEP * C.prefix_sum(np.outer(a, a)), STEP * C.prefix_sum(b * a)
    for _ in range(t):
        R, y = R @ R, y + R @ y
    return y


def gd(form: str, k: int) -> C.Network:
    return C.gradient_descent(n_points=N, n_dims=D, n_steps=k, step_size=STEP, form=form)


def newton(form: str, t: int) -> C.Network:
    return C.newton(n_points=N, n_dims=D, n_iters=t, alpha=STEP, form=form)


PROGRAMS: dict[str, tuple[Callable[[Start, int], Any], int, int, C.Network]] = {
    "gram": (gram, 5, 6, gd("gram", 5)),
    "doubling": (doubling, 8, 5, gd("doubling", 8)),
    "tight": (tight, 13, 5, gd("tight", 13)),
    "residual": (residual, 3, 7, gd("residual", 3)),
    "heavy ball": (
        heavy_ball, 4, 5, C.heavy_ball(n_points=N, n_dims=D, n_steps=4, step_size=STEP, momentum="2/3"),
    ),
    "newton, direct": (newton_direct, 2, 5, newton("direct", 2)),
    "newton, doubling": (newton_doubling, 4, 6, newton("doubling", 4)),
}  # fmt: skip
"""Program, its iterations, the depth that the theory gives, the hand-written network."""


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_as_deep_and_wide_as_the_hand_written_network(name):
    write, count, depth, by_hand = PROGRAMS[name]
    compiled = C.compile_circuit(write(layout_A(by_hand.mode), count))
    assert compiled.depth == by_hand.depth == depth
    assert compiled.width <= by_hand.width


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_computes_what_the_hand_written_network_does(name):
    write, count, _, by_hand = PROGRAMS[name]
    compiled = C.compile_circuit(write(layout_A(by_hand.mode), count))
    ring = Residues(2**31 - 1)
    u = np.random.default_rng(0).integers(0, ring.prime, (3, N, 2 * D + 1))
    u[:, 1:, D + 1 :] = 0
    expected = by_hand.decode(by_hand.evaluate(u[..., : len(by_hand.inputs)], ring))
    assert (compiled.decode(compiled.evaluate(u, ring))[:, -1] == expected).all()


def test_a_program_equals_gradient_descent_symbolically():
    v = flint_variables(u=(N, 2 * D + 1))
    u = v["u"].copy()
    u[1:, D + 1 :] = v.ring.zeros((N - 1, D))
    compiled, by_hand = C.compile_circuit(tight(layout_A(), 3)), gd("tight", 3)
    # At the last row; the polynomials of degree 7 are compared term by term.
    result = compiled.decode(compiled.evaluate(u, v.ring))[-1]
    require_equal(result, by_hand.decode(by_hand.evaluate(u, v.ring)), "x_3", v.ring)


def test_two_filtered_factors_cost_a_layer_unless_one_was_ready():
    circuit = C.Circuit(3)
    x, y = circuit.input("x"), circuit.input("y")
    assert (x.prefix_sum() * y).depth == 1
    assert (x.prefix_sum() * y.prefix_sum()).depth == 2
    product = x * y
    assert (product.prefix_sum() * x.prefix_sum()).depth == 2
    assert (product.prefix_sum() * product.shift(1)).depth == 3
    assert product.prefix_sum().shift(1).depth == 2
    assert x.prefix_sum().convolve(EXCLUSIVE).depth == 1


def test_many_rows_of_constants():
    circuit = C.Circuit(5)
    u = circuit.input("u")
    ramp = circuit.row_constants("ramp", {n: Fraction(n, 3) for n in range(5)})
    network = C.compile_circuit([ramp * u, ramp.prefix_sum() + 1])
    given = np.arange(1, 6).astype(object)[:, None]
    result = network.decode(network.evaluate(network.encode(given)))
    assert [row[0] for row in result] == [Fraction(n * (n + 1), 3) for n in range(5)]
    assert [row[1] for row in result] == [Fraction(n * (n + 1), 6) + 1 for n in range(5)]
