"""Sessions: what is not a model is refused, and a vector that is not finite never leaves."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from harness import MINILM, SMALL
from kernel_sessions import ENGINES
from onnx import TensorProto, helper, numpy_helper

from embed_onnx.artifact import manifest
from embed_onnx.artifact.manifest import Manifest
from embed_onnx.engine import native
from embed_onnx.engine.encoder import Encoder
from embed_onnx.engine.inference import Inference
from embed_onnx.engine.outputs.dense import DenseFinish
from embed_onnx.engine.sequence import TokenSequence
from embed_onnx.errors import ArtifactError, InferenceFailed


@pytest.fixture(scope="module")
def small_manifest(artifacts: Path) -> Manifest:
    return manifest.read(artifacts / SMALL)


def table_model(path: Path, table: np.ndarray) -> Path:
    """A model whose token states are the rows of a table."""
    node = helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])
    states = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "tokens", 32])
    graph = helper.make_graph([node], "table", [ids], [states], [numpy_helper.from_array(table, "table")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return path


def encode(
    encoder: Encoder, described: Manifest, sequences: list[list[int]], **options: bool
) -> list[np.ndarray]:
    """The vectors of sequences."""
    finish = DenseFinish(described.output, encoder.through_head, **options)
    return Inference(encoder, finish).run([TokenSequence(ids) for ids in sequences])


def test_mean_of_states_normalised(tmp_path: Path, small_manifest: Manifest) -> None:
    """The vector is the mean of the token states, at length 1."""
    table = np.random.default_rng(0).normal(size=(5, 32)).astype(np.float32)
    encoder = Encoder(table_model(tmp_path / "model.onnx", table), small_manifest)

    vectors = encode(encoder, small_manifest, [[0, 1, 4], [2]])

    means = np.stack([table[[0, 1, 4]].mean(axis=0), table[2]])
    assert np.allclose(means / np.linalg.norm(means, axis=1, keepdims=True), vectors, atol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_vector_that_is_not_finite_is_an_error(
    tmp_path: Path, small_manifest: Manifest, value: float
) -> None:
    """Trying again cannot help, and the answer says so."""
    encoder = Encoder(
        table_model(tmp_path / "model.onnx", np.full((2, 32), value, np.float32)), small_manifest
    )

    with pytest.raises(InferenceFailed, match="not finite") as failed:
        encode(encoder, small_manifest, [[0]])

    assert {"x-should-retry": "false"} == failed.value.headers


def test_sequences_run_together_with_kernels_and_alone_without(
    artifacts: Path, small_manifest: Manifest
) -> None:
    """The same vectors either way, to the bit; between the two, activations have another number of bits."""
    path = artifacts / SMALL / "model.onnx"
    sequences = [list(range(5, 5 + length)) for length in (3, 1, 17, 8)]
    with_kernels, without = Encoder(path, small_manifest), Encoder(path, small_manifest, native.find("off"))

    vectors = [encode(encoder, small_manifest, sequences) for encoder in (with_kernels, without)]

    alone = [
        [encode(encoder, small_manifest, [ids])[0] for ids in sequences]
        for encoder in (with_kernels, without)
    ]
    assert np.array_equal(alone, vectors)
    assert np.all(np.einsum("td,td->t", *vectors) > 0.999)
    assert 0 == without.pack_tokens
    assert without.kernels.reason == "kernels are off"


@pytest.mark.parametrize("name", [MINILM, SMALL])
@pytest.mark.parametrize("engine", ENGINES[1:])
def test_vectors_are_the_same_by_every_instruction_set(artifacts: Path, name: str, engine: str) -> None:
    """To the bit, alone and in a pack, from token ids to what is served."""
    described = manifest.read(artifacts / name)
    rng = np.random.default_rng(0)
    sequences = [list(rng.integers(5, 60, length)) for length in (1, 3, 8, 16, 17, 40)]
    first, other = (
        Encoder(artifacts / name / "model.onnx", described, native.find(kernels))
        for kernels in (ENGINES[0], engine)
    )

    expected = [encode(first, described, [ids])[0] for ids in sequences]

    np.testing.assert_array_equal(expected, encode(other, described, sequences))


def test_the_tokens_of_a_prompt_are_not_pooled(tmp_path: Path, small_manifest: Manifest) -> None:
    """How many these are is each sequence's own: those of several prompts, and of none, share a pack."""
    table = np.random.default_rng(0).normal(size=(5, 32)).astype(np.float32)
    encoder = Encoder(table_model(tmp_path / "model.onnx", table), small_manifest)
    finish = DenseFinish(small_manifest.output, encoder.through_head, normalize=False)
    pack = [TokenSequence([0, 1, 4]), TokenSequence([0, 1, 4], prompt=1), TokenSequence([3, 2], prompt=1)]

    vectors = Inference(encoder, finish).run(pack)

    means = [table[[0, 1, 4]].mean(axis=0), table[[1, 4]].mean(axis=0), table[2]]
    assert np.allclose(means, vectors, atol=1e-6)


def test_a_failing_session_is_an_error(tmp_path: Path, small_manifest: Manifest) -> None:
    encoder = Encoder(table_model(tmp_path / "model.onnx", np.zeros((2, 32), np.float32)), small_manifest)

    with pytest.raises(InferenceFailed, match="1 tokens"):
        encode(encoder, small_manifest, [[7]])


def test_what_is_no_model(tmp_path: Path, small_manifest: Manifest) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"not a model")

    with pytest.raises(ArtifactError, match="export the model again"):
        Encoder(path, small_manifest)


GROWTH = """
import sys
from embed_onnx import Model
def most():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1000
with Model.load(sys.argv[1], threads=1) as model:
    model.encode("a few words")
    before = most()
    for _ in range(4):
        model.encode("words " * 300)
print(most() - before)
"""
"""Megabytes that texts of 256 tokens take beyond a short one, in a process of its own."""


def test_operators_leave_no_gaps_in_memory(artifacts: Path) -> None:
    """One [heads, tokens, tokens] of MiniLM has 3 MB; without an arena, layers took 36 MB."""
    command = [sys.executable, "-c", GROWTH, str(artifacts / MINILM)]
    environment = os.environ | {native.VARIABLE: "off"}

    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)

    assert 3 < float(done.stdout) < 24


@pytest.mark.parametrize("length", [1, 2, 41])
def test_plain_onnxruntime_gives_the_states(artifacts: Path, small_manifest: Manifest, length: int) -> None:
    """The file needs nothing but ONNX Runtime, and a padded batch gives nearly the same states."""
    import onnxruntime

    session = onnxruntime.InferenceSession(artifacts / SMALL / "model.onnx")
    ids = np.arange(5, 5 + length)[None] % 50
    padded = np.pad(ids, [(0, 0), (0, 7)])
    mask = (np.arange(padded.shape[1]) < length).astype(np.int64)[None]

    def states(value: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return session.run(["last_hidden_state"], {"input_ids": value, "attention_mask": mask})[0]

    alone, together = states(ids, np.ones_like(ids)), states(padded, mask)
    assert np.allclose(alone, together[:, :length], atol=1e-4)
    onnx.checker.check_model(onnx.load(artifacts / SMALL / "model.onnx"), full_check=True)
