"""report.json: what a report card says, as data. It lies beside an artifact and is not a part of it."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from embed_onnx import files
from embed_onnx.artifact.manifest import Precision
from embed_onnx.artifact.parity import Parity
from embed_onnx.artifact.schema import Record
from embed_onnx.engine.dtypes import DType
from embed_onnx_export.report.environment import Machine

REPORT, DATA = "report.md", "report.json"


class ModelFacts(Record, frozen=True, kw_only=True):
    """What a model of any kind of output is."""

    name: str
    repo: str
    revision: str | None
    license: str | None
    max_tokens: int | None
    modules: list[str]


class Conditions(Record, frozen=True, kw_only=True):
    """With what a model was measured, and when. Names are those of files.

    ``parity`` counts the items that are compared with the original. ``load`` is the machine's average over a
    minute, which the measuring itself raises to its cores.
    """

    parity: int
    pairs: str | None
    num_pairs: int
    retrieval: str | None
    num_documents: int
    num_queries: int
    judgements_left_out: int = 0
    timed_texts: int
    timed_tokens: int
    load: float


class Speed(Record, frozen=True, kw_only=True):
    """Tokens a second, of several rounds."""

    median: float
    least: float
    most: float


class Way(Record, frozen=True, kw_only=True):
    """One way to run a model."""

    runs_on: str
    megabytes: float
    speed: Speed


class Report(Record, frozen=True, kw_only=True):
    """A report card of any kind of output. ``created`` is in Unix seconds.

    ``artifacts`` has a row for each precision that could be made; ``refused`` says why another could not.
    """

    created: int
    command: str
    machine: Machine
    versions: dict[str, str | None]
    model: ModelFacts
    measured: Conditions
    precision: Precision
    original: Way
    artifacts: Mapping[Precision, Way]
    refused: str | None


class Facts(ModelFacts, frozen=True, kw_only=True):
    """What an embedder is. ``similarity`` is the one that its makers rank by."""

    dimensions: int
    pooling: list[str]
    prompts: dict[str, str]
    default_prompt: str | None
    similarity: str


class Measured(Conditions, frozen=True, kw_only=True):
    """With what an embedder was measured. ``neighbours`` says among what they are looked for."""

    neighbours: str


class Ranks(Record, frozen=True, kw_only=True):
    """What vectors find, each at most 1; None where there was nothing to measure it with.

    ``neighbours`` is the share of the ten nearest by the original's whole vectors that are among the ten.
    """

    neighbours: float
    spearman: float | None
    ndcg: float | None
    recall: float | None


class Scores(Ranks, frozen=True, kw_only=True):
    """What vectors find that are cut to so many dimensions."""

    dimensions: int


class Row(Way, frozen=True, kw_only=True):
    """One way to run an embedder. ``cosines`` are to the original, a text of ``parity`` each.

    ``parity`` has their figures, of short texts and of others, as the manifest does.
    ``scores`` begin with all dimensions.
    """

    cosines: list[float]
    parity: Parity
    scores: list[Scores]


class Smaller(Record, frozen=True, kw_only=True):
    """This artifact's vectors in another type of numbers, of so many bytes each.

    They are compared as they are: int8 and uint8 by the similarity of their numbers, bits by their distance.
    """

    dtype: DType
    bytes: int
    scores: Scores


class Card(Report, frozen=True, kw_only=True):
    """The report card of an embedder.

    ``types`` begin with float32, and are without those that take ranges where the artifact has none.
    """

    format: int = 3
    model: Facts
    measured: Measured
    original: Row
    artifacts: dict[Precision, Row]
    types: list[Smaller]


def exists(folder: Path) -> bool:
    """Whether an artifact has a report card."""
    return (folder / REPORT).exists()


def write(card: Report, text: str, folder: Path) -> None:
    """Write both files, the one for people last; each is whole or is not there."""
    files.replace(folder / DATA, msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n")
    files.replace(folder / REPORT, text.encode())
