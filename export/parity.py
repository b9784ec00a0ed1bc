"""How far an artifact is from its original: the same sentences through both, compared by cosine.

The original runs in PyTorch, by sentence-transformers itself; the artifact runs through the
runtime that serves it. Too far, and there is no artifact.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from embed_onnx.encoder import Encoder
from embed_onnx.manifest import MODEL, TOKENIZER, Manifest, Parity, Precision
from embed_onnx.native import Kernels
from embed_onnx.tokenizer import Tokenizer
from export import scores
from export.convert import Original
from export.errors import ExportError

SENTENCES = Path(__file__).with_name("sentences.json")
"""Short and long, over the limit, several scripts, emoji, code, single words; written for this."""
PROMPTED = 8
"""Of so many sentences, one is compared after each prompt as well."""


class Floor(msgspec.Struct, frozen=True):
    """The least cosine, on average and for any one sentence of at least ``tokens`` tokens."""

    mean: float
    least: float
    tokens: int


FLOORS: dict[Precision, Floor] = {
    "float32": Floor(0.99999, 0.99999, tokens=0),
    # Of a word or two, a rounding error of one token is a large share.
    "int8": Floor(0.993, 0.975, tokens=5),
}


def sentences() -> list[str]:
    """The sentences that every artifact is compared on."""
    return msgspec.json.decode(SENTENCES.read_bytes(), type=list[str])


class Reference(msgspec.Struct, frozen=True):
    """What the original gives for texts: token ids, and float32 vectors [texts, dimensions].

    The sentences come first, as they are; then some of them after each prompt of the model.
    """

    prompts: list[str]
    texts: list[str]
    ids: list[list[int]]
    vectors: NDArray[np.float32]


def reference(original: Original) -> Reference:
    """Run the sentences through the original, once for all artifacts that are compared with it.

    One by one: some architectures let the padding of a batch into a text's vector.
    """
    model = original.torch
    prompts = ["", *dict.fromkeys(prompt for prompt in original.prompts.values() if prompt)]
    batches = [(prompt, sentences()[:: PROMPTED if prompt else 1]) for prompt in prompts]
    vectors = [
        model.encode(texts, prompt=prompt, batch_size=1, show_progress_bar=False) for prompt, texts in batches
    ]
    cases = [(prompt, text) for prompt, texts in batches for text in texts]
    ids = [model.preprocess([text], prompt=prompt)["input_ids"] for prompt, text in cases]
    return Reference(
        prompts=[prompt for prompt, _ in cases],
        texts=[prompt + text for prompt, text in cases],
        ids=[found.flatten().tolist() for found in ids],
        vectors=np.concatenate(vectors).astype(np.float32),
    )


def measure(expected: Reference, folder: Path, manifest: Manifest, kernels: Kernels) -> Parity:
    """Compare an artifact folder, as these kernels or standard operators run it, with its original.

    Raises:
        ExportError: A sentence has other token ids, or the vectors are further apart than the floor.
    """
    tokenizer = Tokenizer(
        folder / TOKENIZER, max_tokens=manifest.max_tokens, truncation_side=manifest.truncation_side
    )
    tokens = tokenizer.encode(expected.texts)
    _check_tokens(expected.texts, [item.ids for item in tokens], expected.ids)
    encoder = Encoder(folder / MODEL, manifest, kernels)
    floor = FLOORS[manifest.precision]
    enough = counted([item.num_tokens for item in tokens], floor, manifest)
    found, originals = [], []
    cases = zip(expected.prompts, tokens, expected.vectors, enough, strict=True)
    for prompt, item, original, counts in cases:
        skipped = 0 if manifest.include_prompt or not prompt else tokenizer.prompt_length(prompt)
        if counts and item.num_tokens > skipped:  # of no token, serving makes no vector
            found.append(encoder.encode([item.ids], skipped=skipped)[0])
            originals.append(original)
    judged = scores.cosines(np.array(found), np.array(originals))
    if not (judged.mean() >= floor.mean and judged.min() >= floor.least):  # so that NaN does not pass
        way_out = (
            "set precision=float32 on its line" if manifest.precision == "int8" else "report this as a bug"
        )
        raise ExportError(
            f"{manifest.name} as {manifest.precision} is too far from the original: cosine "
            f"{judged.mean():.5f} on average and {judged.min():.5f} at least, and the floor is "
            f"{floor.mean} and {floor.least}; {way_out}"
        )
    return Parity(texts=len(expected.texts), cosine_mean=float(judged.mean()), cosine_min=float(judged.min()))


def counted(num_tokens: Sequence[int], floor: Floor, manifest: Manifest) -> list[bool]:
    """Which sentences, of so many tokens each, are long enough for a floor."""
    least = min(floor.tokens, manifest.max_tokens or floor.tokens)
    return [tokens >= least for tokens in num_tokens]


def _check_tokens(texts: list[str], found: list[list[int]], expected: list[list[int]]) -> None:
    for text, ids, right in zip(texts, found, expected, strict=True):
        if ids != right:
            raise ExportError(
                f"the tokenizer gives other ids than sentence-transformers for {text[:60]!r}: "
                f"{ids[:8]}... instead of {right[:8]}...; report this as a bug"
            )
