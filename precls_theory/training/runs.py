"""A training run in a folder: what was asked for, a log, and a checkpoint from which it goes on with the same bits.

* ``run.json``: the task, the model, the recipe and everything else that the run depends on.
* ``log.csv``: step, stage, loss, seconds.
* ``checkpoint.safetensors``: weights (``model.…``), the recipe's tensors (``recipe.…``) and the state of the random
  generator; its metadata hold the step and the recipe's numbers, as JSON. Written all at once, never with pickle.

A run that is stopped and taken up again makes the same steps, bit for bit, on the same machine with the same number of
threads: batches come from the one generator that is stored, and nothing else is random.
"""

from __future__ import annotations

import csv
import io
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypedDict

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from constructions.files.output import write_output
from precls_theory.training.devices import ALONE, Ranks
from precls_theory.training.levenberg_marquardt import DidNotConverge
from precls_theory.training.models import ModelConfiguration, ModelFields
from precls_theory.training.recipes import RECIPES, Setting
from precls_theory.training.recipes.recipe import Recipe, RecipeState
from precls_theory.training.tasks import TrainingTask

SETTINGS, LOG, CHECKPOINT = "run.json", "log.csv", "checkpoint.safetensors"
DTYPES = {"float32": torch.float32, "float64": torch.float64}


class RunError(ValueError):
    """A run that cannot be started, taken up or read, in words."""


