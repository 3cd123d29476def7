"""What rules declare about their arguments, against what PyTorch's schemas give."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from types import FunctionType, UnionType
from typing import Union, get_args, get_origin

import pytest
import torch

from precls_theory.enclosures.jets import Jet
from precls_theory.expressivity.balls.evaluator import JetLike
from precls_theory.expressivity.growth.operation import OPERATIONS, GrowthContext, GrowthLike, dims_of, each
from precls_theory.expressivity.growth.rules.moves import plain
from precls_theory.expressivity.growth.value import Growth
from precls_theory.expressivity.tracing.program import Inconclusive, Sizes

KINDS = {
    "Tensor": {Growth, Jet, torch.Tensor},
    "number": {int, float},
    "float": {float},
    "int": {int},
    "bool": {bool, int},
    "str": {str},
    "List[int]": {Sequence[int]},
    "List[Tensor]": {Sequence[GrowthLike], Sequence[JetLike]},
    "List[Optional[Tensor]]": {Sequence[GrowthLike | None]},
}
"""For a type of the schema, types of which a rule must declare one (of ``number`` both)."""


def undeclared(rule: FunctionType, schema: torch._C.FunctionSchema) -> list[str]:
    """Arguments whose declared type leaves out what the schema may give."""
    names = {"JetLike": JetLike, **rule.__globals__}
    missing = []
    for argument in schema.arguments:
        if argument.name not in inspect.signature(rule).parameters or argument.name == "dtype":
            continue
        kind = str(argument.type)
        optional, kind = kind.startswith("Optional["), kind.removeprefix("Optional[")
        kind = kind.removesuffix("]") if optional else kind
        hint = eval(rule.__annotations__[argument.name], names)
        declared = set(get_args(hint)) if get_origin(hint) in (Union, UnionType) else {hint}
        known = KINDS[kind] & declared
        if not known or (kind == "number" and known != KINDS[kind]):
            missing.append(f"{argument.name}: {kind}")
        left_out = argument.has_default_value() and argument.default_value is None  # then it is not passed
        if optional and not left_out and type(None) not in declared:
            missing.append(f"{argument.name}: None")
    return missing


@pytest.mark.parametrize("field", ["growth", "ball"])
def test_rules_declare_what_the_schemas_give(field: str) -> None:
    rules = {target: getattr(record, field) for target, record in OPERATIONS.items()}
    found = {
        f"{target}": undeclared(rule, target._schema)
        for target, rule in rules.items()
        if rule is not None and rule.__name__ != "<lambda>"
    }
    assert len(found) > 40
    assert {name: missing for name, missing in found.items() if missing} == {}


def test_a_type_that_leaves_something_out_is_noticed() -> None:
    def narrow(c: GrowthContext, self: Growth, dim: int, keepdim: bool = False) -> Growth:
        return self

    schema = torch.ops.aten.sum.dim_IntList._schema
    assert undeclared(narrow, schema) == ["dim: List[int]", "dim: None"]


@pytest.mark.parametrize(
    ("dim", "wanted"), [(None, (-3, -2, -1)), ([], (-3, -2, -1)), (0, (-3,)), (-1, (-1,)), ([2, 0], (-3, -1))]
)
def test_dims_of(dim: Sizes | None, wanted: tuple[int, ...]) -> None:
    assert dims_of(dim, 3) == wanted


def test_each() -> None:
    assert each(2, 3) == each([2], 3) == (2, 2, 2)
    assert each([1, 2], 2) == (1, 2)
    assert each([], 2) == ()


class Place(GrowthContext):
    """A context without a call."""

    def __init__(self) -> None:
        self.place, self.name = "model", "index"
        self.record = OPERATIONS[torch.ops.aten.index.Tensor]


def test_the_wrong_kind_of_argument_is_refused_in_words() -> None:
    c = Place()
    with pytest.raises(Inconclusive, match="index: an operand of type str is not covered"):
        c.growth("x")
    with pytest.raises(Inconclusive, match="index: expected a number, got list"):
        c.number([1.0])
    with pytest.raises(Inconclusive, match="a parameter is inf, expected a finite number"):
        c.number(float("inf"))
    with pytest.raises(Inconclusive, match="positions that depend on the input are not covered"):
        plain(c, [torch.zeros(2), Growth((2,), (0.0, 1.0))])
