"""Models of token vectors: recognised, read, exported, and compared with MultiVectorEncoder."""

import json
import shutil
import string
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import small_models
from harness import WITHOUT_PYTORCH
from harness import run as run_command
from sentence_transformers import MultiVectorEncoder
from stacks import edit

from embed_onnx import Model
from embed_onnx.artifact import manifest
from embed_onnx.artifact.manifest import HEAD, Manifest, Overrides
from embed_onnx.artifact.models_txt import Entry
from embed_onnx.artifact.outputs import Expansion
from embed_onnx_export import run, token_parity
from embed_onnx_export.errors import ExportError

FAMILIES: dict[str, dict[str, Any]] = {
    **{name: {} for name in small_models.ARCHITECTURES},
    "modernbert": {},
}
QUERIES = ["what is a model", "12 and 345?", "a query that is longer than others, so that it is cut, or not"]
DOCUMENTS = ["a small model reads a few words", "numbers such as 12 and 345", "commas, and dots. (And more.)"]
PUNCTUATION = {"skiplist_words": list(string.punctuation)}
FIXED = {"strategy": "fixed", "length": 12, "attend": False}
OPTIONS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "fixed": {"expansion": FIXED, "mask": PUNCTUATION},
    "attended": {"expansion": {**FIXED, "attend": True}},
    "at least": {"expansion": {**FIXED, "strategy": "min"}, "lengths": {"query_length": 20}},
    "another token": {"expansion": {**FIXED, "token": "[SEP]"}},
    "lengths": {"lengths": {"query_length": 7, "document_length": 10}},
    "both skip": {"mask": {**PUNCTUATION, "skiplist_tasks": ["query", "document"]}},
    "few kept": {"mask": {"keep_only_token_ids": [2, 16, 17, 18]}},
    "none kept": {"mask": {"keep_only_token_ids": [119]}},
    "no prompts": {"prompts": {}, "expansion": FIXED},
    "two Dense": {"widths": (24, 8)},
    "no Dense": {"widths": ()},
}


def export(folder: Path, **options: Any) -> Manifest:
    """The manifest of a folder's artifact, beside it."""
    entry = Entry(name=folder.name, repo=folder.name, folder=folder, **options)
    (exported,) = run.export_all([entry], folder.parent / "artifacts", force=True)
    return exported.manifest


def refusal(folder: Path, **options: Any) -> str:
    with pytest.raises(ExportError) as refused:
        export(folder, **options)
    return str(refused.value)


def loaded(folder: Path) -> Model:
    """The artifact of a folder."""
    return Model.load(folder.parent / "artifacts" / folder.name, threads=1)


def assert_same_vectors(folder: Path, precision: str) -> None:
    """Those of queries and documents, and their scores, are the original's."""
    original = MultiVectorEncoder(str(folder), device="cpu")
    queries = original.encode_query(QUERIES, convert_to_numpy=True)
    documents = original.encode_document(DOCUMENTS, convert_to_numpy=True)
    least = 0.99999 if precision == "float32" else 0.99
    with loaded(folder) as model:
        of_model = (
            model.encode_tokens(QUERIES, prompt_name="query"),
            model.encode_tokens(DOCUMENTS, input_type="document"),
        )
        for actual, expected in zip([*of_model[0], *of_model[1]], [*queries, *documents], strict=True):
            assert expected.shape == actual.shape
            assert ((actual * expected).sum(axis=1) >= least).all()
        for place, query in enumerate(QUERIES):
            scores = {item.index: item.score for item in model.rank(query, DOCUMENTS)}
            expected = original.similarity(queries[place], documents)[0].numpy()
            tolerance = 1e-3 if precision == "float32" else 0.1 * len(queries[place])
            np.testing.assert_allclose([scores[i] for i in range(3)], expected, atol=tolerance, rtol=1e-5)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokens")
    return small_models.save_by_token(folder / "colbert", expansion=FIXED, mask=PUNCTUATION)


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("architecture", FAMILIES)
def test_a_family_is_near_its_original(tmp_path: Path, architecture: str, precision: str) -> None:
    folder = small_models.save_by_token(
        tmp_path / architecture, architecture, expansion=FIXED, mask=PUNCTUATION, **FAMILIES[architecture]
    )

    described = export(folder, precision=precision)

    parity = described.token_parity
    assert parity is not None
    assert parity.texts > 100
    assert parity.cosine_mean >= token_parity.FLOORS[precision].mean
    assert parity.spearman > (0.9999 if precision == "float32" else 0.9)
    assert "native" == described.exporter
    assert HEAD in described.sha256
    assert_same_vectors(folder, precision)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_options_of_a_model(tmp_path: Path, options: dict[str, Any]) -> None:
    folder = small_models.save_by_token(tmp_path / "colbert", **options)

    export(folder, precision="float32")

    assert_same_vectors(folder, "float32")


