"""Export end to end: real checkpoints in, artifacts out that are what their originals are, or a refusal."""

import json
import pickle
import shutil
import unicodedata
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
import safetensors
import small_models
import small_tokenizers
from checkpoints import Bomb, load, refusal
from harness import MINILM, SMALL, WITHOUT_PYTORCH, run
from stacks import edit

from embed_onnx import Model
from embed_onnx.artifact import manifest
from embed_onnx.artifact.models_txt import Entry
from embed_onnx.engine import native
from embed_onnx.models.options import Options
from embed_onnx_export import artifact, parity, similarity
from embed_onnx_export.checkpoint import sources
from embed_onnx_export.checkpoint.original import load_original
from embed_onnx_export.errors import ExportError
from embed_onnx_export.graph import int8
from embed_onnx_export.run import export_all

EXPORTS = [
    *((name, "int8") for name in small_models.ARCHITECTURES),
    ("bert", "float32"),
    ("mpnet", "float32"),
]


def entry_for(folder: Path, **fields: object) -> Entry:
    return Entry(**{"name": folder.name, "repo": folder.name, "folder": folder, **fields})


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """By one command: every architecture in int8, one of no known family, float32, pooling of two modes."""
    folder = tmp_path_factory.mktemp("workshop")
    for name in small_models.ARCHITECTURES:
        small_models.save(folder / name, name)
    lines = [f"./{name}  name={name}-{precision}  precision={precision}" for name, precision in EXPORTS]
    small_models.save(folder / "other", hidden_act="quick_gelu")
    small_models.save(folder / "two", pooling=("cls", "max"), normalize=False)
    (folder / "two" / "LICENSE").write_text("Do as you like.\n")
    (folder / "models.txt").write_text("\n".join([*lines, "./other", "./two"]))
    done = run("export", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize(("name", "precision"), EXPORTS)
def test_every_architecture_is_its_original(workshop: Path, name: str, precision: str) -> None:
    """Vectors through the runtime are those of sentence-transformers, texts over the limit too."""
    from sentence_transformers import SentenceTransformer

    texts = ["a model", "words and words " * 40, "numbers 12 and 345", "def add(a, b): return a + b"]
    expected = SentenceTransformer(str(workshop / name), device="cpu").encode(texts, show_progress_bar=False)

    with Model.load(workshop / "artifacts" / f"{name}-{precision}") as model:
        vectors = model.encode(texts)

    assert np.einsum("td,td->t", expected, vectors).min() > (0.999 if precision == "int8" else 0.999999)
    assert small_models.MAX_TOKENS == model.manifest.max_tokens
    assert precision == model.manifest.precision
    assert (precision == "int8") == model.manifest.packed


def test_an_unknown_architecture_is_int8_too(workshop: Path) -> None:
    """By its own graph, of which our kernels run products and attention; the manifest says why no more."""
    from sentence_transformers import SentenceTransformer

    texts = ["a model", "numbers 12 and 345"]
    expected = SentenceTransformer(str(workshop / "other"), device="cpu").encode(texts)
    graph = onnx.load(workshop / "artifacts" / "other" / "model.onnx").graph

    with Model.load(workshop / "artifacts" / "other") as model:
        vectors = model.encode(texts)

    assert np.einsum("td,td->t", expected, vectors).min() > 0.999
    assert {"Attention", "Linear"} == {node.op_type for node in graph.node if node.domain == "embed_onnx"}
    biases = {node.input[-1] for node in graph.node if node.op_type == "Linear"}
    assert not [node for node in graph.node if node.op_type == "Add" and biases & set(node.input)]
    assert not model.manifest.packed
    assert (8, 8, 8, "its activation is quick_gelu", True) == (
        model.manifest.quantization.weight_bits,
        model.manifest.quantization.activation_bits,
        model.manifest.quantization.kernel_activation_bits,
        model.manifest.quantization.no_kernel,
        model.manifest.quantization.kernel_products,
    )
    if native.find().library is not None:
        assert (
            "kernels for a part, standard operators for the rest (its activation is" in model.kernels.runs_on
        )


def test_pooling_modes_are_concatenated(workshop: Path) -> None:
    """Two modes give twice the dimensions, and without Normalize vectors keep their length."""
    from sentence_transformers import SentenceTransformer

    expected = SentenceTransformer(str(workshop / "two"), device="cpu").encode(["a few words"])

    with Model.load(workshop / "artifacts" / "two") as model:
        vectors = model.encode(["a few words"])

    assert (1, 64) == vectors.shape
    assert np.allclose(expected, vectors, atol=0.1)
    assert np.linalg.norm(vectors) > 2


def test_the_artifact_holds_what_it_says(workshop: Path) -> None:
    """Each file with its hash, and every source file with its own."""
    folder = workshop / "artifacts" / "two"
    actual = manifest.read(folder)

    manifest.verify(actual, folder)
    assert {"model.onnx", "tokenizer.json", "ranges.json", "LICENSE", "manifest.json"} == set(actual.sha256)
    assert set(actual.sha256) == {path.name for path in folder.iterdir()}
    assert manifest.sha256(workshop / "two" / "model.safetensors") == actual.source.files["model.safetensors"]
    assert ("cls", "max") == actual.output.pooling
    assert small_models.PROMPTS == actual.prompts
    assert {f.name for f in (workshop / "artifacts").iterdir()} == {
        "other",
        "two",
        *(f"{name}-{precision}" for name, precision in EXPORTS),
    }


def test_what_is_up_to_date_is_skipped(workshop: Path) -> None:
    """A second export does nothing; a changed source, damage or --force is exported again.

    So is an artifact of vectors without ranges, as older versions made them.
    """

    def seconds(*arguments: str) -> str:
        done = run("export", "two", *arguments, cwd=workshop, environment=WITHOUT_PYTORCH)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "up to date" in seconds()
    assert "up to date" not in seconds("--force")
    (workshop / "artifacts" / "two" / "model.onnx").write_bytes(b"damaged")
    assert "up to date" not in seconds()
    present = manifest.read(workshop / "artifacts" / "two")
    hashes = {name: digest for name, digest in present.sha256.items() if name != manifest.RANGES}
    manifest.write(msgspec.structs.replace(present, sha256=hashes), workshop / "artifacts" / "two")
    assert "up to date" not in seconds()
    assert manifest.RANGES in manifest.read(workshop / "artifacts" / "two").sha256
    config = workshop / "two" / "config_sentence_transformers.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"default_prompt_name": "query"}))
    assert "up to date" not in seconds()
    assert "query" == manifest.read(workshop / "artifacts" / "two").default_prompt


@pytest.mark.skipif(native.find("auto").library is None, reason="there are no kernels here")
def test_kernels_are_as_near_to_the_original_as_standard_operators(artifacts: Path) -> None:
    """They compute the same but for the last bits of floats; both are on record."""
    actual = manifest.read(artifacts / MINILM)

    assert actual.packed
    assert actual.kernel_parity is not None
    assert actual.kernel_parity.cosine_mean >= 0.999
    assert actual.kernel_parity.cosine_min >= 0.99
    assert actual.kernel_parity.cosine_mean == pytest.approx(actual.parity.cosine_mean, abs=1e-4)


def test_minilm_in_int8(artifacts: Path) -> None:
    """The real model: small, and as near to its original as promised."""
    actual = manifest.read(artifacts / MINILM)

    assert actual.parity.texts >= 64
    assert actual.parity.cosine_mean >= 0.999
    assert actual.parity.cosine_min >= 0.99
    assert actual.parity.short is not None
    assert actual.parity.short.texts >= 64
    assert actual.parity.short.cosine_mean >= 0.997
    assert actual.parity.short.cosine_min >= 0.95
    assert (artifacts / MINILM / "model.onnx").stat().st_size < actual.float32_bytes / 3
    assert ("apache-2.0", 384, 256, ("mean",), True) == (
        actual.source.license,
        actual.output.dimensions,
        actual.max_tokens,
        actual.output.pooling,
        actual.output.normalize,
    )


def test_minilm_in_float32(tmp_path: Path) -> None:
    """Without quantisation every sentence is its original to the fifth digit."""
    (tmp_path / "models.txt").write_text(f"{MINILM} precision=float32\n")

    done = run("export", cwd=tmp_path)

    assert 0 == done.returncode, done.stderr
    actual = manifest.read(tmp_path / "artifacts" / MINILM).parity
    assert actual.short is not None
    assert min(actual.cosine_min, actual.short.cosine_min) >= 0.99999


def test_int8_weights_and_embeddings(artifacts: Path) -> None:
    """Weights and embeddings are int8 in full range, pairs within theirs; no large float table is left."""
    model = onnx.load(artifacts / MINILM / "model.onnx")
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    small = {name: array for name, array in arrays.items() if array.dtype == np.int8}
    pairs = [a[::2] + a[1::2].astype(int) for name, a in small.items() if name != "embeddings.words"]

    assert ["TokenEmbeddings", *["EncoderLayer"] * 6] == [node.op_type for node in model.graph.node]
    assert 1 + 4 * 6 == len(small)
    assert {127} == {int(np.abs(array.astype(int)).max()) for array in small.values()}
    assert max(int(np.abs(sums).max()) for sums in pairs) <= int8.LARGEST_PAIR
    assert (30522, 384) == small["embeddings.words"].shape
    assert 512 * 384 == max(array.size for array in arrays.values() if array.dtype == np.float32)


def test_parity_sentences_are_many_and_various() -> None:
    """At least 64, no two the same, some of one word, some over the limit, several scripts."""
    sentences = parity.sentences()

    assert len(set(sentences)) == len(sentences) >= 64
    assert min(len(text.split()) for text in sentences) == 1
    assert max(len(text.split()) for text in sentences) > 300
    scripts = ["ж", "ب", "ה", "आ", "今", "を", "내", "พ", "θ", "😀"]
    assert all(any(letter in text for text in sentences) for letter in scripts)


def test_below_the_floor_there_is_no_artifact(
    workshop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An artifact too far from its original is an error that says what to do, and leaves nothing."""
    monkeypatch.setattr(int8, "LARGEST", 1)

    with pytest.raises(ExportError, match="set precision=float32 on its line"):
        export_all([entry_for(workshop / "mpnet")], tmp_path, force=False)

    assert [] == list(tmp_path.iterdir())


def test_a_failed_export_keeps_the_old_artifact(tmp_path: Path) -> None:
    """A folder is replaced only by a complete one."""
    target = tmp_path / "model"
    target.mkdir()
    (target / "old").touch()

    with pytest.raises(OSError, match="disk is full"), artifact.staged(target) as new:
        (new / "half").touch()
        raise OSError("disk is full")

    assert [target] == list(tmp_path.iterdir())
    assert [target / "old"] == list(target.iterdir())


@pytest.fixture
def saved(home: Path, tmp_path: Path) -> Path:
    """A copy of a small checkpoint, for a test to spoil."""
    return Path(shutil.copytree(home / "checkpoint", tmp_path / "saved"))


def test_the_old_pooling_config(saved: Path) -> None:
    """The boolean form that sentence-transformers wrote before 5.4 means the same."""
    (saved / "1_Pooling" / "config.json").write_text(
        json.dumps(
            {
                "word_embedding_dimension": 32,
                "pooling_mode_cls_token": True,
                "pooling_mode_mean_tokens": False,
                "pooling_mode_max_tokens": True,
            }
        )
    )
    types = ["Transformer", "Pooling", "Normalize"]
    modules = json.loads((saved / "modules.json").read_text())
    for module, name in zip(modules, types, strict=True):
        module["type"] = f"sentence_transformers.models.{name}"
    (saved / "modules.json").write_text(json.dumps(modules))

    original = load(saved)

    assert ("cls", "max") == original.pooling
    assert 64 == original.dimensions


@pytest.mark.parametrize("besides", ["nothing", "weights-elsewhere", "an-index-of-pickles"])
def test_pickles_are_never_read(saved: Path, besides: str) -> None:
    """Weights that are only there as a pickle are refused before anything is loaded."""
    weights = saved / "model.safetensors"
    if besides == "weights-elsewhere":
        shutil.copy(weights, saved / "1_Pooling")
    if besides == "an-index-of-pickles":
        shutil.copy(weights, saved / "other.safetensors")
        index = {"metadata": {}, "weight_map": {"a": "pytorch_model.bin"}}
        (saved / "model.safetensors.index.json").write_text(json.dumps(index))
    weights.unlink()
    (saved / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(saved / "ran")))

    sentence = refusal(saved)

    assert "pickles are never read" in sentence
    assert "safe_serialization=True" in sentence
    assert not (saved / "ran").exists()


def test_shards_of_safetensors_are_read(saved: Path) -> None:
    """Weights in several files, as large checkpoints have them."""
    shutil.move(saved / "model.safetensors", saved / "model-00001-of-00001.safetensors")
    with safetensors.safe_open(saved / "model-00001-of-00001.safetensors", "np") as file:
        index = {"metadata": {}, "weight_map": dict.fromkeys(file.keys(), "model-00001-of-00001.safetensors")}
    (saved / "model.safetensors.index.json").write_text(json.dumps(index))

    original = load(saved)

    assert small_models.WIDTH == original.dimensions


@pytest.mark.parametrize("model_type", ["own", "bert"])
def test_remote_code_is_never_run(saved: Path, model_type: str) -> None:
    """A checkpoint that brings its own Python is refused, and its file is not imported."""
    edit(saved / "config.json", model_type=model_type, auto_map={"AutoModel": "own.Model"})
    (saved / "own.py").write_text(f"open({str(saved / 'ran')!r}, 'w')\n")

    assert "names code of its own for AutoModel (auto_map), and remote code is never run" in refusal(saved)
    assert not (saved / "ran").exists()


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    assert "holds neither modules.json nor config.json" in refusal(tmp_path)


def test_damaged_weights(saved: Path) -> None:
    (saved / "model.safetensors").write_bytes(b"short")

    assert "model.safetensors is damaged" in refusal(saved)


def test_small_prompts_reach_the_manifest(artifacts: Path) -> None:
    actual = manifest.read(artifacts / SMALL)

    assert (small_models.PROMPTS, "document") == (actual.prompts, actual.default_prompt)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        pytest.param("./artifacts/mine", "over its own checkpoint", id="the-checkpoint-itself"),
        pytest.param(
            "./artifacts/mine name=mine/inside", "over its own checkpoint", id="inside-the-checkpoint"
        ),
        pytest.param("./artifacts/mine name=notes", "exists and is not an artifact", id="something-else"),
        pytest.param("./artifacts/mine name=done/more", "lies inside the artifact", id="inside-an-artifact"),
    ],
)
def test_nothing_but_an_artifact_is_ever_replaced(
    home: Path, tmp_path: Path, line: str, sentence: str
) -> None:
    """A checkpoint that lies among the artifacts, or anything else there, survives an export."""
    shutil.copytree(home / "checkpoint", tmp_path / "artifacts" / "mine")
    shutil.copytree(home / "artifacts" / SMALL, tmp_path / "artifacts" / "done")
    (tmp_path / "artifacts" / "notes").mkdir()
    (tmp_path / "models.txt").write_text(line + "\n")
    before = sorted(tmp_path.rglob("*"))

    done = run("export", cwd=tmp_path)

    assert (1, before) == (done.returncode, sorted(tmp_path.rglob("*")))
    assert sentence in done.stderr


def test_the_record_is_of_every_text_that_was_judged(artifacts: Path) -> None:
    """Embedded again by the artifact and by the original, each text has its share in the figures."""
    folder = artifacts / MINILM
    original = load_original(sources.find(Entry(name=MINILM, repo=f"sentence-transformers/{MINILM}")))
    texts = [*parity.sentences(), *parity.messages(original.tokenizer)]
    result = manifest.read(folder)

    with Model.load(folder) as model:
        lengths = np.array([item.num_tokens for item in model.tokenize(texts, Options())])
        cosines = similarity.cosines(
            model.encode(texts), np.concatenate([original.torch.encode([text]) for text in texts])
        )
        recorded = model.kernels.parity

    assert recorded is not None
    for figures, which in ((recorded, lengths >= 5), (recorded.short, lengths < 5)):
        assert figures is not None
        assert figures.texts == which.sum()
        assert figures.cosine_mean == pytest.approx(cosines[which].mean(), abs=1e-4)
        assert figures.cosine_min == pytest.approx(cosines[which].min(), abs=1e-4)
    assert result.parity.texts == recorded.texts
    for text in ("thanks", "thank you", "haha", "." * 254, "[PAD][SEP]", "[CLS]", "𒀭𒂗𒆤"):
        assert text in texts


def test_messages_are_what_people_send(tmp_path: Path) -> None:
    """One to four words, runs of punctuation, special tokens as text, scripts that are rare."""
    messages = parity.messages(load(small_models.save(tmp_path / "saved")).tokenizer)
    scripts = {unicodedata.name(text[0], "?").partition(" ")[0] for text in messages}

    assert len(set(messages)) == len(messages) >= 100
    assert {1, 2, 3, 4} <= {len(text.split()) for text in messages}
    assert max(len(text) for text in messages if not any(map(str.isalnum, text))) > 200
    assert {"ETHIOPIC", "GEORGIAN", "KHMER", "TIBETAN", "CHEROKEE", "RUNIC", "CUNEIFORM"} <= scripts
    assert {*small_tokenizers.SPECIAL, "some words [MASK] and more"} <= set(messages)
