"""The in-process API against sentence-transformers, and the promise of batch invariance."""

import asyncio
import hashlib
import itertools
import json
import random
import shutil
import threading
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from harness import MINILM, SMALL
from hypothesis import given
from hypothesis import strategies as st

from embed_onnx import Model
from embed_onnx.errors import ArtifactError, InvalidRequest, TextTooLong
from embed_onnx.models.options import Options

GOLDEN = {
    "The cat sits on the mat.": [0.13418, -0.0329, -0.0248, 0.04144, -0.03635, 0.04181, 0.03122, 0.0372],
    "Ein Hund läuft über die Straße.": [
        0.05959,
        0.08871,
        0.00198,
        0.01994,
        -0.01791,
        0.09086,
        0.03586,
        -0.00248,
    ],
}
"""The first numbers of the float32 original's vectors, by sentence-transformers 5.7."""
WORDS = ["river", "stone", "window", "42", "blue,", "never.", "under", "code()", "ärger", "山", "walking"]


def texts(count: int, *, longest: int, seed: int = 3) -> list[str]:
    """Texts of mixed lengths."""
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(1, longest))) for _ in range(count)]


def test_golden_values(minilm: Model) -> None:
    """The original's numbers come back within int8's error."""
    vectors = minilm.encode(list(GOLDEN))

    assert np.allclose(list(GOLDEN.values()), vectors[:, :8], atol=0.01)
    assert np.float32 == vectors.dtype
    assert np.allclose(1, np.linalg.norm(vectors, axis=1))


@pytest.mark.parametrize("name", ["passage", "corpus", "search_query", "clustering"])
def test_other_names_are_those_of_prompts(small: Model, name: str) -> None:
    """Only ``query`` and ``document`` may be names of no prompt."""
    with pytest.raises(InvalidRequest, match=f"{name}' is unknown; this model has query, document"):
        small.tokenize(["x"], Options(prompt_name=name))


def test_input_types_name_prompts_too(home: Path, small: Model) -> None:
    """``classification`` and ``clustering`` are the prompts of that name, where a model has them."""
    changed = with_manifest(home, small, prompts={"clustering": "group: "}, default_prompt=None)

    grouped = changed.tokenize(["x"], Options(input_type="clustering"))

    assert small.tokenize(["x"], Options(prompt="group: ")) == grouped
    assert small.tokenize(["x"], Options(prompt="")) == changed.tokenize(
        ["x"], Options(input_type="classification")
    )


def test_matryoshka_dimensions_are_named(home: Path, small: Model) -> None:
    """Any number up to the model's works; the error says which ones it was trained for."""
    output = msgspec.structs.replace(small.manifest.output, matryoshka=(8, 16))
    changed = with_manifest(home, small, output=output)

    with pytest.raises(InvalidRequest, match="takes 1 to 32, and was trained for 8, 16"):
        changed.encode(["x"], dimensions=33)
    for dimensions in (1, 8, 11, 32):
        assert np.array_equal(
            small.encode(["x"], dimensions=dimensions), changed.encode(["x"], dimensions=dimensions)
        )


@pytest.mark.parametrize("number", [2, 3])
def test_an_artifact_of_an_older_format_is_served_as_it_is(
    home: Path, tmp_path: Path, small: Model, number: int
) -> None:
    """Its manifest has the fields of a dense output among its own, and a seal of its own text."""
    folder = tmp_path / SMALL
    shutil.copytree(home / "artifacts" / SMALL, folder)
    fields = json.loads((folder / "manifest.json").read_text())
    dense = fields.pop("output")
    del dense["kind"]
    if number == 2:
        for parity in filter(None, (fields["parity"], fields["kernel_parity"])):
            del parity["short"]
    fields["sha256"]["manifest.json"] = "?" * 64
    text = json.dumps({**fields, **dense, "format": number}, indent=2)
    (folder / "manifest.json").write_text(text.replace("?" * 64, hashlib.sha256(text.encode()).hexdigest()))

    with Model.load(folder) as older:
        assert small.manifest.output == older.manifest.output
        assert np.array_equal(small.encode(["a few words"]), older.encode(["a few words"]))


