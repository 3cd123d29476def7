"""The real stationary points of a population loss: all of them, and what kind each is.

For every choice of slices of the scalings (:func:`charts`), the stationary points are the zeros of the gradient on the
slice; :mod:`ideals` splits them into varieties, :mod:`strata` into rational graphs and algebraic points, and here each
stratum is split by the signature of the Hessian in the slice:

* a negative eigenvalue: a **saddle** (strict);
* semidefinite, and the kernel no larger than the tangent space of the stationary set at that point (Morse–Bott): the
  loss grows quadratically across the set, which is therefore a set of local minima: **global minimum** or **spurious
  minimum**;
* semidefinite with a larger kernel: a **degenerate saddle**, where an explicit curve descends (:mod:`descent`) or
  where strict saddles of the same loss accumulate: the loss is constant along a connected set of stationary points,
  and there are lower values next to each strict saddle, hence as near as one likes.

Whatever falls under none of these is reported as ``unresolved`` and the classification as not complete.

Slices are enough: the scaling group acts freely on the points of a chart, whose coordinates together with s are
coordinates of all weights, and the loss does not depend on s. A point of the chart where one weight is set to 1 stands
for its orbit, of one dimension more. Zeros in the weights *before* that one cut the chart's points out of the set, but
they stay directions of the Hessian. A layer at several rows is classified by the one at one row, where
:mod:`precls_theory.landscape.rows` says how. The conclusion "global" needs the least value of the loss: it is 0, or attained.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from precls_theory.landscape import rows
from precls_theory.landscape.components import (
    DEGENERATE,
    GLOBAL,
    LOCAL,
    NO_POINT,
    SADDLE,
    SPURIOUS,
    UNRESOLVED,
    Component,
)
from precls_theory.landscape.graphs import Decompose, components
from precls_theory.landscape.ideals import varieties
from precls_theory.landscape.problems import Landscape, Problem
from precls_theory.landscape.slices import Slice
from precls_theory.landscape.slices import charts as charts


@dataclass(frozen=True, eq=False)
class Classification:
    """All components of one problem; ``complete`` says that nothing was left open."""

    problem: Problem
    components: tuple[Component, ...]
    complete: bool
    infimum: str

    @property
    def real(self) -> tuple[Component, ...]:
        return tuple(component for component in self.components if component.real)


def classify(
    problem: Problem, report: Callable[[str], None] = lambda text: None, decompose: Decompose = varieties
) -> Classification:
    """Every real stationary point of the problem's loss, by kind. ``report`` hears of each chart that is begun.

    ``decompose`` is the engine; :func:`precls_theory.landscape.singular.decompose` reaches a little farther.
    """

    def of_slice(piece: Slice) -> Iterator[Component]:
        report(", ".join(f"{name}={value}" for name, value in piece.chart.fixed.items()))
        return components(piece, decompose)

    if problem.row_wise is not None:
        found = list(rows.components(problem, problem.row_wise, of_slice))
    else:
        found = [component for chart in charts(problem) for component in of_slice(Slice(problem, chart))]
    least, attained = infimum(problem, found)
    named = tuple(by_theorem(with_name(component, least), problem, least) for component in found)
    order = {GLOBAL: 0, SPURIOUS: 1, LOCAL: 2, DEGENERATE: 3, SADDLE: 4, UNRESOLVED: 5, NO_POINT: 6}
    named = tuple(
        sorted(
            map(without_point, named),
            key=lambda c: (order[c.kind], -1 if c.loss is None else float(c.loss), -c.dimension),
        )
    )
    complete = all(component.kind not in (UNRESOLVED, LOCAL) for component in named)
    return Classification(problem, named, complete, attained)


def with_name(component: Component, least: Fraction | None) -> Component:
    """A component at the least value of the loss is a global minimum, whatever its Hessian; other minima are spurious."""
    if least is None or component.loss is None:
        return component
    if component.real and component.point and component.loss.rational == least:
        return replace(component, kind=GLOBAL, descent=None, reason=f"the loss is {least}, its greatest lower bound")
    if component.kind == LOCAL and component.loss.rational == least:
        return replace(
            component, kind=GLOBAL
        )  # a parametrised set, which has real points, where no small one was found
    return replace(component, kind=SPURIOUS) if component.kind == LOCAL else component


def without_point(component: Component) -> Component:
    """Says so where a set of saddles is described, and no real point of it was found: it is not proved to have one."""
    if not component.real or component.point or component.kind not in (SADDLE, DEGENERATE):
        return component
    return replace(component, reason=f"{component.reason}; no point is shown: the set may be empty")


def by_theorem(component: Component, problem: Problem, least: Fraction | None) -> Component:
    """What a registered theorem says of every stationary point above the least loss, where the engine did not decide."""
    above = component.loss is not None and component.loss.rational is not None and component.loss.rational != least
    if component.kind == UNRESOLVED and above and problem.others_are_saddles and least is not None:
        return replace(component, kind=SADDLE, reason=f"theorem {problem.others_are_saddles}")
    return component


def infimum(problem: Problem, components: Sequence[Component]) -> tuple[Fraction | None, str]:
    """The greatest lower bound of the loss and what it rests on, or None where this engine cannot tell."""
    known = problem.exact is not None and problem.loss.at(problem.exact) == 0
    if known or any(c.real and c.loss is not None and c.loss.rational == 0 and c.point for c in components):
        return Fraction(0), "0, attained (a mean square is not negative)"
    if problem.least is not None:
        return problem.least[0], f"{problem.least[0]}, attained (theorem {problem.least[1]})"
    if problem.vanishing is not None:
        value = loss_along(problem, problem.vanishing)
        if min(value) > 0:
            return Fraction(0), "0, not attained: the loss is " + show_powers(value) + " along a curve to infinity"
    return None, "not determined"


def loss_along(problem: Problem, curve: dict[str, dict[int, Fraction]]) -> dict[int, Fraction]:
    """The loss along a curve of Laurent polynomials in ε, as ``{power: coefficient}``."""
    total: dict[int, Fraction] = {}
    for monomial, coefficient in problem.loss.polynomial.to_dict().items():
        term = {0: Fraction(int(coefficient.p), int(coefficient.q))}
        for name, exponent in zip(problem.loss.names, map(int, monomial), strict=True):
            for _ in range(exponent):
                product: dict[int, Fraction] = {}
                for (a, x), (b, y) in itertools.product(term.items(), curve[name].items()):
                    product[a + b] = product.get(a + b, Fraction(0)) + x * y
                term = product
        for power, value in term.items():
            total[power] = total.get(power, Fraction(0)) + value
    return {power: value for power, value in total.items() if value} or {0: Fraction(0)}


def show_powers(value: dict[int, Fraction]) -> str:
    return " + ".join(f"{c}·ε^{power}" if c != 1 else f"ε^{power}" for power, c in sorted(value.items()))


def classify_all(
    whole: Landscape, report: Callable[[str], None] = lambda text: None, decompose: Decompose = varieties
) -> list[Classification]:
    """The parts of a landscape, each classified."""
    return [
        classify(part, lambda text, part=part: report(f"{part.name}: {text}"), decompose)  # type: ignore[misc]
        for part in whole.parts
    ]
