"""A checkpoint without tokenizer.json: transformers makes one of its vocabulary."""

import io
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import small_tokenizers
import transformers

from embed_onnx.models.tokenizer import Tokenizer
from embed_onnx_export import parity
from embed_onnx_export.checkpoint import tokenizer_file as exported

CORPUS = [*small_tokenizers.CORPUS * 20, *parity.sentences()]


END = 1


@cache
def sentencepiece_model() -> bytes:
    """A Unigram model in the format of SentencePiece, with its NFKC normalizer."""
    import sentencepiece

    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS),
        model_writer=written,
        vocab_size=400,
        hard_vocab_limit=False,
        pad_id=0, eos_id=END, unk_id=2, bos_id=-1,
        minloglevel=2,
    )  # fmt: skip
    return written.getvalue()


@cache
def wordpiece() -> transformers.PreTrainedTokenizerFast:
    """One of them for all tests: each that is trained may number its words otherwise."""
    return small_tokenizers.fast_tokenizer("wordpiece")


@cache
def sentencepiece_ids(text: str) -> list[int]:
    """By SentencePiece itself."""
    import sentencepiece

    return list(sentencepiece.SentencePieceProcessor(model_proto=sentencepiece_model()).encode(text))


EXPECTED: dict[str, Callable[[str], list[int]]] = {
    "bert": lambda text: list(wordpiece()(text)["input_ids"]),
    "t5": lambda text: [*sentencepiece_ids(text), END],
    "xlm-roberta": lambda text: [0, *(token + 1 for token in sentencepiece_ids(text)), 2],
}
"""The ids of a text by the name of the architecture; those of XLM-R are one later than SentencePiece's."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders that hold a vocabulary and no tokenizer.json."""
    result = {name: tmp_path_factory.mktemp(name) for name in ("t5", "xlm-roberta", "bert")}
    (result["t5"] / "spiece.model").write_bytes(sentencepiece_model())
    (result["xlm-roberta"] / "sentencepiece.bpe.model").write_bytes(sentencepiece_model())
    vocabulary = wordpiece().get_vocab()
    (result["bert"] / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.__getitem__)))
    for name, folder in result.items():
        kind = {"t5": "T5", "xlm-roberta": "XLMRoberta", "bert": "Bert"}[name]
        config = {"tokenizer_class": f"{kind}Tokenizer", "model_max_length": 48}
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
        (folder / "config.json").write_text(json.dumps({"model_type": name}))
    return result


@pytest.mark.parametrize("name", ["bert", "t5", "xlm-roberta"])
def test_what_transformers_converts_gives_the_ids_of_the_vocabulary(
    folders: dict[str, Path], tmp_path: Path, name: str
) -> None:
    """WordPiece and SentencePiece: ours and the library that the vocabulary was made by agree."""
    fast = transformers.AutoTokenizer.from_pretrained(folders[name])

    exported.write(fast.backend_tokenizer, tmp_path)

    actual = Tokenizer(tmp_path / "tokenizer.json", max_tokens=None).encode(parity.sentences())
    assert [EXPECTED[name](text) for text in parity.sentences()] == [item.ids for item in actual]
