"""The paper's operator and the trainable layer express the same maps, with every weight and every input a symbol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from constructions.models.operators import (
    LayerWeights,
    OperatorWeights,
    apply_layer,
    apply_operator,
    layer_as_operators,
    operator_as_layer,
    pad_for_operators,
)
from constructions.networks.layer import Mode
from precls_theory.proofs import definitions
from precls_theory.proofs.symbolic import MakeVariables, flint_variables, require_equal, sympy_variables
from precls_theory.registry import Evidence, Size, theorem

MODES: tuple[Mode, ...] = ("causal", "circular")
AsLayer = Callable[[OperatorWeights], tuple[LayerWeights, np.ndarray]]
AsOperators = Callable[[LayerWeights, int], Sequence[OperatorWeights]]
MAPS = ("in_weight", "in_bias", "filter", "conv_bias", "gate_weight", "gate_bias", "out_weight", "out_bias")


def prove_operator_as_layer(
    n_rows: int,
    n_dims: int,
    mode: Mode,
    make: MakeVariables = flint_variables,
    convert: AsLayer = operator_as_layer,
    run: Callable[..., np.ndarray] = apply_layer,
) -> None:
    """``convert`` makes a layer of width 2D on padded input that equals the operator: all weights and u are symbols."""
    by_row = (n_rows, n_dims)
    v = make(W=(n_dims, n_dims), B1=by_row, H=by_row, B2=by_row, u=by_row)
    weights = OperatorWeights(v["W"], v["B1"], v["H"], v["B2"])
    layer, positions = convert(weights)
    padded = np.concatenate([v["u"], v.zeros(n_rows, 2 * n_dims)], axis=1) + positions
    expected = definitions.operator(v["W"], v["B1"], v["H"], v["B2"], v["u"], mode)
    require_equal(definitions.layer(layer, padded, mode), expected, f"{mode} operator as a layer", v.ring)
    # The package's own operator and layer are these, too.
    require_equal(apply_operator(weights, v["u"], mode), expected, f"{mode}: the operator of the package", v.ring)
    require_equal(run(layer, padded, mode), expected, f"{mode}: the layer of the package", v.ring)


def prove_layer_as_operators(
    n_rows: int,
    n_in: int,
    hidden: int,
    n_out: int,
    mode: Mode,
    make: MakeVariables = flint_variables,
    convert: AsOperators = layer_as_operators,
) -> None:
    """``convert`` makes three operators that equal the layer: every weight is a symbol.

    Stage by stage on generic channels: the first holds ``p = In u``, ``g = Gate u`` and u; the second, for generic p, g
    and u, holds ``(filter ⋆ p + conv_bias) ⊙ g`` and u; the third, for generic p, g and u, ``w0·Out p + w1·u``.
    """
    branches = n_in == n_out
    v = make(
        in_weight=(n_in, hidden), in_bias=(hidden,), filter=(n_rows, hidden), conv_bias=(hidden,),
        gate_weight=(n_in, hidden), gate_bias=(hidden,),
        out_weight=(hidden, n_out), out_bias=(n_out,), branch=(2,), u=(n_rows, n_in),
        p=(n_rows, hidden), g=(n_rows, hidden),
    )  # fmt: skip
    weights = LayerWeights(**{name: v[name] for name in MAPS}, branch_weights=v["branch"] if branches else None)
    first, second, third = convert(weights, n_rows)
    u, p, g = v["u"], v["p"], v["g"]
    padding = v.zeros(n_rows, max(0, n_out - 2 * hidden - n_in))

    def channels(*parts: np.ndarray) -> np.ndarray:
        return np.concatenate([*parts, padding], axis=1)

    def operate(by: OperatorWeights, state: np.ndarray) -> np.ndarray:
        W, B1, H, B2, state = (v.ring.coerce(part) for part in (by.W, by.B1, by.H, by.B2, state))
        value = definitions.operator(W, B1, H, B2, state, mode)
        require_equal(apply_operator(by, state, mode), value, f"{mode}: the operator of the package", v.ring)
        return value

    mixed = operate(first, pad_for_operators(weights, u))
    expected = channels(u @ weights.in_weight + weights.in_bias, u @ weights.gate_weight + weights.gate_bias, u)
    require_equal(mixed, expected, f"{mode}: first operator, mix", v.ring)
    multiplied = operate(second, channels(p, g, u))
    product = (definitions.convolution(weights.filter, p, mode) + weights.conv_bias) * g
    require_equal(multiplied[:, :hidden], product, f"{mode}: second operator, multiply", v.ring)
    require_equal(multiplied[:, 2 * hidden : 2 * hidden + n_in], u, f"{mode}: second operator, carried", v.ring)
    out = operate(third, channels(p, g, u))[:, :n_out]
    mixture = p @ weights.out_weight + weights.out_bias
    if branches:
        mixture = v["branch"][:1] * mixture + v["branch"][1:] * u
    require_equal(out, mixture, f"{mode}: third operator, mix", v.ring)


def prove_whole_layer(
    n_rows: int,
    n_in: int,
    hidden: int,
    mode: Mode,
    make: MakeVariables = flint_variables,
    convert: AsOperators = layer_as_operators,
) -> None:
    """The three operators composed, against the layer, at a size where the composition can be written out."""
    v = make(
        in_weight=(n_in, hidden), in_bias=(hidden,), filter=(n_rows, hidden), conv_bias=(hidden,),
        gate_weight=(n_in, hidden), gate_bias=(hidden,),
        out_weight=(hidden, n_in), out_bias=(n_in,), branch=(2,), u=(n_rows, n_in),
    )  # fmt: skip
    u = v["u"]
    weights = LayerWeights(**{name: v[name] for name in MAPS}, branch_weights=v["branch"])
    state = v.ring.coerce(pad_for_operators(weights, u))
    for operator in convert(weights, n_rows):
        state = apply_operator(operator, state, mode)
    expected = definitions.layer(weights, u, mode)
    require_equal(state[:, :n_in], expected, f"{mode} layer as three operators", v.ring)
    require_equal(apply_layer(weights, u, mode), expected, f"{mode}: the layer of the package", v.ring)


def upside_down(weights: OperatorWeights) -> tuple[LayerWeights, np.ndarray]:
    """:func:`operator_as_layer` with B_1 and B_2 at the wrong rows."""
    layer, positions = operator_as_layer(weights)
    return layer, positions[::-1]


def wrong_tap(weights: OperatorWeights) -> tuple[LayerWeights, np.ndarray]:
    """:func:`operator_as_layer` with one tap off by one."""
    layer, positions = operator_as_layer(weights)
    return replace(layer, filter=off_by_one(layer.filter, (-1, 0))), positions


def rolled_backwards(weights: LayerWeights, u: np.ndarray, mode: Mode) -> np.ndarray:
    """The layer with its filter read backwards in time."""
    backwards = np.concatenate([weights.filter[:1], weights.filter[:0:-1]])
    return apply_layer(replace(weights, filter=backwards), u, mode)


def wrong_operator(weights: LayerWeights, n_rows: int) -> tuple[OperatorWeights, ...]:
    """:func:`layer_as_operators` with one tap of the operator that multiplies off by one."""
    first, second, third = layer_as_operators(weights, n_rows)
    return first, replace(second, H=off_by_one(second.H, (-1, 0))), third


def off_by_one(array: np.ndarray, place: tuple[int, int]) -> np.ndarray:
    """A copy with 1 added to one entry."""
    changed = array.copy()
    changed[place] = changed[place] + 1
    return changed


@theorem(
    id="operator-as-layer",
    title="An operator is one layer of twice the width",
    statement=r"(uW+B_1)\odot(H\star u+B_2) = "
    r"\mathrm{Out}\bigl(\mathrm{Conv}(\mathrm{In}\,\tilde u)\odot \mathrm{Gate}\,\tilde u\bigr),"
    r"\quad \tilde u = [u, B_1, B_2]",
    hypotheses=("2D positional channels hold B_1 and B_2", "2D hidden channels"),
    source="Liu et al. 2025, Algorithm 1; equivalence stated there, construction new",
    covers="every weight and every input symbolic at the given N and D, causal and circular",
    controls={
        "the positions upside down": {"convert": upside_down},
        "a tap off by one": {"convert": wrong_tap},
        "a circular convolution that rolls backwards": lambda: prove_operator_as_layer(
            3, 1, "circular", run=rolled_backwards
        ),
    },
)
def operator_is_a_layer(size: Size, convert: AsLayer = operator_as_layer) -> Evidence:
    for mode in MODES:
        prove_operator_as_layer(size.n_points, size.n_dims, mode, convert=convert)
        prove_operator_as_layer(2, 1, mode, sympy_variables, convert)
    return Evidence(
        f"Executed: N={size.n_points}, D={size.n_dims}, causal and circular, W, B1, H, B2, u symbols, against the sums of the "
        "definition. Argued: other N and D",
        "Q[W, B1, H, B2, u]",
        "python-flint; SymPy at N=2, D=1",
    )  # fmt: skip


@theorem(
    id="layer-as-operators",
    title="A layer is three operators: mix, multiply, mix",
    statement=r"w_0\,\mathrm{Out}(\mathrm{Conv}(\mathrm{In}\,u)\odot\mathrm{Gate}\,u) + w_1 u = "
    r"\mathrm{Op}_3\circ\mathrm{Op}_2\circ\mathrm{Op}_1([0,0,u])",
    hypotheses=("operators of width at least 2h + D_in", "branch weights only where D_in = D_out"),
    source="Liu et al. 2025, App. D; construction new",
    covers="every weight and every input symbolic, causal and circular: stage by stage on generic channels at the "
    "given N and D (h = 2D), and composed at N=3, D=2, h=2",
    controls={
        "a tap of the second operator off by one": {"convert": wrong_operator},
    },
)
def layer_is_three_operators(size: Size, convert: AsOperators = layer_as_operators) -> Evidence:
    N, D = size.n_points, size.n_dims
    for mode in MODES:
        for n_out in (D, D + 1):
            prove_layer_as_operators(N, D, 2 * D, n_out, mode, convert=convert)
        prove_layer_as_operators(2, 1, 1, 5, mode, convert=convert)  # more outputs than the operators' own channels
        prove_whole_layer(3, 2, 2, mode, convert=convert)
        prove_whole_layer(2, 1, 1, mode, sympy_variables, convert)
    return Evidence(
        f"Executed: N={N}, D={D}, h={2 * D}, causal and circular, all weights and channels symbols, stage by stage, and "
        "composed at N=3, D=2, h=2, against the sums of the definition. Argued: other N, D and h",
        "Q[weights, u, p, g]",
        "python-flint; SymPy at N=2, D=h=1",
    )  # fmt: skip
