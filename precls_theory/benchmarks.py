"""Speed as ratios, measured side by side in one run, and how each cost grows."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from fractions import Fraction
from pathlib import Path
from statistics import median

import pandas as pd
import torch
from torch import Tensor, nn

import constructions as C
from constructions.algorithms.descent.gradient_descent import DescentForm
from constructions.files.output import check_output
from constructions.networks.layer import Layer, SparseMap
from precls_theory.pictures.saving import PICTURES, save_figure
from precls_theory.proofs.symbolic import expand_gd_step, prove_gd_step
from precls_theory.regression.solving import gradient_descent_loop

PAPER = {"n_points": 20, "n_dims": 5}
STEP_SIZE = Fraction(1, 10)
N_STEPS = 256
BATCHES = (1, 16, 256, 4096)


def seconds(run: Callable[[], object], least: float = 0.1) -> float:
    """Median time of ``run`` after one warm-up, over at least ``least`` seconds and three runs."""
    run()
    times: list[float] = []
    while len(times) < 3 or sum(times) < least:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return median(times)


def problem(batch: int, n_points: int, n_dims: int, dtype: torch.dtype, device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Gaussian problems of the paper: ``A`` (batch, N, D), ``b = A x``, ``x_init``."""
    generator = torch.Generator().manual_seed(0)
    A, x, start = (
        torch.randn(*s, generator=generator) for s in ((batch, n_points, n_dims), (batch, n_dims), (batch, n_dims))
    )
    return tuple(value.to(device, dtype) for value in (A, (A @ x.unsqueeze(-1)).squeeze(-1), start))  # type: ignore[return-value]


def proof_against_expand(n_points: int, n_dims: int) -> dict[str, object]:
    """One symbolic GD step, proved by python-flint and by ``sympy.expand`` of the same claim."""
    fast = seconds(lambda: prove_gd_step(n_points, n_dims))
    start = time.perf_counter()
    expand_gd_step(n_points, n_dims)
    slow = time.perf_counter() - start
    return {"n_points": n_points, "n_dims": n_dims, "flint_seconds": fast, "expand_seconds": slow, "ratio": slow / fast}


def gd_loop(A: Tensor, b: Tensor, x: Tensor, n_steps: int) -> Tensor:
    """The plain PyTorch loop from ``x``: gradient descent with the step of the network."""
    return x + gradient_descent_loop(A, b - (A @ x.unsqueeze(-1)).squeeze(-1), float(STEP_SIZE) / A.shape[-2], n_steps)


def forward_pass(
    batch: int, form: DescentForm, dtype: torch.dtype = torch.float32, device: str = "cpu"
) -> dict[str, object]:
    """256 steps: the network, the plain loop, and ``torch.linalg.lstsq``, on the same problems."""
    A, b, start = problem(batch, **PAPER, dtype=dtype, device=device)
    network = C.gradient_descent(
        n_steps=N_STEPS, step_size=STEP_SIZE, form=form, n_points=PAPER["n_points"], n_dims=PAPER["n_dims"]
    )
    model = network.to_torch(dtype=dtype, device=device)
    inputs, targets = network.encode(A, b, start), b.unsqueeze(-1)

    def timed(run: Callable[[], Tensor]) -> float:
        def finished() -> None:
            run()
            if device.startswith("cuda"):
                torch.cuda.synchronize()

        return seconds(finished)

    with torch.no_grad():
        times = {
            "network": timed(lambda: model(inputs)),
            "gd_loop": timed(lambda: gd_loop(A, b, start, N_STEPS)),
            "lstsq": timed(lambda: torch.linalg.lstsq(A, targets).solution),
        }
    return {
        "batch": batch, "form": form, "depth": network.depth, "milliseconds": 1e3 * times["network"],
        "gd_loop_over_network": times["gd_loop"] / times["network"],
        "network_over_lstsq": times["network"] / times["lstsq"],
    }  # fmt: skip


def growth(parameter: str, values: tuple[int, ...]) -> list[dict[str, object]]:
    """Build, lowering and forward time, depth, width and nonzeros as one of N, D, k grows (doubling form, batch 16)."""
    rows = []
    for value in values:
        size = {**PAPER, "n_steps": N_STEPS} | {parameter: value}
        start = time.perf_counter()
        network = C.gradient_descent(**size, step_size=STEP_SIZE)  # type: ignore[arg-type]
        built = time.perf_counter() - start
        A, b, x = problem(16, size["n_points"], size["n_dims"], torch.float32, "cpu")
        inputs, model = network.encode(A, b, x), network.to_torch(dtype=torch.float32)
        with torch.no_grad():
            forward = seconds(lambda model=model, inputs=inputs: model(inputs))  # type: ignore[misc]
        symbolic = parameter != "n_steps" and value <= 40
        proof = seconds(lambda n=size["n_points"], d=size["n_dims"]: prove_gd_step(n, d), 0.0) if symbolic else None  # type: ignore[misc]
        rows.append(
            {
                "parameter": parameter, "value": value, "depth": network.depth, "width": network.width,
                "n_nonzero": network.n_nonzero, "build_ms": 1e3 * built, "forward_ms": 1e3 * forward,
                "proof_ms": None if proof is None else 1e3 * proof,
            }
        )  # fmt: skip
    return rows


GROWTH = {"n_points": (5, 10, 20, 40, 80, 160), "n_dims": (2, 4, 8, 16), "n_steps": (4, 16, 64, 256, 1024)}


class PeerError(ValueError):
    """The checkout given with ``--peer`` cannot be used; the message says why."""


