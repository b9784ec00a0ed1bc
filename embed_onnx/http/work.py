"""The one path of every request that has a model work: its checks, the model, the wait, the record.

A dialect makes an ``Ask`` of what its client sent, calls ``run``, and writes what comes back as its clients
read it.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Literal, Self, TypeVar

import msgspec

from embed_onnx.artifact.manifest import Manifest
from embed_onnx.errors import ClientGone, EmbedError, InvalidRequest, TimedOut
from embed_onnx.http.body import inputs, options
from embed_onnx.http.body.inputs import INPUT, Field, Inputs
from embed_onnx.http.body.options import CutOptions, EmbeddingOptions, TextOptions
from embed_onnx.http.record import current_record
from embed_onnx.http.request import ApiRequest
from embed_onnx.models import sparse
from embed_onnx.models.dense import Embedded
from embed_onnx.models.inputs import Item
from embed_onnx.models.model import Model
from embed_onnx.models.options import Options
from embed_onnx.models.outcome import Outcome, Scored
from embed_onnx.models.registry import Registry
from embed_onnx.models.request_pairs import ScoreOptions
from embed_onnx.models.sparse import SparseEmbedded
from embed_onnx.models.tasks import Task
from embed_onnx.models.token_vectors import TokensEmbedded
from embed_onnx.observe.record import Record, Stages
from embed_onnx.settings import Settings

T = TypeVar("T")
R = TypeVar("R", bound=Outcome)
WATCH_SECONDS = 0.01
"""Work that takes longer is given up if its client goes away; to watch for that would slow short texts."""

EmptyInputs = Literal["refuse", "zero", "embed"]
"""What becomes of inputs that are empty: none is taken; each has a vector of zeros; or, of texts, the vector
of their special tokens."""


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What a client wants of a model, whichever wire it came by.

    ``task`` is None for what any model can do. ``model`` is a name or alias, None for the first model that
    can. ``input`` is JSON as it was sent, or texts that were decoded already.
    """

    task: Task | None = "embed"
    model: str | None
    input: msgspec.Raw | list[str]
    options: TextOptions
    field: Field = INPUT
    empty_inputs: EmptyInputs = "refuse"
    ranged: bool = False
    """The vectors are sent in a type that takes ranges: int8 or uint8."""


class ScoreAsk(msgspec.Struct, frozen=True, kw_only=True):
    """What a client wants scored, whichever wire it came by: texts and pairs of texts that were checked.

    ``field`` is what errors call the list of them.
    """

    task: Task
    model: str | None
    items: Sequence[Item]
    options: CutOptions
    max_tokens_per_doc: int | None = None
    field: str


Operation = Callable[[Model, Inputs, Options], Coroutine[Any, Any, T]]
"""What a model is to do with inputs that were checked."""
Embedding = Callable[..., Coroutine[Any, Any, R]]
"""``Model.embed``, or that of another kind of vectors."""


async def run(request: ApiRequest, ask: Ask) -> tuple[Manifest, Embedded]:
    """The vectors of a request, and the manifest of the model that made them.

    Raises:
        EmbedError: The request is wrong, cannot be served now, or its client went away.
    """

    def method(model: Model) -> Embedding[Embedded]:
        if isinstance(ask.options, EmbeddingOptions):
            options.check_pooling(ask.options.pooling, model.manifest.name, model.manifest.dense.pooling)
        return model.embed

    model, embedded = await _embedded(request, ask, method)
    return model.manifest, embedded


async def run_sparse(
    request: ApiRequest, ask: Ask, *, max_active_dims: int | None
) -> tuple[Model, SparseEmbedded]:
    """The sparse vectors of a request, of each so many of the greatest weights, and their model.

    Raises:
        EmbedError: The request is wrong, cannot be served now, or its client went away.
    """
    sparse.check_active_dims(max_active_dims)
    model, embedded = await _embedded(request, ask, lambda model: model.embed_sparse)
    vectors = await sparse.greatest_async(embedded.vectors, max_active_dims)
    return model, msgspec.structs.replace(embedded, vectors=vectors)


async def run_by_token(request: ApiRequest, ask: Ask) -> tuple[Model, TokensEmbedded]:
    """The token vectors of a request, and the model that made them.

    Raises:
        EmbedError: The request is wrong, cannot be served now, or its client went away.
    """
    return await _embedded(request, ask, lambda model: model.embed_tokens)


async def _embedded(
    request: ApiRequest, ask: Ask, method: Callable[[Model], Embedding[R]]
) -> tuple[Model, R]:
    """What a method of a request's model makes of its inputs, which is noted, and the model."""
    settings: Settings = request.app.state.settings
    record = current_record(request.scope)

    async def embed(model: Model, items: Inputs, resolved: Options) -> tuple[Model, R]:
        embedding, seconds = method(model), settings.request_timeout
        return model, await embedding(items, resolved, tenant=record.key, seconds=seconds)

    model, embedded = await perform(request, ask, embed)
    _record(record, embedded)
    return model, embedded


