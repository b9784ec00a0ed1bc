"""Token vectors of documents of mixed lengths and of short queries, and MaxSim, by ours and other engines.

    python -m benchmarks.token_vectors [--rounds N] [--seconds S] [--texts FILE ...]

``python -m benchmarks.peers`` must have run before. The model is a ColBERT, made here: the encoder of
all-MiniLM-L6-v2 with a Dense to 128 dimensions at random, as many as trained ones have, queries of 32 tokens
and documents without punctuation. Engines and turns are as in ``benchmarks.speed``. Whether an engine
computes the same is seen by the cosine of its vectors to PyTorch's. MaxSim is of 32 vectors with those of
documents of mixed lengths, and of one length, which need no padding.
"""

import argparse
import string
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import engines, peers, record, texts, turns
from benchmarks.engines import Engine, Worker
from embed_onnx_export.report import environment

NAME = "colbert-minilm"
DIMENSIONS, QUERY_TOKENS = 128, 32
DOCUMENTS, QUERY_WORDS = 200, 6
COMPARED = 20
STORED = (100, 1000)
"""Documents that a query is compared with by MaxSim."""
STORED_WORDS = 125
"""Of documents of one length, which have three vectors more."""
SENTENCE_BATCH, FASTEMBED_BATCH = 8, 1
"""The fastest for mixed lengths: fastembed pads in the order of arrival."""
FASTEMBED = "fastembed, int8"
FILE = "model_O3_quantized.onnx"


def main() -> None:
    """Make what is missing, measure, and write results/token_vectors.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--texts", type=Path, nargs="*", default=[])
    turns.add_arguments(parser, rounds=5, seconds=1.0)
    arguments = parser.parse_args()
    documents, queries = texts.mixed(arguments.texts, DOCUMENTS), texts.of_words(1, QUERY_WORDS)
    _make()

    here = environment.describe()
    rows: dict[str, Any] = {}
    cosines: dict[str, Any] = {}
    versions: dict[str, dict[str, str]] = {}
    for cell, role, inputs in (
        (f"{DOCUMENTS} documents", "document", documents),
        ("one query", "query", queries),
    ):
        with engines.started(_encoders(role, here.cores, here.instructions)) as workers:
            cosines[role] = engines.cosines(workers, inputs[:COMPARED])
            rows[cell] = turns.compare(cell, inputs, workers, arguments)
            versions |= {name: worker.versions for name, worker in workers.items()}
    with engines.started(_scorers(here.cores, here.instructions)) as workers:
        for cell, inputs in _stored().items():
            _check_scores(workers, [*queries, *inputs])
            rows[cell] = turns.compare(cell, [*queries, *inputs], workers, arguments)
    record.write("token_vectors", {"cells": rows, "cosine": cosines, "engines": versions})


def _encoders(role: str, threads: int, instructions: list[str]) -> dict[str, Engine]:
    options = {"threads": threads, "role": role}
    pytorch = options | {"folder": str(peers.checkpoint(NAME)), "batch": SENTENCE_BATCH}
    fastembed = options | {"folder": str(peers.files(NAME)), "file": FILE, "batch": FASTEMBED_BATCH}
    rows = {
        engines.OURS: Engine("tokens_own.py", None, options | {"artifact": str(peers.artifact(NAME))}),
        engines.PYTORCH: Engine("tokens_sentence.py", "sentence", pytorch),
        FASTEMBED: Engine("tokens_fastembed.py", "fastembed", fastembed),
    }
    return rows | engines.by_avx2(rows[engines.OURS], instructions)


def _scorers(threads: int, instructions: list[str]) -> dict[str, Engine]:
    rows = {
        engines.OURS: Engine("maxsim_own.py", None, {"threads": threads}),
        engines.PYTORCH: Engine("maxsim_sentence.py", "sentence", {"threads": threads}),
    }
    return rows | engines.by_avx2(rows[engines.OURS], instructions)


def _stored() -> dict[str, list[str]]:
    """Documents, as many words as they have vectors but three, by what is measured of them."""
    mixed = {f"MaxSim, {count:,} documents": texts.mixed([], count) for count in STORED}
    most = STORED[-1]
    return mixed | {f"MaxSim, {most:,} of {STORED_WORDS + 3} tokens": texts.of_words(most, STORED_WORDS)}


def _check_scores(workers: dict[str, Worker], inputs: list[str]) -> None:
    """Engines that are compared give the same scores, but for the last digits of float32."""
    scores = engines.results(workers, inputs)
    for one in scores.values():
        np.testing.assert_allclose(one, scores[engines.PYTORCH], rtol=1e-4)


def _make() -> None:
    """Write the checkpoint, fastembed's files and the artifact that are not there yet."""
    if not peers.checkpoint(NAME).exists():
        _write_checkpoint(peers.checkpoint(NAME))
    if not peers.files(NAME).exists():
        _write_files(peers.files(NAME))
    if not peers.artifact(NAME).exists():
        line = f'"{peers.checkpoint(NAME).absolute()}" name={NAME}'
        command = [sys.executable, "-m", "embed_onnx", "export", "--model", line]
        subprocess.run([*command, "--artifacts", str(peers.artifact(NAME).parent)], check=True)


