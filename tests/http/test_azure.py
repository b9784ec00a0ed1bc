"""Azure's client, and OpenAI's at its newer address, against a real server with keys."""

import asyncio
from collections.abc import Iterator
from urllib.parse import quote

import numpy as np
import openai
import pytest
from harness import MINILM, PROGRAM, SMALL, WEB, Server

from embed_onnx import Model

KEY = "azure-key-of-mine"
VERSION = "2024-10-21"
TEXTS = ["Hello", "a second, somewhat longer text"]


@pytest.fixture(scope="module")
def keyed(home) -> Iterator[Server]:
    with Server(["--api-keys", KEY], {}, home, PROGRAM) as server:
        server.wait_ready()
        yield server


@pytest.mark.parametrize(
    "name",
    [SMALL, "team/tiny", f"{SMALL}:latest", f"sentence-transformers/{MINILM}", "text-embedding-3-small"],
)
@pytest.mark.parametrize("in_constructor", [False, True])
def test_azure_client(keyed: Server, minilm: Model, small: Model, name: str, in_constructor: bool) -> None:
    """The deployment is the model, be it named once for all or in each call."""
    deployment = {"azure_deployment": name} if in_constructor else {}
    with openai.AzureOpenAI(
        azure_endpoint=keyed.url, api_key=KEY, api_version=VERSION, **deployment
    ) as client:
        answer = client.embeddings.create(model="whatever" if in_constructor else name, input=TEXTS)

    model = small if "tiny" in name or SMALL in name.split(":") else minilm
    assert model.manifest.name == answer.model
    assert np.array_equal(model.encode(TEXTS), np.array([item.embedding for item in answer.data], np.float32))


def test_async_azure_client(keyed: Server) -> None:
    async def embed() -> int:
        async with openai.AsyncAzureOpenAI(
            azure_endpoint=f"{keyed.url}/", api_key=KEY, api_version=VERSION
        ) as client:
            return len(
                (await client.embeddings.create(model=SMALL, input="x", dimensions=7)).data[0].embedding
            )

    assert 7 == asyncio.run(embed())


def test_azure_client_with_a_token(keyed: Server) -> None:
    """What Azure calls a token of its directory comes as Bearer, as keys do."""
    with openai.AzureOpenAI(azure_endpoint=keyed.url, azure_ad_token=KEY, api_version=VERSION) as client:
        assert 32 == len(client.embeddings.create(model=SMALL, input="x").data[0].embedding)


def test_the_newer_address(keyed: Server) -> None:
    with openai.OpenAI(base_url=f"{keyed.url}/openai/v1/", api_key=KEY) as client:
        answer = client.embeddings.create(
            model="team/tiny", input="x", extra_query={"api-version": "preview"}
        )
        names = [model.id for model in client.models.list()]
        one = client.models.retrieve("team/tiny").id

    assert (SMALL, "team/tiny") == (answer.model, one)
    assert [MINILM, SMALL] == names[:2]


def test_models_of_azure(keyed: Server) -> None:
    with openai.AzureOpenAI(
        azure_endpoint=keyed.url, api_key=KEY, api_version=VERSION, azure_deployment=SMALL
    ) as client:
        assert [MINILM, SMALL] == [model.id for model in client.models.list()][:2]
        assert "team/tiny" == client.models.retrieve("team/tiny").id


def test_a_wrong_key_and_an_unknown_deployment(keyed: Server) -> None:
    """The client's own exceptions, with the server's sentence."""

    def client(key: str) -> openai.AzureOpenAI:
        return openai.AzureOpenAI(azure_endpoint=keyed.url, api_key=key, api_version=VERSION)

    with client("wrong") as wrong, pytest.raises(openai.AuthenticationError, match="unknown here"):
        wrong.embeddings.create(model=SMALL, input="x")
    with client(KEY) as right, pytest.raises(openai.NotFoundError, match="'nope' is not served") as unknown:
        right.embeddings.create(model="nope", input="x")
    assert "model_not_found" == unknown.value.code


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"api-key": KEY}, 200, id="api-key"),
        pytest.param({"API-Key": KEY}, 200, id="upper-case"),
        pytest.param({"authorization": f"Bearer {KEY}"}, 200, id="bearer"),
        pytest.param({"authorization": f"Bearer {KEY}", "api-key": "wrong"}, 200, id="bearer-first"),
        pytest.param({"authorization": "Bearer wrong", "api-key": KEY}, 401, id="wrong-bearer"),
        pytest.param({"authorization": "Basic eA==", "api-key": KEY}, 200, id="another-scheme"),
        pytest.param({"api-key": "wrong"}, 401, id="wrong"),
        pytest.param({"api-key": ""}, 401, id="empty"),
        pytest.param({"api-key": f"Bearer {KEY}"}, 401, id="with-the-scheme"),
        pytest.param({}, 401, id="none"),
    ],
)
@pytest.mark.parametrize("path", [f"/openai/deployments/{SMALL}/embeddings", "/v1/embeddings", "/api/embed"])
def test_keys_of_azure_on_every_route(keyed: Server, headers: dict[str, str], status: int, path: str) -> None:
    answer = WEB.post(keyed.url + path, json={"input": "x", "model": SMALL}, headers=headers)

    assert status == answer.status_code
    assert status == 200 or answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("base", ["/openai/deployments", "/v1/engines", "/engines"])
@pytest.mark.parametrize("encoded", [False, True])
def test_names_in_paths(server: Server, base: str, encoded: bool) -> None:
    """With or without their slashes encoded; the body's model does not matter, nor does a version."""
    plain = WEB.post(f"{server.url}/v1/embeddings", json={"input": "x", "model": SMALL}).json()["data"]
    name = quote("team/tiny:latest", safe="") if encoded else "team/tiny:latest"
    for body in ({"input": "x"}, {"input": "x", "model": MINILM}, {"input": "x", "model": "nobody's"}):
        answer = WEB.post(f"{server.url}{base}/{name}/embeddings?api-version=x&api-version=y", json=body)

        assert (SMALL, plain) == (answer.json()["model"], answer.json()["data"])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("POST", f"/openai/deployments/{SMALL}/chat/completions", 404, id="chat"),
        pytest.param("POST", f"/openai/deployments/{SMALL}", 404, id="no-operation"),
        pytest.param("POST", "/openai/deployments/embeddings", 404, id="no-name"),
        pytest.param("POST", "/openai/deployments//embeddings", 404, id="empty-name"),
        pytest.param("POST", f"/v1/engines/{SMALL}/embeddingsx", 404, id="another-operation"),
        pytest.param("GET", f"/openai/deployments/{SMALL}/embeddings", 405, id="method"),
        pytest.param("POST", "/openai/embeddings", 404, id="no-deployment"),
    ],
)
def test_other_paths(server: Server, method: str, path: str, status: int) -> None:
    answer = WEB.request(method, server.url + path, json={"input": "x"})

    assert status == answer.status_code
    assert {"message", "type", "param", "code"} == set(answer.json()["error"])
