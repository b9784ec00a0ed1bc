"""ranges.json of an export: over which texts, of which vectors, and what int8 loses by it."""

from pathlib import Path

import numpy as np
import pytest
import small_models
from harness import MINILM, SMALL, WITHOUT_PYTORCH, run

from embed_onnx import Model
from embed_onnx.artifact import ranges
from embed_onnx_export import calibration
from embed_onnx_export.report import scores, texts

LINES = [f"text {number} about something else" for number in range(30)]


@pytest.mark.parametrize("name", [MINILM, SMALL])
def test_sizes_are_those_of_the_calibration_texts(artifacts: Path, name: str) -> None:
    """Of the vectors that are served, behind no prompt and behind each of the model's in turn."""
    samples = calibration.default()
    with Model.load(artifacts / name) as model:
        prompts = list(model.manifest.prompts.values())
        whole = [prompt + text for prompt, text in calibration.prompted(samples, prompts)]
        units, raw = (model.encode(whole, prompt="", normalize=normalize) for normalize in (True, False))
        halves = model.encode(whole, prompt="", normalize=False)[:, : units.shape[1] // 2]
        greatest = [model.ranges(normalize=normalize)[1, 0] * 127 / 126.5 for normalize in (True, False)]

    sizes = ranges.read(artifacts / name)

    assert samples.record == sizes.calibration
    assert [np.quantile(np.abs(vectors), 0.999) for vectors in (units, raw)] == pytest.approx(
        [sizes.unit, sizes.raw], rel=1e-5
    )
    assert [sizes.unit, sizes.raw] == pytest.approx(greatest, rel=1e-5)
    assert sizes.norms[halves.shape[1] - 1] == pytest.approx(
        (np.linalg.norm(halves, axis=1) / np.linalg.norm(raw, axis=1)).mean(), rel=1e-4
    )
    assert 1 == sizes.norms[-1]


def test_int8_finds_the_same_neighbours(minilm: Model) -> None:
    """Of the ten nearest by cosine, of sentences that were not calibrated on; whole vectors and cut ones."""
    sentences = texts.sentences(300)
    for dimensions, least in ((384, 0.98), (96, 0.97)):
        vectors = minilm.encode(sentences, dimensions=dimensions)
        stored = minilm.encode(
            sentences, dimensions=dimensions, dtype="int8", ranges=minilm.ranges(dimensions=dimensions)
        ).astype(np.float32)
        units = stored / np.linalg.norm(stored, axis=1, keepdims=True)
        nearest = [scores.nearest(rows, rows, range(300)) for rows in (vectors, units)]

        assert scores.overlap(*nearest) > least


def test_texts_of_a_users_own(tmp_path: Path) -> None:
    """Of a model whose weights are not calibrated as well: other texts are another artifact."""
    small_models.save(tmp_path / "model")
    (tmp_path / "models.txt").write_text("./model  precision=float32\n")
    (tmp_path / "texts.txt").write_text("\n".join(LINES))

    def export(*arguments: str) -> None:
        done = run("export", *arguments, cwd=tmp_path, environment=WITHOUT_PYTORCH)
        assert done.returncode == 0, done.stderr

    def sizes() -> ranges.Sizes:
        return ranges.read(tmp_path / "artifacts" / "model")

    export()
    ours = sizes()
    export("--calibrate", "texts.txt")
    theirs = sizes()

    assert calibration.default().record == ours.calibration
    assert calibration.read(tmp_path / "texts.txt").record == theirs.calibration
    assert ours.unit != theirs.unit
    before = (tmp_path / "artifacts" / "model" / "manifest.json").stat().st_mtime_ns
    export("--calibrate", "texts.txt")
    export()
    assert before == (tmp_path / "artifacts" / "model" / "manifest.json").stat().st_mtime_ns
