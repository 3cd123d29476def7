"""Every theorem is proved, refuses its controls, says what was executed, and is not proved by an engine gone blind."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

import precls_theory
from precls_theory.certificate import certify, run_controls
from precls_theory.checking import transformers
from precls_theory.proofs import residues, symbolic
from precls_theory.proofs.residues import FAILURE_LOG2, ResidueProof
from precls_theory.registry import Size, all_theorems

THEOREMS = all_theorems()
DEEP = settings.get_current_profile_name() == "deep"
SIZES = (Size(3, 2), Size(), Size(1, 1), Size(3, 4)) if DEEP else (Size(3, 2),)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"N={size.n_points},D={size.n_dims}")
@pytest.mark.parametrize("name", THEOREMS)
def test_proved_every_control_refused_and_said_what_was_executed(name, size):
    """One certificate answers all questions: making it is the cost."""
    certificate = certify(THEOREMS[name], size)
    assert certificate.status == "proved", certificate.message
    assert [control["variant"] for control in certificate.controls] == list(THEOREMS[name].controls)
    assert all(control["refused"] is True for control in certificate.controls)
    assert certificate.scope.lower().startswith("executed: "), certificate.scope
    chance = certificate.failure_probability_log2
    assert chance is None or chance <= FAILURE_LOG2
    assert chance is not None or name not in USES_RESIDUES


def accept(*arguments, **named):
    """What a check that refuses nothing does."""


def proved(difference, bound, *, seed=None, failure_log2=-60.0, progress=None):
    """A residue engine that finds everything equal."""
    from precls_theory.proofs.residues import ResidueProof

    return ResidueProof(-60.0, (), 1, 0, 0, 0.0, 0.0)


def blind(monkeypatch, function, by=accept):
    """Replace a function wherever it was imported to: its code, not its name."""
    monkeypatch.setattr(function, "__defaults__", by.__defaults__)
    monkeypatch.setattr(function, "__kwdefaults__", by.__kwdefaults__)
    monkeypatch.setattr(function, "__code__", by.__code__)


def engines():
    """Functions of the package that only refuse: named for it, and returning nothing."""
    for module in pkgutil.walk_packages(precls_theory.__path__, "precls_theory."):
        if ".cli" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name, module in sorted(sys.modules.items()):
        if name.startswith(("precls_theory.proofs", "precls_theory.theorems", "precls_theory.checking.transformers")):
            for function in vars(module).values():
                if inspect.isfunction(function) and function.__module__ == name and not function.__closure__:
                    verb = function.__name__.lstrip("_").partition("_")[0]
                    if verb in ("require", "prove", "check", "verify", "refuse", "escape", "mean"):
                        yield function


@pytest.mark.parametrize("name", THEOREMS)
def test_engines_that_accept_everything_prove_nothing(monkeypatch, name):
    for function in engines():
        if function is not residues.prove_zero:
            blind(monkeypatch, function)
    blind(monkeypatch, residues.prove_zero, proved)
    # Parts of a check before whole checks, which are slower: one control that is accepted is enough.
    controls = sorted(THEOREMS[name].controls.items(), key=lambda item: not callable(item[1]))
    parts = (replace(THEOREMS[name], controls={variant: control}) for variant, control in controls)
    refused = all(run_controls(part)[0]["refused"] for part in parts)
    assert not refused


USES_RESIDUES = [
    "circuit-compilation", "gd-whole-networks", "linear-attention-step", "linear-attention-causal",
    "linear-attention-ternary", "gated-gradient-descent", "sliced-digits",
    "sliced-refinement-digits",
]  # fmt: skip


@pytest.mark.parametrize("name", USES_RESIDUES)
@pytest.mark.parametrize("how", ["accepts everything", "points are all zero"])
def test_a_blind_residue_engine_proves_nothing(monkeypatch, name, how):
    """Also where symbols prove the rest: each of these theorems has a control for the residues alone."""
    if how == "accepts everything":
        blind(monkeypatch, residues.prove_zero, proved)
    else:
        monkeypatch.setattr(residues, "uniform", lambda shape, prime, ring, source: np.zeros(shape, dtype=ring.dtype))
    assert not all(control["refused"] for control in run_controls(THEOREMS[name]))


@pytest.mark.parametrize("name", ["gd-gram", "linear-attention-multiply"])
def test_one_blind_engine_is_enough(monkeypatch, name):
    blind(monkeypatch, symbolic.require_equal if name == "gd-gram" else transformers._refuse)
    certificate = certify(THEOREMS[name], Size(2, 1))
    assert certificate.status == "failed"
    assert "does not refuse what is wrong" in certificate.message


def test_a_check_is_refuted_as_before():
    theorem = THEOREMS["gd-gram"]
    control = dict(next(iter(theorem.controls.values())))
    wrong = replace(theorem, check=lambda size: theorem.check(size, **control))
    assert certify(wrong, Size(2, 2)).status == "refuted"


def test_residues_are_compared_at_every_point():
    """A difference that vanishes at one of two points is a difference: any, not all."""
    bound = residues.Bound(2**20, 10.0, 0.0)

    def difference(ring, draw, points):
        values = np.zeros((points, 3), dtype=np.int64)
        values[0, 1] = 5
        return values

    assert residues.plan(bound).points > 1
    with pytest.raises(residues.Unequal) as unequal:
        residues.prove_zero(difference, bound, seed=1)
    assert unequal.value.index == (1,)
    assert isinstance(residues.prove_zero(lambda *_: np.zeros((2, 3), dtype=np.int64), bound, seed=1), ResidueProof)


def test_named_failures_are_controls():
    """Each failure that a theorem is said to refuse is one of its controls, which run with every certificate."""
    path = Path(__file__).parents[2] / "named_failures_soundness.md"
    listed = re.findall(r"^\* .*: `([\w-]+)`, “(.+)”$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(listed) > 20
    assert [(name, control) for name, control in listed if control not in THEOREMS[name].controls] == []
