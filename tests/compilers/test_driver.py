"""The kernels in a program of their own: with sanitizers, for Arm in an emulator, and by another compiler."""

import os
import platform
import shlex
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import kernel_cases
import kernel_golden
import kernel_operators
import numpy as np
import pytest
from kernel_cases import HIGHEST, LOWEST
from kernel_operators import VOCABULARY, Case, assert_near, embeddings_case, layer_case, numbered
from kernel_reference import Array
from kernel_sessions import ENGINES, run_case

from embed_onnx.engine import maxsim
from embed_onnx.engine.kernels import build

SOURCE = Path(__file__).with_name("kernels_driver.cpp")
ZIG = f"{sys.executable} -m ziglang c++"
"""What wheels are compiled by; see the Makefile."""
LAUNCHER = os.environ.get("KERNELS_TEST_LAUNCHER", "")
"""A command that runs x86 programs on another processor: the program, its arguments and the file ``cases`` in
the working directory are added. Engines that this processor lacks are tried with it."""
TIMEOUT = 1200
"""Seconds; far more than an emulator takes."""

Driver = Callable[..., list[np.ndarray | str]]

CASES = kernel_cases.every_case()
GOLDEN = kernel_golden.cases()


def encoded(case: Case) -> bytes:
    """Its tensors, as the program reads them."""
    texts = {"operator": case.operator} | {
        name: value for name, value in case.attributes.items() if isinstance(value, str)
    }
    tensors = dict(case.weights) | case.inputs
    tensors |= {name: np.frombuffer(text.encode(), np.int8) for name, text in texts.items()}
    for kind, names in (
        (np.float32, ("epsilon", "scale")),
        (np.int64, ("window", "num_heads", "before", "after")),
    ):
        tensors |= {name: np.array([case.attributes.get(name, 0)], kind) for name in names}
    return b"".join(_tensor(name, array) for name, array in tensors.items()) + struct.pack("<q", 0)


def _tensor(name: str, array: Array) -> bytes:
    head = struct.pack("<q", len(name)) + name.encode()
    return (
        head + struct.pack(f"<{2 + array.ndim}q", array.itemsize, array.ndim, *array.shape) + array.tobytes()
    )


