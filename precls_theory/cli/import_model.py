"""``precls import``: weights of the paper's published code as an exact network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from constructions.networks.parameters import claim_of
from precls_theory.cli.output import Stopwatch, emit_json, fail, out, working, wrote
from precls_theory.cli.paths import file_name

if TYPE_CHECKING:
    from constructions.models.published import PublishedModel
    from constructions.networks.network import Network
    from precls_theory.checking.check import CheckResult


def import_model(
    source: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A file with state_dict and settings, as `precls export` writes it.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", parser=file_name, help="File for the exact network.")
    ],
    claims: Annotated[
        Path | None,
        typer.Option(
            help="A saved network whose function is claimed; explicit gradient of the model's sizes by default."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Read weights of HazyResearch/precision-ls, or mixers of HazyResearch/zoology, as an exact network.

    Floats are rationals, and nothing is rounded on the way. The network claims the function of a construction; whether
    it computes that function exactly is checked and said, here and by `precls check`: weights that were trained or
    rounded (1/20 is no float) usually do not.

    Examples:

      precls export gd.safetensors -o model.pt

      precls import model.pt -o net.safetensors --claims gd.safetensors
    """
    watch = Stopwatch()
    from constructions.files.output import check_output

    try:
        check_output(output, inputs=[path for path in (source, claims) if path is not None])
        with working(f"reading {source} …"):
            network = compute(source, claims)
        network.save(output)
        with working("checking its claim …"):
            verdict = checked(network)
    except (ValueError, OSError) as error:
        fail(str(error), watch if json else None)
    claim = claim_of(network.parameters)
    if json:
        emit_json({"file": str(output), "claims": claim, "exact": verdict.ok, "check": verdict.to_json()}, watch)
    else:
        wrote(output)
        word = "is exactly" if verdict.ok else "is not exactly"
        out.print(
            f"the network {word} {claim['algorithm']}: {verdict.message}", highlight=False, soft_wrap=True, markup=False
        )


def compute(source: Path, claims: Path | None) -> Network:
    """The network in a file, claiming what the other one claims. Raises ``ValueError`` or ``OSError`` in words."""
    import constructions as C
    from constructions.files.reading import load
    from constructions.models.published import from_published
    from constructions.models.zoology import Mixers, SettingsOfMixers, from_zoology
    from constructions.networks.network import Network
    from constructions.networks.parameters import recorded

    model = read(source)
    mixers = "d_model" in model.settings
    try:
        if mixers and claims is None:
            raise ValueError(
                f"{source} holds mixers of Zoology: name a network whose function they claim with --claims"
            )
        if claims is not None:
            like = load(claims)
            if not isinstance(like, Network):
                raise ValueError(f"{claims} is no BaseConv network")
        else:
            rows, inputs, outputs = (model.settings[name] for name in ("n_positions", "in_dims", "out_dims"))
            if inputs != outputs + 1 or rows < 2:
                raise ValueError(
                    f"{source} takes {inputs} channels of {rows} rows and gives {outputs}: that is no explicit gradient; "
                    "name a network whose function it claims with --claims"
                )
            like = C.explicit_gradient(n_points=rows - 1, n_dims=outputs)
        return (
            from_zoology(Mixers(model.state_dict, recorded(model.settings, SettingsOfMixers)), like)
            if mixers
            else from_published(model, like)
        )
    except KeyError as error:
        raise ValueError(f"{source} lacks the setting {error}") from error
    except TypeError as error:
        raise ValueError(f"{source} has settings of the wrong kind: {error}") from error


def read(source: Path) -> PublishedModel:
    """State dict and settings of a file; nothing in it is executed. Raises ``ValueError`` or ``OSError`` in words."""
    import pickle

    import torch

    from constructions.models.published import PublishedModel, PublishedSettings

    if not source.is_file():
        raise OSError(f"there is no file {source}")
    try:
        data: object = torch.load(source, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{source} is no file of weights that torch.load(weights_only=True) reads: {first}") from error
    if not isinstance(data, dict) or not all(isinstance(data.get(name), dict) for name in ("state_dict", "settings")):
        raise ValueError(f"{source} must hold {{'state_dict': …, 'settings': …}}, as `precls export` writes it")
    state: dict[str, object] = data["state_dict"]
    settings: PublishedSettings = data["settings"]
    strange = [str(name) for name, value in state.items() if not isinstance(value, torch.Tensor)]
    if strange:
        raise ValueError(f"{source} has entries of its state dict that are no tensors: {', '.join(strange[:5])}")
    wrong = [
        str(key) for key, value in settings.items() if key.startswith("n_") and not (type(value) is int and value >= 1)
    ]
    if wrong:
        raise ValueError(f"{source} has settings that are no positive integers: {', '.join(wrong[:5])}")
    if settings.get("n_layer", 1) > len(state):
        raise ValueError(f"{source} says that it has {settings['n_layer']} layers, and has {len(state)} tensors")
    tensors = {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}
    return PublishedModel(tensors, settings)


def checked(network: Network) -> CheckResult:
    """Whether the network is what it claims to be."""
    from precls_theory.checking.check import check

    return check(network)


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("import")(import_model)
