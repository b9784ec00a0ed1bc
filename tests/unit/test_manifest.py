"""manifest.json: written and read back, refused with a sentence, and checked against its files."""

import json
import os
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from manifests import SAMPLE, sentence, write

from embed_onnx.artifact import manifest
from embed_onnx.errors import ArtifactError

WRONG = {"model.onnx": "0" * 64, "tokenizer.json": "0" * 64}
"""Digests that no file has."""
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""That of no bytes."""


DENSE = msgspec.to_builtins(SAMPLE)["output"]


def test_a_manifest_is_read_back_as_it_was_written(tmp_path):
    """And with its own sha256, which does not change what is written over it."""
    manifest.write(SAMPLE, tmp_path)
    actual = manifest.read(tmp_path)
    raw = (tmp_path / manifest.MANIFEST).read_bytes()
    manifest.write(actual, tmp_path)

    assert {manifest.MANIFEST} == actual.sha256.keys()
    assert SAMPLE == msgspec.structs.replace(actual, sha256={})
    assert raw == (tmp_path / manifest.MANIFEST).read_bytes()


def test_fields_with_defaults_may_be_absent_except_the_format(tmp_path):
    manifest.write(SAMPLE, tmp_path)
    written = json.loads((tmp_path / manifest.MANIFEST).read_text())
    for name in ("prompts", "default_prompt", "quantization", "packed"):
        del written[name]
    (tmp_path / manifest.MANIFEST).write_text(json.dumps(written))

    actual = manifest.read(tmp_path)

    expected = ({}, None, None, False)
    assert expected == (actual.prompts, actual.default_prompt, actual.quantization, actual.packed)


def test_a_folder_without_a_manifest_names_the_way_out(tmp_path):
    expected = f"{tmp_path} holds no manifest.json; run `embed-onnx export` to make it"

    assert expected == sentence(tmp_path)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut-off"),
        pytest.param(b"[]", id="no-object"),
        pytest.param(b"{}", id="no-format"),
        pytest.param(b'{"format": "1"}', id="format-is-text"),
        pytest.param(b'{"format": 1}', id="only-a-format"),
        pytest.param(b'{"format": 1, "name": "\xff"}', id="not-utf8"),
    ],
)
def test_a_malformed_manifest_is_an_artifact_error(tmp_path, raw):
    (tmp_path / manifest.MANIFEST).write_bytes(raw)

    assert f"{tmp_path / 'manifest.json'} cannot be read: " in sentence(tmp_path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"shards": 3}, "unknown field `shards`", id="unknown-field"),
        pytest.param({"parity": {"texts": 1, "bleu": 1}}, "unknown field `bleu`", id="unknown-inner-field"),
        pytest.param({"output": DENSE | {"dimensions": 0}}, "`$.output.dimensions`", id="no-dimensions"),
        pytest.param(
            {"output": DENSE | {"kind": "other"}}, "'other' - at `$.output.kind`", id="unknown-kind"
        ),
        pytest.param(
            {"output": DENSE | {"labels": []}}, "unknown field `labels`", id="field-of-another-kind"
        ),
        pytest.param({"max_tokens": 1.5}, "`$.max_tokens`", id="half-a-token"),
        pytest.param({"output": DENSE | {"pooling": []}}, "`$.output.pooling`", id="no-pooling"),
        pytest.param(
            {"output": DENSE | {"pooling": ["attention"]}}, "`$.output.pooling[0]`", id="unknown-pooling"
        ),
        pytest.param({"precision": "fp16"}, "`$.precision`", id="unknown-precision"),
        pytest.param({"name": "../up"}, "`$.name`", id="name-that-escapes"),
        pytest.param({"name": "a:b"}, "`$.name`", id="name-with-a-colon"),
        pytest.param({"name": "a\n"}, "`$.name`", id="name-with-a-line-end"),
        pytest.param({"modules": [{"text": "Dense", "runs_in": "torch"}]}, "runs_in", id="unknown-place"),
        pytest.param(
            {"output": DENSE | {"matryoshka": [64, 0]}},
            "`$.output.matryoshka[1]`",
            id="no-matryoshka-dimensions",
        ),
        pytest.param({"default_prompt": "no"}, "default_prompt 'no' is not one of the prompts", id="prompt"),
    ],
)
def test_a_wrong_field_is_named_with_the_file_and_the_way_out(tmp_path, changes, reason):
    actual = sentence(write(tmp_path, **changes))

    assert reason in actual
    assert actual.startswith(f"{tmp_path / 'manifest.json'} cannot be read: ")
    assert actual.endswith("; export the model again")


def test_a_default_prompt_is_one_of_the_prompts_in_memory_too():
    with pytest.raises(ValueError, match="default_prompt 'no' is not one of the prompts"):
        msgspec.structs.replace(SAMPLE, default_prompt="no")


def test_files_as_exported_are_verified(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"weights")
    (tmp_path / "tokenizer.json").write_bytes(b"words")
    hashes = {path.name: manifest.sha256(path) for path in tmp_path.iterdir()}
    manifest.write(msgspec.structs.replace(SAMPLE, sha256=hashes), tmp_path)

    manifest.verify(manifest.read(tmp_path), tmp_path)


def test_a_manifest_that_was_changed_is_named(tmp_path):
    """A limit that was edited, and is well-formed, is not what was exported and measured."""
    (tmp_path / "model.onnx").write_bytes(b"weights")
    (tmp_path / "tokenizer.json").write_bytes(b"words")
    hashes = {path.name: manifest.sha256(path) for path in tmp_path.iterdir()}
    manifest.write(msgspec.structs.replace(SAMPLE, sha256=hashes), tmp_path)
    path = tmp_path / manifest.MANIFEST
    path.write_text(path.read_text().replace('"max_tokens": 256', '"max_tokens": 512'))

    actual = manifest.read(tmp_path)

    with pytest.raises(ArtifactError, match=r"manifest\.json is damaged: its sha256 is "):
        manifest.verify(actual, tmp_path)
    assert 512 == actual.max_tokens


def test_a_damaged_file_is_named_with_both_digests(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"weights")
    actual = manifest.sha256(tmp_path / "model.onnx")
    changed = msgspec.structs.replace(SAMPLE, sha256=WRONG)

    expected = (
        f"{tmp_path / 'model.onnx'} is damaged: its sha256 is {actual[:12]}... and the manifest says "
        "000000000000...; export the model again, or copy the folder again"
    )
    with pytest.raises(ArtifactError, match=f"^{re.escape(expected)}$"):
        manifest.verify(changed, tmp_path)


def test_a_missing_file_is_named(tmp_path):
    actual = msgspec.structs.replace(SAMPLE, sha256=WRONG)

    expected = f"{tmp_path / 'model.onnx'} cannot be read: No such file or directory; export the model again"
    with pytest.raises(ArtifactError, match=f"^{re.escape(expected)}$"):
        manifest.verify(actual, tmp_path)


def test_an_artifact_without_hashes_is_not_verified(tmp_path):
    with pytest.raises(ArtifactError, match=r"has no sha256 of model\.onnx"):
        manifest.verify(SAMPLE, tmp_path)


def test_a_head_without_a_hash_is_not_verified(tmp_path):
    for name in WRONG:
        (tmp_path / name).touch()
    module = manifest.Module("Dense", "head.onnx")
    actual = msgspec.structs.replace(SAMPLE, modules=(module,), sha256=dict.fromkeys(WRONG, EMPTY))

    with pytest.raises(ArtifactError, match=r"has no sha256 of head\.onnx"):
        manifest.verify(actual, tmp_path)


def test_sha256_is_the_usual_hex_digest(tmp_path):
    (tmp_path / "empty").touch()

    assert EMPTY == manifest.sha256(tmp_path / "empty")


@pytest.mark.parametrize("text", ["a", "owner/name", "v1.5", "_x", "a..", "a/b/c-d_e.f"])
def test_is_name(text):
    assert manifest.is_name(text)


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", ".a", "-a", "/a", "a/", "a//b", "a/../b", "a:b", "a b", "a\n", "é", "a\\b", "~", "a\0"],
)
def test_is_not_a_name(text):
    assert not manifest.is_name(text)


@given(text=st.text(r"a./\~:_-") | st.text() | st.from_regex(manifest.NAME_PATTERN))
def test_a_name_never_escapes_a_folder(text):
    """The artifact's folder is below the artifacts folder and never hidden."""
    if not manifest.is_name(text):
        return

    inside = os.path.relpath(os.path.normpath(Path("/artifacts") / text), "/artifacts")

    assert text == inside
    assert not any(part.startswith(".") for part in Path(inside).parts)
