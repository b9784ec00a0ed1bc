"""Pins what a release is tested with: requirements/constraints.txt and requirements/runtime.txt.

    python requirements/lock.py  # in the environment of `make dist`

The constraints are all that `pip install embed-onnx` installs. The run-time set is what the server and the
command line load, with hashes, and is installed without dependencies: what else its packages depend on, a
generator of test data and clients of model hubs among them, is never loaded. A test serves from it.
"""

import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
UNUSED = {
    # Of fastapi-swagger: FastAPI, for which it serves the files that are read from it.
    "annotated-doc", "annotated-types", "fastapi", "opentelemetry-api", "pydantic", "pydantic-core",
    "starlette", "typing-inspection",
    # Of litestar: its generator of examples, its test client, its page helpers and its forms of error pages.
    "certifi", "faker", "h11", "httpcore", "httpx", "litestar-htmx", "polyfactory",
    # Of tokenizers: downloads from a model hub.
    "filelock", "fsspec", "hf-xet", "httpcore2", "httpx2", "huggingface-hub", "tqdm", "truststore",
    # Of onnxruntime: its tools.
    "flatbuffers", "packaging", "protobuf",
    # Of rich: Markdown and highlighted code.
    "markdown-it-py", "mdurl", "pygments",
}  # fmt: skip
"""Dependencies of dependencies that are never loaded."""


def main() -> None:
    """Ask the registry, and write both files."""
    command = ["pip-compile", "--quiet", "--generate-hashes", "--strip-extras", "--upgrade", "--no-header"]
    command += ["--no-annotate", "--no-emit-index-url", "--no-emit-find-links", "--output-file=-"]
    program = str(Path(sys.executable).with_name(command[0]))
    done = subprocess.run(  # noqa: S603 - a program of this environment
        [program, *command[1:], str(FOLDER.parent / "pyproject.toml")],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    write(done.stdout)


def write(text: str) -> None:
    """Both files, of pip-compile's output."""
    pins = re.findall(r"^([\w.-]+)==(\S+)((?: \\\n    --hash=\S+)*)$", text, re.MULTILINE)
    constraints = "".join(f"{name}=={version}\n" for name, version, _ in pins)
    (FOLDER / "constraints.txt").write_text(
        "# What this version is tested with, for `pip install -c`. Written by lock.py.\n" + constraints
    )
    runtime = "".join(f"{name}=={version}{hashes}\n" for name, version, hashes in pins if name not in UNUSED)
    (FOLDER / "runtime.txt").write_text(
        "# What serving loads, for `pip install --no-deps --require-hashes -r`. Written by lock.py.\n"
        + runtime
    )


if __name__ == "__main__":
    main()
