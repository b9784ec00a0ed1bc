"""An exporter by its name, as exporter= in a line and --exporter on the command line."""

from pathlib import Path

import numpy as np
import pytest
import small_models
import stacks
from harness import WITHOUT_PYTORCH, run
from sentence_transformers import SentenceTransformer

from embed_onnx import Model, install
from embed_onnx.artifact import manifest
from embed_onnx.artifact.models_txt import Entry
from embed_onnx_export import artifact
from embed_onnx_export.checkpoint import sources
from embed_onnx_export.errors import ExportError
from embed_onnx_export.run import export_all

TEXTS = ["a short text", "one that is " + "very " * 40 + "long", "x"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that more than one exporter can export, of one layer."""
    return small_models.save(tmp_path_factory.mktemp("options") / "bert", num_hidden_layers=1)


def entry(folder: Path, **fields: object) -> Entry:
    return Entry(**{"name": folder.name, "repo": folder.name, "folder": folder, **fields})


def refusal(line: Entry, artifacts: Path) -> str:
    with pytest.raises(ExportError) as refused:
        export_all([line], artifacts, force=False)
    assert not (artifacts / line.name).exists()
    return str(refused.value)


def test_the_exporter_of_a_line_writes_the_graph(bert: Path, tmp_path: Path) -> None:
    """Not the first that can; int8 is made of its graph, and the manifest says so."""
    line = entry(bert, exporter="torch")

    export_all([line], tmp_path, force=False)

    described = manifest.read(tmp_path / "bert")
    assert ("torch", False) == (described.exporter, described.packed)
    assert "its graph is that of the exporter torch" == described.quantization.no_kernel
    expected = SentenceTransformer(str(bert), device="cpu").encode(TEXTS, show_progress_bar=False)
    with Model.load(tmp_path / "bert", threads=1) as model:
        assert 0.999 < (model.encode(TEXTS) * expected).sum(axis=1).min()


def test_an_artifact_of_another_exporter_is_out_of_date(bert: Path, tmp_path: Path) -> None:
    """That is so of a line with an exporter; a line without one takes any."""
    line = entry(bert, precision="float32", exporter="native")
    export_all([line], tmp_path, force=False)
    checkpoint = sources.find(line)

    present = {
        name: artifact.up_to_date(
            entry(bert, precision="float32", exporter=name), checkpoint, tmp_path / "bert"
        )
        for name in ("native", None, "torch")
    }

    assert "native" == present["native"].exporter
    assert present["native"] == present[None]
    assert present["torch"] is None


def test_the_command_line_chooses_for_lines_without_one(tmp_path: Path) -> None:
    stacks.save(tmp_path / "table", [stacks.static()])
    (tmp_path / "models.txt").write_text("./table name=one\n./table name=two exporter=native\n")

    done = run("export", "--exporter", "torch", cwd=tmp_path, environment=WITHOUT_PYTORCH)

    assert 1 == done.returncode
    sentence = " ".join(done.stderr.split())
    assert "1 of 2 models were not exported, the others are: one: the exporter torch needs torch" in sentence
    assert "native" == manifest.read(tmp_path / "artifacts" / "two").exporter


def test_a_table_of_embeddings_is_for_native(tmp_path: Path) -> None:
    folder = stacks.save(tmp_path / "table", [stacks.static()])

    sentence = refusal(entry(folder, exporter="torch"), tmp_path / "artifacts")

    assert "table is a table of embeddings, which the exporter torch cannot write; choose the" in sentence


def test_an_exporter_that_is_none_is_refused(tmp_path: Path) -> None:
    done = run("export", "--exporter", "onnx", "o/m", cwd=tmp_path)

    assert 1 == done.returncode
    assert all(name in done.stderr for name in ("native", "torch", "optimum"))


def test_native_says_why_it_cannot(tmp_path: Path) -> None:
    folder = small_models.save(tmp_path / "eurobert", "eurobert")

    sentence = refusal(entry(folder, exporter="native"), tmp_path / "artifacts")

    assert (
        "eurobert cannot be exported by the exporter native: eurobert is not of the BERT family; "
        "choose the exporter torch, which takes any architecture" == sentence
    )


def test_optimum_is_not_installed_beside_the_others(bert: Path, tmp_path: Path) -> None:
    sentence = refusal(entry(bert, exporter="optimum"), tmp_path)

    assert "bert cannot be exported: optimum-onnx is not installed" in sentence
    assert (
        f"install {install.requirement('optimum')} in an environment of its own, or choose another"
        in sentence
    )


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("torch", install.requirement("export")),
        ("optimum", f"{install.requirement('optimum')} in an environment of its own"),
    ],
)
def test_without_pytorch_the_sentence_says_what_to_install(
    bert: Path, tmp_path: Path, name: str, extra: str
) -> None:
    done = run("export", f"{bert} exporter={name}", cwd=tmp_path, environment=WITHOUT_PYTORCH)

    assert 1 == done.returncode
    sentence = " ".join(done.stderr.split())
    assert (
        f"the exporter {name} needs torch, transformers, sentence_transformers; install {extra}" in sentence
    )
    assert "or choose the exporter native" in sentence


def test_native_writes_long_float32_without_blocks(tmp_path: Path) -> None:
    """Of its own accord another exporter is taken, whose attention is in blocks."""
    folder = small_models.save(tmp_path / "long", num_hidden_layers=1, max_position_embeddings=520)
    stacks.edit(folder / "sentence_bert_config.json", max_seq_length=520)
    choices = {"named": "native", "first": None}
    lines = [entry(folder, name=name, precision="float32", exporter=one) for name, one in choices.items()]

    export_all(lines, tmp_path, force=False)

    described = [manifest.read(tmp_path / name) for name in choices]
    assert ["native", "torch"] == [one.exporter for one in described]
    assert [True, False] == [bool(one.modules[0].note) for one in described]
    vectors = []
    for name in choices:
        with Model.load(tmp_path / name, threads=1) as model:
            vectors.append(model.encode([" ".join(["a"] * 600)])[0])
    np.testing.assert_allclose(*vectors, atol=1e-5)
