"""Token vectors of texts, for ``listed``."""

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Literal

import msgspec

from embed_onnx.bulk import loading
from embed_onnx.bulk.listed import Embedder, ListedMeta, ListedPlan
from embed_onnx.bulk.writers import MATRIX, Values
from embed_onnx.engine import dtypes
from embed_onnx.models import token_vectors
from embed_onnx.settings import Settings

Floats = Literal["float16", "float32"]


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Which model, and how."""

    settings: Settings
    model: str | None = None
    prompt_name: str | None = None
    dtype: Floats = "float16"


class TokensPlan(ListedPlan, frozen=True, kw_only=True):
    """All that decides which vectors a result holds."""

    dtype: Floats


class TokensMeta(ListedMeta, frozen=True, kw_only=True):
    """Of a result of token vectors."""

    dimensions: int
    dtype: Floats


@contextlib.contextmanager
def opened(choice: Choice) -> Iterator[Embedder[TokensMeta]]:
    """The model of a choice, loaded.

    Raises:
        SetupError: The model's artifact is not there, or it is of another kind.
        InvalidRequest: An option is wrong.
    """
    dtype = choice.dtype
    with loading.engine(choice.settings, choice.model, token_vectors.TASK, choice.prompt_name) as engine:
        model, options, lanes = engine
        model.embed_tokens_now(["a"], options)
        dimensions = model.manifest.token_vectors.dimensions
        yield Embedder(
            model=model,
            options=options,
            lanes=lanes,
            embed_now=model.embed_tokens_now,
            value=partial(dtypes.convert, dtype=dtype),
            column=Values(name=MATRIX, kind="token_vectors", dtype=dtype, width=dimensions),
            plan=partial(TokensPlan, dtype=dtype),
            meta=partial(TokensMeta, dimensions=dimensions, dtype=dtype),
        )
