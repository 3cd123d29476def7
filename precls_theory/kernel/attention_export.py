"""A network of linear attention as a list of integers, as ``coq/AttentionCertificate.v`` reads it.

As in :mod:`~precls_theory.kernel.export` only integers are written, and what is not understood becomes a number that the
decoder refuses. A block with an MLP, or with heads without queries, is such a thing.
"""

from __future__ import annotations

import re

from constructions.transformers.blocks import Block, Head
from constructions.transformers.exact import ExactTransformer
from precls_theory.kernel.export import FAMILIES, INDEX, UNKNOWN, NotCovered, chosen, forms, many, rational

ALGORITHM = "linear_attention_gradient_descent"
FORMS = (("step", "separate"), ("step", "E"), ("ternary", "separate"), ("causal", "separate"))
"""Form and layout, by the code that the decoder gives them."""
MASKS = ("full", "causal", "strict")
CODED = {
    "a": ("a", 1), "b": ("b", 0), "x": ("x", 1), "power": ("W", 1), "sum": ("v", 1), "query": ("q", 0), "P": ("P", 2),
    "t": ("c", 1),
}  # fmt: skip
"""Families of channels: the family that stands for each in the library, which has one list of them, and how many indices."""
_NAMES = {
    family: re.compile(family + (rf"\[{','.join([INDEX] * count)}\]" if count else "") + r"\Z")
    for family, (_, count) in CODED.items()
}


def attention_stream(network: ExactTransformer) -> list[int]:
    """``network`` as integers; :class:`~precls_theory.kernel.export.NotCovered` for an algorithm without a theorem."""
    if network.algorithm != ALGORITHM:
        raise NotCovered(
            f"the Coq library has no theorem on the files of algorithm {network.algorithm!r}; of the Transformers it has "
            f"theorems on those of {ALGORITHM}"
        )
    given = network.parameters
    form = chosen((given.get("form", "step"), given.get("layout", "separate")), FORMS)
    sizes = [value if isinstance(value := given.get(key), int) else -1 for key in ("n_points", "n_dims", "n_steps")]
    known = network.attention == "linear" and network.gate is None and all(map(_is_linear, network.blocks))
    positions = [[row, column, *rational(weight)] for (row, column), weight in sorted(network.positions.items())]
    columns = [network.reads[c] if c < len(network.reads) else UNKNOWN for c in network.task.columns]
    return [
        form, *sizes, *rational(given.get("step_size")), network.n_rows, chosen(network.mask, MASKS) if known else UNKNOWN,
        *many(map(_name, network.channels)), network.n_inputs, *many(positions),
        *many(many(map(_head, block.heads)) for block in network.blocks), *many([column] for column in columns),
    ]  # fmt: skip


def _is_linear(block: Block) -> bool:
    return block.mlp is None and all(head.query is not None and head.key is not None for head in block.heads)


def _head(head: Head) -> list[int]:
    queries, keys = (forms(part) if part is not None else [] for part in (head.query, head.key))
    values = [[column, *value] for column, value in zip(head.targets.tolist(), forms(head.value), strict=True)]
    return [*many(queries), *many(keys), *many(values)]


def _name(name: str) -> list[int]:
    family = name.partition("[")[0]
    match = _NAMES[family].match(name) if family in _NAMES else None
    if match is None:
        return [0, 0, 0]
    return [FAMILIES.index(CODED[family][0]), *[*map(int, match.groups()), 0, 0][:2]]
