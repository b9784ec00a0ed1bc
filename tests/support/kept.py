"""Artifacts that several tests use: from a real export, and kept between runs.

They lie under a digest of all that makes them: the export, what measures its parity, the small models, the
kernels and the versions of the libraries. A change of any of these makes them anew.
"""

import fcntl
import functools
import hashlib
import platform
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from harness import CLASSIFIER, COLBERT, MINILM, RERANKER, ROOT, SMALL, SPARSE, run

CACHE = ROOT / ".cache" / "tests"
SOURCES = (
    "export",
    *(f"embed_onnx/artifact/{name}.py" for name in ("manifest", "outputs", "parity", "schema")),
    "embed_onnx/artifact/models_txt.py",
    "embed_onnx/artifact/line_options.py",
    "embed_onnx/engine",
    "embed_onnx/models/pairs.py",
    "embed_onnx/models/tokenizer.py",
    "tests/support/small_models.py",
    "tests/support/small_tokenizers.py",
    "tests/support/forms.py",
    "tests/support/kept.py",
)
ENDINGS = {".py", ".so", ".json"}
LIBRARIES = (
    "numpy", "onnx", "onnxruntime", "onnxscript", "sentence-transformers", "tokenizers", "torch",
    "transformers",
)  # fmt: skip


def home() -> Path:
    """A folder with a models.txt and its artifacts: the real MiniLM, and a small model with prompts."""
    return folder(_home)


def folder(make: Callable[[Path], None]) -> Path:
    """What a function makes in an empty folder; made once, for all runs, and not to be written to.

    The function's file is a part of the digest, so that a change of the function makes the folder anew.
    """
    code = make.__code__
    name = f"{Path(code.co_filename).stem}.{code.co_name}"
    source = hashlib.sha256(Path(code.co_filename).read_bytes()).hexdigest()[:8]
    _remove_old(CACHE, digest())
    kept = CACHE / digest() / f"{name}.{source}"
    kept.parent.mkdir(parents=True, exist_ok=True)
    with (kept.parent / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one of several test processes makes it, the others wait
        if not kept.exists():
            for old in kept.parent.glob(f"{name}.*/"):
                shutil.rmtree(old)
            unfinished = Path(tempfile.mkdtemp(dir=kept.parent))
            make(unfinished)
            unfinished.replace(kept)
    return kept


def scoring() -> Path:
    """A folder with a models.txt and its artifacts: a small embedder, a reranker and a classifier."""
    return folder(_scoring)


def sparse() -> Path:
    """A folder with a models.txt and its artifacts: a small embedder, and a sparse model."""
    return folder(_sparse)


def token_vectors() -> Path:
    """A folder with a models.txt and its artifacts: a small embedder, and a model of token vectors."""
    return folder(_token_vectors)


def export(folder: Path, models: str) -> None:
    """Write a models.txt, and export what it lists, in a process of its own."""
    (folder / "models.txt").write_text(models)
    done = run("export", cwd=folder)
    assert done.returncode == 0, done.stderr


@functools.cache
def digest() -> str:
    """Of the sources, the libraries' versions and the processor."""
    total = hashlib.sha256(platform.processor().encode())
    for name in LIBRARIES:
        total.update(f"{name} {version(name)}\n".encode())
    for source in SOURCES:
        path = ROOT / source
        files = [path] if path.is_file() else sorted(path.rglob("*"))
        for file in files:
            if file.suffix in ENDINGS:
                total.update(str(file.relative_to(ROOT)).encode() + file.read_bytes())
    return total.hexdigest()[:16]


def _home(folder: Path) -> None:
    import small_models  # it loads torch, which no test needs that finds the artifacts made

    small_models.save(folder / "checkpoint", default_prompt="document")
    export(folder, f"{MINILM}  alias=text-embedding-3-small\n./checkpoint  name={SMALL}  alias=team/tiny\n")


def _scoring(folder: Path) -> None:
    import small_models  # it loads torch, as above

    small_models.save(folder / "checkpoint", default_prompt="document")
    small_models.save_scoring(folder / "pairs")
    labels = {0: "bad", 1: "fair", 2: "good"}
    small_models.save_scoring(folder / "labels", plain=True, labels=3, id2label=labels)
    export(
        folder,
        f"./checkpoint  name={SMALL}\n./pairs  name={RERANKER}  alias=rerank-v3.5\n"
        f"./labels  name={CLASSIFIER}\n",
    )


def _sparse(folder: Path) -> None:
    import small_models  # it loads torch, as above

    small_models.save(folder / "checkpoint", default_prompt="document")
    small_models.save_sparse(folder / "splade")
    export(folder, f"./checkpoint  name={SMALL}\n./splade  name={SPARSE}  alias=splade-v3\n")


def _token_vectors(folder: Path) -> None:
    import small_models  # it loads torch, as above

    small_models.save(folder / "checkpoint", default_prompt="document")
    small_models.save_by_token(
        folder / "colbert",
        expansion={"strategy": "fixed", "length": 16, "attend": False},
        mask={"skiplist_words": [",", "."]},
    )
    export(folder, f"./checkpoint  name={SMALL}\n./colbert  name={COLBERT}  alias=colbertv2.0\n")


def _remove_old(cache: Path, current: str) -> None:
    """Remove what was made of other sources."""
    with suppress(FileNotFoundError):
        for old in cache.iterdir():
            if old.is_dir() and old.name != current:
                shutil.rmtree(old, ignore_errors=True)
