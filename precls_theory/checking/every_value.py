"""Constructions against their references with parameters as symbols: claims for every value of a step size and its like."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

import numpy as np

from constructions.networks.base import ExactNetwork
from constructions.networks.network import Network
from precls_theory.checking.references import claimed, computed
from precls_theory.checking.transformers import descent
from precls_theory.proofs.parameters import Symbols
from precls_theory.proofs.symbolic import MakeVariables, flint_variables, require_equal


def prove_for_every(
    construct: Callable[..., Network],
    prove: Callable[[Network, MakeVariables], object],
    parameters: Mapping[str, object],
    few: Mapping[str, object] | None = None,
    /,
    **samples: Fraction | int | str,
) -> list[Fraction]:
    """Prove the construction with ``samples``' names as symbols, by ``prove(network, make_variables)``.

    Of a single symbol the values at which weights vanish or coincide are run as well, each whole, from input to output,
    against the reference of the construction, with ``few`` in place of some parameters (few steps: polynomials of the
    whole network are written out). Returns these values. Raises :class:`precls_theory.registry.Refuted`.
    """
    symbols = Symbols(**samples)
    network = symbols.build(construct, **parameters, **{name: symbols[name] for name in samples})
    prove(network, symbols.variables)
    if len(samples) > 1:
        return []
    (name,) = samples
    small = {**parameters, **(few or {})}
    special = symbols.special_values([network, symbols.build(construct, **small, **{name: symbols[name]})])
    for value in special:
        prove_whole(construct(**small, **{name: value}))
    return special


def prove_whole(network: Network, make: MakeVariables = flint_variables) -> None:
    """The network computes what it claims, written out: every free entry of the input a variable."""
    free = network.task.free_channels
    v = make(u=(len(free),))
    u = v.zeros(network.n_rows, len(network.inputs))
    rows, columns = np.array(free).T
    u[rows, columns] = v["u"]
    what = f"{network.algorithm} with {network.parameters}"
    require_equal(computed(network, u, v.ring), claimed(network, u, v.ring), what, v.ring)


def prove_every_step(construct: Callable[..., ExactNetwork], n_points: int, n_dims: int, n_steps: int) -> None:
    """``n_steps`` steps of gradient descent by a construction of Transformers, its step size a symbol.

    Against the loop of :func:`precls_theory.checking.transformers.descent`. Raises
    :class:`precls_theory.registry.Refuted`.
    """
    symbols = Symbols(eta="1/3")
    network = construct(n_points=n_points, n_dims=n_dims, n_steps=n_steps, step_size=symbols["eta"])
    v = symbols.variables(A=(n_points, n_dims), b=(n_points,), x=(n_dims,))
    output = network.decode(network.evaluate(network.encode(v["A"], v["b"], v["x"]), v.ring))
    expected = descent(v["A"], v["b"], v["x"], n_steps, symbols["eta"], v.ring)
    require_equal(output, expected, f"{n_steps} steps of size η", v.ring)
