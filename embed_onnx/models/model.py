"""One served model: prompt, tokenize, schedule, and the vectors back.

``Model`` is also the in-process API:

    from embed_onnx import Model

    with Model.load("artifacts/all-MiniLM-L6-v2") as model:
        vectors = model.encode(["Hello", "world"])

``encode`` and ``encode_async`` are for callers in Python; ``embed_now`` and ``embed``, which also tell tokens
and timings, are what the command line and the server call.
"""

import asyncio
import math
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec
import numpy as np

from embed_onnx.artifact import manifest
from embed_onnx.artifact.manifest import Manifest, TruncationSide
from embed_onnx.engine import dtypes, native
from embed_onnx.engine.dtypes import DType, Ranges, Stored
from embed_onnx.engine.encoder import Encoder
from embed_onnx.engine.inference import Inference
from embed_onnx.engine.native import Kernels
from embed_onnx.engine.outputs.dense import DenseFinish
from embed_onnx.engine.sequence import TokenSequence
from embed_onnx.engine.vectors import Vector, cut, unit
from embed_onnx.errors import ArtifactError, InvalidRequest, TextTooLong
from embed_onnx.models.options import InputType
from embed_onnx.models.tokenizer import Limit, Piece, Tokenizer, Tokens
from embed_onnx.scheduling.jobs import Job
from embed_onnx.scheduling.scheduler import LANE_TIMEOUT, Scheduler
from embed_onnx.system import cpu, forks

INPUTS_A_SLICE = 64
LENGTH_A_SLICE = 30_000
"""Inputs, and their characters, tokenized in one go, about 10 ms; between the slices of a long list, other
requests have their turn."""
LENGTH_AT_ONCE = 500
"""Characters tokenized on the event loop, about 0.1 ms."""

LANGCHAIN = "If LangChain sent it, set check_embedding_ctx_length=False so that it sends texts"
"""It sends ids of OpenAI's vocabulary by default."""

T = TypeVar("T")

Inputs = Sequence[str | list[int]]
"""Texts, or token ids of the model's own; one kind at a time."""
OneOrMore = str | list[int] | Inputs
"""An input, or a list of them."""

ROLES: dict[str, tuple[str, ...]] = {"query": ("query",), "document": ("document", "passage", "corpus")}
"""The prompts that ``encode_query`` and ``encode_document`` of Sentence-Transformers look for, in order."""
INPUT_TYPES: dict[InputType, tuple[str, ...]] = {
    "search_query": ROLES["query"],
    "search_document": ROLES["document"],
    "query": ROLES["query"],
    "document": ROLES["document"],
    "passage": ("passage", "document", "corpus"),
    "classification": ("classification",),
    "clustering": ("clustering",),
}
"""The same for the words of other APIs."""

TOKENIZERS = 4
"""Threads that tokenize for event loops."""
_tokenizing = forks.Pool(TOKENIZERS, "tokenize", cpu.give_way)
"""Tokenizes for event loops. Of our own, so that whatever texts hold, it delays nothing but texts."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a request may ask of a model; None leaves it to the model.

    ``max_tokens`` is a limit that counts where it is lower than the model's. ``normalize`` is False for the
    vector before the Normalize that a model ends with, and True for one of length 1 from any model.
    """

    prompt: str | None = None
    prompt_name: str | None = None
    input_type: InputType | None = None
    dimensions: int | None = None
    normalize: bool | None = None
    truncate: bool = True
    truncation_side: TruncationSide | None = None
    max_tokens: int | None = None
    zeros: bool = False
    """Inputs that are empty, or have no tokens for the model, have vectors of zeros; or else are refused."""
    add_special_tokens: bool = True
    """False: token ids are taken as they are, without the special tokens that are around a text."""


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


class _Parts(msgspec.Struct, frozen=True):
    """What of a model is in memory. ``raw_vectors`` are those before the Normalize at its end."""

    tokenizer: Tokenizer
    vectors: Inference[Vector]
    raw_vectors: Inference[Vector]

    def inference(self, options: Options) -> Inference[Vector]:
        """What makes the vectors of a request."""
        return self.raw_vectors if options.normalize is False else self.vectors


