"""A checkpoint without tokenizer.json: its slow tokenizer is converted and compared, or it is refused."""

import io
import json
from pathlib import Path

import pytest
import small_models
import transformers

from embed_onnx.models.tokenizer import Tokenizer
from embed_onnx_export import parity
from embed_onnx_export.checkpoint import tokenizer as exported
from embed_onnx_export.checkpoint import tokenizer_file
from embed_onnx_export.errors import ExportError

CORPUS = [*small_models.CORPUS * 20, *parity.sentences()]


def sentencepiece_model() -> bytes:
    """A Unigram model in the format of SentencePiece, with its NFKC normalizer."""
    import sentencepiece

    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS),
        model_writer=written,
        vocab_size=400,
        hard_vocab_limit=False,
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
        minloglevel=2,
    )  # fmt: skip
    return written.getvalue()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders that hold a vocabulary and no tokenizer.json."""
    result = {name: tmp_path_factory.mktemp(name) for name in ("t5", "xlm-roberta", "bert")}
    (result["t5"] / "spiece.model").write_bytes(sentencepiece_model())
    (result["xlm-roberta"] / "sentencepiece.bpe.model").write_bytes(sentencepiece_model())
    vocabulary = small_models.fast_tokenizer("wordpiece").get_vocab()
    (result["bert"] / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.__getitem__)))
    for name, folder in result.items():
        kind = {"t5": "T5", "xlm-roberta": "XLMRoberta", "bert": "Bert"}[name]
        config = {"tokenizer_class": f"{kind}Tokenizer", "model_max_length": 48}
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
        (folder / "config.json").write_text(json.dumps({"model_type": name}))
    return result


@pytest.mark.parametrize("name", ["bert", "t5", "xlm-roberta"])
def test_what_transformers_converts_gives_the_same_ids(
    folders: dict[str, Path], tmp_path: Path, name: str
) -> None:
    """WordPiece and SentencePiece: ours, transformers' fast one and the slow original agree."""
    fast = transformers.AutoTokenizer.from_pretrained(folders[name])
    slow = transformers.AutoTokenizer.from_pretrained(folders[name], use_fast=False)

    exported.check_converted(fast, folders[name], parity.sentences())
    tokenizer_file.write(fast.backend_tokenizer, tmp_path)

    actual = Tokenizer(tmp_path / "tokenizer.json", max_tokens=48).encode(parity.sentences())
    assert fast.is_fast
    assert not slow.is_fast
    assert slow(parity.sentences(), truncation=True, max_length=48)["input_ids"] == [
        item.ids for item in actual
    ]


def test_a_conversion_that_differs_is_refused(folders: dict[str, Path]) -> None:
    """Here, because it lower-cases and the slow one does not."""
    other = transformers.AutoTokenizer.from_pretrained(folders["bert"], do_lower_case=False)

    with pytest.raises(ExportError, match=r"BertTokenizer, cannot be converted: .* gives other ids for"):
        exported.check_converted(other, folders["bert"], parity.sentences())
