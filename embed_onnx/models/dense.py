"""What a model of vectors does: of each text, one vector.

``DenseEncoding`` is the part of ``Model`` for that; in a program:

    with Model.load("artifacts/all-MiniLM-L6-v2") as model:
        vectors = model.encode(["Hello", "world"])
"""

import math
import time
from typing import TypedDict, Unpack, get_args

from embed_onnx.artifact import manifest
from embed_onnx.engine import dtypes
from embed_onnx.engine.dtypes import DType, Ranges, Stored
from embed_onnx.engine.inference import Inference
from embed_onnx.engine.vectors import Vector, cut, unit
from embed_onnx.errors import InvalidRequest
from embed_onnx.models import outcome, windows
from embed_onnx.models.distinct import Distinct
from embed_onnx.models.inputs import Inputs, OneOrMore, listed
from embed_onnx.models.model_files import Parts
from embed_onnx.models.options import LongTexts, Options
from embed_onnx.models.outcome import Outcome
from embed_onnx.models.part import Part
from embed_onnx.models.result_cache import Kind
from embed_onnx.models.work import Work
from embed_onnx.scheduling.jobs import Job


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


class DenseEncoding(Part):
    """The part of a model of vectors."""

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
        tokenizer = self._request_tokenizer(parts, options)
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
        tokenizer = self._request_tokenizer(parts, options)
        distinct = Distinct(self._cache, _kind(options), tenant)
        inference = _inference(parts, options)
        work = Work(self._scheduler, tokenizer, distinct)
        job = await work.run_async(inference, inputs, tenant=tenant, end=started + seconds)
        return self._embedded(job, parts, distinct, options, started)

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
            **outcome.fields(job, distinct, started),
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


def _kind(options: Options) -> Kind:
    """What comes out of a request's sequences."""
    return "raw_vectors" if options.normalize is False else "vectors"


def _inference(parts: Parts, options: Options) -> Inference[Vector]:
    """What makes the vectors of a request."""
    return parts.raw_vectors if _kind(options) == "raw_vectors" else parts.vectors
