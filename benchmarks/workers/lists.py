"""What engines that know only tensors need around them: token ids, batches of like lengths, mean pooling."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Encoding, Tokenizer

EQUAL_BATCH, MIXED_BATCH = 16, 4
"""Measured: larger batches of mixed lengths pad more than they gain."""

Batch = dict[str, np.ndarray]
Run = Callable[[list[Batch]], Iterable[np.ndarray]]


def tokenizer(folder: str, max_tokens: int) -> Tokenizer:
    """The tokenizer of a checkpoint, cutting at the limit and never padding."""
    result = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    result.enable_truncation(max_tokens)
    result.no_padding()
    return result


def encode(texts: list[str], words: Tokenizer, run: Run, *, lanes: int) -> np.ndarray:
    """Vectors [texts, dimensions], by an engine that gives token states."""
    items = words.encode_batch(texts)
    return _in_batches(items, lambda batches: map(pool, run(batches), batches), lanes)


def score(texts: list[str], words: Tokenizer, run: Run, *, lanes: int) -> np.ndarray:
    """Logits [texts - 1] of the first text with each of the others, by an engine that gives logits."""
    query, *documents = texts
    items = words.encode_batch([(query, document) for document in documents])
    return _in_batches(items, lambda batches: (logits[:, 0] for logits in run(batches)), lanes)


def _in_batches(items: list[Encoding], run: Run, lanes: int) -> np.ndarray:
    """A result for each item: sorted by length, in batches that are one a lane at least."""
    most = EQUAL_BATCH if len({len(item) for item in items}) == 1 else MIXED_BATCH
    order = sorted(range(len(items)), key=lambda place: -len(items[place]))
    size = min(most, -(-len(items) // lanes))
    batches = [batch([items[place] for place in order[at : at + size]]) for at in range(0, len(order), size)]
    return np.concatenate(list(run(batches)))[np.argsort(order)]


def batch(items: list[Encoding]) -> Batch:
    """The model's inputs, padded to the longest, int64 [texts, tokens]."""
    longest = max(map(len, items))

    def padded(rows: list[list[int]]) -> np.ndarray:
        return np.array([row + [0] * (longest - len(row)) for row in rows], dtype=np.int64)

    return {
        "input_ids": padded([item.ids for item in items]),
        "attention_mask": padded([item.attention_mask for item in items]),
        "token_type_ids": padded([item.type_ids for item in items]),
    }


def pool(states: np.ndarray, inputs: dict[str, Any]) -> np.ndarray:
    """The mean over the tokens of each text, of length 1."""
    weights = inputs["attention_mask"][:, :, None].astype(np.float32)
    sums = (states * weights).sum(axis=1)
    return sums / np.linalg.norm(sums, axis=1, keepdims=True)
