"""The tokenizer that transformers 5 builds from a vocabulary, by the class of the tokenizer.

Its classes take the vocabulary and the added tokens of tokenizer.json and build all else anew: how texts are
normalised and split, how words are looked up, and what is put around a text. Whatever tokenizer.json says of
that does not count. Classes that are not in ``ALGORITHMS`` take tokenizer.json as it is.
"""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import tokenizers
from tokenizers import models, processors

from embed_onnx.artifact.manifest import TOKENIZER, TruncationSide

BERT_CLASSES = ("BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "MPNetTokenizer")
"""Those that lower-case unless a setting says otherwise."""
SENTENCE_PIECE = ("CamembertTokenizer", "XLMRobertaTokenizer")
ALGORITHMS: dict[str, type[models.Model]] = {
    **dict.fromkeys(BERT_CLASSES, models.WordPiece),
    **dict.fromkeys(SENTENCE_PIECE, models.Unigram),
    "RobertaTokenizer": models.BPE,
}
"""The algorithm of each class, whichever tokenizer.json names."""
IN_BRACKETS = {
    "unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}  # fmt: skip
IN_ANGLES = {
    "bos_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "cls_token": "<s>", "unk_token": "<unk>",
    "pad_token": "<pad>", "mask_token": "<mask>",
}  # fmt: skip
DEFAULT_TOKENS = {
    **dict.fromkeys(BERT_CLASSES, IN_BRACKETS),
    **dict.fromkeys((*SENTENCE_PIECE, "RobertaTokenizer"), IN_ANGLES),
    "MPNetTokenizer": IN_ANGLES | {"unk_token": "[UNK]"},
}
"""The special tokens of a class, where no file names others."""
UNKNOWN_ID = 3
"""The unknown token's place that XLM-RoBERTa's class fixes, whatever the vocabulary says."""


class UnknownTokenizer(Exception):
    """The tokenizer needs more than its files, or contradicts them; the message says how."""


class Settings(msgspec.Struct, frozen=True):
    """The fields of tokenizer_config.json that could change token ids; None is the default of the class."""

    tokenizer_class: str | None = None
    model_max_length: float | None = None
    do_lower_case: bool = True
    strip_accents: bool | None = None
    tokenize_chinese_chars: bool = True
    add_prefix_space: bool | None = None
    split_special_tokens: bool = False
    truncation_side: TruncationSide | None = None
    added_tokens_decoder: dict[str, dict[str, Any]] = {}
    auto_map: dict[str, Any] = {}
    model_input_names: tuple[str, ...] = ()


def build(
    tokenizer: tokenizers.Tokenizer, kind: str, settings: Settings, named: Mapping[str, str | None]
) -> tokenizers.Tokenizer:
    """A tokenizer as the class ``kind`` builds it; ``named`` are the special tokens in the files, by field.

    Raises:
        UnknownTokenizer: The vocabulary is of another algorithm, or lacks a special token of the class.
    """
    algorithm = ALGORITHMS.get(kind)
    if algorithm is None:
        return tokenizer
    if not isinstance(tokenizer.model, algorithm):
        raise UnknownTokenizer(
            f"its tokenizer is a {kind}, and its {TOKENIZER} is of {type(tokenizer.model).__name__}"
        )
    added = {token.content: number for number, token in tokenizer.get_added_tokens_decoder().items()}
    special: dict[str, tuple[str, int]] = {}
    for name, default in DEFAULT_TOKENS[kind].items():
        token = named.get(name) or default
        if token not in added:
            raise UnknownTokenizer(f"its {kind} has {token!r} as {name}, which {TOKENIZER} lacks")
        special[name] = token, added[token]
    state = json.loads(tokenizer.to_str())
    unknown, _ = special["unk_token"]
    if kind in BERT_CLASSES:
        _word_piece(state, settings, unknown)
    elif kind in SENTENCE_PIECE:
        _sentence_piece(state, settings, None if kind == "XLMRobertaTokenizer" else unknown)
    else:
        _byte_pairs(state, settings)
    built = tokenizers.Tokenizer.from_str(json.dumps(state))
    built.post_processor = _around(kind, special)
    return built


def _word_piece(state: dict[str, Any], settings: Settings, unknown: str) -> None:
    state["normalizer"] = {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": settings.tokenize_chinese_chars,
        "strip_accents": settings.strip_accents,
        "lowercase": settings.do_lower_case,
    }
    state["pre_tokenizer"] = {"type": "BertPreTokenizer"}
    state["model"] |= {
        "unk_token": unknown,
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
    }


def _byte_pairs(state: dict[str, Any], settings: Settings) -> None:
    state["normalizer"] = None
    state["pre_tokenizer"] = {
        "type": "ByteLevel",
        "add_prefix_space": bool(settings.add_prefix_space),
        "trim_offsets": True,
        "use_regex": True,
    }
    state["model"] |= {
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": "",
        "end_of_word_suffix": "",
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
    }


def _sentence_piece(state: dict[str, Any], settings: Settings, unknown: str | None) -> None:
    """Of normalizers, only the table of SentencePiece counts; ``unknown`` is None where its id is fixed."""
    normalizer = state["normalizer"] or {}
    parts = normalizer.get("normalizers", [normalizer])
    state["normalizer"] = next((part for part in parts if part.get("type") == "Precompiled"), None)
    state["pre_tokenizer"] = {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "WhitespaceSplit"},
            {
                "type": "Metaspace",
                "replacement": "▁",
                "prepend_scheme": "never" if settings.add_prefix_space is False else "always",
                "split": True,
            },
        ],
    }
    words = (word for word, _ in state["model"]["vocab"])
    place = UNKNOWN_ID if unknown is None else next((i for i, word in enumerate(words) if word == unknown), 0)
    state["model"] |= {"unk_id": place, "byte_fallback": False}


def _around(kind: str, special: Mapping[str, tuple[str, int]]) -> processors.PostProcessor:
    """What is put around a text, and between the two of a pair."""
    if kind in ("MPNetTokenizer", "RobertaTokenizer"):
        return processors.RobertaProcessing(special["sep_token"], special["cls_token"])
    if kind in SENTENCE_PIECE:
        first, last = special["bos_token"], special["eos_token"]
        pair = f"{first[0]} $A {last[0]} {last[0]} $B {last[0]}"
    else:
        first, last = special["cls_token"], special["sep_token"]
        pair = f"{first[0]} $A {last[0]} $B:1 {last[0]}:1"
    return processors.TemplateProcessing(
        single=f"{first[0]} $A {last[0]}", pair=pair, special_tokens=[first, last]
    )
