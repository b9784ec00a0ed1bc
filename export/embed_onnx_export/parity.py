"""How far an artifact is from its original: the same texts through both, compared by cosine.

The original runs in PyTorch, by sentence-transformers itself, or where there is no PyTorch it is the float32
graph that was written from the weights, run by standard operators. The artifact runs through the runtime that
serves it. Too far, and there is no artifact.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import tokenizers
from numpy.typing import NDArray

from embed_onnx.artifact.manifest import MODEL, TOKENIZER, Facts, Precision
from embed_onnx.artifact.parity import SHORT_TOKENS, Fidelity, Parity
from embed_onnx.engine import native
from embed_onnx.engine.encoder import Encoder
from embed_onnx.engine.native import Kernels
from embed_onnx.engine.sequence import TokenSequence
from embed_onnx.models.tokenizer import Tokenizer
from embed_onnx_export import similarity
from embed_onnx_export.errors import ExportError
from embed_onnx_export.kinds import dense

Cosines = NDArray[np.float64]
Embed = Callable[[str, str], tuple[list[int], NDArray[np.float32]]]
"""From a prompt and a text to their token ids and vector, float32 [dimensions]."""

SENTENCES = Path(__file__).with_name("sentences.json")
"""Short and long, over the limit, several scripts, emoji, code, single words; written for this."""
MESSAGES = Path(__file__).with_name("messages.json")
"""What people send besides: a word or a few, runs of punctuation, special tokens as text, rare scripts."""
OWN_SPECIAL = 8
"""So many of a tokenizer's own special tokens are written in texts."""
PROMPTED = 8
"""Of so many sentences or messages, one is compared after each prompt as well."""


class Floor(msgspec.Struct, frozen=True):
    """The least cosine, on average and for any one sentence of at least ``tokens`` tokens."""

    mean: float
    least: float
    tokens: int


FLOORS: dict[Precision, Floor] = {
    "float32": Floor(0.99999, 0.99999, tokens=0),
    "int8": Floor(0.993, 0.975, tokens=SHORT_TOKENS),
}
"""Of sentences. Messages are on record and have no floor: their least is that of one odd text."""


def sentences() -> list[str]:
    """The sentences that every artifact is compared on, and must be near for."""
    return msgspec.json.decode(SENTENCES.read_bytes(), type=list[str])


def messages(tokenizer: tokenizers.Tokenizer) -> list[str]:
    """What else an artifact is compared on, some of it with special tokens of its own tokenizer."""
    texts = msgspec.json.decode(MESSAGES.read_bytes(), type=list[str])
    added = tokenizer.get_added_tokens_decoder().values()
    special = [token.content for token in added if token.special][:OWN_SPECIAL]
    texts += [text for token in special for text in (token, f"some words {token} and more")]
    return list(dict.fromkeys(texts))


class Reference(msgspec.Struct, frozen=True):
    """What the original gives for texts: token ids, and float32 vectors [texts, dimensions].

    The sentences and messages come first, as they are; then some of them after each prompt of the model.
    ``floored`` are the sentences.
    """

    prompts: list[str]
    texts: list[str]
    floored: list[bool]
    ids: list[list[int]]
    vectors: NDArray[np.float32]


def reference(prompts: Mapping[str, str], tokenizer: tokenizers.Tokenizer, embed: Embed) -> Reference:
    """Run the texts through what artifacts are compared with, once for all of them."""
    befores = ["", *dict.fromkeys(prompt for prompt in prompts.values() if prompt)]
    kinds = {True: sentences(), False: messages(tokenizer)}
    cases = [
        (prompt, text, floored)
        for prompt in befores
        for floored, texts in kinds.items()
        for text in texts[:: PROMPTED if prompt else 1]
    ]
    results = [embed(prompt, text) for prompt, text, _ in cases]
    return Reference(
        prompts=[prompt for prompt, _, _ in cases],
        texts=[prompt + text for prompt, text, _ in cases],
        floored=[floored for _, _, floored in cases],
        ids=[ids for ids, _ in results],
        vectors=np.array([vector for _, vector in results]),
    )


