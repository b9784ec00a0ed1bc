"""Small models with random weights, saved by sentence-transformers itself; nothing is downloaded."""

from pathlib import Path
from typing import Any

import torch
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

WIDTH = 32
MAX_TOKENS = 48
SHAPE = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
AFTER_PADDING = {"max_position_embeddings": MAX_TOKENS + 2, "pad_token_id": 1}
"""Where positions start after the padding id."""
PROMPTS = {"query": "search for: ", "document": "text: "}
CORPUS = [
    "a small model reads a few words and learns where they end",
    "numbers such as 12 and 345 stand beside letters, commas and dots.",
    "def add(a, b): return a + b",
]
ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("Bert", {**SHAPE, "max_position_embeddings": MAX_TOKENS}),
    "camembert": ("Camembert", {**SHAPE, **AFTER_PADDING, "type_vocab_size": 1}),
    "distilbert": (
        "DistilBert",
        {"dim": WIDTH, "n_layers": 2, "n_heads": 2, "hidden_dim": 64, "max_position_embeddings": MAX_TOKENS},
    ),
    "mpnet": ("MPNet", {**SHAPE, **AFTER_PADDING}),
    "roberta": ("Roberta", {**SHAPE, **AFTER_PADDING, "type_vocab_size": 1}),
    "xlm-roberta": ("XLMRoberta", {**SHAPE, **AFTER_PADDING, "type_vocab_size": 1}),
}
"""The prefix of the classes in transformers, and the fields of the config."""


def build(architecture: str, vocabulary: int = 300, **changes: Any) -> transformers.PreTrainedModel:
    """A model of that architecture, some fields of its config changed.

    Biases and norms are random too: as zeros and ones, they would hide where they are used.
    """
    prefix, fields = ARCHITECTURES[architecture]
    config = getattr(transformers, f"{prefix}Config")(vocab_size=vocabulary, **{**fields, **changes})
    torch.manual_seed(7)
    model: transformers.PreTrainedModel = getattr(transformers, f"{prefix}Model")(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model.eval()


def save(
    folder: Path,
    architecture: str = "bert",
    *,
    pooling: str | tuple[str, ...] = "mean",
    normalize: bool = True,
    default_prompt: str | None = None,
    **changes: Any,
) -> Path:
    """Save a model of that architecture as a Sentence-Transformers folder."""
    tokenizer = _tokenizer(token_types=architecture == "bert")
    checkpoint = folder.with_name(folder.name + "-transformer")
    build(architecture, len(tokenizer), **changes).save_pretrained(checkpoint)
    tokenizer.save_pretrained(checkpoint)
    modules = [Transformer(str(checkpoint)), Pooling(WIDTH, pooling)] + [Normalize()] * normalize
    SentenceTransformer(
        modules=modules, prompts=PROMPTS, default_prompt_name=default_prompt, device="cpu"
    ).save_pretrained(str(folder))
    return folder


def _tokenizer(*, token_types: bool) -> transformers.PreTrainedTokenizerFast:
    """A WordPiece tokenizer of a few hundred entries, in the manner of BERT."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=300, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=MAX_TOKENS,
        model_input_names=["input_ids", "attention_mask"] + ["token_type_ids"] * token_types,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )
