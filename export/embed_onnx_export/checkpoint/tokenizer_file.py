"""tokenizer.json, with what else a checkpoint's files say of its tokenizer; no transformers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import tokenizers
from tokenizers import normalizers, pre_tokenizers

from embed_onnx.artifact.manifest import TOKENIZER
from embed_onnx.artifact.schema import Positive
from embed_onnx_export.checkpoint import module_files, tokenizer_classes
from embed_onnx_export.checkpoint.tokenizer_classes import Settings, UnknownTokenizer

NO_LIMIT = 8192
"""The limit of a model that has none: attention takes memory by the square of the length."""
UNLIMITED = 10**9
"""Transformers writes 10**30 for no limit."""
CLASSES = (*tokenizer_classes.ALGORITHMS, "PreTrainedTokenizer", "TokenizersBackend")
"""Without the ending Fast; the last two take tokenizer.json as it is."""
BY_MODEL = {
    "bert": "BertTokenizer",
    "camembert": "CamembertTokenizer",
    "distilbert": "DistilBertTokenizer",
    "electra": "ElectraTokenizer",
    "mpnet": "MPNetTokenizer",
    "roberta": "RobertaTokenizer",
    "xlm-roberta": "XLMRobertaTokenizer",
}
"""The class of a model_type where no file names it; of others, it changes nothing."""
FLAGS = ("lstrip", "rstrip", "single_word", "normalized", "special")
"""What a token of its own says besides its text."""
OWN_FILES = (
    "sentence_bert_config.json", "sentence_roberta_config.json", "sentence_distilbert_config.json",
    "sentence_camembert_config.json", "sentence_albert_config.json", "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
)  # fmt: skip
"""In the order in which sentence-transformers looks for them."""
DEFAULTS = {
    "transformer_task": "feature-extraction",
    "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
    "module_output_name": "token_embeddings",
}
"""What newer files say of every encoder of texts."""
NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
"""The fields that name one special token each."""
SPECIAL = (*NAMED, "additional_special_tokens", "extra_special_tokens")
"""The fields that name special tokens, which transformers adds to a tokenizer that lacks them."""


SCORING = {
    "transformer_task": "sequence-classification",
    "modality_config": {"text": {"method": "forward", "method_output_name": "logits"}},
    "module_output_name": "scores",
}
"""The same of every encoder that scores texts."""
TYPED = ("BertTokenizer", "ElectraTokenizer")
"""The classes that mark the second text of a pair unless model_input_names says otherwise."""


class Own(msgspec.Struct, frozen=True):
    """What sentence_bert_config.json, or a file of its older names, says of a transformer's texts."""

    max_seq_length: Positive | None = None
    do_lower_case: bool = False


def read_own(folder: Path, defaults: dict[str, Any] = DEFAULTS, known: Sequence[str] = ()) -> Own:
    """The settings of sentence-transformers, or the defaults where there is no such file.

    ``known`` are fields that the caller reads, by ``own_fields``.

    Raises:
        UnknownTokenizer: A setting is not known.
    """
    path, served = _own_file(folder), (*Own.__struct_fields__, "unpad_inputs", *known)
    if path is None:
        return Own()
    for name, value in own_fields(folder).items():
        if value and name not in served and value != defaults.get(name):
            raise UnknownTokenizer(f"its {path.name} sets {name}")
    return module_files.decode(path, Own)


def own_fields(folder: Path) -> dict[str, Any]:
    """All that the file of ``Own`` says."""
    path = _own_file(folder)
    return {} if path is None else module_files.decode(path, dict[str, Any])


def _own_file(folder: Path) -> Path | None:
    return next((path for name in OWN_FILES if (path := folder / name).is_file()), None)


def special_token(folder: Path, name: str) -> str | None:
    """The text of the special token that a field of a tokenizer's files names, such as mask_token."""
    for path in (folder / "tokenizer_config.json", folder / "special_tokens_map.json"):
        fields = module_files.decode(path, dict[str, Any]) if path.is_file() else {}
        for text in _contents(fields.get(name)):
            return text
    return None


