"""One served model: prompt, tokenize, schedule, and the vectors back.

``Model`` is also the in-process API:

    from embed_onnx import Model

    with Model.load("artifacts/all-MiniLM-L6-v2") as model:
        vectors = model.encode(["Hello", "world"])

``encode`` and ``encode_async`` are for callers in Python; ``embed_now`` and ``embed``, which also return
tokens and timings, are what the command line and the server call. A model that scores has the methods of
``Scoring`` in their place, and a sparse one those of ``SparseEncoding``.
"""

import asyncio
import math
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, Self, TypedDict, Unpack, get_args

from embed_onnx.artifact import manifest
from embed_onnx.artifact.manifest import Manifest
from embed_onnx.engine import dtypes, native
from embed_onnx.engine.dtypes import DType, Ranges, Stored
from embed_onnx.engine.inference import Inference
from embed_onnx.engine.native import Kernels
from embed_onnx.engine.sequence import TokenSequence
from embed_onnx.engine.vectors import Vector, cut, unit
from embed_onnx.errors import ArtifactError, InvalidRequest
from embed_onnx.models import outcome, prompts, windows
from embed_onnx.models.distinct import Distinct
from embed_onnx.models.inputs import Inputs, OneOrMore, listed
from embed_onnx.models.model_files import ModelFiles, Parts
from embed_onnx.models.options import LongTexts, Options
from embed_onnx.models.outcome import Outcome
from embed_onnx.models.query_table import QueryTokenizer
from embed_onnx.models.request_tokenizer import RequestTokenizer, in_tokenizer_thread
from embed_onnx.models.result_cache import Kind, ResultCache
from embed_onnx.models.scoring import Scoring
from embed_onnx.models.sparse import SparseEncoding
from embed_onnx.models.tokenizer import Piece, Tokenizer, Tokens
from embed_onnx.models.work import Work
from embed_onnx.scheduling.jobs import Job
from embed_onnx.scheduling.scheduler import LANE_TIMEOUT, Scheduler
from embed_onnx.system import cpu


class EncodeOptions(TypedDict, total=False):
    """The keywords of ``Model.encode`` that are options of the request; see there."""

    prompt: str | None
    prompt_name: str | None
    dimensions: int | None
    normalize: bool | None
    truncate: bool
    long_texts: LongTexts
    add_special_tokens: bool


class Embedded(Outcome, frozen=True, kw_only=True):
    """Vectors, float32 [inputs, dimensions]; ``ranges`` are the artifact's for them, with ``ranged``."""

    vectors: Vector
    ranges: Ranges | None = None


