"""Small models with random weights, saved by sentence-transformers itself; nothing is downloaded."""

from collections.abc import Callable
from pathlib import Path

import torch
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

WIDTH = 32
MAX_TOKENS = 48
SHAPE = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
PROMPTS = {"query": "search for: ", "document": "text: "}
CORPUS = [
    "a small model reads a few words and learns where they end",
    "numbers such as 12 and 345 stand beside letters, commas and dots.",
    "def add(a, b): return a + b",
]


def _bert(size: int) -> transformers.PreTrainedModel:
    return transformers.BertModel(
        transformers.BertConfig(vocab_size=size, max_position_embeddings=MAX_TOKENS, **SHAPE)
    )


def _distilbert(size: int) -> transformers.PreTrainedModel:
    return transformers.DistilBertModel(
        transformers.DistilBertConfig(
            vocab_size=size,
            max_position_embeddings=MAX_TOKENS,
            dim=WIDTH,
            n_layers=2,
            n_heads=2,
            hidden_dim=64,
        )
    )


def _mpnet(size: int) -> transformers.PreTrainedModel:
    positions = MAX_TOKENS + 2  # they start after the padding id
    return transformers.MPNetModel(
        transformers.MPNetConfig(vocab_size=size, max_position_embeddings=positions, pad_token_id=1, **SHAPE)
    )


def _roberta(size: int) -> transformers.PreTrainedModel:
    positions = MAX_TOKENS + 2
    return transformers.RobertaModel(
        transformers.RobertaConfig(
            vocab_size=size, max_position_embeddings=positions, pad_token_id=1, type_vocab_size=1, **SHAPE
        )
    )


ARCHITECTURES: dict[str, Callable[[int], transformers.PreTrainedModel]] = {
    "bert": _bert,
    "distilbert": _distilbert,
    "mpnet": _mpnet,
    "roberta": _roberta,
}


def save(
    folder: Path,
    architecture: str = "bert",
    *,
    pooling: str | tuple[str, ...] = "mean",
    normalize: bool = True,
    default_prompt: str | None = None,
) -> Path:
    """Save a model of that architecture as a Sentence-Transformers folder."""
    torch.manual_seed(7)
    tokenizer = _tokenizer(token_types=architecture == "bert")
    checkpoint = folder.with_name(folder.name + "-transformer")
    ARCHITECTURES[architecture](len(tokenizer)).save_pretrained(checkpoint)
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
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
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
