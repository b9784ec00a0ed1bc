"""Which items of a batch fail alone, so that the others have their vectors or scores."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, TypeVar

import msgspec

from embed_onnx.errors import EmbedError, InferenceFailed, InvalidRequest
from embed_onnx.models.inputs import Item
from embed_onnx.models.model import Model
from embed_onnx.models.options import Options
from embed_onnx.models.outcome import Outcome, Scored
from embed_onnx.models.request_pairs import ScoreOptions

T = TypeVar("T")
R = TypeVar("R", bound=Outcome)


class Isolated(msgspec.Struct, Generic[R], frozen=True):
    """What became of a batch: the outcome of its other items, in their order, and the failures by place."""

    outcome: R
    failures: dict[int, EmbedError]


def embed(model: Model, embed_now: Callable[..., R], texts: Sequence[str], options: Options) -> Isolated[R]:
    """The vectors of texts; one that the model does not take, or fails on, fails alone. Blocks.

    ``embed_now`` is the model's method of that name, or ``embed_sparse_now`` or ``embed_tokens_now``.

    Raises:
        InvalidRequest: It is not the texts: an option is wrong.
        InferenceFailed: The model fails on each of several texts.
    """
    return _isolated(texts, partial(embed_now, options=options), lambda text: model.tokenize([text], options))


def score(model: Model, items: Sequence[Item], options: ScoreOptions) -> Isolated[Scored]:
    """The logits of texts and pairs, as ``embed`` has vectors.

    Raises:
        InvalidRequest: It is not the items: an option is wrong.
        InferenceFailed: The model fails on each of several items.
    """
    return _isolated(
        items, partial(model.score_now, options=options), lambda item: model.item_tokens([item], options)
    )


def _isolated(
    items: Sequence[T], run: Callable[[Sequence[T]], R], tokenize: Callable[[T], object]
) -> Isolated[R]:
    failures: dict[int, EmbedError] = {}
    try:
        return Isolated(run(items), failures)
    except InvalidRequest:
        failures = _failures(items, tokenize)
    except InferenceFailed:
        pass  # perhaps a lane died, and the items are right: try again
    places = [place for place in range(len(items)) if place not in failures]
    rest = [items[place] for place in places]
    try:
        return Isolated(run(rest), failures)
    except InferenceFailed:
        failed = _failures(rest, lambda item: run([item]))
        if len(failed) == len(rest) > 1:
            raise  # it is not the items
    failures |= {places[place]: err for place, err in failed.items()}
    rest = [item for place, item in enumerate(items) if place not in failures]
    return Isolated(run(rest), failures)


def _failures(items: Sequence[T], trial: Callable[[T], object]) -> dict[int, EmbedError]:
    failures: dict[int, EmbedError] = {}
    for place, item in enumerate(items):
        try:
            trial(item)
        except (InvalidRequest, InferenceFailed) as err:
            failures[place] = err
    return failures
