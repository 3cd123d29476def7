"""What the signature of a Hessian says of a stationary point, and what it leaves open."""

from __future__ import annotations

from precls_theory.landscape.components import LOCAL, SADDLE, UNRESOLVED
from precls_theory.landscape.signature import Signature

ACCUMULATE = "semidefinite Hessian; strict saddles of the same loss come arbitrarily near, and lower values with them"
QUARTIC = (
    "the Hessian is semidefinite with one null direction across the set, along which the loss has no cubic term and a "
    "positive quartic one, the other directions at their best"
)


def kind_of(signature: Signature, tangent: int) -> tuple[str, str]:
    """The kind that a signature decides, on a stationary manifold of dimension ``tangent``."""
    if signature.negative:
        return (
            SADDLE,
            f"the Hessian has {signature.negative} negative eigenvalue{'s' if signature.negative > 1 else ''}",
        )
    if signature.zero == tangent:
        manifold = "positive definite" if tangent == 0 else f"its kernel is the tangent space, of dimension {tangent}"
        return LOCAL, f"the Hessian is semidefinite and {manifold}" if tangent else "the Hessian is positive definite"
    return UNRESOLVED, f"the Hessian is semidefinite, its kernel has dimension {signature.zero}"
