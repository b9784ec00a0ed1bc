"""Report cards of models that score: real reports of a small reranker and a small classifier."""

import shutil
from pathlib import Path

import kept
import msgspec
import numpy as np
import pytest
import sentence_transformers
import torch
from harness import CLASSIFIER, RERANKER, SMALL, run
from markdown_it import MarkdownIt
from msgspec.structs import replace
from scipy import stats
from sklearn.metrics import average_precision_score, ndcg_score

from embed_onnx import Model
from embed_onnx.artifact import manifest
from embed_onnx.artifact.manifest import Manifest
from embed_onnx_export.errors import DatasetError
from embed_onnx_export.report import candidates, datasets, score_text, scores
from embed_onnx_export.report.candidates import Candidates
from embed_onnx_export.report.card import Card
from embed_onnx_export.report.datasets import Datasets, Retrieval
from embed_onnx_export.report.score_card import ScoreCard


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory, datasets_folder: Path) -> Path:
    """An embedder, a reranker and a classifier, reported on by one command with the files of each kind."""
    folder = tmp_path_factory.mktemp("scoring") / "workshop"
    shutil.copytree(kept.scoring(), folder)
    files = {"--sts": "pairs.csv", "--pairs": "scored.csv", "--beir": "task"}
    words = [word for flag, name in files.items() for word in (flag, str(datasets_folder / name))]
    done = run("export", "--report", *words, "--first-stage", SMALL, cwd=folder)
    assert done.returncode == 0, done.stderr
    for name in (SMALL, RERANKER, CLASSIFIER):
        assert f"artifacts/{name}/report.md" in done.stdout
    assert f"{RERANKER}: report: embedding, first stage\n" in done.stderr
    return folder


def read(workshop: Path, name: str) -> ScoreCard:
    raw = (workshop / "artifacts" / name / "report.json").read_bytes()
    return msgspec.json.decode(raw, type=ScoreCard)


@pytest.fixture(scope="module")
def card(workshop: Path) -> ScoreCard:
    return read(workshop, RERANKER)


def test_the_original_scores_as_its_cross_encoder_does(
    workshop: Path, datasets_folder: Path, card: ScoreCard
) -> None:
    """With other people's formulas. All 60 documents are candidates, so every query ranks all of them."""
    model = sentence_transformers.CrossEncoder(str(workshop / "pairs"), device="cpu")
    pairs = datasets.read_pairs(datasets_folder / "scored.csv", datasets.PAIR_COLUMNS)
    task = datasets.read_retrieval(datasets_folder / "task")

    logits = model.predict(
        list(zip(pairs.first, pairs.second, strict=True)), activation_fn=torch.nn.Identity()
    )
    ranked = [(query, document) for query in task.queries for document in task.documents]
    table = model.predict(ranked, activation_fn=torch.nn.Identity()).reshape(len(task.queries), -1)
    relevance = np.array([[gain.get(place, 0) for place in range(60)] for gain in task.gains])

    original = card.original
    assert original.spearman == pytest.approx(stats.spearmanr(logits, pairs.scores).statistic, abs=1e-4)
    assert original.average_precision == pytest.approx(
        average_precision_score(pairs.scores, logits), abs=1e-4
    )
    assert original.ndcg == pytest.approx(ndcg_score(relevance, table, k=10), abs=1e-3)
    assert (0, 0) == (original.score_difference, original.parity.logit_difference)


def test_artifacts_are_ranked_as_they_are_served(
    workshop: Path, datasets_folder: Path, card: ScoreCard
) -> None:
    task = datasets.read_retrieval(datasets_folder / "task")
    with Model.load(workshop / "artifacts" / RERANKER) as model:
        best = [
            [result.index for result in model.rank(query, task.documents, top_n=10)] for query in task.queries
        ]

    row = card.artifacts["int8"]

    assert row.ndcg == pytest.approx(scores.ndcg(np.array(best), task.gains))
    assert 0 < card.artifacts["float32"].score_difference < 1e-3 < row.score_difference < 0.1
    assert card.artifacts["float32"].parity.spearman > 0.999 > row.parity.spearman


def test_the_first_stage_alone(workshop: Path, datasets_folder: Path, card: ScoreCard) -> None:
    """The order of the embedder's own report card, and all documents, as there are fewer than 100."""
    embedder = msgspec.json.decode((workshop / "artifacts" / SMALL / "report.json").read_bytes(), type=Card)

    assert (SMALL, 100, 1.0) == (card.ranking.first_stage, card.ranking.candidates, card.ranking.recall)
    assert card.ranking.ndcg == pytest.approx(embedder.artifacts["int8"].scores[0].ndcg)


def test_a_classifier_keeps_its_labels_and_has_no_ranking(workshop: Path) -> None:
    """Datasets of the other kinds of models are not for it."""
    card = read(workshop, CLASSIFIER)

    assert ["bad", "fair", "good"] == card.model.labels
    assert (None, None, None, None) == (
        card.ranking,
        card.measured.pairs,
        card.original.ndcg,
        card.original.spearman,
    )
    assert 1 == card.original.agreement == card.artifacts["float32"].agreement
    assert card.artifacts["int8"].agreement > 0.9
    text = (workshop / "artifacts" / CLASSIFIER / "report.md").read_text()
    assert "best labels that are the original's, %" in text
    assert "measure it on texts of your own" not in text


