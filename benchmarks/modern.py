"""Shapes that people move to, ModernBERT-base and Qwen3-0.6B with random weights, beside peers.

    python -m benchmarks.modern --folder modern [--rounds 3] [--seconds 2]

Texts of 32 and of 512 tokens alone, and 16 of 128. Each engine has a process of its own, and they take turns.
Their environments are those of ``benchmarks.peers``. What the folder has already is not made again. Peers get
the graph of PyTorch's own exporter: ONNX Runtime with its dynamic int8, a scale a channel; OpenVINO with the
int8 of NNCF. The cells are of the engines alone: peers without a framework pool by the mean.
"""

import argparse
import random
import string
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime.quantization

from benchmarks import engines, peers, record, stats
from benchmarks.engines import Engine, Worker
from embed_onnx_export.graph.exporters import torch_export

sys.path.append(str(Path(__file__).parent.parent / "tests" / "support"))
import small_models
import small_tokenizers

MODERNBERT, QWEN = "modernbert-base", "qwen3-0.6b, 7 of 28 layers"
CELLS = {"1x32": (1, 32), "1x512": (1, 512), "16x128": (16, 128)}
"""Texts and their tokens."""
LIMIT = 8192
SPECIAL = 2
"""Tokens around a text."""
THREADS = 2
ONNX = "ONNX Runtime int8"
CALIBRATION_TEXTS = 20


def main() -> None:
    """Make what is missing, measure, and write results/modern.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where models and their files are kept")
    parser.add_argument("--models", nargs="+", choices=CHECKPOINTS, default=list(CHECKPOINTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2)
    arguments = parser.parse_args()
    rows = {}
    for model in arguments.models:
        _make(arguments.folder, model)
        rows[model] = _measure(_folder(arguments.folder, model), model, arguments.rounds, arguments.seconds)
    record.write("modern", {"threads": THREADS, "milliseconds": rows})


def _measure(folder: Path, model: str, rounds: int, seconds: float) -> dict[str, dict[str, list[float]]]:
    """Quartiles of milliseconds a call, by engine and cell."""
    taken: dict[str, dict[str, list[float]]] = {name: {} for name in _engines(folder)}
    for name, engine in _engines(folder).items():
        with Worker(engine) as worker:
            for cell, (count, tokens) in CELLS.items():
                inputs = _texts(count, tokens - SPECIAL)
                worker.time(inputs, 0)
                times = [time for _ in range(rounds) for time in worker.time(inputs, seconds)]
                taken[name][cell] = stats.quartiles(np.array(times) * 1e3)
                print(model, name, cell, taken[name][cell], flush=True)
    return taken


def _texts(count: int, tokens: int) -> list[str]:
    """Texts of letters, which the small vocabulary has; no two equal, or one of them would be computed."""
    rng = random.Random(0)
    return [" ".join(rng.choices(string.ascii_lowercase, k=tokens)) for _ in range(count)]


def _engines(folder: Path) -> dict[str, Engine]:
    tensors = {"folder": str(folder / "files"), "threads": THREADS, "max_tokens": LIMIT}
    own = Engine("own.py", None, {"artifact": str(folder / "artifacts" / "model"), "threads": THREADS})
    checkpoint = {"folder": str(folder / "checkpoint"), "threads": THREADS}
    return {
        engines.OURS: own,
        engines.PYTORCH: Engine("sentence.py", "sentence", checkpoint),
        ONNX: Engine("ort_graph.py", None, tensors | {"file": "onnx/model_int8.onnx"}),
        engines.OPENVINO: Engine(
            "openvino_int8.py", "openvino", tensors | {"file": "openvino/openvino_model.xml"}
        ),
    }


def _folder(home: Path, model: str) -> Path:
    return home / model.partition(",")[0]


def _make(home: Path, model: str) -> None:
    """Write the checkpoint, the artifact and the peers' files that are not there yet."""
    folder = _folder(home, model)
    files = folder / "files"
    if not (folder / "checkpoint").exists():
        CHECKPOINTS[model](folder / "checkpoint")
    if not (folder / "artifacts").exists():
        export(folder / "checkpoint", folder / "artifacts")
    if not (files / "onnx").exists():
        _write_onnx(folder / "checkpoint", files)
    if not (files / "openvino").exists():
        command = [
            str(peers.python("openvino")),
            str(peers.WORKERS / "make_openvino.py"),
            str(files),
            str(LIMIT),
        ]
        texts = "\n".join([" ".join(["a"] * 60)] * CALIBRATION_TEXTS)
        subprocess.run(command, input=texts, text=True, check=True)


def export(checkpoint: Path, artifacts: Path) -> None:
    """Write the int8 artifact of a checkpoint, by the name "model"."""
    command = [sys.executable, "-m", "embed_onnx", "export", "--model", f"{checkpoint.absolute()} name=model"]
    subprocess.run([*command, "--artifacts", artifacts], check=True)


def _write_onnx(checkpoint: Path, files: Path) -> None:
    """The graph in float32 and in dynamic int8, beside the tokenizer."""
    from sentence_transformers import SentenceTransformer

    (files / "onnx").mkdir(parents=True)
    module = SentenceTransformer(str(checkpoint), device="cpu")[0]
    torch_export.write(module, files / "onnx" / "model.onnx")
    module.tokenizer.save_pretrained(str(files))
    onnxruntime.quantization.quantize_dynamic(
        files / "onnx" / "model.onnx",
        files / "onnx" / "model_int8.onnx",
        per_channel=True,
        weight_type=onnxruntime.quantization.QuantType.QInt8,
        use_external_data_format=True,
    )


def modernbert(folder: Path) -> None:
    """Write a checkpoint with its config's defaults: local attention of 128, global in every third layer."""
    from transformers import ModernBertConfig, ModernBertModel

    _save(ModernBertModel(ModernBertConfig(**small_models.SPECIAL_IDS)), "mean", folder, limit=LIMIT)


def _qwen(folder: Path) -> None:
    """The sizes of Qwen3-Embedding-0.6B; a quarter of its layers, which are all alike."""
    from transformers import Qwen3Config, Qwen3Model

    config = Qwen3Config(
        vocab_size=151_936,
        hidden_size=1024,
        intermediate_size=3072,
        num_hidden_layers=7,
        num_attention_heads=16,
        num_key_value_heads=8,
        head_dim=128,
        max_position_embeddings=32_768,
        rope_theta=1e6,
        tie_word_embeddings=True,
        pad_token_id=1,
    )
    # Longer texts are compared at export, which takes minutes and gigabytes, and are none of the cells.
    _save(Qwen3Model(config), "lasttoken", folder, limit=512)


CHECKPOINTS: dict[str, Callable[[Path], None]] = {MODERNBERT: modernbert, QWEN: _qwen}


def _save(model: Any, pooling: str, folder: Path, *, limit: int) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    with tempfile.TemporaryDirectory() as scratch:
        model.save_pretrained(scratch)
        small_tokenizers.fast_tokenizer("wordpiece", max_tokens=limit).save_pretrained(scratch)
        modules = [
            Transformer(scratch, max_seq_length=limit),
            Pooling(model.config.hidden_size, pooling),
            Normalize(),
        ]
        SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(folder))


if __name__ == "__main__":
    main()
