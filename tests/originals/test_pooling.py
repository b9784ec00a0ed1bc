"""Pooling, against the module of Sentence-Transformers."""

from typing import get_args

import numpy as np
import pytest

from embed_onnx.artifact.outputs import PoolingMode
from embed_onnx.engine.outputs import pooling

MODES = get_args(PoolingMode)


@pytest.mark.parametrize("skipped", [0, 1, 4, 10])
@pytest.mark.parametrize("mode", MODES)
def test_sentence_transformers_gives_the_same(mode, skipped):
    """The reference, on one sequence without padding, whose first tokens may be those of a prompt."""
    import torch
    from sentence_transformers.sentence_transformer.modules import Pooling

    states = np.random.default_rng(7).normal(size=(11, 16)).astype(np.float32)
    features = {
        "token_embeddings": torch.from_numpy(states)[None],
        "attention_mask": torch.ones(1, len(states), dtype=torch.int64),
        "prompt_length": skipped,
    }
    module = Pooling(16, pooling_mode=mode, include_prompt=False)
    expected = module(features)["sentence_embedding"][0].numpy()

    actual = pooling.pool(states, [mode], skipped=skipped)

    np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-6)
