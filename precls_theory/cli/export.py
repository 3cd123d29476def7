"""``precls export``: a network or a trained model as weights for the paper's published code."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from precls_theory.cli.output import Stopwatch, emit_json, fail, out, working, wrote

if TYPE_CHECKING:
    from constructions.models.published import PublishedModel


def export(
    source: Annotated[
        Path, typer.Argument(metavar="FILE_OR_RUN", help="A saved network, or the folder of a run of `precls train`.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File to write; torch.load(weights_only=True) reads it.")
    ],
    to: Annotated[Literal["precision-ls"], typer.Option(help="Whose code the weights are for.")] = "precision-ls",
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
    """Write weights for the published models of HazyResearch/precision-ls.

    The file holds {"state_dict": …, "settings": …}: TransformerModel(**settings).load_state_dict(state_dict) is the
    network, on the rows of the published tasks; every weight is rounded once. Nothing in it is pickled code.

    Examples:

      precls export gd.safetensors --to precision-ls -o model.pt

      precls export runs/layerwise --to precision-ls -o model.pt --dtype float64
    """
    watch = Stopwatch()
    try:
        with working(f"reading {source} …"):
            model = compute(source, dtype, conv_type)
        write(model, output, source)
    except (ValueError, OSError, OverflowError) as error:
        fail(str(error), watch if json else None)
    if json:
        emit_json({"file": str(output), "to": to, "settings": model.settings}, watch)
    else:
        wrote(output)
        arguments = ", ".join(f"{name}={value!r}" for name, value in model.settings.items())
        out.print(f"TransformerModel({arguments})", markup=False, highlight=False, soft_wrap=True)


def compute(source: Path, dtype: str | None, conv_type: Literal["short", "long"] | None) -> PublishedModel:
    """The published model of a saved network or a run. Raises ``ValueError`` or ``OSError`` in words."""
    import torch

    from constructions.models.published import to_published

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
        return to_published(exact_network(run.model, like), getattr(torch, dtype or run.settings.dtype), conv_type)
    from constructions.files.reading import load
    from constructions.networks.network import Network

    network = load(source)
    if not isinstance(network, Network):
        raise ValueError(f"{source} is no BaseConv network, and the published models with exact weights are")
    return to_published(network, getattr(torch, dtype or "float32"), conv_type)


def write(model: PublishedModel, output: Path, source: Path) -> None:
    """Tensors and settings, all at once."""
    import torch

    from constructions.files.output import write_output

    data = io.BytesIO()
    torch.save({"state_dict": model.state_dict, "settings": model.settings}, data)
    write_output(output, data.getvalue(), inputs=[source] if source.is_file() else [])


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(export)
