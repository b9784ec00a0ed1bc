"""How far an artifact's token vectors are from its original's: the same queries and documents through both.

The original is the MultiVectorEncoder in PyTorch, or where there is no PyTorch the float32 artifact, run by
standard operators. Too far, and there is no artifact.
"""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import tokenizers

from embed_onnx.artifact.manifest import MODEL, Facts, Precision
from embed_onnx.artifact.parity import TokenParity
from embed_onnx.engine import maxsim, native
from embed_onnx.engine.encoder import Encoder
from embed_onnx.engine.inference import Inference
from embed_onnx.engine.native import Kernels
from embed_onnx.engine.outputs.token_vectors import TokenVectorsFinish
from embed_onnx.engine.sequence import TokenSequence
from embed_onnx.engine.vectors import Vector
from embed_onnx.models.request_tokenizer import expanded
from embed_onnx.models.token_vectors import scored
from embed_onnx.models.tokenizer import Tokens
from embed_onnx_export import parity, score_parity, similarity
from embed_onnx_export.errors import ExportError

EmbedTokens = Callable[[str, str], tuple[list[int], Vector]]
"""From a role and a text to its token ids and vectors, float32 [vectors, dimensions]."""


class Floor(msgspec.Struct, frozen=True):
    """The least cosine of a token vector, on average and of any one."""

    mean: float
    least: float


FLOORS: dict[Precision, Floor] = {"float32": Floor(0.99999, 0.99999), "int8": Floor(0.997, 0.5)}
"""The least of int8 is that of one odd token among thousands; it is there to refuse what is broken."""


class Cases(msgspec.Struct, frozen=True):
    """Texts, each a query or a document.

    ``queries`` and ``documents`` are the places of those whose scores are compared.
    """

    roles: list[str]
    texts: list[str]
    queries: range
    documents: range


class Reference(msgspec.Struct, frozen=True):
    """What the original gives for the texts of cases: ids, and vectors [vectors, dimensions]."""

    cases: Cases
    ids: list[list[int]]
    vectors: list[Vector]


def cases(tokenizer: tokenizers.Tokenizer) -> Cases:
    """What every artifact is compared on."""
    pairs = score_parity.pairs()
    queries = list(dict.fromkeys(query for query, _ in pairs))
    answers = list(dict.fromkeys(answer for _, answer in pairs))
    messages, sentences = parity.messages(tokenizer), parity.sentences()
    of_roles = {
        "query": [*queries, *messages[:: parity.PROMPTED]],
        "document": [*answers, *sentences, *messages],
    }
    first = len(of_roles["query"])
    return Cases(
        roles=[role for role, texts in of_roles.items() for _ in texts],
        texts=[text for texts in of_roles.values() for text in texts],
        queries=range(len(queries)),
        documents=range(first, first + len(answers)),
    )


def reference(tokenizer: tokenizers.Tokenizer, embed: EmbedTokens) -> Reference:
    """Run the texts through what artifacts are compared with, once for all of them."""
    items = cases(tokenizer)
    results = [embed(role, text) for role, text in zip(items.roles, items.texts, strict=True)]
    return Reference(items, [ids for ids, _ in results], [vectors for _, vectors in results])


def of_artifact(folder: Path, facts: Facts) -> EmbedTokens:
    """An artifact folder as what later ones are compared with, run by standard operators."""
    return _embed(folder, facts, native.find("off"))


def measure(expected: Reference, folder: Path, facts: Facts, kernels: Kernels) -> TokenParity:
    """Compare an artifact folder, as these kernels or standard operators run it, with its original.

    Raises:
        ExportError: A text has other token ids, or vectors of other tokens, or they are too far apart.
    """
    embed = _embed(folder, facts, kernels)
    roles, texts = expected.cases.roles, expected.cases.texts
    results = [embed(role, text) for role, text in zip(roles, texts, strict=True)]
    parity.check_tokens(texts, [ids for ids, _ in results], expected.ids)
    vectors = [vectors for _, vectors in results]
    for text, actual, right in zip(texts, vectors, expected.vectors, strict=True):
        if len(actual) != len(right):
            raise ExportError(
                f"{facts.name} has {len(actual)} vectors for {text[:60]!r}, and the original has {len(right)}"
                "; report this as a bug"
            )
    record = compared(expected.cases, vectors, expected.vectors)
    _check_floor(record, facts)
    return record


def compared(cases: Cases, vectors: list[Vector], originals: list[Vector]) -> TokenParity:
    """How near the vectors of each text are to the originals, and how the ranks by MaxSim agree.

    Those of a text are [vectors, dimensions], as many as the original has.
    """
    cosines = similarity.cosines(np.concatenate(vectors), np.concatenate(originals))
    scores, others = _scores(vectors, cases), _scores(originals, cases)
    ranks = [agreement(*rows) for rows in zip(scores, others, strict=True)]
    return TokenParity(
        texts=len(vectors),
        cosine_mean=float(cosines.mean()),
        cosine_min=float(cosines.min()),
        spearman=float(np.mean(ranks)),
        score_difference=float(np.abs(scores - others).max()),
    )


def agreement(scores: Vector, others: Vector) -> float:
    """Spearman's correlation; where scores of one side are all equal and have no ranks, whether both are."""
    equal = [bool(np.ptp(row) == 0) for row in (scores, others)]
    return float(all(equal)) if any(equal) else score_parity.spearman(scores, others)


def _scores(vectors: list[Vector], cases: Cases) -> Vector:
    """MaxSim of the compared queries with the documents, [queries, documents]."""
    documents = [vectors[place] for place in cases.documents]
    return np.array([maxsim.scores(vectors[place], documents) for place in cases.queries])


def _check_floor(record: TokenParity, facts: Facts) -> None:
    floor = FLOORS[facts.precision]
    if record.cosine_mean >= floor.mean and record.cosine_min >= floor.least:  # not so for NaN
        return
    way_out = "set precision=float32 on its line" if facts.precision == "int8" else "report this as a bug"
    raise ExportError(
        f"{facts.name} as {facts.precision} is too far from the original: the cosine of its token vectors is "
        f"{record.cosine_mean:.5f} on average and {record.cosine_min:.5f} at least, and the floor is "
        f"{floor.mean} and {floor.least}; {way_out}"
    )


def _embed(folder: Path, facts: Facts, kernels: Kernels) -> EmbedTokens:
    tokenizer = parity.load_tokenizer(folder, facts)
    encoder = Encoder(folder / MODEL, facts, kernels)
    output = facts.token_vectors
    run = Inference(encoder, TokenVectorsFinish(output, encoder.through_head_by_token)).run
    roles = {"query": output.query, "document": output.document}

    def one(role: str, text: str) -> tuple[list[int], Vector]:
        limit = tokenizer.limit(max_tokens=roles[role].max_tokens)
        (item,) = tokenizer.encode([facts.prompts[role] + text], limit)
        tokens: Tokens = expanded(item, roles[role])
        (vectors,) = run([TokenSequence(tokens.ids, unattended=tokens.unattended)])
        return tokens.ids, scored(vectors, tokens, roles[role])

    return one