def of_artifact(folder: Path, facts: Facts) -> Embed:
    """An artifact folder as what later ones are compared with, run by standard operators.

    A text of which nothing is left without its prompt has a vector of zeros, and is not compared.
    """
    tokenizer = load_tokenizer(folder, facts)
    inference = dense.inference(Encoder(folder / MODEL, facts, native.find("off")), facts.dense)

    def one(prompt: str, text: str) -> tuple[list[int], NDArray[np.float32]]:
        (item,) = tokenizer.encode([prompt + text])
        skipped = prompt_tokens(tokenizer, facts, prompt)
        if item.num_tokens <= skipped:
            return item.ids, np.zeros(facts.dense.dimensions, np.float32)
        return item.ids, inference.run([TokenSequence(item.ids, skipped)])[0]

    return one


def load_tokenizer(folder: Path, facts: Facts) -> Tokenizer:
    """The tokenizer of an artifact folder."""
    return Tokenizer(folder / TOKENIZER, max_tokens=facts.max_tokens, truncation_side=facts.truncation_side)


def prompt_tokens(tokenizer: Tokenizer, facts: Facts, prompt: str) -> int:
    """The tokens of a prompt that are not pooled."""
    return 0 if facts.dense.include_prompt or not prompt else tokenizer.prompt_length(prompt)


def measure(expected: Reference, folder: Path, facts: Facts, kernels: Kernels) -> Parity:
    """Compare an artifact folder, as these kernels or standard operators run it, with its original.

    Raises:
        ExportError: A text has other token ids, or the vectors of sentences are below the floor.
    """
    tokenizer = load_tokenizer(folder, facts)
    tokens = tokenizer.encode(expected.texts)
    check_tokens(expected.texts, [item.ids for item in tokens], expected.ids)
    inference = dense.inference(Encoder(folder / MODEL, facts, kernels), facts.dense)
    lengths = [item.num_tokens for item in tokens]
    places, vectors = [], []
    for place, (prompt, item) in enumerate(zip(expected.prompts, tokens, strict=True)):
        skipped = prompt_tokens(tokenizer, facts, prompt)
        if item.num_tokens > skipped:  # of no token, serving makes no vector
            places.append(place)
            vectors.extend(inference.run([TokenSequence(item.ids, skipped)]))
    cosines = similarity.cosines(np.array(vectors), expected.vectors[places])
    floor = FLOORS[facts.precision]
    bound = np.array(expected.floored) & counted(lengths, floor.tokens, facts)
    _check_floor(cosines[bound[places]], floor, facts)
    return recorded(cosines, counted(lengths, SHORT_TOKENS, facts)[places])


def _check_floor(cosines: Cosines, floor: Floor, facts: Facts) -> None:
    if cosines.mean() >= floor.mean and cosines.min() >= floor.least:  # not so for NaN
        return
    way_out = "set precision=float32 on its line" if facts.precision == "int8" else "report this as a bug"
    raise ExportError(
        f"{facts.name} as {facts.precision} is too far from the original: cosine {cosines.mean():.5f} "
        f"on average and {cosines.min():.5f} at least, and the floor is {floor.mean} and {floor.least}; "
        f"{way_out}"
    )


def counted(num_tokens: Sequence[int], least: int, facts: Facts) -> NDArray[np.bool_]:
    """Which texts, of so many tokens each, have that many at the least, or as many as the model takes."""
    return np.array(num_tokens) >= min(least, facts.max_tokens or least)


def recorded(cosines: Cosines, long: NDArray[np.bool_]) -> Parity:
    """The record of texts by their cosines, of which some are not short."""
    short = None if long.all() else Fidelity(**_figures(cosines[~long]))
    return Parity(**_figures(cosines[long]), short=short)


def _figures(cosines: Cosines) -> dict[str, Any]:
    return {
        "texts": len(cosines),
        "cosine_mean": float(cosines.mean()),
        "cosine_min": float(cosines.min()),
    }


def check_tokens(texts: list[str], actual: list[list[int]], expected: list[list[int]]) -> None:
    """Compare the token ids of texts with the original's.

    Raises:
        ExportError: They are others.
    """
    for text, ids, right in zip(texts, actual, expected, strict=True):
        if ids != right:
            raise ExportError(
                f"the tokenizer gives other ids than sentence-transformers for {text[:60]!r}: "
                f"{ids[:8]}... instead of {right[:8]}...; report this as a bug"
            )
