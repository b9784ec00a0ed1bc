"""What engines that know only tensors need around them: token ids, batches of like lengths, mean pooling."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

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
    """Vectors [texts, dimensions]: sorted by length, in batches that are one a lane at least."""
    ids = [item.ids for item in words.encode_batch(texts)]
    most = EQUAL_BATCH if len({len(row) for row in ids}) == 1 else MIXED_BATCH
    order = sorted(range(len(ids)), key=lambda place: -len(ids[place]))
    size = min(most, -(-len(ids) // lanes))
    batches = [batch([ids[place] for place in order[at : at + size]]) for at in range(0, len(order), size)]
    states = run(batches)
    vectors = np.concatenate([pool(one, inputs) for one, inputs in zip(states, batches, strict=True)])
    return vectors[np.argsort(order)]


def batch(ids: list[list[int]]) -> Batch:
    """The model's inputs, padded to the longest, int64 [texts, tokens]."""
    longest = max(map(len, ids))
    padded = np.array([row + [0] * (longest - len(row)) for row in ids], dtype=np.int64)
    mask = np.array([[1] * len(row) + [0] * (longest - len(row)) for row in ids], dtype=np.int64)
    return {"input_ids": padded, "attention_mask": mask, "token_type_ids": np.zeros_like(padded)}


def pool(states: np.ndarray, inputs: dict[str, Any]) -> np.ndarray:
    """The mean over the tokens of each text, of length 1."""
    weights = inputs["attention_mask"][:, :, None].astype(np.float32)
    sums = (states * weights).sum(axis=1)
    return sums / np.linalg.norm(sums, axis=1, keepdims=True)
