"""Clients of text-embeddings-inference against a real server, where only the URL is changed."""

import httpx
import numpy as np
import pytest
from harness import MINILM, SMALL, Server
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError

from embed_onnx import Model

TEXTS = ["Hello", "a second, somewhat longer text"]


def ask(client: httpx.Client, path: str = "/embed", **body: object) -> httpx.Response:
    return client.post(path, json=body)


@pytest.mark.parametrize("path", ["", "/", "/embed"])
def test_huggingface_hub(server: Server, path: str, minilm: Model) -> None:
    """InferenceClient posts to the URL that it is given, be it the server's or the route's."""
    hub = InferenceClient(model=server.url + path)

    vectors = hub.feature_extraction(TEXTS)
    one = hub.feature_extraction("Hello", normalize=True, truncate=True, truncation_direction="Right")

    assert np.array_equal(minilm.encode(TEXTS), vectors)
    assert np.array_equal(vectors[:1], one)


def test_huggingface_hub_hears_the_reason(server: Server) -> None:
    """The client's own exception carries our sentence and the status that TEI has for it."""
    hub = InferenceClient(model=f"{server.url}/embed")

    with pytest.raises(HfHubHTTPError, match="prompt_name 'nope' is unknown; this model has") as refused:
        hub.feature_extraction("x", prompt_name="nope")

    assert 422 == refused.value.response.status_code


def test_llama_index(client: httpx.Client, minilm: Model) -> None:
    """What LlamaIndex's TextEmbeddingsInference 0.6.0 sends, byte for byte."""
    body = '{"inputs":["Hello","a second, somewhat longer text"],"truncate":true}'

    answer = client.post("/embed", content=body, headers={"Content-Type": "application/json"})

    assert np.array_equal(minilm.encode(TEXTS), np.array(answer.json(), np.float32))


@pytest.mark.parametrize(
    ("inputs", "same"),
    [
        pytest.param("Hello", ["Hello"], id="text"),
        pytest.param(["Hello", ""], ["Hello", ""], id="an-empty-text"),
        pytest.param([101, 7592, 102], ["Hello"], id="ids"),
        pytest.param([[101, 7592, 102], [101, 102]], ["Hello", ""], id="lists-of-ids"),
    ],
)
def test_inputs(client: httpx.Client, minilm: Model, inputs: object, same: list[str]) -> None:
    """Texts and ids in all the forms that TEI takes, the empty text among them."""
    vectors = np.array(ask(client, inputs=inputs).json(), np.float32)

    assert np.array_equal(minilm.encode(same), vectors)


def test_numbers_are_those_of_our_own_route(client: httpx.Client) -> None:
    """The same text of every number, whichever route tells it."""
    ours = client.post("/v1/embeddings", json={"input": "same", "dimensions": 5}).text
    theirs = ask(client, inputs="same", dimensions=5).text

    assert theirs.strip("[]") in ours


def test_headers(client: httpx.Client) -> None:
    """What a request has cost, in whole milliseconds and tokens, and our own headers."""
    headers = ask(client, inputs=TEXTS).headers

    assert ("cpu", "11") == (headers["x-compute-type"], headers["x-compute-tokens"])
    for stage in ("compute", "total", "tokenization", "queue", "inference"):
        assert headers[f"x-{stage}-time"].isdigit()
    assert headers["x-request-id"]
    assert headers["server-timing"].startswith("tokenize;dur=")


def test_info(client: httpx.Client) -> None:
    info = client.get("/info").json()

    assert (MINILM, f"sentence-transformers/{MINILM}") == (info["served_model_name"], info["model_id"])
    assert {"embedding": {"pooling": "mean"}} == info["model_type"]
    assert (256, 2048, True) == (
        info["max_input_length"],
        info["max_client_batch_size"],
        info["auto_truncate"],
    )
    assert {
        "model_sha", "model_dtype", "max_concurrent_requests", "max_batch_tokens", "max_batch_requests",
        "tokenization_workers", "version", "sha", "docker_label",
    } < set(info)  # fmt: skip


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        pytest.param({}, "missing required field `inputs`", id="no-inputs"),
        pytest.param({"inputs": []}, "empty list", id="empty-list"),
        pytest.param({"inputs": [["a"]]}, "Expected `int`, got `str`", id="pair"),
        pytest.param({"inputs": ["a", [101]]}, "Expected `str`, got `array`", id="mixed"),
        pytest.param({"inputs": ["x"] * 2049}, "at most 2048 are taken", id="too-many"),
        pytest.param(
            {"inputs": "word " * 300, "truncate": False}, "maximum context length is 256", id="too-long"
        ),
        pytest.param({"inputs": "x", "dimensions": 385}, "1 to 384", id="dimensions"),
        pytest.param({"inputs": "x", "truncation_direction": "Up"}, "one of Left, Right", id="direction"),
    ],
)
def test_errors(client: httpx.Client, body: dict[str, object], sentence: str) -> None:
    """TEI's shape and status, our sentence."""
    answer = ask(client, **body)

    assert {"error", "error_type"} == set(answer.json())
    assert (422, "Validation") == (answer.status_code, answer.json()["error_type"])
    assert sentence in answer.json()["error"]


