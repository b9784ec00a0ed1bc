"""Which model can do what, by the kind of its output."""

from typing import get_args

import msgspec
import pytest
from native_model import MANIFEST

from embed_onnx.artifact.manifest import Manifest
from embed_onnx.artifact.outputs import Scores, Sparse, TokenRole, TokenVectors
from embed_onnx.artifact.parity import ScoreParity, SparseParity, TokenParity
from embed_onnx.errors import TaskNotSupported
from embed_onnx.models import tasks


def scoring(name: str, *labels: str) -> Manifest:
    """A manifest of a model that gives a score for each of these labels."""
    return msgspec.structs.replace(
        MANIFEST,
        name=name,
        output=Scores(labels=labels, activation="sigmoid", pooling=("cls",)),
        parity=None,
        kernel_parity=None,
        score_parity=ScoreParity(
            items=64, logit_difference=0.1, score_difference=0.01, spearman=0.999, pearson=0.9999
        ),
    )


RERANKER, CLASSIFIER = scoring("reranker", "LABEL_0"), scoring("sentiment", "bad", "good")

SPLADE = msgspec.structs.replace(
    MANIFEST,
    name="splade",
    output=Sparse(entries=30_522, pooling="max", activation="relu"),
    parity=None,
    kernel_parity=None,
    sparse_parity=SparseParity(
        texts=64, cosine_mean=0.999, cosine_min=0.99, top_terms=0.97, weight_difference=0.1
    ),
)

ROLE = TokenRole(max_tokens=512)
COLBERT = msgspec.structs.replace(
    MANIFEST,
    name="colbert",
    output=TokenVectors(dimensions=128, normalize=True, query=ROLE, document=ROLE),
    parity=None,
    kernel_parity=None,
    token_parity=TokenParity(
        texts=64, cosine_mean=0.999, cosine_min=0.99, spearman=0.999, score_difference=0.1
    ),
)


def test_every_task_has_a_row():
    assert set(get_args(tasks.Task)) == tasks.CAN.keys()


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        (MANIFEST, ["embed"]),
        (RERANKER, ["rerank", "classify"]),
        (CLASSIFIER, ["classify"]),
        (SPLADE, ["embed_sparse"]),
        (COLBERT, ["embed_tokens", "rerank"]),
    ],
    ids=["dense", "one-label", "two-labels", "sparse", "token-vectors"],
)
def test_what_a_model_can_do(manifest: Manifest, expected: list[str]):
    assert expected == tasks.of(manifest.output)
    for task in expected:
        tasks.check(task, manifest)


def test_a_task_that_a_model_cannot_do_names_the_models_that_can():
    with pytest.raises(TaskNotSupported) as refused:
        tasks.check("rerank", MANIFEST, [MANIFEST, CLASSIFIER, RERANKER])

    expected = "small is a model for embed and does not rerank; name one that does: reranker"
    assert (expected, "model") == (str(refused.value), refused.value.param)


def test_where_no_model_can_do_it_the_way_out_is_to_serve_one():
    with pytest.raises(TaskNotSupported, match="does not embed; name another model, or serve one that does"):
        tasks.check("embed", RERANKER, [RERANKER])


def test_a_model_without_figures_of_its_kind_is_not_complete():
    with pytest.raises(ValueError, match="score_parity is missing"):
        msgspec.structs.replace(RERANKER, score_parity=None)
