"""Tokenizers are built as transformers builds them, whose classes read only a part of tokenizer.json."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import small_tokenizers
import transformers

from embed_onnx_export.checkpoint import tokenizer_file
from embed_onnx_export.checkpoint.tokenizer_classes import UnknownTokenizer
from embed_onnx_export.checkpoint.tokenizer_file import Own

CLASSES = {
    "BertTokenizer": ("bert", "wordpiece"),
    "DistilBertTokenizer": ("distilbert", "wordpiece"),
    "MPNetTokenizer": ("mpnet", "wordpiece"),
    "RobertaTokenizer": ("roberta", "gpt2"),
    "XLMRobertaTokenizer": ("xlm-roberta", "unigram"),
    "CamembertTokenizer": ("camembert", "unigram"),
    "PreTrainedTokenizerFast": ("bert", "bpe"),
}
"""The model_type and one of ``small_tokenizers.TOKENIZERS`` of each."""
NAMES = {"unk": "UNK", "pad": "PAD", "cls": "CLS", "bos": "CLS", "sep": "SEP", "eos": "SEP", "mask": "MASK"}
TEXTS = [
    "Hello World", "héLLo Wörld", "a  b\tc\n d", "numbers 12 and 345.", "中文字 x", "[CLS] b [SEP]", "  lead",
    "trail  ", "ÀÉ ﬁ", "don't", "", "a" * 120, "Straße ΣΊΣ", "\uff11\uff12",
]  # fmt: skip
File = dict[str, Any]


def _normalizer(file: File) -> None:
    file["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]}


def _pre_tokenizer(file: File) -> None:
    file["pre_tokenizer"] = {"type": "Whitespace"}


def _template(file: File) -> None:
    file["post_processor"] = None


def _model(file: File) -> None:
    changes = {
        "max_input_chars_per_word": 5,
        "continuing_subword_prefix": "",
        "ignore_merges": True,
        "unk_id": 7,
    }
    file["model"] |= {name: value for name, value in changes.items() if file["model"].get(name) is not None}


def _nothing(file: File) -> None:
    """As it was saved."""


def save(folder: Path, name: str, change: Callable[[File], None] = _nothing, **settings: Any) -> None:
    """The files of a tokenizer of that class, with a change of tokenizer.json and other settings."""
    model, kind = CLASSES[name]
    small_tokenizers.fast_tokenizer(kind).save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": model}))
    path = folder / "tokenizer_config.json"
    named = {f"{short}_token": f"[{token}]" for short, token in NAMES.items()}
    path.write_text(json.dumps(json.loads(path.read_text()) | named | {"tokenizer_class": name} | settings))
    path = folder / "tokenizer.json"
    file = json.loads(path.read_text())
    change(file)
    path.write_text(json.dumps(file))


def assert_same(folder: Path) -> None:
    expected = transformers.AutoTokenizer.from_pretrained(folder)
    actual, _ = tokenizer_file.read(folder, Own(), json.loads((folder / "config.json").read_text()))
    for text in TEXTS:
        assert expected(text)["input_ids"] == actual.encode(text).ids, text
    assert expected("a b", "c")["input_ids"] == actual.encode("a b", "c").ids


@pytest.mark.parametrize("change", [_nothing, _normalizer, _pre_tokenizer, _template, _model])
@pytest.mark.parametrize("name", CLASSES)
def test_what_a_class_builds_itself_is_not_read_of_the_file(
    tmp_path: Path, name: str, change: Callable[[File], None]
) -> None:
    """Nor is it for the last class, which takes all that the file says."""
    save(tmp_path, name, change)

    assert_same(tmp_path)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize(
    "settings",
    [
        {"do_lower_case": False},
        {"strip_accents": False},
        {"tokenize_chinese_chars": False},
        {"add_prefix_space": True},
        {"add_prefix_space": False},
        {"cls_token": "[MASK]", "bos_token": "[PAD]"},
    ],
    ids=json.dumps,
)
def test_settings_of_a_class(tmp_path: Path, name: str, settings: dict[str, Any]) -> None:
    save(tmp_path, name, **settings)

    assert_same(tmp_path)


@pytest.mark.parametrize(
    ("name", "other"), [("BertTokenizer", "RobertaTokenizer"), ("RobertaTokenizer", "XLMRobertaTokenizer")]
)
def test_a_vocabulary_of_another_algorithm_is_refused(tmp_path: Path, name: str, other: str) -> None:
    """transformers would take its words for pieces of another kind."""
    save(tmp_path, name, tokenizer_class=other)

    with pytest.raises(UnknownTokenizer, match=rf"its tokenizer is a {other}, and its tokenizer\.json is of"):
        tokenizer_file.read(tmp_path, Own(), {"model_type": "bert"})


def test_special_tokens_that_a_class_would_add_are_refused(tmp_path: Path) -> None:
    """They would have ids beyond the table of the model."""
    save(tmp_path, "RobertaTokenizer", bos_token=None)

    with pytest.raises(UnknownTokenizer, match="its RobertaTokenizer has '<s>' as bos_token, which"):
        tokenizer_file.read(tmp_path, Own(), {"model_type": "roberta"})
