"""One text of so many tokens through one engine: ``long_text.py ENGINE PATH TOKENS``.

Prints seconds of wall clock and of CPU, megabytes at the most and those that loading took, as JSON.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np


def native(path: str) -> Callable[[np.ndarray], object]:
    """An artifact, with one lane."""
    from embed_onnx import Model

    model = Model.load(path, threads=1)
    return lambda ids: model.encode(ids.tolist(), add_special_tokens=False)


def onnx(path: str) -> Callable[[np.ndarray], object]:
    """A graph, in a session like those of ``embed_onnx.engine.encoder``."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda ids: session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})


def pytorch(path: str) -> Callable[[np.ndarray], object]:
    """sentence-transformers, with the attention that transformers chooses."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(1)
    model = SentenceTransformer(path, device="cpu").eval()

    def run(ids: np.ndarray) -> object:
        tokens = torch.tensor(ids)
        with torch.inference_mode():
            return model({"input_ids": tokens, "attention_mask": torch.ones_like(tokens)})

    return run


def main(engine: str, path: str, tokens: str) -> None:
    """Run a short text, and then the long one."""
    run = {"native": native, "onnx": onnx, "pytorch": pytorch}[engine](path)
    ids = np.random.default_rng(0).integers(5, 60, (1, int(tokens)))
    run(ids[:, :8])
    before, wall, cpu = _most(), time.perf_counter(), time.process_time()
    run(ids)
    row = {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    print(json.dumps(row | {"most MB": _most(), "short MB": before}))


def _most() -> float:
    """Resident megabytes at the most, up to now; getrusage would count those of the parent before exec."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6


if __name__ == "__main__":
    main(*sys.argv[1:])
