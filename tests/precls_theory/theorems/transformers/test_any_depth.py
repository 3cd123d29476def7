"""The induction over blocks: which kinds the executed model covers, and that single kinds agree with it."""

import pytest
from helpers.mutations import DEEP

from precls_theory.registry import Refuted
from precls_theory.theorems.transformers import any_depth
from precls_theory.theorems.transformers.any_depth import GATED_MLPS, LINEAR_MLPS, covering, require_certificate, sweep

NORMED = [kind for kind in sweep(GATED_MLPS) if kind[1] != "none" and kind[2] != "post"]
ALL = [*sweep(LINEAR_MLPS), *NORMED]


@pytest.mark.parametrize("kinds", [sweep(LINEAR_MLPS), NORMED])
def test_the_executed_model_has_every_mlp_and_every_norm_at_every_place(kinds):
    chosen = covering(kinds)
    assert set(chosen) <= set(kinds)
    assert {kind[0] for kind in chosen} == {kind[0] for kind in kinds}
    assert {kind[1:] for kind in chosen} == {kind[1:] for kind in kinds}


def test_a_mixed_model_has_the_blocks_asked_for():
    kinds = covering(sweep(LINEAR_MLPS))
    model = any_depth.mixed_model(kinds)
    assert [type(block.norm2).__name__ for block in model.blocks] == [
        {"none": "Identity", "layer": "LayerNorm", "rms": "RMSNorm"}[norm] for _, norm, _ in kinds
    ]
    assert {block.attention.positions for block in model.blocks} == set(any_depth.POSITIONS)
    assert {block.attention.mask for block in model.blocks} == set(any_depth.MASKS)


@pytest.mark.parametrize("kind", ALL if DEEP else ALL[::17], ids=str)
def test_every_kind_of_block_alone(kind):
    require_certificate([kind])


def test_a_model_that_grows_faster_is_refused():
    with pytest.raises(Refuted, match="bilinear"):
        require_certificate([("bilinear", "none", "post")])
    with pytest.raises(Refuted, match="exponent 0"):
        require_certificate([("relu", "none", "pre")], at_most=0)
