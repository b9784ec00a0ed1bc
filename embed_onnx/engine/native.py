"""The native kernels: whether they are here, which instruction set they use and, if not, why.

An int8 model runs anywhere: what is no standard operator is defined in model.onnx itself, by standard ones.
Where this library is registered with ONNX Runtime, its kernels take their place: they run all of a model of
the BERT family or a ModernBERT, and of any other transformer the products and, as a rule, the attention.
"""

import ctypes
import functools
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import msgspec
from msgspec.structs import replace

from embed_onnx import settings
from embed_onnx.artifact.manifest import Facts
from embed_onnx.artifact.parity import (
    SHORT_TOKENS,
    Fidelity,
    Measured,
    ScoreParity,
    SparseParity,
    TokenParity,
)
from embed_onnx.errors import SetupError
from embed_onnx.system import cpu

log = logging.getLogger(__name__)

LIBRARY = Path(__file__).parent / "kernels" / "embed_onnx_kernels.so"
VARIABLE = settings.PREFIX + "KERNELS"
ACTIVATION_BITS = 8
"""Of an int8 file's own functions, as it is exported now; earlier ones have fewer and are less accurate."""


class Kernels(msgspec.Struct, frozen=True, kw_only=True):
    """``library`` is what a session registers, None without kernels; ``reason`` then says why.

    Those ``of`` a model have its ``parity`` with them, if it was measured, and a ``remedy``, if there is one
    for what it loses by them. ``rest`` says why they run only a part of it; empty, they run all of it.
    """

    library: Path | None = None
    instruction_set: str = ""
    reason: str = ""
    parity: Measured | None = None
    remedy: str = ""
    rest: str = ""

    @property
    def runs_on(self) -> str:
        """For people: what runs the model, and why."""
        if self.library is None:
            return f"standard operators ({'; '.join(filter(None, (self.reason, self.remedy)))})"
        if self.rest:
            others = f"standard operators for the rest ({self.rest})"
            return f"{self.instruction_set} kernels for a part, {others}"
        return f"{self.instruction_set} kernels"

    @property
    def summary(self) -> str:
        """For people: the instruction set, or why there are none."""
        return self.instruction_set or f"none: {self.reason}"

    @property
    def log_line(self) -> str:
        """For the log: what runs the model, and how near that is to its original."""
        if self.parity is None:
            return f"{self.runs_on}, cosine to the original not measured"
        if isinstance(self.parity, ScoreParity):
            return (
                f"{self.runs_on}, ranks to the original {self.parity.spearman:.4f}, scores within "
                f"{self.parity.score_difference:.4f}"
            )
        line = f"{self.runs_on}, cosine to the original {_figures(self.parity)}"
        if isinstance(self.parity, SparseParity):
            return f"{line}; of the greatest weights {self.parity.top_terms:.1%} are the same"
        if isinstance(self.parity, TokenParity):
            return f"{line}; ranks by MaxSim {self.parity.spearman:.4f}"
        short = self.parity.short
        return line if short is None else f"{line}; of texts under {SHORT_TOKENS} tokens {_figures(short)}"

    def of(self, manifest: Facts) -> Self:
        """These, for all of a model or a part, or none with the reason where they cannot run it."""
        quantization, reason, remedy = manifest.quantization, self.reason, ""
        if self.library is not None and manifest.packed:
            return replace(self, parity=manifest.measured(kernels=True))
        if self.library is not None and quantization and quantization.kernel_products:
            rest = quantization.no_kernel or "there are no others for its architecture"
            return replace(self, parity=manifest.measured(kernels=True), rest=rest)
        if not manifest.packed:
            unfit = quantization.no_kernel if quantization else "its precision is float32"
            reason = unfit or "there are none for its architecture"
        bits = quantization.activation_bits if quantization else None
        if bits is not None and bits < ACTIVATION_BITS:
            remedy = f"activations have {bits} bits; export it again for {ACTIVATION_BITS}"
        return type(self)(reason=reason, parity=manifest.measured(kernels=False), remedy=remedy)

    def maxsim(self) -> Callable[..., int] | None:
        """The kernel of ``engine.maxsim``, as run.h has it; None without kernels."""
        if self.library is None:
            return None
        kernel = _load().embed_onnx_maxsim
        pointer, number = ctypes.c_void_p, ctypes.c_int
        kernel.argtypes = [pointer, number, number, pointer, number, pointer]
        return kernel

    def choose(self) -> None:
        """Make the sessions that are created from now on use this instruction set."""
        if self.library is not None:
            _load().embed_onnx_choose(self.instruction_set.encode())

    def set_threads(self, threads: int) -> None:
        """Let a lone caller have the help of other threads, so many in all, with the priority of lanes."""
        if self.library is None:
            return
        # A thread is as nice as the one that starts it.
        with ThreadPoolExecutor(1, initializer=cpu.lower_priority) as starter:
            started = starter.submit(_load().embed_onnx_set_threads, threads).result()
        if not started:
            log.warning("no %d threads can be started: a lone text is embedded by one", threads)


def find(choice: str | None = None) -> Kernels:
    """The kernels to use: "auto", "off", or those of an instruction set by name.

    Raises:
        SetupError: An instruction set is named, and there are no kernels for it here.
    """
    choice = choice or os.environ.get(VARIABLE) or "auto"
    if choice == "off":
        return Kernels(reason="kernels are off")
    kernels = _find(choice)
    if kernels.library is None and choice != "auto":
        raise SetupError(f"the kernels {choice!r} cannot be used: {kernels.reason}; auto uses what there is")
    return kernels


@functools.cache
def _find(choice: str) -> Kernels:
    if not LIBRARY.exists():
        return Kernels(reason="built without a C++ compiler; install one, and embed-onnx again")
    try:
        library = _load()
    except OSError as err:
        return Kernels(reason=f"{LIBRARY.name} cannot be loaded: {err}")
    if not library.embed_onnx_choose(choice.encode()):
        return Kernels(reason=f"this processor cannot run {'them' if choice == 'auto' else choice}")
    return Kernels(library=LIBRARY, instruction_set=library.embed_onnx_instruction_set().decode())


@functools.cache
def _load() -> ctypes.CDLL:
    library = ctypes.CDLL(str(LIBRARY))
    library.embed_onnx_instruction_set.restype = ctypes.c_char_p
    return library


def int8_peak(seconds: float) -> float | None:
    """Multiply-adds a second of one core that does nothing else; None without kernels."""
    if find().library is None:
        return None
    measure = _load().embed_onnx_int8_peak
    measure.argtypes, measure.restype = [ctypes.c_double], ctypes.c_double
    return float(measure(seconds))


def _figures(fidelity: Fidelity) -> str:
    return f"{fidelity.cosine_mean:.5f} on average, {fidelity.cosine_min:.5f} at the least"
