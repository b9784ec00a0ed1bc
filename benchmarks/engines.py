"""The rows of the tables: engines, each in a process and an environment of its own.

One of them works at a time, on request; the others are stopped, for some poll while they wait.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from benchmarks import peers
from embed_onnx_export import similarity

Options = dict[str, Any]

OURS, PYTORCH = "embed-onnx", "sentence-transformers, PyTorch"
PLAIN, AVX2 = "embed-onnx, kernels off", "embed-onnx, AVX2 kernel"
ONNX = "sentence-transformers, ONNX int8"
"""The quantisation preset follows in brackets."""
FUSED, OPENVINO = "ONNX Runtime int8, fused graph", "OpenVINO int8"
GENAI, CTRANSLATE2 = "OpenVINO GenAI int8", "CTranslate2 int8"
LLAMA, CANDLE, VLLM = "llama.cpp, q8_0", "Candle, float32", "vLLM for CPUs, bfloat16"
MODEL2VEC = "Model2Vec, other vectors"
"""Static embeddings distilled from the model: what a table lookup takes, and not the same vectors."""


PROCESS_GROUP, USER_TIME, SYSTEM_TIME = 2, 11, 12
"""Fields of /proc/PID/stat, counted from the state."""


@dataclass(frozen=True)
class Engine:
    """A script of ``benchmarks/workers``, the environment that runs it (None: this one), and its options."""

    script: str
    environment: str | None
    options: Options
    variables: dict[str, str] = field(default_factory=dict)


def engines(model: str, threads: int, instructions: list[str]) -> dict[str, Engine]:
    """Every engine that makes sense on a CPU of these instruction sets, by name."""
    folder = str(peers.files(model))
    own = Engine("own.py", None, {"artifact": str(peers.artifact(model)), "threads": threads})
    pytorch = Engine("sentence.py", "sentence", {"folder": str(peers.checkpoint(model)), "threads": threads})
    tensors = {"folder": folder, "threads": threads, "max_tokens": peers.MAX_TOKENS}

    def onnx(file: str) -> Engine:
        options = {"folder": folder, "file": f"onnx/{file}", "threads": threads}
        return Engine("sentence_onnx.py", "onnx", options)

    rows = {
        OURS: own,
        PLAIN: replace(own, variables={"EMBED_ONNX_KERNELS": "off"}),
        PYTORCH: pytorch,
        "sentence-transformers, ONNX float32": onnx("model_O3.onnx"),
        f"{ONNX} (avx512_vnni)": onnx("model_qint8_avx512_vnni.onnx"),
        FUSED: Engine("ort_graph.py", "onnx", tensors | {"file": "onnx/model_O3_quantized.onnx"}),
        OPENVINO: Engine("openvino_int8.py", "openvino", tensors | {"file": "openvino/openvino_model.xml"}),
        GENAI: Engine("openvino_pipeline.py", "openvino", tensors | {"folder": f"{folder}/openvino"}),
        CTRANSLATE2: Engine("ctranslate2_int8.py", "ctranslate2", tensors, _widest(instructions)),
        LLAMA: Engine("llama_gguf.py", "llama", tensors | {"file": str(peers.gguf(model))}),
        CANDLE: _candle(model, threads),
        VLLM: Engine("vllm_cpu.py", "vllm", _vllm(model)),
        "fastembed, int8": Engine("fastembed_onnx.py", "fastembed", _fastembed(model, threads)),
    }
    rows |= by_avx2(own, instructions)
    if not set(instructions) & {"avx512_vnni", "avx_vnni"}:
        rows[f"{ONNX} (avx2)"] = onnx("model_quint8_avx2.onnx")
    return rows


def by_avx2(own: Engine, instructions: list[str]) -> dict[str, Engine]:
    """Our engine as on a processor that has no more than AVX2, where this one has."""
    if not set(instructions) & {"avx512f", "avx_vnni"}:
        return {}
    return {AVX2: replace(own, variables={"EMBED_ONNX_KERNELS": "avx2"})}


def static_table() -> dict[str, Engine]:
    """The upper end, for all-MiniLM-L6-v2 alone."""
    return {MODEL2VEC: Engine("model2vec_table.py", "model2vec", {"folder": str(peers.distilled())})}


def _candle(model: str, threads: int) -> Engine:
    options = {"name": peers.hub(model), "max_tokens": peers.MAX_TOKENS}
    variables = {"HF_HOME": str(peers.HUB), "RAYON_NUM_THREADS": str(threads)}
    return Engine("candle_bert.py", "candle", options, variables)


def _widest(instructions: list[str]) -> dict[str, str]:
    """CTranslate2 stays with AVX2 on AMD's processors unless it is forced."""
    return {"CT2_FORCE_CPU_ISA": "AVX512"} if "avx512f" in instructions else {}


