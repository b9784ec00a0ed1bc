"""The view of the served models."""

from collections.abc import Callable

import httpx
from browsing import Visit
from harness import CLASSIFIER, MINILM, RERANKER, SMALL, Server
from playwright.sync_api import Browser, expect


def facts(seen: Visit, name: str) -> dict[str, str]:
    """What the card of a model says."""
    card = seen.page.locator(".card", has=seen.page.get_by_role("heading", name=name, exact=True))
    names = card.locator("dt").all_text_contents()
    return dict(zip(names, card.locator("dd").all_text_contents(), strict=True))


def test_embedders(visit: Callable[..., Visit], client: httpx.Client) -> None:
    """What /v1/models has of each, without its aliases as models of their own."""
    seen = visit(view="models")
    expect(seen.page.locator(".card")).to_have_count(2)
    cards = {card["id"]: card for card in client.get("/v1/models").json()["data"]}

    described, parity = facts(seen, MINILM), cards[MINILM]["parity"]
    assert ("384", "256 tokens", "int8", "mean") == tuple(
        described[name] for name in ("Dimensions", "Longest text", "Precision", "Pooling")
    )
    assert ", ".join(cards[MINILM]["aliases"]) == described["Aliases"]
    assert f"{cards[MINILM]['bytes'] / 1e6:.0f} MB" == described["Size on disk"]
    assert cards[MINILM]["runs_on"] == described["Runs on"]
    assert f"over {parity['texts']} texts" in described["Fidelity"]
    mean, least = (
        float(word)
        for word in described["Fidelity"].replace(",", "").split()
        if word.startswith(("0.", "1."))
    )
    assert 0 <= parity["cosine_mean"] - mean < 1e-4
    assert 0 <= parity["cosine_min"] - least < 1e-4
    assert "query “search for:”, document “text:” (default)" == facts(seen, SMALL)["Prompts"]
    assert [] == seen.complaints


def test_models_that_score(visit: Callable[..., Visit], scoring_server: Server) -> None:
    seen = visit(scoring_server.url, "models")
    expect(seen.page.locator(".card")).to_have_count(3)

    assert "rank correlation" in facts(seen, RERANKER)["Fidelity"]
    assert "Dimensions" not in facts(seen, CLASSIFIER)
    assert facts(seen, CLASSIFIER)["Labels"]
    assert ["embeds", "reranks", "classifies", "classifies"] == seen.texts(".tasks span")


def test_models_that_cannot_be_listed(browser: Browser, server: Server) -> None:
    """The view says why."""
    context = browser.new_context()
    context.route("**/v1/models", lambda route: route.fulfill(status=503, body=""))
    seen = Visit(context, f"{server.url}/#models")

    expect(seen.page.locator("#models-note")).to_contain_text("The server answered 503")
    context.close()


def test_a_model_leads_back(visit: Callable[..., Visit]) -> None:
    """The views are links, so that the browser's own buttons work."""
    seen = visit(view="search")
    expect(seen.page.get_by_label("Model")).to_be_enabled()
    seen.page.get_by_role("link", name="Models", exact=True).click()
    expect(seen.page.get_by_label("Query", exact=True)).to_be_hidden()
    seen.page.go_back()

    expect(seen.page.get_by_label("Query", exact=True)).to_be_visible()
