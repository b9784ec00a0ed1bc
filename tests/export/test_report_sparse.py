"""Report cards of sparse models: real reports of small ones, with a table of queries and without."""

import shutil
from pathlib import Path

import damage
import kept
import msgspec
import numpy as np
import pytest
import small_models
from harness import SPARSE, run
from markdown_it import MarkdownIt
from scipy import sparse, stats
from sentence_transformers import SparseEncoder
from sklearn.metrics import ndcg_score

from embed_onnx import Model
from embed_onnx.artifact import manifest
from embed_onnx.artifact.models_txt import Entry
from embed_onnx_export.errors import DatasetError
from embed_onnx_export.report import datasets, report, scores, sparse_measure, sparse_text
from embed_onnx_export.report.datasets import Datasets
from embed_onnx_export.report.sparse_card import SparseCard
from embed_onnx_export.run import export_all

ROUTER = "router"


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory, datasets_folder: Path) -> Path:
    """Two sparse models, one with a table of queries, exported and reported on by one command."""
    folder = tmp_path_factory.mktemp("sparse") / "workshop"
    shutil.copytree(kept.sparse(), folder)
    small_models.save_router(folder / ROUTER)
    (folder / "models.txt").write_text(f"./splade  name={SPARSE}  alias=splade-v3\n./router  name={ROUTER}\n")
    files = {"--sts": "pairs.csv", "--pairs": "scored.csv", "--beir": "task"}
    words = [word for flag, name in files.items() for word in (flag, str(datasets_folder / name))]
    done = run("export", "--report", *words, cwd=folder)
    assert done.returncode == 0, done.stderr
    for name in (SPARSE, ROUTER):
        assert f"artifacts/{name}/report.md" in done.stdout
    assert f"{SPARSE}: report: embedding, int8\n" in done.stderr
    return folder


def read(folder: Path, name: str) -> SparseCard:
    return msgspec.json.decode((folder / "artifacts" / name / "report.json").read_bytes(), type=SparseCard)


@pytest.fixture(scope="module")
def card(workshop: Path) -> SparseCard:
    return read(workshop, SPARSE)


@pytest.mark.parametrize(
    ("name", "checkpoint", "tolerance"), [(SPARSE, "splade", 2e-3), (ROUTER, ROUTER, 0.02)]
)
def test_the_original_scores_as_its_sparse_encoder_does(
    workshop: Path, datasets_folder: Path, name: str, checkpoint: str, tolerance: float
) -> None:
    """By products, of encode, encode_query and encode_document, and by other people's formulas.

    Short queries by a table find documents that are equally near, of which these take a mean.
    """
    model = SparseEncoder(str(workshop / checkpoint), device="cpu")
    pairs = datasets.read_pairs(datasets_folder / "pairs.csv")
    task = datasets.read_retrieval(datasets_folder / "task")

    first, second = (model.encode(texts).to_dense().numpy() for texts in (pairs.first, pairs.second))
    queries = model.encode_query(task.queries).to_dense().numpy()
    documents = model.encode_document(task.documents).to_dense().numpy()
    relevance = np.array([[gain.get(place, 0) for place in range(60)] for gain in task.gains])

    original = read(workshop, name).original
    alike = stats.spearmanr((first * second).sum(axis=1), pairs.scores).statistic
    assert original.scores[0].spearman == pytest.approx(alike, abs=1e-3)
    ndcg = ndcg_score(relevance, queries @ documents.T, k=10)
    assert original.scores[0].ndcg == pytest.approx(ndcg, abs=tolerance)
    active = {"query": queries, "document": documents}
    for kind, rows in active.items():
        assert original.scores[0].active_dims[kind] == pytest.approx((rows > 0).sum(axis=1).mean(), abs=0.1)
    assert 1 == original.scores[0].neighbours
    assert original.parity.cosine_min > 1 - 1e-6


def test_artifacts_are_scored_as_they_are_served(
    workshop: Path, datasets_folder: Path, card: SparseCard
) -> None:
    """With as many weights as a request keeps, of queries and of documents."""
    task = datasets.read_retrieval(datasets_folder / "task")
    row = card.artifacts["int8"]
    assert [None, 32] == [each.max_active_dims for each in row.scores]
    with Model.load(workshop / "artifacts" / SPARSE) as model:
        for measured in row.scores:
            queries, documents = (
                model.encode_sparse(texts, prompt_name=side, max_active_dims=measured.max_active_dims)
                for texts, side in ((task.queries, "query"), (task.documents, "document"))
            )
            products = dense(queries) @ dense(documents).T
            ranked = np.argsort(-products, axis=1, kind="stable")[:, :10]

            assert measured.recall == pytest.approx(scores.recall(ranked, task.gains), abs=0.02)
            assert measured.active_dims["document"] == len(documents.indices) / len(task.documents)
            assert measured.bytes == 8 * measured.active_dims["document"]


def dense(rows: sparse_measure.SparseRows) -> np.ndarray:
    return sparse.csr_array((rows.weights, rows.indices, rows.indptr), rows.shape).toarray()