def as_pylate(folder: Path, **settings: Any) -> Path:
    """A folder in the layout of PyLate 3: all settings in one file, and no modules after the Dense."""
    modules = json.loads((folder / "modules.json").read_text())[:2]
    modules[1]["type"] = "pylate.models.Dense.Dense"
    (folder / "modules.json").write_text(json.dumps(modules))
    dense = folder / "1_Dense" / "config.json"
    fields = json.loads(dense.read_text())
    dense.write_text(json.dumps({k: fields[k] for k in fields if not k.startswith("module_")}))
    (folder / "sentence_bert_config.json").write_text(
        json.dumps({"max_seq_length": 40, "do_lower_case": False})
    )
    path = folder / "config_sentence_transformers.json"
    fields = {"model_type": "ColBERT", "similarity_fn_name": "cosine", **settings}
    path.write_text(json.dumps({name: value for name, value in fields.items() if value is not None}))
    return folder


PYLATE: dict[str, dict[str, Any]] = {
    "prefixes": {
        "query_prefix": "[Q] ",
        "document_prefix": "[D] ",
        "query_length": 14,
        "document_length": 30,
    },
    "prefixes of the vocabulary": {"query_prefix": "model ", "document_prefix": "words ", "query_length": 9},
    "attended": {"query_prefix": "[Q] ", "attend_to_expansion_tokens": True, "query_length": 9},
    "not expanded": {"query_prefix": "[Q] ", "do_query_expansion": False, "query_length": 9},
    "prompts as well": {"query_prefix": "[Q] ", "query_length": 14, "prompts": {"query": "find: "}},
    "own skip list": {"document_prefix": "[D] ", "query_length": 14, "skiplist_words": ["a", "words"]},
    "an older version": {"query_prefix": "[Q] ", "query_length": 14, "model_type": None},
}


@pytest.mark.parametrize("settings", PYLATE.values(), ids=PYLATE)
def test_models_of_pylate(tmp_path: Path, settings: dict[str, Any]) -> None:
    folder = as_pylate(small_models.save_by_token(tmp_path / "colbert"), **settings)

    export(folder, precision="float32")

    assert_same_vectors(folder, "float32")


def as_stanford(folder: Path, **metadata: Any) -> Path:
    """A folder in the layout of Stanford's ColBERT, beside that of a MultiVectorEncoder."""
    stanford, transformer = folder.with_name("stanford"), folder.with_name(f"{folder.name}-transformer")
    transformer.rename(stanford)
    arrays = safetensors.numpy.load_file(stanford / "model.safetensors")
    of_dense = safetensors.numpy.load_file(folder / "1_Dense" / "model.safetensors")
    whole = {f"bert.{name}": array for name, array in arrays.items()} | of_dense
    safetensors.numpy.save_file(whole, stanford / "model.safetensors", {"format": "pt"})
    edit(stanford / "config.json", architectures=["HF_ColBERT"])
    (stanford / "artifact.metadata").write_text(json.dumps(metadata))
    return stanford


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"query_token_id": "model", "doc_token_id": "words", "query_maxlen": 16, "doc_maxlen": 20},
        {"attend_to_mask_tokens": True, "mask_punctuation": False, "query_maxlen": 9},
    ],
)
def test_models_of_stanfords_colbert(tmp_path: Path, metadata: dict[str, Any]) -> None:
    folder = as_stanford(small_models.save_by_token(tmp_path / "colbert"), **metadata)

    export(folder, precision="float32")

    assert_same_vectors(folder, "float32")
    assert "takes neither dimensions=" in refusal(folder, overrides=Overrides(dimensions=3))
    assert "have no place for options; take them away, or save it with the" in refusal(
        folder, overrides=Overrides(max_tokens=20)
    )


def test_what_the_manifest_says(saved: Path) -> None:
    described = export(saved)

    output = described.token_vectors
    assert (16, True, "maxsim") == (output.dimensions, output.normalize, output.similarity)
    assert Expansion(token_id=4, length=12, attended=False) == output.query.expansion
    assert ((), 12) == (output.query.skipped_ids, output.query.max_tokens)
    assert small_models.MAX_TOKENS == output.document.max_tokens
    with loaded(saved) as model:
        words = model.files.load().tokenizer.words(output.document.skipped_ids)
    assert set(words) <= set(string.punctuation)
    assert "," in words
    assert [module.runs_in for module in described.modules] == ["model.onnx", "head.onnx", "numpy", "numpy"]


