"""Which stock modules and published architectures have a growth certificate, which are refused, and why.

A case is a module with random weights at one input shape; its row is what :func:`growth_certificate` answers: the exponent
of the bound that was proved, or the reason in words.  Every module of ``torch.nn`` is a case or is in :data:`LEFT_OUT` with a
reason.  The architectures are those of Hugging Face's ``transformers``, small and with their own configuration classes: two
layers, width 8, the cache of keys and values on where the model has one.  A row says nothing of other arguments,
shapes or versions; the versions it was made with are in the file.

The table is committed (:data:`TABLE`).  Tests make the rows of ``torch.nn`` again; those of ``transformers``, which the
package does not need, are made by ``precls certify --coverage --remake FILE`` where it is installed.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from constructions.files.output import check_output, write_output
from precls_theory.expressivity.growth.certificate import growth_certificate
from precls_theory.expressivity.tracing.program import Inconclusive

TABLE = Path(__file__).with_name("coverage.json")
ROWS, CHANNELS = 4, 6
SEQUENCE, PICTURE, VOLUME = (1, ROWS, CHANNELS), (1, 2, 6, 6), (1, 2, 6, 6, 6)


@dataclass(frozen=True)
class Row:
    """What became of one case: ``exponent`` and ``analytic`` of its certificate, or ``None`` and the ``reason``."""

    library: str
    name: str
    shape: tuple[int, ...]
    exponent: int | None
    analytic: str
    reason: str

    @property
    def outcome(self) -> str:
        """In words, for people."""
        if self.exponent is None:
            return "refused"
        return {0: "certified: bounded", 1: "certified: linear"}.get(
            self.exponent, f"certified: degree {self.exponent}"
        )


@dataclass(frozen=True)
class Case:
    """A module to be made, and the shape of its input."""

    library: str
    name: str
    make: Callable[[], nn.Module]
    shape: tuple[int, ...] = SEQUENCE

    def row(self) -> Row:
        """Make the module, the same every time, and ask for its certificate."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = self.make().eval()
        try:
            found = growth_certificate(model, self.shape, exponent=None)
        except Inconclusive as refusal:
            return Row(self.library, self.name, self.shape, None, "", str(refusal).removeprefix("cannot conclude: "))
        return Row(self.library, self.name, self.shape, found.exponent, found.analytic, "")


