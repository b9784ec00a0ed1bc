"""Ranks and classes are those of CrossEncoder, and a score is the same bits in any company."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import small_models
import torch
from sentence_transformers import CrossEncoder

from embed_onnx import Model
from embed_onnx.adapters import LangChainReranker, PairScorer
from embed_onnx.artifact.models_txt import Entry
from embed_onnx.errors import InvalidRequest, TaskNotSupported, TextTooLong
from embed_onnx.models.scoring import Prediction
from embed_onnx_export import run, score_parity

QUERY = "numbers such as 12"
DOCUMENTS = [text for _, text in score_parity.pairs()]
LABELS = {0: "no", 1: "maybe", 2: "yes"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints and their artifacts."""
    home = tmp_path_factory.mktemp("ranking")
    entries = []
    for name, precision in (("exact", "float32"), ("small", "int8"), ("classes", "float32")):
        changes = {"labels": 3, "plain": True, "id2label": LABELS} if name == "classes" else {}
        path = small_models.save_scoring(home / name, **changes)
        entries.append(Entry(name=name, repo=name, folder=path, precision=precision))
    entries.append(
        Entry(name="dense", repo="dense", folder=small_models.save(home / "dense"), precision="int8")
    )
    run.export_all(entries, home / "artifacts", force=True)
    return home


@pytest.fixture(scope="module")
def small(folder: Path) -> Model:
    with Model.load(folder / "artifacts" / "small") as model:
        yield model


@pytest.fixture(scope="module")
def classes(folder: Path) -> Model:
    with Model.load(folder / "artifacts" / "classes") as model:
        yield model


def test_scores_are_those_of_the_original(folder: Path) -> None:
    expected = CrossEncoder(str(folder / "exact"), device="cpu").predict(
        [(QUERY, text) for text in DOCUMENTS]
    )

    with Model.load(folder / "artifacts" / "exact") as model:
        results = model.rank(QUERY, DOCUMENTS)

    scores = {result.index: result.score for result in results}
    np.testing.assert_allclose([scores[place] for place in range(len(DOCUMENTS))], expected, atol=1e-5)
    assert sorted(scores.values(), reverse=True) == [result.score for result in results]


def bits(model: Model, documents: list[str] = DOCUMENTS) -> dict[str, float]:
    """The logit of each document; floats of float32 are equal if their bits are."""
    return {documents[item.index]: item.score for item in model.rank(QUERY, documents, raw_scores=True)}


def test_a_score_is_the_same_bits_alone_and_among_others(small: Model) -> None:
    expected = bits(small)

    assert expected == bits(small, DOCUMENTS[::-1]) == bits(small, DOCUMENTS * 12)
    for document in DOCUMENTS:
        assert expected[document] == bits(small, [document])[document]


