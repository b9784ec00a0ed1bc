"""Which kernels are used: those of this processor, those that were named, or none with a reason."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from native_model import KERNELS, MANIFEST, needs_kernels

from embed_onnx.engine import native
from embed_onnx.engine.native import Kernels
from embed_onnx.errors import SetupError


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is remembered from one test to the next, nor taken from a developer's environment."""
    monkeypatch.delenv(native.VARIABLE, raising=False)
    forget()
    yield
    monkeypatch.undo()
    forget()
    native.find("auto").choose()


def forget() -> None:
    native._find.cache_clear()
    native._load.cache_clear()


def use_library(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setattr(native, "LIBRARY", path)


def reason_and_sentence(name: str) -> tuple[str, str]:
    """Why there are no kernels, and what asking for some of them fails with."""
    with pytest.raises(SetupError) as failed:
        native.find(name)
    return native.find("auto").reason, str(failed.value)


def test_off() -> None:
    kernels = native.find("off")

    assert Kernels(reason="kernels are off") == kernels
    assert "standard operators (kernels are off)" == kernels.runs_on


@needs_kernels
def test_auto() -> None:
    kernels = native.find()

    assert native.find("auto") == kernels
    assert native.LIBRARY == kernels.library
    assert f"{kernels.instruction_set} kernels" == kernels.runs_on


@needs_kernels
def test_by_name() -> None:
    assert native.find(KERNELS.instruction_set) == native.find("auto")


def test_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a caller wants comes first."""
    monkeypatch.setenv(native.VARIABLE, "off")

    assert native.find("off") == native.find()
    assert KERNELS == native.find("auto")


def test_the_environment_without_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(native.VARIABLE, "")

    assert KERNELS == native.find()


@needs_kernels
@pytest.mark.parametrize(
    "name", ["avx3", "AVX2", " ", "neon" if "avx" in KERNELS.instruction_set else "avx2"]
)
def test_an_unknown_set(name: str) -> None:
    with pytest.raises(SetupError) as failed:
        native.find(name)

    expected = (
        f"the kernels {name!r} cannot be used: this processor cannot run {name}; auto uses what there is"
    )
    assert expected == str(failed.value)


def test_no_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_library(monkeypatch, tmp_path / "absent.so")

    reason, sentence = reason_and_sentence("avx2")
    assert "built without a C++ compiler; install one, and embed-onnx again" == reason
    assert f"the kernels 'avx2' cannot be used: {reason}; auto uses what there is" == sentence


@pytest.mark.parametrize("content", [b"", b"not a library", b"\x7fELF" + bytes(60)])
def test_a_library_that_cannot_be_loaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "damaged.so"
    path.write_bytes(content)
    use_library(monkeypatch, path)

    reason, sentence = reason_and_sentence("avx2")
    assert reason.startswith("damaged.so cannot be loaded: ")
    assert "\n" not in sentence


def test_without_kernels_nothing_is_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_library(monkeypatch, tmp_path / "absent.so")
    kernels = native.find()

    kernels.choose()
    kernels.set_threads(4)
    assert native.int8_peak(0.001) is None


@needs_kernels
def test_the_peak_is_measured() -> None:
    assert native.int8_peak(0.01) > 1e8


@needs_kernels
def test_of_a_packed_model() -> None:
    """The kernels, and what was measured with them."""
    kernels = KERNELS.of(MANIFEST)

    assert msgspec.structs.replace(KERNELS, parity=MANIFEST.kernel_parity) == kernels
    assert kernels == kernels.of(MANIFEST)
    average = "cosine to the original 0.99890 on average, 0.99100 at the least"
    short = "of texts under 5 tokens 0.99700 on average, 0.96000 at the least"
    assert f"{KERNELS.instruction_set} kernels, {average}; {short}" == kernels.log_line


@needs_kernels
def test_of_a_model_that_was_exported_without_kernels() -> None:
    """What was measured is that of standard operators, and is not given out as theirs."""
    kernels = KERNELS.of(msgspec.structs.replace(MANIFEST, kernel_parity=None))

    assert f"{KERNELS.instruction_set} kernels, cosine to the original not measured" == kernels.log_line


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"quantization": None, "precision": "float32"}, "its precision is float32"),
        ({}, "there are none for its architecture"),
        (
            {"quantization": msgspec.structs.replace(MANIFEST.quantization, no_kernel="it is too wide")},
            "it is too wide",
        ),
    ],
)
def test_of_another_model(changes: dict[str, object], reason: str) -> None:
    other = msgspec.structs.replace(MANIFEST, packed=False, **changes)

    kernels = KERNELS.of(other)

    assert Kernels(reason=reason, parity=MANIFEST.parity) == kernels
    assert kernels == kernels.of(other)
    assert f"standard operators ({reason})" == kernels.runs_on


@needs_kernels
@pytest.mark.parametrize(
    ("no_kernel", "rest"),
    [("it is too wide", "it is too wide"), (None, "there are no others for its architecture")],
)
def test_of_a_model_whose_products_they_compute(no_kernel: str | None, rest: str) -> None:
    quantization = msgspec.structs.replace(MANIFEST.quantization, no_kernel=no_kernel, kernel_products=True)
    other = msgspec.structs.replace(MANIFEST, packed=False, quantization=quantization)

    kernels = KERNELS.of(other)

    assert msgspec.structs.replace(KERNELS, parity=MANIFEST.kernel_parity, rest=rest) == kernels
    assert kernels == kernels.of(other)
    sentence = f"{KERNELS.instruction_set} kernels for a part, standard operators for the rest ({rest})"
    assert sentence == kernels.runs_on
    assert f"standard operators (kernels are off; {rest})" != native.find("off").of(other).runs_on


def test_off_stays_off() -> None:
    kernels = native.find("off").of(MANIFEST)

    measured = "cosine to the original 0.99870 on average, 0.99000 at the least"
    assert f"standard operators (kernels are off), {measured}" == kernels.log_line


def test_activations_of_seven_bits_have_a_remedy() -> None:
    """An artifact of an earlier version is less accurate on standard operators, and as good with kernels."""
    seven = msgspec.structs.replace(MANIFEST.quantization, activation_bits=7, weight_pair_sum=None)
    earlier = msgspec.structs.replace(MANIFEST, quantization=seven)

    kernels = native.find("off").of(earlier)

    assert (
        "standard operators (kernels are off; activations have 7 bits; export it again for 8)"
        == kernels.runs_on
    )
    assert kernels == kernels.of(earlier)
    assert "" == KERNELS.of(earlier).remedy or KERNELS.library is None


@needs_kernels
@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own")
def test_helpers_give_way() -> None:
    """A lone text's threads go after the event loop, too."""
    program = """
import os
from embed_onnx.system import cpu; from embed_onnx.engine import native
before = set(os.listdir("/proc/self/task"))
native.find().set_threads(3)
helpers = set(os.listdir("/proc/self/task")) - before
own, *others = (os.getpriority(os.PRIO_PROCESS, int(thread)) for thread in ("0", *helpers))
print({nice - own - cpu.NICENESS for nice in others}, len(others) >= 2)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )

    assert "{0} True\n" == done.stdout


TOO_MANY_THREADS = f"""
import ctypes, resource, sys
library = ctypes.CDLL({str(native.LIBRARY)!r})
mapped = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (mapped + 100_000_000,) * 2)
print(*[library.embed_onnx_set_threads(threads) for threads in (1, 2, 10_000, 2, 0, -5, 3)])
"""


@needs_kernels
def test_more_threads_than_can_be_started() -> None:
    """It says so, and goes on."""
    done = subprocess.run(
        [sys.executable, "-c", TOO_MANY_THREADS], capture_output=True, text=True, timeout=60, check=False
    )

    assert ("1 1 0 1 1 1 1\n", "", 0) == (done.stdout, done.stderr, done.returncode)