class Model:
    """An artifact and the scheduler it runs on. Thread-safe; inference releases the GIL.

    Its files are checked and read by ``prepare``, or when they are first needed.
    """

    def __init__(
        self,
        folder: Path,
        described: Manifest,
        scheduler: Scheduler,
        kernels: Kernels,
        *,
        literal_special_tokens: bool = False,
    ) -> None:
        self.manifest = described
        self.literal_special_tokens = literal_special_tokens
        """Whether special tokens that are written in a text are ordinary text."""
        self.kernels = kernels.of(described)
        """What runs it."""
        self.last_used = time.monotonic()
        """When somebody last needed it, on the clock of ``time.monotonic``."""
        self.file_bytes = 0
        """The size of its files, once they are verified."""
        self._folder = folder
        self._scheduler = scheduler
        self._verified = False
        self._parts: _Parts | None = None
        self._loading = threading.Lock()
        self._loader = forks.Pool(1, "load")
        """Loads for event loops. Of its own, so that who waits for this model delays nobody else."""
        forks.register(self)

    def before_fork(self) -> None:
        """Wait until no other thread loads it."""
        self._rests = self._loading.acquire(timeout=forks.SECONDS)

    def after_fork(self) -> None:
        """Let others load it, in the parent."""
        if self._rests:
            self._loading.release()

    def begin_again(self) -> None:
        """Have a lock of its own, in the child."""
        self._loading = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled, it is the place where it lies: it is loaded anew from there, with lanes of its own."""
        scheduler = self._scheduler
        options = {
            "threads": scheduler.lanes,
            "literal_special_tokens": self.literal_special_tokens,
            "lane_timeout": scheduler.lane_timeout,
        }
        return _load_same, (type(self), str(self._folder.absolute()), self.manifest, options)

    @property
    def loaded(self) -> bool:
        """Whether it is in memory."""
        return self._parts is not None

    def verify(self) -> None:
        """Check its files before they are read for the first time.

        Raises:
            ArtifactError: One is absent or damaged.
        """
        manifest.verify(self.manifest, self._folder)
        self.file_bytes = manifest.model_bytes(self._folder)
        self._verified = True

    def prepare(self) -> "_Parts":
        """Have it in memory; blocks while it is read.

        Raises:
            ArtifactError: A file is damaged, or is no model or tokenizer.
        """
        with self._loading:
            if self._parts is None:
                if not self._verified:
                    self.verify()
                tokenizer = Tokenizer(
                    self._folder / manifest.TOKENIZER,
                    max_tokens=self.manifest.max_tokens,
                    truncation_side=self.manifest.truncation_side,
                    literal_special_tokens=self.literal_special_tokens,
                )
                encoder = Encoder(self._folder / manifest.MODEL, self.manifest, self.kernels)
                output, head = self.manifest.output, encoder.through_head
                usual = Inference(encoder, DenseFinish(output, head))
                raw = Inference(encoder, DenseFinish(output, head, normalize=False))
                self._parts = _Parts(tokenizer, usual, raw if output.normalize else usual)
            self.last_used = time.monotonic()
            return self._parts

    async def prepare_async(self) -> "_Parts":
        """``prepare`` for an event loop."""
        parts = self._parts
        if parts is not None:
            return parts
        return await asyncio.get_running_loop().run_in_executor(self._loader.executor, self.prepare)

    def unload(self) -> None:
        """Free its memory once the requests that it is at are done; the next one reads it again."""
        self._verified = False
        self._parts = None

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
            model.prepare()
        except ArtifactError:
            scheduler.close()
            raise
        return model

    def close(self) -> None:
        """End the lanes; what waits fails. A model that nobody has any more is closed by itself."""
        self._scheduler.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def encode(  # noqa: PLR0913 - keywords that callers choose from
        self,
        inputs: OneOrMore,
        *,
        prompt: str | None = None,
        prompt_name: str | None = None,
        dimensions: int | None = None,
        normalize: bool | None = None,
        truncate: bool = True,
        add_special_tokens: bool = True,
        dtype: DType = "float32",
        ranges: Ranges | None = None,
    ) -> Stored:
        """The vectors of texts, or of token ids: of a list [inputs, dimensions], of one alone [dimensions].

        Blocks, and releases the GIL meanwhile. Several threads may call it at a time.

        Args:
            inputs: A text or its token ids, or a list of either. An array or a series of texts will do.
            prompt: Put before each text.
            prompt_name: The same, by its name in the manifest. Without either, the model's default is taken.
            dimensions: Cut each vector to so many, and normalise it again where the model does that.
            normalize: False gives the vectors before the Normalize that a model ends with, and does not
                normalise them after a cut; True gives vectors of length 1 from any model.
            truncate: Cut texts that are longer than the model takes, or else refuse them.
            add_special_tokens: False takes token ids as they are. Otherwise they must begin and end with the
                special tokens that this model puts around a text, or they are probably another model's.
            dtype: Of the numbers; ``ubinary`` has eight dimensions in a uint8.
            ranges: Of each dimension, [2, dimensions], for int8: ``dtypes.ranges`` of float32 vectors like
                these. Without them, those of these vectors; queries need those of the documents.

        Raises:
            InvalidRequest: An option or an input is wrong.
            TextTooLong: A text is too long and ``truncate`` is off.
        """
        options = Options(
            prompt=prompt,
            prompt_name=prompt_name,
            dimensions=dimensions,
            normalize=normalize,
            truncate=truncate,
            add_special_tokens=add_special_tokens,
        )
        listed, alone = _listed(inputs)
        vectors = self.embed_now(listed, options).vectors
        return dtypes.convert(vectors[0] if alone else vectors, dtype, ranges)

    async def encode_async(  # noqa: PLR0913 - those of encode
        self,
        inputs: OneOrMore,
        *,
        prompt: str | None = None,
        prompt_name: str | None = None,
        dimensions: int | None = None,
        normalize: bool | None = None,
        truncate: bool = True,
        add_special_tokens: bool = True,
        dtype: DType = "float32",
        ranges: Ranges | None = None,
    ) -> Stored:
        """``encode`` for an event loop. Cancelling it takes what still waits out of the queue."""
        options = Options(
            prompt=prompt,
            prompt_name=prompt_name,
            dimensions=dimensions,
            normalize=normalize,
            truncate=truncate,
            add_special_tokens=add_special_tokens,
        )
        listed, alone = _listed(inputs)
        vectors = (await self.embed(listed, options)).vectors
        return dtypes.convert(vectors[0] if alone else vectors, dtype, ranges)

    def embed_now(self, inputs: Inputs, options: Options, *, first: int = 0) -> Embedded:
        """The vectors of a list of inputs, with token counts and timings; errors count inputs from ``first``.

        Blocks. An interrupt takes what still waits out of the queue.
        """
        started = time.perf_counter()
        self._check_dimensions(options)
        tokens = self.tokenize(inputs, options, first=first)
        job = self._scheduler.submit(self.prepare().inference(options), _sequences(tokens))
        try:
            job.future.result()
        finally:
            job.future.cancel()  # of no effect, unless this wait was interrupted
        return self._embedded(job, tokens, options, started)

    async def embed(
        self, inputs: Inputs, options: Options, *, tenant: str = "", seconds: float = math.inf
    ) -> Embedded:
        """``embed_now`` for an event loop, which runs neither tokenization nor inference.

        Cancelling it takes what still waits out of the queue. Tenants have equal shares of the lanes. What
        cannot be done within so many seconds is refused, or given up as soon as that is clear.
        """
        started = time.perf_counter()
        self._check_dimensions(options)
        parts = await self.prepare_async()
        tokens: list[Tokens] = []
        num_tokens = 0
        for part in _slices(inputs, len(self.prompt(options))):
            # Every input has a token at least: a list that will not fit is refused before it costs more.
            self._scheduler.check_room(num_tokens + len(inputs) - len(tokens), tenant)
            found = await self._tokenize_aside(part, options, first=len(tokens))
            num_tokens += sum(item.num_tokens for item in found)
            tokens += found
        left = started + seconds - time.perf_counter()
        job = self._scheduler.submit(
            parts.inference(options), _sequences(tokens), tenant=tenant, timeout=left
        )
        await asyncio.wrap_future(job.future)
        return self._embedded(job, tokens, options, started)

    async def probe(self) -> None:
        """Run one token through the model, unless it is not in memory.

        Raises:
            EmbedError: That failed.
        """
        parts = self._parts
        if parts is not None:
            await asyncio.wrap_future(self._scheduler.submit(parts.vectors, [TokenSequence([0])]).future)

    async def show_tokens(self, inputs: Inputs, options: Options) -> list[tuple[Tokens, list[str]]]:
        """``tokenize`` for an event loop, and of each input the vocabulary's entries of its ids.

        Raises:
            InvalidRequest: There are more tokens than would fit an empty queue.
        """
        await self.prepare_async()
        shown: list[tuple[Tokens, list[str]]] = []
        num_tokens = 0
        for part in _slices(inputs, len(self.prompt(options))):
            found = await self._tokenize_aside(part, options, first=len(shown))
            num_tokens += sum(item.num_tokens for item in found)
            self._check_shown(num_tokens)
            shown += zip(found, await _aside(partial(self._words, found)), strict=True)
        return shown

    async def show_pieces(self, texts: list[str], options: Options) -> list[list[Piece]]:
        """All tokens of each text with its prompt, where they come from, without a cut; for an event loop.

        Raises:
            InvalidRequest: There are more tokens than would fit an empty queue.
        """
        tokenizer = (await self.prepare_async()).tokenizer
        prompt = self.prompt(options)
        split = partial(tokenizer.pieces, add_special_tokens=options.add_special_tokens)
        shown: list[list[Piece]] = []
        for text in texts:
            shown.append(await _aside(partial(split, prompt + text)))
            self._check_shown(sum(map(len, shown)))
        return shown

    def _check_shown(self, num_tokens: int) -> None:
        most = self._scheduler.queue_tokens
        if num_tokens > most:
            raise InvalidRequest(
                f"input has at least {num_tokens} tokens and at most {most} are shown; send several "
                "requests, or raise the server's --queue-tokens",
                param="input",
            )

    async def _tokenize_aside(self, inputs: Inputs, options: Options, *, first: int) -> list[Tokens]:
        """``tokenize``, off the event loop; a few words take less time than the way to another thread."""
        length = sum(len(item) + len(self.prompt(options)) for item in inputs)
        if self.loaded and length <= LENGTH_AT_ONCE:
            return self.tokenize(inputs, options, first=first)
        return await _aside(partial(self.tokenize, inputs, options, first=first))

    def tokenize(self, inputs: Inputs, options: Options, *, first: int = 0) -> list[Tokens]:
        """What the model would see of each input; errors count inputs from ``first``.

        Raises:
            InvalidRequest: The prompt is unknown, an id is outside the vocabulary, or an input has no tokens.
            TextTooLong: An input is over the limit and must not be cut.
        """
        if isinstance(inputs, str):
            raise InvalidRequest("inputs is one text; give a list of texts", param="input")
        tokenizer = self.prepare().tokenizer
        limit = self._limit(tokenizer, options)
        texts = [item for item in inputs if isinstance(item, str)]
        if len(texts) == len(inputs):
            if texts and not options.add_special_tokens:
                raise InvalidRequest(
                    "add_special_tokens is false, and texts always get the model's special tokens; leave it "
                    "out, or send token ids",
                    param="add_special_tokens",
                )
            prompt = self.prompt(options)
            tokens = tokenizer.encode([prompt + text for text in texts], limit)
            if options.zeros:
                tokens = [item if text else Tokens([], 0) for item, text in zip(tokens, texts, strict=True)]
            if prompt and not self.manifest.output.include_prompt:
                skipped = tokenizer.prompt_length(prompt, limit)
                tokens = [msgspec.structs.replace(item, skipped=skipped) for item in tokens]
        elif texts:
            raise InvalidRequest("input mixes texts and token ids; send one kind in a request", param="input")
        else:
            listed = [ids for ids in inputs if not isinstance(ids, str)]
            for index, ids in enumerate(listed, start=first):
                self._check_ids(ids, options, index, tokenizer)
            tokens = [tokenizer.cut_ids(ids, limit, raw=not options.add_special_tokens) for ids in listed]
        for index, item in enumerate(tokens, start=first):
            self._check_length(item, options, index)
        return tokens

    def _words(self, tokens: list[Tokens]) -> list[list[str]]:
        """The vocabulary's entries of each input's ids."""
        tokenizer = self.prepare().tokenizer
        return [tokenizer.words(item.ids) for item in tokens]

    def _embedded(self, job: Job[Vector], tokens: list[Tokens], options: Options, started: float) -> Embedded:
        """The result of a finished job."""
        vectors = _with_zeros(job.results, tokens)
        if options.dimensions is not None and options.dimensions < self.manifest.output.dimensions:
            again = self.manifest.output.normalize and options.normalize is not False
            vectors = cut(vectors, options.dimensions, renormalize=again)
        if options.normalize:
            vectors = unit(vectors)
        return Embedded(
            vectors=vectors,
            tokens=tokens,
            tokenize_seconds=job.submitted - started,
            queue_seconds=max(0.0, job.started - job.submitted),  # never started if there are only zeros
            infer_seconds=job.finished - job.started,
        )

    def prompt(self, options: Options) -> str:
        """What is put before each text: the literal prompt, else the named one, else the default."""
        if options.prompt is not None:
            return options.prompt
        name = self._prompt_name(options)
        return "" if name is None else self.manifest.prompts[name]

    def has_prompt(self, name: str) -> bool:
        """Whether ``prompt_name`` may be that."""
        return name in self.manifest.prompts or name in ROLES

    def _prompt_name(self, options: Options) -> str | None:
        """The prompt to use; for a role or an input type that the model has no prompt for, the default."""
        asked, prompts = options.prompt_name, self.manifest.prompts
        candidates: tuple[str, ...] = ()
        if options.input_type is not None:
            candidates = INPUT_TYPES[options.input_type]
        elif asked in ROLES:
            candidates = ROLES[asked]
        elif asked in prompts:
            return asked
        elif asked is not None:
            known = f"{', '.join(prompts)}; send one of them, or" if prompts else "no prompts;"
            raise InvalidRequest(
                f"prompt_name {asked[:80]!r} is unknown; this model has {known} leave it out",
                param="prompt_name",
            )
        return next((name for name in candidates if name in prompts), self.manifest.default_prompt)

    def _check_ids(self, ids: list[int], options: Options, index: int, tokenizer: Tokenizer) -> None:
        """Refuse what cannot be this model's token ids; a prompt is text and cannot be put before them."""
        for given in ("prompt", "prompt_name", "input_type"):
            if getattr(options, given) is not None:
                raise InvalidRequest(
                    f"{given} puts a prompt before texts, and input is token ids; send texts", param=given
                )
        for token_id in ids:
            if not 0 <= token_id < tokenizer.num_ids:
                raise InvalidRequest(
                    f"input[{index}] has the token id {token_id}, and this model's vocabulary ends at "
                    f"{tokenizer.num_ids - 1}. {LANGCHAIN}",
                    param="input",
                )
        if ids and options.add_special_tokens and not tokenizer.template.is_around(ids):
            raise InvalidRequest(
                f"input[{index}] lacks the special tokens that this model puts around a text, "
                f"{_described(tokenizer)}, so its ids are probably another model's; send texts or what POST "
                "/tokenize gives, or add_special_tokens=false if the ids are meant as they are. "
                f"{LANGCHAIN}",
                param="input",
            )

    @staticmethod
    def _limit(tokenizer: Tokenizer, options: Options) -> Limit:
        """The limit of a request, which must leave room for a token beside the special ones."""
        asked, special = options.max_tokens, len(tokenizer.template) if options.add_special_tokens else 0
        if asked is not None and asked <= special:
            raise InvalidRequest(
                f"max_tokens is {asked}, and this model puts {special} special tokens around each text; send "
                f"at least {special + 1}",
                param="max_tokens",
            )
        return tokenizer.limit(max_tokens=asked, side=options.truncation_side)

    def _check_length(self, tokens: Tokens, options: Options, index: int) -> None:
        if not tokens.ids:
            if options.zeros:
                return
            raise InvalidRequest(f"input[{index}] has no tokens for this model; leave it out", param="input")
        if tokens.num_tokens <= tokens.skipped:
            raise InvalidRequest(
                f"input[{index}] has {tokens.num_tokens} tokens with its prompt, whose {tokens.skipped} this "
                "model does not pool, so nothing is left to embed; shorten the prompt",
                param="input",
            )
        if tokens.truncated and not options.truncate:
            raise self._too_long(tokens, options, index)

    def _too_long(self, tokens: Tokens, options: Options, index: int) -> TextTooLong:
        """Clients know a text that is too long for a model by OpenAI's words for it."""
        has = f"input[{index}] has {'' if tokens.exact else 'at least '}{tokens.full_length} tokens"
        most, asked = self.manifest.max_tokens, options.max_tokens
        limit = f"this model's maximum context length is {most} tokens"
        if asked is not None and (most is None or asked < most):
            limit = f"max_tokens is {asked}"
        return TextTooLong(
            f"{has}, and {limit}; shorten it, or send truncate=true to have it cut", param="input"
        )

    def _check_dimensions(self, options: Options) -> None:
        asked, has = options.dimensions, self.manifest.output.dimensions
        if asked is not None and not 1 <= asked <= has:
            trained = ", ".join(map(str, self.manifest.output.matryoshka))
            best = f", and was trained for {trained}" if trained else ""
            raise InvalidRequest(
                f"dimensions is {asked}; this model takes 1 to {has}{best}", param="dimensions"
            )


