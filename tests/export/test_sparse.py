"""Sparse models: recognised, read, exported, and compared with SparseEncoder.encode."""

import asyncio
import json
import shutil
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_models
from harness import WITHOUT_PYTORCH
from harness import run as run_command
from sentence_transformers import SparseEncoder
from stacks import edit

from embed_onnx import Model
from embed_onnx.artifact import manifest, outputs
from embed_onnx.artifact.manifest import HEAD, Manifest, Overrides
from embed_onnx.artifact.models_txt import Entry
from embed_onnx.artifact.outputs import Sparse
from embed_onnx.errors import InvalidRequest, TaskNotSupported
from embed_onnx.models import sparse
from embed_onnx.models.options import Options
from embed_onnx_export import run, sparse_parity
from embed_onnx_export.errors import ExportError

FAMILIES: dict[str, dict[str, Any]] = {
    **{name: {} for name in small_models.ARCHITECTURES},
    "electra": {"embedding_size": small_models.WIDTH, "max_position_embeddings": small_models.MAX_TOKENS},
    "modernbert": {"vocab_size": 300},
}
POOLINGS = [(pooling, activation) for pooling in ("max", "sum") for activation in ("relu", "log1p_relu")]
TEXTS = ["a small model reads a few words", "numbers such as 12 and 345", "commas, and dots."]


def export(folder: Path, **options: Any) -> Manifest:
    """The manifest of a folder's artifact, beside it."""
    entry = Entry(name=folder.name, repo=folder.name, folder=folder, **options)
    (exported,) = run.export_all([entry], folder.parent / "artifacts", force=True)
    return exported.manifest


def refusal(folder: Path, **options: Any) -> str:
    with pytest.raises(ExportError) as refused:
        export(folder, **options)
    return str(refused.value)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sparse")
    small_models.save_sparse(folder / "splade")
    small_models.save_sparse(folder / "plain", "distilbert", plain=True)
    return folder


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("architecture", FAMILIES)
def test_a_family_weighs_as_its_original_does(tmp_path: Path, architecture: str, precision: str) -> None:
    changes = {name: value for name, value in FAMILIES[architecture].items() if name != "vocab_size"}
    folder = small_models.save_sparse(tmp_path / architecture, architecture, **changes)

    described = export(folder, precision=precision)

    parity = described.sparse_parity
    assert parity is not None
    assert parity.texts > 100
    assert parity.cosine_mean >= sparse_parity.FLOORS[precision].mean
    assert "native" == described.exporter
    assert (described.sparse.pooling, described.sparse.activation) == ("max", "relu")
    assert HEAD in described.sha256


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize(("pooling", "activation"), POOLINGS)
def test_every_pooling(tmp_path: Path, pooling: str, activation: str, precision: str) -> None:
    """Its vectors, with a prompt and without, are those of the original."""
    folder = small_models.save_sparse(tmp_path / "splade", pooling=pooling, activation=activation)
    original = SparseEncoder(str(folder), device="cpu")

    described = export(folder, precision=precision)

    assert (pooling, activation) == (described.sparse.pooling, described.sparse.activation)
    with Model.load(folder.parent / "artifacts" / "splade", threads=1) as model:
        for name in (None, "query"):
            rows = model.encode_sparse(TEXTS, prompt_name=name)
            expected = original.encode(TEXTS, prompt_name=name, convert_to_sparse_tensor=False).numpy()
            actual = np.array([sparse_parity.dense(row, rows.shape[1]) for row in rows])
            assert expected.shape == rows.shape == actual.shape
            if precision == "float32":
                np.testing.assert_allclose(actual, expected, atol=1e-3)
            else:
                np.testing.assert_allclose(actual, expected, atol=0.05 * expected.max())


def test_a_plain_masked_language_model_is_one_if_its_line_says_so(saved: Path) -> None:
    described = export(saved / "plain", overrides=Overrides(task="sparse"))

    entries = json.loads((saved / "plain" / "config.json").read_text())["vocab_size"]
    assert Sparse(entries=entries, pooling="max", activation="relu") == described.sparse
    assert isinstance(export(saved / "plain").output, outputs.Dense)


def test_options_of_a_line(saved: Path) -> None:
    overrides = Overrides(max_tokens=9, prompts={"title": "title: "}, default_prompt="title")

    described = export(saved / "splade", overrides=overrides)

    assert (9, "title", "title: ") == (
        described.max_tokens,
        described.default_prompt,
        described.prompts["title"],
    )


