"""Special tokens that are written in texts, as ordinary text.

A text that holds ``[SEP]`` or ``</s>`` gets the special token, as in Sentence-Transformers. The tokenizers
library can be asked not to look for them (``encode_special_tokens``), but the vocabulary of a Unigram or a
word-level model still has them among its pieces. So special tokens get names that no text can hold, and
keep their ids.
"""

import secrets
from collections.abc import Collection
from typing import Any

import msgspec


def rename(tokenizer_json: bytes, names: Collection[str]) -> bytes:
    """A tokenizer.json in which the tokens of those names have random ones; ids stay the same."""
    described = msgspec.json.decode(tokenizer_json)
    renamed = {name: secrets.token_hex(16) for name in names}
    for token in described["added_tokens"]:
        token["content"] = renamed.get(token["content"], token["content"])
    model = described["model"]
    model["vocab"] = _renamed_vocabulary(model["vocab"], renamed)
    if model.get("unk_token") in renamed:
        model["unk_token"] = renamed[model["unk_token"]]
    if "merges" in model:
        model["merges"] = [merge for merge in model["merges"] if not _makes(merge, renamed)]
    return msgspec.json.encode(described)


def _renamed_vocabulary(vocabulary: Any, renamed: dict[str, str]) -> Any:
    """Ids by token, or the tokens of a Unigram model with their scores, in the order of their ids."""
    if isinstance(vocabulary, dict):
        return {renamed.get(token, token): token_id for token, token_id in vocabulary.items()}
    return [[renamed.get(token, token), score] for token, score in vocabulary]


def _makes(merge: str | list[str], renamed: dict[str, str]) -> bool:
    """Whether a merge of BPE makes a special token, or takes one."""
    first, second = merge.split(" ") if isinstance(merge, str) else merge
    return first in renamed or second in renamed or first + second in renamed