def test_options_of_a_line(saved: Path) -> None:
    described = export(saved, overrides=Overrides(max_tokens=20, prompts={"document": "a "}))

    assert (20, 12) == (described.token_vectors.document.max_tokens, described.token_vectors.query.max_tokens)
    assert "a " == described.prompts["document"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"overrides": Overrides(task="rerank")},
            "task=rerank: colbert makes token vectors, by which it ranks",
        ),
        ({"overrides": Overrides(dimensions=9)}, "takes neither dimensions= nor pooling=; take them away"),
        (
            {"overrides": Overrides(pooling=("cls",))},
            "takes neither dimensions= nor pooling=; take them away",
        ),
        ({"exporter": "torch"}, "which the exporter torch cannot write; take exporter= away"),
    ],
)
def test_options_without_a_meaning(saved: Path, options: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(saved, **options)


def test_modules_that_are_not_served(tmp_path: Path) -> None:
    folder = small_models.save_by_token(tmp_path / "colbert")
    listed = json.loads((folder / "modules.json").read_text())
    kind = "sentence_transformers.multi_vector_encoder.modules.token_pooling.HierarchicalTokenPooling"
    listed.append({"idx": 4, "name": "4", "path": "4_Pooling", "type": kind})
    (folder / "modules.json").write_text(json.dumps(listed))

    assert "has the module HierarchicalTokenPooling, which is not served in a model of token vec" in refusal(
        folder
    )


def test_settings_that_are_not_known(tmp_path: Path) -> None:
    folder = small_models.save_by_token(tmp_path / "colbert", expansion=FIXED)
    own, mask = folder / "sentence_bert_config.json", folder / "2_MultiVectorMask" / "config.json"
    kept = own.read_text()
    edit(own, query_expansion={**FIXED, "strategy": "wide"})
    assert "Invalid enum value 'wide' - at `$.query_expansion.strategy`; serve it with" in refusal(folder)
    edit(own, query_expansion={**FIXED, "length": 100})
    assert "its query_expansion has the length 100, and its transformer takes 48 tokens" in refusal(folder)
    edit(own, query_expansion={**FIXED, "token": "[NONE]"})
    assert "its query_expansion has the token '[NONE]', which its vocabulary lacks" in refusal(folder)
    edit(own, query_expansion=FIXED, modality_config={"image": {}})
    assert "its sentence_bert_config.json sets modality_config" in refusal(folder)
    own.write_text(kept)
    edit(mask, masks_images=True)
    assert "Object contains unknown field `masks_images`" in refusal(folder)


def test_a_score_that_depends_on_other_documents(tmp_path: Path) -> None:
    folder = small_models.save_by_token(tmp_path / "colbert")
    edit(folder / "config_sentence_transformers.json", similarity_fn_name="xtr")

    assert "colbert has the similarity xtr, which is not served, as a score would" in refusal(folder)


def test_means_of_maxima(tmp_path: Path) -> None:
    folder = small_models.save_by_token(tmp_path / "colbert", expansion=FIXED)
    edit(folder / "config_sentence_transformers.json", similarity_fn_name="meanmaxsim")

    assert "meanmaxsim" == export(folder, precision="float32").token_vectors.similarity
    assert_same_vectors(folder, "float32")


def test_an_expansion_outside_of_a_window(tmp_path: Path) -> None:
    expansion = {**FIXED, "length": 40}
    folder = small_models.save_by_token(tmp_path / "colbert", "modernbert", expansion=expansion)

    assert (
        "colbert expands queries to 40 tokens that are not attended to, and its tokens see no mo"
        in refusal(folder)
    )


def test_another_architecture(tmp_path: Path) -> None:
    folder = small_models.save_by_token(tmp_path / "albert", "albert")

    assert "albert cannot be exported as a model of token vectors: albert is not of the BERT" in refusal(
        folder
    )


def test_without_pytorch(saved: Path, tmp_path: Path) -> None:
    """Int8 is compared with the float32 artifact, which says so; what no comparison could find is refused."""
    unknown = Path(shutil.copytree(saved, tmp_path / "unknown"))
    edit(unknown / "config.json", window=8)
    (tmp_path / "models.txt").write_text(f'"{saved}"\n"{unknown}"\n')

    done = run_command("export", cwd=tmp_path, environment=WITHOUT_PYTORCH)

    assert "its config.json has window, of which it is not known what it changes" in done.stderr
    assert not (tmp_path / "artifacts" / "unknown").exists()
    assert "float32 graph" == manifest.read(tmp_path / "artifacts" / "colbert").reference
