"""The in-process API beside Sentence-Transformers: vectors, and prompts by their roles."""

import random
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from harness import SMALL

from embed_onnx import Model
from embed_onnx.models.options import Options

WORDS = ["river", "stone", "window", "42", "blue,", "never.", "under", "code()", "ärger", "山", "walking"]


def texts(count: int, *, longest: int, seed: int = 3) -> list[str]:
    """Texts of mixed lengths."""
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(1, longest))) for _ in range(count)]


def test_small_model_is_its_original(home: Path, small: Model) -> None:
    """A small model with a default prompt gives what sentence-transformers gives."""
    from sentence_transformers import SentenceTransformer

    original = SentenceTransformer(str(home / "checkpoint"), device="cpu")
    inputs = texts(20, longest=60)

    expected = original.encode(inputs, show_progress_bar=False)
    queries = original.encode_query(inputs, show_progress_bar=False)

    assert np.einsum("td,td->t", expected, small.encode(inputs)).min() > 0.999
    assert np.einsum("td,td->t", queries, small.encode(inputs, prompt_name="query")).min() > 0.999


DOCUMENTS = {"passage": "p: ", "corpus": "c: "}


@pytest.mark.parametrize(
    ("role", "prompts", "default", "expected"),
    [
        pytest.param("query", {"query": "q: ", "other": "o: "}, "other", "q: ", id="query"),
        pytest.param("query", {"other": "o: "}, "other", "o: ", id="no-query-but-a-default"),
        pytest.param("query", {"other": "o: "}, None, "", id="no-query"),
        pytest.param("query", {}, None, "", id="no-prompts"),
        pytest.param("query", {"query": "", "other": "o: "}, "other", "", id="an-empty-prompt-is-one"),
        pytest.param("document", {"document": "d: ", **DOCUMENTS}, "corpus", "d: ", id="document"),
        pytest.param("document", DOCUMENTS, "corpus", "p: ", id="passage"),
        pytest.param("document", {"corpus": "c: "}, None, "c: ", id="corpus"),
        pytest.param("document", {"query": "q: "}, "query", "q: ", id="no-document-but-a-default"),
    ],
)
def test_roles_are_those_of_sentence_transformers(
    home: Path, small: Model, role: str, prompts: dict[str, str], default: str | None, expected: str
) -> None:
    """Of ``query`` and ``document`` the prompt is that of encode_query and encode_document."""
    from sentence_transformers import SentenceTransformer

    original = SentenceTransformer(str(home / "checkpoint"), device="cpu")
    original.prompts, original.default_prompt_name = prompts, default
    changed = with_manifest(home, small, prompts=prompts, default_prompt=default)

    theirs = getattr(original, f"encode_{role}")(["a few words"])

    assert np.array_equal(original.encode(["a few words"], prompt=expected), theirs)
    expected_tokens = small.tokenize(["a few words"], Options(prompt=expected))
    assert expected_tokens == changed.tokenize(["a few words"], Options(prompt_name=role))
    assert expected_tokens == changed.tokenize(["a few words"], Options(input_type=f"search_{role}"))


def with_manifest(home: Path, model: Model, **changes: Any) -> Model:
    """The small model with other facts in its manifest."""
    changed = msgspec.structs.replace(model.manifest, **changes)
    return Model(home / "artifacts" / SMALL, changed, model._scheduler, model.kernels)
