"""``precls export``: a network or a trained model as weights for the paper's published code, or for Zoology."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from precls_theory.cli.output import Stopwatch, emit_json, fail, out, working, wrote
from precls_theory.cli.paths import file_name

if TYPE_CHECKING:
    from constructions.models.published import PublishedModel
    from constructions.models.zoology import Mixers
    from constructions.networks.network import Network


def export(
    source: Annotated[
        Path, typer.Argument(metavar="FILE_OR_RUN", help="A saved network, or the folder of a run of `precls train`.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            parser=file_name,
            help="File to write; torch.load(weights_only=True) reads it.",
        ),
    ],
    to: Annotated[
        Literal["precision-ls", "zoology"], typer.Option(help="Whose code the weights are for.")
    ] = "precision-ls",
    dtype: Annotated[
        Literal["float32", "float64"] | None,
        typer.Option(help="Of the weights; float32, or the run's own, by default."),
    ] = None,
    conv_type: Annotated[
        Literal["short", "long"] | None,
        typer.Option(help="Conv1d or FFT; 'short' for causal networks by default, 'long' for circular ones."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Write weights for the published models of HazyResearch/precision-ls, or mixers of HazyResearch/zoology.

    The file holds {"state_dict": …, "settings": …}: TransformerModel(**settings).load_state_dict(state_dict) is the
    network, on the rows of the published tasks; every weight is rounded once. Nothing in it is pickled code. For Zoology
    layers.I.mixer are the weights of BaseConv mixers, to be applied one after the other to the rows, padded with zeros, plus
    positions.

    Examples:

      precls export gd.safetensors --to precision-ls -o model.pt

      precls export runs/layerwise --to precision-ls -o model.pt --dtype float64

      precls export gd.safetensors --to zoology -o mixers.pt
    """
    watch = Stopwatch()
    try:
        with working(f"reading {source} …"):
            model = compute(source, dtype, conv_type, to)
        write(model, output, source)
    except (ValueError, OSError, OverflowError) as error:
        fail(str(error), watch if json else None)
    if json:
        emit_json({"file": str(output), "to": to, "settings": model.settings}, watch)
    else:
        wrote(output)
        arguments = ", ".join(f"{name}={value!r}" for name, value in model.settings.items())
        name = "TransformerModel" if to == "precision-ls" else "BaseConv mixers"
        out.print(f"{name}({arguments})", markup=False, highlight=False, soft_wrap=True)


def compute(
    source: Path, dtype: str | None, conv_type: Literal["short", "long"] | None, to: str = "precision-ls"
) -> PublishedModel | Mixers:
    """The model of a saved network or a run in that code. Raises ``ValueError`` or ``OSError`` in words."""
    import torch

    from constructions.models.published import to_published
    from constructions.models.zoology import to_zoology

    network, kept = network_of(source)
    kind = getattr(torch, dtype or kept)
    if to == "precision-ls":
        return to_published(network, kind, conv_type)
    if conv_type == "long":
        raise ValueError("Zoology's long convolutions have no bias, which mixers need: export with --conv-type short")
    return to_zoology(network, kind)


def network_of(source: Path) -> tuple[Network, str]:
    """The exact network of a file or a run, and the dtype of its weights."""
    if source.is_dir():
        from constructions.models.baseconv import BaseConvModel
        from constructions.models.exact_weights import exact_network
        from precls_theory.training.evaluate import construction_for
        from precls_theory.training.runs import Run

        run = Run.resume(source)
        like = construction_for(run.task)
        if like is None or not isinstance(run.model, BaseConvModel):
            raise ValueError(
                f"{source} is a {run.settings.model} trained on {run.settings.task}: only BaseConv models of regressions "
                "are exported"
            )
        return exact_network(run.model, like), run.settings.dtype
    from constructions.files.reading import load
    from constructions.networks.network import Network

    network = load(source)
    if not isinstance(network, Network):
        raise ValueError(f"{source} is no BaseConv network, and the published models with exact weights are")
    return network, "float32"


def write(model: PublishedModel | Mixers, output: Path, source: Path) -> None:
    """Tensors and settings, all at once."""
    import torch

    from constructions.files.output import write_output

    data = io.BytesIO()
    torch.save({"state_dict": model.state_dict, "settings": model.settings}, data)
    write_output(output, data.getvalue(), inputs=[source] if source.is_file() else [])


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(export)
