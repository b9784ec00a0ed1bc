"""The report card: its scores, the files that it reads, and a real report of a small model."""

import re
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
import small_models
from harness import run
from markdown_it import MarkdownIt
from msgspec.structs import replace
from scipy import stats
from sentence_transformers import SentenceTransformer
from sklearn.metrics import ndcg_score

from embed_onnx import Model
from embed_onnx.artifact import manifest
from embed_onnx.artifact.models_txt import Entry
from embed_onnx.engine.vectors import normalize
from embed_onnx_export import artifact
from embed_onnx_export.checkpoint import sources
from embed_onnx_export.graph import int8
from embed_onnx_export.report import (
    card,
    datasets,
    environment,
    report,
    report_text,
    scores,
    texts,
)
from embed_onnx_export.report.card import Card
from embed_onnx_export.report.datasets import Datasets
from embed_onnx_export.run import export_all


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory, datasets_folder: Path) -> Path:
    """A model with prompts, exported and reported on by one command."""
    folder = tmp_path_factory.mktemp("workshop")
    small_models.save(folder / "checkpoint", default_prompt="document")
    (folder / "models.txt").write_text("./checkpoint  name=team/tiny  alias=tiny\n")
    done = run("export", "--report", *flags(datasets_folder), cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "artifacts/team/tiny/report.md" in done.stdout
    for stage in ("embedding, original", "embedding, float32", "embedding, int8", "timing", "done"):
        assert f"team/tiny: report: {stage}\n" in done.stderr
    return folder


def flags(datasets_folder: Path) -> list[str]:
    return ["--sts", str(datasets_folder / "pairs.csv"), "--beir", str(datasets_folder / "task")]


@pytest.fixture(scope="module")
def int8_card(workshop: Path) -> Card:
    return msgspec.json.decode((workshop / "artifacts/team/tiny/report.json").read_bytes(), type=Card)


# A real report
def test_the_original_scores_as_sentence_transformers_does(
    workshop: Path, datasets_folder: Path, int8_card: Card
) -> None:
    """With the prompts of encode, encode_query and encode_document, and other people's formulas."""
    model = SentenceTransformer(str(workshop / "checkpoint"), device="cpu")
    pairs = datasets.read_pairs(datasets_folder / "pairs.csv")
    task = datasets.read_retrieval(datasets_folder / "task")

    remaining, right = model.encode(pairs.first), model.encode(pairs.second)
    similar = model.encode_query(task.queries) @ model.encode_document(task.documents).T
    relevance = np.array([[gain.get(place, 0) for place in range(60)] for gain in task.gains])

    full = int8_card.original.scores[0]
    assert full.spearman == pytest.approx(
        stats.spearmanr((remaining * right).sum(axis=1), pairs.scores).statistic
    )
    assert full.ndcg == pytest.approx(ndcg_score(relevance, similar, k=10))
    assert (32, 1.0) == (full.dimensions, full.neighbours)
    assert [32, 16, 8] == [row.dimensions for row in int8_card.original.scores]


def test_artifacts_are_scored_as_they_are_served(
    workshop: Path, datasets_folder: Path, int8_card: Card
) -> None:
    """The int8 row has the vectors that the artifact gives with those prompts, cut and normalised."""
    task = datasets.read_retrieval(datasets_folder / "task")
    with Model.load(workshop / "artifacts/team/tiny") as model:
        queries = model.encode(task.queries, prompt_name="query", dimensions=16)
        documents = model.encode(task.documents, prompt_name="document", dimensions=16)
        runs_on = model.kernels.runs_on

    ranked = np.argsort(-queries @ documents.T, axis=1)[:, :10]

    row = int8_card.artifacts["int8"]
    assert row.scores[1].recall == pytest.approx(scores.recall(ranked, task.gains))
    assert runs_on == row.runs_on
    assert row.megabytes * 1e6 == (workshop / "artifacts/team/tiny/model.onnx").stat().st_size


def test_types_of_numbers_are_scored_as_they_are_served(
    workshop: Path, datasets_folder: Path, int8_card: Card
) -> None:
    """Of this artifact: int8 in its own ranges, bits by their Hamming distance."""
    task = datasets.read_retrieval(datasets_folder / "task")
    rows = {row.dtype: row for row in int8_card.types}
    recalls = {}
    with Model.load(workshop / "artifacts/team/tiny") as model:
        for dtype in rows:
            ranges = model.ranges() if dtype in ("int8", "uint8") else None
            queries, documents = (
                model.encode(texts, prompt_name=prompt, dtype=dtype, ranges=ranges)
                for texts, prompt in ((task.queries, "query"), (task.documents, "document"))
            )
            if dtype == "ubinary":
                distances = np.unpackbits(queries[:, None] ^ documents[None], axis=2).sum(axis=2)
            else:
                first, second = (normalize(stored.astype(np.float32)) for stored in (queries, documents))
                distances = -first @ second.T
            ranked = np.argsort(distances, axis=1, kind="stable")[:, :10]
            recalls[dtype] = scores.recall(ranked, task.gains)

    assert ["float32", "float16", "int8", "uint8", "ubinary"] == list(rows)
    assert [128, 64, 32, 32, 4] == [row.bytes for row in rows.values()]
    assert recalls == pytest.approx({dtype: row.scores.recall for dtype, row in rows.items()})
    assert int8_card.artifacts["int8"].scores[0] == rows["float32"].scores
    assert rows["ubinary"].scores.neighbours < rows["int8"].scores.neighbours


def test_an_artifact_without_ranges(int8_card: Card) -> None:
    """One of an older version: what it can be sent as, and the way out."""
    others = [row for row in int8_card.types if row.dtype not in ("int8", "uint8")]

    text = report_text.markdown(replace(int8_card, types=others))

    assert "This artifact has no ranges for int8 and uint8: export it again." in text
    assert "| binary and ubinary, by Hamming distance | 4 |" in text


def test_both_precisions_are_side_by_side(int8_card: Card) -> None:
    """float32 is the original; int8 is near it; each has a speed and a size."""
    assert ("int8", None, {"float32", "int8"}) == (
        int8_card.precision,
        int8_card.refused,
        set(int8_card.artifacts),
    )
    assert int8_card.artifacts["float32"].parity.cosine_min >= 0.99999
    assert (
        0.99
        < int8_card.artifacts["int8"].parity.cosine_min
        < int8_card.artifacts["float32"].parity.cosine_min
    )
    for row in (int8_card.original, *int8_card.artifacts.values()):
        assert 0 < row.speed.least <= row.speed.median <= row.speed.most
        assert row.megabytes > 0
        assert int8_card.measured.parity == len(row.cosines)
        assert row.parity.short is not None
        assert len(row.cosines) == row.parity.texts + row.parity.short.texts
        assert min(row.cosines) == min(row.parity.cosine_min, row.parity.short.cosine_min)
    assert re.fullmatch(r"PyTorch, (sdpa|eager), batches of (8|32)", int8_card.original.runs_on)
    assert ["Transformer (BertModel)", "Pooling (mean)", "Normalize"] == int8_card.model.modules
    assert ("pairs.csv", 40, "task", 60) == (
        int8_card.measured.pairs,
        int8_card.measured.num_pairs,
        int8_card.measured.retrieval,
        int8_card.measured.num_documents,
    )


def test_the_report_is_no_part_of_the_artifact(workshop: Path) -> None:
    """It is there beside it; the artifact is whole, up to date, and not reported on twice."""
    folder = workshop / "artifacts/team/tiny"
    written = (folder / "report.md").stat().st_mtime_ns
    manifest.verify(manifest.read(folder), folder)

    again = run("export", "--report", cwd=workshop)

    assert "up to date" in again.stdout
    assert "report" not in again.stdout
    assert written == (folder / "report.md").stat().st_mtime_ns
    assert not {"report.md", "report.json"} & set(manifest.read(folder).sha256)


def test_a_new_artifact_has_no_old_report(workshop: Path, tmp_path: Path) -> None:
    """What replaces an artifact drops its report; --report then writes one for what is up to date."""
    shutil.copytree(workshop / "checkpoint", tmp_path / "checkpoint")
    shutil.copytree(workshop / "artifacts", tmp_path / "artifacts")
    entry = Entry(name="team/tiny", repo="checkpoint", folder=tmp_path / "checkpoint")

    export_all([entry], tmp_path / "artifacts", force=True)
    folder = tmp_path / "artifacts/team/tiny"

    assert {"model.onnx", "tokenizer.json", "ranges.json", "manifest.json"} == {
        path.name for path in folder.iterdir()
    }
    assert not card.exists(folder)


def test_a_report_where_int8_is_refused(
    workshop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be measured is named with its reason; neighbours are of our own sentences."""
    entry = Entry(name="only", repo="checkpoint", folder=workshop / "checkpoint", precision="float32")
    export_all([entry], tmp_path, force=False)
    monkeypatch.setattr(int8, "LARGEST", 1)

    path = report.write(entry, tmp_path, Datasets())

    written = msgspec.json.decode((tmp_path / "only/report.json").read_bytes(), type=Card)
    assert {"float32"} == set(written.artifacts)
    assert "only as int8 is too far from the original" in written.refused
    assert "**Keep float32.** int8 could not be made: only as int8 is too far" in path.read_text()
    assert "these and others made up" == written.measured.neighbours
    assert written.artifacts["float32"].scores[0].neighbours > 0.99
    assert artifact.up_to_date(entry, sources.find(entry), tmp_path / "only") is not None
    assert {path.name for path in (tmp_path / "only").iterdir()} == {
        *("manifest.json", "model.onnx", "ranges.json", "tokenizer.json"),
        *("report.json", "report.md"),
    }


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(["report", "nobody"], "models.txt does not list nobody; it lists absent", id="name"),
        pytest.param(["report", "absent"], "run `embed-onnx export absent` first", id="no-artifact"),
        pytest.param(
            ["report", "absent", "--sts", "no.csv"], "no.csv cannot be read: No such file", id="file"
        ),
        pytest.param(["export", "--sts", "no.csv"], "add --report", id="export-without-report"),
        pytest.param(["export", "--report", "--beir", "no"], "no/corpus.jsonl cannot be read", id="folder"),
    ],
)
def test_a_mistake_is_one_sentence(
    workshop: Path, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    """Before anything is exported or measured."""
    (tmp_path / "models.txt").write_text(f"{workshop / 'checkpoint'}  name=absent\n")

    done = run(*arguments, cwd=tmp_path)

    assert (1, False) == (done.returncode, (tmp_path / "artifacts").exists())
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


# What people read
def test_the_report_begins_with_what_to_pick(workshop: Path, int8_card: Card) -> None:
    """Advice, then a table of a column an engine; it becomes HTML with tables and the drawing."""
    text = (workshop / "artifacts/team/tiny/report.md").read_text()

    page = MarkdownIt("commonmark").enable("table").render(text)

    assert text.startswith("# Report card of team/tiny\n\n**Pick ")
    assert "|  | original in PyTorch | float32 | int8, this artifact |" in text
    assert f"| Spearman x 100, pairs.csv | {100 * int8_card.original.scores[0].spearman:.2f} |" in text
    assert "| int8, in the artifact's ranges | 32 |" in text
    assert 4 == page.count("<table>")
    assert 1 == page.count("<svg ") == page.count("</svg>")
    assert "&lt;" not in page.split("<svg")[1].split("</svg>")[0]
    assert "`embed-onnx report team/tiny --sts pairs.csv --beir task`" in text


def test_no_text_of_users_is_in_the_report(workshop: Path, datasets_folder: Path) -> None:
    """Neither theirs nor the paths of their files."""
    pairs, task = (
        datasets.read_pairs(datasets_folder / "pairs.csv"),
        datasets.read_retrieval(datasets_folder / "task"),
    )
    for name in ("report.md", "report.json"):
        written = (workshop / "artifacts/team/tiny" / name).read_text()

        assert str(datasets_folder) not in written
        assert [] == [text for text in (*pairs.second, *task.documents, *task.queries) if text in written]


def test_names_are_never_markup(int8_card: Card) -> None:
    """What looks like Markdown or HTML in a model's card and prompts is shown as it is."""
    awkward = "<script>alert(1)</script> | `a` *b* [c](d) \n&amp;"
    model = replace(
        int8_card.model, name=awkward, license=awkward, prompts={awkward: awkward}, default_prompt=awkward
    )

    page = (
        MarkdownIt("commonmark").enable("table").render(report_text.markdown(replace(int8_card, model=model)))
    )

    assert "<script" not in page.replace("&lt;script", "")
    assert "<em>" not in page
    assert "href" not in page
    assert (
        "<td>&lt;script&gt;alert(1)&lt;/script&gt; | `a` *b* [c](d) \N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}"
        in page
    )


def rows(
    int8_card: Card, *, faster: float, points: float | None, neighbours: float = 0.95, load: float = 0
) -> Card:
    """The card with other figures: how many times as fast int8 is, how many points it loses."""
    expected = replace(int8_card.original.scores[0], ndcg=None, spearman=None if points is None else 0.8)
    lost = replace(expected, neighbours=neighbours, spearman=None if points is None else 0.8 - points / 100)
    speed = int8_card.original.speed
    original = replace(int8_card.original, scores=[expected])
    artifacts = {
        "float32": replace(original, speed=speed),
        "int8": replace(
            original, scores=[lost], speed=replace(speed, median=faster * speed.median), megabytes=1
        ),
    }
    measured = replace(
        int8_card.measured, load=load, pairs=None if points is None else "a.csv", retrieval=None
    )
    return replace(int8_card, original=original, artifacts=artifacts, measured=measured)


@pytest.mark.parametrize(
    ("figures", "sentences"),
    [
        pytest.param(
            {"faster": 2, "points": 0.03},
            [
                "**Pick int8.**",
                "2.0 times as fast as float32",
                "Spearman 0.03 points lower",
                "This artifact is int8.",
            ],
            id="nearly-as-good",
        ),
        pytest.param(
            {"faster": 2, "points": 0.6},
            ["**Pick float32.** int8 loses too much: Spearman 0.60 points lower", "set `precision=float32`"],
            id="too-much-lost",
        ),
        pytest.param(
            {"faster": 1, "points": -0.1},
            ["**Pick float32.**", "Pick int8 where memory is short", "Spearman 0.10 points higher"],
            id="no-faster",
        ),
        pytest.param(
            {"faster": 2, "points": None}, ["**Pick int8.**", "`--sts` and `--beir`"], id="own-texts"
        ),
        pytest.param(
            {"faster": 2, "points": None, "neighbours": 0.85},
            ["**Pick float32.**", "8.5 of the ten nearest neighbours are the original's"],
            id="other-neighbours",
        ),
        pytest.param(
            {"faster": 2, "points": 0, "load": 5e3}, ["**The machine was busy** (load 5000.0"], id="busy"
        ),
    ],
)
def test_advice(int8_card: Card, figures: dict[str, float], sentences: list[str]) -> None:
    text = report_text.markdown(rows(int8_card, **figures))

    assert [] == [sentence for sentence in sentences if sentence not in text]


# Texts of our own, and the machine
def test_own_texts_are_the_same_at_every_run() -> None:
    """Different sentences, and texts of one to many of them."""
    lengths = [len(text.split()) for text in texts.mixed(200)]

    assert texts.sentences(300) == texts.sentences(300)
    assert 300 == len(set(texts.sentences(300)))
    assert texts.mixed(50) == texts.mixed(50)
    assert min(lengths) < 15
    assert max(lengths) > 80


def test_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first processor's name, and those of its flags that matter here."""
    info = "model name\t: First\nflags\t\t: fpu avx2 avx512_vnni\n\nmodel name\t: Second\nflags\t\t: fpu\n"
    (tmp_path / "cpuinfo").write_text(info)
    monkeypatch.setattr(environment, "CPU_INFO", tmp_path / "cpuinfo")
    here = environment.describe()
    monkeypatch.setattr(environment, "CPU_INFO", tmp_path / "none")

    assert ("First", ["avx2", "avx512_vnni"]) == (here.cpu, here.instructions)
    assert here.cores >= 1
    assert [] == environment.describe().instructions
    assert np.__version__ == environment.versions()["numpy"]