def decoded(raw: bytes) -> Iterable[np.ndarray | str]:
    """For each case its numbers, or the sentence of its error."""
    at = 0
    while at < len(raw):
        (count,) = struct.unpack_from("<q", raw, at)
        at += 8
        size = 4 * count if count >= 0 else -count
        result = raw[at : at + size]
        yield np.frombuffer(result, np.float32) if count >= 0 else result.decode()
        at += size


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Compiled once for a compiler, flags and a target; a warning is an error."""
    folder = tmp_path_factory.mktemp("drivers")
    result: dict[tuple[str, str, str], Path] = {}

    def program(compiler: str, flags: str, target: str = "") -> Path:
        if (compiler, flags, target) not in result:
            if not shutil.which(shlex.split(compiler or build.find_compiler())[0]):
                pytest.skip(f"there is no {compiler}")
            output = folder / f"driver-{len(result)}"
            build.build(output, compiler=compiler, target=target, flags=f"-Werror {flags}", program=SOURCE)
            result[compiler, flags, target] = output
        return result[compiler, flags, target]

    return program


def run(
    command: list[str],
    engine: str,
    cases: Iterable[Case],
    folder: Path,
    *,
    threads: int = 1,
    callers: int = 1,
) -> list[np.ndarray | str]:
    """What the program gives for each case."""
    (folder / "cases").write_bytes(b"".join(map(encoded, cases)))
    done = subprocess.run(
        [*command, engine, str(threads), str(callers), "cases"],
        cwd=folder,
        capture_output=True,
        check=False,
        timeout=TIMEOUT,
    )
    if done.returncode == 3:
        pytest.skip(done.stderr.decode().strip())
    assert (0, "") == (done.returncode, done.stderr.decode())
    return list(decoded(done.stdout))


def assert_all_near(cases: dict[str, Case], results: list[np.ndarray | str]) -> None:
    for case, actual in zip(cases.values(), results, strict=True):
        assert_near(case, actual.reshape(case.expected().shape))


def assert_golden(command: list[str], engine: str, folder: Path) -> None:
    """The bits are those of all processors and compilers."""
    results = run(command, engine, GOLDEN.values(), folder)

    assert kernel_golden.digests() == dict(zip(GOLDEN, map(kernel_golden.digest, results), strict=True))


def wrong_cases() -> list[tuple[str, Case]]:
    """Cases that are errors, and a part of the sentence."""
    shape = kernel_cases.SHAPES["relative bias"]
    layer = layer_case(shape, numbered(5))
    embeddings = embeddings_case(16, 12, numbered(3, 4))

    def with_id(wrong: int) -> Case:
        ids = embeddings.inputs["input_ids"].copy()
        ids[0, 6] = wrong
        return replace(embeddings, inputs=embeddings.inputs | {"input_ids": ids})

    result = [
        (f"the token id {wrong} is outside", with_id(wrong)) for wrong in (-1, VOCABULARY, LOWEST, HIGHEST)
    ]
    result += [
        ("a sequence has 13 tokens", embeddings_case(16, 12, numbered(2, 13))),
        ("a sequence has 13 tokens", embeddings_case(16, 12, numbered(2, 13), after_padding=True)),
        ("a sequence has 41 tokens", layer_case(shape, numbered(41))),
        ("num_heads is 5,", replace(layer, attributes=layer.attributes | {"num_heads": 5})),
        (
            "the activation",
            replace(layer, attributes=layer.attributes | {"activation": "tanh"}),
        ),
    ]
    for name, array in layer.weights.items():
        for damaged in (array[:-1], array[:0], array[..., None], array[..., 1:]):
            if not (name == "output_weight" and damaged.shape == (47, 48)):
                result.append((" has the shape [", replace(layer, weights=layer.weights | {name: damaged})))
    return result


def maxsim_cases() -> list[Case]:
    """Queries and documents of sizes around what fills registers; no document is empty."""
    rng = np.random.default_rng(5)
    lengths = np.array([1, 4, 5, 6, 8, 9, 33])
    return [
        Case(
            operator="MaxSim",
            weights={},
            attributes={"epsilon": 0.0},
            inputs={
                "query": rng.normal(size=(vectors, width)).astype(np.float32),
                "documents": rng.normal(size=(lengths.sum(), width)).astype(np.float32),
                "lengths": lengths,
            },
        )
        for vectors, width in ((1, 1), (16, 7), (33, 24), (47, 128))
    ]


def assert_maxsim(command: list[str], engine: str, folder: Path, *, threads: int = 1) -> None:
    """The bits are those of this machine."""
    cases = maxsim_cases()
    for case, actual in zip(cases, run(command, engine, cases, folder, threads=threads), strict=True):
        documents = np.split(case.inputs["documents"], np.cumsum(case.inputs["lengths"])[:-1])
        np.testing.assert_array_equal(maxsim.scores(case.inputs["query"], documents), actual)


engines = pytest.mark.parametrize("engine", build.INSTRUCTION_SETS.get(platform.machine(), ()))
ARM_LIBRARIES = "/usr/aarch64-linux-gnu"
"""Debian's, of libc6-arm64-cross."""
ADDRESS = "-O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=all"
THREAD = "-O1 -g1 -fsanitize=thread"


@engines
def test_no_step_beyond_memory(programs: Callable[..., Path], tmp_path: Path, engine: str) -> None:
    command = [str(programs("", ADDRESS))]

    assert_all_near(CASES, run(command, engine, CASES.values(), tmp_path))
    assert_golden(command, engine, tmp_path)
    cases = kernel_cases.attention_cases()
    for case, actual in zip(cases.values(), run(command, engine, cases.values(), tmp_path), strict=True):
        np.testing.assert_allclose(case.expected().reshape(-1), actual, atol=1e-2)


@engines
@pytest.mark.parametrize("flags", [ADDRESS, THREAD], ids=["address", "thread"])
def test_maxsim(programs: Callable[..., Path], tmp_path: Path, engine: str, flags: str) -> None:
    assert_maxsim([str(programs("", flags))], engine, tmp_path, threads=3)


@engines
def test_no_step_beyond_memory_for_any_sizes(
    programs: Callable[..., Path], tmp_path: Path, engine: str
) -> None:
    command = [str(programs("", ADDRESS))]
    cases = kernel_cases.random_cases(60)

    for case, actual in zip(
        cases.values(), run(command, engine, cases.values(), tmp_path, threads=2), strict=True
    ):
        np.testing.assert_allclose(case.expected().reshape(-1), actual, atol=0.1)


@engines
def test_errors_are_sentences(programs: Callable[..., Path], tmp_path: Path, engine: str) -> None:
    command = [str(programs("", ADDRESS))]
    sentences, cases = zip(*wrong_cases(), strict=True)

    for expected, actual in zip(sentences, run(command, engine, cases, tmp_path), strict=True):
        assert isinstance(actual, str)
        assert expected in actual


