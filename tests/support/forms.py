"""Checkpoints in the forms of newer embedders, as sentence-transformers 6 saves them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import small_models
import small_tokenizers
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
from small_models import OTHER_TOKENS, PROMPTS, WIDTH
from tokenizers import AddedToken

from embed_onnx_export import parity

THETA = 700.0
"""A base of rotary positions that no class has by itself."""
WINDOWED = {
    "full_attention": {"rope_type": "default", "rope_theta": 3000.0},
    "sliding_attention": {"rope_type": "default", "rope_theta": THETA},
}
ROPE = {"rope_parameters": {"rope_type": "default", "rope_theta": THETA}}
INSTRUCT = {"query": "Instruct: Given a web search query, retrieve passages\nQuery:", "document": ""}


def transformer(folder: Path, architecture: str, tokenizer: str, **options: Any) -> Transformer:
    """A small transformer, some fields of its config changed, with a tokenizer of one special token more."""
    fast = small_tokenizers.fast_tokenizer(tokenizer, max_tokens=OTHER_TOKENS)
    fast.add_special_tokens({"extra_special_tokens": [AddedToken("<|task|>")]})
    fast.padding_side = options.pop("padding_side", "right")
    model = small_models.build(architecture, len(fast), **options)
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    module = Transformer(str(folder), model_kwargs={"attn_implementation": "eager"})
    module.model = model  # and not what was read
    return module


def qwen3_embedding(folder: Path) -> SentenceTransformer:
    """Last token, prompts that instruct queries and nothing before documents."""
    first = transformer(folder, "qwen3", "bpe", padding_side="left", **ROPE)
    modules = [first, Pooling(WIDTH, "lasttoken", include_prompt=True), Normalize()]
    return SentenceTransformer(modules=modules, prompts=INSTRUCT, similarity_fn_name="cosine", device="cpu")


def embedding_gemma(folder: Path) -> SentenceTransformer:
    """Attention in both directions, windows, two Dense without biases."""
    first = transformer(folder, "gemma3_text", "byte-fallback", rope_parameters=WINDOWED)
    wider = Dense(WIDTH, 4 * WIDTH, bias=False, activation_function=torch.nn.Identity())
    narrower = Dense(4 * WIDTH, WIDTH, bias=False, activation_function=torch.nn.Identity())
    modules = [first, Pooling(WIDTH, "mean"), wider, narrower, Normalize()]
    return SentenceTransformer(modules=modules, prompts=PROMPTS, device="cpu")


def mmbert(folder: Path) -> SentenceTransformer:
    """ModernBERT with Gemma's kind of tokenizer and other bases of its positions."""
    first = transformer(folder, "modernbert", "byte-fallback", rope_parameters=WINDOWED)
    return SentenceTransformer(modules=[first, Pooling(WIDTH, "mean"), Normalize()], device="cpu")


def plain(
    architecture: str, tokenizer: str, pooling: str, **fields: Any
) -> Callable[[Path], SentenceTransformer]:
    """A transformer and a pooling."""

    def make(folder: Path) -> SentenceTransformer:
        first = transformer(folder, architecture, tokenizer, **fields)
        return SentenceTransformer(modules=[first, Pooling(WIDTH, pooling)], prompts=PROMPTS, device="cpu")

    return make


FORMS: dict[str, Callable[[Path], SentenceTransformer]] = {
    "qwen3-embedding": qwen3_embedding,
    "embeddinggemma": embedding_gemma,
    "mmbert": mmbert,
    "modernbert": plain("modernbert", "gpt2", "cls", rope_parameters=WINDOWED),
    "eurobert": plain("eurobert", "bpe", "mean"),
    "nomic": plain("nomic_bert", "wordpiece", "mean"),
    "gte": plain("gte", "unigram", "cls"),
    "jina-v3": plain("jina_embeddings_v3", "unigram", "mean"),
    "qwen2": plain("qwen2", "bpe", "lasttoken", **ROPE),
    "mistral": plain("mistral", "byte-fallback", "lasttoken", **ROPE),
    "t5": plain("t5", "unigram", "mean"),
    "umt5": plain("umt5", "unigram", "mean"),
}
"""By the name of what they resemble."""


def save(name: str, folder: Path) -> SentenceTransformer:
    """Save a model of a form in a folder; returns it as it was before."""
    torch.manual_seed(3)
    model = FORMS[name](folder.with_name(f"{name}-transformer"))
    model.save_pretrained(str(folder))
    return model


def texts() -> list[str]:
    """Of lengths up to the limit and beyond it, with a special token, and some of the parity sentences.

    All of these are compared when a model is exported.
    """
    lengths = (1, 5, 31, 32, 33, 70, 120, 158, 300)
    long = [" ".join(["a"] * words) for words in lengths]
    return [*long, "before <|task|> after", *parity.sentences()[::3]]


def encode(model: SentenceTransformer, prompt: str | None) -> np.ndarray:
    """The vectors of the texts, one at a time."""
    vectors: np.ndarray = model.encode(texts(), prompt_name=prompt, batch_size=1, show_progress_bar=False)
    return vectors


def cosines(expected: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Of vectors of any length, row by row."""
    norms = np.linalg.norm(expected, axis=1) * np.linalg.norm(actual, axis=1)
    return (expected * actual).sum(axis=1) / norms