def _load_same(kind: type[Model], folder: str, described: Manifest, options: dict[str, Any]) -> Model:
    """A model that was pickled, if the artifact is still the one it was.

    Raises:
        ArtifactError: It is absent, or was made anew since.
    """
    model = kind.load(folder, **options)
    if model.manifest != described:
        model.close()
        raise ArtifactError(f"{folder} was exported again after this model was pickled; load it from there")
    return model


def _sequences(tokens: list[Tokens]) -> list[TokenSequence]:
    """What is run; an input without tokens is not."""
    return [TokenSequence(item.ids, item.skipped) for item in tokens if item.ids]


def _with_zeros(results: Vector, tokens: list[Tokens]) -> Vector:
    """The vectors of ``_sequences``, and zeros in the places of inputs without tokens."""
    if len(results) == len(tokens):
        return results
    whole: Vector = np.zeros((len(tokens), results.shape[-1]), np.float32)
    whole[[bool(item.ids) for item in tokens]] = results
    return whole


def _described(tokenizer: Tokenizer) -> str:
    """The special tokens around a text, in words."""
    sides = {"before": tokenizer.template.before, "after": tokenizer.template.after}
    return " and ".join(f"{_named(tokenizer, ids)} {side} it" for side, ids in sides.items() if ids)


def _named(tokenizer: Tokenizer, ids: list[int]) -> str:
    words = tokenizer.words(ids)
    return ", ".join(f"{word} ({token_id})" for word, token_id in zip(words, ids, strict=True))


