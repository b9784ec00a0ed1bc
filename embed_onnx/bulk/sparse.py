"""Sparse vectors of texts, for ``listed``."""

import contextlib
from collections.abc import Iterator
from functools import partial

import msgspec

from embed_onnx.bulk import loading
from embed_onnx.bulk.listed import Embedder, ListedMeta, ListedPlan
from embed_onnx.bulk.writers import SPARSE, Values
from embed_onnx.models import sparse
from embed_onnx.settings import Settings


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Which model, and how: of each text, so many of the greatest weights, or all."""

    settings: Settings
    model: str | None = None
    prompt_name: str | None = None
    max_active_dims: int | None = None


class SparsePlan(ListedPlan, frozen=True, kw_only=True):
    """All that decides which vectors a result holds."""

    max_active_dims: int | None


class SparseMeta(ListedMeta, frozen=True, kw_only=True):
    """Of a result of sparse vectors over so many ``entries``."""

    entries: int
    max_active_dims: int | None


@contextlib.contextmanager
def opened(choice: Choice) -> Iterator[Embedder[SparseMeta]]:
    """The model of a choice, loaded.

    Raises:
        SetupError: The model's artifact is not there, or it is of another kind.
        InvalidRequest: An option is wrong.
    """
    most = choice.max_active_dims
    sparse.check_active_dims(most)
    with loading.engine(choice.settings, choice.model, sparse.TASK, choice.prompt_name) as engine:
        model, options, lanes = engine
        model.embed_sparse_now(["a"], options)
        yield Embedder(
            model=model,
            options=options,
            lanes=lanes,
            embed_now=model.embed_sparse_now,
            value=partial(sparse.greatest, count=most),
            column=Values(name=SPARSE, kind="sparse_vectors"),
            plan=partial(SparsePlan, max_active_dims=most),
            meta=partial(SparseMeta, entries=model.manifest.sparse.entries, max_active_dims=most),
        )
