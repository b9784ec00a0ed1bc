"""The artifact of a model that scores, its original and its other precision: the figures of a card."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from sentence_transformers import CrossEncoder

from embed_onnx.artifact.manifest import Precision
from embed_onnx.artifact.outputs import Scores
from embed_onnx.engine.outputs.scores import activated
from embed_onnx.models.inputs import Item
from embed_onnx.models.model import Model
from embed_onnx.models.request_pairs import ScoreOptions, length
from embed_onnx.system import cpu
from embed_onnx_export import score_parity
from embed_onnx_export.checkpoint import original_scores
from embed_onnx_export.progress import Show
from embed_onnx_export.report import candidates, scores, subject, texts, timing, workload
from embed_onnx_export.report.candidates import Candidates
from embed_onnx_export.report.card import Conditions, Speed
from embed_onnx_export.report.datasets import Datasets
from embed_onnx_export.report.score_card import ScoreCard, ScoreFacts, ScoreRow
from embed_onnx_export.report.scores import Floats
from embed_onnx_export.report.subject import ORIGINAL, Engine, Subject

Kind = Literal["compared", "pairs", "ranked"]
"""Items: those of parity, the pairs of a file, and queries with their candidates."""
Score = Callable[[Sequence[Item]], Floats]
"""From texts and pairs to their logits, float32 [items, labels]."""
QUERY = "who repairs the wooden fence behind the school"
"""What the texts that are timed are paired with, as a query is with its documents."""


def card_of(about: Subject, data: Datasets, show: Show) -> ScoreCard:
    """Run the items through every engine, in this process, and judge and time them.

    Raises:
        ArtifactError: The artifact of the first stage is absent or damaged.
        ExportError: The first stage is not an embedder.
    """
    show("loading")
    torch.set_num_threads(cpu.usable_cores())
    output = about.manifest.scores
    first_stage = _first_stage(data, about.artifacts, show)
    items = _items(output, data, first_stage)
    original = original_scores.load(about.checkpoint)
    timed_of = _paired if output.pairs else texts.mixed
    show.expect(sum(map(len, items.values())) * (1 + len(about.folders)))
    with contextlib.ExitStack() as stack:
        models = {name: stack.enter_context(Model.load(path)) for name, path in about.folders.items()}
        engines = _engines(about, original, models, timed_of(timing.SAMPLE))
        logits: dict[str, dict[Kind, Floats]] = {}
        for name, engine in engines.items():
            show(f"scoring, {name}")
            logits[name] = {
                kind: workload.in_steps(engine.run, some, length, show.advance, np.concatenate)
                for kind, some in items.items()
            }
        show("timing")
        runs = {name: engine.run for name, engine in engines.items()}
        this = models[about.manifest.precision]
        timed = timing.timed(
            runs, ORIGINAL, timed_of, lambda items: this.score_now(items, ScoreOptions()).num_tokens
        )
    rows = {
        name: _row(engine, timed.speeds[name], logits[name], logits[ORIGINAL], data, first_stage)
        for name, engine in engines.items()
    }
    return ScoreCard(
        **subject.report_fields(about, data),
        model=ScoreFacts(
            **subject.model_facts(about.manifest),
            labels=list(output.labels),
            activation=output.activation,
            pairs=output.pairs,
        ),
        measured=Conditions(**subject.conditions(data, len(items["compared"]), timed)),
        ranking=None if first_stage is None else first_stage.ranking(str(data.first_stage)),
        original=rows.pop(ORIGINAL),
        artifacts={name: rows[name] for name in about.folders},
    )


def _first_stage(data: Datasets, artifacts: Path, show: Show) -> Candidates | None:
    """What the artifact of an embedder leaves to rank, if there is a retrieval task."""
    if data.retrieval is None or data.first_stage is None:
        return None
    show("embedding, first stage")
    return candidates.find(data.retrieval, artifacts / data.first_stage, show.advance)


def _items(output: Scores, data: Datasets, first_stage: Candidates | None) -> dict[Kind, list[Item]]:
    """All that is scored, by kind; only kinds that there are."""
    items: dict[Kind, list[Item]] = {"compared": score_parity.items(output)}
    if data.pairs is not None:
        items["pairs"] = list(zip(data.pairs.first, data.pairs.second, strict=True))
    if first_stage is not None:
        items["ranked"] = [*first_stage.pairs]
    return items


def _paired(count: int) -> list[Item]:
    """So many pairs of a query and a text of any length."""
    return [(QUERY, text) for text in texts.mixed(count)]


def _engines(
    about: Subject, original: CrossEncoder, models: Mapping[Precision, Model], sample: Sequence[Item]
) -> dict[str, Engine[Score]]:
    """The original, and every precision."""

    def of_batch(batch: int) -> Score:
        return partial(original_scores.logits, original, batch=batch)

    batch = timing.best_batch(of_batch, sample)
    pytorch = subject.in_pytorch(about, original, batch, of_batch(batch))
    return subject.engines(about, pytorch, models, _of_artifact)


def _of_artifact(model: Model) -> Score:
    return lambda items: model.score_now(items, ScoreOptions()).logits


def _row(
    engine: Engine[Score],
    speed: Speed,
    logits: Mapping[Kind, Floats],
    originals: Mapping[Kind, Floats],
    data: Datasets,
    first_stage: Candidates | None,
) -> ScoreRow:
    """The figures of one engine."""
    compared, expected = logits["compared"], originals["compared"]
    agreement = spearman = precision = difference = None
    if compared.shape[1] > 1:
        agreement = float(np.mean(compared.argmax(axis=1) == expected.argmax(axis=1)))
    if data.pairs is not None:
        actual = logits["pairs"]
        spearman = scores.spearman(actual[:, 0], data.pairs.scores)
        precision = scores.average_precision(actual[:, 0], data.pairs.scores)
        others = activated(originals["pairs"], "sigmoid")
        difference = float(np.abs(activated(actual, "sigmoid") - others).max())
    return ScoreRow(
        runs_on=engine.runs_on,
        megabytes=engine.megabytes,
        speed=speed,
        parity=score_parity.compared(compared, expected),
        agreement=agreement,
        spearman=spearman,
        average_precision=precision,
        score_difference=difference,
        ndcg=None if first_stage is None else first_stage.ndcg(logits["ranked"]),
    )
