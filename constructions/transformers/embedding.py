"""An exact Transformer inside a larger trainable one: the same function, with channels, heads and hidden units to spare.

As :mod:`constructions.models.embedding` does it for BaseConv: the exact weights are leading blocks, and what is the network's own
reads nothing that is spare.
"""

from __future__ import annotations

import torch

from constructions.models.embedding import freeze, place, randomise
from constructions.models.transformer import LinearAttention, SoftmaxAttention, Transformer
from constructions.networks.base import ExactNetwork
from constructions.transformers.blocks import BlockStack


def embedded_transformer(
    network: ExactNetwork,
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.float64,
    *,
    device: torch.device | str = "cpu",
    width: int | None = None,
    n_heads: int | None = None,
    hidden: int | None = None,
    frozen: bool = False,
) -> Transformer:
    """The trainable Transformer of an exact one, with more channels, heads and hidden units where they are asked for.

    ``model(u)`` (B, n_rows, inputs) gives all rows, ``network.decode(model(u))`` its results. Attention, mask, kind of MLP
    and size of a head are the network's: another size would change the scale of softmax. A network without MLPs gets
    bilinear ones where ``hidden`` is given. There are no norms, which would change the function. ``frozen`` as in
    :func:`constructions.models.embedding.embedded`. Raises ``ValueError`` for a model that would be narrower, ``TypeError`` for
    what is no exact Transformer.
    """
    if not isinstance(network, BlockStack) or not isinstance(network, ExactNetwork):
        raise TypeError(
            f"expected an exact Transformer, got {type(network).__name__}: BaseConv networks go with embedded()"
        )
    exact = network.to_torch(dtype=dtype, rows="all")
    assert isinstance(exact, Transformer)
    sizes = {
        "width": (width, network.width),
        "n_heads": (n_heads, max(network.n_heads, 1)),
        "hidden": (hidden, network.hidden),
    }
    for name, (asked, least) in sizes.items():
        if asked is not None and asked < least:
            raise ValueError(
                f"a network is embedded in a model that is at least as wide: {name} >= {least}, got {asked}"
            )
    attention = next(
        (b.attention for b in exact.blocks if isinstance(b.attention, SoftmaxAttention | LinearAttention)), None
    )
    if attention is None:
        raise ValueError("the network has no blocks: there is nothing to embed")
    model = Transformer(
        n_in=network.n_inputs, n_out=len(network.outputs), width=width or network.width, depth=network.depth,
        n_rows=network.n_rows, n_heads=n_heads or max(network.n_heads, 1), attention=network.attention, mask=network.mask,
        mlp=network.gate or ("bilinear" if hidden else "none"), hidden=hidden or max(network.hidden, 1),
        positions="learned" if network.positions else "none", head_dim=attention.head_dim,
    ).to(dtype)  # fmt: skip
    with torch.no_grad():
        randomise(model, generator)
        place(model, exact)
        if not network.gate:
            for name, parameter in model.named_parameters():
                if ".mlp.down." in name:
                    parameter[: network.width] = 0
    if frozen:
        freeze(model, exact)
    return model.to(device)