async def score(request: ApiRequest, ask: ScoreAsk) -> tuple[Manifest, Scored]:
    """The logits of a request's items, and the manifest of the model that made them.

    Raises:
        EmbedError: The request is wrong, cannot be served now, or its client went away.
    """
    settings: Settings = request.app.state.settings
    record = current_record(request.scope)
    cut, side = options.cutting(ask.options, settings.truncate)
    resolved = ScoreOptions(
        truncate=cut,
        truncation_side=side,
        max_tokens=ask.options.max_tokens,
        max_tokens_per_doc=ask.max_tokens_per_doc,
        field=ask.field,
    )

    registry: Registry = request.app.state.registry
    with registry.use(ask.model, ask.task) as (model, _):
        record.model, record.task, record.inputs = model.manifest.name, ask.task, len(ask.items)
        seconds = settings.request_timeout
        working = model.score(ask.items, resolved, tenant=record.key, seconds=seconds)
        scored = await _while_connected(request, working, seconds=seconds)
    _record(record, scored)
    return model.manifest, scored


def _record(record: Record, outcome: Outcome) -> None:
    """Note what a model did."""
    record.tokens, record.cached = outcome.num_tokens, outcome.hits
    record.truncated_inputs = sum(item.truncated for item in outcome.tokens)
    record.stages = Stages(
        tokenize=outcome.tokenize_seconds,
        queue=outcome.queue_seconds,
        infer=outcome.infer_seconds,
        end_ns=time.time_ns(),
    )


async def perform(request: ApiRequest, ask: Ask, operation: Operation[T]) -> T:
    """Check a request, and have its model do something with its inputs.

    Raises:
        EmbedError: The request is wrong, cannot be served now, or its client went away.
    """
    settings: Settings = request.app.state.settings
    options.check_prompt(ask.options, settings.max_characters)
    items = inputs.parse(
        ask.input,
        max_inputs=settings.max_inputs,
        max_characters=settings.max_characters,
        empty_texts=ask.empty_inputs != "refuse",
        empty_ids=ask.empty_inputs == "zero",
        field=ask.field,
    )
    options.check_prompt_before(len(items), ask.options.prompt or "", settings.max_body)
    registry: Registry = request.app.state.registry
    with registry.use(ask.model, ask.task) as (model, prompt_name):
        record = current_record(request.scope)
        record.model, record.task, record.inputs = model.manifest.name, ask.task or "", len(items)
        resolved = options.for_model(
            ask.options,
            settings,
            prompt_name=prompt_name,
            zeros=ask.empty_inputs == "zero",
            ranged=ask.ranged,
        )
        working = operation(model, items, resolved)
        try:
            return await _while_connected(request, working, seconds=settings.request_timeout)
        except InvalidRequest as err:
            ask.field.rename(err)
            raise


async def _while_connected(request: ApiRequest, work: Coroutine[Any, Any, T], *, seconds: float) -> T:
    """Run work until it is done, the time is up, or the client goes away; the last two cancel it."""
    with _Watch(request, seconds) as watch:
        try:
            return await work
        except asyncio.CancelledError:
            watch.reraise()
            raise


class _Watch:
    """Cancels the task that it is made in after so many seconds, or if its request's client goes away.

    Work that is done within ``WATCH_SECONDS`` costs it one timer, a fraction of ``asyncio.timeout``.
    """

    def __init__(self, request: ApiRequest, seconds: float) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        self._task = task
        self._request = request
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._leaving: asyncio.Task[None] | None = None
        self._reason: EmbedError | None = None

    def __enter__(self) -> Self:
        self._timer = self._loop.call_later(min(WATCH_SECONDS, self._seconds), self._watch)
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        if self._leaving is not None:
            self._leaving.cancel()

    def reraise(self) -> None:
        """Name the reason of a cancellation, if it was this.

        Raises:
            TimedOut: The time was up.
            ClientGone: The client went away.
        """
        if self._reason is not None:
            self._task.uncancel()
            raise self._reason from None

    def _watch(self) -> None:
        sentence = (
            f"not done within {self._seconds:g} s, as the server is busy; try again, or send fewer inputs"
        )
        remaining = max(0.0, self._seconds - WATCH_SECONDS)
        self._timer = self._loop.call_later(remaining, self._cancel, TimedOut(sentence))
        self._leaving = asyncio.create_task(self._disconnect())

    async def _disconnect(self) -> None:
        await self._request.receive()  # after the body comes no other message
        self._cancel(ClientGone("the client closed the connection before its answer"))

    def _cancel(self, reason: EmbedError) -> None:
        self._reason = reason
        self._task.cancel()
