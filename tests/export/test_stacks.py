"""Every stack of modules, exported and served as sentence-transformers runs it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import safetensors.numpy
import stacks
import tokenizers
import torch
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding
from small_models import MAX_TOKENS, PROMPTS
from stacks import STATIC_WIDTH
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from embed_onnx import Model
from embed_onnx.artifact import manifest
from embed_onnx.artifact.manifest import Module
from embed_onnx.artifact.models_txt import Entry
from embed_onnx.cli import export
from embed_onnx.errors import InvalidRequest
from embed_onnx.models.options import Options
from embed_onnx_export import parity
from embed_onnx_export.checkpoint import files, modules, sources
from embed_onnx_export.checkpoint.original import load_original
from embed_onnx_export.errors import ExportError
from embed_onnx_export.graph import head_graph
from embed_onnx_export.run import export_all

NAMES = ("modes", "unpooled", "long", "truncated", "lowered", "plain", "static", "static-dense")
INT8 = ("long", "static")
EXPORTS = [(name, "float32") for name in NAMES] + [(name, "int8") for name in INT8]
SLICES = {"modes": 6, "unpooled": 6}
"""Stacks whose vectors have so many parts of equal length, each compared by itself."""


def cosines(one: np.ndarray, other: np.ndarray, parts: int = 1) -> np.ndarray:
    """Of each vector, or each part of it, with its counterpart: [texts, parts]."""
    one, other = (vectors.reshape(len(vectors), parts, -1) for vectors in (one, other))
    norms = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    return np.einsum("tpd,tpd->tp", one, other, dtype=np.float64) / norms


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A checkpoint of each stack, and their artifacts."""
    folder = tmp_path_factory.mktemp("stacks")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads cost small models more than they save
    saved = stacks.save_all(folder)
    entries = [
        Entry(name=f"{name}-{precision}", repo=name, folder=saved[name], precision=precision)
        for name, precision in EXPORTS
    ]
    export_all(entries, folder / "artifacts", force=False)
    yield folder
    torch.set_num_threads(threads)


def checkpoint(workshop: Path, name: str) -> Path:
    return workshop / ("transformer" if name == "plain" else name)


def load(workshop: Path, name: str, precision: str = "float32") -> Model:
    return Model.load(workshop / "artifacts" / f"{name}-{precision}", threads=1)


def original(workshop: Path, name: str) -> SentenceTransformer:
    return SentenceTransformer(str(checkpoint(workshop, name)), device="cpu", local_files_only=True)


@pytest.mark.parametrize("name", NAMES)
def test_a_stack_is_its_original(workshop: Path, name: str) -> None:
    """On every parity sentence: the same vector, as many tokens, the same texts cut."""
    texts, theirs = parity.sentences(), original(workshop, name)
    expected = theirs.encode(texts, show_progress_bar=False)
    prompt = theirs.prompts.get(theirs.default_prompt_name or "", "")
    lengths = [theirs.preprocess([text], prompt=prompt)["input_ids"].numel() for text in texts]

    with load(workshop, name) as model:
        vectors = model.encode(texts)
        counts = [item.num_tokens for item in model.tokenize(texts, Options())]

    assert lengths == counts
    assert cosines(expected, vectors, SLICES.get(name, 1)).min() >= 0.99999
    np.testing.assert_allclose(expected, vectors, rtol=0, atol=2e-4 * np.abs(expected).max())


def test_capitals_do_not_count_where_the_stack_lowers_them(workshop: Path) -> None:
    """By its settings alone: its tokenizer tells them apart."""
    with load(workshop, "lowered") as model:
        one, other = model.encode(["WORDS Of Many KINDS", "words of many kinds"])
        (cut,) = model.tokenize(["words " * 30], Options())

    tokenizer = transformers.AutoTokenizer.from_pretrained(workshop / "cased")
    assert tokenizer("WORDS")["input_ids"] != tokenizer("words")["input_ids"]
    assert np.array_equal(one, other)
    assert 20 == cut.num_tokens


