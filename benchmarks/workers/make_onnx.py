"""The ONNX files of the peers: ``make_onnx.py KIND CHECKPOINT FOLDER``; kinds are classes of its library.

In FOLDER/onnx, as sentence-transformers documents them: model.onnx, model_O3.onnx (fused),
model_qint8_avx512_vnni.onnx, model_quint8_avx2.onnx. Beside them model_O3_quantized.onnx: fused, then
quantised, which its functions cannot do.
"""

import sys
from pathlib import Path

from onnx import TensorProto
from onnxruntime.quantization import QuantType, quantize_dynamic
from sentence_transformers import (
    CrossEncoder,
    SentenceTransformer,
    SparseEncoder,
    export_dynamic_quantized_onnx_model,
    export_optimized_onnx_model,
)

CPU = {"provider": "CPUExecutionProvider"}
KINDS = {kind.__name__: kind for kind in (SentenceTransformer, CrossEncoder, SparseEncoder)}


def main(kind: str, checkpoint: str, folder: str) -> None:
    """Export, fuse, quantise."""
    model = KINDS[kind](checkpoint, device="cpu", backend="onnx", model_kwargs=CPU | {"export": True})
    model.save_pretrained(folder)
    export_optimized_onnx_model(model, "O3", folder)
    for preset in ("avx512_vnni", "avx2"):
        export_dynamic_quantized_onnx_model(model, preset, folder)
    files = Path(folder) / "onnx"
    quantize_dynamic(
        files / "model_O3.onnx",
        files / "model_O3_quantized.onnx",
        per_channel=True,
        weight_type=QuantType.QInt8,
        extra_options={"DefaultTensorType": TensorProto.FLOAT},
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
