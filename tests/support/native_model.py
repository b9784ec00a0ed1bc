"""A manifest of a model that runs on native kernels, and the kernels of this processor."""

import pytest

from embed_onnx.artifact.manifest import Manifest, Quantization, Source
from embed_onnx.artifact.outputs import Dense
from embed_onnx.artifact.parity import Fidelity, Parity
from embed_onnx.engine import native

MANIFEST = Manifest(
    name="small",
    created=1_750_000_000,
    source=Source(repo="owner/small", files={}),
    recipe=1,
    output=Dense(dimensions=32, pooling=("mean",), normalize=True),
    max_tokens=48,
    precision="int8",
    quantization=Quantization(
        weight_bits=8,
        weight_scales="channel",
        weight_pair_sum=128,
        activation_bits=8,
        activation_scales="token",
        embedding_scales="row",
    ),
    packed=True,
    parity=Parity(texts=100, cosine_mean=0.9987, cosine_min=0.99),
    kernel_parity=Parity(
        texts=100,
        cosine_mean=0.9989,
        cosine_min=0.991,
        short=Fidelity(texts=20, cosine_mean=0.997, cosine_min=0.96),
    ),
    float32_bytes=1,
    sha256={},
)
KERNELS = native.find("auto")
needs_kernels = pytest.mark.skipif(KERNELS.library is None, reason=KERNELS.reason)
