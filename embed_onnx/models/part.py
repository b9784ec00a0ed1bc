"""What each part of ``Model`` has to work with: a part for each kind of output."""

from embed_onnx.artifact.manifest import Manifest
from embed_onnx.engine.native import Kernels
from embed_onnx.models.model_files import ModelFiles, Parts
from embed_onnx.models.options import Options
from embed_onnx.models.request_tokenizer import RequestTokenizer
from embed_onnx.models.result_cache import ModelCache
from embed_onnx.scheduling.scheduler import Scheduler


class Part:
    """Thread-safe. Methods whose names end in ``_now`` block; those beside them are for event loops."""

    manifest: Manifest
    native_kernels: Kernels
    """Those of the process, which score token vectors whatever runs the model."""
    files: ModelFiles
    _scheduler: Scheduler
    _cache: ModelCache | None

    def _request_tokenizer(self, parts: Parts, options: Options) -> RequestTokenizer:
        return RequestTokenizer(
            parts.tokenizer, self.manifest, options, most_tokens=self._scheduler.queue_tokens
        )
