"""The setting for special tokens that are written in a text, of a server and of ``embed``."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from harness import MINILM, WEB, Server, run
from harness import embed as ask

from embed_onnx import Model
from embed_onnx.models.options import Options

WRITTEN = "first [SEP] second[PAD] [CLS]"


@pytest.fixture(scope="module")
def literal(artifacts: Path) -> Iterator[Model]:
    with Model.load(artifacts / MINILM, literal_special_tokens=True) as model:
        yield model


def ids(model: Model, text: str) -> list[int]:
    (tokens,) = model.tokenize([text], Options())
    return tokens.ids


@pytest.mark.parametrize("variable", [True, False])
def test_a_server_with_the_setting(serve: Callable[..., Server], literal: Model, variable: bool) -> None:
    """By flag or variable: vectors and /tokenize, whose special tokens keep their names."""
    name = "EMBED_ONNX_LITERAL_SPECIAL_TOKENS"
    server = serve(**{name: "true"}) if variable else serve("--literal-special-tokens")

    (item,) = ask(server.url, WRITTEN).json()["data"]
    (display,) = WEB.post(f"{server.url}/tokenize", json={"input": WRITTEN}).json()["data"]

    assert np.array_equal(literal.encode(WRITTEN), np.array(item["embedding"], np.float32))
    assert ids(literal, WRITTEN) == display["ids"]
    assert ["[CLS]", "first", "[", "sep", "]"] == display["tokens"][:5]
    assert "[SEP]" == display["tokens"][-1]


def test_embed_takes_the_setting(home: Path, literal: Model) -> None:
    done = run("embed", "--literal-special-tokens", "--text", WRITTEN, cwd=home)

    assert done.returncode == 0, done.stderr
    assert np.array_equal(literal.encode(WRITTEN), np.array(json.loads(done.stdout)["embedding"], np.float32))
