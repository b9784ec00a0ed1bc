"""Models that score texts: recognised by what their files say, and read of these alone where they say enough.

A ``CrossEncoder`` of Sentence-Transformers, or a plain ``*ForSequenceClassification`` of transformers, is a
transformer with a classifier of its own, both in one file of weights; a ``CrossEncoder`` of several modules
has a Pooling and a Dense in the place of that.
"""

import re
from pathlib import Path
from typing import Any

import msgspec
import tokenizers

from embed_onnx.artifact.manifest import HEAD, MODEL, Module, TruncationSide
from embed_onnx.artifact.outputs import Activation, PoolingMode, Scores
from embed_onnx_export.checkpoint import description, module_files, modules, tensors, tokenizer_file
from embed_onnx_export.checkpoint.description import First
from embed_onnx_export.checkpoint.sources import CONFIG, MODULES, Checkpoint
from embed_onnx_export.errors import ExportError
from embed_onnx_export.graph import classifiers, encoders
from embed_onnx_export.graph.classifiers import Classifier
from embed_onnx_export.graph.encoders import Encoder
from embed_onnx_export.graph.head_graph import Dense, Step

SETTINGS = "config_sentence_transformers.json"
CLASSIFIER = "ForSequenceClassification"
"""How the class in config.json ends."""
OLD_ACTIVATION = "sbert_ce_default_activation_function"
"""The field of config.json before version 4 of Sentence-Transformers."""
ACTIVATIONS: dict[str, Activation] = {"Sigmoid": "sigmoid", "Softmax": "softmax", "Identity": "none"}
"""By the class in torch.nn."""
ACTIVATION = re.compile(r"torch\.nn\.(?:modules\.(?:\w+\.)?)?(\w+)")


class CrossEncoder(msgspec.Struct, frozen=True, kw_only=True):
    """A model that scores texts, as it is served: ``head`` makes the logits of pooled states.

    ``encoder`` is a transformer that we know, or why it is none. ``modules`` are the chain for the manifest.
    ``in_graph``: the classifier is a part of the transformer's graph, which gives one state, the logits.
    """

    encoder: Encoder | str
    modules: tuple[Module, ...]
    head: tuple[Step, ...]
    scores: Scores
    tokenizer: tokenizers.Tokenizer
    max_tokens: int | None
    truncation_side: TruncationSide
    in_graph: bool = False


