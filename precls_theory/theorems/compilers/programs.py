"""Programs as a user writes them, run twice: on the compiler's wires, and on values at the rows.

:class:`Values` is the meaning of a program by itself: arrays of a ring with a value at every row, multiplied and added
entry by entry, powers by repeated multiplication, filters by their sums. It knows nothing of wires, instructions,
schedules or networks, so a compiler that misreads a program, and a ``**`` that takes another power, differ from it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, Self, TypeAlias, TypeVar, overload

import numpy as np

import constructions as C
from constructions.algebra.rings import Ring
from constructions.compiler.instructions import Instructions
from precls_theory.proofs.majorants import MAJORANTS, VARIABLE, network_majorant, worst
from precls_theory.proofs.residues import Bound, ResidueProof, Unequal, prove_zero
from precls_theory.registry import Refuted


class Entry(Protocol):
    """What a program computes with: a wire of the compiler, or values at the rows."""

    def __add__(self, other: Self | Fraction | int) -> Self: ...

    def __radd__(self, other: Fraction | int) -> Self: ...

    def __sub__(self, other: Self | Fraction | int) -> Self: ...

    def __mul__(self, other: Self | Fraction | int) -> Self: ...

    def __rsub__(self, other: Fraction | int) -> Self: ...

    def __rmul__(self, other: Fraction | int) -> Self: ...

    def __pow__(self, exponent: int) -> Self: ...

    def shift(self, lag: int) -> Self: ...

    def prefix_sum(self) -> Self: ...

    def total(self) -> Self: ...


Outputs: TypeAlias = Sequence[Entry | np.ndarray]
Body = Callable[..., Outputs]


class Values:
    """A value at every row over a ring, ``rows`` of shape (points, n_rows), with the operators of a wire."""

    def __init__(self, rows: np.ndarray, ring: Ring, circular: bool) -> None:
        self.rows, self.ring, self.circular = rows, ring, circular

    def _of(self, rows: np.ndarray) -> Values:
        return Values(self.ring.reduce(rows), self.ring, self.circular)

    def _other(self, other: Values | Fraction | int) -> np.ndarray:
        return other.rows if isinstance(other, Values) else self.ring.elements([Fraction(other)])

    def __add__(self, other: Values | Fraction | int) -> Values:
        return NotImplemented if isinstance(other, np.ndarray) else self._of(self.rows + self._other(other))

    __radd__ = __add__

    def __mul__(self, other: Values | Fraction | int) -> Values:
        return NotImplemented if isinstance(other, np.ndarray) else self._of(self.rows * self._other(other))

    __rmul__ = __mul__

    def __neg__(self) -> Values:
        return self * -1

    def __sub__(self, other: Values | Fraction | int) -> Values:
        return NotImplemented if isinstance(other, np.ndarray) else self + (-1) * other

    def __rsub__(self, other: Values | Fraction | int) -> Values:
        return -self + other

    def __pow__(self, exponent: int) -> Values:
        result = self._of(self.rows * 0 + self.ring.elements([1]))
        for _ in range(exponent):
            result = result * self
        return result

    def shift(self, lag: int) -> Values:
        """The value ``lag`` rows before: zero before the first row, or around the circle."""
        n_rows = self.rows.shape[-1]
        zero = self.ring.zeros(self.rows.shape[:-1])
        columns = [self.rows[..., (n - lag) % n_rows] if self.circular or n >= lag else zero for n in range(n_rows)]
        return self._of(np.stack(columns, axis=-1))

    def prefix_sum(self) -> Values:
        """Sums over the rows up to and including each."""
        columns = [np.add.reduce(self.rows[..., : n + 1], axis=-1) for n in range(self.rows.shape[-1])]
        return self._of(np.stack(columns, axis=-1))

    def total(self) -> Values:
        """The sum over all rows, at every row."""
        sums = np.add.reduce(self.rows, axis=-1, keepdims=True)
        return self._of(np.broadcast_to(sums, self.rows.shape))


E = TypeVar("E", bound=Entry)
K = TypeVar("K")


@overload
def prefix_sum(value: np.ndarray) -> np.ndarray: ...


@overload
def prefix_sum(value: E) -> E: ...


def prefix_sum(value: Entry | np.ndarray) -> Entry | np.ndarray:
    """The prefix sum of a wire, of values, or of each entry of an array of them."""
    if not isinstance(value, np.ndarray):
        return value.prefix_sum()
    sums: np.ndarray = np.frompyfunc(lambda entry: entry.prefix_sum(), 1, 1)(value)
    return sums


@dataclass(frozen=True)
class Program:
    """``body(**inputs)`` gives the outputs; ``inputs`` the shape of each family, ``constants`` values by row."""

    name: str
    body: Body
    inputs: dict[str, tuple[int, ...]]
    n_rows: int = 1
    circular: bool = False
    constants: dict[str, dict[int, Fraction]] | None = None
    depth: int | None = None

    def compile(self, body: Body | None = None) -> C.Network:
        """The network that the compiler makes of it (of another ``body``, for a control)."""
        circuit = C.Circuit(self.n_rows, "circular" if self.circular else "causal")
        wires: dict[str, C.Wire | np.ndarray] = {n: circuit.input(n, *shape) for n, shape in self.inputs.items()}
        wires |= {name: circuit.row_constants(name, rows) for name, rows in (self.constants or {}).items()}
        return C.compile_circuit(only(C.Wire, flat((body or self.body)(**wires))))

    def run(
        self, draw: Callable[[tuple[int, ...]], np.ndarray], ring: Ring, points: int
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Values drawn for the inputs, (points, n_rows) by channel name, and the outputs (points, n_rows, n_outputs)."""
        data: dict[str, np.ndarray] = {}
        given: dict[str, Values | np.ndarray] = {}

        def value(name: str, rows: np.ndarray) -> Values:
            data[name] = rows
            return Values(rows, ring, self.circular)

        for name, shape in self.inputs.items():
            if not shape:
                given[name] = value(name, draw((points, self.n_rows)))
                continue
            family = given[name] = np.empty(shape, dtype=object)
            for index in np.ndindex(*shape):
                family[index] = value(f"{name}[{','.join(map(str, index))}]", draw((points, self.n_rows)))
        for name, by_row in (self.constants or {}).items():
            rows = ring.elements([by_row.get(row, Fraction(0)) for row in range(self.n_rows)])
            given[name] = Values(np.broadcast_to(rows, (points, self.n_rows)), ring, self.circular)
        outputs = only(Values, flat(self.body(**given)))
        return data, np.stack([np.broadcast_to(output.rows, (points, self.n_rows)) for output in outputs], axis=-1)


