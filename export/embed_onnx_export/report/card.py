"""report.json: what a report card says, as data. It lies beside an artifact and is not a part of it."""

from pathlib import Path

import msgspec

from embed_onnx import files
from embed_onnx.artifact.manifest import Parity, Precision, Record
from embed_onnx_export.report.environment import Machine

REPORT, DATA = "report.md", "report.json"


class Facts(Record, frozen=True, kw_only=True):
    """What the model is. ``similarity`` is the one that its makers rank by."""

    name: str
    repo: str
    revision: str | None
    license: str | None
    dimensions: int
    max_tokens: int | None
    modules: list[str]
    pooling: list[str]
    prompts: dict[str, str]
    default_prompt: str | None
    similarity: str


class Measured(Record, frozen=True, kw_only=True):
    """With what, and when. Names are those of files; ``neighbours`` says among what they are looked for.

    ``load`` is the machine's average over a minute, which the measuring itself raises to its cores.
    """

    parity: int
    neighbours: str
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


class Scores(Record, frozen=True, kw_only=True):
    """Of vectors cut to so many dimensions, each at most 1; None where there was nothing to measure it with.

    ``neighbours`` is the share of the original's ten nearest, in all dimensions, that are found.
    """

    dimensions: int
    neighbours: float
    spearman: float | None
    ndcg: float | None
    recall: float | None


class Row(Record, frozen=True, kw_only=True):
    """One way to run the model. ``cosines`` are to the original, a text of ``parity`` each.

    ``parity`` has their figures, of short texts and of others, as the manifest does.
    ``scores`` begin with all dimensions.
    """

    runs_on: str
    megabytes: float
    speed: Speed
    cosines: list[float]
    parity: Parity
    scores: list[Scores]


class Card(Record, frozen=True, kw_only=True):
    """A report card. ``created`` is in Unix seconds.

    ``artifacts`` has a row for each precision that could be made; ``refused`` says why another could not.
    """

    format: int = 2
    created: int
    command: str
    machine: Machine
    versions: dict[str, str | None]
    model: Facts
    measured: Measured
    precision: Precision
    original: Row
    artifacts: dict[Precision, Row]
    refused: str | None


def exists(folder: Path) -> bool:
    """Whether an artifact has a report card."""
    return (folder / REPORT).exists()


def write(card: Card, text: str, folder: Path) -> None:
    """Write both files, the one for people last; each is whole or is not there."""
    files.replace(folder / DATA, msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n")
    files.replace(folder / REPORT, text.encode())
