"""What is drawn is what is there: an edge for each weight, the errors between the bounds; and pictures are saved safely."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import sympy as sp
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

import constructions as C
from precls_theory.approximation.error import errors_at
from precls_theory.landscape import classify_all, landscape
from precls_theory.pictures.approximation import plot_error
from precls_theory.pictures.circuit import CONV, draw
from precls_theory.pictures.landscape import draw_landscape
from precls_theory.pictures.saving import save_figure


def test_a_circuit_has_an_edge_for_each_weight_of_a_channel(tmp_path: Path) -> None:
    network = C.compile_polynomials(["x**2*y - 3*z", "x*y + 1"])
    axes = draw(network, tmp_path / "circuit.svg").axes[0]
    drawn = [len(c.get_segments()) for c in axes.collections if isinstance(c, LineCollection)]
    weights = [int((m.columns < m.n_in).sum()) for layer in network.layers for m in (layer.conv, layer.gate, layer.out)]
    assert drawn == weights
    assert {text.get_text() for text in axes.texts} >= {"x", "y", "z"}
    hidden = [line for line in axes.lines if line.get_marker() == "D"]
    assert [len(line.get_xdata()) for line in hidden] == [layer.width for layer in network.layers]
    assert CONV in {line.get_color() for line in axes.lines}


def test_an_error_is_drawn_between_its_bounds() -> None:
    x = sp.Symbol("x")
    network = C.approximate(sp.exp(x), {x: (0, 1)}, "1e-4")
    axes = plot_error(network, [sp.exp(x)], n_points=5).axes[0]
    drawn, *bounds = axes.lines
    points = np.array([[Fraction(i, 4)] for i in range(5)], dtype=object)
    assert np.array_equal(drawn.get_ydata(), errors_at(network, [sp.exp(x)], points)[:, 0])
    assert [line.get_ydata()[0] for line in bounds] == [-float(network.error_bound), float(network.error_bound)]
    assert np.abs(np.asarray(drawn.get_ydata())).max() <= float(network.error_bound)


def test_a_landscape_has_a_mark_for_each_stationary_set() -> None:
    parts = classify_all(landscape("square"))
    axes = draw_landscape(parts).axes[0]
    drawn = sorted((round(line.get_xdata()[0]), line.get_ydata()[0]) for line in axes.lines)
    assert drawn == sorted((c.dimension, float(c.loss)) for c in parts[0].real)
    assert set(axes.get_legend_handles_labels()[1]) == {c.kind for c in parts[0].real}


def test_pictures_are_written_as_safely_as_all_else(tmp_path: Path) -> None:
    figure = Figure()
    save_figure(figure, tmp_path / "a.PNG")
    assert (tmp_path / "a.PNG").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match=r"expected a file ending in \.png, \.svg, \.pdf"):
        save_figure(figure, tmp_path / "a.bmp")
    with pytest.raises(OSError, match=r"a\.PNG.*same file"):
        save_figure(figure, tmp_path / "a.PNG", inputs=[tmp_path / "a.PNG"])
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(IsADirectoryError):
        save_figure(figure, tmp_path / "folder.png")