def flat(outputs: Outputs) -> list[Entry]:
    """Wires or values, taken out of arrays."""
    return [entry for part in outputs for entry in (part.flat if isinstance(part, np.ndarray) else [part])]


def only(kind: type[K], entries: Sequence[object]) -> list[K]:
    """The entries; ``TypeError`` for one of another kind."""
    for entry in entries:
        if not isinstance(entry, kind):
            raise TypeError(f"a program gives {kind.__name__}, got {type(entry).__name__}: {entry!r}")
    return [entry for entry in entries if isinstance(entry, kind)]


def prove_program(program: Program, network: C.Network, failure_log2: float) -> ResidueProof:
    """``network`` computes what ``program`` says, for all inputs, by residues; raises :class:`Refuted` otherwise."""
    if network.n_rows != program.n_rows or (network.mode == "circular") != program.circular:
        raise Refuted(
            f"{program.name}: the network has {network.n_rows} rows, {network.mode}", {"rows": network.n_rows}
        )
    column = {name: index for index, name in enumerate(network.inputs)}

    def difference(ring: Ring, draw: Callable[[tuple[int, ...]], np.ndarray], points: int) -> np.ndarray:
        data, expected = program.run(draw, ring, points)
        u = ring.zeros((points, network.n_rows, len(network.inputs)))
        for name, rows in data.items():
            if name in column:
                u[..., column[name]] = rows
        return network.evaluate(u, ring)[..., list(network.task.columns)] - expected

    def variables(shape: tuple[int, ...]) -> np.ndarray:
        return np.full(shape, VARIABLE, dtype=object)

    bound = Bound.of_difference(network_majorant(network), worst(program.run(variables, MAJORANTS, 1)[1]))
    try:
        return prove_zero(difference, bound, failure_log2=failure_log2)
    except Unequal as unequal:
        raise Refuted(
            f"{program.name}: {unequal}", {"program": program.name, "index": list(unequal.index)}
        ) from unequal


def random_program(seed: int) -> Program:
    """A random program of ten operations on three inputs: sums, products, powers, rational factors, filters."""
    source = random.Random(seed)
    n_rows, circular = source.choice(((1, False), (1, False), (4, False), (3, True)))
    steps: list[tuple[str, int, int, Fraction]] = []
    filters = ["shift", "total" if circular else "prefix_sum"] if n_rows > 1 else []
    for count in range(10):
        kind = source.choice(["add", "multiply", "multiply", "subtract", "scale", "power", *filters])
        weight = Fraction(source.randint(-5, 5), source.randint(1, 4))
        steps.append((kind, source.randrange(count + 3), source.randrange(count + 3), weight))

    def body(x: Entry, y: Entry, z: Entry) -> Outputs:
        pool = [x, y, z]
        for kind, i, j, weight in steps:
            left, right = pool[i], pool[j]
            pool.append(
                left + right if kind == "add"
                else left - right + weight if kind == "subtract"
                else left * right if kind == "multiply"
                else left * weight if kind == "scale"
                else left ** (2 + j % 3) if kind == "power"
                else left.shift(1) if kind == "shift"
                else getattr(left, kind)()
            )  # fmt: skip
        return pool[-3:]

    return Program(f"random program {seed}", body, {"x": (), "y": (), "z": ()}, n_rows, circular)


def circuit_width_of(parameters: Instructions) -> int:
    """The w of the theorem for a circuit without filters, counted from its instructions by the definition.

    A product's level is one more than the highest among the values that it reads. w is the most, over the levels, of the
    products at a level and the earlier values (inputs or products) that are read by a later level or are an output.
    """
    n_inputs = len(parameters["inputs"]) + len(parameters["row_constants"])
    level = dict.fromkeys(range(n_inputs), 0)
    reads: list[tuple[set[int], int]] = []
    for offset, factors in enumerate(parameters["products"]):
        nodes = {node for factor in factors for _, node, _ in factor if node >= 0}
        level[n_inputs + offset] = 1 + max((level[node] for node in nodes), default=0)
        reads.append((nodes, level[n_inputs + offset]))
    depth = max(level.values(), default=0)
    reads += [({node for _, node, _ in output if node >= 0}, depth + 1) for output in parameters["outputs"]]
    last = {node: max((by for nodes, by in reads if node in nodes), default=0) for node in level}
    return max(
        (
            sum(at == here and node >= n_inputs for node, at in level.items())
            + sum(at < here < last[node] for node, at in level.items())
            for here in range(1, max(depth, 1) + 1)
        ),
        default=0,
    )
