"""Random calls of every operation: no bound is violated, and the calls notice rules that are wrong."""

from __future__ import annotations

import inspect
import math
import os
from dataclasses import replace

import pytest
import torch

from precls_theory.expressivity.growth.operation import OPERATIONS
from precls_theory.expressivity.growth.soundness import check, operations

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
TRIES = 60 if DEEP else 2
CHUNK = 40


@pytest.mark.parametrize("start", range(0, len(operations()), CHUNK))
def test_no_bound_is_violated(start):
    found = [check(target, 0, TRIES)[1] for target in operations()[start : start + CHUNK]]
    assert [reason for reason in found if reason] == []


def test_most_rules_answer():
    """A rule that always refuses would never be wrong."""
    sample = operations()[::7]
    assert sum(check(target, 1, 6)[0] > 0 for target in sample) > len(sample) / 2


def test_rules_have_the_defaults_of_the_schema():
    """Arguments at their default are left out of a call, so a rule must assume the same."""
    for target, record in OPERATIONS.items():
        known = {a.name: a for a in target._schema.arguments}
        for name, parameter in list(inspect.signature(record.growth).parameters.items())[1:]:
            if name not in known or not known[name].has_default_value() or parameter.default is inspect.Parameter.empty:
                continue
            default, schema = parameter.default, known[name].default_value
            if schema in (None, [], ()) or default is None:
                assert default in (None, (), [], 2, -1, 0) or schema in ([], ()), (target, name)
                continue
            same = set(schema) == {default} if isinstance(schema, list) else default == schema
            assert same or schema == "valid", (target, name, default, schema)  # which is 0


def without(*names):
    """The rule, deaf to these arguments."""
    return lambda rule: lambda c, **arguments: rule(c, **{k: v for k, v in arguments.items() if k not in names})


def smaller(factor):
    """The rule, claiming this part of its bound only."""

    def wrong(rule):
        def claim(c, **arguments):
            out = rule(c, **arguments)
            first = out[0] if isinstance(out, tuple) else out
            wrong = replace(
                first, norm=tuple(factor * p for p in first.norm), entry=math.inf, lower=-math.inf, upper=math.inf
            )
            return (wrong, *out[1:]) if isinstance(out, tuple) else wrong

        return claim

    return wrong


def divided_by_the_largest(rule):
    def wrong(c, **arguments):
        y = arguments["other"]
        value = getattr(y, "value", None)
        if value is None:
            return rule(c, **arguments)
        return rule(c, **(arguments | {"other": c.growth(torch.full_like(value, float(value.abs().max())))}))

    return wrong


def counting_no_copies(rule):
    return lambda c, **arguments: replace(
        rule(c, **arguments), norm=arguments["self"].norm, entry=arguments["self"].entry
    )


MUTANTS = {
    "addmm.default": without("alpha"), "baddbmm.default": without("beta"), "var.correction": without("correction"),
    "add.Tensor": without("alpha"), "div.Tensor": divided_by_the_largest, "einsum.default": smaller(0.55),
    "pad.default": counting_no_copies, "group_norm.default": smaller(0.7), "elu.default": without("scale"),
    "matmul.default": smaller(0.5), "softmax.int": smaller(0.7), "layer_norm.default": smaller(0.7),
    "relu.default": smaller(0.9), "sum.dim_IntList": smaller(0.7), "conv1d.default": smaller(0.3),
    "log_softmax.int": smaller(0.3), "index_select.default": counting_no_copies, "clamp.default": without("max"),
    "leaky_relu.default": without("negative_slope"), "max_pool1d.default": smaller(0.6),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(MUTANTS)[:: 1 if DEEP else 5])  # the tables of ``rules`` notice all of them
def test_wrong_rules_are_noticed(name, monkeypatch):
    packet, overload = name.split(".")
    target = getattr(getattr(torch.ops.aten, packet), overload)
    monkeypatch.setitem(
        OPERATIONS, target, replace(OPERATIONS[target], growth=MUTANTS[name](OPERATIONS[target].growth))
    )
    assert any(check(target, seed, 60)[1] for seed in range(6))