def test_left_is_taken_where_nothing_is_cut(client: httpx.Client) -> None:
    assert 200 == ask(client, inputs="x", truncation_direction="Left", truncate=False).status_code


def test_what_is_not_here_is_a_404(client: httpx.Client) -> None:
    assert "there is no route" in ask(client, "/decode", inputs="x").json()["error"]["message"]


def test_what_no_model_here_does(client: httpx.Client) -> None:
    for path, task in (("/embed_all", "embed_tokens"), ("/embed_sparse", "embed_sparse")):
        answer = ask(client, path, inputs="x")
        assert 422 == answer.status_code
        assert f"no model that is served here does {task}" in answer.json()["error"]


def test_the_root_tells_its_methods(client: httpx.Client) -> None:
    """The page and text-embeddings-inference share a path."""
    options = client.options("/")

    assert (204, "GET, HEAD, OPTIONS, POST") == (options.status_code, options.headers["allow"])
    assert 405 == client.delete("/").status_code


def test_similarity(server: Server, minilm: Model) -> None:
    """Cosines in the order of the sentences, to Hugging Face's own client."""
    source, others = minilm.encode("a small dog"), minilm.encode(["a puppy", "", "a tax form"])

    cosines = InferenceClient(model=f"{server.url}/similarity").sentence_similarity(
        "a small dog", ["a puppy", "", "a tax form"]
    )

    assert np.allclose(others @ source, cosines, atol=1e-6)
    assert cosines[0] > cosines[2]


def test_parameters_of_similarity(client: httpx.Client) -> None:
    """They are those of texts, in TEI's and in other words; what is wrong is refused in TEI's shape."""
    inputs = {"source_sentence": "first " * 300 + "end", "sentences": ["end", "first " * 253 + "end"]}

    remaining = ask(client, "/similarity", inputs=inputs, parameters={"truncation_direction": "left"}).json()
    right = ask(client, "/similarity", inputs=inputs, parameters=None).json()

    assert np.isclose(1, remaining[1])
    assert right[1] < remaining[1]
    for body, sentence in {
        "truncate": ({"parameters": {"truncate": False}}, "maximum context length is 256 tokens"),
        "prompt": ({"parameters": {"prompt_name": "nope"}}, "prompt_name 'nope' is unknown"),
        "none": ({"inputs": {"source_sentence": "x", "sentences": []}}, "at least one text"),
        "texts": ({"inputs": ["x"]}, "Expected `object`"),
    }.values():
        refused = ask(client, "/similarity", **{"inputs": inputs, **body})
        assert (422, "Validation") == (refused.status_code, refused.json()["error_type"])
        assert sentence in refused.json()["error"]


def test_tokenize(client: httpx.Client) -> None:
    """The shape of its answer: special tokens come from nowhere, others from some bytes of the text."""
    (one, empty) = ask(client, "/tokenize", inputs=["Größe 😀 [SEP]", ""]).json()

    special = {"start": None, "stop": None, "special": True}
    assert {"id": 101, "text": "[CLS]", **special} == one[0]
    assert {"id": 102, "text": "[SEP]", **special} == one[-1]
    assert ["[CLS]", "[SEP]"] == [token["text"] for token in empty]
    text = "Größe 😀 [SEP]".encode()
    for token in one[1:-1]:
        assert not token["special"]
        assert token["text"] == text[token["start"] : token["stop"]].decode()
    ours = client.post("/tokenize", json={"input": "Größe 😀 [SEP]"}).json()["data"][0]["ids"]
    assert ours == [token["id"] for token in one]


