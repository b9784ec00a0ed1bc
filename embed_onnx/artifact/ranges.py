"""ranges.json: how large the numbers of a model's vectors are, of which int8 and uint8 are made.

An export measures it over the calibration texts, so that what becomes of a vector depends on no other one,
and the int8 vectors of queries and of documents can be compared. The manifest lists it as a file of the
artifact; artifacts of older versions have none.
"""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from embed_onnx.artifact.manifest import RANGES, Calibration
from embed_onnx.artifact.schema import Record
from embed_onnx.errors import ArtifactError

Size = Annotated[float, Meta(ge=0)]


class Sizes(Record, frozen=True, kw_only=True):
    """Sizes that nearly all numbers of the calibration texts' vectors are within.

    ``raw`` is of vectors before the Normalize that a model ends with, or of one without that, as they come;
    ``unit`` of those of length 1, and ``norms`` are the mean lengths of the first 1, 2, ... numbers of these.
    """

    calibration: Calibration
    raw: Size
    unit: Size
    norms: Annotated[tuple[Size, ...], Meta(min_length=1)]

    def greatest(self, dimensions: int, *, normalized: bool) -> float:
        """The size for vectors cut to so many dimensions; with ``normalized``, of length 1 after that.

        To normalise a cut again divides by the length that is left, on average its mean: no number of a
        vector of length 1 is above 1.
        """
        if not normalized:
            return self.raw
        length = self.norms[dimensions - 1]
        return min(self.unit / length, 1.0) if length else 1.0  # a model may leave its first numbers zero


def read(folder: Path) -> Sizes:
    """The sizes of an artifact that has them.

    Raises:
        ArtifactError: The file is absent or malformed.
    """
    path = folder / RANGES
    try:
        return msgspec.json.decode(path.read_bytes(), type=Sizes)
    except (OSError, ValueError) as err:  # msgspec's errors are ValueErrors
        raise ArtifactError(f"{path} cannot be read: {err}; export the model again") from None


def write(sizes: Sizes, folder: Path) -> None:
    """Write the sizes into an artifact's folder."""
    (folder / RANGES).write_bytes(msgspec.json.encode(sizes) + b"\n")
