"""Multiply and gradient descent in Transformers with gated MLPs and no norm: SwiGLU, GEGLU, ReGLU, bilinear.

Gating decides what a softmax Transformer can express. ``act(z) − act(−z) = z`` for SiLU, GELU and ReLU, so two hidden
units compute a product exactly: ``act(z) y − act(−z) y = z y`` (a bilinear MLP needs one). Softmax attention with zero
scores takes means, which is the sum over the data rows that gradient descent needs.
"""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from typing import Annotated

from constructions.algebra.terms import Form, channel, channel_name, channels, exact, names, symmetric
from constructions.networks.construction import construction
from constructions.networks.layer import Mask
from constructions.networks.parameters import Channels, Count, Declaration, Dims, Place, Points, Rows, StepSize
from constructions.networks.tasks import Regression, Sequence
from constructions.transformers.blocks import GateName
from constructions.transformers.builder import TransformerBuilder
from constructions.transformers.exact import ExactTransformer
from constructions.transformers.linear_attention import assign, check_blocks

ONE = Form({}, Fraction(1))


def _check_mask(mask: Mask) -> None:
    if mask not in ("causal", "full"):
        raise ValueError(f"mask must be 'causal' or 'full' (softmax needs a row to attend to), got {mask!r}")


@construction(name="gated_multiply")
def multiply(
    *,
    n_rows: Rows,
    n_channels: Channels,
    left: Place,
    right: Place,
    target: Place,
    length: Channels = 1,
    gate: GateName = "swiglu",
    mask: Mask = "causal",
    clear: Annotated[bool, Declaration("take away what the target channels held")] = True,
) -> ExactTransformer:
    """Channels ``target:target+length`` become ``u[:, left:left+length] ⊙ u[:, right:right+length]``, in one block.

    Its attention is zero; its MLP has two hidden units a product (one if bilinear), and as many to take away what
    ``target`` held; ``clear=False`` leaves these out and adds the product to the target channels.
    Raises ``ValueError`` when a block leaves the channels or for an unknown gate.
    """
    check_blocks(n_channels, length, left=left, right=right, target=target)
    _check_mask(mask)
    u = channels("u", n_channels)
    builder = TransformerBuilder(names("u", n_channels), n_channels, gate)
    builder.block()
    for i in range(length):
        into = channel_name("u", target + i)
        builder.multiply(u[left + i], u[right + i], {into: 1})
        if clear:
            builder.multiply(u[target + i], ONE, {into: -1})
    task = partial(Sequence, n_rows, n_channels, n_inputs=n_channels)
    return builder.build(n_rows, mask, names("u", n_channels), task)


@construction(name="gated_gradient_descent")
def gradient_descent(
    *,
    n_points: Points,
    n_dims: Dims,
    n_steps: Annotated[int, Count("steps", fits="layers")] = 1,
    step_size: StepSize = Fraction(1, 4),
    gate: GateName = "swiglu",
    mask: Mask = "causal",
) -> ExactTransformer:
    """``n_steps`` steps ``x ← x − (η/N)(Gx − c)`` in ``n_steps + 1`` blocks; layout E, exact at the last row.

    Block 1: the MLP forms the products a_i a_j and b a_j at every row. Block 2: attention takes their mean, which at
    the last row is 1/(N+1) of the sum over all rows; the last row's own products (x_i x_j, from the channels of a)
    are in its channels and are taken away, an affine map, so ``g = (N+1)·mean − own`` is G and c exactly. Its MLP and
    that of every further block multiply G by x.
    """
    step = exact(step_size) / n_points
    _check_mask(mask)
    a, b = channels("a", n_dims), channel("b")
    pairs = [(i, j) for i in range(n_dims) for j in range(i, n_dims)]
    families = {family: [channel_name(f"{family}_aa", i, j) for i, j in pairs] for family in ("own", "sum")}
    inputs = [*names("a", n_dims), "b"]
    scratch = [*families["own"], *families["sum"], *names("own_ab", n_dims), *names("sum_ab", n_dims)]
    builder = TransformerBuilder([*inputs, *scratch], len(inputs), gate)
    builder.block()
    for (i, j), own in zip(pairs, families["own"], strict=True):
        builder.multiply(a[i], a[j], {own: 1})
    for j in range(n_dims):
        builder.multiply(a[j], b, {channel_name("own_ab", j): 1})
    n_rows = n_points + 1
    gram = symmetric(channels("sum_aa", n_dims, n_dims) - channels("own_aa", n_dims, n_dims))
    moment = channels("sum_ab", n_dims)  # the last row's own b is zero
    for number in range(n_steps):
        builder.block()
        if number == 0:
            builder.mean({f"sum{own[3:]}": channel(own) * n_rows for own in families["own"]})
            builder.mean(assign("sum_ab", channels("own_ab", n_dims) * n_rows))
        for i in range(n_dims):
            x_i = channel_name("a", i)
            for j in range(n_dims):
                builder.multiply(gram[i, j], a[j], {x_i: -step})
            builder.multiply(moment[i], ONE, {x_i: step})
    return builder.build(
        n_rows, mask, names("a", n_dims), partial(Regression, n_points, n_dims, "E", n_inputs=len(inputs))
    )