@pytest.mark.parametrize("kind", ["plain", "router"])
def test_a_limit_where_no_modules_list_the_transformer(saved: Path, tmp_path: Path, kind: str) -> None:
    """Of a plain model of transformers, and of a Router's documents."""
    folder = saved / "plain" if kind == "plain" else small_models.save_router(tmp_path / "router")

    assert 9 == export(folder, overrides=Overrides(task="sparse", max_tokens=9)).max_tokens


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"overrides": Overrides(task="embed")}, "task=embed: splade is a SparseEncoder"),
        ({"overrides": Overrides(dimensions=9)}, "takes neither dimensions= nor pooling=; take them away"),
        (
            {"overrides": Overrides(pooling=("cls",))},
            "takes neither dimensions= nor pooling=; take them away",
        ),
        ({"exporter": "torch"}, "a sparse model, which the exporter torch cannot write; take exporter= away"),
    ],
)
def test_options_without_a_meaning(saved: Path, options: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(saved / "splade", **options)


@pytest.mark.parametrize("prompts", [{}, small_models.PROMPTS], ids=["plain", "prompts"])
def test_queries_that_take_no_inference(tmp_path: Path, prompts: dict[str, str]) -> None:
    """They are those of the table, to the bit; documents are those of the transformer."""
    folder = small_models.save_router(tmp_path / "router", prompts=prompts)
    original = SparseEncoder(str(folder), device="cpu")
    long = "numbers such as 12 and 345 " * 40
    texts = [*TEXTS, "12 12 12, 12", long]

    described = export(folder, precision="float32")

    assert described.sparse.query_tokens is not None
    with Model.load(folder.parent / "artifacts" / "router", threads=1) as model:
        queries = model.encode_sparse(texts, prompt_name="query")
        documents = model.encode_sparse(texts)
    words = original.encode_query(texts, convert_to_sparse_tensor=False).numpy()
    actual = np.array([sparse_parity.dense(row, queries.shape[1]) for row in queries])
    np.testing.assert_array_equal(words, actual[:, : words.shape[1]])
    expected = original.encode_document(texts, prompt="", convert_to_sparse_tensor=False).numpy()
    actual = np.array([sparse_parity.dense(row, documents.shape[1]) for row in documents])
    np.testing.assert_allclose(actual, expected, atol=1e-3)


def test_the_tokens_of_queries_are_those_that_the_table_weighs(tmp_path: Path) -> None:
    """Without special tokens, in each form of /tokenize; documents have theirs."""
    folder = small_models.save_router(tmp_path / "router")
    export(folder, precision="float32")
    words = ["a", "small", "model"]
    with Model.load(tmp_path / "artifacts" / "router", threads=1) as model:
        for options, expected in (
            (Options(prompt_name="query"), words),
            (Options(input_type="search_query"), words),
            (Options(), ["[CLS]", *words, "[SEP]"]),
        ):
            ((tokens, entries),) = asyncio.run(model.show_tokens(["a small model"], options))
            (pieces,) = asyncio.run(model.show_pieces(["a small model"], options))

            assert expected == entries == [piece.text for piece in pieces]
            assert len(expected) == tokens.num_tokens
            assert [tokens] == model.tokenize(["a small model"], options)
            assert tokens.num_tokens == model.embed_sparse_now(["a small model"], options).num_tokens


class Watched(list[Any]):
    """A list that notes the threads that go through it."""

    def __init__(self, items: Iterable[Any]) -> None:
        super().__init__(items)
        self.threads: list[str] = []

    def __iter__(self) -> Iterator[Any]:
        self.threads.append(threading.current_thread().name)
        return super().__iter__()


def test_many_weights_are_not_the_event_loops_work(tmp_path: Path) -> None:
    """Queries by a table, their greatest weights and their terms; of a few, the way would take longer."""
    folder = small_models.save_router(tmp_path / "router")
    export(folder, precision="float32")
    main = threading.current_thread().name
    query = Options(prompt_name="query")
    with Model.load(tmp_path / "artifacts" / "router", threads=1) as model:
        for count, quick in ((2, True), (400, False)):
            texts = Watched(["a small model"] * count)
            vectors = Watched(asyncio.run(model.embed_sparse(texts, query)).vectors)
            terms = asyncio.run(model.terms_async(vectors))
            kept = asyncio.run(sparse.greatest_async(vectors, 1))

            assert quick == all(name == main for name in (*texts.threads, *vectors.threads))
            assert (2 if not quick else 0) == sum(name.startswith("tokenize") for name in vectors.threads)
            assert [model.terms(vector.indices.tolist()) for vector in vectors] == terms
            assert [1] * count == [len(vector.indices) for vector in kept]


def test_a_table_of_words_in_json(tmp_path: Path) -> None:
    folder = small_models.save_router(tmp_path / "router")
    static = folder / "query_0_SparseStaticEmbedding"
    (static / "model.safetensors").unlink()
    (static / "config.json").write_text(json.dumps({"frozen": False, "path": "idf.json"}))
    (static / "idf.json").write_text(json.dumps({"small": 2.5, "no-word-of-it": 3.0}))
    words = run_command("export", f"{folder} name=words", cwd=tmp_path, environment=WITHOUT_PYTORCH)

    assert 0 == words.returncode, words.stderr
    with Model.load(tmp_path / "artifacts" / "words", threads=1) as model:
        (row,) = model.encode_sparse("a small model", prompt_name="query")
        assert (["small"], [2.5]) == (model.terms(row.indices.tolist()), row.weights.tolist())


def test_other_routers(tmp_path: Path) -> None:
    folder = small_models.save_router(tmp_path / "router", default_route="query")
    assert "with document as its default route" in refusal(folder)

    router = json.loads((folder / "router_config.json").read_text())
    router["parameters"]["default_route"] = "document"
    router["structure"]["query"] = router["structure"]["document"]
    (folder / "router_config.json").write_text(json.dumps(router))
    assert "has a Router of query: Transformer, SpladePooling; document: Transformer" in refusal(folder)


def test_an_encoder_without_scores_of_words(tmp_path: Path) -> None:
    folder = tmp_path / "encoder"
    small_models.save(folder)

    sentence = refusal(tmp_path / "encoder-transformer", overrides=Overrides(task="sparse"))

    assert (
        "it has no cls.predictions.transform.dense.weight, so it was not saved as a masked language model"
        in sentence
    )


def test_another_architecture(tmp_path: Path) -> None:
    folder = small_models.save_sparse(tmp_path / "albert", "albert", plain=True)

    sentence = refusal(folder, overrides=Overrides(task="sparse"))

    assert "albert cannot be exported as a sparse model: albert is not of the BERT family" in sentence


def test_other_modules_are_named(saved: Path, tmp_path: Path) -> None:
    folder = small_models.save_sparse(tmp_path / "splade")
    listed = json.loads((folder / "modules.json").read_text())
    listed.append({"idx": 2, "name": "2", "path": "", "type": "sentence_transformers.models.Normalize"})
    (folder / "modules.json").write_text(json.dumps(listed))

    assert "splade is a SparseEncoder of Transformer, SpladePooling, Normalize; served is a" in refusal(
        folder
    )


def test_a_pooling_of_a_later_version(tmp_path: Path) -> None:
    folder = small_models.save_sparse(tmp_path / "splade")
    edit(folder / "1_SpladePooling" / "config.json", pooling_strategy="median")

    assert "Invalid enum value 'median'" in refusal(folder)


def test_without_pytorch(saved: Path, tmp_path: Path) -> None:
    """Int8 is compared with the float32 artifact, which says so; what no comparison could find is refused."""
    unknown = Path(shutil.copytree(saved / "splade", tmp_path / "unknown"))
    edit(unknown / "config.json", window=8)
    (tmp_path / "models.txt").write_text(f'"{saved / "splade"}"\n"{unknown}"\n')

    done = run_command("export", cwd=tmp_path, environment=WITHOUT_PYTORCH)

    assert "its config.json has window, of which it is not known what it changes" in done.stderr
    assert "where PyTorch is installed, models with other fields" in done.stderr
    assert not (tmp_path / "artifacts" / "unknown").exists()
    described = manifest.read(tmp_path / "artifacts" / "splade")
    assert "float32 graph" == described.reference


def test_equal_texts_are_computed_once(saved: Path) -> None:
    """Vectors of texts that repeat, empty ones among them, are those of each alone."""
    export(saved / "splade")
    inputs = [TEXTS[0], TEXTS[1], TEXTS[0], "", TEXTS[1]]
    with Model.load(saved / "artifacts" / "splade") as model:
        together = model.embed_sparse_now(inputs, Options(zeros=True))
        in_turn = asyncio.run(model.embed_sparse(inputs, Options(zeros=True)))
        alone = [model.embed_sparse_now([text], Options(zeros=True)) for text in inputs]
    for vectors in (together.vectors, in_turn.vectors):
        for vector, other in zip(vectors, alone, strict=True):
            assert np.array_equal(other.vectors[0].indices, vector.indices)
            assert np.array_equal(other.vectors[0].weights, vector.weights)
    assert together.num_tokens == sum(each.num_tokens for each in alone)


def test_it_makes_no_means_of_windows(saved: Path) -> None:
    export(saved / "splade")
    with (
        Model.load(saved / "artifacts" / "splade") as model,
        pytest.raises(InvalidRequest, match="does not make one dense vector of a text"),
    ):
        model.embed_sparse_now(["a short text"], Options(long_texts="mean"))


def test_it_makes_no_dense_vectors(saved: Path) -> None:
    export(saved / "splade")

    with Model.load(saved / "artifacts" / "splade", threads=1) as model:
        with pytest.raises(
            TaskNotSupported, match="makes sparse vectors; name another model, one that makes"
        ):
            model.encode(["text"])
        with pytest.raises(TaskNotSupported, match="is a model for embed_sparse and does not rerank"):
            model.rank("query", ["text"])
