"""Gradient descent on least squares: ``x ← x − (η/N)(G x − c)``, in four forms."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

from constructions.algebra.terms import exact
from constructions.algorithms.descent.doubling import doubling_form
from constructions.algorithms.descent.gram import gram_form
from constructions.algorithms.descent.residual import residual_form
from constructions.algorithms.descent.tight import tight_form
from constructions.networks.construction import construction
from constructions.networks.network import Network
from constructions.networks.parameters import Count, Held, Points, StepSize
from constructions.networks.tasks import LayoutName

DescentForm = Literal["residual", "gram", "doubling", "tight"]
FORMS: tuple[DescentForm, ...] = ("residual", "gram", "doubling", "tight")
STEPS_THAT_FIT: dict[str, Held] = {
    "residual": "layers", "gram": "layers", "doubling": "doublings", "tight": "doublings",
}  # fmt: skip
"""By form: what the steps of a stored network are bounded by."""
DIMS_THAT_FIT: dict[str, Held] = {"residual": "channels", "gram": "pairs", "doubling": "pairs", "tight": "pairs"}
"""By form: what the unknowns of a stored network are bounded by."""


@construction
def gradient_descent(
    *,
    n_points: Points,
    n_dims: Annotated[int, Count("unknowns D", fits=DIMS_THAT_FIT, usual=5)],
    n_steps: Annotated[int, Count("steps", fits=STEPS_THAT_FIT)],
    step_size: StepSize,
    form: DescentForm = "doubling",
    layout: LayoutName = "A",
) -> Network:
    """A network that runs ``n_steps`` steps ``x ← x − (η/N) Aᵀ(A x − b)`` exactly, with η = ``step_size``, N = ``n_points``.

    The step is η/N, as in the paper, because the loss is a mean over the N points: it converges for η < 2/λ_max(AᵀA/N).
    ``net.encode(A, b, x_init)`` and ``net.decode(net.evaluate(u))`` give ``x_k``, shape (..., n_dims). Depth: ``gram`` k+1,
    ``doubling`` log2(k)+2 (k a power of two), ``tight`` ⌊log2 k⌋+2, ``residual`` 2k+1; one more in layout S (and in
    E for ``residual``). Source: Liu et al. 2025, App. D.2 for the residual form; doubling and tight are new.
    Raises ``ValueError`` for sizes below one, an unknown form or layout, and for a form that cannot do what is asked.
    """
    step = exact(step_size)
    if form == "gram":
        return gram_form(n_points, n_dims, [(step, Fraction(0))] * n_steps, layout)
    forms = {"residual": residual_form, "doubling": doubling_form, "tight": tight_form}
    return forms[form](n_points, n_dims, n_steps, step, layout)
