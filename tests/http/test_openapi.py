"""What /openapi.json says of every operation."""

from typing import Any

import httpx
import jsonschema
import pytest
from harness import MINILM, START_SECONDS, Server

ERRORS_OF_ALL = {"400", "405", "408", "429", "431", "500"}
TEI, OLLAMA = {"401", "422", "424"}, {"401"}
BRIDGED = {
    "/embed": TEI,
    "/embed_sparse": TEI,
    "/embed_all": TEI,
    "/similarity": TEI,
    "/info": TEI,
    "/predict": TEI,
    "/rerank": {"422", "424"},
    "/api/tags": OLLAMA,
    "/api/ps": OLLAMA,
    "/api/version": OLLAMA,
}
"""What other dialects answer besides; text-embeddings-inference has 422 and 424 for 400 and 500."""
TEI_PATHS = ("/embed", "/embed_sparse", "/embed_all", "/similarity", "/info", "/predict")
ABSENT = {path: {"500"} for path in TEI_PATHS}
SHAPES = {
    **dict.fromkeys(TEI_PATHS, "TeiError"),
    **dict.fromkeys(("/v2/rerank", "/v1/embed", "/v2/embed"), "CohereError"),
}
"""Of the errors of a path, where they are not OpenAI's."""


@pytest.fixture
def schema(client: httpx.Client) -> dict[str, Any]:
    return client.get("/openapi.json").json()


@pytest.fixture
def paths(client: httpx.Client) -> dict[str, dict[str, dict[str, dict[str, object]]]]:
    return client.get("/openapi.json").json()["paths"]


def test_every_operation_documents_its_errors(
    paths: dict[str, dict[str, dict[str, dict[str, object]]]],
) -> None:
    """Those that any request may meet, and each operation's own."""
    for path, operations in paths.items():
        for operation in operations.values():
            own = {"/ready": {"503"}, "/admin/reload": {"401", "403"}}.get(path, set())
            own |= {"401"} if "models" in path else set()
            own |= {"404"} if "{" in path else set()
            if "requestBody" in operation:
                own = {"401", "404", "413", "415", "429", "503"}
            own |= BRIDGED.get(path, set())
            expected = (ERRORS_OF_ALL | own) - ABSENT.get(path, set())
            assert expected == set(operation["responses"]) - {"200"}, path


def test_every_error_has_its_shape(server: Server, client: httpx.Client) -> None:
    """No operation documents a framework's own error; those of another dialect are that server's.

    Before a route is found, they are OpenAI's everywhere.
    """
    schema = httpx.get(f"{server.url}/openapi.json", timeout=START_SECONDS).json()
    for path, operations in schema["paths"].items():
        own = SHAPES.get(path, "ErrorResponse")
        own = "OllamaError" if path.startswith("/api/") else own
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if status != "200":
                    content = response["content"]["application/json"]["schema"]
                    routed = (
                        status != "431"
                        and (status != "405" or own == "OllamaError")
                        and (own, status) != ("TeiError", "400")
                    )
                    expected = own if routed else "ErrorResponse"
                    if (path, status) in (("/rerank", "422"), ("/rerank", "424")):
                        expected = "TeiError"  # of its form of a request
                    if (path, status) in (("/rerank", "404"), ("/rerank", "429"), ("/rerank", "503")):
                        expected = "ErrorResponse", "TeiError"  # of either form
                        references = {each["$ref"] for each in content["oneOf"]}
                        assert {f"#/components/schemas/{name}" for name in expected} == references
                        continue
                    assert {"$ref": f"#/components/schemas/{expected}"} == content, (path, status)


def test_operations_are_named_by_method_and_path(schema: dict[str, Any]) -> None:
    """So that a generated client stays the same; each has a summary and a description."""
    operations = {
        operation["operationId"]: operation
        for path in schema["paths"].values()
        for operation in path.values()
    }

    assert {"post_v1_embeddings", "get_v1_models_model_id", "post_v2_rerank"} < set(operations)
    assert sum(map(len, schema["paths"].values())) == len(operations)
    assert all(operation["summary"] and operation["description"] for operation in operations.values())


def test_every_answer_has_its_headers(schema: dict[str, Any]) -> None:
    responses = schema["paths"]["/v1/embeddings"]["post"]["responses"]

    assert all("x-request-id" in response["headers"] for response in responses.values())
    assert all("retry-after" in responses[status]["headers"] for status in ("429", "503"))


def test_every_field_is_described(schema: dict[str, Any]) -> None:
    """Of requests, answers and errors, on every wire."""
    schemas = schema["components"]["schemas"]

    assert {"EmbeddingRequest", "ModelCard", "Result", "TeiRequest", "Tag", "CohereError"} < set(schemas)
    assert [] == [
        f"{name}.{field}"
        for name in sorted(schemas)
        for field, content in schemas[name].get("properties", {}).items()
        if "description" not in content and "$ref" not in content
    ]


def test_every_answer_has_an_example_that_its_schema_allows(schema: dict[str, Any]) -> None:
    """Of success and of every error; no error's status is another one's by mistake."""
    for path, operations in schema["paths"].items():
        for status, response in next(iter(operations.values()))["responses"].items():
            for content in response["content"].values():
                (example,) = content["examples"].values()
                whole = content["schema"] | {"components": schema["components"]}
                jsonschema.Draft202012Validator(whole).validate(example["value"])
                assert status == "200" or "message" in str(example) or "error" in example["value"], path


def test_examples_are_what_the_server_answers(client: httpx.Client, schema: dict[str, Any]) -> None:
    """The example of each request, sent: an answer of the same keys, and a list where the example has one."""
    compared = set()
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            fields = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            (body,) = fields.get("schema", {}).get("examples", [None])
            answer = client.request(method, path.replace("{model_id}", MINILM), json=body)
            if answer.headers["content-type"] != "application/json" or answer.status_code != 200:
                continue  # not served here: another kind of model, say
            if path == "/models":
                continue  # has the models' names as keys
            (example,) = operation["responses"]["200"]["content"]["application/json"]["examples"].values()
            assert form(example["value"]) == form(answer.json()), path
            compared.add(path)

    assert {
        "/v1/embeddings",
        "/v1/models",
        "/tokenize",
        "/embed",
        "/info",
        "/api/show",
        "/v2/embed",
    } < compared


def form(value: object) -> object:
    """Keys, and for a list that of its first item; the kind of model decides which fields are null."""
    if isinstance(value, dict):
        return {key: form(each) if isinstance(each, dict | list) else None for key, each in value.items()}
    if isinstance(value, list):
        return [form(each) for each in value[:1]]
    return None
