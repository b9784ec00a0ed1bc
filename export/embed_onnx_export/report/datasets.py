"""Files to measure with: pairs of texts with scores, and a retrieval task in BEIR's layout.

    FILE.csv       score,sentence1,sentence2 of a model of dense or sparse vectors; score,text1,text2 of a
                   model that scores
    FOLDER/        corpus.jsonl   {"_id": "d1", "title": "perhaps", "text": "..."} a line
                   queries.jsonl  {"_id": "q1", "text": "..."} a line
                   qrels.tsv      query-id, corpus-id, score; or qrels/test.tsv

Their texts are kept in memory only; messages name a file and a line, and no text.
"""

import csv
import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import msgspec
from msgspec.structs import replace

from embed_onnx.artifact.manifest import Manifest
from embed_onnx.artifact.outputs import Dense, Output, Sparse, TokenVectors
from embed_onnx.models import tasks
from embed_onnx_export.errors import DatasetError

STS_COLUMNS = ("score", "sentence1", "sentence2")
PAIR_COLUMNS = ("score", "text1", "text2")
JUDGEMENT_COLUMNS = ("query-id", "corpus-id", "score")


class Pairs(msgspec.Struct, frozen=True):
    """Pairs of texts, and how well people find that each fits: how alike, or whether it is an answer."""

    name: str
    first: list[str]
    second: list[str]
    scores: list[float]


class Retrieval(msgspec.Struct, frozen=True):
    """Documents, and the queries that some of them answer.

    ``gains`` are by the document's place. ``same`` is the place of the document that is the query itself, by
    its id, or -1: as BEIR does, it is not ranked, unless it is said to answer the query. ``unmatched`` counts
    judgements of documents or queries that are not there, as samples of a corpus have them.
    """

    name: str
    documents: list[str]
    queries: list[str]
    gains: list[dict[int, float]]
    same: list[int]
    unmatched: int = 0


class Datasets(msgspec.Struct, frozen=True):
    """What a report measures with, besides the texts of its own.

    ``sts`` are pairs for models of one vector a text, dense or sparse, and ``pairs`` those for models that
    score. ``first_stage`` names the artifact of the embedder whose best documents a reranker ranks.
    """

    sts: Pairs | None = None
    pairs: Pairs | None = None
    retrieval: Retrieval | None = None
    first_stage: str | None = None

    def fitting(self, output: Output) -> "Datasets":
        """The same without what is not for models of such an output."""
        if isinstance(output, Dense | Sparse):
            return Datasets(sts=self.sts, retrieval=self.retrieval)
        if isinstance(output, TokenVectors):
            return Datasets(retrieval=self.retrieval)
        if "rerank" not in tasks.of(output):
            return Datasets()
        if self.retrieval is None or self.first_stage is None:
            return Datasets(pairs=self.pairs)
        return replace(self, sts=None)

    def check(self, model: Manifest) -> None:
        """Refuse what is not for a model.

        Raises:
            DatasetError: Its output is of another kind, or a part is missing.
        """
        if isinstance(model.output, TokenVectors):
            if self != self.fitting(model.output):
                raise DatasetError(
                    f"--sts, --pairs and --first-stage are not for models of token vectors, and {model.name} "
                    "is one, which ranks all documents by itself; measure it with --beir"
                )
        elif isinstance(model.output, Dense | Sparse):
            if self.pairs is not None or self.first_stage:
                raise DatasetError(
                    f"--pairs and --first-stage are for models that score texts, and {model.name} makes "
                    "vectors; measure it with --sts and --beir"
                )
        elif self.sts is not None:
            raise DatasetError(
                f"--sts is for models of vectors, and {model.name} scores texts; measure it with --pairs"
            )
        elif "rerank" not in tasks.of(model.output):
            if self != Datasets():
                raise DatasetError(
                    f"--pairs and --beir are for models that rank, and {model.name} only classifies; leave "
                    "them out"
                )
        elif (self.retrieval is None) != (self.first_stage is None):
            raise DatasetError(
                "a reranker ranks what an embedder returns first; give both --beir FOLDER and --first-stage "
                "NAME, the name of the embedder's artifact"
            )


class _Text(msgspec.Struct, frozen=True):
    """A line of corpus.jsonl or queries.jsonl."""

    id: str = msgspec.field(name="_id")
    text: str
    title: str | None = None

    @property
    def full(self) -> str:
        """What BEIR embeds."""
        return f"{self.title or ''} {self.text}".strip()


def read(
    *,
    sts: Path | None = None,
    pairs: Path | None = None,
    beir: Path | None = None,
    first_stage: str | None = None,
) -> Datasets:
    """The datasets of the command's options, read whole.

    Raises:
        DatasetError: A file cannot be read, or a line of it is wrong.
    """
    return Datasets(
        sts=None if sts is None else read_pairs(sts),
        pairs=None if pairs is None else read_pairs(pairs, PAIR_COLUMNS),
        retrieval=None if beir is None else read_retrieval(beir),
        first_stage=first_stage,
    )