def is_one(checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint scores texts: its modules are a CrossEncoder's, or, without any, its class does.

    Raises:
        ExportError: One of its files cannot be read.
    """
    folder = checkpoint.folder
    if (folder / MODULES).is_file():
        return modules.read_settings(folder).model_type == modules.CROSS_ENCODER
    if not (folder / CONFIG).is_file():
        return False
    return any(name.endswith(CLASSIFIER) for name in _config(folder).get("architectures") or ())


def read(checkpoint: Checkpoint) -> CrossEncoder:
    """The model that a checkpoint is, of its files alone.

    Raises:
        ExportError: It is not one that is served, or its parts do not fit together.
        UnknownFamily: Its graph is not written of its weights.
        UnknownTokenizer: Its tokenizer is not read of its files.
    """
    chain = check(checkpoint)
    folder = checkpoint.folder / (chain[0].path if chain else "")
    config = _config(folder)
    name = encoders.class_name(config)  # before the weights are read
    arrays = tensors.read(folder)
    own = tokenizer_file.read_own(folder, tokenizer_file.DEFAULTS if chain else tokenizer_file.SCORING)
    tokenizer, settings = tokenizer_file.read(folder, own, config)
    types = tokenizer_file.marks_second_texts(settings, config)
    encoder = encoders.read(config, arrays, strict=True, types=types)
    first = First(
        text=f"Transformer ({name})",
        width=encoder.words.shape[1],
        max_tokens=tokenizer_file.max_tokens(own, settings, encoders.max_positions(config, encoder)),
        tokenizer=tokenizer,
        truncation_side=settings.truncation_side or (tokenizer.truncation or {}).get("direction", "right"),
    )
    if chain:
        return of_modules(checkpoint, chain, first, encoder)
    return _of_classifier(checkpoint, first, encoder, classifiers.read(config, arrays))


def check(checkpoint: Checkpoint) -> tuple[module_files.Module, ...]:
    """The modules of a checkpoint; none where its transformer has a classifier of its own.

    Raises:
        ExportError: It is not one that is served.
    """
    chain = modules.read_scoring(checkpoint)
    if modules.read_settings(checkpoint.folder).default_prompt_name is not None:
        raise ExportError(
            f"{checkpoint.source.repo} puts a prompt before the texts that it scores, which is not served; "
            "save it with default_prompt_name null, and put the prompt before the texts that you send"
        )
    return chain


def of_modules(
    checkpoint: Checkpoint, chain: tuple[module_files.Module, ...], first: First, encoder: Encoder | str
) -> CrossEncoder:
    """The model of a transformer with a Pooling and a Dense."""
    described = description.read(checkpoint.folder, chain, first)
    named = _config(checkpoint.folder / chain[0].path).get("id2label") or {}
    labels = _labels(named if len(named) == described.dimensions else {}, described.dimensions, first.text)
    return CrossEncoder(
        encoder=encoder,
        modules=described.modules,
        head=described.head,
        scores=_scores(checkpoint, labels, described.pooling),
        **_texts(first),
    )


def in_graph(checkpoint: Checkpoint, first: First, labels: int, reason: str) -> CrossEncoder:
    """The model of a transformer whose classifier is traced with it; ``reason``: why it is not known."""
    named = _config(checkpoint.folder).get("id2label")
    return CrossEncoder(
        encoder=reason,
        modules=(Module(first.text, MODEL), Module("Classifier of its own", MODEL)),
        head=(),
        scores=_scores(checkpoint, _labels(named, labels, checkpoint.source.repo), ("cls",)),
        in_graph=True,
        **_texts(first),
    )


def _of_classifier(
    checkpoint: Checkpoint, first: First, encoder: Encoder, classifier: Classifier
) -> CrossEncoder:
    """The model of a transformer that we know, whose classifier we know."""
    dense = [step for step in classifier.steps if isinstance(step, Dense)]
    layers = " -> ".join(f"{len(step.weight)} {step.activation}" for step in dense)
    named = _config(checkpoint.folder).get("id2label")
    return CrossEncoder(
        encoder=encoder,
        modules=(
            Module(first.text, MODEL),
            Module(f"Pooling ({classifier.pooling})", "numpy"),
            Module(f"Classifier ({layers})", HEAD),
        ),
        head=classifier.steps,
        scores=_scores(
            checkpoint, _labels(named, classifier.labels, checkpoint.source.repo), (classifier.pooling,)
        ),
        **_texts(first),
    )


def _texts(first: First) -> dict[str, Any]:
    """What is known of how the model reads texts, as fields of a ``CrossEncoder``."""
    return {
        "tokenizer": first.tokenizer,
        "max_tokens": first.max_tokens,
        "truncation_side": first.truncation_side,
    }


def _scores(checkpoint: Checkpoint, labels: tuple[str, ...], pooling: tuple[PoolingMode, ...]) -> Scores:
    activation = _activation(checkpoint.folder, len(labels), checkpoint.source.repo)
    return Scores(labels=labels, activation=activation, pooling=pooling)


def _labels(names: dict[str, Any] | None, count: int, repo: str) -> tuple[str, ...]:
    """The names of the logits, as transformers has them where the config names none."""
    named = names or {str(place): f"LABEL_{place}" for place in range(count)}
    labels = tuple(str(named[str(place)]) for place in range(count) if str(place) in named)
    if len(labels) != count or len(named) != count:
        raise ExportError(
            f"{repo} has a classifier of {count} labels and names {len(named)}; correct id2label in {CONFIG}"
        )
    return labels


def _activation(folder: Path, labels: int, repo: str) -> Activation:
    """What makes scores of logits: as a file says, or else as sentence-transformers takes it to be.

    Where several labels may hold at once, it is a sigmoid, as in transformers' pipelines.
    """
    config = _config(folder) if (folder / CONFIG).is_file() else {}
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
    return module_files.decode(folder / CONFIG, dict[str, Any])


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / SETTINGS
    return module_files.decode(path, dict[str, Any]) if path.is_file() else {}
