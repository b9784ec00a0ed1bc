"""How far the scores of an artifact are from its original's: the same pairs and texts through both.

The original is the CrossEncoder in PyTorch, one item at a time, or where there is no PyTorch the float32
graph that was written from the weights. Too far, and there is no artifact.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from embed_onnx.artifact.manifest import MODEL, Facts, Precision
from embed_onnx.artifact.outputs import Activation, Scores
from embed_onnx.artifact.parity import ScoreParity
from embed_onnx.engine import native
from embed_onnx.engine.encoder import Encoder
from embed_onnx.engine.inference import Inference
from embed_onnx.engine.native import Kernels
from embed_onnx.engine.outputs.scores import ScoresFinish, activated
from embed_onnx.engine.sequence import TokenSequence
from embed_onnx.models.inputs import Item, Pair
from embed_onnx.models.pairs import PairTokenizer
from embed_onnx.models.tokenizer import Tokenizer, Tokens
from embed_onnx_export.errors import ExportError
from embed_onnx_export.parity import load_tokenizer

PAIRS = Path(__file__).with_name("pairs.json")
"""Texts and what answers them: questions, words, code, several scripts; written for this."""
APART = 7
"""Each text is also paired with the answer to that so many places after it, which is about something else."""
Logits = NDArray[np.float32]
Score = Callable[[Item], tuple[list[int], Logits]]
"""From a text or a pair of texts to its token ids and logits, float32 [labels]."""


class Floor(msgspec.Struct, frozen=True):
    """The largest difference of a logit, and the least correlation, of which one must be reached.

    Ranks alone would not do: a reranker gives all pairs that do not fit much the same logit, and their order
    among each other is noise in the original as well. How far they are from those that fit is not.
    """

    logit_difference: float
    spearman: float
    pearson: float


FLOORS: dict[Precision, Floor] = {
    "float32": Floor(logit_difference=1e-3, spearman=0.999, pearson=0.9999),
    "int8": Floor(logit_difference=float("inf"), spearman=0.995, pearson=0.9995),
}


class Reference(msgspec.Struct, frozen=True):
    """What the original gives for items: token ids, and float32 logits [items, labels]."""

    items: list[Item]
    ids: list[list[int]]
    logits: Logits


def pairs() -> list[Pair]:
    """The pairs that every artifact is compared on: related ones, others, and long ones."""
    related = msgspec.json.decode(PAIRS.read_bytes(), type=list[Pair])
    answers = [answer for _, answer in related]
    others = [(text, answers[(place + APART) % len(answers)]) for place, (text, _) in enumerate(related)]
    everything = " ".join(answers)
    long = [(text, everything) for text, _ in related[:2]] + [(everything, answer) for answer in answers[:2]]
    return [*related, *others, *long]


def items(output: Scores) -> list[Item]:
    """What an artifact is compared on: pairs if it takes them, and the texts that a classifier gets alone."""
    paired = pairs()
    texts = list(dict.fromkeys(text for pair in paired for text in pair))
    if not output.pairs:
        return [*texts]
    return [*paired, *texts] if len(output.labels) > 1 else [*paired]


def reference(output: Scores, score: Score) -> Reference:
    """Run the items through what artifacts are compared with, once for all of them."""
    compared = items(output)
    results = [score(item) for item in compared]
    return Reference(compared, [ids for ids, _ in results], np.array([logits for _, logits in results]))


def of_artifact(folder: Path, facts: Facts) -> Score:
    """An artifact folder as what later ones are compared with, run by standard operators."""
    tokenize, inference = _tokenizer(folder, facts), _inference(folder, facts, native.find("off"))

    def one(item: Item) -> tuple[list[int], Logits]:
        tokens = tokenize(item)
        return tokens.ids, inference.run([TokenSequence(tokens.ids, second=tokens.second)])[0]

    return one


def measure(expected: Reference, folder: Path, facts: Facts, kernels: Kernels) -> ScoreParity:
    """Compare an artifact folder, as these kernels or standard operators run it, with its original.

    Raises:
        ExportError: An item has other token ids, or the scores are too far apart.
    """
    tokenize, inference = _tokenizer(folder, facts), _inference(folder, facts, kernels)
    logits = []
    for item, ids in zip(expected.items, expected.ids, strict=True):
        tokens = tokenize(item)
        if tokens.ids != ids:
            raise ExportError(
                f"the tokenizer gives other ids than sentence-transformers for {str(item)[:80]}: "
                f"{tokens.ids[:8]}... instead of {ids[:8]}...; report this as a bug"
            )
        logits.extend(inference.run([TokenSequence(tokens.ids, second=tokens.second)]))
    parity = compared(np.array(logits), expected.logits)
    _check_floor(parity, facts)
    return parity


def compared(logits: Logits, others: Logits) -> ScoreParity:
    """The record of two tables of logits, [items, labels]."""
    activation: Activation = "sigmoid" if logits.shape[1] == 1 else "softmax"
    scores = activated(logits, activation), activated(others, activation)
    return ScoreParity(
        items=len(logits),
        logit_difference=float(np.abs(logits - others).max()),
        score_difference=float(np.abs(scores[0] - scores[1]).max()),
        spearman=min(spearman(*columns) for columns in zip(logits.T, others.T, strict=True)),
        pearson=min(pearson(*columns) for columns in zip(logits.T, others.T, strict=True)),
    )


def spearman(values: Logits, others: Logits) -> float:
    """Spearman's rank correlation, -1 to 1; equal values share the mean of their ranks."""
    return pearson(_ranks(values), _ranks(others))


