"""Random programs over sequences."""

from helpers.problems import rationals
from hypothesis import strategies as st

from constructions.algebra.filters import DELTA, EXCLUSIVE, MIDPOINT, PREFIX, Filter, shift
from constructions.compiler.circuit import Circuit, Wire

filters = st.sampled_from([DELTA, PREFIX, EXCLUSIVE, MIDPOINT, shift(1), shift(3), Filter.of((1, 2, -1), 0)])


@st.composite
def sequence_circuits(draw: st.DrawFn) -> list[Wire]:
    """A random program over sequences: sums, products, filters, row constants."""
    n_rows = draw(st.integers(1, 4))
    mode = draw(st.sampled_from(["causal", "circular"]))
    circuit = Circuit(n_rows, mode)
    pool = [circuit.input("x"), circuit.input("y"), circuit.constant(draw(rationals))]
    pool.append(circuit.row_constants("mask", {draw(st.integers(0, n_rows - 1)): draw(rationals)}))
    for _ in range(draw(st.integers(1, 7))):
        left, right = draw(st.sampled_from(pool)), draw(st.sampled_from(pool))
        operation = draw(st.sampled_from(["add", "multiply", "multiply", "filter"]))
        if operation == "add":
            pool.append(left + draw(rationals) * right)
        elif operation == "multiply":
            pool.append(left * right)
        else:
            pool.append((left + right).convolve(draw(filters)))
    return pool[-3:]
