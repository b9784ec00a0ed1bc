"""What a checkpoint asks for and the loaded classes would not do, or could not, is refused by name."""

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import pytest
import small_models
import tokenizers
import torch
from checkpoints import load, refusal
from harness import run
from stacks import edit

from embed_onnx.artifact.models_txt import Entry
from embed_onnx_export import progress
from embed_onnx_export.progress import Show
from embed_onnx_export.run import ExportsFailed, export_all

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # of ModernBERT's imports

FULL = {"rope_type": "default", "rope_theta": 160_000.0}


LINEAR = {"rope_type": "linear", "factor": 2.0}


@pytest.mark.parametrize(
    ("architecture", "fields", "sentence"),
    [
        ("qwen3", {"use_bidirectional_attention": True}, "use_bidirectional_attention: true"),
        ("mistral", {"bidirectional": True}, "bidirectional: true"),
        ("gpt2", {"use_bidirectional_attention": "all"}, "use_bidirectional_attention: all"),
        ("bert", {"rope_parameters": FULL}, "rope_parameters in its config.json, which BertConfig"),
        ("gpt2", {"rope_parameters": LINEAR}, "which GPT2Config of transformers"),
    ],
)
def test_fields_that_the_loaded_class_does_not_read(
    tmp_path: Path, architecture: str, fields: dict[str, Any], sentence: str
) -> None:
    """Transformers loads the model without them, and its vectors are others."""
    folder = small_models.save(tmp_path / "saved", architecture)
    edit(folder / "config.json", **fields)

    refused = refusal(folder)

    assert sentence in refused
    assert "of transformers" in refused


@pytest.mark.parametrize(
    ("architecture", "fields"),
    [
        pytest.param("bert", {"is_causal": False}, id="it-never-was"),
        pytest.param("t5", {"is_causal": False}, id="an-encoder-never-was"),
        pytest.param("gemma3_text", {"use_bidirectional_attention": True}, id="the-class-knows"),
        pytest.param("qwen2", {"is_causal": True, "use_bidirectional_attention": False}, id="not-requested"),
        pytest.param("qwen2", {"rope_parameters": None}, id="nothing-in-it"),
    ],
)
def test_fields_that_change_nothing(tmp_path: Path, architecture: str, fields: dict[str, Any]) -> None:
    """What the model does anyway, or knows, is no reason to refuse it."""
    folder = small_models.save(tmp_path / "saved", architecture)
    edit(folder / "config.json", **fields)

    assert small_models.WIDTH == load(folder).dimensions


@pytest.mark.parametrize(
    ("architecture", "fields"),
    [
        ("qwen2", {"is_causal": False}),
        ("llama", {"is_causal": False}),
        ("llama", {"rope_parameters": {**FULL, **LINEAR}}),
        ("llama", {"rope_parameters": None, "rope_scaling": LINEAR}),
        ("modernbert", {"rope_parameters": {"full_attention": FULL, "sliding_attention": FULL}}),
        ("modernbert", {"rope_parameters": None, "rope_scaling": LINEAR}),
        ("modernbert", {"rope_parameters": None, "local_rope_theta": 77.0}),
        ("gemma3_text", {"rope_parameters": {"full_attention": FULL, "sliding_attention": FULL}}),
        ("gemma3_text", {"rope_parameters": None, "rope_local_base_freq": 77.0}),
    ],
)
def test_fields_that_are_read(tmp_path: Path, architecture: str, fields: dict[str, Any]) -> None:
    """Of transformers 5, and those that 4 writes: the states are others with them than without them."""
    folder = small_models.save(tmp_path / "saved", architecture)
    before = states(folder)
    edit(folder / "config.json", **fields)

    assert 1e-3 < (states(folder) - before).abs().max()


def states(folder: Path) -> torch.Tensor:
    """Of one text of 40 tokens, as the checkpoint is loaded for an export."""
    ids = torch.arange(5, 45)[None]
    with torch.no_grad():
        hidden: torch.Tensor = load(folder).torch[0].auto_model(input_ids=ids).last_hidden_state
    return hidden


def change_tokenizer(folder: Path, change: Any) -> None:
    path = folder / "tokenizer.json"
    result = tokenizers.Tokenizer.from_file(str(path))
    described = json.loads(change(result) or result.to_str())
    path.write_text(json.dumps(described))


def with_hole(tokenizer: tokenizers.Tokenizer) -> str:
    """The last token of the vocabulary is far beyond the others."""
    described = json.loads(tokenizer.to_str())
    vocabulary = described["model"]["vocab"]
    vocabulary[max(vocabulary, key=vocabulary.get)] = 5000
    return json.dumps(described)


def with_template(tokenizer: tokenizers.Tokenizer) -> str:
    """A text ends with an id that no table has."""
    tokenizer.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 7000), ("[CLS]", 2))
    return str(tokenizer.to_str())


@pytest.mark.parametrize(
    "architecture", ["bert", "roberta", "mpnet", "distilbert", "qwen2", "t5", "modernbert"]
)
def test_added_tokens_without_rows(tmp_path: Path, architecture: str) -> None:
    """Whatever the architecture, one of them in a text would make the whole request fail."""
    folder = small_models.save(tmp_path / "saved", architecture)
    rows = load(folder).torch[0].auto_model.get_input_embeddings().weight.shape[0]
    change_tokenizer(folder, lambda actual: actual.add_tokens(["<one>", "<two>"]) and None)

    refused = refusal(folder)

    assert f"ids up to {rows + 1}, and a table of embeddings of {rows} rows" in refused
    assert f"which 2 of them have none of: <one> ({rows}), <two> ({rows + 1})" in refused
    assert "resize_token_embeddings" in refused


