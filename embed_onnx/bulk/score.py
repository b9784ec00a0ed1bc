"""Scores of files of pairs of texts, of documents for one query, or of texts for a classifier."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from embed_onnx.bulk import loading, run, writers
from embed_onnx.bulk.blocks import Block
from embed_onnx.bulk.inputs import Inputs
from embed_onnx.bulk.journal import Plan, State
from embed_onnx.bulk.run import Immediate, Result, Target
from embed_onnx.bulk.writers import Meta, Values, Writer
from embed_onnx.errors import SetupError
from embed_onnx.models import inputs as model_inputs
from embed_onnx.models import isolate, scoring, tasks
from embed_onnx.models.inputs import Item
from embed_onnx.models.model import Model
from embed_onnx.models.request_pairs import ScoreOptions
from embed_onnx.settings import Settings

SCORE, SCORES, LABEL = "score", "scores", "label"
"""Columns of an output: the first of a model of one label; the scores of all and the best label of others."""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Which model, and how. Each text is scored as a document for the ``query``, if there is one."""

    settings: Settings
    model: str | None = None
    query: str | None = None
    raw_scores: bool = False


class ScorePlan(Plan, frozen=True, kw_only=True):
    """All that decides which scores a result holds."""

    query: str | None
    raw_scores: bool
    truncate: bool
    literal_special_tokens: bool


class ScoreMeta(Meta, frozen=True, kw_only=True):
    """Of a result of scores: which ``labels`` they are of, in this order; logits where they are raw."""

    query: str | None
    labels: list[str]
    raw_scores: bool


def score_files(inputs: Inputs, target: Target, choice: Choice) -> ScoreMeta:
    """Score files into one, from where an earlier run of the same command stopped; say what came of it.

    Raises:
        SetupError: The model's artifact, a file or a column is not there, or the output holds something else.
        InvalidRequest: An option is wrong.
    """
    if choice.query is not None:
        model_inputs.check_text(choice.query, "--query", "query")
    return run.run(inputs, target, _work(inputs, choice), ScoreMeta)


@contextlib.contextmanager
def _work(inputs: Inputs, choice: Choice) -> Iterator["_Scoring"]:
    """The model of a choice, whose options and kind of items have been tried."""
    with loading.engine(choice.settings, choice.model, "classify") as (model, _, lanes):
        if choice.query is not None:
            tasks.check("rerank", model.manifest)
        elif not inputs.pairs and "rerank" in tasks.of(model.manifest.output):
            raise SetupError(
                f"{model.manifest.name} scores pairs of texts, and a record has one text; give --query TEXT "
                "to score each text for it, or files with two columns of texts and --pair"
            )
        options = ScoreOptions(truncate=choice.settings.truncate)
        model.score_now([("a", "a") if choice.query is not None or inputs.pairs else "a"], options)
        plan = ScorePlan(
            **run.plan_fields(inputs, model),
            query=choice.query,
            raw_scores=choice.raw_scores,
            truncate=options.truncate,
            literal_special_tokens=model.files.literal_special_tokens,
        )
        yield _Scoring(model, options, lanes, plan)


class _Scoring(Immediate):
    """The ``Work`` of scores."""

    def __init__(self, model: Model, options: ScoreOptions, lanes: int, plan: ScorePlan) -> None:
        self.plan = plan
        self.lanes = lanes
        self._model = model
        self._options = options
        self._output = model.manifest.scores

    @property
    def _alone(self) -> bool:
        """Whether there is one score of each item."""
        return len(self._output.labels) == 1

    def writer(self, output: Path) -> Writer:
        """What writes an output.

        Raises:
            SetupError: It cannot keep the columns.
        """
        if self._alone:
            values = Values(name=SCORE)
        else:
            values = Values(name=SCORES, width=len(self._output.labels), beside=(LABEL,))
        return writers.writer(output, self.plan.inputs, values)

    def compute(self, block: Block) -> Result:
        """A block's scores [items], or [items, labels] of several labels.

        An item that the model cannot take becomes a reject.
        """
        isolated = isolate.score(self._model, self._items(block), self._options)
        logits, tokens = isolated.outcome.logits, isolated.outcome.tokens
        scores = scoring.probabilities(logits, self._output, raw_scores=self.plan.raw_scores)
        noun = "text" if self.plan.query is None and not self.plan.inputs.pairs else "pair"
        if self._alone:
            return run.result(block, isolated.failures, scores[:, 0], tokens, noun)
        result = run.result(block, isolated.failures, scores, tokens, noun)
        best = [self._output.labels[place] for place in logits.argmax(axis=1)]
        labelled = msgspec.structs.replace(result.block, columns=[*result.block.columns, best])
        return msgspec.structs.replace(result, block=labelled)

    def _items(self, block: Block) -> list[Item]:
        query = self.plan.query
        if query is None:
            return block.texts
        return [(query, text) for text in block.texts]

    def meta(self, state: State, fields: dict[str, Any]) -> ScoreMeta:
        """What the result says of itself."""
        del state
        return ScoreMeta(
            **fields,
            query=self.plan.query,
            labels=list(self._output.labels),
            raw_scores=self.plan.raw_scores,
        )
