"""Curves of stationary points: a rational graph over the line, which falls into intervals and points of one kind each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import flint

from precls_theory.landscape.components import DEGENERATE, LOCAL, SADDLE, UNRESOLVED, Component, Value, decimal
from precls_theory.landscape.isolated import at_rational
from precls_theory.landscape.kinds import ACCUMULATE, QUARTIC, kind_of
from precls_theory.landscape.line import Break, Interval, break_points, inside_interval, open_intervals, univariate
from precls_theory.landscape.quartic import normal_quartic
from precls_theory.landscape.roots import at_root, sign
from precls_theory.landscape.signature import Signature
from precls_theory.landscape.slices import Slice
from precls_theory.landscape.strata import Graph


@dataclass(frozen=True, eq=False)
class Cell:
    """An open interval of the line, or one of its break points, with what is known there."""

    kind: str
    reason: str
    signature: Signature
    interval: Interval | None
    place: Break | None


def of_curve(
    piece: Slice, graph: Graph, equations: tuple[str, ...], loss: Value, symmetric: list[flint.fmpq_mpoly], tangent: int
) -> Iterator[Component]:
    """A graph over one variable: the line falls into intervals and points at the real roots of the e_k and of δ."""
    orbit = len(piece.chart.units)
    name = graph.free[0]
    lines = [univariate(value) for value in symmetric]
    denominator = univariate(graph.denominator)
    breaks = break_points([*lines, denominator])
    intervals = open_intervals(breaks)
    cells: list[Cell] = []
    for index, interval in enumerate(intervals):
        signature = Signature.of_signs([sign(line(interval[1])) for line in lines])
        kind, reason = kind_of(signature, tangent)
        cells.append(Cell(kind, reason, signature, interval, None))
        if index < len(breaks) and not breaks[index].is_root_of(denominator):
            signature = Signature.of_signs([breaks[index].sign_of(line) for line in lines])
            kind, reason = kind_of(signature, tangent)
            cells.append(Cell(kind, reason, signature, None, breaks[index]))
    for index, cell in enumerate(cells):
        if cell.place is not None and cell.place.rational is not None and cell.kind == UNRESOLVED:
            exact = at_rational(piece, [graph.point([cell.place.rational])[n] for n in piece.names], 0, (), tangent)
            cells[index] = cell = replace(cell, kind=exact.kind, reason=exact.reason)
        beside = [cells[j].kind for j in (index - 1, index + 1) if 0 <= j < len(cells)]
        if cell.place is not None and cell.kind == UNRESOLVED and SADDLE in beside:
            cells[index] = replace(cell, kind=DEGENERATE, reason=ACCUMULATE)
    if tangent == 1 and any(cell.kind == UNRESOLVED for cell in cells):
        cells = by_quartic(piece, graph, cells)
    for kind in dict.fromkeys(cell.kind for cell in cells):
        members = [cell for cell in cells if cell.kind == kind]
        shown = max(members, key=lambda cell: cell.interval is not None)
        whole = all(cell.kind == kind for cell in cells) and denominator.degree() <= 0
        point, descent, reason = on_curve(piece, graph, shown.place, shown.interval), None, shown.reason
        if shown.interval is None and shown.place is not None and shown.place.rational is not None:
            exact = at_rational(piece, [graph.point([shown.place.rational])[n] for n in piece.names], 0, (), tangent)
            descent, reason = exact.descent, exact.reason if exact.kind == kind else reason
        yield Component(
            kind, int(shown.interval is not None) + orbit, loss, True, equations,
            () if whole else (show_cells(name, cells, kind),), point, shown.signature, descent, reason,
        )  # fmt: skip


def on_curve(piece: Slice, graph: Graph, place: Break | None, interval: Interval | None) -> dict[str, str]:
    """The point over a rational number in the interval or at the break, exact where that is rational."""
    inside = interval[1] if interval is not None else place.rational if place is not None else None
    if inside is not None:
        return piece.full_point(piece.shown([graph.point([inside])[name] for name in piece.names]))
    assert place is not None
    bottom = at_root(univariate(graph.denominator), place.polynomial, place.index)
    values = [at_root(univariate(top), place.polynomial, place.index) / bottom for top in graph.numerators]
    return piece.full_point({name: decimal(value) for name, value in zip(piece.names, values, strict=True)})


def by_quartic(piece: Slice, graph: Graph, cells: list[Cell]) -> list[Cell]:
    """Cells whose Hessian has one more zero than the set has dimensions, decided by the fourth order; see there."""
    quartic = normal_quartic(piece, graph)
    if quartic is None:
        return cells
    result = []
    for cell in cells:
        if cell.kind == UNRESOLVED and cell.interval is not None and cell.signature.zero == 2:
            low, inside, high = cell.interval
            roots = [b for factor in quartic for b in break_points([factor])]
            if not any(inside_interval(b, low, high) for b in roots):
                value = quartic[0](inside) * quartic[1](inside)
                if value > 0:
                    cell = replace(cell, kind=LOCAL, reason=QUARTIC)
                elif value < 0:
                    cell = replace(cell, kind=DEGENERATE, reason="the loss decreases at order 4 across the set")
        result.append(cell)
    return result


def show_cells(name: str, cells: Sequence[Cell], kind: str) -> str:
    """Where on the line the cells of this kind are, neighbours joined."""
    runs: list[list[Cell]] = []
    for before, cell in zip([None, *cells], cells, strict=False):
        if cell.kind == kind:
            joined = before is not None and before.kind == kind and (before.place is None) != (cell.place is None)
            if joined:
                runs[-1].append(cell)
            else:
                runs.append([cell])
    return " or ".join(show_run(name, run) for run in runs)


def show_run(name: str, run: Sequence[Cell]) -> str:
    first, last = run[0], run[-1]
    if len(run) == 1 and first.place is not None:
        return f"{name} = {first.place}"
    low = None if first.interval is None else first.interval[0]
    high = None if last.interval is None else last.interval[2]
    left = f"{first.place} <= " if first.place is not None else f"{low} < " if low is not None else ""
    right = f" <= {last.place}" if last.place is not None else f" < {high}" if high is not None else ""
    if left and not right:
        sign_ = ">=" if first.place is not None else ">"
        return f"{name} {sign_} {first.place if first.place is not None else low}"
    return f"{left}{name}{right}" if left or right else f"{name} real"
