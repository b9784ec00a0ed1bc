"""Token ids as input: those of the model's own template are taken, others only by who asks for that."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import kept
import numpy as np
import pytest
from harness import MINILM, SMALL

from embed_onnx import Model
from embed_onnx.errors import InvalidRequest
from embed_onnx.models.options import Options

OPENAI = [
    pytest.param([[15339, 1917]], "[0]", id="hello-world"),
    pytest.param([15339, 1917], "[0]", id="one-input"),
    pytest.param([[101, 7592, 102], [2028, 2048]], "[1]", id="among-others"),
    pytest.param([[101, 7592]], "[0]", id="no-end"),
    pytest.param([[7592, 102]], "[0]", id="no-beginning"),
    pytest.param([[101]], "[0]", id="beginning-alone"),
]
"""Within the vocabulary of BERT, and without its [CLS] and [SEP]."""
ROUTES = {
    "/v1/embeddings": ("input", 400),
    "/embeddings": ("input", 400),
    "/tokenize": ("input", 400),
    "/embed": ("inputs", 422),
    "/": ("inputs", 422),
}
"""The field of each route that takes ids, and what a wrong request is there."""


def message(answer: httpx.Response) -> str:
    error = answer.json()["error"]
    return error if isinstance(error, str) else error["message"]


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(("ids", "place"), OPENAI)
def test_ids_without_the_template_are_refused(
    client: httpx.Client, path: str, ids: list[list[int]], place: str
) -> None:
    """The sentence has the special tokens, every way out, and what LangChain's users set."""
    field, status = ROUTES[path]

    answer = client.post(path, json={field: ids})

    assert status == answer.status_code
    for part in (
        f"{field}{place}",
        "[CLS] (101) before",
        "[SEP] (102) after",
        "add_special_tokens=false",
        "/tokenize",
    ):
        assert part in message(answer)
    assert "check_embedding_ctx_length=False" in message(answer)


@pytest.mark.parametrize(
    ("path", "model"), [("/v1/embeddings", MINILM), ("/v1/embeddings", SMALL), ("/embed", MINILM)]
)
def test_what_tokenize_gives_is_taken(client: httpx.Client, path: str, model: str) -> None:
    """Of short texts, long ones, and such as hold special tokens: the same bits as from the text."""
    texts = ["Hello", "x", "[SEP]", "a[CLS] b [PAD]", "日本語 💥", "word " * 2000]
    field, _ = ROUTES[path]
    named = {} if path == "/embed" else {"model": model}
    display = client.post("/tokenize", json={"input": texts, "model": model}).json()["data"]

    answers = [
        client.post(path, json={field: value, **named}).json()
        for value in (texts, [item["ids"] for item in display])
    ]

    of_texts, of_ids = (
        answer if path == "/embed" else [item["embedding"] for item in answer["data"]] for answer in answers
    )
    assert of_texts == of_ids


@pytest.mark.parametrize("path", ["/v1/embeddings", "/tokenize", "/embed"])
def test_raw_ids_are_taken_by_who_asks_for_that(client: httpx.Client, minilm: Model, path: str) -> None:
    field, _ = ROUTES[path]
    ids = [[15339, 1917], [101, 7592, 102]]

    answer = client.post(path, json={field: ids, "add_special_tokens": False}).json()

    if path == "/tokenize":
        assert ids == [item["ids"] for item in answer["data"]]
    else:
        vectors = answer if path == "/embed" else [item["embedding"] for item in answer["data"]]
        expected = minilm.encode(ids, add_special_tokens=False)
        assert np.array_equal(expected, np.array(vectors, np.float32))
        assert np.array_equal(minilm.encode("hello"), expected[1])


@pytest.mark.parametrize("path", ROUTES)
def test_texts_always_get_special_tokens(client: httpx.Client, path: str) -> None:
    """``false`` beside texts would be another vector than was asked for; ``true`` is what happens anyway."""
    field, status = ROUTES[path]

    refused = client.post(path, json={field: ["Hello"], "add_special_tokens": False})
    taken = [
        client.post(path, json={field: ["Hello"], "add_special_tokens": value}) for value in (True, None)
    ]
    wrong = client.post(path, json={field: ["Hello"], "add_special_tokens": "no"})

    assert status == refused.status_code
    assert "texts always get the model's special tokens" in message(refused)
    assert [200, 200] == [answer.status_code for answer in taken]
    assert status == wrong.status_code


