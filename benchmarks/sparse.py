"""Sparse vectors of documents of mixed lengths and of short queries, by ours and other engines.

    python -m benchmarks.sparse [--rounds N] [--seconds S] [--texts FILE ...]

``python -m benchmarks.peers`` must have run before. The model is a SPLADE of all-MiniLM-L6-v2's size with
that model's encoder, made here, which weighs about 200 entries of a document as trained ones do. Engines
and turns are as in ``benchmarks.speed``. Whether an engine computes the same is seen by the cosine of its
vectors to PyTorch's.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import engines, peers, record, texts, turns
from benchmarks.engines import Engine
from embed_onnx_export.report import environment

NAME = "splade-minilm"
DOCUMENTS, QUERY_WORDS = 200, 6
ENTRIES = 200
"""Above zero in a document, so many on average."""
COMPARED = 20
ACTIVE = 50
"""Documents by which the model's bias is set."""
SENTENCE_BATCH, ONNX_BATCH, FASTEMBED_BATCH = 8, 4, 1
"""The fastest for mixed lengths: fastembed pads in the order of arrival."""
INT8 = "model_O3_quantized.onnx"


def main() -> None:
    """Make what is missing, measure, and write results/sparse.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--texts", type=Path, nargs="*", default=[])
    turns.add_arguments(parser, rounds=5, seconds=1.0)
    arguments = parser.parse_args()
    documents = texts.mixed(arguments.texts, DOCUMENTS)
    _make(documents)

    here = environment.describe()
    cells = {f"{DOCUMENTS} documents": documents, "one query": texts.of_words(1, QUERY_WORDS)}
    with engines.started(_engines(here.cores, here.instructions)) as workers:
        cosines = engines.cosines(workers, documents[:COMPARED])
        rows = {cell: turns.compare(cell, inputs, workers, arguments) for cell, inputs in cells.items()}
        versions = {name: worker.versions for name, worker in workers.items()}
    record.write("sparse", {"cells": rows, "cosine": cosines, "engines": versions})


def _engines(threads: int, instructions: list[str]) -> dict[str, Engine]:
    folder = str(peers.files(NAME))
    preset = "qint8_avx512_vnni" if "avx512_vnni" in instructions else "quint8_avx2"
    options = {"folder": folder, "threads": threads}
    pytorch = {"folder": str(peers.checkpoint(NAME)), "threads": threads, "batch": SENTENCE_BATCH}
    onnx = options | {"batch": ONNX_BATCH, "file": f"onnx/model_{preset}.onnx"}
    fastembed = options | {"batch": FASTEMBED_BATCH, "file": f"onnx/{INT8}"}
    own = Engine("sparse_own.py", None, {"artifact": str(peers.artifact(NAME)), "threads": threads})
    rows = {
        engines.OURS: own,
        engines.PYTORCH: Engine("sparse_sentence.py", "sentence", pytorch),
        f"{engines.ONNX} ({preset.partition('_')[2]})": Engine("sparse_sentence.py", "onnx", onnx),
        "fastembed, int8": Engine("sparse_fastembed.py", "fastembed", fastembed),
    }
    return rows | engines.by_avx2(own, instructions)


def _make(documents: list[str]) -> None:
    """Write the checkpoint, the peers' files and the artifact that are not there yet."""
    home = peers.HOME / "models" / NAME
    if not peers.checkpoint(NAME).exists():
        _write_checkpoint(peers.checkpoint(NAME), documents)
    if not (peers.files(NAME) / "onnx").exists():
        script = peers.WORKERS / "make_onnx.py"
        command = [peers.python("onnx"), script, "SparseEncoder", peers.checkpoint(NAME), peers.files(NAME)]
        subprocess.run(list(map(str, command)), check=True)
    if not peers.artifact(NAME).exists():
        line = f'"{peers.checkpoint(NAME).absolute()}" name={NAME} task=sparse'
        command = [sys.executable, "-m", "embed_onnx", "export", "--model", line]
        subprocess.run([*map(str, command), "--artifacts", str(home / "artifacts")], check=True)


def _write_checkpoint(folder: Path, documents: list[str]) -> None:
    """The encoder with the embeddings of its words as weights of the scores, lowered by a bias."""
    import torch
    from transformers import AutoTokenizer, BertForMaskedLM

    source = str(peers.checkpoint(peers.SMALL))
    model, tokenizer = BertForMaskedLM.from_pretrained(source), AutoTokenizer.from_pretrained(source)
    torch.manual_seed(0)
    width = model.config.hidden_size
    transform = model.cls.predictions.transform.dense
    transform.weight.data = torch.eye(width) + 0.02 * torch.randn(width, width)
    transform.bias.data.zero_()
    with torch.inference_mode():
        thresholds = [
            float(_maxima(model, tokenizer, text).sort(descending=True).values[ENTRIES])
            for text in documents[:ACTIVE]
        ]
    model.cls.predictions.bias.data -= float(np.mean(thresholds))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _maxima(model: Any, tokenizer: Any, text: str) -> Any:
    """The greatest score of each entry over a text's tokens."""
    inputs = tokenizer(text, return_tensors="pt", truncation=True, max_length=peers.MAX_TOKENS)
    return model(**inputs).logits[0].amax(dim=0)


if __name__ == "__main__":
    main()
