"""Whole networks at full size, from input to read-out, by residues: an independent second proof of every form."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import TypedDict

import numpy as np
import torch

import constructions as C
from constructions.algebra.rings import RATIONALS
from constructions.algorithms.descent.gradient_descent import DescentForm
from constructions.networks.parameters import IterationParameters, recorded
from constructions.networks.tasks import LAYOUTS, LayoutName
from precls_theory.checking.prove import prove_network
from precls_theory.checking.transformers import descent
from precls_theory.proofs.residues import ResidueProof, Unequal
from precls_theory.proofs.variants import Build, hard_coded, last_weight, late_row, wrong
from precls_theory.registry import Evidence, Refuted, Size, theorem


class Case(TypedDict):
    """One network."""

    form: DescentForm
    n_steps: int
    layout: LayoutName


CASES: tuple[Case, ...] = (
    {"form": "residual", "n_steps": 3, "layout": "A"},
    {"form": "gram", "n_steps": 5, "layout": "S"},
    {"form": "doubling", "n_steps": 16, "layout": "E"},
    {"form": "tight", "n_steps": 37, "layout": "A"},
)


Decode = Callable[[C.Network, np.ndarray | torch.Tensor], np.ndarray | torch.Tensor]


def prove_by_residues(network: C.Network, seed: int | None = None, failure_log2: float = -60.0) -> ResidueProof:
    """The network computes what it claims, but with a stated probability; raises :class:`Refuted` otherwise."""
    try:
        return prove_network(network, seed=seed, failure_log2=failure_log2)
    except Unequal as unequal:
        raise Refuted(f"{network.algorithm}: {unequal}", {"index": list(unequal.index)}) from unequal


def require_run(network: C.Network, decode: Decode = lambda network, output: network.decode(output)) -> None:
    """From numbers to numbers: encode, run, decode, and the same in PyTorch, equal (``==``) to the textbook loop.

    The data are small integers and the step size over N a power of two, so that every rounding of float64 is exact as
    long as no number needs more than 53 bits; all coordinates of the result are different. Raises :class:`Refuted`.
    """
    p = recorded(network.parameters, IterationParameters)
    N, D = p["n_points"], p["n_dims"]
    rng = np.random.default_rng(0)
    A, b, x = (rng.integers(-2, 3, shape).astype(object) for shape in ((N, D), (N,), (D,)))
    x = x + 3 * np.arange(D).astype(object)
    expected = descent(A, b, x, p["n_steps"], Fraction(p["step_size"]), RATIONALS)
    if len(set(expected.tolist())) != D or any(Fraction(value) != Fraction(float(value)) for value in expected):
        raise ValueError("the data do not tell the coordinates apart, or are no floats: choose others")
    exact = decode(network, network.evaluate(network.encode(A, b, x)))
    floats = (torch.tensor(value.astype(float), dtype=torch.float64) for value in (A, b, x))
    lowered = decode(network, network.to_torch(torch.float64)(network.encode(*floats)))
    for how, result in (("exactly", exact.tolist()), ("in PyTorch", lowered.tolist())):
        if result != expected.tolist():
            raise Refuted(f"run {how} it gives {result}, not {expected.tolist()}", {"how": how})


def reversed_decode(network: C.Network, output: np.ndarray | torch.Tensor) -> np.ndarray | torch.Tensor:
    """The decoder with the coordinates in the wrong order."""
    result = network.decode(output)
    return result[..., list(range(result.shape[-1]))[::-1]]


@theorem(
    id="gd-whole-networks",
    title="Whole networks for gradient descent, by residues",
    statement=r"\mathrm{decode}(\mathrm{net}(\mathrm{encode}(A,b,x_{\mathrm{init}}))) = x_k",
    hypotheses=("random primes and points; the failure probability covers Schwartz–Zippel and primes that divide a coefficient",),
    source="new",
    covers="one network of every form at the given N and D, at every exact row: "
    + ", ".join(f"{case['form']} k={case['n_steps']} ({case['layout']})" for case in CASES)
    + "; encode, run, decode and the lowering to PyTorch, with equality, on integers",
    controls={
        "the last weight off by 1/3": {"build": wrong(C.gradient_descent, last_weight)},
        "the first sum a row late": {"build": wrong(C.gradient_descent, late_row)},
        "a step size of 1/10 whatever is asked for": {"build": hard_coded(C.gradient_descent, step_size="1/10")},
        "the last weight off by 1/3, by residues alone": lambda: prove_by_residues(
            last_weight(C.gradient_descent(n_points=2, n_dims=2, n_steps=2, step_size="1/10"))
        ),
        "the decoder reversed": {"decode": reversed_decode},
    },
)  # fmt: skip
def whole_networks(
    size: Size,
    build: Build = C.gradient_descent,
    decode: Decode = lambda network, output: network.decode(output),
) -> Evidence:
    proofs: dict[str, ResidueProof] = {}
    for case in CASES:
        network = build(n_points=size.n_points, n_dims=size.n_dims, step_size="1/10", **case)
        proofs[case["form"]] = prove_by_residues(network, failure_log2=-62.0)
        for layout in LAYOUTS:
            require_run(
                build(n_points=3, n_dims=2, n_steps=2, step_size="3/8", form=case["form"], layout=layout), decode
            )
    chances = [proof.failure_probability_log2 for proof in proofs.values()]
    return Evidence(
        f"Executed: N={size.n_points}, D={size.n_dims}, {len(CASES)} networks at random residues; every form and layout "
        "at N=3, D=2, 2 steps of 3/8, run from numbers to numbers, over Q and in float64 PyTorch, where no rounding occurs. "
        "Argued: that a nonzero polynomial has few zeros (Schwartz, Zippel) and few primes divide its coefficients",
        "residues modulo random primes; Q; float64 where it is exact", "NumPy int64; PyTorch",
        detail={form: proof.to_json() for form, proof in proofs.items()},
        failure_probability_log2=math.log2(sum(2.0**chance for chance in chances)),
    )  # fmt: skip
