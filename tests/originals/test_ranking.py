"""Ranks of a reranker are those of CrossEncoder, and a score is the same bits in any company."""

from pathlib import Path

import numpy as np
import pytest
import small_models
from sentence_transformers import CrossEncoder

from embed_onnx import Model
from embed_onnx.artifact.models_txt import Entry
from embed_onnx.errors import InvalidRequest, TaskNotSupported
from embed_onnx_export import run, score_parity

QUERY = "numbers such as 12"
DOCUMENTS = [text for _, text in score_parity.pairs()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints and their artifacts."""
    home = tmp_path_factory.mktemp("ranking")
    entries = []
    for name, precision in (("exact", "float32"), ("small", "int8")):
        path = small_models.save_scoring(home / name)
        entries.append(Entry(name=name, repo=name, folder=path, precision=precision))
    run.export_all(entries, home / "artifacts", force=True)
    return home


def test_scores_are_those_of_the_original(folder: Path) -> None:
    expected = CrossEncoder(str(folder / "exact"), device="cpu").predict(
        [(QUERY, text) for text in DOCUMENTS]
    )

    with Model.load(folder / "artifacts" / "exact") as model:
        results = model.rank(QUERY, DOCUMENTS)

    scores = {result.index: result.score for result in results}
    np.testing.assert_allclose([scores[place] for place in range(len(DOCUMENTS))], expected, atol=1e-5)
    assert sorted(scores.values(), reverse=True) == [result.score for result in results]


def test_a_score_is_the_same_bits_alone_and_among_others(folder: Path) -> None:
    with Model.load(folder / "artifacts" / "small") as model:
        together = {item.index: item.score for item in model.rank(QUERY, DOCUMENTS, raw_scores=True)}
        reverse = {item.index: item.score for item in model.rank(QUERY, DOCUMENTS[::-1], raw_scores=True)}
        for place, document in enumerate(DOCUMENTS):
            (alone,) = model.rank(QUERY, [document], raw_scores=True)
            assert together[place] == alone.score == reverse[len(DOCUMENTS) - 1 - place]


def test_what_cannot_be_ranked_is_refused(folder: Path) -> None:
    with Model.load(folder / "artifacts" / "small") as model:
        for query, documents, top_n in (
            ("", ["a"], None),
            ("a", [], None),
            ("a", ["b", ""], None),
            ("a", ["b"], 0),
        ):
            with pytest.raises(InvalidRequest):
                model.rank(query, documents, top_n=top_n)
        with pytest.raises(TaskNotSupported, match="makes no vectors"):
            model.encode("a")
        assert ["b"] == [
            item.document for item in model.rank("a", ["b", "b"], top_n=1, return_documents=True)
        ]
