"""One served model: prompt, tokenize, schedule, and the vectors back.

``Model`` is also the in-process API:

    from embed_onnx import Model

    with Model.load("artifacts/all-MiniLM-L6-v2") as model:
        vectors = model.encode(["Hello", "world"])

What it can do is in its parts, one for each kind of output: ``DenseEncoding``, ``SparseEncoding``,
``TokenEncoding`` and ``Scoring``. ``encode`` and ``encode_async`` are for callers in Python; ``embed_now``
and ``embed``, which also return tokens and timings, are what the command line and the server call. The other
parts have the same pairs.
"""

import asyncio
import sys
from functools import partial
from pathlib import Path
from typing import Any, Self

from embed_onnx.artifact import manifest
from embed_onnx.artifact.manifest import Manifest
from embed_onnx.engine import native
from embed_onnx.engine.native import Kernels
from embed_onnx.engine.sequence import TokenSequence
from embed_onnx.errors import ArtifactError, InvalidRequest
from embed_onnx.models import prompts
from embed_onnx.models.dense import DenseEncoding
from embed_onnx.models.inputs import Inputs
from embed_onnx.models.model_files import ModelFiles, Parts
from embed_onnx.models.options import Options
from embed_onnx.models.query_table import QueryTokenizer
from embed_onnx.models.request_tokenizer import RequestTokenizer, in_tokenizer_thread
from embed_onnx.models.result_cache import ResultCache
from embed_onnx.models.scoring import Scoring
from embed_onnx.models.sparse import SparseEncoding
from embed_onnx.models.tokenizer import Piece, Tokenizer, Tokens
from embed_onnx.scheduling.scheduler import LANE_TIMEOUT, Scheduler
from embed_onnx.system import cpu


class Model(DenseEncoding, SparseEncoding, Scoring):
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
        return self._request_tokenizer(parts, options)


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


def _words(tokenizer: Tokenizer, tokens: list[Tokens]) -> list[list[str]]:
    """The vocabulary's entries of each input's ids."""
    return [tokenizer.words(item.ids) for item in tokens]