def _write_checkpoint(folder: Path) -> None:
    """The encoder and a Dense at random; markers are the unused entries that fastembed puts before texts."""
    import torch
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Dense, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
    from sentence_transformers.sentence_transformer.modules import Normalize

    torch.manual_seed(0)
    transformer = Transformer(
        str(peers.checkpoint(peers.SMALL)),
        max_seq_length=peers.MAX_TOKENS,
        query_length=QUERY_TOKENS,
        document_length=peers.MAX_TOKENS,
        query_expansion={"strategy": "fixed", "length": QUERY_TOKENS, "attend": False},
    )
    prompts = {"query": "[unused0]", "document": "[unused1]"}
    transformer.tokenizer.add_tokens([*prompts.values()], special_tokens=True)
    states = "token_embeddings"
    dense = Dense(
        transformer.get_embedding_dimension(),
        DIMENSIONS,
        bias=False,
        activation_function=torch.nn.Identity(),
        module_input_name=states,
    )
    mask = MultiVectorMask(skiplist_words=list(string.punctuation))
    modules = [transformer, dense, mask, Normalize(module_input_name=states)]
    MultiVectorEncoder(modules=modules, prompts=prompts, device="cpu").save_pretrained(str(folder))


def _write_files(folder: Path) -> None:
    """The encoder's fused int8 file with the Dense in float32 behind it, and the tokenizer, for fastembed.

    The file takes no token types: fastembed would give one too few, as it adds the marker to the ids alone.
    """
    import onnx
    from onnx import helper, numpy_helper
    from safetensors.numpy import load_file

    folder.mkdir(parents=True)
    encoder = peers.files(peers.SMALL)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (folder / name).write_bytes((encoder / name).read_bytes())
    weight = load_file(peers.checkpoint(NAME) / "1_Dense" / "model.safetensors")["linear.weight"]
    model = onnx.load(encoder / "onnx" / FILE)
    (types,) = [put for put in model.graph.input if put.name == "token_type_ids"]
    model.graph.input.remove(types)
    model.graph.node.insert(0, helper.make_node("Sub", ["input_ids", "input_ids"], [types.name]))
    states = model.graph.output[0].name
    model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(weight.T), "dense"))
    model.graph.node.extend(
        [
            helper.make_node("MatMul", [states, "dense"], ["projected"]),
            helper.make_node("LpNormalization", ["projected"], ["vectors"], axis=-1, p=2),
        ]
    )
    del model.graph.output[:]
    shape = ["batch", "tokens", DIMENSIONS]
    model.graph.output.append(helper.make_tensor_value_info("vectors", onnx.TensorProto.FLOAT, shape))
    onnx.save(model, folder / FILE)


if __name__ == "__main__":
    main()
