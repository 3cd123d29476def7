"""The three primitives of Liu et al. 2025 (§3.3, App. D.2), each in one layer: Read, Linear, Multiply."""

from __future__ import annotations

from collections.abc import Sequence as Vector
from functools import partial
from typing import Annotated

import numpy as np

from constructions.algebra.filters import DELTA
from constructions.algebra.rationals import as_count, as_fraction, is_integer
from constructions.algebra.terms import Form, Terms, channels, names, shifted
from constructions.networks.builder import Builder
from constructions.networks.construction import construction
from constructions.networks.layer import Mode
from constructions.networks.network import Network
from constructions.networks.parameters import Channels, Declaration, Place, Rational, Row, Rows
from constructions.networks.tasks import Sequence


def _open(n_rows: int, n_channels: int, mode: Mode = "causal") -> tuple[Builder, np.ndarray]:
    if mode not in ("causal", "circular"):
        raise ValueError(f"mode must be 'causal' or 'circular', got {mode!r}")
    n_rows, n_channels = as_count("n_rows", n_rows), as_count("n_channels", n_channels)
    return Builder(n_rows, [f"u[{d}]" for d in range(n_channels)], mode), channels("u", n_channels)


def _close(builder: Builder, outputs: np.ndarray, n_channels: int) -> Network:
    return builder.build(outputs, partial(Sequence, builder.n_rows, n_channels, n_inputs=len(builder.inputs)))


def _block(name: str, start: int, stop: int, n_channels: int) -> slice:
    if not (is_integer(start) and is_integer(stop) and 0 <= start <= stop <= n_channels):
        raise ValueError(f"{name} must be channels start:stop within 0:{n_channels}, got {start!r}:{stop!r}")
    return slice(start, stop)


@construction
def read(
    *, n_rows: Rows, n_channels: Channels, source: Row, target: Row, start: Place, stop: Place, mode: Mode = "causal"
) -> Network:
    """Copy channels ``start:stop`` of row ``source`` into row ``target``; everything else is unchanged (Read, App. D.2).

    ``u' = u ⊙ (1 − e) + (shift ⋆ u) ⊙ e`` with e the indicator of the target row, a positional channel. Rows count from 0.
    Raises ``ValueError`` when the rows or channels are out of range, and for a causal Read from a later row.
    """
    builder, u = _open(n_rows, n_channels, mode)
    for name, row in (("source", source), ("target", target)):
        if not (is_integer(row) and 0 <= row < n_rows):
            raise ValueError(f"{name} must be a row from 0 to {n_rows - 1}, got {row!r}")
    if mode == "causal" and source > target:
        raise ValueError(
            f"a causal layer cannot read row {source} into the earlier row {target}: use mode='circular', or source <= target"
        )
    block = _block("the channels read", start, stop, n_channels)
    at_target = builder.position("at_target", {target: 1})
    new = u.copy()
    # Not u * (1 - at_target), which the algebra expands to u - u * at_target: floating point would have to cancel them.
    kept = [Terms.product(DELTA, channel, 1 - at_target) for channel in u[block]]
    new[block] = np.array(kept, dtype=object) + shifted(u[block], (target - source) % n_rows) * at_target
    return _close(builder, builder.layer(y=new), n_channels)


@construction
def linear(
    *,
    n_rows: Rows,
    weight: Annotated[Vector[Vector[Rational]], Declaration("matrix, n_in × n_out, as nested lists")],
    bias: Annotated[Vector[Rational] | None, Declaration("n_out numbers")] = None,
) -> Network:
    """``u ↦ u W + c`` with rational ``weight`` (n_in × n_out) and ``bias`` (n_out, zero when left out), at every row (Linear).

    Raises ``ValueError`` for a ragged or empty weight or a bias of another length, ``TypeError`` for floats.
    """
    rows = [list(row) for row in (weight.tolist() if hasattr(weight, "tolist") else weight)]
    if not rows or not rows[0] or {len(row) for row in rows} != {len(rows[0])}:
        raise ValueError("weight must be a non-empty matrix with rows of one length (n_in × n_out)")
    matrix = np.array([[as_fraction("weight", entry) for entry in row] for row in rows], dtype=object)
    offset = [as_fraction("bias", entry) for entry in (bias if bias is not None else [0] * matrix.shape[1])]
    if len(offset) != matrix.shape[1]:
        raise ValueError(f"bias must have {matrix.shape[1]} entries, one an output channel, got {len(offset)}")
    builder, u = _open(n_rows, len(rows))
    inputs = names("u", len(u))
    forms = [
        Form(dict(zip(inputs, column, strict=True)), start) for column, start in zip(matrix.T, offset, strict=True)
    ]
    return _close(builder, builder.layer(y=np.array(forms, dtype=object)), len(rows))


@construction
def multiply(
    *, n_rows: Rows, n_channels: Channels, left: Place, right: Place, target: Place, length: Channels
) -> Network:
    """Channels ``target:target+length`` become ``u[:, left:left+length] ⊙ u[:, right:right+length]`` (Multiply, App. D.2).

    Everything else is unchanged. Raises ``ValueError`` when a block leaves the channels.
    """
    builder, u = _open(n_rows, n_channels)
    p, q, r = (
        _block(name, start, start + length if is_integer(start) else start, n_channels)
        for name, start in (("left", left), ("right", right), ("target", target))
    )
    new = u.copy()
    new[r] = u[p] * u[q]
    return _close(builder, builder.layer(y=new), n_channels)
