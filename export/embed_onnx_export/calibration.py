"""The texts that int8 weights are calibrated on: written for this project, or a user's own."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from embed_onnx.artifact.manifest import Calibration
from embed_onnx.models.tokenizer import Tokenizer
from embed_onnx_export.errors import DatasetError

TEXTS = Path(__file__).with_name("calibration.json")
"""By kind: words, messages, questions, paragraphs, code, several scripts; none that parity is measured on."""
LEAST_TEXTS = 20
"""Of a user's file. Over STS-B dev, all-MiniLM-L6-v2 calibrated on 20 sentences is within a tenth of what the
package's texts give, and on one word it is worse than without calibration."""
MOST_TEXTS = 1000
"""Of a user's file: more take memory and minutes, and change nothing that can be measured."""


class Texts(msgspec.Struct, frozen=True):
    """The texts, and what the manifest says of them."""

    texts: Sequence[str]
    record: Calibration


def default() -> Texts:
    """The texts of this package."""
    kinds = msgspec.json.decode(TEXTS.read_bytes(), type=dict[str, list[str]])
    return _recorded([text for texts in kinds.values() for text in texts])


def read(path: Path) -> Texts:
    """The lines of a file that are not blank.

    Raises:
        DatasetError: It cannot be read, or has too few texts or too many.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as err:
        raise DatasetError(f"{path} cannot be read: {err.strerror}; name another with --calibrate") from None
    except UnicodeDecodeError as err:
        raise DatasetError(f"{path} is not UTF-8 (byte {err.start}); save it as UTF-8") from None
    texts = [line for line in lines if line.strip()]
    if not LEAST_TEXTS <= len(texts) <= MOST_TEXTS:
        raise DatasetError(
            f"the number of texts in {path} is {len(texts):,}, and calibrating takes {LEAST_TEXTS} to "
            f"{MOST_TEXTS:,}; write one on each line"
        )
    return _recorded(texts)


def token_ids(texts: Texts, tokenizer: Tokenizer, prompts: Sequence[str]) -> list[list[int]]:
    """The ids of each text, after no prompt and after each of a model's in turn; without empty ones."""
    whole = [prompt + text for prompt, text in prompted(texts, prompts)]
    return [item.ids for item in tokenizer.encode(whole) if item.ids]


def prompted(texts: Texts, prompts: Sequence[str]) -> list[tuple[str, str]]:
    """Each text behind its prompt: none, and each of a model's in turn."""
    turns = ["", *dict.fromkeys(prompt for prompt in prompts if prompt)]
    return [(turns[place % len(turns)], text) for place, text in enumerate(texts.texts)]


def _recorded(texts: list[str]) -> Texts:
    digest = hashlib.sha256("\n".join(texts).encode(errors="surrogatepass")).hexdigest()
    return Texts(texts, Calibration(texts=len(texts), sha256=digest))
