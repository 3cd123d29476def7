"""A theorem is proved when its check says so *and* refuses its controls: every other outcome has another name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from precls_theory import Refuted, registry
from precls_theory.certificate import certify
from precls_theory.registry import Check, Control, Evidence, Size, Theorem, theorem


def refused() -> None:
    raise Refuted("wrong", {"x": 1})


def broken() -> None:
    raise KeyError("lost")


def holds(size: Size) -> Evidence:
    return Evidence(scope=f"N={size.n_points}", ring="Z", engine="by hand")


def stated(check: Check, controls: dict[str, Control]) -> Theorem:
    return Theorem("one", "One", "1 = 1", (), "new", "all of it", check, controls)


@pytest.mark.parametrize(
    ("check", "controls", "status", "words"),
    [
        (holds, {"wrong": refused}, "proved", ""),
        (lambda size: refused(), {"wrong": refused}, "refuted", "wrong"),
        (lambda size: broken(), {"wrong": refused}, "failed", "KeyError: 'lost'"),
        (holds, {"wrong": lambda: None}, "failed", "does not refuse what is wrong: 'wrong' (accepted)"),
        (holds, {"wrong": refused, "broken": broken}, "failed", "'broken' (KeyError: 'lost')"),
        (holds, {}, "failed", "no control was run"),
        (holds, {"as before": {"unknown": 1}}, "failed", "TypeError"),
    ],
)
def test_every_outcome(check: Check, controls: dict[str, Control], status: str, words: str, tmp_path: Path) -> None:
    certificate = certify(stated(check, controls), Size(3, 2))
    assert certificate.status == status
    assert words in certificate.message
    saved = json.loads(certificate.save(tmp_path / "new").read_text())
    assert (saved["status"], saved["n_points"]) == (status, 3)
    assert (saved["scope"] == "N=3") is (status == "proved")
    if status == "refuted":
        assert saved["detail"] == {"counterexample": {"x": 1}}


def test_a_theorem_without_controls_cannot_be_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_REGISTRY", {})
    with pytest.raises(ValueError, match="theorem 'bare' declares no control"):
        theorem(id="bare", title="t", statement="s", source="new", covers="c", controls={})(holds)
    with pytest.raises(TypeError, match="controls"):
        theorem(id="bare", title="t", statement="s", source="new", covers="c")(holds)  # type: ignore[call-arg]
    assert registry._REGISTRY == {}


def test_an_identifier_is_registered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_REGISTRY", {})
    register = theorem(id="one", title="t", statement="s", source="new", covers="c", controls={"wrong": refused})
    assert register(holds) is holds
    with pytest.raises(ValueError, match=r"'one' is registered twice: .*test_certificate, precls_theory\.certificate"):
        register(certify)  # a function of another module


def test_sizes_are_at_least_one() -> None:
    with pytest.raises(ValueError, match="at least 1, got 0 and 5"):
        Size(0)