def test_tokenize_without_special_tokens_and_without_a_cut(client: httpx.Client) -> None:
    (bare,) = ask(client, "/tokenize", inputs="hello world", add_special_tokens=False).json()
    (long,) = ask(client, "/tokenize", inputs="word " * 400).json()

    assert [("hello", 0, 5), ("world", 6, 11)] == [(t["text"], t["start"], t["stop"]) for t in bare]
    assert 402 == len(long)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        pytest.param({}, "missing required field `input`", id="neither"),
        pytest.param({"input": "a", "inputs": "a"}, "input and inputs are both there", id="both"),
        pytest.param({"inputs": [1, 2]}, "inputs is token ids; send texts", id="ids"),
        pytest.param({"inputs": []}, "inputs is an empty list", id="none"),
        pytest.param({"inputs": 5}, "inputs is of the wrong type", id="number"),
        pytest.param({"inputs": ["a", 5]}, "at `$.inputs[1]`", id="mixed"),
        pytest.param({"inputs": None}, "missing required field `input`", id="null"),
        pytest.param({"inputs": None, "input": 5}, "input is of the wrong type", id="null-and-number"),
        pytest.param({"texts": ["a"]}, "send the texts as input", id="texts"),
    ],
)
def test_tokenize_refuses(client: httpx.Client, body: dict[str, object], sentence: str) -> None:
    answer = ask(client, "/tokenize", **body)

    assert 400 == answer.status_code
    assert sentence in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/embed", "/"])
def test_parameters(client: httpx.Client, minilm: Model, path: str) -> None:
    """Where Hugging Face's own servers take them, they mean what they do beside the inputs."""
    raw = ask(client, path, inputs=TEXTS, parameters={"normalize": False}).json()
    cut = ask(
        client, path, inputs=TEXTS, parameters={"dimensions": 3}, options={"wait_for_model": True}
    ).json()
    refused = ask(client, path, inputs="word " * 300, parameters={"truncate": False})

    assert np.array_equal(minilm.encode(TEXTS, normalize=False), np.array(raw, np.float32))
    assert np.array_equal(minilm.encode(TEXTS, dimensions=3), np.array(cut, np.float32))
    assert (422, True) == (refused.status_code, "maximum context length is 256" in refused.json()["error"])
    assert 422 == ask(client, path, inputs="a", parameters=["normalize"]).status_code


def test_another_model(client: httpx.Client, small: Model) -> None:
    """A model that a request names is the one that answers; one that is not served is refused."""
    vectors = ask(client, inputs=TEXTS, model=SMALL).json()

    assert np.array_equal(small.encode(TEXTS), np.array(vectors, np.float32))
    refused = ask(client, inputs=TEXTS, model="nope")
    assert (404, {"error", "error_type"}) == (refused.status_code, set(refused.json()))


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        pytest.param({"inputs": [["a"]]}, "- at `$.inputs[0][0]`", id="type"),
        pytest.param({"inputs": 5}, "inputs is of the wrong type", id="number"),
        pytest.param({"inputs": []}, "inputs is an empty list", id="empty-list"),
        pytest.param({"inputs": [[]]}, "inputs[0] is empty", id="empty"),
        pytest.param({"inputs": ["x"] * 2049}, "inputs has 2049 items", id="too-many"),
        pytest.param({"inputs": [1, 2]}, "inputs[0] lacks the special tokens", id="foreign-ids"),
        pytest.param(
            {"input": "x"}, "input is not a field of this route; send the texts as inputs", id="input"
        ),
        pytest.param({"inputs": {"source_sentence": "a", "sentences": ["b"]}}, "POST /similarity", id="pair"),
        pytest.param({"inputs": {"sentences": ["b"]}}, "inputs is an object with sentences", id="half"),
        pytest.param({"inputs": "x", "prompt_name": ""}, "send one of them, or leave it out", id="no-prompt"),
    ],
)
@pytest.mark.parametrize("path", ["/embed", "/"])
def test_errors_name_the_field(
    client: httpx.Client, path: str, body: dict[str, object], sentence: str
) -> None:
    """It is ``inputs`` on these routes, whatever ours is called."""
    answer = ask(client, path, **body)

    assert (422, True) == (answer.status_code, sentence in answer.json()["error"]), answer.text


@pytest.mark.parametrize("nested", [True, False], ids=["parameters", "beside"])
def test_options_of_similarity(client: httpx.Client, minilm: Model, nested: bool) -> None:
    """Also where they are not nested; the cosines are those of the vectors that are asked for."""
    inputs = {"source_sentence": "Hello", "sentences": TEXTS}
    fields = {"dimensions": 5, "prompt": "a: "}
    expected = minilm.encode(["Hello", *TEXTS], dimensions=5, prompt="a: ")

    cosines = ask(
        client, "/similarity", inputs=inputs, **({"parameters": fields} if nested else fields)
    ).json()

    assert np.allclose(expected[1:] @ expected[0], cosines, atol=1e-6)
    for wrong in ({"truncat": True}, {"prompt_name": "nope"}, {"output_dtype": "int8"}):
        body = {"parameters": wrong} if nested else wrong
        assert 422 == ask(client, "/similarity", inputs=inputs, **body).status_code
    assert 422 == ask(client, "/similarity", inputs=inputs | {"truncate": True}).status_code
