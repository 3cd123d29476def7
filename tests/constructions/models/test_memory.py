"""A size that cannot fit is refused in words, before anything of that size is made."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import constructions as C
from constructions.models import baseconv, embedding, memory
from constructions.models.baseconv import BaseConvModel, parameter_counts

MIB = 2**20


def test_parameters_are_counted_without_a_model() -> None:
    model = BaseConvModel(5, (3, 4, 2), (7, 6))
    counts = [model.positions.numel(), *(sum(p.numel() for p in layer.parameters()) for layer in model.layers)]
    assert parameter_counts(5, (3, 4, 2), (7, 6)) == counts


@pytest.mark.parametrize("what", ["alone", "in a larger model"])
def test_a_dense_model_is_refused_before_it_is_made(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = C.gradient_descent(n_points=3, n_dims=20, n_steps=2, step_size=1)
    monkeypatch.setattr(memory, "available_memory", lambda: MIB if what == "alone" else 2**30)
    if what == "alone":
        monkeypatch.setattr(baseconv, "dense_weights", lambda *_: pytest.fail("a layer was made dense"))
        monkeypatch.setattr(torch.nn, "Linear", lambda *_: pytest.fail("a layer was made"))
    with pytest.raises(
        MemoryError, match=r"has [\d,]+ parameters in torch.float64: [\d,.]+ GiB are needed, and \d"
    ) as error:
        BaseConvModel.from_network(network) if what == "alone" else embedding.embedded(network, 1e6)
    assert "lower it with to_torch(), which keeps it sparse" in str(error.value)


def test_the_least_of_what_the_system_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "meminfo"
    info.write_text(f"MemTotal: {64 * 1024} kB\nMemAvailable: {48 * 1024} kB\n")
    monkeypatch.setattr(memory, "_MEMINFO", info)
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    assert memory.available_memory() == 48 * MIB
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text(f"{MIB}\n")
    assert memory.available_memory() == 48 * MIB
    (tmp_path / "memory.max").write_text(f"{5 * MIB}\n")
    assert memory.available_memory() == 4 * MIB
    with pytest.raises(MemoryError, match=r"a thing: 1.00 GiB are needed, and 0.00 GiB of memory are available; no"):
        memory.check_fits(2**30, "a thing", "no")
    memory.check_fits(4 * MIB, "a thing", "no")
    info.unlink()
    (tmp_path / "memory.max").unlink()
    monkeypatch.setattr(memory.os, "sysconf", lambda _: 2**10)
    assert memory.available_memory() == MIB