def peer_base_conv(checkout: Path) -> type[nn.Module]:
    """The class ``BaseConv`` of the user's own checkout of HazyResearch/precision-ls.

    Raises :class:`PeerError` when the file is not there, needs a package that is not installed, or fails as it is run.
    """
    folder = checkout / "src" / "models" / "mixers"
    source = folder / "base_conv.py"
    if not source.is_file():
        raise PeerError(f"{checkout} is no checkout of HazyResearch/precision-ls: there is no {source}")
    name = "precls_peer_mixers"
    package = importlib.util.module_from_spec(importlib.machinery.ModuleSpec(name, None, is_package=True))
    package.__path__ = [str(folder)]
    sys.modules[name] = package
    spec = importlib.util.spec_from_file_location(f"{name}.base_conv", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        with redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
        return module.BaseConv
    except ImportError as error:
        raise PeerError(f"{source} needs the package {error.name!r}: install it beside precls") from error
    except Exception as error:  # it is code of any kind
        raise PeerError(f"{source} cannot be used: {type(error).__name__}: {error}") from error


def as_peer_layer(base_conv: type[nn.Module], layer: Layer, n_rows: int, size: int) -> nn.Module:
    """One exact causal layer in the peer's own module, all maps padded to ``size`` channels."""
    module = base_conv(size, l_max=n_rows, conv_type="short", resid=False, causal=True)

    def fill(linear: nn.Module, sparse: SparseMap) -> None:
        weight, bias = linear.get_parameter("weight"), linear.get_parameter("bias")
        weight.zero_()
        bias.zero_()
        for (row, column), value in sparse.entries().items():
            if column == sparse.n_in:
                bias[row] = float(value)
            else:
                weight[row, column] = float(value)

    with torch.no_grad():
        for name, sparse in (("in_proj", layer.conv), ("projection", layer.gate), ("out_proj", layer.out)):
            fill(module.get_submodule(name), sparse)
        taps_of = module.get_submodule("conv.conv")
        weight, bias = taps_of.get_parameter("weight"), taps_of.get_parameter("bias")
        weight.zero_()
        bias.zero_()
        for unit, index in enumerate(layer.filter_index):
            taps = [float(tap) for tap in layer.filters[index].taps(n_rows)]
            weight[unit, 0] = torch.tensor(taps[::-1])
    return module.requires_grad_(False)


def against_peer(checkout: Path, batch: int = 16) -> dict[str, object]:
    """256 steps of our doubling network against 256 applications of the published three-layer block (which is not GD
    from the second application on), in the peer's own modules; float32."""
    with redirect_stdout(sys.stderr):  # its modules print as they are made
        return _against(peer_base_conv(checkout), batch)


def _against(base_conv: type[nn.Module], batch: int) -> dict[str, object]:
    block = C.published_block(**PAPER, n_applications=1, step_size=Fraction(1, 100))
    size = max(max(layer.conv.n_in, layer.width, layer.out.n_out) for layer in block.layers)
    layers = nn.Sequential(*(as_peer_layer(base_conv, layer, block.n_rows, size) for layer in block.layers))
    A, b, x = problem(batch, **PAPER, dtype=torch.float32, device="cpu")
    inputs = block.encode(A, b, x)
    padded = torch.nn.functional.pad(inputs, (0, size - inputs.shape[-1]))
    network = C.gradient_descent(
        n_points=PAPER["n_points"], n_dims=PAPER["n_dims"], n_steps=N_STEPS, step_size=STEP_SIZE
    )
    model, ours = network.to_torch(dtype=torch.float32), network.encode(A, b, x)
    with torch.no_grad():
        step = seconds(lambda: layers(padded))
        whole = seconds(lambda: model(ours))
        same = (layers(padded)[..., : len(block.outputs)] - block.evaluate(inputs)).abs().max().item()
    return {
        "batch": batch, "peer_layers": len(layers), "peer_width": size, "peer_ms_per_step": 1e3 * step,
        "network_ms_for_256_steps": 1e3 * whole, "peer_256_steps_over_network": N_STEPS * step / whole,
        "largest_difference_peer_module_and_ours": same,
    }  # fmt: skip


def check_plot(path: Path) -> None:
    """Raises before anything is measured where :func:`plot_growth` could not write: ``ValueError`` for a kind of file
    that it does not draw, ``OSError`` for a path that cannot be written."""
    if path.suffix.lower() not in PICTURES:
        raise ValueError(f"cannot plot to {path}: expected a file ending in {', '.join(PICTURES)}")
    check_output(path)


def plot_growth(rows: list[dict[str, object]], path: Path) -> None:
    """One panel a parameter, logarithmic axes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    frame = pd.DataFrame(rows)
    figure, axes = plt.subplots(1, len(GROWTH), figsize=(12, 3.6), constrained_layout=True)
    names = {"n_points": "N (points)", "n_dims": "D (dimensions)", "n_steps": "k (steps)"}
    for axis, (parameter, part) in zip(axes, frame.groupby("parameter", sort=False), strict=True):
        for column, label in (
            ("build_ms", "build"),
            ("forward_ms", "forward, batch 16"),
            ("proof_ms", "symbolic step"),
        ):
            axis.loglog(part["value"], part[column], "o-", label=label)
        axis.set_xticks(list(part["value"]), list(map(str, part["value"])))
        axis.minorticks_off()
        axis.set_xlabel(names[str(parameter)])
        axis.set_ylabel("milliseconds")
        axis.grid(alpha=0.3)
    axes[0].legend()
    save_figure(figure, path)
    plt.close(figure)