def _vllm(model: str) -> Options:
    return {"folder": str(peers.checkpoint(model)), "max_tokens": peers.MAX_TOKENS}


def _fastembed(model: str, threads: int) -> Options:
    config = json.loads((peers.files(model) / "config.json").read_text())
    return {
        "folder": str(peers.files(model)),
        "file": "onnx/model_O3_quantized.onnx",
        "threads": threads,
        "dimensions": config["hidden_size"],
    }


class Worker:
    """An engine's process; ``versions`` are those of the packages that make it up."""

    def __init__(self, engine: Engine) -> None:
        interpreter = sys.executable if engine.environment is None else str(peers.python(engine.environment))
        script = str(peers.WORKERS / engine.script)
        self._process = subprocess.Popen(
            [interpreter, script, json.dumps(engine.options)],
            env=os.environ | {"HF_HUB_OFFLINE": "1"} | engine.variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.versions: dict[str, str] = self._answer()["versions"]
        self._send(signal.SIGSTOP)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._send(signal.SIGCONT)
        self._process.communicate()

    def time(self, inputs: list[str], seconds: float) -> list[float]:
        """Seconds of each of as many calls as fit into so long, one at least."""
        taken: list[float] = self._ask({"texts": inputs, "seconds": seconds})["seconds"]
        return taken

    def processor_seconds(self) -> float:
        """What it has computed so far, with the processes that it started."""
        ticks = 0
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):  # it has just ended
                fields = path.read_text().rpartition(") ")[2].split()
                if int(fields[PROCESS_GROUP]) == self._process.pid:
                    ticks += int(fields[USER_TIME]) + int(fields[SYSTEM_TIME])
        return ticks / os.sysconf("SC_CLK_TCK")

    def vectors(self, inputs: list[str], path: Path) -> np.ndarray:
        """Unit vectors, float32 [texts, dimensions], by way of a file."""
        vectors = self.results(inputs, path)
        unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit

    def results(self, inputs: list[str], path: Path) -> np.ndarray:
        """What the engine gives, float32, by way of a file."""
        self._ask({"texts": inputs, "save": str(path)})
        results: np.ndarray = np.load(path)
        return results

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._send(signal.SIGCONT)  # first, as a long list fills the pipe before it is read
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        self._send(signal.SIGSTOP)
        return answer

    def _send(self, number: signal.Signals) -> None:
        """A signal for the process and its own."""
        os.killpg(self._process.pid, number)

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.communicate()
            raise RuntimeError(f"{self._process.args} ended; its error is above")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextlib.contextmanager
def started(rows: Mapping[str, Engine]) -> Iterator[dict[str, Worker]]:
    """The workers of some engines, by name."""
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(Worker(engine)) for name, engine in rows.items()}


def results(workers: Mapping[str, Worker], inputs: list[str]) -> dict[str, np.ndarray]:
    """What each engine gives."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.npy"
        return {name: worker.results(inputs, path) for name, worker in workers.items()}


def cosines(workers: Mapping[str, Worker], inputs: list[str]) -> dict[str, float]:
    """The mean cosine of each engine's vectors to PyTorch's."""
    vectors = results(workers, inputs)
    original = vectors[PYTORCH]
    return {name: round(float(similarity.cosines(one, original).mean()), 5) for name, one in vectors.items()}
