"""One served model: prompt, tokenize, schedule, and the vectors back.

``Model`` is also the in-process API:

    from embed_onnx import Model

    with Model.load("artifacts/all-MiniLM-L6-v2") as model:
        vectors = model.encode(["Hello", "world"])
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import msgspec

from embed_onnx import cpu, manifest, native, pooling
from embed_onnx.encoder import Encoder
from embed_onnx.errors import InvalidRequest, TextTooLong
from embed_onnx.manifest import Manifest
from embed_onnx.native import Kernels
from embed_onnx.pooling import Vector
from embed_onnx.scheduler import Job, Scheduler
from embed_onnx.tokenizer import Tokenizer, Tokens

INPUTS_A_SLICE = 64
"""Inputs tokenized in one go; between the slices of a long list, other requests have their turn."""

Inputs = Sequence[str | list[int]]
"""Texts, or token ids of the model's own; one kind at a time."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a request may ask of a model; None leaves it to the model."""

    prompt: str | None = None
    prompt_name: str | None = None
    dimensions: int | None = None
    truncate: bool = True


class Embedded(msgspec.Struct, frozen=True, kw_only=True):
    """Vectors, float32 [inputs, dimensions], what they were made from, and how long it took."""

    vectors: Vector
    tokens: list[Tokens]
    tokenize_seconds: float
    queue_seconds: float
    infer_seconds: float

    @property
    def num_tokens(self) -> int:
        """Tokens of all inputs, special tokens included, after truncation."""
        return sum(item.num_tokens for item in self.tokens)


