"""Rules of norms: what each bounds, how sharply, and what each refuses."""

from __future__ import annotations

from math import sqrt as R

import pytest
import torch
from helpers.rules import Case, bound, examine, refuses

SIGNS4 = torch.tensor([[1.0, -1.0, 1.0, -1.0]] * 2)


def vector(*entries: float) -> torch.Tensor:
    return torch.tensor(entries, dtype=torch.float64)


CASES = {
    "layer norm": Case(lambda op, u: op("layer_norm", u, [4]), norm=(R(8),), entry=2, shape=(2, 4), at=SIGNS4),
    "layer norm, two dimensions": Case(
        lambda op, u: op(
            "layer_norm", u, [2, 2], torch.full((2, 2), -3.0).double(), torch.full((2, 2), 2.0).double(), 1e-3
        ),
        norm=(R(300),),
        entry=8,
        share=0.721,
        shape=(3, 2, 2),
        at=torch.tensor([-1.0, 1.0] * 6),
    ),
    "layer norm, gains that are bounded": Case(
        lambda op, u: op("layer_norm", u, [4], op("sigmoid", op("select.int", u, 0, 0)), op("select.int", u, 0, 1)),
        norm=(R(8), R(2)),
        shape=(2, 4),
    ),
    "layer norm, native": Case(
        lambda op, u: op.part(op("native_layer_norm", u, [4], None, None, 1e-5), 0),
        norm=(R(8),),
        entry=2,
        shape=(2, 4),
        at=SIGNS4,
    ),
    "layer norm, its mean": Case(
        lambda op, u: op.part(op("native_layer_norm", u, [4], None, None, 1e-5), 1), norm=(0, 1 / 2), shape=(2, 4)
    ),
    "layer norm, its inverse": Case(
        lambda op, u: op.part(op("native_layer_norm", u, [4], None, None, 0.25), 2),
        norm=(R(8),),
        low=0,
        entry=2,
        shape=(2, 4),
    ),
    "group norm": Case(
        lambda op, u: op("group_norm", u, 2, vector(1.0, -2.0, 2.0, 0.5), vector(1.0, 2.0, 2.0, 4.0)),
        norm=(18,),
        entry=8,
        share=0.732,
        shape=(2, 4, 2),
        at=torch.tensor([1.0, -1.0] * 8),
    ),
    "group norm, one group": Case(
        lambda op, u: op("group_norm", u, 1, None, None, 1e-3),
        norm=(2,),
        entry=2,
        shape=(1, 2, 2),
        at=torch.tensor([1.0, -1.0] * 2),
    ),
    "group norm, native": Case(
        lambda op, u: op.part(op("native_group_norm", u, None, None, 2, 4, 2, 2, 1e-3), 0),
        norm=(4,),
        entry=2,
        shape=(2, 4, 2),
        at=torch.tensor([1.0, -1.0] * 8),
    ),
    "group norm, its inverse": Case(
        lambda op, u: op.part(op("native_group_norm", u, None, None, 2, 4, 2, 2, 0.25), 2),
        norm=(4,),
        low=0,
        entry=2,
        shape=(2, 4, 2),
    ),
    "root mean square": Case(lambda op, u: op("rms_norm", u, [4], None, 1e-3), norm=(R(8),), entry=2, shape=(2, 4)),
    "root mean square, gains": Case(
        lambda op, u: op("rms_norm", u, [2, 2], torch.full((2, 2), -3.0).double()),
        norm=(R(108),),
        entry=6,
        shape=(3, 2, 2),
    ),
    "root mean square, fused": Case(
        lambda op, u: op.part(op("_fused_rms_norm", u, [4], None, 0.25), 0), norm=(R(8),), entry=2, shape=(2, 4)
    ),
    "root mean square, its inverse": Case(
        lambda op, u: op.part(op("_fused_rms_norm", u, [4], None, 0.25), 1), norm=(R(8),), low=0, entry=2, shape=(2, 4)
    ),
    "root mean square, its inverse, by default": Case(
        lambda op, u: op.part(op("_fused_rms_norm", u, [4], None, None), 1),
        norm=(2**26 * R(2),),
        low=0,
        entry=2**26,
        shape=(2, 4),
    ),
    "batch norm": Case(
        lambda op, u: op(
            "batch_norm",
            u,
            vector(2.0, -6.0),
            vector(1.0, 2.0),
            vector(3.0, 1.0),
            vector(0.75, 3.75),
            False,
            0.1,
            0.25,
            False,
        ),
        norm=(R(480), 3),
        share=0.849,
        shape=(2, 2, 3),
    ),
    "batch norm, nothing but statistics": Case(
        lambda op, u: op("batch_norm", u, None, None, vector(0.0, 0.0), vector(0.75, 3.75), False, 0.1, 0.25, False),
        norm=(0, 1),
        shape=(2, 2, 3),
        at=torch.tensor([1.0, 1, 1, 0, 0, 0] * 2),
    ),
    "batch norm, small": Case(
        lambda op, u: op(
            "batch_norm",
            u,
            vector(1e-200, 0.0),
            None,
            vector(1e-200, 1e-300),
            vector(0.75, 3.75),
            False,
            0.1,
            0.25,
            False,
        ),
        norm=(2.45105966902e-320, 1e-200),
        shape=(2, 2, 3),
        at=torch.tensor([1.0, 1, 1, 0, 0, 0] * 2),
    ),
    "batch norm of its own statistics": Case(
        lambda op, u: op("batch_norm", u, vector(2.0, -6.0), None, None, None, True, 0.1, 1e-3, False),
        norm=(R(432),),
        entry=R(216),
        share=0.745,
        shape=(2, 2, 3),
        at=torch.tensor([1.0, -1, 1, -1, 1, -1] * 2),
    ),
    "batch norm, native": Case(
        lambda op, u: op.part(
            op("_native_batch_norm_legit_no_training", u, None, None, vector(0.0, 4.0), vector(0.0, 3.75), 0.1, 0.25), 0
        ),
        norm=(R(24), 2),
        shape=(2, 2, 3),
        at=torch.tensor([1.0, 1, 1, 0, 0, 0] * 2),
    ),
    "batch norm, nothing kept": Case(
        lambda op, u: op.part(op("_native_batch_norm_legit.no_stats", u, None, None, True, 0.1, 0.25), 0),
        norm=(4,),
        entry=R(8),
        shape=(2, 2, 4),
        at=torch.tensor([1.0, -1] * 8),
    ),
    "batch norm, nothing kept, its mean": Case(
        lambda op, u: op.part(op("_native_batch_norm_legit.no_stats", u, None, None, True, 0.1, 0.25), 1),
        norm=(0, R(1 / 6)),
        shape=(2, 2, 3),
    ),
    "instance norm": Case(
        lambda op, u: op("instance_norm", u, None, vector(1.0, 2.0), None, None, True, 0.1, 1e-3, False),
        norm=(4 + R(40),),
        entry=4,
        share=0.724,
        shape=(2, 2, 4),
        at=torch.tensor([1.0, -1] * 8),
    ),
    "instance norm, stored": Case(
        lambda op, u: op("instance_norm", u, None, None, vector(0.0, 0.0), vector(0.75, 3.75), False, 0.1, 0.25, False),
        norm=(0, 1),
        shape=(2, 2, 3),
        at=torch.tensor([1.0, 1, 1, 0, 0, 0] * 2),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bounds(name: str) -> None:
    examine(CASES[name])


def stored(scale: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Means and variances; new ones, since training changes them."""
    return torch.zeros(3).double(), scale * torch.ones(3).double()


REFUSED = {
    "eps = 0": (
        lambda op, u: op("layer_norm", u, [3], None, None, 0.0),
        "layer_norm: eps = 0.0: the norm is 0/0 where all entries of a row are equal; use eps > 0",
    ),
    "a gain that grows": (
        lambda op, u: op("layer_norm", u, [3], op("select.int", u, 0, 0)),
        "layer_norm: a gain that depends on the input is not covered",
    ),
    "a gain of groups": (
        lambda op, u: op("group_norm", u, 1, op("select.int", op("tanh", u), 0, 0)),
        "group_norm: a gain or shift that depends on the input is not covered",
    ),
    "statistics in training": (
        lambda op, u: op("batch_norm", u, None, None, *stored(), True, 0.1, 0.25, False),
        "batch_norm: batch statistics are active in training mode; call model.eval() first",
    ),
    "variances below eps": (
        lambda op, u: op("batch_norm", u, None, None, *stored(-1.0), False, 0.1, 1.0, False),
        "batch_norm: it needs stored statistics, with variances above -eps",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    refuses(*REFUSED[name])


FORMAT = frozenset({torch.float16})


def test_what_is_computed() -> None:
    """In half precision, eps = 1e-8 underflows; a layer norm grows with the rounding of its mean."""
    rms = bound(lambda op, u: op("rms_norm", u, [3], None, 1.0), dtypes=FORMAT)
    assert rms.norm[0] > 6**0.5
    assert len(rms.norm) == 1
    layer = bound(lambda op, u: op("layer_norm", u, [3], None, None, 1.0), dtypes=FORMAT)
    assert layer.norm[0] > 12**0.5
    assert layer.norm[1] > 0.1
    refuses(
        lambda op, u: op("layer_norm", u, [3], None, None, 1e-8),
        "layer_norm: eps = 1e-08 may underflow in this format",
        dtypes=FORMAT,
    )
    refuses(
        lambda op, u: op("batch_norm", u, None, None, *stored(1e-4), False, 0.1, 0.0, False),
        "batch_norm: its smallest variance may underflow in this format",
        dtypes=FORMAT,
    )


def test_gains_and_means_that_underflow() -> None:
    """A gain of 1e-200 times a mean of 1e-200 is not zero, though the product of the two floats is."""
    weights = vector(1e-200, 0.0), None, vector(1e-200, 1e-200), vector(0.75, 3.75)
    found = bound(lambda op, u: op("batch_norm", u, *weights, False, 0.1, 0.25, False), (2, 2, 3))
    assert 0 < found.norm[0] < 1e-300
    weights = vector(1e-200, 0.0), None, vector(0.0, 1e-200), vector(0.75, 3.75)
    found = bound(lambda op, u: op("batch_norm", u, *weights, False, 0.1, 0.25, False), (2, 2, 3))
    assert found.norm[0] == 0
    weights = vector(5e-324, 0.0), None, vector(0.0, 0.0), vector(0.75, 3.75)
    found = bound(lambda op, u: op("batch_norm", u, *weights, False, 0.1, 3.25, False), (2, 2, 3))
    assert found.norm[1] > 0  # half of the gain, which is no float