@pytest.mark.parametrize(
    ("change", "highest"),
    [pytest.param(with_hole, 5000, id="hole"), pytest.param(with_template, 7000, id="end")],
)
def test_other_ids_without_rows(tmp_path: Path, change: Any, highest: int) -> None:
    folder = small_models.save(tmp_path / "saved")
    change_tokenizer(folder, change)

    assert f"ids up to {highest}, and a table of embeddings of" in refusal(folder)


def test_a_table_with_more_rows_than_ids(tmp_path: Path) -> None:
    """As many models have it, for a number that divides well."""
    folder = small_models.save(tmp_path / "saved")
    actual = load(folder)

    actual.torch[0].auto_model.resize_token_embeddings(400)
    actual.torch.save_pretrained(str(tmp_path / "larger"))

    assert small_models.WIDTH == load(tmp_path / "larger").dimensions


@pytest.mark.parametrize(
    ("architecture", "positions"),
    [("bert", 48), ("roberta", 48), ("mpnet", 48), ("gpt2", 160), ("opt", 160), ("nystromformer", 160)],
)
def test_a_limit_beyond_the_positions(tmp_path: Path, architecture: str, positions: int) -> None:
    """Texts are cut where the position embeddings end, not where the table would be left."""
    folder = small_models.save(tmp_path / "saved", architecture)
    edit(folder / "sentence_bert_config.json", max_seq_length=4000)

    assert positions == load(folder).max_tokens


def test_a_limit_without_room_for_text(tmp_path: Path) -> None:
    folder = small_models.save(tmp_path / "saved")
    edit(folder / "sentence_bert_config.json", max_seq_length=2)
    (tmp_path / "models.txt").write_text("./saved\n")

    done = run("export", cwd=tmp_path)

    assert 1 == done.returncode
    assert "its limit is 2 tokens, and 2 special ones are put around a text" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_config_of_a_later_transformers(tmp_path: Path) -> None:
    """What the installed one may not know is refused; of the BERT family, every field is read."""
    for name in ("bert", "qwen3"):
        edit(small_models.save(tmp_path / name, name) / "config.json", transformers_version="99.0.0")
    lines = [Entry(name=name, repo=name, folder=tmp_path / name) for name in ("bert", "qwen3")]

    with pytest.raises(ExportsFailed) as failed:
        export_all(lines, tmp_path / "artifacts", force=False)

    assert ["bert"] == [one.manifest.name for one in failed.value.exports]
    assert "qwen3 cannot be exported: its config.json was saved by transformers 99.0.0 and has" in str(
        failed.value
    )
    assert "export it where a version is installed that is not older" in str(failed.value)


def test_an_architecture_that_is_not_known(tmp_path: Path) -> None:
    """Of a later transformers, or of none."""
    folder = small_models.save(tmp_path / "saved")
    edit(folder / "config.json", model_type="bert6", transformers_version="99.0.0")

    sentence = refusal(folder)

    assert "saved has the architecture bert6, which transformers 5" in sentence
    assert "(its config.json was saved by 99.0.0); export it where" in sentence
    assert "\n" not in sentence


def test_warnings_of_the_libraries_are_shown_once(tmp_path: Path) -> None:
    """Transformers warns of a key that it does not know, several times; it is a line, and no more."""
    folder = small_models.save(tmp_path / "saved", "qwen3")
    edit(folder / "config.json", rope_parameters={**FULL, "spare": 1})
    (tmp_path / "models.txt").write_text("./saved\n")

    done = run("export", cwd=tmp_path)

    assert 0 == done.returncode, done.stderr
    lines = [line for line in done.stderr.splitlines() if "warns" in line]
    assert 1 == len(lines)
    assert "saved: transformers warns: " in lines[0]
    assert "{'spare'}" in lines[0]
    stages = ("finding", "loading", "exporting", "checking", "quantizing", "comparing", "done")
    assert [f"saved: {stage}" for stage in stages] == [
        line for line in done.stderr.splitlines() if line not in lines
    ]


def test_which_warnings_are_lines(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Those of what loads models, logged or warned; nothing for developers, and nobody else's."""
    transformers = logging.getLogger("transformers.models.some")
    with progress.bars() as bars, progress.explained("name", tmp_path, Show(bars, "name")):
        for _ in range(2):
            transformers.warning("one\nwarning, %s", "formatted")
        transformers.info("nothing")
        transformers.warning("Some weights of BertModel were not initialized")
        transformers.warning("\x1b[1mBertModel LOAD REPORT\x1b[0m from: x\npooler.bias | MISSING |")
        logging.getLogger("optimum.exporters").warning("about its own workings")
        for category in (UserWarning, FutureWarning, DeprecationWarning):
            warnings.warn_explicit(category.__name__, category, "/x/sentence_transformers/model.py", 1)
        warnings.warn_explicit("elsewhere", UserWarning, "/x/torch/onnx.py", 1)

    assert [
        "name: transformers warns: one warning, formatted",
        "name: sentence_transformers warns: UserWarning",
    ] == capsys.readouterr().err.splitlines()
    assert 0 == logging.root.manager.disable
