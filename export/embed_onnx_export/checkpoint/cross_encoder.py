"""Models that score texts: recognised by what their files say, and read of these alone.

A ``CrossEncoder`` of Sentence-Transformers, or a plain ``*ForSequenceClassification`` of transformers, is a
transformer with a classifier of its own, both in one file of weights.
"""

import re
from pathlib import Path
from typing import Any

import msgspec
import tokenizers

from embed_onnx.artifact.manifest import HEAD, MODEL, Activation, Module, Scores, TruncationSide
from embed_onnx_export.checkpoint import modules, tensors, tokenizer_file
from embed_onnx_export.checkpoint.sources import CONFIG, MODULES, Checkpoint
from embed_onnx_export.checkpoint.tokenizer_file import UnknownTokenizer
from embed_onnx_export.errors import ExportError
from embed_onnx_export.graph.bert import classifiers, families
from embed_onnx_export.graph.bert.families import Encoder, UnknownFamily
from embed_onnx_export.graph.head_graph import Dense

SETTINGS = "config_sentence_transformers.json"
CLASSIFIER = "ForSequenceClassification"
"""How the class in config.json ends."""
OLD_ACTIVATION = "sbert_ce_default_activation_function"
"""The field of config.json before version 4 of Sentence-Transformers."""
ACTIVATIONS: dict[str, Activation] = {"Sigmoid": "sigmoid", "Softmax": "softmax", "Identity": "none"}
"""By the class in torch.nn."""
ACTIVATION = re.compile(r"torch\.nn\.(?:modules\.(?:\w+\.)?)?(\w+)")
SERVED = "served are BERT, RoBERTa, XLM-RoBERTa, CamemBERT, DistilBERT, MPNet and ELECTRA"


class CrossEncoder(msgspec.Struct, frozen=True, kw_only=True):
    """A model that scores texts, as it is served: its transformer, and the ``head`` that makes the logits."""

    text: str
    encoder: Encoder
    head: tuple[Dense, ...]
    scores: Scores
    tokenizer: tokenizers.Tokenizer
    max_tokens: int
    truncation_side: TruncationSide

    @property
    def modules(self) -> tuple[Module, ...]:
        """The chain for the manifest."""
        layers = " -> ".join(f"{len(step.weight)} {step.activation}" for step in self.head)
        return (
            Module(self.text, MODEL),
            Module("Pooling (cls)", "numpy"),
            Module(f"Classifier ({layers})", HEAD),
        )


def is_one(checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint scores texts: its modules are a CrossEncoder's, or, without any, its class does.

    Raises:
        ExportError: One of its files cannot be read.
    """
    folder = checkpoint.folder
    if (folder / MODULES).is_file():
        return _settings(folder).get("model_type") == "CrossEncoder"
    if not (folder / CONFIG).is_file():
        return False
    return any(name.endswith(CLASSIFIER) for name in _config(folder).get("architectures") or ())


def read(checkpoint: Checkpoint) -> CrossEncoder:
    """The model that a checkpoint is.

    Raises:
        ExportError: It is not one that is served, or its parts do not fit together.
    """
    folder, repo = checkpoint.folder, checkpoint.source.repo
    _check_modules(folder, repo)
    modules.check_transformer(checkpoint)
    if _settings(folder).get("default_prompt_name") is not None:
        raise ExportError(
            f"{repo} puts a prompt before the texts that it scores, which is not served; save it with "
            "default_prompt_name null, and put the prompt before the texts that you send"
        )
    config = _config(folder)
    try:
        family = families.family_of(config)
        arrays = tensors.read(folder)
        head = classifiers.read(config, arrays)
        own = tokenizer_file.read_own(folder, tokenizer_file.SCORING)
        tokenizer, settings = tokenizer_file.read(folder, own, config)
        types = tokenizer_file.marks_second_texts(settings, config)
        encoder = families.read(config, arrays, types=types)
    except (UnknownFamily, UnknownTokenizer) as err:
        raise ExportError(f"{repo} scores texts, and cannot be exported: {err}; {SERVED}") from None
    return CrossEncoder(
        text=f"Transformer ({family.name})",
        encoder=encoder,
        head=head,
        scores=Scores(
            labels=_labels(config, len(head[-1].weight), repo),
            activation=_activation(folder, config, len(head[-1].weight), repo),
            pooling=("cls",),
        ),
        tokenizer=tokenizer,
        max_tokens=tokenizer_file.max_tokens(own, settings, families.max_positions(config, encoder)),
        truncation_side=settings.truncation_side or (tokenizer.truncation or {}).get("direction", "right"),
    )


def _check_modules(folder: Path, repo: str) -> None:
    """Refuse a chain of more modules than a transformer, whose last one is its classifier."""
    listed = modules.decode(folder / MODULES, list[dict[str, Any]]) if (folder / MODULES).is_file() else []
    names = [str(module.get("type", "")).rpartition(".")[2] for module in listed]
    if names not in ([], ["Transformer"]) or any(module.get("path") for module in listed):
        raise ExportError(
            f"{repo} is a CrossEncoder of the modules {', '.join(names)}, and served is a Transformer with a "
            "classifier of its own; serve it with sentence-transformers"
        )


def _labels(config: dict[str, Any], count: int, repo: str) -> tuple[str, ...]:
    """The names of the logits, as transformers has them where the config names none."""
    named = config.get("id2label") or {str(place): f"LABEL_{place}" for place in range(count)}
    labels = tuple(str(named[str(place)]) for place in range(count) if str(place) in named)
    if len(labels) != count or len(named) != count:
        raise ExportError(
            f"{repo} has a classifier of {count} labels and names {len(named)}; correct id2label in {CONFIG}"
        )
    return labels


def _activation(folder: Path, config: dict[str, Any], labels: int, repo: str) -> Activation:
    """What makes scores of logits: as a file says, or else as sentence-transformers takes it to be.

    Where several labels may hold at once, it is a sigmoid, as in transformers' pipelines.
    """
    named = (
        _settings(folder).get("activation_fn")
        or (config.get("sentence_transformers") or {}).get("activation_fn")
        or config.get(OLD_ACTIVATION)
    )
    if named is None or not named.startswith("torch."):  # sentence-transformers ignores code of its own
        several = config.get("problem_type") == "multi_label_classification"
        return "sigmoid" if labels == 1 or several else "none"
    known = ACTIVATION.fullmatch(named)
    if known is None or known[1] not in ACTIVATIONS:
        raise ExportError(
            f"{repo} has the activation {named}, which is not served; save it with one of torch.nn's "
            f"{', '.join(ACTIVATIONS)}"
        )
    return ACTIVATIONS[known[1]]


def _config(folder: Path) -> dict[str, Any]:
    return modules.decode(folder / CONFIG, dict[str, Any])


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / SETTINGS
    return modules.decode(path, dict[str, Any]) if path.is_file() else {}
