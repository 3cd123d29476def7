"""The three-layer block of the paper's published notebook, as a network: not gradient descent from its second
application on.

Rebuilt from its description (``notebooks/baseconv_construction.ipynb`` of ``HazyResearch/precision-ls``): every row n
holds its own iterate x_n next to a_n and b_n, x_n = x_init at first, and one application is

    r_n = a_n · x_n − b_n,    then r_n a_n,    then x_n ← x_n − η Σ_{m ≤ n} r_m a_m.

The sum mixes residuals that were taken at different iterates. See :mod:`precls_theory.theorems.descent.published_block`.
"""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from typing import Annotated

import numpy as np

from constructions.algebra.rings import Ring
from constructions.algebra.terms import Form, channel, channels, exact, prefix
from constructions.networks.builder import Builder
from constructions.networks.construction import construction
from constructions.networks.network import Network
from constructions.networks.parameters import Count, Dims, IterationParameters, Points, StepSize, recorded
from constructions.networks.tasks import IterateByRow


@construction
def published_block(
    *,
    n_points: Points,
    n_dims: Dims,
    n_applications: Annotated[int, Count("applications of the block", fits="layers")],
    step_size: StepSize,
) -> Network:
    """``n_applications`` of the published block, three layers each; ``step_size`` is its η, without a factor 1/N.

    ``net.encode(A, b, x_init)`` has rows [a_n, b_n, x_init]. The first application is a step of gradient descent; the
    second is not. Raises ``ValueError`` for sizes below one.
    """
    step = exact(step_size)
    builder = Builder(n_points, [*(f"a[{i}]" for i in range(n_dims)), "b", *(f"x[{i}]" for i in range(n_dims))])
    a, b, x = channels("a", n_dims), channel("b"), channels("x", n_dims)

    def apply(a: np.ndarray, b: Form, x: np.ndarray) -> tuple[np.ndarray, Form, np.ndarray]:
        a, b, x, r = builder.layer(a=a, b=b, x=x, r=a @ x - b)
        a, b, x, ra = builder.layer(a=a, b=b, x=x, ra=r * a)
        return builder.layer(a=a, b=b, x=x - step * prefix(ra))  # type: ignore[no-any-return]

    a, b, x = builder.repeat(n_applications, apply, a, b, x)
    return builder.build(x, partial(IterateByRow, n_points, n_dims, n_inputs=2 * n_dims + 1))


def reference(network: Network, u: np.ndarray, ring: Ring) -> np.ndarray:
    """What the network claims, from the definition: ``x_n ← x_n − η Σ_{m ≤ n} (a_m·x_m − b_m) a_m``, at every row."""
    parameters, u = recorded(network.parameters, IterationParameters), ring.coerce(u)
    dims = parameters["n_dims"]
    a, b, x = u[..., :dims], u[..., dims], u[..., dims + 1 :]
    step = ring.elements([Fraction(parameters["step_size"])])
    for _ in range(parameters["n_applications"]):
        residual = ring.reduce(np.add.reduce(ring.reduce(a * x), axis=-1) - b)
        sums = ring.reduce(np.add.accumulate(ring.reduce(a * residual[..., None]), axis=-2))
        x = ring.reduce(x - ring.reduce(step * sums))
    return x