def test_openai_errors_name_the_field(client: httpx.Client) -> None:
    request = {"/v1/embeddings": [[15339, 1917]], "/tokenize": [[15339, 1917]]}
    for path, ids in request.items():
        assert "input" == client.post(path, json={"input": ids}).json()["error"]["param"]
        error = client.post(path, json={"input": "a", "add_special_tokens": False}).json()["error"]
        assert ("add_special_tokens", "invalid_request_error") == (error["param"], error["type"])


@pytest.mark.parametrize("truncate", [True, False])
def test_ids_beyond_the_limit_are_cut_as_their_text_is(client: httpx.Client, truncate: bool) -> None:
    """[SEP] stays the last, so that the vector is that of the text; or both are refused."""
    text = "one two three four five " * 100
    ids = [101, *[2028, 2048, 2093, 2176, 2274] * 100, 102]

    of_text, of_ids = (
        client.post("/v1/embeddings", json={"input": value, "truncate": truncate}).json()
        for value in (text, ids)
    )

    if not truncate:
        assert {"context_length_exceeded"} == {answer["error"]["code"] for answer in (of_text, of_ids)}
        return
    assert of_text["data"] == of_ids["data"]
    assert of_ids["data"][0]["truncated"]
    (item,) = client.post("/tokenize", json={"input": ids}).json()["data"]
    assert (101, 102, 256) == (item["ids"][0], item["ids"][-1], len(item["ids"]))


def encoded(model: Model, inputs: list[list[int]], **options: bool) -> list[np.ndarray]:
    """By both forms of ``encode``."""
    return [model.encode(inputs, **options), asyncio.run(model.encode_async(inputs, **options))]


@pytest.mark.parametrize("name", ["both", "end", "beginning"])
def test_in_process_too(templates: dict[str, Model], name: str) -> None:
    """Ids need what this model has around a text, be it at one end; raw ones need nothing."""
    model = templates[name]
    (tokens,) = model.tokenize(["a small model reads"], Options())
    inner = [token_id for token_id in tokens.ids if token_id not in {2, 3}]
    raw = encoded(model, [inner], add_special_tokens=False)

    assert all(
        np.array_equal(model.encode(["a small model reads"]), actual)
        for actual in encoded(model, [tokens.ids])
    )
    assert np.array_equal(*raw)
    assert not np.array_equal(model.encode([tokens.ids]), raw[0])
    for encode in (model.encode, lambda ids: asyncio.run(model.encode_async(ids))):
        with pytest.raises(InvalidRequest, match="check_embedding_ctx_length=False"):
            encode([inner])
        with pytest.raises(InvalidRequest, match="check_embedding_ctx_length=False"):
            encode(inner)


def test_without_a_template_the_vocabulary_is_all_there_is(templates: dict[str, Model]) -> None:
    """Nothing is put around a text: any ids might be one."""
    model = templates["nothing"]
    (tokens,) = model.tokenize(["a small model reads"], Options())

    assert np.array_equal(model.encode(["a small model reads"]), model.encode([tokens.ids]))
    assert (1, 32) == model.encode([[7, 8]]).shape
    assert np.array_equal(model.encode([[7, 8]]), model.encode([[7, 8]], add_special_tokens=False))
    with pytest.raises(InvalidRequest, match="check_embedding_ctx_length=False"):
        model.encode([[100_000]])


KINDS = {"both": "wordpiece", "end": "bpe", "beginning": "byte-fallback", "nothing": "bare"}
"""Tokenizers, by where they put special tokens."""


@pytest.fixture(scope="module")
def templates() -> Iterator[dict[str, Model]]:
    """Models with special tokens at both ends of a text, at one, and at none."""
    artifacts = kept.folder(models_with_templates) / "artifacts"
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(Model.load(artifacts / name, threads=1)) for name in KINDS}


def models_with_templates(folder: Path) -> None:
    import small_models

    for name, kind in KINDS.items():
        small_models.save(folder / name, tokenizer=kind)
    kept.export(folder, "".join(f"./{name} precision=float32\n" for name in KINDS))