def test_the_report_begins_with_what_to_pick(workshop: Path, card: ScoreCard) -> None:
    text = (workshop / "artifacts" / RERANKER / "report.md").read_text()

    page = MarkdownIt("commonmark").enable("table").render(text)

    assert text.startswith(f"# Report card of {RERANKER}\n\n**Pick ")
    assert f"| nDCG@10 x 100, task | {100 * card.original.ndcg:.2f} |" in text
    assert f"| average precision x 100, scored.csv | {100 * card.original.average_precision:.2f} |" in text
    assert f"Ranked are the 100 best of {SMALL}" in text.replace("\\", "")
    assert f"report {RERANKER} --pairs scored.csv --beir task --first-stage {SMALL}`" in text
    assert 2 == page.count("<table>")
    for row in (card.original, *card.artifacts.values()):
        assert 0 < row.speed.least <= row.speed.median <= row.speed.most
    assert (72, 40, 60) == (card.measured.parity, card.measured.num_pairs, card.measured.num_documents)


def test_no_text_of_users_is_in_the_report(workshop: Path, datasets_folder: Path) -> None:
    task = datasets.read_retrieval(datasets_folder / "task")
    for name in ("report.md", "report.json"):
        written = (workshop / "artifacts" / RERANKER / name).read_text()

        assert str(datasets_folder) not in written
        assert [] == [text for text in (*task.documents, *task.queries) if text in written]


def test_advice(card: ScoreCard) -> None:
    """int8 that loses too much is not picked, and precisions that could not be made are named."""
    original = replace(card.original, ndcg=0.9, spearman=None, average_precision=None)
    speed = original.speed
    int8 = replace(original, ndcg=0.896, speed=replace(speed, median=2 * speed.median), megabytes=1)
    both = replace(
        card, original=original, artifacts={"float32": replace(original, megabytes=4), "int8": int8}
    )

    assert score_text.advice(both).startswith("**Pick int8.** On this machine int8 runs 2.0 times as fast")
    assert "nDCG@10 0.40 points lower" in score_text.advice(both)
    lost = replace(both, artifacts={**both.artifacts, "int8": replace(int8, ndcg=0.89)})
    assert score_text.advice(lost).startswith("**Pick float32.** int8 loses too much: nDCG@10 1.00 points")
    alone = replace(both, precision="float32", artifacts={"float32": original}, refused="too far")
    assert "**Keep float32.** int8 could not be made: too far." == score_text.advice(alone)
    unmeasured = replace(both, original=replace(original, ndcg=None))
    assert "`--pairs` and `--beir` measure it on texts of your own." in score_text.advice(unmeasured)


# Which datasets are for which models
def described(workshop: Path, name: str) -> Manifest:
    return manifest.read(workshop / "artifacts" / name)


TASK = Retrieval("task", ["a", "b"], ["q"], [{0: 1.0}], [-1])
PAIRS = datasets.Pairs("a.csv", ["a", "b"], ["c", "d"], [0, 1])


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        (SMALL, Datasets(pairs=PAIRS), "--pairs and --first-stage are for models that score"),
        (SMALL, Datasets(retrieval=TASK, first_stage="x"), "measure it with --sts and --beir"),
        (RERANKER, Datasets(sts=PAIRS), "--sts is for models of vectors, and reranker scores texts"),
        (RERANKER, Datasets(retrieval=TASK), "give both --beir FOLDER and --first-stage NAME"),
        (RERANKER, Datasets(first_stage="x"), "give both --beir FOLDER and --first-stage NAME"),
        (CLASSIFIER, Datasets(pairs=PAIRS), "classifier only classifies; leave them out"),
    ],
)
def test_datasets_of_another_kind_are_refused(
    workshop: Path, name: str, data: Datasets, sentence: str
) -> None:
    model = described(workshop, name)

    with pytest.raises(DatasetError, match=sentence):
        data.check(model)

    data.fitting(model.output).check(model)


def test_the_first_stage_is_an_embedder(workshop: Path, datasets_folder: Path) -> None:
    words = ("report", RERANKER, "--beir", str(datasets_folder / "task"), "--first-stage")

    done = run(*words, CLASSIFIER, cwd=workshop)
    absent = run(*words, "nobody", cwd=workshop)

    assert (1, 1) == (done.returncode, absent.returncode)
    assert "--first-stage classifier scores texts; name the artifact of an embedder" in done.stderr
    assert "nobody holds no manifest.json" in absent.stderr


# Figures by hand
def test_average_precision_is_that_of_scikit_learn() -> None:
    """Equal values stand at one rank, whatever their order."""
    random = np.random.default_rng(5)
    for levels in (3, 1000):
        values = random.integers(0, levels, 200).astype(np.float32)
        labels = random.integers(0, 2, 200).astype(float).tolist()

        expected = average_precision_score(labels, values)

        assert expected == pytest.approx(scores.average_precision(values, labels))
    assert scores.average_precision(values, [0.5] * 200) is None
    assert scores.average_precision(values, [1.0] * 200) is None


def test_candidates_are_ranked_by_their_scores() -> None:
    """Of equal ones the first; a document that the first stage leaves out is never ranked."""
    task = Retrieval("task", ["a", "b", "c"], ["p", "q"], [{2: 1.0}, {0: 1.0}], [-1, 1])
    ranked = Candidates(task, [[0, 1, 2], [2]])

    figures = ranked.ranking("first")

    assert [("p", "a"), ("p", "b"), ("p", "c"), ("q", "c")] == ranked.pairs
    assert (0.25, 0.5) == (figures.ndcg, figures.recall)
    assert 0.5 == ranked.ndcg(np.array([[1], [1], [2], [5]], np.float32))
    assert 0.25 == ranked.ndcg(np.array([[1], [1], [1], [5]], np.float32))


def test_a_query_is_no_candidate_of_itself(workshop: Path) -> None:
    task = Retrieval("task", ["a cat", "a dog", "the sun"], ["a cat"], [{1: 1.0}], [0])

    ranked = candidates.find(task, workshop / "artifacts" / SMALL, lambda _: None)

    assert [{1, 2}] == [set(places) for places in ranked.places]
