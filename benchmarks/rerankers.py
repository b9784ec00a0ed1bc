"""Engines that rank documents for a query: their workers score the first text with each of the others."""

from pathlib import Path

from benchmarks import engines, peers, servers
from benchmarks.engines import Engine

OVER_HTTP = f"{engines.OURS}, over HTTP"
SENTENCE_OPENVINO = "sentence-transformers, OpenVINO int8"
FASTEMBED = "fastembed, int8"
TORCH, OPTIMUM = servers.TORCH, servers.OPTIMUM
"""These are over HTTP, too."""

PYTORCH_BATCH, BATCH = 8, 4
"""Pairs of mixed lengths, sorted; larger ones pad more than they gain."""
UNSORTED_BATCH = 1
GENAI_BATCH = 2
"""The tokenizer of OpenVINO GenAI 2026.4 ends the process on three pairs of different lengths."""


def rerankers(threads: int, instructions: list[str]) -> dict[str, Engine]:
    """Every engine that ranks with the model of ``peers.RERANKER``, by name."""
    files = str(peers.files(peers.RERANKER))
    artifact = peers.artifact(peers.RERANKER)
    preset = "qint8_avx512_vnni" if "avx512_vnni" in instructions else "quint8_avx2"
    fused = "onnx/model_O3_quantized.onnx"
    tensors = {"folder": files, "threads": threads, "max_tokens": peers.PAIR_TOKENS, "pairs": True}
    batches = {"folder": files, "threads": threads, "batch": BATCH}
    pytorch = batches | {
        "folder": str(peers.checkpoint(peers.RERANKER)),
        "backend": "torch",
        "batch": PYTORCH_BATCH,
    }
    onnx = batches | {"backend": "onnx", "file": f"onnx/model_{preset}.onnx"}
    genai = batches | {"folder": f"{files}/openvino", "batch": GENAI_BATCH}
    fastembed = batches | {"file": fused, "batch": UNSORTED_BATCH}
    openvino = batches | {"backend": "openvino", "file": "openvino/openvino_model.xml"}
    return {
        engines.OURS: Engine("rerank_own.py", None, {"artifact": str(artifact), "threads": threads}),
        OVER_HTTP: _over_http(servers.own_command(artifact.parent)),
        engines.PYTORCH: Engine("rerank_sentence.py", "sentence", pytorch),
        f"{engines.ONNX} ({preset.partition('_')[2]})": Engine("rerank_sentence.py", "onnx", onnx),
        SENTENCE_OPENVINO: Engine("rerank_sentence.py", "sentence_openvino", openvino),
        engines.FUSED: Engine("ort_graph.py", "onnx", tensors | {"file": fused}),
        engines.OPENVINO: Engine(
            "openvino_int8.py", "openvino", tensors | {"file": "openvino/openvino_model.xml"}
        ),
        engines.GENAI: Engine("rerank_pipeline.py", "openvino", genai),
        FASTEMBED: Engine("rerank_fastembed.py", "fastembed", fastembed),
        TORCH: _infinity(*servers.INFINITY_TORCH, folder=peers.checkpoint(peers.RERANKER)),
        OPTIMUM: _infinity(*servers.INFINITY_OPTIMUM, folder=peers.infinity(peers.RERANKER)),
    }


def _infinity(*flags: str, folder: Path) -> Engine:
    return _over_http(servers.infinity_command(peers.RERANKER, *flags, folder=folder))


def _over_http(command: list[str]) -> Engine:
    variables = {"PYTHONPATH": str(peers.ROOT), "DO_NOT_TRACK": "1"}
    return Engine("rerank_http.py", None, {"command": command, "model": peers.RERANKER}, variables)