def with_manifest(home: Path, model: Model, **changes: Any) -> Model:
    """The small model with other facts in its manifest."""
    changed = msgspec.structs.replace(model.manifest, **changes)
    return Model(home / "artifacts" / SMALL, changed, model._scheduler, model.kernels)


def test_batch_invariance(minilm: Model) -> None:
    """A vector has the same bytes alone, in a list of 300, and while eight threads send other texts."""
    many = texts(300, longest=60)
    probe = many[::25]
    alone = [minilm.encode([text])[0].tobytes() for text in probe]
    stop = threading.Event()

    def disturb(seed: int) -> None:
        others = itertools.cycle(texts(20, longest=40, seed=seed))
        while not stop.is_set():
            minilm.encode([next(others)])

    in_list = [vector.tobytes() for vector in minilm.encode(many)[::25]]
    threads = [threading.Thread(target=disturb, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    under_load = [minilm.encode([text])[0].tobytes() for text in probe]
    stop.set()
    for thread in threads:
        thread.join()

    assert alone == in_list
    assert alone == under_load


def test_number_of_threads_does_not_matter(artifacts: Path, small: Model) -> None:
    """One lane or five: the same bytes."""
    inputs = texts(30, longest=20)

    for threads in (1, 5):
        with Model.load(artifacts / SMALL, threads=threads) as other:
            assert np.array_equal(small.encode(inputs), other.encode(inputs))


def test_async_form(small: Model) -> None:
    """``embed`` gives what ``encode`` gives, with tokens and timings, over several slices."""
    inputs = texts(150, longest=60)

    embedded = asyncio.run(small.embed(inputs, Options()))

    assert np.array_equal(small.encode(inputs), embedded.vectors)
    assert 150 == len(embedded.tokens)
    assert any(tokens.truncated for tokens in embedded.tokens)
    assert min(embedded.tokenize_seconds, embedded.queue_seconds, embedded.infer_seconds) > 0


def test_nothing_gives_nothing(small: Model) -> None:
    assert (0, 32) == small.encode([]).shape


@given(st.lists(st.text(min_size=1, max_size=60), min_size=1, max_size=4))
def test_any_text_has_a_finite_unit_vector(small: Model, inputs: list[str]) -> None:
    """Emoji, control characters, NUL, any script: a vector of length 1."""
    vectors = small.encode([text.encode("utf-8", "replace").decode() for text in inputs])

    assert np.allclose(1, np.linalg.norm(vectors, axis=1), atol=1e-5)


@pytest.mark.parametrize(
    ("inputs", "options", "sentence"),
    [
        pytest.param(["x"], {"dimensions": 33}, "takes 1 to 32", id="dimensions"),
        pytest.param(["x"], {"prompt_name": "nope"}, "query, document", id="prompt"),
        pytest.param([[1], "x"], {}, "mixes texts and token ids", id="mixed"),
        pytest.param([[10**30]], {}, "vocabulary ends at", id="id"),
        pytest.param([[]], {}, "input[0] has no tokens", id="no-ids"),
    ],
)
def test_wrong_requests(small: Model, inputs: list, options: dict, sentence: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        small.encode(inputs, **options)

    assert sentence in str(refused.value)


def test_items_are_counted_across_slices(small: Model) -> None:
    """The error of the hundredth text calls it input[99]."""
    with pytest.raises(TextTooLong) as refused:
        asyncio.run(small.embed([*["x"] * 99, "x " * 100], Options(truncate=False)))

    assert "input[99] has" in str(refused.value)


def test_no_artifact(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="embed-onnx export"):
        Model.load(tmp_path / MINILM)
