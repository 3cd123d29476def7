"""The atlas as a picture: an SVG grid, and an HTML page with the same grid and the evidence of every cell."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape

from precls_theory.expressivity.atlas import TARGETS, Cell

_LEFT, _COLUMN, _ROW, _TOP, _BOTTOM = 330, 290, 34, 44, 40
_COLOURS = {"yes": "#1b7837", "no": "#b35806", "refused": "#7f0000"}
"""Green and orange that colour-blind readers tell apart; each cell also says its outcome in words."""


def rows(cells: Sequence[Cell]) -> list[tuple[str, list[Cell]]]:
    """The cells by architecture, in order: (name, cells)."""
    grouped: dict[str, list[Cell]] = {}
    for cell in cells:
        grouped.setdefault(cell.name, []).append(cell)
    return list(grouped.items())


def outcome(cell: Cell) -> str:
    """``yes`` (a construction), ``no`` (impossible), or ``refused`` (its check failed)."""
    return "refused" if cell.status == "refused" else "yes" if cell.expresses else "no"


def label(cell: Cell) -> str:
    """The few words that a picture has room for."""
    return {"yes": cell.summary, "no": "impossible", "refused": "CHECK FAILED"}[outcome(cell)]


def svg(cells: Sequence[Cell]) -> str:
    """A standalone SVG: one row an architecture, one column a target, each cell with its theorem as a tooltip."""
    table = rows(cells)
    width, height = _LEFT + _COLUMN * len(TARGETS), _TOP + _ROW * len(table) + _BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="13" role="img" aria-label="What each architecture can express">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for column, name in enumerate(TARGETS.values()):
        x = _LEFT + _COLUMN * (column + 0.5)
        parts.append(f'<text x="{x}" y="{_TOP - 16}" text-anchor="middle" font-weight="bold">{escape(name)}</text>')
    for number, (name, row) in enumerate(table):
        y = _TOP + _ROW * number
        parts.append(f'<text x="{_LEFT - 10}" y="{y + 21}" text-anchor="end">{escape(name)}</text>')
        for cell in row:
            x = _LEFT + _COLUMN * list(TARGETS).index(cell.target)
            middle = x + _COLUMN / 2
            parts.append(
                f'<g><title>{escape(cell.theorem)}: {escape(cell.summary)}</title>'
                f'<rect x="{x + 2}" y="{y + 2}" width="{_COLUMN - 4}" height="{_ROW - 4}" rx="4" '
                f'fill="{_COLOURS[outcome(cell)]}"/>'
                f'<text x="{middle}" y="{y + 21}" text-anchor="middle" fill="white">{escape(label(cell))}</text>'
                "</g>"
            )  # fmt: skip
    note = (
        "Every cell was checked when this was drawn: constructions as polynomial identities, impossibilities by growth."
    )
    parts.append(f'<text x="12" y="{height - 14}" fill="#555">{escape(note)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def html(cells: Sequence[Cell]) -> str:
    """A standalone page: the picture, then for every cell its theorem, outcome and recorded evidence."""
    body = []
    for name, row in rows(cells):
        body.append(f"<h2>{escape(name)}</h2>")
        for cell in row:
            evidence = json.dumps(cell.detail, indent=2, default=str, ensure_ascii=False)
            body.append(
                f'<details class="{outcome(cell)}"><summary><b>{escape(TARGETS[cell.target])}</b>: '
                f"{escape(cell.summary)} <code>{escape(cell.theorem)}</code></summary>"
                f"<pre>{escape(evidence)}</pre></details>"
            )
    style = (
        "body{font-family:sans-serif;max-width:76rem;margin:2rem auto;padding:0 1rem}"
        "pre{background:#f6f6f6;padding:.6rem;overflow:auto}h2{font-size:1rem;margin:1.2rem 0 .3rem}"
        + "".join(f".{name} b{{color:{colour}}}" for name, colour in _COLOURS.items())
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Atlas of expressivity</title>'
        f"<style>{style}</style></head><body><h1>What each architecture can express</h1>\n"
        f"{svg(cells)}{chr(10).join(body)}\n</body></html>\n"
    )
