"""The sizes of an artifact's numbers: what they are for vectors that are cut, and how the file is read."""

from pathlib import Path

import msgspec
import pytest

from embed_onnx.artifact import ranges
from embed_onnx.artifact.manifest import RANGES, Calibration
from embed_onnx.artifact.ranges import Sizes
from embed_onnx.errors import ArtifactError

SIZES = Sizes(calibration=Calibration(texts=3, sha256="ab"), raw=6.0, unit=0.5, norms=(0.25, 0.8, 1.0))


@pytest.mark.parametrize(
    ("dimensions", "normalized", "expected"),
    [
        pytest.param(3, True, 0.5, id="all"),
        pytest.param(2, True, 0.625, id="cut-and-normalised-again"),
        pytest.param(1, True, 1.0, id="no-number-is-above-1"),
        pytest.param(3, False, 6.0, id="before-normalize"),
        pytest.param(1, False, 6.0, id="cut-alone"),
    ],
)
def test_the_size_for_each_kind_of_vector(dimensions: int, normalized: bool, expected: float) -> None:
    assert expected == SIZES.greatest(dimensions, normalized=normalized)


def test_first_numbers_that_are_always_zero() -> None:
    """A cut to them has no length to divide by."""
    zeros = msgspec.structs.replace(SIZES, norms=(0.0, 0.8, 1.0))

    assert 1.0 == zeros.greatest(1, normalized=True)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    ranges.write(SIZES, tmp_path)

    assert SIZES == ranges.read(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(msgspec.json.encode(SIZES).replace(b"0.5", b"-1"), id="below-0"),
        pytest.param(msgspec.json.encode(SIZES).replace(b"raw", b"row"), id="an-unknown-field"),
        pytest.param(None, id="absent"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / RANGES).write_bytes(content)

    with pytest.raises(ArtifactError, match="export the model again"):
        ranges.read(tmp_path)