class Model(Scoring, SparseEncoding):
    """An artifact and the scheduler it runs on. Thread-safe; inference releases the GIL.

    Its files are read by ``files.load``, or when they are first needed.
    """

    def __init__(
        self,
        folder: Path,
        described: Manifest,
        scheduler: Scheduler,
        kernels: Kernels,
        *,
        literal_special_tokens: bool = False,
        cache: ResultCache | None = None,
    ) -> None:
        self.manifest = described
        self.native_kernels = kernels
        """Those of the process, which score token vectors whatever runs the model."""
        self.kernels = kernels.of(described)
        """What runs it."""
        self.files = ModelFiles(
            folder, described, self.kernels, literal_special_tokens=literal_special_tokens
        )
        self._scheduler = scheduler
        self._cache = None if cache is None else cache.of(described)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled, it is the place where it lies: it is loaded anew from there, with lanes of its own."""
        scheduler = self._scheduler
        options = {
            "threads": scheduler.lanes,
            "literal_special_tokens": self.files.literal_special_tokens,
            "lane_timeout": scheduler.lane_timeout,
        }
        return _load_same, (type(self), str(self.files.folder.absolute()), self.manifest, options)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        threads: int | None = None,
        literal_special_tokens: bool = False,
        lane_timeout: float = LANE_TIMEOUT,
    ) -> Self:
        """Load an artifact with lanes of its own: ``threads`` of them, or one a usable core.

        A lane that waits for so many seconds without computing counts as hung, and its call fails; one that
        computes is given ten times as long, and longer for long texts.

        The threads that share the work of a lone text are the process's, and as many as the last call says.

        A special token that is written in a text, such as ``[SEP]``, is that token, as in
        Sentence-Transformers; with ``literal_special_tokens`` it is ordinary text.

        The variable ``EMBED_ONNX_KERNELS`` chooses its kernels, as the server's setting does.

        Raises:
            ArtifactError: The artifact is absent, damaged, or newer than this version.
        """
        folder = Path(folder)
        described = manifest.read(folder)
        lanes = cpu.usable_cores() if threads is None else threads
        kernels = native.find()
        scheduler = Scheduler(
            lanes=lanes,
            queue_tokens=sys.maxsize,
            lane_timeout=lane_timeout,
            closed_sentence="the model was closed; load it again",
        )
        kernels.set_threads(scheduler.lanes)
        model = cls(folder, described, scheduler, kernels, literal_special_tokens=literal_special_tokens)
        scheduler.end_with(model)
        try:
            model.files.load()
        except ArtifactError:
            scheduler.close()
            raise
        return model

    def close(self) -> None:
        """End the lanes; what waits fails. A model without references is closed by itself."""
        self._scheduler.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def encode(
        self,
        inputs: OneOrMore,
        *,
        dtype: DType = "float32",
        ranges: Ranges | None = None,
        **options: Unpack[EncodeOptions],
    ) -> Stored:
        """The vectors of texts, or of token ids: of a list [inputs, dimensions], of one alone [dimensions].

        Blocks, and releases the GIL meanwhile. Several threads may call it at a time.

        Args:
            inputs: A text or its token ids, or a list of either. An array or a series of texts will do.
            dtype: Of the numbers; ``ubinary`` has eight dimensions in a uint8.
            ranges: Of each dimension, [2, dimensions], for int8 and uint8: ``model.ranges()``, which are the
                same for all vectors, or ``dtypes.ranges`` of float32 vectors like these. Without them, those
                of these vectors; queries need those of the documents.
            options: ``prompt`` is put before each text; ``prompt_name`` is the same, by its name in the
                manifest. Without either, the model's default is taken.
                ``dimensions``: Cut each vector to so many, and normalise it again where the model does that.
                ``normalize``: False gives the vectors before the Normalize that a model ends with, and does
                not normalise them after a cut; True gives vectors of length 1 from any model.
                ``truncate``: Cut texts that are longer than the model takes (the default), or refuse them.
                ``long_texts``: "mean" cuts nothing: a text that is too long is parted into windows, and its
                vector is the mean of theirs by their tokens (``models.windows``); "cut" is the default.
                ``add_special_tokens``: False takes token ids as they are. Otherwise they must begin and end
                with the special tokens that this model puts around a text, or they are probably another's.

        Raises:
            InvalidRequest: An option or an input is wrong.
            TextTooLong: A text is too long and ``truncate`` is off.
        """
        items, alone = listed(inputs)
        vectors = self.embed_now(items, Options(**options)).vectors
        return dtypes.convert(vectors[0] if alone else vectors, dtype, ranges)

    async def encode_async(
        self,
        inputs: OneOrMore,
        *,
        dtype: DType = "float32",
        ranges: Ranges | None = None,
        **options: Unpack[EncodeOptions],
    ) -> Stored:
        """``encode`` for an event loop. Cancelling it takes what still waits out of the queue."""
        items, alone = listed(inputs)
        vectors = (await self.embed(items, Options(**options))).vectors
        return dtypes.convert(vectors[0] if alone else vectors, dtype, ranges)

    def ranges(self, *, dimensions: int | None = None, normalize: bool | None = None) -> Ranges:
        """The artifact's ranges for int8 and uint8, [2, dimensions]; over HTTP, these are taken.

        The options are those of ``encode`` that the vectors are made with.

        Raises:
            InvalidRequest: The artifact has none, or the dimensions are more than the model's.
        """
        options = Options(dimensions=dimensions, normalize=normalize, ranged=True)
        self._check(options)
        ranges = self._ranges(self.files.load(), options)
        assert ranges is not None  # noqa: S101 - or the check had failed
        return ranges

    def embed_now(self, inputs: Inputs, options: Options, *, first: int = 0) -> Embedded:
        """The vectors of a list of inputs, with token counts and timings; errors count inputs from ``first``.

        Blocks. An interrupt takes what still waits out of the queue.
        """
        started = time.perf_counter()
        self._check(options)
        parts = self.files.load()
        tokenizer = self._tokenizer(parts, options)
        distinct = Distinct(self._cache, _kind(options))
        inference = _inference(parts, options)
        job = Work(self._scheduler, tokenizer, distinct).run(inference, inputs, first=first)
        return self._embedded(job, parts, distinct, options, started)

    async def embed(
        self, inputs: Inputs, options: Options, *, tenant: str = "", seconds: float = math.inf
    ) -> Embedded:
        """``embed_now`` for an event loop, which runs neither tokenization nor inference.

        Cancelling it takes what still waits out of the queue. Tenants have equal shares of the lanes. What
        cannot be done within so many seconds is refused, or given up as soon as that is clear.
        """
        started = time.perf_counter()
        self._check(options)
        parts = await self.files.load_async()
        tokenizer = self._tokenizer(parts, options)
        distinct = Distinct(self._cache, _kind(options), tenant)
        inference = _inference(parts, options)
        work = Work(self._scheduler, tokenizer, distinct)
        job = await work.run_async(inference, inputs, tenant=tenant, end=started + seconds)
        return self._embedded(job, parts, distinct, options, started)

    async def probe(self) -> None:
        """Run one token through the model, unless it is not in memory.

        Raises:
            EmbedError: That failed.
        """
        parts = self.files.parts
        if parts is not None:
            await asyncio.wrap_future(self._scheduler.submit(parts.vectors, [TokenSequence([0])]).future)

    async def show_tokens(self, inputs: Inputs, options: Options) -> list[tuple[Tokens, list[str]]]:
        """``tokenize`` for an event loop, and of each input the vocabulary's entries of its ids.

        Raises:
            InvalidRequest: There are more tokens than would fit an empty queue.
        """
        parts = await self.files.load_async()
        tokenizer = self._tokenizer(parts, options)
        entries: list[tuple[Tokens, list[str]]] = []
        num_tokens = 0
        for part in tokenizer.slices(inputs):
            items = await tokenizer.tokens_async(part, first=len(entries))
            num_tokens += sum(item.num_tokens for item in items)
            self._check_answer(num_tokens)
            entries += zip(
                items, await in_tokenizer_thread(partial(_words, parts.tokenizer, items)), strict=True
            )
        return entries

    async def show_pieces(self, texts: list[str], options: Options) -> list[list[Piece]]:
        """All tokens of each text with its prompt, where they come from, without a cut; for an event loop.

        Raises:
            InvalidRequest: There are more tokens than would fit an empty queue.
        """
        parts = await self.files.load_async()
        tokenizer = self._tokenizer(parts, options)
        prompt = tokenizer.prompt
        special = options.add_special_tokens and not isinstance(tokenizer, QueryTokenizer)
        split = partial(parts.tokenizer.pieces, add_special_tokens=special)
        entries: list[list[Piece]] = []
        for text in texts:
            entries.append(await in_tokenizer_thread(partial(split, prompt + text)))
            self._check_answer(sum(map(len, entries)))
        return entries

    def _check_answer(self, num_tokens: int) -> None:
        most = self._scheduler.queue_tokens
        if num_tokens > most:
            raise InvalidRequest(
                f"input has at least {num_tokens} tokens and at most {most} are shown; send several "
                "requests, or raise the server's --queue-tokens",
                param="input",
            )

    def tokenize(self, inputs: Inputs, options: Options) -> list[Tokens]:
        """What the model would see of each input.

        Raises:
            InvalidRequest: The prompt is unknown, an id is outside the vocabulary, or an input has no tokens.
            TextTooLong: An input is over the limit and must not be cut.
        """
        return self._tokenizer(self.files.load(), options).tokens(inputs)

    def _tokenizer(self, parts: Parts, options: Options) -> RequestTokenizer:
        if parts.queries is not None and prompts.are_queries(options):
            return QueryTokenizer(parts.queries, self.manifest, options)
        return RequestTokenizer(
            parts.tokenizer, self.manifest, options, most_tokens=self._scheduler.queue_tokens
        )

    def _embedded(
        self, job: Job[Vector], parts: Parts, distinct: Distinct, options: Options, started: float
    ) -> Embedded:
        """The result of a finished job."""
        normalized = self.manifest.dense.normalize and options.normalize is not False
        vectors = windows.merged(distinct.results(job.results), distinct.inputs, renormalize=normalized)
        if options.dimensions is not None and options.dimensions < self.manifest.dense.dimensions:
            vectors = cut(vectors, options.dimensions, renormalize=normalized)
        if options.normalize:
            vectors = unit(vectors)
        return Embedded(
            vectors=vectors,
            ranges=self._ranges(parts, options),
            tokens=distinct.inputs,
            hits=distinct.hits,
            **outcome.stages(job, started),
        )

    def _ranges(self, parts: Parts, options: Options) -> Ranges | None:
        """The artifact's ranges for vectors of these options, if they take ranges."""
        if not options.ranged or parts.sizes is None:
            return None
        dense = self.manifest.dense
        dimensions = options.dimensions or dense.dimensions
        normalized = dense.normalize if options.normalize is None else options.normalize
        return dtypes.even_ranges(parts.sizes.greatest(dimensions, normalized=normalized), dimensions)

    def _check(self, options: Options) -> None:
        """Refuse options that this model does not take, before anything is computed."""
        dense = self.manifest.dense  # first, so that a model of other vectors says that it has no dense ones
        if options.ranged and manifest.RANGES not in self.manifest.sha256:
            raise InvalidRequest(
                f"{self.manifest.name} has no ranges for int8 and uint8, as it was exported by an older "
                "version; export it again, or take float, binary or ubinary"
            )
        if options.long_texts not in get_args(LongTexts):
            raise InvalidRequest(
                f"long_texts is {options.long_texts!r}; it is one of {', '.join(get_args(LongTexts))}",
                param="long_texts",
            )
        dimensions, most = options.dimensions, dense.dimensions
        if dimensions is not None and not 1 <= dimensions <= most:
            trained = ", ".join(map(str, dense.matryoshka))
            best = f", and was trained for {trained}" if trained else ""
            raise InvalidRequest(
                f"dimensions is {dimensions}; this model takes 1 to {most}{best}", param="dimensions"
            )


def _load_same(kind: type[Model], folder: str, described: Manifest, options: dict[str, Any]) -> Model:
    """A model that was pickled, if the artifact is still the one it was.

    Raises:
        ArtifactError: It is absent, or was exported again since.
    """
    model = kind.load(folder, **options)
    if model.manifest != described:
        model.close()
        raise ArtifactError(f"{folder} was exported again after this model was pickled; load it from there")
    return model


def _kind(options: Options) -> Kind:
    """What comes out of a request's sequences."""
    return "raw_vectors" if options.normalize is False else "vectors"


def _inference(parts: Parts, options: Options) -> Inference[Vector]:
    """What makes the vectors of a request."""
    return parts.raw_vectors if _kind(options) == "raw_vectors" else parts.vectors


def _words(tokenizer: Tokenizer, tokens: list[Tokens]) -> list[list[str]]:
    """The vocabulary's entries of each input's ids."""
    return [tokenizer.words(item.ids) for item in tokens]
