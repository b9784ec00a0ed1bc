"""Token vectors and ranks by them in a program."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from harness import COLBERT

from embed_onnx import Model
from embed_onnx.artifact.outputs import TokenRole, TokenVectors
from embed_onnx.engine import maxsim
from embed_onnx.engine.outputs.token_vectors import TokenVectorsFinish
from embed_onnx.engine.sequence import TokenSequence
from embed_onnx.errors import InferenceFailed, InvalidRequest, TaskNotSupported, TextTooLong
from embed_onnx.models.options import Options
from embed_onnx.models.request_pairs import ScoreOptions

RANK_WITHOUT_KERNELS = """
import sys
from pathlib import Path
from embed_onnx.models import registry
from embed_onnx.settings import Settings
home = Path(sys.argv[1])
settings = Settings(models=home / "models.txt", artifacts=home / "artifacts", threads=1, kernels="off")
with registry.Registry(registry.entries_to_serve(settings), settings) as models:
    models.load()
    with models.use(None, "rerank") as (model, _):
        print(*(each.score for each in model.rank("few words", ["a few words", "numbers"])))
print("embed_onnx_kernels" in Path("/proc/self/maps").read_text())
"""
TEXTS = ["a few words", "numbers such as 12, and letters.", "12", "a few words", "and, some more words. " * 2]
QUERY = "few words"


@pytest.fixture(scope="module")
def model(tokens_home: Path) -> Iterator[Model]:
    with Model.load(tokens_home / "artifacts" / COLBERT, threads=2) as model:
        yield model


def assert_same(vectors: list[np.ndarray], others: list[np.ndarray]) -> None:
    for array, other in zip(vectors, others, strict=True):
        np.testing.assert_array_equal(array, other)


@pytest.mark.parametrize("name", ["query", "document"])
def test_no_vector_depends_on_another_text(model: Model, name: str) -> None:
    together = model.encode_tokens(TEXTS * 9, prompt_name=name)

    alone = [model.encode_tokens(text, prompt_name=name)[0] for text in TEXTS]

    assert_same(together, alone * 9)
    assert {np.dtype(np.float32)} == {array.dtype for array in together}
    for array in alone:
        np.testing.assert_allclose(np.linalg.norm(array, axis=1), 1, atol=1e-6)


def test_queries_are_expanded_and_documents_lack_what_is_skipped(model: Model) -> None:
    output = model.manifest.token_vectors

    assert [(16, 16)] * len(TEXTS) == [
        array.shape for array in model.encode_tokens(TEXTS, input_type="search_query")
    ]
    for text, array in zip(TEXTS, model.encode_tokens(TEXTS), strict=True):
        (tokens,) = model.tokenize([text], Options())
        kept = [token for token in tokens.ids if token not in output.document.skipped_ids]
        assert (len(kept), output.dimensions) == array.shape
    assert sum(text.count(",") + text.count(".") for text in TEXTS) > 0


def test_roles(model: Model) -> None:
    """Without a word, texts are documents; each role has its own prompt, unless there is another."""
    document, query = model.manifest.prompts["document"], model.manifest.prompts["query"]

    assert_same(model.encode_tokens(TEXTS), model.encode_tokens(TEXTS, prompt_name="document"))
    assert_same(model.encode_tokens(TEXTS), model.encode_tokens(TEXTS, prompt=document))
    other = model.encode_tokens([f"{query}{text}" for text in TEXTS], prompt="", prompt_name="query")
    assert_same(model.encode_tokens(TEXTS, prompt_name="query"), other)


def test_token_ids_are_documents(model: Model) -> None:
    ids = [tokens.ids for tokens in model.tokenize(TEXTS, Options())]

    assert_same(model.encode_tokens(TEXTS), model.encode_tokens(ids))


def test_an_event_loop(model: Model) -> None:
    assert_same(
        model.encode_tokens(TEXTS, prompt_name="query"),
        asyncio.run(model.encode_tokens_async(TEXTS, prompt_name="query")),
    )


def test_no_texts_and_empty_ones(model: Model) -> None:
    assert [] == model.encode_tokens([])

    embedded = model.embed_tokens_now(["", "12"], Options(zeros=True))

    assert (0, 16) == embedded.vectors[0].shape
    assert_same(embedded.vectors[1:], model.encode_tokens("12"))


def test_what_is_refused(model: Model) -> None:
    with pytest.raises(TextTooLong, match="maximum context length is 48 tokens"):
        model.encode_tokens("word " * 100, truncate=False)
    with pytest.raises(TextTooLong, match="maximum context length is 16 tokens"):
        model.encode_tokens("word " * 100, truncate=False, prompt_name="query")
    with pytest.raises(TaskNotSupported, match="makes token vectors; name another model, one that makes"):
        model.encode("text")
    with pytest.raises(TaskNotSupported, match="does not classify"):
        model.classify("text")
    with pytest.raises(TaskNotSupported, match="does not embed_sparse"):
        model.encode_sparse("text")


def test_ranks_are_those_of_sums_of_maxima(model: Model) -> None:
    (query,) = model.encode_tokens(QUERY, prompt_name="query")
    scores = [maxsim.score(query, document) for document in model.encode_tokens(TEXTS)]
    assert len(set(scores)) == len(TEXTS) - 1

    ranked = model.rank(QUERY, TEXTS, return_documents=True)

    assert sorted(range(len(TEXTS)), key=lambda place: -scores[place]) == [item.index for item in ranked]
    assert [scores[item.index] for item in ranked] == [item.score for item in ranked]
    assert [TEXTS[item.index] for item in ranked] == [item.document for item in ranked]
    assert ranked == model.rank(QUERY, TEXTS, return_documents=True, raw_scores=True)
    assert ranked[:2] == asyncio.run(model.rank_async(QUERY, TEXTS, return_documents=True, top_n=2))
    for place, text in enumerate(TEXTS):
        (alone,) = model.rank(QUERY, [text])
        assert scores[place] == alone.score


def test_pairs_of_several_queries(model: Model) -> None:
    pairs = [(query, text) for text in TEXTS for query in ("12", QUERY)]

    scored = model.score_now(pairs, ScoreOptions())

    expected = [model.rank(query, [text])[0].score for query, text in pairs]
    assert expected == scored.logits[:, 0].tolist()
    assert not scored.bounded


def test_limits_of_a_rank(model: Model) -> None:
    long = "word " * 100
    assert [False, True] == [model.rank(QUERY, [text])[0].truncated for text in ("12", long)]
    assert model.rank(long, ["12"])[0].truncated

    short = model.score_now([(QUERY, long)], ScoreOptions(max_tokens_per_doc=5))
    assert 16 + 5 + 2 == short.num_tokens

    with pytest.raises(TextTooLong, match=r"^documents\[1\] has at least"):
        model.rank(QUERY, ["12", long * 20], truncate=False)
    with pytest.raises(TextTooLong, match=r"^query has at least"):
        model.rank(long, ["12"], truncate=False)
    pairs = [(QUERY, "12"), (long, "12"), ("12", long * 20), (long, "a")]
    options = ScoreOptions(truncate=False, field="text_2")
    with pytest.raises(TextTooLong, match=r"^the query of text_2\[41\] has at least") as refusal:
        model.score_now(pairs, options, first=40)
    assert "text_2" == refusal.value.param
    with pytest.raises(TextTooLong, match=r"^the query of text_2\[1\] has at least"):
        asyncio.run(model.score(pairs, options))
    with pytest.raises(TextTooLong, match=r"^text_2\[1\] has at least"):
        asyncio.run(model.score([(QUERY, "12"), ("12", long * 20)], options))
    with pytest.raises(InvalidRequest, match="input has a single text, and colbert scores pairs; send pairs"):
        model.score_now(["12"], ScoreOptions())


def test_sums_of_maxima() -> None:
    """Near the float64 of the formula, and the same whatever else a document has."""
    rng = np.random.default_rng(3)
    query, document = (rng.normal(size=(count, 96)).astype(np.float32) for count in (32, 300))
    products = query.astype(np.float64) @ document.astype(np.float64).T

    assert maxsim.score(query, document) == pytest.approx(products.max(axis=1).sum(), rel=1e-6)
    best = document[np.sort(np.unique(products.argmax(axis=1)))]
    assert maxsim.score(query, document) == maxsim.score(query, best)
    assert maxsim.NO_TOKENS == maxsim.score(query, document[:0])
    assert 0 == maxsim.score(query[:0], document)


def test_a_sum_of_maxima_does_not_depend_on_other_documents() -> None:
    """Nor on their number, to the bit; empty ones and those of many tokens are among them."""
    rng = np.random.default_rng(4)
    query = rng.normal(size=(7, 33)).astype(np.float32)
    lengths = [0, 300, 1, 900, 0, 2000, 5, *rng.integers(0, 90, 60), 0]
    documents = [rng.normal(size=(length, 33)).astype(np.float32) for length in lengths]

    assert [maxsim.score(query, document) for document in documents] == maxsim.scores(
        query, documents
    ).tolist()
    assert [] == maxsim.scores(query, []).tolist()


def test_what_is_not_finite_is_an_error() -> None:
    role = TokenRole(max_tokens=8)
    output = TokenVectors(dimensions=2, normalize=True, query=role, document=role)
    finish = TokenVectorsFinish(output, lambda states: states)

    with pytest.raises(InferenceFailed, match="not finite, for 2 tokens"):
        finish(np.array([[1, 2], [1, np.nan]], np.float32), [TokenSequence([1, 2])])


def test_without_kernels_their_library_is_not_loaded(tokens_home: Path) -> None:
    """The setting ``kernels=off``, which the variable of a process need not repeat, is off for MaxSim too."""
    command = [sys.executable, "-c", RANK_WITHOUT_KERNELS, str(tokens_home)]

    *scores, loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    assert (2, "False") == (len(scores), loaded)
