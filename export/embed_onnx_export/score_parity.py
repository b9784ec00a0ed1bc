"""How far the scores of an artifact are from its original's: the same pairs of texts through both.

The original is the CrossEncoder in PyTorch, one pair at a time, or where there is no PyTorch the float32
graph that was written from the weights. Too far, and there is no artifact.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from embed_onnx.artifact.manifest import MODEL, TOKENIZER, Activation, Facts, Precision, ScoreParity
from embed_onnx.engine import native
from embed_onnx.engine.encoder import Encoder
from embed_onnx.engine.inference import Inference
from embed_onnx.engine.native import Kernels
from embed_onnx.engine.outputs.scores import ScoresFinish, activated
from embed_onnx.engine.sequence import TokenSequence
from embed_onnx.models.pairs import PairTokenizer
from embed_onnx.models.tokenizer import Tokenizer
from embed_onnx_export.errors import ExportError

PAIRS = Path(__file__).with_name("pairs.json")
"""Texts and what answers them: questions, words, code, several scripts; written for this."""
APART = 7
"""Each text is also paired with the answer to that so many places after it, which is about something else."""
Pair = tuple[str, str]
Logits = NDArray[np.float32]
Score = Callable[[Pair], tuple[list[int], Logits]]
"""From a pair of texts to its token ids and logits, float32 [labels]."""


class Floor(msgspec.Struct, frozen=True):
    """The largest difference of a logit, and the least correlation of ranks."""

    logit_difference: float
    spearman: float


FLOORS: dict[Precision, Floor] = {
    "float32": Floor(logit_difference=1e-3, spearman=0.999),
    "int8": Floor(logit_difference=float("inf"), spearman=0.995),
}


class Reference(msgspec.Struct, frozen=True):
    """What the original gives for pairs: token ids, and float32 logits [pairs, labels]."""

    pairs: list[Pair]
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


def reference(score: Score) -> Reference:
    """Run the pairs through what artifacts are compared with, once for all of them."""
    compared = pairs()
    results = [score(pair) for pair in compared]
    return Reference(compared, [ids for ids, _ in results], np.array([logits for _, logits in results]))


def of_artifact(folder: Path, facts: Facts) -> Score:
    """An artifact folder as what later ones are compared with, run by standard operators."""
    tokenizer, inference = _tokenizer(folder, facts), _inference(folder, facts, native.find("off"))

    def one(pair: Pair) -> tuple[list[int], Logits]:
        (tokens,) = tokenizer.pairs(pair[0], [pair[1]])
        return tokens.ids, inference.run([TokenSequence(tokens.ids, second=tokens.second)])[0]

    return one


def measure(expected: Reference, folder: Path, facts: Facts, kernels: Kernels) -> ScoreParity:
    """Compare an artifact folder, as these kernels or standard operators run it, with its original.

    Raises:
        ExportError: A pair has other token ids, or the scores are too far apart.
    """
    tokenizer, inference = _tokenizer(folder, facts), _inference(folder, facts, kernels)
    logits = []
    for pair, ids in zip(expected.pairs, expected.ids, strict=True):
        (tokens,) = tokenizer.pairs(pair[0], [pair[1]])
        if tokens.ids != ids:
            raise ExportError(
                f"the tokenizer gives other ids than sentence-transformers for the pair {pair[0][:40]!r}, "
                f"{pair[1][:40]!r}: {tokens.ids[:8]}... instead of {ids[:8]}...; report this as a bug"
            )
        logits.extend(inference.run([TokenSequence(tokens.ids, second=tokens.second)]))
    parity = compared(np.array(logits), expected.logits)
    _check_floor(parity, facts)
    return parity


def compared(logits: Logits, others: Logits) -> ScoreParity:
    """The record of two tables of logits, [pairs, labels]."""
    activation: Activation = "sigmoid" if logits.shape[1] == 1 else "softmax"
    scores = activated(logits, activation), activated(others, activation)
    return ScoreParity(
        pairs=len(logits),
        logit_difference=float(np.abs(logits - others).max()),
        score_difference=float(np.abs(scores[0] - scores[1]).max()),
        spearman=min(spearman(*columns) for columns in zip(logits.T, others.T, strict=True)),
    )


def spearman(values: Sequence[float] | Logits, others: Sequence[float] | Logits) -> float:
    """Spearman's rank correlation, -1 to 1; equal values share the mean of their ranks."""
    return float(np.corrcoef(_ranks(values), _ranks(others))[0, 1])


def _ranks(values: Sequence[float] | Logits) -> NDArray[np.float64]:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return ranks


def _check_floor(parity: ScoreParity, facts: Facts) -> None:
    floor = FLOORS[facts.precision]
    if parity.logit_difference <= floor.logit_difference and parity.spearman >= floor.spearman:  # not for NaN
        return
    way_out = "set precision=float32 on its line" if facts.precision == "int8" else "report this as a bug"
    raise ExportError(
        f"{facts.name} as {facts.precision} is too far from the original: its logits are off by up to "
        f"{parity.logit_difference:.5f}, and their ranks correlate by {parity.spearman:.5f}; at most "
        f"{floor.logit_difference:g} and at least {floor.spearman} are taken; {way_out}"
    )


def _tokenizer(folder: Path, facts: Facts) -> PairTokenizer:
    return PairTokenizer(
        Tokenizer(folder / TOKENIZER, max_tokens=facts.max_tokens, truncation_side=facts.truncation_side)
    )


def _inference(folder: Path, facts: Facts, kernels: Kernels) -> Inference[Logits]:
    encoder = Encoder(folder / MODEL, facts, kernels)
    return Inference(encoder, ScoresFinish(facts.scores, encoder.through_head))
