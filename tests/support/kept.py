"""The artifacts that most tests use, made by a real export and kept between runs.

They lie under a digest of all that makes them: the export, what measures its parity, the small model, the
kernels and the versions of the libraries. A change of any of these makes them anew.
"""

import fcntl
import hashlib
import platform
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

from harness import MINILM, ROOT, SMALL, run

CACHE = ROOT / ".cache" / "tests"
SOURCES = (
    "export",
    "embed_onnx/artifact",
    "embed_onnx/engine",
    "embed_onnx/models/tokenizer.py",
    "tests/support/small_models.py",
    "tests/support/kept.py",
)
ENDINGS = {".py", ".so", ".json"}
LIBRARIES = ("numpy", "onnx", "onnxruntime", "sentence-transformers", "tokenizers", "torch", "transformers")


def home() -> Path:
    """A folder with a models.txt and its artifacts: the real MiniLM, and a small model with prompts.

    It is shared by all runs and is not to be written to.
    """
    folder = CACHE / digest()
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one of several test processes makes it, the others wait
        if not folder.exists():
            _make(folder)
    return folder


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


def _make(folder: Path) -> None:
    import small_models  # it loads torch, which no test needs that finds the artifacts made

    for old in CACHE.iterdir():
        if old.is_dir():
            shutil.rmtree(old)
    aside = Path(tempfile.mkdtemp(dir=CACHE))
    small_models.save(aside / "checkpoint", default_prompt="document")
    (aside / "models.txt").write_text(
        f"{MINILM}  alias=text-embedding-3-small\n./checkpoint  name={SMALL}  alias=team/tiny\n"
    )
    done = run("export", cwd=aside)
    assert done.returncode == 0, done.stderr
    aside.replace(folder)
