"""int8 weights for what flows through a model: nearer to the original, the same each time, of any texts."""

import json
from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime as ort
import pytest
import small_models
from harness import SMALL, WITHOUT_PYTORCH, run

from embed_onnx import Model
from embed_onnx.artifact import manifest
from embed_onnx.artifact.models_txt import Entry
from embed_onnx.engine import native
from embed_onnx.errors import SetupError
from embed_onnx_export import calibration, parity, similarity
from embed_onnx_export.checkpoint import files, modules, sources
from embed_onnx_export.errors import DatasetError
from embed_onnx_export.graph import int8, onnx_file
from embed_onnx_export.graph.bert import calibration as bert_calibration
from embed_onnx_export.graph.bert import encoder_graph, functions
from embed_onnx_export.graph.bert.families import Encoder
from embed_onnx_export.graph.bert.products import LayerProducts

architectures = pytest.mark.parametrize("architecture", small_models.ARCHITECTURES)
LENGTHS = (1, 2, 5, 17, 40, 48, 30, 9, 3, 21)


def samples(seed: int) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(5, 300, length).tolist() for length in LENGTHS * 6]


def encoder_of(architecture: str) -> Encoder:
    return small_models.encoder(small_models.build(architecture))


def states(encoder: Encoder, layers: list[LayerProducts] | None, *, quantized: bool) -> np.ndarray:
    """Those of texts that were not calibrated on, by standard operators."""
    opened = onnx_file.session(encoder_graph.build(encoder, quantized=quantized, layers=layers))
    texts = (np.array([ids]) for ids in samples(99))
    return np.concatenate([onnx_file.states(opened, ids, np.ones_like(ids))[0] for ids in texts])


@architectures
def test_calibrated_states_are_nearer(architecture: str) -> None:
    """The standard operators with calibrated weights, beside those with weights rounded to the nearest."""
    encoder = encoder_of(architecture)
    original = states(encoder, None, quantized=False)
    layers = bert_calibration.calibrate(encoder, samples(1))

    nearest = np.square(states(encoder, None, quantized=True) - original).mean()
    calibrated = np.square(states(encoder, layers, quantized=True) - original).mean()

    assert calibrated < 0.9 * nearest


@architectures
def test_kernels_and_functions_compute_the_same(architecture: str) -> None:
    kernels = native.find()
    if kernels.library is None:
        pytest.skip(kernels.reason)
    encoder = encoder_of(architecture)
    model = encoder_graph.build(
        encoder, quantized=True, layers=bert_calibration.calibrate(encoder, samples(1))
    )
    options = ort.SessionOptions()
    options.register_custom_ops_library(str(kernels.library))
    native_session = ort.InferenceSession(model.SerializeToString(), options)
    plain = onnx_file.session(model)
    ids = np.array([samples(5)[4]])
    mask = np.ones_like(ids)

    by_kernels, by_functions = (onnx_file.states(opened, ids, mask)[0] for opened in (native_session, plain))

    lengths = np.linalg.norm(by_kernels, axis=1) * np.linalg.norm(by_functions, axis=1)
    assert ((by_kernels * by_functions).sum(axis=1) / lengths).min() > 0.9995


def test_each_limit_on_pairs_of_weights_holds() -> None:
    for layer in bert_calibration.calibrate(encoder_of("bert"), samples(1)):
        for product in (layer.qkv, layer.output, layer.up, layer.down):
            wide = product.weight.astype(int)
            assert np.abs(wide).max() <= 127
            assert np.abs(wide[:-1:2] + wide[1::2]).max() <= 128


def test_the_same_texts_give_the_same_file() -> None:
    encoder = encoder_of("mpnet")
    files = [
        encoder_graph.build(encoder, quantized=True, layers=bert_calibration.calibrate(encoder, samples(1)))
        for _ in range(2)
    ]

    assert files[0].SerializeToString(deterministic=True) == files[1].SerializeToString(deterministic=True)