class Model:
    """A loaded artifact and the scheduler it runs on. Thread-safe; inference releases the GIL."""

    def __init__(self, folder: Path, verified: Manifest, scheduler: Scheduler, kernels: Kernels) -> None:
        self.manifest = verified
        self._tokenizer = Tokenizer(folder / manifest.TOKENIZER, max_tokens=verified.max_tokens)
        self._encoder = Encoder(folder / manifest.MODEL, verified, kernels)
        self.kernels = self._encoder.kernels
        """What runs it."""
        self._scheduler = scheduler

    @classmethod
    def load(cls, folder: str | Path, *, threads: int | None = None) -> Self:
        """Load an artifact with lanes of its own: ``threads`` of them, or one a usable core.

        The variable ``EMBED_ONNX_KERNELS`` chooses its kernels, as the server's setting does.

        Raises:
            ArtifactError: The artifact is absent, damaged, or newer than this version.
        """
        folder = Path(folder)
        found = manifest.read(folder)
        manifest.verify(found, folder)
        lanes = cpu.usable_cores() if threads is None else threads
        kernels = native.find()
        kernels.set_threads(lanes)
        return cls(folder, found, Scheduler(lanes=lanes, queue_tokens=sys.maxsize), kernels)

    def close(self) -> None:
        """End the lanes; what waits fails."""
        self._scheduler.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def encode(self, inputs: Inputs, **options: Any) -> Vector:
        """The vectors of a list of texts or of token ids, float32 [inputs, dimensions]. Blocks.

        Keywords are the fields of ``Options``.

        Raises:
            InvalidRequest: An option or an input is wrong.
        """
        return self.embed_now(inputs, Options(**options)).vectors

    def embed_now(self, inputs: Inputs, options: Options, *, first: int = 0) -> Embedded:
        """``encode``, with token counts and timings; errors count inputs from ``first``."""
        started = time.perf_counter()
        self._check_dimensions(options)
        tokens = self.tokenize(inputs, options, first=first)
        job = self._scheduler.submit(self._encoder, [item.ids for item in tokens])
        job.future.result()
        return self._embedded(job, tokens, options, started)

    async def embed(self, inputs: Inputs, options: Options) -> Embedded:
        """``embed_now`` for an event loop, which runs neither tokenization nor inference.

        Cancelling it takes what still waits out of the queue.
        """
        started = time.perf_counter()
        self._check_dimensions(options)
        tokens: list[Tokens] = []
        num_tokens = 0
        for first in range(0, len(inputs), INPUTS_A_SLICE):
            # Every input has a token at least: a list that will not fit is refused before it costs more.
            self._scheduler.check_room(num_tokens + len(inputs) - first)
            part = inputs[first : first + INPUTS_A_SLICE]
            found = await asyncio.to_thread(self.tokenize, part, options, first=first)
            num_tokens += sum(item.num_tokens for item in found)
            tokens += found
        job = self._scheduler.submit(self._encoder, [item.ids for item in tokens])
        await asyncio.wrap_future(job.future)
        return self._embedded(job, tokens, options, started)

    def tokenize(self, inputs: Inputs, options: Options, *, first: int = 0) -> list[Tokens]:
        """What the model would see of each input; errors count inputs from ``first``.

        Raises:
            InvalidRequest: The prompt is unknown, an id is outside the vocabulary, or an input has no tokens.
            TextTooLong: An input is over the limit and must not be cut.
        """
        if isinstance(inputs, str):
            raise InvalidRequest("inputs is one text; give a list of texts", param="input")
        texts = [item for item in inputs if isinstance(item, str)]
        if len(texts) == len(inputs):
            prompt = self._prompt(options)
            tokens = self._tokenizer.encode([prompt + text for text in texts])
        else:
            tokens = [self._from_ids(ids, options, index) for index, ids in enumerate(inputs, start=first)]
        for index, item in enumerate(tokens, start=first):
            self._check_length(item, options, index)
        return tokens

    def words(self, tokens: Tokens) -> list[str]:
        """The vocabulary's entries of an input's ids."""
        return self._tokenizer.words(tokens.ids)

    def _embedded(self, job: Job, tokens: list[Tokens], options: Options, started: float) -> Embedded:
        """The result of a finished job."""
        vectors = job.vectors
        if options.dimensions is not None and options.dimensions < self.manifest.dimensions:
            vectors = pooling.cut(vectors, options.dimensions, renormalize=self.manifest.normalize)
        return Embedded(
            vectors=vectors,
            tokens=tokens,
            tokenize_seconds=job.submitted - started,
            queue_seconds=job.started - job.submitted,
            infer_seconds=job.finished - job.started,
        )

    def _prompt(self, options: Options) -> str:
        """What is put before each text: the literal prompt, else the named one, else the default."""
        if options.prompt is not None:
            return options.prompt
        name = self.manifest.default_prompt if options.prompt_name is None else options.prompt_name
        if name is None:
            return ""
        if name not in self.manifest.prompts:
            known = ", ".join(self.manifest.prompts) or "no prompts"
            raise InvalidRequest(
                f"prompt_name {name!r} is unknown; this model has {known}", param="prompt_name"
            )
        return self.manifest.prompts[name]

    def _from_ids(self, ids: str | list[int], options: Options, index: int) -> Tokens:
        """A client's own token ids; a prompt is text and cannot be put before them."""
        if isinstance(ids, str):
            raise InvalidRequest("input mixes texts and token ids; send one kind in a request", param="input")
        if options.prompt is not None or options.prompt_name is not None:
            given = "prompt_name" if options.prompt is None else "prompt"
            raise InvalidRequest(f"{given} cannot be put before token ids; send texts", param=given)
        for token_id in ids:
            if not 0 <= token_id < self._tokenizer.vocabulary_size:
                raise InvalidRequest(
                    f"input[{index}] has the token id {token_id}, and this model's vocabulary ends at "
                    f"{self._tokenizer.vocabulary_size - 1}. If LangChain sent it, set "
                    "check_embedding_ctx_length=False so that it sends texts",
                    param="input",
                )
        return self._tokenizer.cut_ids(ids)

    def _check_length(self, tokens: Tokens, options: Options, index: int) -> None:
        if not tokens.ids:
            raise InvalidRequest(f"input[{index}] has no tokens for this model; leave it out", param="input")
        if tokens.truncated and not options.truncate:
            at_least = "" if tokens.exact else "at least "
            raise TextTooLong(
                f"input[{index}] has {at_least}{tokens.full_length} tokens and the model "
                f"takes {self.manifest.max_tokens}; shorten it, or send truncate=true to have it cut",
                param="input",
            )

    def _check_dimensions(self, options: Options) -> None:
        asked, has = options.dimensions, self.manifest.dimensions
        if asked is not None and not 1 <= asked <= has:
            raise InvalidRequest(f"dimensions is {asked}; this model takes 1 to {has}", param="dimensions")