def test_a_score_is_the_same_bits_under_load(small: Model) -> None:
    """While four threads rank other documents, and classify."""
    expected, done = bits(small), threading.Event()

    def disturb(seed: int) -> None:
        while not done.is_set():
            small.rank("other words", DOCUMENTS[seed::7] * 3)
            small.classify(DOCUMENTS[seed::5])

    threads = [threading.Thread(target=disturb, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    try:
        actual = [bits(small, DOCUMENTS[place:] + DOCUMENTS[:place]) for place in range(0, 60, 12)]
    finally:
        done.set()
        for thread in threads:
            thread.join()

    assert [expected] * len(actual) == actual


@pytest.mark.parametrize("threads", [1, 5])
def test_number_of_threads_does_not_matter(folder: Path, small: Model, threads: int) -> None:
    with Model.load(folder / "artifacts" / "small", threads=threads) as other:
        assert bits(small) == bits(other)


def test_an_event_loop_gets_the_same(small: Model, classes: Model) -> None:
    async def both() -> object:
        return await asyncio.gather(
            small.rank_async(QUERY, DOCUMENTS, top_n=5), classes.classify_async(["a", ("a", "b")])
        )

    actual = asyncio.run(both())

    assert [small.rank(QUERY, DOCUMENTS, top_n=5), classes.classify(["a", ("a", "b")])] == actual


def test_options_of_a_rank(small: Model) -> None:
    first, second = small.rank("a", ["b", "few", "b"], top_n=2, return_documents=True)

    assert {first.document, second.document} <= {"b", "few"}
    equal = small.rank("a", ["b", "b"])
    assert ([0, 1], equal[0].score) == ([item.index for item in equal], equal[1].score)
    assert 3 == len(small.rank("a", iter(["b", "few", "b"]), top_n=100))


def test_what_is_too_long_is_cut_or_refused(small: Model) -> None:
    long = "few words " * 200

    short, cut = sorted(small.rank("a", ["b", long]), key=lambda item: item.index)

    assert (False, True) == (short.truncated, cut.truncated)
    with pytest.raises(
        TextTooLong, match=r"documents\[1\] has at least \d+ tokens as a pair, and this model"
    ):
        small.rank("a", ["b", long], truncate=False)
    with pytest.raises(TextTooLong, match=r"documents\[0\] has \d+ tokens as a pair"):
        small.rank(long, ["b"], truncate=False)
    with pytest.raises(TextTooLong, match=r"input\[0\] has at least \d+ tokens, and"):
        small.classify([long], truncate=False)


@pytest.mark.parametrize(
    ("query", "documents", "top_n", "sentence"),
    [
        pytest.param("", ["a"], None, "query is empty", id="no-query"),
        pytest.param(5, ["a"], None, "query is of type int; give a text", id="number"),
        pytest.param("a\ud800", ["a"], None, "query is not valid Unicode", id="surrogate"),
        pytest.param("a", [], None, "documents is an empty list", id="no-documents"),
        pytest.param("a", "text", None, "documents is of type str; give a list", id="one-document"),
        pytest.param("a", ["b", ""], None, r"documents\[1\] is empty", id="empty-document"),
        pytest.param("a", ["b", None], None, r"documents\[1\] is of type NoneType", id="none"),
        pytest.param("a", ["\udfff"], None, r"documents\[0\] is not valid Unicode", id="document-surrogate"),
        pytest.param("a", ["b"], 0, "top_n is 0; send at least 1", id="top-0"),
    ],
)
def test_what_cannot_be_ranked_is_refused(
    small: Model, query: str, documents: list[str], top_n: int | None, sentence: str
) -> None:
    with pytest.raises(InvalidRequest, match=sentence):
        small.rank(query, documents, top_n=top_n)


def test_classes_are_those_of_the_original(folder: Path, classes: Model) -> None:
    original = CrossEncoder(str(folder / "classes"), device="cpu")
    items = [*DOCUMENTS[:9], *score_parity.pairs()[:9]]

    actual = classes.classify(items)

    for item, predictions in zip(items, actual, strict=True):
        with torch.inference_mode():
            logits = original(original.preprocess([item]))["scores"][0]
        expected = dict(zip(LABELS.values(), logits.softmax(dim=0).tolist(), strict=True))
        assert expected == pytest.approx({each.label: each.score for each in predictions}, abs=1e-5)
        assert max(expected, key=expected.get) == predictions[0].label


def test_one_text_or_pair_alone_has_one_list(classes: Model, small: Model) -> None:
    assert classes.classify(["a"]) == [classes.classify("a")]
    assert classes.classify([("a", "b")]) == [classes.classify(("a", "b"))]
    (one,) = small.classify("a")
    (raw,) = small.classify("a", raw_scores=True)
    assert (Prediction, "LABEL_0") == (type(one), one.label)
    assert one.score == pytest.approx(1 / (1 + np.exp(-raw.score)), abs=1e-6)
    assert [] == classes.classify([])


@pytest.mark.parametrize("texts", ["", 5, [5], [""], [("a", "")], [("a", "b", "c")], [["a", "b"]]])
def test_what_cannot_be_classified_is_refused(classes: Model, texts: object) -> None:
    with pytest.raises(InvalidRequest):
        classes.classify(texts)


def test_a_model_of_another_kind_is_refused(folder: Path, small: Model, classes: Model) -> None:
    with pytest.raises(TaskNotSupported, match="scores texts; name another model"):
        small.encode("a")
    with pytest.raises(TaskNotSupported, match="classes is a model for classify and does not rerank"):
        classes.rank("a", ["b"])
    with Model.load(folder / "artifacts" / "dense") as dense:
        for call in (lambda: dense.rank("a", ["b"]), lambda: dense.classify("a")):
            with pytest.raises(TaskNotSupported, match="dense is a model for embed and does not"):
                call()


def test_the_adapter_is_called_as_a_cross_encoder(folder: Path) -> None:
    pairs = [(QUERY, text) for text in DOCUMENTS[:7]]
    for name in ("exact", "classes"):
        original = CrossEncoder(str(folder / name), device="cpu")
        with Model.load(folder / "artifacts" / name) as model:
            scorer = PairScorer(model)
            for options in (
                {},
                {"apply_softmax": True},
                {"convert_to_tensor": True},
                {"activation_fn": torch.nn.Identity(), "apply_softmax": True},
                {"activation_fn": torch.nn.Tanh(), "batch_size": 2, "show_progress_bar": False},
            ):
                for items in (pairs, pairs[0], [list(pair) for pair in pairs]):
                    expected, actual = original.predict(items, **options), scorer.predict(items, **options)
                    assert (expected.shape, type(expected)) == (actual.shape, type(actual))
                    np.testing.assert_allclose(actual, expected, atol=1e-5)
            assert original.num_labels == scorer.num_labels
            listed = scorer.predict(pairs, convert_to_numpy=False)
            assert torch.equal(torch.stack(listed), scorer.predict(pairs, convert_to_tensor=True))
            assert original.predict([]).shape[:1] == scorer.predict([]).shape[:1]


@pytest.mark.parametrize("options", [{}, {"activation_fn": torch.nn.Identity()}, {"top_k": 3}], ids=str)
def test_the_adapter_ranks_as_a_cross_encoder(folder: Path, options: dict[str, Any]) -> None:
    original = CrossEncoder(str(folder / "exact"), device="cpu")
    with Model.load(folder / "artifacts" / "exact") as model:
        actual = PairScorer(model).rank(QUERY, DOCUMENTS[:7], return_documents=True, **options)

    expected = original.rank(QUERY, DOCUMENTS[:7], return_documents=True, **options)

    assert [(each["corpus_id"], each["text"]) for each in expected] == [
        (each["corpus_id"], each["text"]) for each in actual
    ]
    assert [each["score"] for each in actual] == pytest.approx([each["score"] for each in expected], abs=1e-5)


def test_the_adapter_names_what_it_cannot_do(small: Model, classes: Model) -> None:
    pair = (QUERY, "a")
    with pytest.raises(InvalidRequest, match="take no prompts"):
        PairScorer(small).predict(pair, prompt="a: ")
    with pytest.raises(InvalidRequest, match="take no prompts"):
        PairScorer(small).rank(QUERY, ["a"], prompt_name="query")
    with pytest.raises(InvalidRequest, match="there are no pools of processes"):
        PairScorer(small).predict([pair], pool={"processes": []})
    with pytest.raises(TaskNotSupported, match="does not rerank"):
        PairScorer(classes).rank(QUERY, ["a"])
    with pytest.raises(InvalidRequest, match="is of type tuple"):
        PairScorer(small).predict([("a", 3)])


class Document(msgspec.Struct):
    """What of LangChain's class is used."""

    page_content: str
    metadata: dict[str, object]

    def model_copy(self, *, update: dict[str, object]) -> "Document":
        return msgspec.structs.replace(self, **update)


def test_the_adapter_for_langchain(small: Model) -> None:
    documents = [Document(text, {"place": place}) for place, text in enumerate(DOCUMENTS[:7])]
    compressor = LangChainReranker(small, top_n=2)

    best = compressor.compress_documents(documents, QUERY)

    expected = small.rank(QUERY, DOCUMENTS[:7], top_n=2)
    assert best == asyncio.run(compressor.acompress_documents(documents, QUERY))
    assert [{"place": item.index, "relevance_score": item.score} for item in expected] == [
        each.metadata for each in best
    ]
    assert [] == compressor.compress_documents([], QUERY)
    assert "relevance_score" not in documents[0].metadata
