"""Small Sentence-Transformers of the stacks of modules that are served, with random weights."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import small_models
import small_tokenizers
import torch
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.sentence_transformer.modules import (
    Dropout,
    LayerNorm,
    Normalize,
    Pooling,
    StaticEmbedding,
)
from small_models import PROMPTS, WIDTH
from tokenizers import normalizers

MODES = ("lasttoken", "weightedmean", "mean_sqrt_len_tokens", "mean", "max", "cls")
"""Every mode, in an order that is not sentence-transformers' own."""
STATIC_WIDTH = 24


def tokenizer(*, lowercase: bool = True) -> transformers.PreTrainedTokenizerFast:
    result = small_tokenizers.fast_tokenizer("wordpiece", token_types=True)
    result.backend_tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    return result


def transformer(folder: Path, *, lowercase: bool = True) -> Transformer:
    """A small BERT, saved in a folder if it is not there yet."""
    if not folder.exists():
        small_models.build("bert", len(tokenizer())).save_pretrained(folder)
        tokenizer(lowercase=lowercase).save_pretrained(folder)
    return Transformer(str(folder))


def static() -> StaticEmbedding:
    """A table of random rows. Its tokenizer has a template, which must not be used."""
    result = tokenizer()
    table = np.random.default_rng(3).normal(size=(len(result), STATIC_WIDTH)).astype(np.float32)
    return StaticEmbedding(result.backend_tokenizer, embedding_weights=table)


def save(folder: Path, modules: list[Any], **settings: Any) -> Path:
    """Save modules as a Sentence-Transformers folder."""
    SentenceTransformer(modules=modules, device="cpu", **settings).save_pretrained(str(folder))
    return folder


def edit(path: Path, **fields: object) -> None:
    """Change fields of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def dense(inputs: int, outputs: int, activation: str = "Tanh", **options: Any) -> Dense:
    """A Dense with random weights and an activation of torch.nn."""
    return Dense(inputs, outputs, activation_function=getattr(torch.nn, activation)(), **options)


def norm(width: int) -> LayerNorm:
    """A LayerNorm with random weights: as ones and zeros, they would hide where they are used."""
    module = LayerNorm(width)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    return module


def make_residual(folder: Path) -> Path:
    """Make a saved Dense one with a residual, as sentence-transformers 6 saves it."""
    edit(folder / "config.json", use_residual=True)
    config = json.loads((folder / "config.json").read_text())
    inputs, outputs = config["in_features"], config["out_features"]
    tensors = safetensors.numpy.load_file(folder / "model.safetensors")
    if inputs != outputs:
        random = np.random.default_rng(5)
        tensors["residual.weight"] = random.normal(size=(outputs, inputs)).astype(np.float32)
    safetensors.numpy.save_file(tensors, folder / "model.safetensors")
    return folder


def save_all(folder: Path) -> dict[str, Path]:
    """Save a model of each stack, by name."""
    torch.manual_seed(11)
    bert = folder / "transformer"
    long = [
        Pooling(WIDTH, ("mean", "max")),
        Normalize(),
        dense(2 * WIDTH, WIDTH, "GELU"),
        Dropout(0.5),
        norm(WIDTH),
        dense(WIDTH, 24, "Mish", bias=False),
        Normalize(),
        Dropout(0.1),
    ]
    unpooled = [Pooling(WIDTH, MODES, include_prompt=False)]
    saved = {
        "modes": save(folder / "modes", [transformer(bert), Pooling(WIDTH, MODES)]),
        "unpooled": save(folder / "unpooled", [transformer(bert), *unpooled], prompts=PROMPTS),
        "long": save(
            folder / "long", [transformer(bert), *long], prompts=PROMPTS, default_prompt_name="query"
        ),
        "truncated": save(
            folder / "truncated", [transformer(bert), Pooling(WIDTH), Normalize()], truncate_dim=12
        ),
        "lowered": save(folder / "lowered", [transformer(folder / "cased", lowercase=False), Pooling(WIDTH)]),
        "plain": folder / "transformer",
        "static": save(folder / "static", [static(), Normalize()]),
        "static-dense": save(
            folder / "static-dense", [static(), norm(STATIC_WIDTH), dense(STATIC_WIDTH, 8)], prompts=PROMPTS
        ),
    }
    edit(folder / "lowered" / "sentence_bert_config.json", do_lower_case=True, max_seq_length=20)
    edit(folder / "long" / "config_sentence_transformers.json", matryoshka_dimensions=[24, 8, 32])
    return saved
