"""Code that the page shows for what it did, run as it is."""

import json
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from browsing import Visit
from harness import SMALL
from playwright.sync_api import expect

TEXTS = ["The cat sleeps.", "A cat is asleep.", "Shares fell on Monday.", "The market closed lower."]
AWKWARD = [
    """it's "quoted" \\ and \\n, $HOME `id` $(id) ${x} %s {x} !! ~ #""",
    "<img src=x onerror=alert(1)></script><b>bold</b> &amp;",
    "JSON",
    "naïve 日本語 🙂 tab\there",
    "unseen \u200b \u202e \u2028 \x7f \x9b end",
    "'''",
    '"""',
]


def vectors_of(client: httpx.Client, **body: Any) -> np.ndarray:
    answer = client.post("/v1/embeddings", json=body).raise_for_status().json()
    return np.array([item["embedding"] for item in answer["data"]])


# The code that is shown
def test_shown_python_does_the_same(visit: Callable[..., Visit], client: httpx.Client) -> None:
    """The shown program runs as it is, whatever the texts hold, and gives the vectors of the request."""
    seen = visit()
    seen.page.get_by_label("Model").select_option(SMALL)
    seen.page.get_by_label("Prompt").select_option(label="query “search for: ”")
    seen.page.get_by_label("Dimensions").fill("9")
    seen.embed(AWKWARD)

    names: dict[str, Any] = {}
    exec(seen.texts("#python")[0], names)
    names["client"].close()
    body = seen.sent()[0]
    assert AWKWARD == body["input"]
    assert np.array_equal(vectors_of(client, **(body | {"encoding_format": "float"})), names["vectors"])
    assert isinstance(names["client"], openai.OpenAI)


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl is installed")
@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_shown_curl_does_the_same(visit: Callable[..., Visit], client: httpx.Client, shell: str) -> None:
    """Nothing of a text is expanded by the shell."""
    seen = visit()
    seen.page.get_by_label("Model").select_option(SMALL)
    seen.embed(AWKWARD)

    done = subprocess.run([shell, "-c", seen.texts("#curl")[0]], capture_output=True, check=True)
    answer = client.post("/v1/embeddings", json=seen.sent()[0] | {"encoding_format": "float"}).json()
    assert answer["data"] == json.loads(done.stdout)["data"]


@pytest.mark.parametrize("name", ["curl", "python", "javascript"])
def test_copying(visit: Callable[..., Visit], name: str) -> None:
    seen = visit(permissions=["clipboard-read", "clipboard-write"])
    seen.embed(AWKWARD)
    seen.page.locator(f"[data-copy={name}]").click()
    expect(seen.page.locator(f"[data-copy={name}]")).to_have_text("Copied")

    assert seen.texts(f"#{name}")[0] == seen.page.evaluate("() => navigator.clipboard.readText()")
