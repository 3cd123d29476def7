"""Whole networks at full size, from input to read-out, by residues: an independent second proof of every form."""

from __future__ import annotations

from typing import Any

import constructions as C
from precls_theory.proofs.residues import ResidueProof, Unequal, prove_network
from precls_theory.proofs.variants import Build, hard_coded, last_weight, late_row, wrong
from precls_theory.registry import Evidence, Refuted, Size, theorem

CASES: tuple[dict[str, Any], ...] = (
    {"form": "residual", "n_steps": 3, "layout": "A"},
    {"form": "gram", "n_steps": 5, "layout": "S"},
    {"form": "doubling", "n_steps": 16, "layout": "E"},
    {"form": "tight", "n_steps": 37, "layout": "A"},
)


def prove_by_residues(network: C.Network, seed: int | None = None) -> ResidueProof:
    """The network computes what it claims, but with a stated probability; raises :class:`Refuted` otherwise."""
    try:
        return prove_network(network, seed=seed)
    except Unequal as unequal:
        raise Refuted(f"{network.algorithm}: {unequal}", {"index": list(unequal.index)}) from unequal


@theorem(
    id="gd-whole-networks",
    title="Whole networks for gradient descent, by residues",
    statement=r"\mathrm{decode}(\mathrm{net}(\mathrm{encode}(A,b,x_{\mathrm{init}}))) = x_k",
    hypotheses=("random primes and points; the failure probability covers Schwartz–Zippel and primes that divide a coefficient",),
    source="new",
    covers="one network of every form at the given N and D, at every exact row: " + ", ".join(
        f"{case['form']} k={case['n_steps']} ({case['layout']})" for case in CASES
    ),
    controls={
        "the last weight off by 1/3": {"build": wrong(C.gradient_descent, last_weight)},
        "the first sum a row late": {"build": wrong(C.gradient_descent, late_row)},
        "another step size than claimed": {"build": hard_coded(C.gradient_descent, step_size="1/7")},
    },
)  # fmt: skip
def whole_networks(size: Size, build: Build = C.gradient_descent) -> Evidence:
    proofs = {}
    for case in CASES:
        network = build(n_points=size.n_points, n_dims=size.n_dims, step_size="1/10", **case)
        proofs[case["form"]] = prove_by_residues(network).to_json()
    worst = max(proof["failure_probability_log2"] for proof in proofs.values())
    return Evidence(
        f"N={size.n_points}, D={size.n_dims}, {len(CASES)} networks", "residues modulo random primes", "NumPy int64",
        detail=proofs, failure_probability_log2=worst,
    )  # fmt: skip
