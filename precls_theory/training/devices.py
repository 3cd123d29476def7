"""Training on several devices or machines: Lightning Fabric starts the processes, and this is what they agree on.

Every process draws the whole batch from the same generator, takes its own rows of it, and averages its gradients with the
others'. So all have the same weights and the same state of the generator after each step, a run on several devices is
the run on one to rounding, a checkpoint is that of one process, and a run may be taken up on another number of devices.
Process 0 alone writes files and speaks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


def unchanged(values: Tensor) -> Tensor:
    return values


@dataclass(frozen=True)
class Ranks:
    """Process ``rank`` of ``size``; ``mean`` averages a tensor over all of them."""

    rank: int = 0
    size: int = 1
    mean: Callable[[Tensor], Tensor] = unchanged

    def share(self, batch: Tensor) -> Tensor:
        """This process's rows of a batch. Raises ``ValueError`` for a batch that cannot be shared out evenly."""
        if len(batch) % self.size:
            raise ValueError(f"a batch of {len(batch)} cannot be shared by {self.size} processes: choose a multiple")
        return batch[self.rank :: self.size]


ALONE = Ranks()


def launch(device: str, n_devices: int, n_machines: int = 1) -> Ranks:
    """Start the processes (this one is the first of its machine) and say which of them this is.

    The others run the same command line. Raises ``ValueError`` in words where Lightning Fabric is not installed.
    """
    if n_devices * n_machines == 1:
        return ALONE
    try:
        from lightning_fabric import Fabric
    except ImportError as error:
        raise ValueError("several devices need Lightning Fabric: pip install 'precls[devices]'") from error
    kind = torch.device(device).type
    fabric = Fabric(accelerator=kind, devices=n_devices, num_nodes=n_machines, strategy="ddp")
    fabric.launch()

    def mean(values: Tensor) -> Tensor:
        averaged = fabric.all_reduce(values, reduce_op="mean")
        assert isinstance(averaged, Tensor)
        return averaged

    return Ranks(fabric.global_rank, fabric.world_size, mean)
