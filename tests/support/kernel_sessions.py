"""Sessions of ONNX Runtime with the native kernels."""

import contextlib
from typing import Any

import numpy as np
import onnxruntime as ort
from kernel_operators import Case, Shape
from native_model import KERNELS

from embed_onnx.engine import native
from embed_onnx.errors import SetupError

SMALL = Shape(width=16, heads=2, head_size=8, hidden=20, positions=12)


def engines() -> list[str]:
    """The instruction sets that this processor has kernels for, the best first."""
    result = []
    for name in ("amx", "avx512vnni", "avxvnni", "avx2", "neon"):
        with contextlib.suppress(SetupError):
            result.append(native.find(name).instruction_set)
    return result


ENGINES = engines()


def open_session(model: Any, engine: str = "auto") -> ort.InferenceSession:
    native.find(engine).choose()
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # errors come as exceptions
    options.register_custom_ops_library(str(KERNELS.library))
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run(session: ort.InferenceSession, **inputs: np.ndarray) -> np.ndarray:
    (output,) = session.run(None, inputs)
    return output


def run_case(case: Case, engine: str = "auto") -> np.ndarray:
    return run(open_session(case.model(), engine), **case.inputs)
