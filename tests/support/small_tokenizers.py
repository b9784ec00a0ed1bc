"""Small tokenizers of every kind, trained here on a few sentences."""

import json
from collections.abc import Callable, Sequence

import transformers
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

MAX_TOKENS = 48
"""Of the small models."""
CORPUS = [
    "a small model reads a few words and learns where they end",
    "numbers such as 12 and 345 stand beside letters, commas and dots.",
    "def add(a, b): return a + b",
]


def fast_tokenizer(
    kind: str, *, max_tokens: int = MAX_TOKENS, token_types: bool = False
) -> transformers.PreTrainedTokenizerFast:
    """A tokenizer of a few hundred entries, of one of ``TOKENIZERS``."""
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=TOKENIZERS[kind](),
        model_max_length=max_tokens,
        model_input_names=["input_ids", "attention_mask"] + ["token_type_ids"] * token_types,
        **dict(zip(("unk_token", "pad_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True)),
    )


SPECIAL = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]"]
"""Ids 0 to 4 everywhere."""
LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How GPT-4, Llama 3 and Qwen cut texts into words."""


def template(single: str, pair: str | None = None) -> processors.PostProcessor:
    """What puts special tokens around a text, or a pair."""
    return processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )


def _wordpiece() -> Tokenizer:
    """In the manner of BERT."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=300, special_tokens=SPECIAL))
    tokenizer.post_processor = template("[CLS] $A [SEP]")
    return tokenizer


def _byte_level(split: pre_tokenizers.PreTokenizer, single: str, *, special: Sequence[str] = ()) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = split
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=[*SPECIAL, *special],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = template(single)
    return tokenizer


def _gpt2() -> Tokenizer:
    """In the manner of RoBERTa, whose mask takes the space before it."""
    tokenizer = _byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False), "[CLS] $A [SEP]")
    tokenizer.add_special_tokens([AddedToken("[MASK]", lstrip=True)])
    return tokenizer


def _qwen() -> Tokenizer:
    """In the manner of Qwen and Llama 3: words by a pattern, an end and no beginning.

    Transformers gives every Qwen 2 the token ``<|endoftext|>``, with a new id if it has none.
    """
    parts = [
        pre_tokenizers.Split(Regex(LLAMA3_SPLIT), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]
    return _byte_level(pre_tokenizers.Sequence(parts), "$A [SEP]", special=["<|endoftext|>"])


def _unigram() -> Tokenizer:
    """In the manner of XLM-RoBERTa: NFKC, runs of spaces as one, a mark before each word."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Strip(left=False), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=150, special_tokens=SPECIAL, unk_token="[UNK]")
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = template("[CLS] $A [SEP]")
    return tokenizer


def _llama() -> Tokenizer:
    """In the manner of Llama 2 and Gemma: a text is one word, unknown characters are bytes, a beginning."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    )
    bytes_ = [f"<0x{value:02X}>" for value in range(256)]
    marked = [f"\u2581{line}".replace(" ", "\u2581") for line in CORPUS]
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=[*SPECIAL, *bytes_])
    tokenizer.train_from_iterator(marked, trainer)
    described = json.loads(tokenizer.to_str())
    described["added_tokens"] = [t for t in described["added_tokens"] if t["content"] in SPECIAL]
    tokenizer = Tokenizer.from_str(json.dumps(described))
    tokenizer.post_processor = template("[CLS] $A")
    return tokenizer


def _bare() -> Tokenizer:
    """Nothing is put around a text."""
    return _byte_level(pre_tokenizers.ByteLevel(add_prefix_space=True), "$A")


TOKENIZERS: dict[str, Callable[[], Tokenizer]] = {
    "wordpiece": _wordpiece,
    "bpe": _qwen,
    "gpt2": _gpt2,
    "unigram": _unigram,
    "byte-fallback": _llama,
    "bare": _bare,
}