@dataclass(frozen=True)
class RunSettings:
    """Everything a run depends on. ``initial`` is a saved network that the weights start from, ``noise`` the standard
    deviation of what is added to each of them, ``spare_width`` how many times as many hidden channels the model has.
    ``mlps`` and ``norms`` are parts of attention models; None is as in the paper: with both for the softmax Transformer,
    polynomials alone, hence neither, for linear attention."""

    task: str
    model: str
    recipe: str
    n_points: int = 20
    n_dims: int = 5
    dtype: str = "float32"
    device: str = "cpu"
    seed: int = 0
    depth: int = 3
    width: int = 64
    batch_size: int | None = None
    learning_rate: float | None = None
    initial: str | None = None
    noise: float = 0.0
    spare_width: float = 1.0
    n_heads: int = 8
    mlps: bool | None = None
    norms: bool | None = None

    def __post_init__(self) -> None:
        for name, known in (("recipe", RECIPES), ("dtype", DTYPES)):
            if getattr(self, name) not in known:
                raise RunError(f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        if self.noise < 0 or self.noise != self.noise:
            raise RunError(f"noise must be a standard deviation, 0 or more, got {self.noise}")
        if not 1 <= self.spare_width <= 100:
            raise RunError(f"spare width must be from 1 to 100 times the network's, got {self.spare_width}")
        if self.spare_width > 1 and self.initial is None:
            raise RunError(
                "spare width is for a model that starts from a saved network: give --init too, or use --width"
            )


class CheckpointData(TypedDict):
    """The numbers of a checkpoint."""

    n_steps: int
    seconds: float
    recipe: RecipeState


@dataclass
class Run:
    """A run in memory: :meth:`start` or :meth:`resume` it, then :meth:`train`."""

    folder: Path
    settings: RunSettings
    task: TrainingTask
    configuration: ModelConfiguration
    model: nn.Module
    recipe: Recipe
    generator: torch.Generator
    n_steps: int = 0
    seconds: float = 0.0
    log: list[tuple[int, str, float, float]] = field(default_factory=list)
    ranks: Ranks = ALONE

    @classmethod
    def start(cls, folder: Path, settings: RunSettings, ranks: Ranks = ALONE) -> Run:
        """A new run in ``folder``, which may exist but holds no run yet. Raises :class:`RunError`, ``OSError``."""
        if ranks.rank == 0 and (folder / SETTINGS).exists():
            raise RunError(f"{folder} already holds a run: resume it, or name another folder")
        run = cls._prepare(folder, settings, ranks)
        if settings.initial is not None:
            frozen = RECIPES[settings.recipe].frozen(run.model)
            initialise_from(run.model, settings, run.generator, frozen)
            run.recipe = RECIPES[settings.recipe](run.model, _setting(settings, run.task, run.generator, ranks))
        if ranks.rank == 0:
            folder.mkdir(parents=True, exist_ok=True)
            document = {"settings": asdict(settings), "model": run.configuration.to_json()}
            write_output(folder / SETTINGS, json.dumps(document, indent=2) + "\n")
        run.save()
        return run

    @classmethod
    def _prepare(
        cls, folder: Path, settings: RunSettings, ranks: Ranks = ALONE, model: ModelFields | None = None
    ) -> Run:
        task = TrainingTask(settings.task, settings.n_points, settings.n_dims)  # type: ignore[arg-type]
        generator = torch.Generator().manual_seed(settings.seed)
        recipe = RECIPES[settings.recipe]
        if model is not None:
            configuration = ModelConfiguration.from_json(model)
        elif settings.initial is not None:
            configuration = configuration_of(settings.initial, task, settings.spare_width)
        else:
            softmax = settings.model == "transformer"
            configuration = ModelConfiguration(
                settings.model, task.n_rows, task.n_inputs, task.n_outputs, settings.depth, settings.width,  # type: ignore[arg-type]
                settings.n_heads, softmax if settings.mlps is None else settings.mlps,
                softmax if settings.norms is None else settings.norms,
            )  # fmt: skip
            configuration = recipe.configuration(configuration, task)
        dtype = recipe.trains_in or DTYPES[settings.dtype]
        module = configuration.build(generator, dtype).to(settings.device)
        if settings.initial is None:
            recipe.initialise(module, generator)
        setting = _setting(settings, task, generator, ranks)
        return cls(folder, settings, task, configuration, module, recipe(module, setting), generator, ranks=ranks)

    @classmethod
    def resume(cls, folder: Path, ranks: Ranks = ALONE) -> Run:
        """The run in ``folder`` where its checkpoint left it. Raises :class:`RunError` for a folder without a run, or a
        checkpoint that is damaged or of another run."""
        try:
            document = json.loads((folder / SETTINGS).read_text())
            run = cls._prepare(folder, RunSettings(**document["settings"]), ranks, document["model"])
        except FileNotFoundError as error:
            raise RunError(f"{folder} holds no run: there is no {SETTINGS} in it") from error
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise RunError(f"{folder / SETTINGS} is damaged: {error}") from error
        tensors, data = read_checkpoint(folder / CHECKPOINT)
        try:
            run.model.load_state_dict(_part(tensors, "model."))
            run.recipe.restore(_part(tensors, "recipe."), data["recipe"])
            run.generator.set_state(tensors["generator"])
            run.n_steps, run.seconds = data["n_steps"], data["seconds"]
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise RunError(f"{folder / CHECKPOINT} is damaged or of another run: {error}") from error
        run.log = [entry for entry in read_log(folder / LOG) if entry[0] <= run.n_steps]
        return run

    def save(self) -> None:
        """Write the checkpoint and the log; process 0 of several alone does."""
        if self.ranks.rank:
            return
        tensors, data = self.recipe.state()
        stored = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        stored |= {f"recipe.{name}": value for name, value in tensors.items()}
        stored["generator"] = self.generator.get_state()
        stored = {name: value.detach().cpu().contiguous().clone() for name, value in stored.items()}
        document = {"n_steps": self.n_steps, "seconds": self.seconds, "recipe": data}
        write_output(self.folder / CHECKPOINT, save(stored, metadata={"precls training run": json.dumps(document)}))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("step", "stage", "loss", "seconds"))
        writer.writerows((step, stage, repr(loss), f"{seconds:.3f}") for step, stage, loss, seconds in self.log)
        write_output(self.folder / LOG, text.getvalue())

    def train(
        self, n_steps: int, *, save_every: float = 30.0, watch: Callable[[int, str, float], None] | None = None
    ) -> None:
        """Train until ``n_steps`` steps are done in all, or the recipe is finished; a checkpoint every ``save_every`` s.

        ``watch(step, stage, loss)`` is called after each step. A loss that is not a number, or a recipe that finds no
        step, raises :class:`RunError`; the last good checkpoint stays. Ctrl-C saves before it goes through.
        """
        began, saved = time.perf_counter(), time.perf_counter()
        before = self.seconds
        try:
            while self.n_steps < n_steps and not self.recipe.finished:
                stage = self.recipe.stage
                try:
                    loss = self.recipe.step()
                except DidNotConverge as error:
                    raise RunError(f"stopped at step {self.n_steps}, {stage}: {error}") from error
                if not loss < float("inf"):
                    raise RunError(
                        f"the loss is {loss} at step {self.n_steps + 1}: training diverged; the checkpoint of an earlier "
                        "step is kept. A smaller learning rate may help"
                    )
                self.n_steps += 1
                self.seconds = before + time.perf_counter() - began
                self.log.append((self.n_steps, stage, loss, self.seconds))
                if watch is not None:
                    watch(self.n_steps, stage, loss)
                if time.perf_counter() - saved > save_every:
                    self.save()
                    saved = time.perf_counter()
        except KeyboardInterrupt:
            self.save()
            raise
        self.save()


