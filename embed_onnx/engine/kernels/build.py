"""Compiles the kernels into one shared library; needs a C++17 compiler and nothing else.

    python build.py  # to where the package looks for it
    python build.py --compiler aarch64-linux-gnu-g++ --output /tmp/kernels.so
    python build.py --compiler "zig c++" --target aarch64-linux-gnu.2.17 --output kernels.so

Each instruction set is a file of its own, compiled for it; the rest is compiled for any processor and
chooses at run time.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
LIBRARY = FOLDER / "embed_onnx_kernels.so"

AVX512_VNNI = "-mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mfma"
INSTRUCTION_SETS = {
    "x86_64": {
        "avx2": "-mavx2 -mfma",
        "avxvnni": "-mavx2 -mfma -mavxvnni",
        "avx512vnni": AVX512_VNNI,
        "amx": f"{AVX512_VNNI} -mamx-tile -mamx-int8",
    },
    "aarch64": {"neon": "-march=armv8.2-a+dotprod"},
}
"""By processor, the files for one instruction set and the flags they are compiled with."""
WITH_TARGET = {"-march=armv8.2-a+dotprod": "-mcpu=generic+dotprod"}
"""Flags in the spelling that zig understands, which gcc does not."""
COMMON = ("processor", "sequences", "team", "model", "run")
OPERATORS = "operators"
FLAGS = (
    "-std=c++17 -O3 -fPIC -fvisibility=hidden -pthread -Wall -Wextra "
    # Not to be fused differently from one copy of a template to the next: see engine.h.
    "-ffp-contract=off "
    # gcc 12's own header for AVX-512 trips over it.
    "-Wno-uninitialized"
)


class BuildError(Exception):
    """There is no compiler, it does not know this processor, or it failed."""


def find_compiler() -> str:
    """The C++ compiler: ``CXX``, or the system's.

    Raises:
        BuildError: There is none.
    """
    for name in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        if name and shutil.which(shlex.split(name)[0]):
            return name
    raise BuildError("there is no C++ compiler; install g++ or clang")


def build(
    output: Path, *, compiler: str = "", target: str = "", flags: str = "", program: Path | None = None
) -> None:
    """Write the shared library, or a program whose ``main`` is in the file ``program``.

    ``target`` is the compiler's own (``-target``), for compilers that have several. A library for one is
    stripped, as its C++ library is inside of it.

    Raises:
        BuildError: There is no compiler, it is for a processor without kernels, or it failed.
    """
    command = shlex.split(compiler or find_compiler())
    processor = (target or _run([*command, "-dumpmachine"])).partition("-")[0]
    if processor not in INSTRUCTION_SETS:
        raise BuildError(f"there are no kernels for {processor}; there are for {', '.join(INSTRUCTION_SETS)}")
    sources = {
        FOLDER / f"{name}.cpp": WITH_TARGET.get(extra, extra) if target else extra
        for name, extra in INSTRUCTION_SETS[processor].items()
    }
    sources |= {FOLDER / f"{name}.cpp": "" for name in COMMON}
    sources |= {program or FOLDER / f"{OPERATORS}.cpp": ""}
    command += [*(["-target", target] if target else []), *shlex.split(FLAGS), *shlex.split(flags)]
    link = [*command, *([] if program else ["-shared"]), *(["-s"] if target and not program else [])]
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(os.cpu_count()) as pool:

        def compile_one(source: Path) -> str:
            target = str(Path(scratch) / f"{source.stem}.o")
            _run([*command, f"-I{FOLDER}", *shlex.split(sources[source]), "-c", str(source), "-o", target])
            return target

        objects = list(pool.map(compile_one, sources))
        linked = Path(scratch) / "linked"
        _run([*link, *objects, "-o", str(linked)])
        shutil.move(linked, output)


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a compiler
    except OSError as err:
        raise BuildError(f"{command[0]} cannot be run: {err.strerror}") from None
    if done.returncode:
        raise BuildError(f"`{shlex.join(command)}` failed:\n{done.stderr}")
    return done.stdout


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, default=LIBRARY)
    parser.add_argument("--compiler", default="", help="default: CXX, or the system's")
    parser.add_argument("--target", default="", help="default: the compiler's own")
    parser.add_argument("--flags", default="", help="more flags, such as -fsanitize=address")
    arguments = parser.parse_args()
    try:
        build(arguments.output, compiler=arguments.compiler, target=arguments.target, flags=arguments.flags)
    except BuildError as err:
        sys.exit(f"{err}")


if __name__ == "__main__":
    main()
