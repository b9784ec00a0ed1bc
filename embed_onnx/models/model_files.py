"""The files of one model, checked and read when they are first needed, and out of memory when nobody is."""

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import msgspec

from embed_onnx.artifact import manifest, ranges
from embed_onnx.artifact.manifest import RANGES, Manifest
from embed_onnx.artifact.outputs import Dense, Scores, Sparse, TokenVectors
from embed_onnx.artifact.ranges import Sizes
from embed_onnx.engine.encoder import Encoder
from embed_onnx.engine.inference import Inference
from embed_onnx.engine.native import Kernels
from embed_onnx.engine.outputs.dense import DenseFinish
from embed_onnx.engine.outputs.scores import ScoresFinish
from embed_onnx.engine.outputs.sparse import SparseFinish
from embed_onnx.engine.outputs.token_vectors import TokenVectorsFinish
from embed_onnx.models.pairs import PairTokenizer
from embed_onnx.models.query_table import QueryTable
from embed_onnx.models.tokenizer import Tokenizer
from embed_onnx.system import forks


class Parts(msgspec.Struct, frozen=True):
    """What of a model is in memory. ``raw_vectors`` are those before the Normalize at its end."""

    tokenizer: Tokenizer
    vectors: Inference[Any]
    """Of a model that scores, they are logits; of a sparse one, sparse vectors; or those of tokens."""
    raw_vectors: Inference[Any]
    pairs: PairTokenizer | None = None
    """Of a model that scores pairs of texts."""
    sizes: Sizes | None = None
    """Of a model of vectors, where its artifact has them."""
    queries: QueryTable | None = None
    """Of a sparse model whose queries take no inference."""


class ModelFiles:
    """Of an artifact's folder. Thread-safe; a forked child may go on with it."""

    def __init__(
        self, folder: Path, described: Manifest, kernels: Kernels, *, literal_special_tokens: bool
    ) -> None:
        self.folder = folder
        self.literal_special_tokens = literal_special_tokens
        """Whether special tokens that are written in a text are ordinary text."""
        self.parts: Parts | None = None
        """None while it is not in memory."""
        self.last_used = time.monotonic()
        """When somebody last needed it, on the clock of ``time.monotonic``."""
        self.file_bytes = 0
        """The size of its files, once they are verified."""
        self._manifest = described
        self._kernels = kernels
        self._verified = False
        self._loading = threading.Lock()
        self._thread = forks.Pool(1, "load")
        """Loads for event loops. Of its own, so that waiting for this model delays no other."""
        forks.register(self)

    @property
    def loaded(self) -> bool:
        """Whether they are in memory."""
        return self.parts is not None

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

    def verify(self) -> None:
        """Check the files before they are read for the first time.

        Raises:
            ArtifactError: One is absent or damaged.
        """
        manifest.verify(self._manifest, self.folder)
        self.file_bytes = manifest.model_bytes(self.folder)
        self._verified = True

    def load(self) -> Parts:
        """Have it in memory; blocks while it is read.

        Raises:
            ArtifactError: A file is damaged, or is not a model or a tokenizer.
        """
        with self._loading:
            if self.parts is None:
                if not self._verified:
                    self.verify()
                self.parts = self._read()
            self.last_used = time.monotonic()
            return self.parts

    async def load_async(self) -> Parts:
        """``load`` for an event loop."""
        if self.parts is not None:
            return self.parts
        return await asyncio.get_running_loop().run_in_executor(self._thread.executor, self.load)

    def unload(self) -> None:
        """Free its memory once the requests that use it are done; the next one reads it again."""
        self._verified = False
        self.parts = None

    def _read(self) -> Parts:
        output = self._manifest.output
        tokenizer = Tokenizer(
            self.folder / manifest.TOKENIZER,
            max_tokens=self._manifest.max_tokens,
            truncation_side=self._manifest.truncation_side,
            literal_special_tokens=self.literal_special_tokens,
            prompts=self._manifest.prompts.values() if isinstance(output, TokenVectors) else (),
        )
        encoder = Encoder(self.folder / manifest.MODEL, self._manifest, self._kernels)
        head = encoder.through_head
        match output:
            case Scores():
                logits = Inference(encoder, ScoresFinish(output, head))
                return Parts(tokenizer, logits, logits, PairTokenizer(tokenizer) if output.pairs else None)
            case Sparse():
                sparse = Inference(encoder, SparseFinish(output, encoder.through_vocabulary))
                queries = QueryTable.read(self.folder, self._manifest, tokenizer)
                return Parts(tokenizer, sparse, sparse, queries=queries)
            case TokenVectors():
                token_vectors = Inference(encoder, TokenVectorsFinish(output, encoder.through_head_by_token))
                return Parts(tokenizer, token_vectors, token_vectors)
            case Dense():
                vectors = Inference(encoder, DenseFinish(output, head))
                raw_vectors = Inference(encoder, DenseFinish(output, head, normalize=False))
                sizes = ranges.read(self.folder) if RANGES in self._manifest.sha256 else None
                return Parts(tokenizer, vectors, raw_vectors if output.normalize else vectors, sizes=sizes)