def pearson(values: NDArray[Any], others: NDArray[Any]) -> float:
    """The linear correlation, -1 to 1."""
    return float(np.corrcoef(values, others)[0, 1])


def _ranks(values: Logits) -> NDArray[np.float64]:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return ranks


def _check_floor(parity: ScoreParity, facts: Facts) -> None:
    floor = FLOORS[facts.precision]
    correlated = parity.spearman >= floor.spearman or parity.pearson >= floor.pearson  # not for NaN
    if correlated and parity.logit_difference <= floor.logit_difference:
        return
    way_out = "set precision=float32 on its line" if facts.precision == "int8" else "report this as a bug"
    raise ExportError(
        f"{facts.name} as {facts.precision} is too far from the original: its logits are off by up to "
        f"{parity.logit_difference:.5f}, at most {floor.logit_difference:g} is taken; they correlate by "
        f"{parity.pearson:.5f} and their ranks by {parity.spearman:.5f}, at least {floor.pearson} or "
        f"{floor.spearman} is taken; {way_out}"
    )


def neighbours(texts: Sequence[str], tokenizer: Tokenizer) -> list[list[int]]:
    """The token ids of pairs of texts, each with the one after it."""
    paired, limit = PairTokenizer(tokenizer), tokenizer.limit()
    pairs = zip(texts, [*texts[1:], texts[0]], strict=True)
    return [
        item.ids
        for first, second in pairs
        for item in paired.pairs(paired.first(first, limit), [second], limit)
    ]


def _tokenizer(folder: Path, facts: Facts) -> Callable[[Item], Tokens]:
    """What makes the tokens of an item."""
    texts = load_tokenizer(folder, facts)
    paired = PairTokenizer(texts) if facts.scores.pairs else None

    def one(item: Item) -> Tokens:
        if isinstance(item, str) or paired is None:
            (tokens,) = texts.encode([str(item)])
        else:
            limit = texts.limit()
            (tokens,) = paired.pairs(paired.first(item[0], limit), [item[1]], limit)
        return tokens

    return one


def _inference(folder: Path, facts: Facts, kernels: Kernels) -> Inference[Logits]:
    encoder = Encoder(folder / MODEL, facts, kernels)
    return Inference(encoder, ScoresFinish(facts.scores, encoder.through_head))