@engines
@pytest.mark.parametrize(("threads", "callers"), [(4, 1), (1, 3), (3, 3)])
def test_no_race(
    programs: Callable[..., Path], tmp_path: Path, engine: str, threads: int, callers: int
) -> None:
    """Callers of the same layers, with helpers that come and go."""
    command = [str(programs("", THREAD))]
    cases = {
        name: CASES[name]
        for name in ("12 heads of 26", "relative bias", "layer, holes", "gelu", "2 heads of 96")
    }
    attention = kernel_operators.attention_case(6, 3, 32, numbered(70, 40), after=0)

    every_case = [*cases.values(), attention] * 4
    results = run(command, engine, every_case, tmp_path, threads=threads, callers=callers)

    for start in range(0, len(results), len(cases) + 1):
        *near, attended = results[start : start + len(cases) + 1]
        assert_all_near(cases, near)
        np.testing.assert_array_equal(run_case(attention).reshape(-1), attended)


def test_amx_by_a_model_of_its_instructions(programs: Callable[..., Path], tmp_path: Path) -> None:
    """Every height of its tiles, too: the program compares them with those of six rows, by AVX512-VNNI."""
    if "amx" not in build.INSTRUCTION_SETS.get(platform.machine(), ()):
        pytest.skip("AMX is not of this processor's family")
    model = f"-DTILES='\"amx_model.h\"' -I{SOURCE.parent}"
    command = [str(programs("", f"-O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=all {model}"))]
    shape = kernel_operators.Shape(width=52, heads=2, head_size=26, hidden=100)
    heights = {f"{rows} rows": layer_case(shape, numbered(rows)) for rows in range(1, 68)}

    cases = CASES | heights
    results = run(command, "amx", cases.values(), tmp_path, threads=2)

    assert_all_near(cases, results)
    assert_golden(command, "amx", tmp_path)


@engines
def test_clang(programs: Callable[..., Path], tmp_path: Path, engine: str) -> None:
    command = [str(programs("clang++", "-O2"))]

    assert_all_near(CASES, run(command, engine, CASES.values(), tmp_path))
    assert_golden(command, engine, tmp_path)
    assert_maxsim(command, engine, tmp_path)


@engines
def test_zig(programs: Callable[..., Path], tmp_path: Path, engine: str) -> None:
    """As in a wheel: for an old glibc, with a C++ library of its own."""
    command = [str(programs(ZIG, "", f"{platform.machine()}-linux-gnu.2.17"))]

    assert_all_near(CASES, run(command, engine, CASES.values(), tmp_path))
    assert_golden(command, engine, tmp_path)
    assert_maxsim(command, engine, tmp_path)


def test_zig_for_macos(tmp_path: Path) -> None:
    """It compiles and links without a warning; no machine is here to run it."""
    library = tmp_path / "kernels.so"
    build.build(library, compiler=ZIG, target="aarch64-macos", flags="-Werror")

    magic, processor = struct.unpack("<2I", library.read_bytes()[:8])
    assert (0xFEEDFACF, 0x0100000C) == (magic, processor)  # a Mach-O file of 64 bits, for Arm


@pytest.mark.parametrize(
    ("compiler", "flags", "target"),
    [("aarch64-linux-gnu-g++", "-static", ""), (ZIG, "", "aarch64-linux-gnu.2.17")],
    ids=["gcc", "zig"],
)
def test_arm(programs: Callable[..., Path], tmp_path: Path, compiler: str, flags: str, target: str) -> None:
    """Natively on an Arm machine the other tests have done it."""
    if not shutil.which("qemu-aarch64"):
        pytest.skip("there is no qemu-aarch64")
    if target and not Path(ARM_LIBRARIES).exists():
        pytest.skip("there is no C library for Arm")
    command = ["qemu-aarch64", "-L", ARM_LIBRARIES, str(programs(compiler, flags, target))]

    results = run(command, "neon", CASES.values(), tmp_path)

    assert_all_near(CASES, results)
    assert_golden(command, "neon", tmp_path)
    assert_maxsim(command, "neon", tmp_path)
    if "avx2" in ENGINES:
        for case, result in zip(CASES.values(), results, strict=True):
            np.testing.assert_array_equal(run_case(case, "avx2").reshape(-1), result)


@pytest.mark.skipif(not LAUNCHER, reason="KERNELS_TEST_LAUNCHER is not set")
@pytest.mark.parametrize("engine", build.INSTRUCTION_SETS["x86_64"])
def test_on_another_processor(programs: Callable[..., Path], tmp_path: Path, engine: str) -> None:
    command = [*shlex.split(LAUNCHER), str(programs("", "-static"))]

    assert_all_near(CASES, run(command, engine, CASES.values(), tmp_path))
    assert_golden(command, engine, tmp_path)