def _setting(s: RunSettings, task: TrainingTask, generator: torch.Generator, ranks: Ranks) -> Setting:
    return Setting(task, generator, DTYPES[s.dtype], torch.device(s.device), s.batch_size, s.learning_rate, ranks)


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], CheckpointData]:
    """Tensors and numbers of a checkpoint. Raises :class:`RunError` for a file that is none."""
    try:
        with safe_open(path, framework="pt") as file:
            data: CheckpointData = json.loads((file.metadata() or {})["precls training run"])
            return {name: file.get_tensor(name) for name in file.keys()}, data  # noqa: SIM118
    except FileNotFoundError as error:
        raise RunError(f"there is no checkpoint {path}") from error
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise RunError(f"{path} is not a checkpoint of a training run, or is damaged: {error}") from error


def read_log(path: Path) -> list[tuple[int, str, float, float]]:
    """Step, stage, loss and seconds of each line of the log."""
    try:
        with path.open(newline="") as file:
            return [(int(r["step"]), r["stage"], float(r["loss"]), float(r["seconds"])) for r in csv.DictReader(file)]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise RunError(f"{path} is not the log of a training run: {error}") from error


def configuration_of(path: str, task: TrainingTask, spare_width: float = 1.0) -> ModelConfiguration:
    """The sizes of the trainable model that starts as the saved network at ``path``. Raises :class:`RunError`."""
    from constructions import load
    from constructions.networks.stack import LayerStack

    network = load(path)
    if not isinstance(network, LayerStack):
        raise RunError(f"{path} holds a Transformer, and training starts from a BaseConv network")
    if network.n_rows != task.n_rows or len(network.inputs) < task.n_inputs:
        raise RunError(
            f"{path} has {network.n_rows} rows and {len(network.inputs)} input channels, and the task {task.name} has "
            f"{task.n_rows} and {task.n_inputs}: build the network for the same n_points and n_dims"
        )
    if network.task.columns != tuple(range(task.n_outputs)):
        raise RunError(
            f"{path} has its result in the output channels {network.task.columns}, and the task {task.name} reads the "
            f"first {task.n_outputs}"
        )
    if len(network.inputs) != task.n_inputs:
        raise RunError(f"{path} has positional channels, which inputs of the task {task.name} do not have")
    hidden = tuple(math.ceil(spare_width * layer.width) for layer in network.layers)
    return ModelConfiguration(
        "baseconv", network.n_rows, len(network.inputs), len(network.layers[-1].outputs), network.depth,
        max(hidden), hidden=hidden,
        channels=tuple(len(layer.outputs) for layer in network.layers[:-1]),
    )  # fmt: skip


def initialise_from(
    model: nn.Module, settings: RunSettings, generator: torch.Generator, frozen: tuple[str, ...] = ()
) -> None:
    """Give ``model`` the weights of the saved network, plus N(0, ``noise``²) on each that is not frozen."""
    from constructions import load
    from constructions.models.embedding import embedded

    assert settings.initial is not None
    exact = embedded(load(settings.initial), settings.spare_width, generator).state_dict()
    for name, value in exact.items():
        if name not in frozen:
            exact[name] = value + settings.noise * torch.randn(value.shape, generator=generator, dtype=torch.float64)
    model.load_state_dict(exact)