class Called(nn.Module):
    """A module that takes more than one tensor, on tensors made of ``u``."""

    def __init__(self, module: nn.Module, call: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.module, self.call = module, call

    def forward(self, u: Tensor) -> Tensor:
        return self.call(self.module, u)


# ---- torch.nn --------------------------------------------------------------------------------------------------------

_PLAIN = (
    "CELU ELU Flatten GELU Hardshrink Hardsigmoid Hardswish Hardtanh Identity LeakyReLU LogSigmoid Mish PReLU RReLU ReLU ReLU6 "
    "SELU SiLU Sigmoid Softplus Softshrink Softsign Tanh Tanhshrink AlphaDropout Dropout Dropout1d FeatureAlphaDropout"
)
_ARGUMENTS: dict[str, tuple[tuple[object, ...], dict[str, object], tuple[int, ...]]] = {
    **{name: ((), {}, SEQUENCE) for name in _PLAIN.split()},
    **{name: ((-1,), {}, SEQUENCE) for name in ("Softmax", "Softmin", "LogSoftmax", "GLU")},
    "Softmax2d": ((), {}, PICTURE), "Dropout2d": ((), {}, PICTURE), "Dropout3d": ((), {}, VOLUME),
    "Threshold": ((0.1, 20.0), {}, SEQUENCE), "Linear": ((CHANNELS, 3), {}, SEQUENCE),
    "LayerNorm": ((CHANNELS,), {}, SEQUENCE), "RMSNorm": ((CHANNELS,), {}, SEQUENCE), "GroupNorm": ((2, ROWS), {}, SEQUENCE),
    "LocalResponseNorm": ((2,), {}, SEQUENCE), "CrossMapLRN2d": ((2,), {}, PICTURE),
    "Unflatten": ((2, (2, 3)), {}, SEQUENCE), "ChannelShuffle": ((2,), {}, SEQUENCE), "PixelShuffle": ((2,), {}, (1, 4, 3, 3)),
    "PixelUnshuffle": ((2,), {}, PICTURE), "Fold": (((4, 4), 2), {"stride": 2}, (1, 4, 4)), "Unfold": ((2,), {}, PICTURE),
    "Upsample": ((), {"scale_factor": 2}, PICTURE), "UpsamplingNearest2d": ((), {"scale_factor": 2}, PICTURE),
    "UpsamplingBilinear2d": ((), {"scale_factor": 2}, PICTURE),
    "RNN": ((CHANNELS, 3), {"batch_first": True}, SEQUENCE), "GRU": ((CHANNELS, 3), {"batch_first": True}, SEQUENCE),
    "LSTM": ((CHANNELS, 3), {"batch_first": True}, SEQUENCE), "RNNCell": ((CHANNELS, 3), {}, (2, CHANNELS)),
    "GRUCell": ((CHANNELS, 3), {}, (2, CHANNELS)),
    "MultiheadAttention": ((CHANNELS, 2), {"batch_first": True}, SEQUENCE),
    "TransformerEncoderLayer": ((CHANNELS, 2, 8), {"batch_first": True}, SEQUENCE),
    "TransformerDecoderLayer": ((CHANNELS, 2, 8), {"batch_first": True}, SEQUENCE),
    "Transformer": ((CHANNELS, 2, 1, 1, 8), {"batch_first": True}, SEQUENCE),
    **{f"LPPool{n}d": ((2, 2), {}, shape) for n, shape in ((1, SEQUENCE), (2, PICTURE), (3, VOLUME))},
    "FractionalMaxPool2d": ((2, 3), {}, PICTURE), "FractionalMaxPool3d": ((2, 3), {}, VOLUME),
}  # fmt: skip
for _n, _shape in ((1, SEQUENCE), (2, PICTURE), (3, VOLUME)):
    _channels = _shape[1]
    _ARGUMENTS |= {
        f"Conv{_n}d": ((_channels, 3, 2), {"padding": 1}, _shape),
        f"ConvTranspose{_n}d": ((_channels, 3, 2), {"stride": 2}, _shape),
        f"MaxPool{_n}d": ((2,), {}, _shape),
        f"AvgPool{_n}d": ((2,), {}, _shape),
        f"AdaptiveAvgPool{_n}d": ((2,), {}, _shape),
        f"AdaptiveMaxPool{_n}d": ((2,), {}, _shape),
        f"BatchNorm{_n}d": ((_channels,), {}, _shape),
        f"InstanceNorm{_n}d": ((_channels,), {"affine": True}, _shape),
        f"ConstantPad{_n}d": ((1, 0.5), {}, _shape),
        **{f"{kind}Pad{_n}d": ((1,), {}, _shape) for kind in ("Zero", "Reflection", "Replication", "Circular")},
    }

LEFT_OUT: dict[str, str] = {
    "a loss: it takes a target": (
        "AdaptiveLogSoftmaxWithLoss BCELoss BCEWithLogitsLoss CTCLoss CosineEmbeddingLoss CrossEntropyLoss GaussianNLLLoss "
        "HingeEmbeddingLoss HuberLoss KLDivLoss L1Loss LinearCrossEntropyLoss MSELoss MarginRankingLoss MultiLabelMarginLoss "
        "MultiLabelSoftMarginLoss MultiMarginLoss NLLLoss NLLLoss2d PoissonNLLLoss SmoothL1Loss SoftMarginLoss "
        "TripletMarginLoss TripletMarginWithDistanceLoss"
    ),
    "a base class or container without a forward of its own": (
        "Container Module ModuleDict ModuleList ParameterDict ParameterList RNNBase RNNCellBase Sequential"
    ),
    "it reads integers": "Embedding EmbeddingBag",
    "it takes the indices that a pooling returned": "MaxUnpool1d MaxUnpool2d MaxUnpool3d",
    "it runs on several devices": "DataParallel SyncBatchNorm",
    "its weights are made at the first call; then it is the module without Lazy": " ".join(
        name for name in dir(nn) if name.startswith("Lazy")
    ),
}
"""Classes of ``torch.nn`` that map no tensor of real numbers to one, by reason; names with spaces between them."""


def _stock(name: str, args: tuple[object, ...], kwargs: dict[str, object], shape: tuple[int, ...]) -> Case:
    return Case("torch.nn", name, lambda: getattr(nn, name)(*args, **kwargs), shape)


def stock_cases() -> list[Case]:
    """Every module of ``torch.nn`` that maps a tensor of real numbers to one."""

    def several(
        name: str, make: Callable[[], nn.Module], call: Callable[[nn.Module, Tensor], Tensor], *shape: int
    ) -> Case:
        return Case("torch.nn", name, lambda: Called(make(), call), shape or SEQUENCE)

    found = [_stock(name, *rest) for name, rest in _ARGUMENTS.items()]
    found += [
        several("LSTMCell", lambda: nn.LSTMCell(CHANNELS, 3), lambda m, u: m(u)[0], 2, CHANNELS),
        several("Bilinear", lambda: nn.Bilinear(CHANNELS, CHANNELS, 2), lambda m, u: m(u, u)),
        several("CosineSimilarity", lambda: nn.CosineSimilarity(-1), lambda m, u: m(u, u.flip(1))),
        several("PairwiseDistance", lambda: nn.PairwiseDistance(), lambda m, u: m(u, u.flip(1))),
        Case("torch.nn", "TransformerEncoder", lambda: nn.TransformerEncoder(
            nn.TransformerEncoderLayer(CHANNELS, 2, 8, batch_first=True), 2)),
        Case("torch.nn", "TransformerDecoder", lambda: nn.TransformerDecoder(
            nn.TransformerDecoderLayer(CHANNELS, 2, 8, batch_first=True), 2)),
    ]  # fmt: skip
    return sorted(found, key=lambda case: case.name)


# ---- Hugging Face's transformers -------------------------------------------------------------------------------------

_TEXT: dict[str, dict[str, object]] = {
    "GPT2Model": {"n_embd": 8, "n_layer": 2, "n_head": 2, "n_positions": 16},
    "GPTNeoXModel": {"num_attention_heads": 2},
    "GPTNeoModel": {
        "num_layers": 2,
        "attention_types": [[["global"], 2]],
        "num_heads": 2,
        "max_position_embeddings": 16,
    },
    "OPTModel": {"ffn_dim": 16, "num_attention_heads": 2, "word_embed_proj_dim": 8, "max_position_embeddings": 16},
    "BloomModel": {"n_layer": 2, "n_head": 2},
    "FalconModel": {"num_attention_heads": 2},
    "LlamaModel": {"num_attention_heads": 2, "num_key_value_heads": 1},
    "MistralModel": {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4},
    "Qwen2Model": {"num_attention_heads": 2, "num_key_value_heads": 1},
    "Qwen3Model": {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4},
    "Gemma2Model": {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4},
    "PhiModel": {"num_attention_heads": 2, "num_key_value_heads": 2},
    "MixtralModel": {"num_attention_heads": 2, "num_key_value_heads": 1, "num_local_experts": 2, "head_dim": 4},
    "BertModel": {"num_attention_heads": 2},
    "RobertaModel": {"num_attention_heads": 2},
    "DistilBertModel": {"dim": 8, "hidden_dim": 16, "n_layers": 2, "n_heads": 2},
    "AlbertModel": {"num_attention_heads": 2, "embedding_size": 8},
    "ElectraModel": {"num_attention_heads": 2, "embedding_size": 8},
    "T5EncoderModel": {"d_model": 8, "d_kv": 4, "d_ff": 16, "num_layers": 2, "num_heads": 2},
    "RwkvModel": {"attention_hidden_size": 8, "context_length": 16},
    "MambaModel": {"state_size": 2, "time_step_rank": 2},
    "Mamba2Model": {"state_size": 2, "num_heads": 4, "head_dim": 4, "n_groups": 1, "chunk_size": 2},
}
_PICTURES: dict[str, dict[str, object]] = {
    "ViTModel": {"num_attention_heads": 2, "image_size": 8, "patch_size": 4},
    "DeiTModel": {"num_attention_heads": 2, "image_size": 8, "patch_size": 4},
    "CLIPVisionModel": {"num_attention_heads": 2, "image_size": 8, "patch_size": 4, "projection_dim": 8},
    "Dinov2Model": {"num_attention_heads": 2, "image_size": 8, "patch_size": 4},
    "ConvNextModel": {"hidden_sizes": [4, 8], "depths": [1, 1], "num_stages": 2},
    "ResNetModel": {"embedding_size": 4, "hidden_sizes": [4, 8], "depths": [1, 1]},
}
_COMMON = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2, "vocab_size": 16}


