"""First-order recipes: Adam with step decay, and the one of Liu et al. 2025 (§5, App. B; code HazyResearch/precision-ls).

The published one: Adam with eps 1e-16, batches of 1024, gradients to which twice their exponential moving average (decay
0.98) is added, and a learning rate that is changed every 3000 steps: divided by 0.9 while minibatch gradients disagree (the
moving average, decay 0.9, of the cosine similarity of successive filtered gradients is below 0.9), multiplied by 0.9
otherwise. The similarity is that of successive filtered gradients, whose norm is first clipped at 100; a step whose norm
is not a number is left out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from precls_theory.training.recipes.recipe import Recipe, RecipeState, Setting


class Adam(Recipe):
    """Adam; the learning rate is multiplied by ``decay`` every ``decay_every`` steps."""

    several_devices = True
    decay, decay_every = 0.9, 1000
    default_rate, default_batch, eps = 1e-3, 256, 1e-8

    def __init__(self, model: nn.Module, setting: Setting) -> None:
        super().__init__(model, setting)
        self.rate = setting.learning_rate or self.default_rate
        self.batch_size = setting.batch_size or self.default_batch
        self.optimizer = torch.optim.Adam(model.parameters(), lr=self.rate, eps=self.eps)
        self.n_steps = 0

    def step(self) -> float:
        ranks = self.setting.ranks
        u, target = map(ranks.share, self.batch(self.batch_size))
        self.optimizer.zero_grad()
        loss = (self.setting.task.answer(self.model(u)) - target).square().mean()
        loss.backward()
        for parameter in self.model.parameters():
            if parameter.grad is not None:
                parameter.grad = ranks.mean(parameter.grad)
        self.n_steps += 1
        if self.filter_gradients():
            self.optimizer.step()
        self.schedule()
        return float(ranks.mean(loss.detach()))

    def filter_gradients(self) -> bool:
        """Change the gradients in place; whether to take the step."""
        return True

    def schedule(self) -> None:
        if self.n_steps % self.decay_every == 0:
            self.set_rate(self.rate * self.decay)

    def set_rate(self, rate: float) -> None:
        self.rate = rate
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def state(self) -> tuple[dict[str, Tensor], RecipeState]:
        entries = self.optimizer.state_dict()["state"]
        tensors = {f"{index}.{key}": value for index, kept in entries.items() for key, value in kept.items()}
        return tensors, {"n_steps": self.n_steps, "rate": self.rate}

    def restore(self, tensors: dict[str, Tensor], data: RecipeState) -> None:
        kept: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            index, _, key = name.partition(".")
            if index.isdigit():
                kept.setdefault(int(index), {})[key] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": kept})
        self.n_steps = data["n_steps"]
        self.set_rate(data["rate"])


class PublishedAdam(Adam):
    """The paper's high-precision recipe; see the module."""

    default_rate, default_batch, eps = 1e-2, 1024, 1e-16
    decay_every = 3000
    average_decay, average_weight = 0.98, 2.0
    similarity_decay, agreement = 0.9, 0.9
    largest_norm = 100.0

    def __init__(self, model: nn.Module, setting: Setting) -> None:
        super().__init__(model, setting)
        self.average: Tensor | None = None
        self.previous: Tensor | None = None
        self.similarity = 1.0

    def filter_gradients(self) -> bool:
        parameters = [p for p in self.model.parameters() if p.grad is not None]
        norm = clip_grad_norm_(parameters, self.largest_norm)
        if not bool(torch.isfinite(norm)):
            return False
        gradient = torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])
        if self.average is None:
            self.average = gradient.clone()
        self.average = self.average_decay * self.average + (1 - self.average_decay) * gradient
        filtered = gradient + self.average_weight * self.average
        if self.previous is not None:
            cosine = float(torch.nn.functional.cosine_similarity(filtered, self.previous, dim=0))
            self.similarity = self.similarity_decay * self.similarity + (1 - self.similarity_decay) * cosine
        self.previous = filtered
        for parameter, part in zip(parameters, filtered.split([p.numel() for p in parameters]), strict=True):
            parameter.grad = part.view_as(parameter).clone()
        return True

    def schedule(self) -> None:
        if self.n_steps % self.decay_every == 0:
            self.set_rate(self.rate * self.decay if self.similarity >= self.agreement else self.rate / self.decay)

    def state(self) -> tuple[dict[str, Tensor], RecipeState]:
        tensors, data = super().state()
        for name in ("average", "previous"):
            if getattr(self, name) is not None:
                tensors[name] = getattr(self, name)
        return tensors, {**data, "similarity": self.similarity}

    def restore(self, tensors: dict[str, Tensor], data: RecipeState) -> None:
        super().restore(tensors, data)
        self.average, self.previous = tensors.get("average"), tensors.get("previous")
        self.similarity = data["similarity"]
