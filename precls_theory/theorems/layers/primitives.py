"""Read, Linear and Multiply: one layer each, with every entry of the input a symbol."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

import constructions as C
from constructions.algebra.terms import exact
from constructions.networks.layer import Mode
from constructions.networks.parameters import PrimitiveParameters, Rational, recorded
from precls_theory.proofs.parameters import Symbols
from precls_theory.proofs.symbolic import MakeVariables, flint_variables, require_equal, sympy_variables
from precls_theory.proofs.variants import Build, first_weight, hard_coded, last_weight, late_row, wrong
from precls_theory.registry import Evidence, Refuted, Size, theorem

Shape = tuple[int, int]


def require_one_layer(network: C.Network) -> None:
    if network.depth != 1:
        raise Refuted(f"{network.algorithm} must be one layer, got {network.depth}")


def prove_read(network: C.Network, make: MakeVariables = flint_variables) -> None:
    """Row ``target`` receives channels ``start:stop`` of row ``source``; all else is unchanged."""
    require_one_layer(network)
    p = recorded(network.parameters, PrimitiveParameters)
    v = make(u=(p["n_rows"], p["n_channels"]))
    expected = v["u"].copy()
    expected[p["target"], p["start"] : p["stop"]] = v["u"][p["source"], p["start"] : p["stop"]]
    output = network.decode(network.evaluate(network.encode(v["u"])))
    require_equal(output, expected, f"read from row {p['source']} to row {p['target']}", v.ring)


def prove_linear(network: C.Network, make: MakeVariables = flint_variables) -> None:
    """``u ↦ u W + c`` at every row."""
    require_one_layer(network)
    p = recorded(network.parameters, PrimitiveParameters)
    weight = np.array([[exact(entry) for entry in row] for row in p["weight"]], dtype=object)
    bias = [exact(entry) for entry in p["bias"]] if p["bias"] is not None else [Fraction(0)] * weight.shape[1]
    v = make(u=(p["n_rows"], len(weight)))
    expected = v.ring.matmul(v["u"], v.constants(weight)) + v.constants(bias)
    output = network.decode(network.evaluate(network.encode(v["u"]), v.ring))
    require_equal(output, expected, "linear map", v.ring)


def prove_every_matrix(n_in: int, n_out: int, build: Build = C.linear) -> None:
    """``u ↦ u A + c`` with every entry of A and c a symbol through the builder."""
    symbols = Symbols(
        **{f"A_{i}_{j}": i * n_out + j + 2 for i in range(n_in) for j in range(n_out)},
        **{f"c_{j}": -j - 1 for j in range(n_out)},
    )
    weight = [[symbols[f"A_{i}_{j}"] for j in range(n_out)] for i in range(n_in)]
    network = symbols.build(build, n_rows=1, weight=weight, bias=[symbols[f"c_{j}"] for j in range(n_out)])
    prove_linear(network, symbols.variables)


def transposed(*, n_rows: int, weight: Sequence[Sequence[Rational]], bias: Sequence[Rational]) -> C.Network:
    """``u ↦ u Aᵀ + c``, for the controls."""
    return C.linear(n_rows=n_rows, weight=np.array(weight, dtype=object).T.tolist(), bias=bias)


def prove_multiply(network: C.Network, make: MakeVariables = flint_variables) -> None:
    """The block ``target`` becomes the product of the blocks ``left`` and ``right``; all else is unchanged."""
    require_one_layer(network)
    p = recorded(network.parameters, PrimitiveParameters)
    v = make(u=(p["n_rows"], p["n_channels"]))
    blocks = [slice(at, at + p["length"]) for at in (p["left"], p["right"], p["target"])]
    left, right, target = blocks
    expected = v["u"].copy()
    expected[:, target] = v["u"][:, left] * v["u"][:, right]
    output = network.decode(network.evaluate(network.encode(v["u"])))
    require_equal(output, expected, "multiply", v.ring)


@theorem(
    id="primitive-read",
    title="Read in one layer",
    statement=r"\mathrm{Read}(i\to j;p{:}q):\quad u'_{j,p:q} = u_{i,p:q},\quad u' = u \text{ elsewhere}",
    hypotheses=("the indicator of row j is a positional channel", "causal: i <= j; circular: any i, j"),
    source="Liu et al. 2025, §3.3 and App. D.2",
    covers="every pair of rows, causal (i <= j) and circular, at the given number of rows; every block of channels",
    controls={
        "the last weight off by 1/3": {"build": wrong(C.read, last_weight)},
        "the row read one late": {"build": wrong(C.read, late_row)},
    },
)
def read(size: Size, build: Build = C.read) -> Evidence:
    rows, channels = size.n_points, size.n_dims + 1
    for n, d, make in ((rows, channels, flint_variables), (2, 2, sympy_variables)):
        for source in range(n):
            for target in range(n):
                mode: Mode = "causal" if source <= target else "circular"
                block = {"start": 0, "stop": d} if (source + target) % 2 else {"start": d // 2, "stop": d}
                network = build(n_rows=n, n_channels=d, source=source, target=target, mode=mode, **block)
                prove_read(network, make)
        # Circular also where causal would do.
        for source in range(n):
            for target in range(source, n):
                prove_read(
                    build(n_rows=n, n_channels=2, source=source, target=target, start=0, stop=1, mode="circular"), make
                )
    for start in range(channels):  # every block of channels
        for stop in range(start + 1, channels + 1):
            prove_read(build(n_rows=2, n_channels=channels, source=0, target=1, start=start, stop=stop))
    return Evidence(
        f"Executed: {rows} rows, {channels} channels, every input a symbol: all {rows**2} pairs of rows, the channels or "
        "their second half in turn, circular wherever causal cannot; all pairs i <= j circular with 2 channels; every block of "
        "channels at 2 rows. Argued: every block at every pair, for rows and channels do not interact; other sizes",
        "Q[u]", "python-flint; SymPy at 2 rows, 2 channels",
    )  # fmt: skip


@theorem(
    id="primitive-linear",
    title="Linear in one layer",
    statement=r"u \mapsto uA + c",
    hypotheses=("A and c rational",),
    source="Liu et al. 2025, §3.3 and App. D.2",
    covers="every A and c by symbols through the builder; every elementary matrix, zero, and a matrix with all entries "
    "distinct, with and without a bias; every input symbolic",
    controls={
        "a weight off by 1/3": {"build": wrong(C.linear, first_weight)},
        "A transposed": lambda: prove_every_matrix(2, 2, transposed),
        "no bias": lambda: prove_every_matrix(2, 2, hard_coded(C.linear, bias=None)),
    },
)
def linear(size: Size, build: Build = C.linear) -> Evidence:
    rows, n_in, n_out = size.n_points, size.n_dims + 1, size.n_dims
    eye = np.eye(n_in * n_out, dtype=int).reshape(-1, n_in, n_out)
    distinct = [[Fraction(i * n_out + j + 1, n_in + 1) for j in range(n_out)] for i in range(n_in)]
    bias = [Fraction(j - 1, 2) for j in range(n_out)]
    matrices = [*eye.tolist(), np.zeros((n_in, n_out), dtype=int).tolist(), distinct]
    for matrix in matrices:
        for offset in (None, bias):
            prove_linear(build(n_rows=rows, weight=matrix, bias=offset))
    prove_linear(build(n_rows=2, weight=[[1, "1/2"], [0, -3]], bias=[1, 0]), sympy_variables)
    prove_every_matrix(n_in, n_out, build)
    return Evidence(
        f"Executed: {n_in} to {n_out} channels, all entries of A, c and the input symbols, at 1 row; {rows} rows, "
        f"{2 * len(matrices)} pairs (A, c), among them those where entries vanish; every input a symbol. Argued: other "
        "matrices with zeros or equal entries; other sizes", "Q(A, c)[u], Q[u]",
        "python-flint; SymPy at 2 rows, 2 channels",
    )  # fmt: skip


@theorem(
    id="primitive-multiply",
    title="Multiply in one layer",
    statement=r"\mathrm{Multiply}(p,q,r;\ell):\quad u'_{:,r:r+\ell} = u_{:,p:p+\ell}\odot u_{:,q:q+\ell},\quad "
    r"u' = u\text{ elsewhere}",
    hypotheses=("the blocks lie within the channels; they may overlap",),
    source="Liu et al. 2025, §3.3 and App. D.2",
    covers="every choice of blocks at the given number of channels; every input symbolic",
    controls={
        "the last weight off by 1/3": {"build": wrong(C.multiply, last_weight)},
        "the square of the left block": {"build": hard_coded(C.multiply, right=0)},
    },
)
def multiply(size: Size, build: Build = C.multiply) -> Evidence:
    rows, channels = size.n_points, size.n_dims + 1
    count = 0
    for n, d, make in ((rows, channels, flint_variables), (2, 2, sympy_variables)):
        for length in range(1, d + 1):
            starts = range(d - length + 1)
            for left, right, target in np.ndindex(len(starts), len(starts), len(starts)):
                blocks = {"left": left, "right": right, "target": target, "length": length}
                prove_multiply(build(n_rows=n if length == d else 1, n_channels=d, **blocks), make)
                count += 1
    return Evidence(
        f"Executed: {channels} channels, all {count} choices of blocks of every length, every input a symbol, at one row, and at "
        f"{rows} rows for full length. Argued: other rows, for the layer acts row by row; other numbers of channels",
        "Q[u]", "python-flint; SymPy at 2 channels",
    )  # fmt: skip