def architecture(name: str) -> nn.Module:
    """A small model of that class of ``transformers``, with random weights."""
    transformers = importlib.import_module("transformers")
    kind = getattr(transformers, name)
    return kind(kind.config_class(**_COMMON | {**_TEXT, **_PICTURES}[name]))


def published_cases() -> list[Case]:
    """Architectures of ``transformers``: sequences of embedded inputs, and pictures."""
    return [
        Case("transformers", name, lambda name=name: architecture(name), shape)  # type: ignore[misc]
        for names, shape in ((_TEXT, (1, ROWS, 8)), (_PICTURES, (1, 3, 8, 8)))
        for name in names
    ]


# ---- the table -------------------------------------------------------------------------------------------------------


def cases() -> list[Case]:
    """All of them; those of ``transformers`` only where it is installed."""
    found = stock_cases()
    if importlib.util.find_spec("transformers"):
        found += published_cases()
    return found


def read_table(path: Path = TABLE) -> tuple[list[Row], dict[str, str]]:
    """The committed rows, and the versions that they were made with."""
    data = json.loads(path.read_text(encoding="utf-8"))
    return [Row(**row | {"shape": tuple(row["shape"])}) for row in data["rows"]], data["versions"]


def write_table(rows: Iterable[Row], versions: dict[str, str], path: Path = TABLE) -> None:
    """Write the rows, one a line."""
    lines = ",\n".join("  " + json.dumps(asdict(row), ensure_ascii=False) for row in rows)
    write_output(path, f'{{"versions": {json.dumps(versions)},\n "rows": [\n{lines}\n]}}\n')


def remake(chosen: Iterable[Case], path: Path) -> Iterator[Row]:
    """Make rows, yielding each, and write them at the end; committed rows of libraries that are not among them stay."""
    check_output(path)
    old, versions = read_table()
    made = []
    for case in chosen:
        made.append(case.row())
        yield made[-1]
    done = {row.library for row in made}
    versions |= {"torch": torch.__version__}
    if "transformers" in done:
        versions |= {"transformers": importlib.import_module("transformers").__version__}
    write_table([*made, *(row for row in old if row.library not in done)], versions, path)
