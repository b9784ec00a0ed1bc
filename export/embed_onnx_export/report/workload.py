"""The texts that engines embed for a report card, and in which steps; vectors judged by what they find.

Vectors of a kind are rows: an array, or a sparse matrix in compressed rows.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Generic, Literal, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from embed_onnx.models.model import Model
from embed_onnx.models.options import Options
from embed_onnx_export import parity
from embed_onnx_export.report import scores, texts
from embed_onnx_export.report.datasets import Datasets
from embed_onnx_export.report.scores import Places

T = TypeVar("T")
Rows = TypeVar("Rows", bound=Any)
Kind = Literal["bare", "text", "query", "document"]
"""How a text is meant: without any prompt, with the default one, or as retrieval has it."""
OPTIONS: dict[Kind, dict[str, Any]] = {
    "bare": {"prompt": ""},
    "text": {},
    "query": {"prompt_name": "query"},
    "document": {"prompt_name": "document"},
}
"""What a program that embeds with an artifact sets for such texts."""

ITEMS_A_STEP = 128
OWN_SENTENCES = 300
"""Besides those of parity, where there is no dataset to rank."""


class Workload(msgspec.Struct, frozen=True):
    """The texts that are embedded, and where neighbours are looked for."""

    texts: dict[Kind, list[str]]
    neighbours: str

    @property
    def count(self) -> int:
        """Of all kinds together."""
        return sum(len(some) for some in self.texts.values())


def workload(data: Datasets, messages: list[str]) -> Workload:
    """The texts of parity, and those of the datasets or, without any, more sentences of our own."""
    kinds: dict[Kind, list[str]] = {"bare": [*parity.sentences(), *messages]}
    neighbours = "these and others made up"
    if data.sts is not None:
        kinds["text"] = list(dict.fromkeys([*data.sts.first, *data.sts.second]))
        neighbours = f"the sentences of {data.sts.name}"
    if data.retrieval is not None:
        kinds |= {"query": data.retrieval.queries, "document": data.retrieval.documents}
        neighbours = f"the documents of {data.retrieval.name}, for its queries"
    if len(kinds) == 1:
        kinds["text"] = [*parity.sentences(), *texts.sentences(OWN_SENTENCES)]
    return Workload(kinds, neighbours)


def vectors(
    embed: Callable[[Kind, Sequence[str]], Rows],
    work: Workload,
    advance: Callable[[int], None],
    join: Callable[[list[Rows]], Rows],
) -> dict[Kind, Rows]:
    """A row for each text of a workload; calls ``advance`` with the number of each step."""
    return {
        kind: in_steps(partial(embed, kind), inputs, len, advance, join)
        for kind, inputs in work.texts.items()
    }


def in_steps(
    run: Callable[[Sequence[T]], Rows],
    items: Sequence[T],
    length: Callable[[T], int],
    advance: Callable[[int], None],
    join: Callable[[list[Rows]], Rows],
) -> Rows:
    """The rows of some items in their order; ``join`` puts those of steps together."""
    parts: list[Rows] = []
    order: list[int] = []
    for places in steps(items, length, advance):
        parts.append(run([items[place] for place in places]))
        order += places
    rows: Rows = join(parts)[np.argsort(order)]
    return rows


def steps(
    items: Sequence[T], length: Callable[[T], int], advance: Callable[[int], None]
) -> Iterator[list[int]]:
    """The places of items to compute together, long ones first; calls ``advance`` after each step."""
    order = sorted(range(len(items)), key=lambda place: -length(items[place]))
    for first in range(0, len(order), ITEMS_A_STEP):
        places = order[first : first + ITEMS_A_STEP]
        yield places
        advance(len(places))


def num_tokens(model: Model, inputs: Sequence[str]) -> list[int]:
    """Tokens of each text, special ones included, without a prompt."""
    return [item.num_tokens for item in model.tokenize(list(inputs), Options(prompt=""))]


class Scorer(Generic[Rows]):
    """Scores vectors of a workload by the datasets, and by the neighbours that the original finds.

    ``rank`` is ``scores.nearest`` for such rows, and ``alike`` says how near each row is to the same row of
    the other side.
    """

    def __init__(
        self,
        data: Datasets,
        work: Workload,
        original: Mapping[Kind, Rows],
        *,
        rank: Callable[[Rows, Rows, Sequence[int]], Places],
        alike: Callable[[Rows, Rows], NDArray[Any]],
    ) -> None:
        self._data, self._rank, self._alike = data, rank, alike
        places = {text: place for place, text in enumerate(work.texts.get("text", []))}
        self._pairs = (
            None
            if data.sts is None
            else [[places[text] for text in side] for side in (data.sts.first, data.sts.second)]
        )
        self._expected = self._ranked(original)

    def score(self, vectors: Mapping[Kind, Rows]) -> dict[str, Any]:
        """The fields of ``Ranks``."""
        ranked = self._ranked(vectors)
        spearman = None
        if self._data.sts is not None and self._pairs is not None:
            first, second = (vectors["text"][places] for places in self._pairs)
            spearman = scores.spearman(self._alike(first, second), self._data.sts.scores)
        task = self._data.retrieval
        return {
            "neighbours": scores.overlap(self._expected, ranked),
            "spearman": spearman,
            "ndcg": None if task is None else scores.ndcg(ranked, task.gains),
            "recall": None if task is None else scores.recall(ranked, task.gains),
        }

    def _ranked(self, vectors: Mapping[Kind, Rows]) -> Places:
        """Ten documents a query or, without a retrieval task, ten other sentences a sentence."""
        task = self._data.retrieval
        if task is not None:
            return self._rank(vectors["query"], vectors["document"], task.same)
        rows = vectors["text"]
        return self._rank(rows, rows, range(rows.shape[0]))
