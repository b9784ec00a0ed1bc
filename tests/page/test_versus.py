"""The view that compares two models on the same texts."""

from collections.abc import Callable
from itertools import combinations
from typing import Any

import httpx
import numpy as np
import pytest
from browsing import Visit
from harness import MINILM, SMALL
from playwright.sync_api import expect

QUERY = "Which cat is asleep?"
TEXTS = ["The cat sleeps.", "A cat is asleep.", "Shares fell on Monday.", "The market closed lower.", "12"]


@pytest.fixture
def seen(visit: Callable[..., Visit]) -> Visit:
    return visit(view="versus")


def compare(seen: Visit, query: str, texts: list[str]) -> None:
    expect(seen.page.get_by_label("Model")).to_be_enabled()
    seen.send("Compare", query, texts)


def units(client: httpx.Client, model: str, role: str, texts: list[str]) -> np.ndarray:
    body = {"model": model, "input": texts, "prompt_name": role}
    data = client.post("/v1/embeddings", json=body).raise_for_status().json()["data"]
    vectors = np.array([item["embedding"] for item in data])
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def ranks(values: np.ndarray) -> np.ndarray:
    return values.argsort().argsort()


def test_agreement(seen: Visit, client: httpx.Client) -> None:
    """The correlation of ranks over all pairs, the same nearest texts, and the pairs that differ most."""
    compare(seen, "", TEXTS)

    products = [
        vectors @ vectors.T
        for vectors in (units(client, name, "document", TEXTS) for name in (MINILM, SMALL))
    ]
    pairs = list(combinations(range(5), 2))
    orders = [ranks(np.array([product[pair] for pair in pairs])) for product in products]
    nearest = [(product - 2 * np.eye(5)).argmax(axis=1) for product in products]
    correlation, same = seen.texts("#versus-figures dd")[:2]
    assert float(correlation.replace("\N{MINUS SIGN}", "-")) == pytest.approx(
        np.corrcoef(orders)[0, 1], abs=0.0051
    )
    assert f"{(nearest[0] == nearest[1]).sum()} of 5" == same
    most = pairs[int(np.abs(orders[1] - orders[0]).argmax())]
    assert [TEXTS[place] for place in most] == seen.texts("#pairs tbody tr:first-child .text div")
    assert 10 == seen.page.locator("#pairs tbody tr").count()
    expect(seen.page.locator("#versus-hits")).to_be_hidden()
    for side, product in zip(("left", "right"), products, strict=True):
        cells = seen.texts(f"#{side}-heat td:not(:empty)")
        table = np.array([text.replace("\N{MINUS SIGN}", "-") for text in cells], float).reshape(5, 5)
        assert np.allclose(product, table, atol=0.0051)
    assert [] == seen.complaints


def test_hits_of_both(seen: Visit, client: httpx.Client) -> None:
    """For a query, both orders, and by how many ranks each text moved."""
    compare(seen, QUERY, TEXTS)

    left, right = (
        list(np.argsort(-units(client, name, "document", TEXTS) @ units(client, name, "query", [QUERY])[0]))
        for name in (MINILM, SMALL)
    )
    assert [TEXTS[place] for place in left] == seen.texts("#left-list .text")
    assert [TEXTS[place] for place in right] == seen.texts("#right-list .text")
    moves = [left.index(place) - rank for rank, place in enumerate(right)]
    marks = [f"▲up {move}" if move > 0 else f"▼down {-move}" if move else "\N{EN DASH}" for move in moves]
    assert marks == seen.texts("#right-list .moved")
    assert [MINILM, SMALL] == [seen.texts(f"#{side}-title")[0] for side in ("left", "right")]


def test_the_same_model_twice(seen: Visit) -> None:
    expect(seen.page.get_by_label("Model")).to_be_enabled()
    seen.page.get_by_label("Beside", exact=True).select_option(MINILM)
    compare(seen, "", TEXTS)

    assert ["Both models are the same: choose another one."] == seen.texts("#error")
    assert [] == seen.sent()


def test_one_text(seen: Visit) -> None:
    compare(seen, "", ["alone"])

    assert ["One text alone has nothing to be near to; add another."] == seen.texts("#versus-note")
    expect(seen.page.locator("#versus-pairs")).to_be_hidden()
    assert [] == seen.complaints


def test_the_shown_programs(seen: Visit, client: httpx.Client) -> None:
    compare(seen, "", TEXTS)
    names: dict[str, Any] = {}
    exec(seen.texts("#versus-python")[0], names)
    names["client"].close()
    program = seen.texts("#versus-javascript")[0]
    vectors = seen.page.evaluate(f"async () => {{ {program}\n return vectors; }}")

    for name in (MINILM, SMALL):
        body = {"model": name, "input": TEXTS, "prompt_name": "document"}
        data = client.post("/v1/embeddings", json=body).json()["data"]
        expected = [item["embedding"] for item in data]
        assert np.array_equal(expected, vectors[name])
        assert np.array_equal(expected, names["vectors"][name])


def test_a_server_of_one_embedder(visit: Callable[..., Visit], scoring_server: Any) -> None:
    seen = visit(scoring_server.url, "versus")

    sentence = "This view needs two models that embed texts; this server has one."
    expect(seen.page.locator("#lacking")).to_contain_text(sentence)
    expect(seen.page.locator("#form")).to_be_hidden()
