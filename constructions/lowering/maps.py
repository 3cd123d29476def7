"""Sparse linear maps in floating point: a ladder of gathers, CSR, or dense."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Literal, cast

import torch
from torch import Tensor, nn

Entries = Mapping[tuple[int, int], Fraction]
"""``{(output, input): weight}``."""

Sums = Literal["any", "fixed"]
"""In which order sums are taken: whichever is fastest, or one that the network alone decides."""
LADDER_STEPS = 3
"""Maps with at most this many entries an output are gathered."""
TINY_ELEMENTS = 2**12
"""Maps with at most this many elements are dense, unless one gather does: a single small product is fastest."""
DENSE_ELEMENTS = 2**15
"""Maps with at most this many elements are dense whatever their density."""
DENSE_DENSITY = 0.1
"""Larger maps are dense from this density on."""


FLOAT_DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def as_float_dtype(dtype: torch.dtype | None) -> torch.dtype:
    """``dtype``, or float64 for None; ``ValueError`` for a dtype in which no network can run."""
    dtype = dtype or torch.float64
    if dtype not in FLOAT_DTYPES:
        names = ", ".join(map(str, FLOAT_DTYPES))
        raise ValueError(f"a network is lowered to a floating-point dtype ({names}), got {dtype!r}")
    return dtype


def refuse_other_dtype(change: Callable[[Tensor], Tensor], dtype: torch.dtype) -> None:
    """Raises ``TypeError`` where a change of a module's tensors (``.float()``, ``.to(dtype)``) would round exact weights
    a second time."""
    wanted = change(torch.empty(0, dtype=dtype)).dtype
    if wanted != dtype:
        raise TypeError(
            f"the weights of this network were rounded to {dtype} once, from exact ones, and {wanted} would round them again: "
            f"lower the network anew with to_torch(dtype={wanted})"
        )


def refuse_other_state(state: Mapping[str, Tensor], prefix: str, dtype: torch.dtype) -> None:
    """Raises ``TypeError`` where loading a state would convert weights to ``dtype``: a second rounding, or more digits in
    name than in fact."""
    for name, value in state.items():
        if name.startswith(prefix) and value.is_floating_point() and value.dtype != dtype:
            raise TypeError(
                f"the state holds {name!r} in {value.dtype}, and this network was lowered to {dtype}: loading would convert "
                f"weights that were rounded once, from exact ones; load it into to_torch(dtype={value.dtype})"
            )


def rounded(values: Iterable[Fraction], dtype: torch.dtype) -> Tensor:
    """Rationals rounded to ``dtype``; raises ``OverflowError`` where one is too large for it."""
    exact = list(values)
    try:
        result = torch.tensor([float(value) for value in exact], dtype=torch.float64).to(dtype)
        overflows = not bool(torch.isfinite(result).all())
    except OverflowError:
        overflows = True
    if overflows:
        largest = max(exact, key=abs)
        raise OverflowError(f"a weight of about 10^{len(str(int(abs(largest)))) - 1} overflows {dtype}")
    return result


class Gather(nn.Module):
    """One entry for each of some outputs: ``y[rows] += weights · x[columns]``."""

    rows: Tensor
    columns: Tensor
    weights: Tensor | None

    def __init__(self, entries: list[tuple[int, int, Fraction]], dtype: torch.dtype) -> None:
        super().__init__()
        rows, columns, weights = zip(*entries, strict=True)
        consecutive = rows == tuple(range(rows[0], rows[0] + len(rows)))
        self.where = slice(rows[0], rows[-1] + 1) if consecutive else None
        self.register_buffer("rows", torch.tensor(rows))
        self.register_buffer("columns", torch.tensor(columns))
        plain = all(weight == 1 for weight in weights)
        self.register_buffer("weights", None if plain else rounded(weights, dtype).unsqueeze(1))

    def forward(self, x: Tensor) -> Tensor:
        gathered = x.index_select(0, self.columns)
        return gathered if self.weights is None else gathered * self.weights

    def add_to(self, y: Tensor, x: Tensor) -> None:
        if self.where is None:
            y.index_add_(0, self.rows, self.forward(x))
        else:
            y[self.where] += self.forward(x)


class SparseProduct(nn.Module):
    """The product with a sparse matrix in compressed rows: ``starts``, ``columns`` and ``weights``."""

    starts: Tensor
    rows: Tensor
    columns: Tensor
    weights: Tensor

    def __init__(self, n_out: int, n_in: int, entries: Entries, dtype: torch.dtype) -> None:
        super().__init__()
        ordered = sorted(entries)
        rows, columns = (torch.tensor(indices) for indices in zip(*ordered, strict=True))
        self.shape = (n_out, n_in)
        self.register_buffer("starts", nn.functional.pad(torch.bincount(rows, minlength=n_out).cumsum(0), (1, 0)))
        self.register_buffer("rows", rows)
        self.register_buffer("columns", columns)
        self.register_buffer("weights", rounded([entries[key] for key in ordered], dtype))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The map of ``x``, plus ``y`` where it is given."""
        if not torch.compiler.is_compiling():
            try:
                matrix = self._matrix()
                return matrix @ x if y is None else torch.addmm(y, matrix, x)
            except RuntimeError:  # PyTorch maps and differentiates (torch.func) no compressed rows
                pass
        terms = self.weights[:, None] * x.index_select(0, self.columns)
        y = x.new_zeros(self.shape[0], x.shape[1]) if y is None else y
        return y.index_add(0, self.rows, terms)

    def _matrix(self) -> Tensor:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta", UserWarning)
            return torch.sparse_csr_tensor(self.starts, self.columns, self.weights, self.shape, check_invariants=False)