@pytest.mark.parametrize("name", ["unpooled", "static-dense"])
@pytest.mark.parametrize("prompt", [*PROMPTS.values(), "x", "a literal prompt of several words. "])
def test_prompts_are_pooled_or_not_as_the_model_says(workshop: Path, name: str, prompt: str) -> None:
    """Each mode leaves out the prompt's tokens, and no others, where the model does not pool prompts."""
    texts = parity.sentences()[::3]
    expected = original(workshop, name).encode(texts, prompt=prompt, show_progress_bar=False)

    with load(workshop, name) as model:
        vectors = model.encode(texts, prompt=prompt)
        (without,) = model.encode([prompt + texts[0]], prompt="")

    assert cosines(expected, vectors, SLICES.get(name, 1)).min() >= 0.99999
    assert (name == "static-dense") == np.array_equal(without, vectors[0])


def test_a_prompt_that_leaves_nothing_of_a_text_is_refused(workshop: Path) -> None:
    """Every text would have the vector of the special token at the end."""
    prompt = "word " * MAX_TOKENS

    with load(workshop, "unpooled") as model:
        with pytest.raises(
            InvalidRequest, match=r"input\[0\] .* nothing is left to embed; shorten the prompt"
        ):
            model.encode(["a text"], prompt=prompt)
        fits = "a " * (MAX_TOKENS - 3)
        (vector,) = model.encode(["a text"], prompt=fits)

    (expected,) = original(workshop, "unpooled").encode(["a text"], prompt=fits)
    assert cosines(expected[None], vector[None], 6).min() >= 0.99999


@pytest.mark.parametrize(("name", "precision"), EXPORTS)
def test_neighbours_change_nothing(workshop: Path, name: str, precision: str) -> None:
    """A text alone has the vector that it has in a list, to the last bit."""
    texts = parity.sentences()

    with load(workshop, name, precision) as model:
        together = model.encode(texts)
        alone = np.concatenate([model.encode([text]) for text in texts])

    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("name", INT8)
def test_a_stack_in_int8_is_near_its_original(workshop: Path, name: str) -> None:
    texts = parity.sentences()
    expected = original(workshop, name).encode(texts, show_progress_bar=False)

    with load(workshop, name, "int8") as model:
        vectors = model.encode(texts)
        actual = model.manifest

    assert cosines(expected, vectors).min() >= 0.999
    assert "int8" == actual.precision
    assert actual.parity.cosine_min >= 0.999


def test_the_manifest_says_where_each_module_runs(workshop: Path) -> None:
    actual = manifest.read(workshop / "artifacts" / "long-float32")

    expected = (
        Module("Transformer (BertModel)", "model.onnx"),
        Module("Pooling (mean, max)", "numpy"),
        Module("Normalize", "head.onnx"),
        Module("Dense (64 -> 32, GELU)", "head.onnx"),
        Module("Dropout", None),
        Module("LayerNorm", "head.onnx"),
        Module("Dense (32 -> 24, Mish)", "head.onnx"),
        Module("Normalize", "numpy"),
        Module("Dropout", None),
    )
    assert expected == actual.modules
    assert (24, (8, 24), True, True) == (
        actual.output.dimensions,
        actual.output.matryoshka,
        actual.head,
        actual.output.normalize,
    )
    assert {"head.onnx", "model.onnx", "tokenizer.json", "ranges.json", "manifest.json"} == set(actual.sha256)


def test_a_damaged_head_is_found(workshop: Path, tmp_path: Path) -> None:
    """Like any other file of an artifact."""
    folder = Path(shutil.copytree(workshop / "artifacts" / "long-float32", tmp_path / "long"))
    actual = manifest.read(folder)
    (folder / "head.onnx").write_bytes(b"damaged")

    with pytest.raises(manifest.ArtifactError, match=r"head.onnx is damaged"):
        manifest.verify(actual, folder)