def test_a_text_beyond_the_positions_is_cut() -> None:
    encoder = encoder_of("bert")

    assert 2 == len(bert_calibration.calibrate(encoder, [[7] * 1000, [8] * 3]))


@pytest.mark.parametrize(
    ("lengths", "cut"),
    [
        pytest.param([3, 600, 512, 40], [3, 512, 512, 40], id="by the limit of a text"),
        pytest.param([3, 600, *[300] * 200], [3, 128, *[128] * 200], id="by the limit of all"),
        pytest.param([250] * 1000, [32] * 1000, id="as many as can be"),
    ],
)
def test_long_texts_are_cut_so_that_a_calibration_takes_minutes(lengths: list[int], cut: list[int]) -> None:
    texts = bert_calibration.cut([[7] * length for length in lengths], 514)

    assert cut == [len(text) for text in texts]


def test_the_texts_of_the_package() -> None:
    """Many, of many kinds, none twice, and none that an artifact's distance is measured on."""
    texts = calibration.default()
    measured = {*parity.sentences(), *json.loads(parity.MESSAGES.read_text())}

    assert len(texts.texts) == len(set(texts.texts)) == texts.record.texts
    assert len(texts.texts) >= 200
    assert not measured & set(texts.texts)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        pytest.param(b"", "txt is 0, and calibrating takes 20 to 1,000; write one on each line", id="empty"),
        pytest.param(b"\n  \n\t\n", "txt is 0, and calibrating takes 20 to 1,000", id="blank"),
        pytest.param(b"one line", "txt is 1, and calibrating takes 20 to 1,000", id="one line"),
        pytest.param(b"a\n" * 19, "txt is 19, and calibrating takes 20 to 1,000", id="too few"),
        pytest.param(b"caf\xe9\n", "is not UTF-8 .byte 3.; save it as UTF-8", id="latin-1"),
        pytest.param(b"a\n" * 1001, "txt is 1,001, and calibrating takes 20 to 1,000", id="too many"),
    ],
)
def test_files_that_cannot_be_calibrated_on(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "texts.txt"
    path.write_bytes(content)

    with pytest.raises(DatasetError, match=sentence):
        calibration.read(path)


def test_a_file_that_is_absent(tmp_path: Path) -> None:
    with pytest.raises(
        SetupError, match="cannot be read: No such file or directory; name another with --cal"
    ):
        calibration.read(tmp_path / "absent.txt")


def test_lines_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_bytes(("\ufeff" + "one text\r\n\r\nanother\u2028of two parts\n" * 10).encode())

    assert ["one text", "another\u2028of two parts"] * 10 == list(calibration.read(path).texts)


def test_an_export_is_calibrated_on_a_users_texts(tmp_path: Path) -> None:
    """And made anew for others, but not for none: a plain export keeps it."""
    small_models.save(tmp_path / "checkpoint")
    for name, text in (("one", "some words of a user\n" * 30), ("two", "other words\n" * 20)):
        (tmp_path / f"{name}.txt").write_text(text)

    def export(*flags: str) -> manifest.Calibration | None:
        done = run("export", "./checkpoint", *flags, cwd=tmp_path, environment=WITHOUT_PYTORCH)
        assert 0 == done.returncode, done.stderr
        artifact = manifest.read(tmp_path / "artifacts" / "checkpoint")
        return artifact.quantization and artifact.quantization.calibration

    package = export()
    one = export("--calibrate", "one.txt")
    kept = export()
    two = export("--calibrate", "two.txt")

    assert calibration.default().record == package
    assert calibration.read(tmp_path / "one.txt").record == one == kept
    assert calibration.read(tmp_path / "two.txt").record == two


def test_exports_of_one_checkpoint_are_the_same_bytes(tmp_path: Path) -> None:
    """Again, and where PyTorch is not installed."""
    small_models.save(tmp_path / "checkpoint")

    def export(**environment: str) -> str:
        done = run("export", "./checkpoint", "--force", cwd=tmp_path, environment=environment)
        assert 0 == done.returncode, done.stderr
        return manifest.sha256(tmp_path / "artifacts" / "checkpoint" / manifest.MODEL)

    first = export()

    assert first == export(**WITHOUT_PYTORCH)
    assert first == export(**WITHOUT_PYTORCH)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("absent.txt", "absent.txt cannot be read: No such file or directory; name another with --calibrate"),
        ("folder", "folder cannot be read: Is a directory; name another with --calibrate"),
        ("binary.txt", "binary.txt is not UTF-8 (byte 1); save it as UTF-8"),
        (
            "empty.txt",
            "the number of texts in empty.txt is 0, and calibrating takes 20 to 1,000; write one on "
            "each line",
        ),
    ],
)
def test_nothing_is_exported_with_texts_that_cannot_be_read(tmp_path: Path, name: str, sentence: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary.txt").write_bytes(b"\0\xff\xfe")
    (tmp_path / "empty.txt").touch()

    done = run("export", "./checkpoint", "--calibrate", name, cwd=tmp_path)

    assert (1, f"embed-onnx: {sentence}\n") == (done.returncode, done.stderr)
    assert not (tmp_path / "artifacts").exists()


def test_what_is_not_calibrated_is_named(tmp_path: Path) -> None:
    """A model of float32 takes no texts, and a line after the table of exports says so."""
    small_models.save(tmp_path / "checkpoint")
    (tmp_path / "texts.txt").write_text("some words\n" * 20)
    (tmp_path / "models.txt").write_text("./checkpoint name=float precision=float32\n./checkpoint name=int\n")

    done = run("export", "--calibrate", "texts.txt", cwd=tmp_path, environment=WITHOUT_PYTORCH)

    assert 0 == done.returncode, done.stderr
    assert "float: not calibrated" in done.stderr
    assert "int: not calibrated" not in done.stderr


def without_factors(encoder: Encoder) -> onnx.ModelProto:
    """An int8 file as it was up to format 5."""
    model = encoder_graph.build(encoder, quantized=True)
    for array, name in zip(int8.quantize_rows(encoder.words), ("words", "word_scale"), strict=True):
        (tensor,) = (one for one in model.graph.initializer if one.name == f"embeddings.{name}")
        tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    body = onnx.parser.parse_function(functions.token_embeddings(after_padding=False))
    next(one for one in model.functions if one.name == body.name).CopyFrom(body)
    del model.graph.node[0].input[len(body.input) :]
    onnx.checker.check_model(model)
    return model


def test_an_artifact_of_the_format_before_is_served_as_it_is(copied: Path, home: Path) -> None:
    """Its layers have no factors, its weights are rounded to the nearest, and its manifest says neither."""
    folder = copied / "artifacts" / SMALL
    texts = ["some words", "numbers such as 12"]
    with Model.load(folder) as model:
        calibrated = model.encode(texts)
    checkpoint = sources.find(Entry(name=SMALL, repo=SMALL, folder=home / "checkpoint"))
    encoder = files.read(checkpoint, modules.read(checkpoint)).states
    assert isinstance(encoder, Encoder)
    onnx_file.save(without_factors(encoder), folder / manifest.MODEL)
    fields = msgspec.to_builtins(manifest.read(folder))
    del fields["quantization"]["calibration"], fields["sha256"][manifest.MANIFEST]
    fields["sha256"][manifest.MODEL] = manifest.sha256(folder / manifest.MODEL)
    (folder / manifest.MANIFEST).write_text(json.dumps(fields | {"format": 5, "recipe": 8}))

    with Model.load(folder) as model:
        vectors = model.encode(texts)
        quantization = model.manifest.quantization

    assert quantization is not None
    assert quantization.calibration is None
    assert similarity.cosines(vectors, calibrated).min() > 0.999
    assert (vectors != calibrated).any()