def _listed(inputs: OneOrMore) -> tuple[Inputs, bool]:
    """Inputs as a list, and whether it was one alone."""
    if isinstance(inputs, str):
        _check_kind(inputs, 0)
        return [inputs], True
    if not isinstance(inputs, Iterable) or isinstance(inputs, bytes):
        raise InvalidRequest(f"inputs is {inputs!r}; give a text or a list of texts", param="input")
    listed: list[Any] = list(inputs)
    if listed and _are_ids(listed):
        return [listed], True
    for index, item in enumerate(listed):
        _check_kind(item, index)
    return listed, False


def _are_ids(items: list[Any]) -> bool:
    return all(isinstance(item, int) for item in items)


def _check_kind(item: object, index: int) -> None:
    """Refuse what is neither a text nor token ids, which over HTTP the wire's types do."""
    if isinstance(item, str):
        try:
            item.encode()
        except UnicodeEncodeError as err:
            raise InvalidRequest(
                f"input[{index}] is not valid Unicode: character {err.start} is half of a surrogate pair; "
                "decode it with errors='replace'",
                param="input",
            ) from None
    elif not (isinstance(item, list) and _are_ids(item)):
        raise InvalidRequest(
            f"input[{index}] is of type {type(item).__name__}; give a text, or a list of token ids",
            param="input",
        )


def _slices(inputs: Inputs, prompt: int) -> Iterator[Inputs]:
    """The inputs, each with a prompt of some length, parted into lists that are tokenized in one go."""
    first = length = 0
    for index, item in enumerate(inputs):
        length += prompt + len(item)
        if (length > LENGTH_A_SLICE and index > first) or index - first == INPUTS_A_SLICE:
            yield inputs[first:index]
            first, length = index, prompt + len(item)
    yield inputs[first:]


async def _aside(work: Callable[[], T]) -> T:
    """Call what takes a while in a thread that is there for texts."""
    return await asyncio.get_running_loop().run_in_executor(_tokenizing.executor, work)