def test_precisions_are_side_by_side(card: SparseCard) -> None:
    float32, int8 = card.artifacts["float32"], card.artifacts["int8"]

    assert ("int8", None, "dot") == (card.precision, card.refused, card.model.similarity)
    assert float32.parity.cosine_min > 0.9999 > int8.parity.cosine_min > 0.9
    assert float32.parity.weight_difference < 1e-3 < int8.parity.weight_difference
    assert float32.parity.top_terms >= int8.parity.top_terms > 0.9
    assert float32.scores[0].neighbours > 0.99
    assert card.measured.parity == len(int8.cosines)
    for row in (card.original, *card.artifacts.values()):
        assert 0 < row.speed.least <= row.speed.median <= row.speed.most
        assert row.scores[1].active_dims["query"] <= 32 < row.scores[0].active_dims["query"]
        assert row.scores[1].neighbours < row.scores[0].neighbours


def test_queries_by_a_table_are_those_of_the_original(workshop: Path) -> None:
    card = read(workshop, ROUTER)
    text = (workshop / "artifacts" / ROUTER / "report.md").read_text()

    active = [row.scores[0].active_dims["query"] for row in (card.original, *card.artifacts.values())]

    assert card.model.query_table
    assert 1 == len(set(active))
    assert "| queries | by a table, without inference |" in text


def test_a_spoilt_artifact_has_worse_figures(workshop: Path, datasets_folder: Path, tmp_path: Path) -> None:
    """Its own row, and neither the original's nor that of the precision which is made for the card."""
    entry = Entry(name=SPARSE, repo="splade", folder=workshop / "splade", precision="float32")
    export_all([entry], tmp_path / "artifacts", force=False)
    damage.spoil(tmp_path / "artifacts" / SPARSE, share=0.5)

    report.write(entry, tmp_path / "artifacts", datasets.read(beir=datasets_folder / "task"))

    card = read(tmp_path, SPARSE)
    spoilt, other = card.artifacts["float32"], card.artifacts["int8"]
    assert spoilt.parity.cosine_mean < 0.97 < other.parity.cosine_mean
    assert spoilt.parity.top_terms < 0.9 < other.parity.top_terms
    assert spoilt.scores[0].neighbours < other.scores[0].neighbours - 0.1
    assert 1 == card.original.scores[0].neighbours


# What people read
def test_the_report_begins_with_what_to_pick(workshop: Path, card: SparseCard) -> None:
    text = (workshop / "artifacts" / SPARSE / "report.md").read_text()

    page = MarkdownIt("commonmark").enable("table").render(text)

    assert text.startswith(f"# Report card of {SPARSE}\n\n**Pick ")
    assert f"| nDCG@10 x 100, task | {100 * card.original.scores[0].ndcg:.2f} |" in text
    weights = card.original.scores[0].active_dims["document"]
    assert f"| weights of a document, mean | {weights:.1f} |" in text
    assert "| greatest 20 weights that are the original's, % | 100.00 |" in text
    assert f"`embed-onnx report {SPARSE} --sts pairs.csv --beir task`" in text
    assert 3 == page.count("<table>")
    assert 1 == page.count("<svg ") == page.count("</svg>")


def test_no_text_of_users_is_in_the_report(workshop: Path, datasets_folder: Path) -> None:
    pairs = datasets.read_pairs(datasets_folder / "pairs.csv")
    task = datasets.read_retrieval(datasets_folder / "task")
    for name in ("report.md", "report.json"):
        written = (workshop / "artifacts" / SPARSE / name).read_text()

        assert str(datasets_folder) not in written
        assert [] == [text for text in (*pairs.second, *task.documents, *task.queries) if text in written]


def test_advice_is_by_what_is_lost(card: SparseCard) -> None:
    replace = msgspec.structs.replace
    scored = replace(card.original.scores[0], spearman=None, ndcg=0.9)
    original = replace(card.original, scores=[scored])
    fast = replace(original.speed, median=2 * original.speed.median)
    lost = replace(original, scores=[replace(scored, ndcg=0.89)], speed=fast, megabytes=1)
    both = replace(card, original=original, artifacts={"float32": original, "int8": lost})
    alone = replace(both, precision="float32", artifacts={"float32": original}, refused="too far")

    assert sparse_text.advice(both).startswith("**Pick float32.** int8 loses too much: nDCG@10 1.00 points")
    assert "**Keep float32.** int8 could not be made: too far." == sparse_text.advice(alone)


def test_datasets_of_another_kind_are_refused(workshop: Path) -> None:
    described = manifest.read(workshop / "artifacts" / SPARSE)
    pairs = datasets.Pairs("a.csv", ["a", "b"], ["c", "d"], [0, 1])

    with pytest.raises(DatasetError, match=f"{SPARSE} makes vectors; measure it with --sts and --beir"):
        Datasets(pairs=pairs).check(described)
    Datasets(sts=pairs).check(described)


# Sparse vectors by hand
def test_sparse_vectors_that_are_compared_by_cosine() -> None:
    """The longer document is not the nearer one; one without weights is like no other."""
    rows = np.array([[1, 0, 0], [3, 4, 0], [0, 0, 0]], np.float32)
    documents, queries = sparse.csr_array(rows), sparse.csr_array(rows[:1])
    task = datasets.Retrieval("task", ["a", "b", "c"], ["a"], [{0: 1.0}], [-1])
    work = sparse_measure.Workload({"query": ["a"], "document": ["a", "b", "c"]}, "")
    vectors = {"query": queries, "document": documents}

    ndcg = {
        ranks_by: sparse_measure.scorer(Datasets(retrieval=task), work, vectors, ranks_by).score(vectors)[
            "ndcg"
        ]
        for ranks_by in ("dot", "cosine")
    }

    assert {"dot": pytest.approx(1 / np.log2(3)), "cosine": 1.0} == ndcg
