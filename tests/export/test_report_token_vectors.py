"""Report cards of models of token vectors: a real report of a small one."""

import shutil
from pathlib import Path

import damage
import kept
import msgspec
import numpy as np
import pytest
from harness import COLBERT, run
from markdown_it import MarkdownIt
from scipy import stats
from sentence_transformers import MultiVectorEncoder
from sklearn.metrics import ndcg_score

from embed_onnx import Model
from embed_onnx.artifact import manifest
from embed_onnx.artifact.models_txt import Entry
from embed_onnx_export.errors import DatasetError
from embed_onnx_export.report import datasets, report, scores, token_text
from embed_onnx_export.report.datasets import Datasets
from embed_onnx_export.report.token_card import TokenCard
from embed_onnx_export.run import export_all

replace = msgspec.structs.replace


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory, datasets_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("tokens") / "workshop"
    shutil.copytree(kept.token_vectors(), folder)
    (folder / "models.txt").write_text(f"./colbert  name={COLBERT}  alias=colbertv2.0\n")
    files = {"--sts": "pairs.csv", "--pairs": "scored.csv", "--beir": "task"}
    words = [word for flag, name in files.items() for word in (flag, str(datasets_folder / name))]
    done = run("export", "--report", *words, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert f"artifacts/{COLBERT}/report.md" in done.stdout
    assert f"{COLBERT}: report: embedding, int8\n" in done.stderr
    return folder


def read(folder: Path) -> TokenCard:
    return msgspec.json.decode((folder / "artifacts" / COLBERT / "report.json").read_bytes(), type=TokenCard)


@pytest.fixture(scope="module")
def card(workshop: Path) -> TokenCard:
    return read(workshop)


def test_the_original_ranks_as_its_encoder_does(
    workshop: Path, datasets_folder: Path, card: TokenCard
) -> None:
    """By its own MaxSim, and another's nDCG."""
    model = MultiVectorEncoder(str(workshop / "colbert"), device="cpu")
    task = datasets.read_retrieval(datasets_folder / "task")

    queries, documents = model.encode_query(task.queries), model.encode_document(task.documents)
    similar = model.similarity(queries, documents).numpy()
    relevance = np.array([[gain.get(place, 0) for place in range(60)] for gain in task.gains])

    original = card.original
    assert original.scores.ndcg == pytest.approx(ndcg_score(relevance, similar, k=10), abs=2e-3)
    assert (1, 1, 1) == (
        original.scores.agreement,
        original.scores.neighbours,
        original.scores.rank_correlation,
    )
    assert card.measured.query_vectors == pytest.approx(np.mean([len(rows) for rows in queries]))
    assert card.measured.document_vectors == pytest.approx(np.mean([len(rows) for rows in documents]))


def test_artifacts_rank_as_they_are_served(workshop: Path, datasets_folder: Path, card: TokenCard) -> None:
    """And agree with the original by figures that other libraries give."""
    task = datasets.read_retrieval(datasets_folder / "task")
    original = MultiVectorEncoder(str(workshop / "colbert"), device="cpu")
    expected = original.similarity(
        original.encode_query(task.queries), original.encode_document(task.documents)
    ).numpy()
    table = np.empty((len(task.queries), len(task.documents)))
    with Model.load(workshop / "artifacts" / COLBERT) as model:
        for row, query in zip(table, task.queries, strict=True):
            for item in model.rank(query, task.documents):
                row[item.index] = item.score
    ranked, others = (np.argsort(-each, axis=1, kind="stable")[:, :10] for each in (table, expected))

    row = card.artifacts["int8"].scores

    assert row.ndcg == pytest.approx(scores.ndcg(ranked, task.gains))
    assert row.neighbours == pytest.approx(scores.overlap(others, ranked), abs=0.02)
    assert row.agreement == pytest.approx(np.mean(ranked[:, 0] == others[:, 0]), abs=0.06)
    correlations = [stats.spearmanr(*pair).statistic for pair in zip(table, expected, strict=True)]
    assert row.rank_correlation == pytest.approx(np.mean(correlations), abs=1e-3)


def test_precisions_are_side_by_side(card: TokenCard) -> None:
    float32, int8 = card.artifacts["float32"], card.artifacts["int8"]

    assert ("int8", None, 16) == (card.precision, card.refused, card.model.expanded_tokens)
    assert float32.parity.cosine_min > 0.99999 > int8.parity.cosine_min > 0.99
    assert float32.scores.rank_correlation > int8.scores.rank_correlation > 0.9
    assert float32.scores.agreement >= int8.scores.agreement
    for row in (card.original, *card.artifacts.values()):
        assert 0 < row.speed.least <= row.speed.median <= row.speed.most
        assert row.megabytes > 0


def test_vectors_in_half_the_bytes(card: TokenCard) -> None:
    """float16 finds what float32 does; a document's bytes are those of its vectors, of 16 dimensions."""
    float32, float16 = card.types

    assert ("float32", "float16") == (float32.dtype, float16.dtype)
    assert float32.bytes == 2 * float16.bytes == pytest.approx(64 * card.measured.document_vectors)
    assert card.artifacts["int8"].scores == float32.scores
    assert float16.scores.neighbours == pytest.approx(float32.scores.neighbours, abs=0.02)


def test_a_spoilt_artifact_has_worse_figures(workshop: Path, tmp_path: Path) -> None:
    """Its own row, and neither the original's nor that of the precision which is made for the card.

    Without a dataset, texts of our own are ranked.
    """
    entry = Entry(name=COLBERT, repo="colbert", folder=workshop / "colbert", precision="float32")
    export_all([entry], tmp_path / "artifacts", force=False)
    damage.spoil(tmp_path / "artifacts" / COLBERT, share=0.5)

    report.write(entry, tmp_path / "artifacts", Datasets())

    card = read(tmp_path)
    spoilt, other = card.artifacts["float32"], card.artifacts["int8"]
    assert spoilt.parity.cosine_mean < 0.97 < other.parity.cosine_mean
    assert spoilt.scores.neighbours < other.scores.neighbours - 0.1
    assert spoilt.scores.agreement < other.scores.agreement
    assert spoilt.scores.rank_correlation < other.scores.rank_correlation - 0.05
    assert (None, None) == (spoilt.scores.ndcg, card.measured.retrieval)
    assert "texts made up, for questions made up" == card.measured.neighbours
    assert "`--beir` measures it on texts of your own." in token_text.advice(card)


# What people read
def test_the_report_begins_with_what_to_pick(workshop: Path, card: TokenCard) -> None:
    text = (workshop / "artifacts" / COLBERT / "report.md").read_text()

    page = MarkdownIt("commonmark").enable("table").render(text)

    assert text.startswith(f"# Report card of {COLBERT}\n\n**Pick ")
    assert f"| nDCG@10 x 100, task | {100 * card.original.scores.ndcg:.2f} |" in text
    assert "| best documents that are the original's, % | 100.00 | 100.00 |" in text
    assert f"`embed-onnx report {COLBERT} --beir task`" in text
    assert "filled up to 16 |" in text
    assert 3 == page.count("<table>")
    assert 1 == page.count("<svg ") == page.count("</svg>")


def test_no_text_of_users_is_in_the_report(workshop: Path, datasets_folder: Path) -> None:
    task = datasets.read_retrieval(datasets_folder / "task")
    for name in ("report.md", "report.json"):
        written = (workshop / "artifacts" / COLBERT / name).read_text()

        assert str(datasets_folder) not in written
        assert [] == [text for text in (*task.documents, *task.queries) if text in written]


def test_advice_is_by_what_is_lost(card: TokenCard) -> None:
    scored = replace(card.original.scores, ndcg=0.9)
    original = replace(card.original, scores=scored)
    fast = replace(original.speed, median=2 * original.speed.median)
    lost = replace(original, scores=replace(scored, ndcg=0.89), speed=fast, megabytes=1)
    both = replace(card, original=original, artifacts={"float32": original, "int8": lost})
    alone = replace(both, precision="float32", artifacts={"float32": original}, refused="too far")

    assert token_text.advice(both).startswith("**Pick float32.** int8 loses too much: nDCG@10 1.00 points")
    assert "**Keep float32.** int8 could not be made: too far." == token_text.advice(alone)


@pytest.mark.parametrize("option", ["sts", "pairs", "first_stage"])
def test_datasets_of_another_kind_are_refused(workshop: Path, option: str) -> None:
    pairs = datasets.Pairs("a.csv", ["a", "b"], ["c", "d"], [0, 1])
    data = Datasets(**{option: "small" if option == "first_stage" else pairs})

    with pytest.raises(DatasetError, match=f"and {COLBERT} is one, .* measure it with --beir"):
        data.check(manifest.read(workshop / "artifacts" / COLBERT))