def test_a_plain_transformers_model_is_pooled_by_its_mean_and_says_so(
    workshop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    actual = manifest.read(workshop / "artifacts" / "plain-float32")
    entry = Entry(name="plain-float32", repo="plain", folder=workshop / "transformer", precision="float32")
    export.show(export_all([entry], workshop / "artifacts", force=False))

    note = "a plain transformers model: mean pooling, as sentence-transformers takes it to have"
    assert Module("Pooling (mean)", "numpy", note) == actual.modules[1]
    assert f"plain-float32: {note}" in " ".join(capsys.readouterr().out.split())


def test_a_saved_truncation_cuts_as_sentence_transformers_does(workshop: Path) -> None:
    """Its vectors are cut after Normalize; those that a request cuts further have length 1 again."""
    texts = parity.sentences()[:5]
    (expected,) = original(workshop, "truncated").encode(texts[:1])

    with load(workshop, "truncated") as model:
        (vector,), (shorter,) = model.encode(texts[:1]), model.encode(texts[:1], dimensions=5)

    assert (12, 12, 5) == (model.manifest.output.dimensions, len(vector), len(shorter))
    np.testing.assert_allclose(np.linalg.norm(expected), np.linalg.norm(vector), rtol=1e-5)
    np.testing.assert_allclose(expected[:5] / np.linalg.norm(expected[:5]), shorter, atol=1e-5)


def test_a_table_has_no_limit_and_adds_no_special_tokens(workshop: Path) -> None:
    """A long text is not cut; a text of no tokens, of which sentence-transformers makes zeros, is refused."""
    with load(workshop, "static") as model:
        (tokens,) = model.tokenize(["word " * 20_000], Options(truncate=False))
        (expected,) = original(workshop, "static").encode(["word " * 20_000])
        (vector,) = model.encode(["word " * 20_000])
        with pytest.raises(InvalidRequest, match="has no tokens for this model"):
            model.encode([" "])

    assert model.manifest.max_tokens is None
    assert (False, False) == (tokens.truncated, tokens.ids[0] == 2)
    assert cosines(expected[None], vector[None]).min() >= 0.99999
    assert not original(workshop, "static").encode([" "]).any()


def test_the_limit_in_a_tables_tokenizer_is_kept(workshop: Path, tmp_path: Path) -> None:
    """Sentence-transformers leaves it on."""
    folder = Path(shutil.copytree(workshop / "static", tmp_path / "static"))
    actual = stacks.tokenizer().backend_tokenizer
    actual.enable_truncation(7)
    actual.save(str(folder / "tokenizer.json"))
    export_all([Entry(name="s", repo="s", folder=folder)], tmp_path / "artifacts", force=False)
    (expected,) = SentenceTransformer(str(folder), device="cpu").encode(["word " * 20])

    with Model.load(tmp_path / "artifacts" / "s", threads=1) as model:
        (tokens,) = model.tokenize(["word " * 20], Options())
        (vector,) = model.encode(["word " * 20])

    assert (7, 7, True) == (model.manifest.max_tokens, tokens.num_tokens, tokens.truncated)
    assert cosines(expected[None], vector[None]).min() >= 0.999


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_table_without_a_row_for_unknown_words(tmp_path: Path, precision: manifest.Precision) -> None:
    """Texts of nothing else are zero vectors, as they are in the original."""
    module = stacks.static()
    with torch.no_grad():
        module.embedding.weight[0] = 0
    folder = stacks.save(tmp_path / "saved", [module, Normalize()])
    entry = Entry(name="zero", repo="zero", folder=folder, precision=precision)

    export_all([entry], tmp_path, force=False)

    with Model.load(tmp_path / "zero") as model:
        assert not model.encode(["жук"]).any()
    assert manifest.read(tmp_path / "zero").parity.cosine_min > parity.FLOORS[precision].least


def test_a_vocabulary_with_holes(tmp_path: Path) -> None:
    """Of the table's rows, those up to the highest id are needed, and a client may send that id."""
    tokenizer = tokenizers.Tokenizer(WordLevel({"[UNK]": 0, "a": 1, "b": 7}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    table = np.random.default_rng(5).normal(size=(8, STATIC_WIDTH)).astype(np.float32)
    module = StaticEmbedding(tokenizer, embedding_weights=table)
    entry = Entry(name="holes", repo="holes", folder=stacks.save(tmp_path / "saved", [module]))

    export_all([entry], tmp_path, force=False)
    with Model.load(tmp_path / "holes") as served:
        texts, ids = served.encode(["b"]), served.encode([[7]])
        with pytest.raises(InvalidRequest, match="the token id 8, and this model's vocabulary ends at 7"):
            served.encode([[8]])
    safetensors.numpy.save_file({"embeddings": table[:7]}, tmp_path / "saved" / "model.safetensors")
    with pytest.raises(ExportError, match=r"a table of the shape \(7, 24\), and the tokenizer ids up to 7"):
        load_original(sources.find(entry))

    np.testing.assert_array_equal(texts, ids)


@pytest.mark.parametrize("folded", [False, True], ids=["rows", "mapping-and-weights"])
def test_tables_of_model2vec(workshop: Path, tmp_path: Path, folded: bool) -> None:
    """Their key is another; a table may have fewer rows, which a mapping and weights make those of tokens."""
    folder = Path(shutil.copytree(workshop / "static", tmp_path / "static"))
    table = safetensors.numpy.load_file(folder / "model.safetensors")["embedding.weight"]
    mapping = np.arange(len(table)) % 50
    weights = np.linspace(0.5, 2, len(table))
    tensors = {"embeddings": table[:50].astype(np.float16), "mapping": mapping, "weights": weights}
    rows = tensors["embeddings"][mapping].astype(np.float32) * weights[:, None] if folded else table
    safetensors.numpy.save_file(tensors if folded else {"embeddings": table}, folder / "model.safetensors")

    original = load_original(sources.find(Entry(name="s", repo="s", folder=folder)))

    np.testing.assert_allclose(rows, original.torch[0].embedding.weight.detach().numpy(), rtol=1e-5)


def head_of(folder: Path) -> onnxruntime.InferenceSession:
    """The head of a saved model, written and opened."""
    checkpoint = sources.find(Entry(name="m", repo="m", folder=folder))
    described = files.read(checkpoint, modules.read(checkpoint)).description
    head_graph.write(described.head, described.pooled, folder / "head.onnx")
    return onnxruntime.InferenceSession(folder / "head.onnx")


@pytest.mark.filterwarnings("ignore:Implicit dimension choice:UserWarning")
@pytest.mark.parametrize("activation", head_graph.ACTIVATIONS)
def test_activations_of_torch(tmp_path: Path, activation: str) -> None:
    """With an operator of their own in ONNX or without."""
    dense = stacks.dense(STATIC_WIDTH, 16, activation).eval()
    folder = stacks.save(tmp_path / "saved", [stacks.static(), dense])
    pooled = torch.randn(1, STATIC_WIDTH, generator=torch.Generator().manual_seed(1)) * 3
    expected = dense({"sentence_embedding": pooled})["sentence_embedding"].detach().numpy()

    (vector,) = head_of(folder).run(None, {"pooled": pooled.numpy()})

    np.testing.assert_allclose(expected, vector, rtol=0, atol=1e-5)
    assert np.float32 == vector.dtype


@pytest.mark.parametrize("outputs", [STATIC_WIDTH, 16], ids=["identity", "projected"])
def test_a_residual_follows_its_formula(tmp_path: Path, outputs: int) -> None:
    """tanh(W x + b) + x, or + R x where the dimensions differ: what sentence-transformers 6 computes."""
    folder = stacks.save(tmp_path / "saved", [stacks.static(), stacks.dense(STATIC_WIDTH, outputs)])
    stacks.make_residual(folder / "1_Dense")
    saved = safetensors.numpy.load_file(folder / "1_Dense" / "model.safetensors")
    x = np.random.default_rng(2).normal(size=(1, STATIC_WIDTH)).astype(np.float32)
    added = x if outputs == STATIC_WIDTH else x @ saved["residual.weight"].T
    expected = np.tanh(x @ saved["linear.weight"].T + saved["linear.bias"]) + added

    (vector,) = head_of(folder).run(None, {"pooled": x})
    original = load_original(sources.find(Entry(name="m", repo="m", folder=folder))).torch[1]
    theirs = original({"sentence_embedding": torch.tensor(x)})["sentence_embedding"].detach().numpy()

    np.testing.assert_allclose(expected, vector, rtol=0, atol=1e-5)
    np.testing.assert_allclose(expected, theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "form",
    [
        "sentence_transformers.models.{}",
        "sentence_transformers.sentence_transformer.modules.{}",
        "sentence_transformers.base.modules.{}",
        "sentence_transformers.base.modules.file.{}",
    ],
)
def test_old_and_new_paths_of_modules(workshop: Path, tmp_path: Path, form: str) -> None:
    """They have changed over the years; the last names have not."""
    folder = Path(shutil.copytree(workshop / "long", tmp_path / "long"))
    listed = json.loads((folder / "modules.json").read_text())
    kinds = [entry["type"].rpartition(".")[2] for entry in listed]
    renamed = [entry | {"type": form.format(kind)} for entry, kind in zip(listed, kinds, strict=True)]
    (folder / "modules.json").write_text(json.dumps(renamed))

    actual = modules.read(sources.find(Entry(name="long", repo="long", folder=folder)))

    assert kinds == [module.kind for module in actual]