class LoweredMap(nn.Module):
    """A sparse linear map from (n_in, m) to (n_out, m).

    ``selects`` asks for the ladder where it is possible at all: it never multiplies an entry by zero, nor in reduced
    precision (TF32), so that a product with an indicator (Read) stays exact. With ``sums`` fixed it is always a ladder, whose
    sums run from the first entry of an output to the last, whatever else is computed beside it.
    """

    matrix: Tensor | None

    def __init__(self, n_out: int, n_in: int, entries: Entries, dtype: torch.dtype, selects: bool = False,
        sums: Sums = "any",
    ) -> None:  # fmt: skip
        super().__init__()
        self.n_out, self.n_in, self.dtype = n_out, n_in, dtype
        by_output: dict[int, list[tuple[int, int, Fraction]]] = defaultdict(list)
        for (row, column), weight in sorted(entries.items()):
            by_output[row].append((row, column, weight))
        self.covers = len(by_output) == n_out
        n_steps = max(map(len, by_output.values()), default=0)
        n_elements = n_out * n_in
        is_dense = n_elements <= DENSE_ELEMENTS or len(entries) >= DENSE_DENSITY * n_elements
        tiny = n_elements <= TINY_ELEMENTS and not selects and not (n_steps == 1 and self.covers)
        no_csr = dtype not in (torch.float32, torch.float64)
        self.steps = nn.ModuleList()
        self.sparse: SparseProduct | None = None
        if sums == "fixed" or (n_steps <= LADDER_STEPS and not tiny) or (not is_dense and no_csr):
            for step in range(n_steps):
                self.steps.append(Gather([items[step] for items in by_output.values() if len(items) > step], dtype))
            self.register_buffer("matrix", None)
        elif is_dense:
            self.register_buffer("matrix", dense(n_out, n_in, entries, dtype))
        else:
            self.register_buffer("matrix", None)
            self.sparse = SparseProduct(n_out, n_in, entries, dtype)

    @property
    def kind(self) -> str:
        """ "ladder", "dense" or "csr"."""
        if self.sparse is not None:
            return "csr"
        return "ladder" if self.matrix is None else "dense"

    def forward(self, x: Tensor) -> Tensor:
        if self.sparse is not None:
            return self.sparse.forward(x)
        if self.matrix is not None:
            return self.matrix @ x
        if self.covers and len(self.steps):
            first, *later = self.steps
            y: Tensor = first.forward(x)
        else:
            y, later = x.new_zeros(self.n_out, x.shape[1]), list(self.steps)
        for step in later:
            cast(Gather, step).add_to(y, x)
        return y

    def add_to(self, y: Tensor, x: Tensor) -> Tensor:
        """``y`` plus the map of ``x``; ``y`` may be overwritten."""
        if self.sparse is not None:
            return self.sparse.forward(x, y)
        if self.matrix is not None:
            return torch.addmm(y, self.matrix, x)
        for step in self.steps:
            cast(Gather, step).add_to(y, x)
        return y


def dense(n_out: int, n_in: int, entries: Entries, dtype: torch.dtype) -> Tensor:
    """The matrix with these entries."""
    matrix = torch.zeros(n_out, n_in, dtype=dtype)
    if not entries:  # products whose convolved factors are all constant
        return matrix
    rows, columns = zip(*entries, strict=True)
    matrix[list(rows), list(columns)] = rounded(entries.values(), dtype)
    return matrix
