"""Evaluate a traced model in ball arithmetic: values and derivatives along a line, as rigorous enclosures.

The same graph that the growth certificate walks is evaluated over Arb balls (Johansson 2017) instead of floats.  Along
``u(s) = u + s v`` every tensor is a truncated power series in s (a jet), so one pass gives the value (order 0) and the
directional derivatives, all enclosed.  At a ReLU the sign of the argument must be certain for derivatives to exist;
the signs seen are the *piece* of the model that holds in a neighbourhood of ``u``.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TypeAlias

import flint
import numpy as np
from torch import Tensor

from precls_theory.enclosures.jets import Jet, balls
from precls_theory.expressivity.balls import functions as _functions  # noqa: F401  (fill the records)
from precls_theory.expressivity.balls.errors import Unsupported
from precls_theory.expressivity.growth.operation import OPERATIONS, Operation
from precls_theory.expressivity.tracing.program import Call, Inconclusive, Number, Program, walk

ExactNested: TypeAlias = "int | float | Fraction | flint.fmpq | flint.arb | Sequence[ExactNested]"
"""Exact numbers, or balls, in nested sequences."""

JetLike: TypeAlias = Jet | Tensor | Number
"""What :meth:`Evaluator.jet` takes: a ``Tensor`` or ``Scalar`` of the schema, whether it depends on the input or not."""

InputLike: TypeAlias = "ExactNested | np.ndarray | Tensor"
"""Inputs of a model; floats count as the numbers that they are."""


class BallContext:
    """What the rules that move entries ask for, with jets in place of growths."""

    pieces, rounding = False, None

    def __init__(self, evaluator: Evaluator, call: Call[Jet]) -> None:
        self.evaluator, self.call, self.kind = evaluator, call, 0
        self.place, self.name, self.several = call.place, call.name, call.several
        self.outs, self.shape, self.dtype = call.outs, call.shape, call.dtype

    def fail(self, reason: str) -> Exception:
        """The error to raise when the operation has no enclosure."""
        return Unsupported(f"{self.place}: {self.name}: {reason}")

    def growth(self, x: JetLike) -> Jet:
        """An operand as a jet."""
        return self.evaluator.jet(x)

    def number(self, x: object) -> float:
        """A parameter."""
        if not isinstance(x, Tensor | int | float):
            raise self.fail(f"expected a number, got {type(x).__name__}")
        return float(x)

    def placed(self, where: Tensor, sources: list[Jet], fill: float) -> Jet:
        """``concatenated(sources)[where]``, coefficient by coefficient."""
        length = max(len(x.coefficients) for x in sources)
        index = where.numpy()
        out = []
        for k in range(length):
            parts = [
                x.coefficients[k].reshape(-1)
                if k < len(x.coefficients)
                else np.full(x.numel, flint.arb(0), dtype=object)
                for x in sources
            ]
            flat = np.concatenate([*parts, np.array([flint.arb(fill if k == 0 else 0)], dtype=object)])
            out.append(flat[index])
        return Jet(out, self.evaluator.order)


class Evaluator:
    """Evaluates a traced program on jets; after a run, ``signs`` holds the sign of every ReLU argument.

    ``pattern`` evaluates the piece with those signs instead, continued to all inputs: the masked model F_s, in which
    a ReLU multiplies by 1 or 0 according to the pattern and not to its argument.
    """

    def __init__(self, program: Program, order: int = 0, pattern: Sequence[int] | None = None) -> None:
        self.program, self.order, self.pattern = program, order, pattern
        self.signs: list[int] = []
        self._start: list[np.ndarray] = []

    def __call__(self, u: InputLike, direction: InputLike | None = None) -> Jet:
        """Jet of the model's output along ``u + s·direction``."""
        self._start = [balls(u)] + ([] if direction is None else [balls(direction)])
        self.signs = []
        if self._start[0].shape != self.program.input_shape:
            raise ValueError(
                f"the model was traced for inputs of shape {self.program.input_shape}, got {self._start[0].shape}"
            )
        try:
            output = walk(self.program, self)
        except Inconclusive as error:
            raise Unsupported(str(error)) from error
        return self.jet(output)

    def start(self, program: Program) -> Jet:
        """The line ``u + s v``."""
        return Jet(self._start, self.order)

    def jet(self, x: JetLike) -> Jet:
        """An operand as a jet; constants have order 0."""
        return x if isinstance(x, Jet) else Jet([balls(x)], self.order)

    def apply(self, call: Call[Jet]) -> Jet | tuple[Jet, ...]:
        """The record's evaluation, checked against the shape that PyTorch computes."""
        record: Operation | None = OPERATIONS.get(call.target)
        if record is None or (record.ball is None and not record.moves):
            raise Unsupported(f"{call.place}: {call.target} has no ball evaluation")
        arguments = {name: value for name, value in call.arguments.items() if name != "dtype"}
        try:
            if record.moves:
                result = record.growth(BallContext(self, call), **arguments)
            else:
                assert record.ball is not None
                result = record.ball(self, **arguments)
        except (TypeError, AttributeError, KeyError, IndexError) as error:
            raise Unsupported(f"{call.place}: {call.name}: this call has no ball evaluation ({error})") from error
        found: list[Jet] = []
        for x, out in zip(result if isinstance(result, tuple) else (result,), call.outs, strict=False):
            if not isinstance(x, Jet) or x.shape != tuple(out.shape):
                raise Unsupported(f"{call.place}: {call.name}: this call has no ball evaluation")
            found.append(x)
        return tuple(found) if isinstance(result, tuple) else found[0]


def evaluate(program: Program, u: InputLike, bits: int = 256) -> np.ndarray:
    """Enclosures of the model's exact output at ``u`` (an object array of balls).

    Raises:
        Unsupported: an operation has no ball evaluation.
    """
    with flint.ctx.workprec(bits):
        return Evaluator(program)(u).coefficients[0]