def read_pairs(path: Path, columns: Sequence[str] = STS_COLUMNS) -> Pairs:
    """Pairs of texts with scores, in columns of these names.

    Raises:
        DatasetError: The file cannot be read, a column or value is missing, or every score is the same.
    """
    pairs = Pairs(path.name, [], [], [])
    for line, row in _rows(path, columns, ","):
        score, first, second = row
        pairs.scores.append(_number(score, path, line))
        pairs.first.append(first)
        pairs.second.append(second)
    if len(set(pairs.scores)) < 2:
        _refuse(
            path, None, f"has {len(pairs.scores)} pairs and no two different scores; a ranking needs them"
        )
    return pairs


def read_retrieval(folder: Path) -> Retrieval:
    """A retrieval task; queries that nothing answers are left out, and judgements of what is not there.

    Raises:
        DatasetError: A file cannot be read, a line is wrong, an id stands twice, or no query has an answer.
    """
    corpus, queries = folder / "corpus.jsonl", folder / "queries.jsonl"
    judgements = next(
        (path for path in (folder / "qrels.tsv", folder / "qrels" / "test.tsv") if path.is_file()),
        folder / "qrels.tsv",
    )
    documents, questions = _texts(corpus), _texts(queries)
    places = {name: place for place, name in enumerate(documents)}
    gains: dict[str, dict[int, float]] = {}
    unmatched = 0
    for line, (query, document, score) in _rows(judgements, JUDGEMENT_COLUMNS, "\t"):
        gain = _number(score, judgements, line)
        if query not in questions or document not in documents:
            unmatched += 1
        elif gain > 0:
            gains.setdefault(query, {})[places[document]] = gain
    if not gains:
        reason = "has no line with a score above 0; without an answer nothing can be scored"
        if unmatched:
            reason += f" ({unmatched} lines are of texts that {queries.name} or {corpus.name} does not have)"
        _refuse(judgements, None, reason)
    return Retrieval(
        name=folder.resolve().name,
        documents=list(documents.values()),
        queries=[questions[query] for query in gains],
        gains=list(gains.values()),
        same=[_same(places.get(query, -1), answers) for query, answers in gains.items()],
        unmatched=unmatched,
    )


def _same(place: int, answers: dict[int, float]) -> int:
    return -1 if place in answers else place


def _rows(path: Path, columns: Sequence[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The values of those columns, row by row, and the line that each row ends at."""
    reader = csv.DictReader(
        _lines(path),
        delimiter=delimiter,
        quoting=csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL,  # TSV has no quotes
        strict=True,
    )
    try:
        header = reader.fieldnames or []
        missing = [column for column in columns if column not in header]
        if missing:
            names, between = ", ".join(columns), "commas" if delimiter == "," else "tabs"
            reason = f"has no column {', '.join(missing)}; name {names} there, with {between} between"
            _refuse(path, 1, reason)
        for row in reader:
            values = [row[column] for column in columns]
            if None in row or not all(values):
                reason = f"has not one value for each column ({', '.join(header)}); fill it in"
                _refuse(path, reader.line_num, reason)
            yield reader.line_num, values
    except csv.Error as err:
        reason = f"is not CSV: {err}; quote a value with a comma, and double the quotes in it"
        _refuse(path, reader.reader.line_num, reason)


def _texts(path: Path) -> dict[str, str]:
    """Texts by id."""
    texts: dict[str, str] = {}
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        try:
            item = msgspec.json.decode(line, type=_Text)
        except ValueError as err:
            _refuse(path, number, f'is not {{"_id": "...", "text": "..."}}: {err}; correct it')
        if item.id in texts:
            _refuse(path, number, f"has the id {item.id!r} once more; an id stands once")
        texts[item.id] = item.full
    if not texts:
        _refuse(path, None, "is empty; it needs a line at least")
    return texts


def _lines(path: Path) -> list[str]:
    """Lines with their ends, cut where csv and JSON lines end: texts may hold other separators."""
    try:
        return list(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""))
    except OSError as err:
        raise DatasetError(f"{path} cannot be read: {err.strerror}; see to the path and the files") from None
    except UnicodeDecodeError as err:
        line = err.object[: err.start].count(b"\n") + 1
        _refuse(path, line, f"is not UTF-8 (byte {err.start} of the file); save it as UTF-8")


def _number(text: str, path: Path, line: int) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        _refuse(path, line, f"has the score {text[:20]!r}, which is not a number; write one such as 3.5")
    return number


def _refuse(path: Path, line: int | None, reason: str) -> NoReturn:
    raise DatasetError(f"{path}{'' if line is None else f', line {line}'} {reason}")
