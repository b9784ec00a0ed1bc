"""A manifest to compare with, and what reading another fails with."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from embed_onnx.artifact import manifest
from embed_onnx.artifact.manifest import Manifest, Quantization, Source
from embed_onnx.artifact.outputs import Dense
from embed_onnx.artifact.parity import Parity
from embed_onnx.errors import ArtifactError

SAMPLE = Manifest(
    name="owner/small-model",
    created=1_750_000_000,
    source=Source(repo="owner/small-model", revision="abc", license="mit", files={"config.json": "12"}),
    recipe=1,
    output=Dense(dimensions=384, pooling=("mean", "cls"), normalize=True),
    max_tokens=256,
    prompts={"query": "query: ", "passage": "passage: "},
    default_prompt="query",
    precision="int8",
    quantization=Quantization(
        weight_bits=8,
        weight_scales="channel",
        weight_pair_sum=128,
        activation_bits=8,
        kernel_activation_bits=8,
        activation_scales="token",
        embedding_scales="row",
    ),
    packed=True,
    parity=Parity(texts=100, cosine_mean=0.999, cosine_min=0.99),
    float32_bytes=90_000_000,
    sha256={},
)


def write(folder: Path, **changes: Any) -> Path:
    """A folder with the sample's manifest, some of its fields changed."""
    (folder / manifest.MANIFEST).write_text(json.dumps(msgspec.to_builtins(SAMPLE) | changes))
    return folder


def sentence(folder: Path) -> str:
    """What reading a manifest fails with."""
    with pytest.raises(ArtifactError) as caught:
        manifest.read(folder)
    return str(caught.value)
