"""Options of a line of models.txt that stand in place of what the checkpoint says."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_models
import stacks
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
from small_models import WIDTH

from embed_onnx import Model
from embed_onnx.artifact import manifest
from embed_onnx.artifact.manifest import Overrides
from embed_onnx.artifact.models_txt import Entry
from embed_onnx_export import artifact
from embed_onnx_export.checkpoint import sources
from embed_onnx_export.errors import ExportError
from embed_onnx_export.run import export_all

TEXTS = ["a short text", "one that is " + "very " * 40 + "long", "x"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("overrides")


@pytest.fixture(scope="module")
def stack(folder: Path) -> Path:
    """A whole model with prompts of its own."""
    modules = [stacks.transformer(folder / "plain"), Pooling(WIDTH, "mean"), Normalize()]
    return stacks.save(folder / "stack", modules, prompts=small_models.PROMPTS, default_prompt_name="query")


@pytest.fixture(scope="module")
def plain(folder: Path, stack: Path) -> Path:
    return folder / "plain"


def entry(checkpoint: Path, **overrides: Any) -> Entry:
    return Entry(name="m", repo="m", folder=checkpoint, precision="float32", overrides=Overrides(**overrides))


def export(line: Entry, artifacts: Path) -> Path:
    export_all([line], artifacts, force=False)
    return artifacts / line.name


def test_the_artifact_is_the_model_with_those_options(stack: Path, tmp_path: Path) -> None:
    """As sentence-transformers gives it with the same settings; the checkpoint stays as it was."""
    options = {"prompts": {"query": "Q: ", "title": "T\n"}, "default_prompt": "title"}
    line = entry(stack, **options, max_tokens=16, dimensions=8)
    before = {path: path.read_bytes() for path in stack.rglob("*") if path.is_file()}

    target = export(line, tmp_path)

    assert before == {path: path.read_bytes() for path in stack.rglob("*") if path.is_file()}
    described = manifest.read(target)
    assert Overrides(**options, max_tokens=16, dimensions=8) == described.overrides
    assert (16, 8, "title") == (described.max_tokens, described.output.dimensions, described.default_prompt)
    assert small_models.PROMPTS | options["prompts"] == described.prompts
    original = SentenceTransformer(str(stack), device="cpu", local_files_only=True, truncate_dim=8)
    original.max_seq_length = 16
    with Model.load(target, threads=1) as model:
        for name in ("query", "title"):
            expected = original.encode(TEXTS, prompt=options["prompts"][name], batch_size=1)
            actual = model.encode(TEXTS, prompt_name=name, normalize=False)
            cosines = (
                (actual * expected).sum(1) / np.linalg.norm(actual, axis=1) / np.linalg.norm(expected, axis=1)
            )
            assert cosines.min() > 0.99999


def test_a_changed_option_makes_an_artifact_out_of_date(tmp_path: Path) -> None:
    """An export makes it anew, and a server calls it missing; the same options leave it as it is."""
    static = stacks.save(tmp_path / "static", [stacks.static()])
    line = entry(static, dimensions=8)
    target = export(line, tmp_path / "artifacts")
    checkpoint = sources.find(line)
    others = [entry(static), entry(static, dimensions=9), entry(static, dimensions=8, prompts={"a": "b"})]

    described = artifact.up_to_date(line, checkpoint, target)

    assert described is not None
    assert line.matches(described)
    assert [None] * 3 == [artifact.up_to_date(other, checkpoint, target) for other in others]
    assert [False] * 3 == [other.matches(described) for other in others]


@pytest.mark.parametrize("modes", [("cls",), ("max", "mean")])
def test_a_plain_model_with_a_pooling(plain: Path, tmp_path: Path, modes: tuple[str, ...]) -> None:
    target = export(entry(plain, pooling=modes, prompts={"query": "find "}), tmp_path)

    transformer = stacks.transformer(plain)
    original = SentenceTransformer(modules=[transformer, Pooling(WIDTH, modes)], device="cpu")
    with Model.load(target, threads=1) as model:
        actual = model.encode(TEXTS, prompt_name="query")
    expected = original.encode(TEXTS, prompt="find ", batch_size=1)
    assert modes == manifest.read(target).output.pooling
    assert np.allclose(expected, actual, atol=1e-5)


def test_a_plain_model_with_other_options_keeps_its_pooling(plain: Path, tmp_path: Path) -> None:
    described = manifest.read(export(entry(plain, max_tokens=9, prompts={"q": "find "}), tmp_path))

    assert (("mean",), 9, {"q": "find "}) == (
        described.output.pooling,
        described.max_tokens,
        {name: text for name, text in described.prompts.items() if text},
    )


def test_a_limit_of_a_table_of_embeddings(tmp_path: Path) -> None:
    checkpoint = stacks.save(tmp_path / "static", [stacks.static()])

    target = export(entry(checkpoint, max_tokens=4), tmp_path / "artifacts")

    with Model.load(target, threads=1) as model:
        assert 4 == model.manifest.max_tokens
        long, cut = model.encode([" ".join("abcdefgh"), " ".join("abcd")])
    assert np.array_equal(long, cut)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        pytest.param(
            {"dimensions": 999}, "dimensions=999 is more than stack takes, which is 32;", id="dimensions"
        ),
        pytest.param(
            {"max_tokens": 99_999}, "max_tokens=99999 is more than stack takes, which is ", id="max-tokens"
        ),
        pytest.param(
            {"default_prompt": "title"},
            "default_prompt=title is not a prompt of stack, which has ",
            id="default-prompt",
        ),
        pytest.param(
            {"pooling": ("cls",)},
            "pooling=cls is for plain models of transformers, and stack has a modules.json",
            id="pooling",
        ),
    ],
)
def test_an_option_that_does_not_fit_the_model(
    stack: Path, tmp_path: Path, options: dict[str, Any], sentence: str
) -> None:
    """It is refused by name, and there is no artifact."""
    with pytest.raises(ExportError) as refused:
        export(entry(stack, **options), tmp_path)

    assert sentence in str(refused.value)
    assert not (tmp_path / "m").exists()
