"""One network or trained model, measured layer by layer on random inputs: what ``precls precision --network`` shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn

import constructions as C
from constructions.networks.base import ExactNetwork
from constructions.networks.function_task import FunctionTask
from constructions.slicing.task import SlicedTask
from precls_theory.precision.convolution import Algorithm
from precls_theory.precision.measure import Measurement, Statistics, measure

PARTS = ("total", "weights", "arithmetic", "convolution", "truncation")
"""The parts of an error, in the order in which tables show them."""


def read_subject(path: Path, samples: int, seed: int = 0) -> tuple[str, ExactNetwork | nn.Module, torch.Tensor]:
    """A saved network (a file) or a trained model (the folder of a run), its name, and inputs (samples, rows, channels).

    Inputs of exact networks are normal, or even over the domain of a function; those of a trained model are problems of its
    task. Raises ``ValueError`` and ``OSError`` in words.
    """
    if path.is_dir():
        from precls_theory.training.runs import Run

        run = Run.resume(path)
        u, _ = run.task.sample(samples, torch.Generator().manual_seed(2**40 + seed))
        return f"{run.settings.model} trained on {run.settings.task}", run.model, u
    network = C.load(path)
    return network.algorithm, network, random_inputs(network, samples, seed)


def random_inputs(network: ExactNetwork, samples: int, seed: int = 0) -> torch.Tensor:
    """Inputs of an exact network in float64: (samples, rows, channels)."""
    rng, task = np.random.default_rng(seed), network.task
    original = task.original if isinstance(task, SlicedTask) else task
    if isinstance(original, FunctionTask):
        domain = original.domain or [(-1, 1)] * len(original.variables)
        low, high = (np.array([float(side[i]) for side in domain]) for i in (0, 1))
        u = original.encode(torch.tensor(low + (high - low) * rng.random((samples, len(domain)))))
    else:
        width = len(task.names) if isinstance(task, SlicedTask) else len(network.inputs)
        u = torch.zeros(samples, network.n_rows, width, dtype=torch.float64)
        places = original.free_channels
        for (row, channel), values in zip(places, rng.standard_normal((len(places), samples)), strict=True):
            u[:, row, channel] = torch.tensor(values)
    return torch.as_tensor(task.slice(u) if isinstance(task, SlicedTask) else u)


def measure_formats(
    path: Path, device: str, samples: int, convolution: Algorithm = "lowered"
) -> tuple[str, list[Measurement]]:
    """The name of what lies at ``path``, and its measurements in float32 and float64 on the same inputs."""
    name, network, u = read_subject(path, samples)
    precise = isinstance(network, C.Network) and network.precision == 53
    formats = (torch.float64,) if precise else (torch.float32, torch.float64)
    return name, [measure(network, u.to(dtype), device, convolution=convolution) for dtype in formats]


@dataclass(frozen=True)
class Row:
    """Statistics of a layer, of a result or of all results, by part of the error."""

    dtype: str
    device: str
    at: Literal["layer", "result", "results"]
    name: str
    parts: dict[str, Statistics]

    def to_json(self) -> dict[str, object]:
        """JSON-serialisable data: the statistics of each part by its name."""
        where = {"dtype": self.dtype, "device": self.device, "at": self.at, "name": self.name}
        return where | {part: statistics.to_json() for part, statistics in self.parts.items()}


def rows_of(found: Measurement) -> list[Row]:
    """A row for each layer, each result and all results: where, and the statistics of each part."""
    places: list[tuple[Literal["layer", "result", "results"], str, dict[str, Statistics]]] = [
        ("layer", str(number), parts) for number, parts in enumerate(found.layers, 1)
    ]
    places += [("result", name, parts) for name, parts in found.outputs.items()]
    places.append(("results", "all", found.results))
    return [
        Row(found.dtype, found.device, at, name, {part: parts[part] for part in PARTS if part in parts})
        for at, name, parts in places
    ]
