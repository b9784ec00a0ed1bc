"""Vectors that the page shows, copies and saves."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from browsing import Visit
from harness import SMALL

TEXTS = ['a "quoted", text', "naïve 日本語 🙂", "=1+1", "and some more words"]


@pytest.fixture
def expected(client: httpx.Client) -> np.ndarray:
    """The API's own vectors [texts, dimensions]."""
    data = client.post("/v1/embeddings", json={"model": SMALL, "input": TEXTS}).json()["data"]
    return np.array([item["embedding"] for item in data], np.float32)


def embedded(visit: Callable[..., Visit], **options: Any) -> Visit:
    seen = visit(**options)
    seen.page.get_by_label("Model").select_option(SMALL)
    seen.embed(TEXTS)
    return seen


def saved(seen: Visit, label: str) -> tuple[str, bytes]:
    """The name and the content of the file that a button saves."""
    with seen.page.expect_download() as download:
        seen.page.get_by_role("button", name=label).click()
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def test_the_first_numbers_are_shown(visit: Callable[..., Visit], expected: np.ndarray) -> None:
    seen = embedded(visit)

    rows = [text.replace("\N{MINUS SIGN}", "-").split()[:6] for text in seen.texts("#vectors .numbers")]
    assert np.allclose(expected[:, :6], np.array(rows, float), atol=0.000051)
    assert ["4 vectors of 32 float32 numbers each, as the server gave them."] == seen.texts("#vectors-note")


def test_npy(visit: Callable[..., Visit], expected: np.ndarray) -> None:
    name, content = saved(embedded(visit), "Save npy")

    vectors = np.load(io.BytesIO(content))
    assert (f"{SMALL}.npy", np.float32) == (name, vectors.dtype)
    assert np.array_equal(expected, vectors)


def test_json(visit: Callable[..., Visit], expected: np.ndarray) -> None:
    name, content = saved(embedded(visit), "Save JSON")

    items = json.loads(content)
    assert f"{SMALL}.json" == name
    assert TEXTS == [item["text"] for item in items]
    assert np.array_equal(expected, np.array([item["embedding"] for item in items], np.float32))


def test_csv(visit: Callable[..., Visit], expected: np.ndarray) -> None:
    name, content = saved(embedded(visit), "Save CSV")

    head, *rows = csv.reader(io.StringIO(content.decode(), newline=""))
    assert f"{SMALL}.csv" == name
    assert ["text", *map(str, range(32))] == head
    assert TEXTS == [row[0] for row in rows]
    assert np.array_equal(expected, np.array([row[1:] for row in rows], np.float32))


def test_copying_vectors(visit: Callable[..., Visit], expected: np.ndarray) -> None:
    seen = embedded(visit, permissions=["clipboard-read", "clipboard-write"])
    seen.page.get_by_role("button", name="Copy as JSON").click()
    seen.page.get_by_role("button", name="Copied").wait_for()

    items = json.loads(seen.page.evaluate("() => navigator.clipboard.readText()"))
    assert np.array_equal(expected, np.array([item["embedding"] for item in items], np.float32))
