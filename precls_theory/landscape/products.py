"""Stationary points of a sum of losses in different weights: products of those of the parts.

A point is stationary when each part is, the Hessian is block diagonal, and the loss decreases from it exactly when one
of the parts does. So a product is a strict saddle when a factor is; else a degenerate saddle when a factor is; else a
local minimum, which is global when every factor is.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

from precls_theory.landscape.classification import Classification
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
from precls_theory.landscape.problems import Landscape
from precls_theory.landscape.signature import Signature

LARGEST = 2000
"""Products beyond this number are not written out."""
ORDER = (GLOBAL, SPURIOUS, LOCAL, DEGENERATE, SADDLE, UNRESOLVED, NO_POINT)


def products(whole: Landscape, parts: Sequence[Classification]) -> list[Component]:
    """The real components of the whole: one for each choice of a real component a part.

    Weights get the name of their part in front when there are several. Raises ``ValueError`` beyond
    :data:`LARGEST` products: then the parts are the answer.
    """
    if len(parts) == 1:
        return list(parts[0].components)
    count = math.prod(len(part.real) for part in parts)
    if count > LARGEST:
        raise ValueError(f"{count} products of components are too many to list; the parts say the same")
    named = [[renamed(component, part.problem.name.replace(" ", "")) for component in part.real] for part in parts]
    found = [multiplied(chosen) for chosen in itertools.product(*named)]
    return sorted(found, key=lambda c: (ORDER.index(c.kind), float(c.loss) if c.loss is not None else -1.0))


def renamed(component: Component, part: str) -> Component:
    return replace(
        component,
        equations=tuple(f"{part}: {equation}" for equation in component.equations),
        conditions=tuple(f"{part}: {condition}" for condition in component.conditions),
        point={f"{part}.{name}": value for name, value in component.point.items()},
        descent=None if component.descent is None else {"part": part, **component.descent},
    )


def multiplied(chosen: Sequence[Component]) -> Component:
    kinds = {component.kind for component in chosen}
    first = chosen[0]
    loss, signature = first.loss, first.signature
    for other in chosen[1:]:
        loss = None if loss is None or other.loss is None else loss + other.loss
        signature = None if signature is None or other.signature is None else Signature(
            signature.negative + other.signature.negative, signature.zero + other.signature.zero,
            signature.positive + other.signature.positive,
        )  # fmt: skip
    return Component(
        kind=product_kind(kinds),
        dimension=sum(component.dimension for component in chosen),
        loss=loss,
        real=True,
        equations=tuple(equation for component in chosen for equation in component.equations),
        conditions=tuple(condition for component in chosen for condition in component.conditions),
        point={name: value for component in chosen for name, value in component.point.items()},
        signature=signature,
        descent=next((c.descent for c in chosen if c.descent is not None), None),
        reason="; ".join(dict.fromkeys(component.reason for component in chosen)),
    )


def product_kind(kinds: set[str]) -> str:
    if SADDLE in kinds:
        return SADDLE
    if UNRESOLVED in kinds or LOCAL in kinds:
        return UNRESOLVED
    if DEGENERATE in kinds:
        return DEGENERATE
    return GLOBAL if kinds == {GLOBAL} else SPURIOUS