def read(folder: Path, own: Own, config: dict[str, Any]) -> tuple[tokenizers.Tokenizer, Settings]:
    """The tokenizer as transformers and sentence-transformers set it up, and its settings.

    Raises:
        UnknownTokenizer: There is no tokenizer.json, or a setting is not known.
    """
    if not (folder / TOKENIZER).is_file():
        raise UnknownTokenizer(f"it has no {TOKENIZER}")
    path = folder / "tokenizer_config.json"
    settings = module_files.decode(path, Settings) if path.is_file() else Settings()
    if settings.auto_map:
        raise UnknownTokenizer("its tokenizer is code of its own")
    if settings.split_special_tokens:
        raise UnknownTokenizer("it sets split_special_tokens for its tokenizer")
    kind = _kind(settings, config)
    if kind not in CLASSES:
        raise UnknownTokenizer(f"its tokenizer is a {kind}")
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / TOKENIZER))
    _check_tokens(tokenizer, settings, folder)
    tokenizer = tokenizer_classes.build(
        tokenizer, kind, settings, {name: special_token(folder, name) for name in NAMED}
    )
    _set_prefix_space(tokenizer, settings)
    if own.do_lower_case:
        _lower(tokenizer)
    return tokenizer, settings


def marks_second_texts(settings: Settings, config: dict[str, Any]) -> bool:
    """Whether the tokens of a pair's second text have a type of their own for the model."""
    names = settings.model_input_names
    return "token_type_ids" in names if names else _kind(settings, config) in TYPED


def _kind(settings: Settings, config: dict[str, Any]) -> str:
    """The class of the tokenizer, without the ending Fast."""
    named = settings.tokenizer_class or config.get("tokenizer_class") or BY_MODEL.get(config["model_type"])
    return (named or "TokenizersBackend").removesuffix("Fast")


def max_tokens(own: Own, settings: Settings, positions: int) -> int:
    """The limit of sentence-transformers, or less where the position embeddings end before it.

    ``positions`` are those of tokens.
    """
    limit = own.max_seq_length or settings.model_max_length or UNLIMITED
    return min(NO_LIMIT if limit >= UNLIMITED else int(limit), positions)


def write(tokenizer: tokenizers.Tokenizer, folder: Path) -> None:
    """Write tokenizer.json, lower-casing and special tokens included; limits are in the manifest."""
    _unlimited(tokenizer).save(str(folder / TOKENIZER))


def text(tokenizer: tokenizers.Tokenizer) -> str:
    """What tokenizer.json says of it, without limits."""
    return _unlimited(tokenizer).to_str()


def _unlimited(tokenizer: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    copy = tokenizers.Tokenizer.from_str(tokenizer.to_str())
    copy.no_padding()
    copy.no_truncation()
    return copy


def _check_tokens(tokenizer: tokenizers.Tokenizer, settings: Settings, folder: Path) -> None:
    """Refuse tokens of the other files that tokenizer.json does not have, or not in the same form."""
    present = tokenizer.get_added_tokens_decoder()
    for number, described in settings.added_tokens_decoder.items():
        token = present.get(int(number))
        expected = {name: described[name] for name in ("content", *FLAGS) if name in described}
        if token is None or any(getattr(token, name) != value for name, value in expected.items()):
            raise UnknownTokenizer(
                f"its tokenizer_config.json has the token {described.get('content')!r} ({number}), and its "
                f"{TOKENIZER} has not, or in another form"
            )
    contents = {token.content for token in present.values()}
    for path in (folder / name for name in ("tokenizer_config.json", "special_tokens_map.json")):
        fields = module_files.decode(path, dict[str, Any]) if path.is_file() else {}
        named = {text for name in SPECIAL for text in _contents(fields.get(name))}
        if named - contents:
            raise UnknownTokenizer(
                f"its {path.name} names {min(named - contents)!r}, which {TOKENIZER} lacks"
            )


def _contents(tokens: Any) -> list[str]:
    """The texts of special tokens: one or several, each a text or a description."""
    if isinstance(tokens, dict):
        return [tokens["content"]] if "content" in tokens else _contents(list(tokens.values()))
    if isinstance(tokens, list):
        return [text for token in tokens for text in _contents(token)]
    return [tokens] if tokens else []


def _set_prefix_space(tokenizer: tokenizers.Tokenizer, settings: Settings) -> None:
    pre_tokenizer = tokenizer.pre_tokenizer
    if isinstance(pre_tokenizer, pre_tokenizers.ByteLevel):
        pre_tokenizer.add_prefix_space = bool(settings.add_prefix_space)
        tokenizer.pre_tokenizer = pre_tokenizer


def _lower(tokenizer: tokenizers.Tokenizer) -> None:
    """Lower-case before all else, as sentence-transformers does for do_lower_case."""
    normalizer: Any = tokenizer.normalizer
    nested = isinstance(normalizer, normalizers.Sequence)
    parts = list(normalizer) if nested else [normalizer]
    if not any(isinstance(part, normalizers.Lowercase) for part in parts):
        others = [part for part in parts if part is not None]
        tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *others])
