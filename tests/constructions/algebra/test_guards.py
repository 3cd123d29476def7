"""Encode and model inside other people's programs: ``torch.func``, ``torch.compile`` and ``torch.export``."""

import io
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import constructions as C
from constructions.networks.base import ExactNetwork

SIZES = {"n_points": 3, "n_dims": 2, "step_size": "1/8"}
BUILD: dict[str, Callable[[], ExactNetwork]] = {
    "baseconv": lambda: C.gradient_descent(**SIZES, n_steps=2),
    "compressed rows": lambda: C.gradient_descent(n_points=40, n_dims=16, step_size="1/80", n_steps=2),
    "linear attention": lambda: C.linear_attention_gradient_descent(**SIZES, n_steps=1),
    "gated": lambda: C.gated_gradient_descent(**SIZES, n_steps=1),
}


class Program(torch.nn.Module):
    """What a user would write around a network."""

    def __init__(self, network: ExactNetwork) -> None:
        super().__init__()
        self.network, self.model = network, network.to_torch()

    def forward(self, A: Tensor, b: Tensor) -> Tensor:
        return self.network.decode(self.model(self.network.encode(A, b)))


def program(name: str) -> tuple[Program, Tensor, Tensor]:
    network = BUILD[name]()
    n_points, n_dims = network.parameters["n_points"], network.parameters["n_dims"]
    generator = torch.Generator().manual_seed(0)
    A = torch.rand(5, n_points, n_dims, dtype=torch.float64, generator=generator)
    return Program(network), A, torch.rand(5, n_points, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("name", BUILD)
def test_vmap_over_encode_and_model(name: str) -> None:
    run, A, b = program(name)
    torch.testing.assert_close(torch.func.vmap(run)(A, b), run(A, b))
    of_targets = torch.func.vmap(run, in_dims=(None, 0))(A[0], b)
    torch.testing.assert_close(of_targets, torch.stack([run(A[0], targets) for targets in b]))


@pytest.mark.parametrize("name", BUILD)
def test_jacobians_by_torch_func(name: str) -> None:
    run, A, b = program(name)
    found = torch.func.vmap(torch.func.jacrev(run, argnums=1))(A, b)
    # a step from zero is linear in b
    torch.testing.assert_close((found @ b[:, :, None])[..., 0], run(A, b))


@pytest.mark.parametrize("name", ["baseconv", "linear attention"])
def test_compile_without_a_graph_break(name: str) -> None:
    run, A, b = program(name)
    torch._dynamo.reset()
    compiled = torch.compile(run, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(A, b), run(A, b))
    with pytest.raises(ValueError, match="A holds NaN or infinite values"):
        compiled(A * torch.nan, b)


@pytest.mark.parametrize("name", ["baseconv", "compressed rows", "linear attention"])
def test_export_with_a_dynamic_batch(name: str) -> None:
    run, A, b = program(name)
    sizes = {0: torch.export.Dim("batch")}
    saved = io.BytesIO()
    torch.export.save(torch.export.export(run, (A, b), dynamic_shapes={"A": sizes, "b": sizes}), saved)
    saved.seek(0)
    exported = torch.export.load(saved).module()
    for size in (2, 5):
        torch.testing.assert_close(exported(A[:size], b[:size]), run(A[:size], b[:size]))
    assert "precls" not in str(exported.graph)  # runs where this package is not installed


def test_refusals_under_vmap() -> None:
    run, A, b = program("baseconv")
    b[3, 1] = torch.inf
    with pytest.raises(ValueError, match="b holds NaN or infinite values"):
        torch.func.vmap(run)(A, b)
    square = C.approximate("x**2", {"x": (0, 1)}, "1/1000")
    values = torch.tensor([[0.5], [1.25]], dtype=torch.float64)
    with pytest.raises(ValueError, match=r"x = 1\.25 lies outside \[0, 1\]"):
        torch.func.vmap(square.encode)(values)


def test_sliced_networks_keep_their_refusals() -> None:
    network = C.sliced(BUILD["baseconv"](), slices=2, bounds={"a": 1, "b": 1, "x": 1})
    model, (_, A, b) = network.to_torch(), program("baseconv")

    def run(A: Tensor, b: Tensor) -> Tensor:
        return network.decode(model(network.encode(A, b)), as_tensor=True)

    torch.testing.assert_close(torch.func.vmap(run)(A, b), run(A, b))
    with pytest.raises(ValueError, match="the network was sliced for magnitudes up to"):
        torch.func.vmap(run)(100 * A, b)
    with pytest.raises(OverflowError, match="leaves the range"):
        torch.func.vmap(model)(100 * network.encode(A, b))
    with pytest.raises(TypeError, match=r"outside torch\.compile, torch\.export and torch\.vmap"):
        torch.func.vmap(lambda A, b: network.decode(model(network.encode(A, b))))(A, b)
    with pytest.raises(TypeError, match="an exported program cannot"):
        torch.export.export(model, (network.encode(A, b),))
