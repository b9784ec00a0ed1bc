"""Every name that a client may use, and what each of them means."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import openai
import pytest
from harness import MINILM, SMALL, WEB, Server

from embed_onnx.artifact import manifest
from embed_onnx.errors import ModelNotFound
from embed_onnx.models import registry
from embed_onnx.models.catalog import Catalog
from embed_onnx.models.registry import Registry
from embed_onnx.settings import Settings

TAGGED = "nomic-embed-text:v1.5"


@pytest.fixture
def listed(home: Path, tmp_path: Path) -> Iterator[Callable[..., Catalog]]:
    """The catalog of a models.txt of the test's own, in which the small model may have other prompts."""
    opened = []

    def read(*lines: str, prompts: dict[str, str] | None = None) -> Catalog:
        artifacts = home / "artifacts"
        if prompts is not None:
            artifacts = tmp_path / "artifacts"
            for name in (MINILM, SMALL):
                artifacts.mkdir(exist_ok=True)
                (artifacts / name).mkdir()
                for path in (home / "artifacts" / name).iterdir():
                    (artifacts / name / path.name).hardlink_to(path)
            described = manifest.read(artifacts / SMALL)
            (artifacts / SMALL / manifest.MANIFEST).unlink()
            manifest.write(msgspec.structs.replace(described, prompts=prompts), artifacts / SMALL)
        (tmp_path / "models.txt").write_text("\n".join(lines))
        settings = Settings(models=tmp_path / "models.txt", artifacts=artifacts, threads=1)
        opened.append(Registry(registry.entries_to_serve(settings), settings))
        return opened[-1].catalog

    yield read
    for each in opened:
        each.close()


def meaning(catalog: Catalog, name: str) -> tuple[str, str | None] | None:
    """The served model and the prompt of a name; None: it is not served."""
    try:
        match = catalog.find(name)
    except ModelNotFound:
        return None
    return match.served, match.prompt_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param(SMALL, (SMALL, None), id="name"),
        pytest.param(f"{SMALL}:latest", (SMALL, None), id="latest"),
        pytest.param("team/tiny:latest", (SMALL, None), id="alias-latest"),
        pytest.param(f"sentence-transformers/{MINILM}:latest", (MINILM, None), id="repository-latest"),
        pytest.param(f"{SMALL}:latest:query", (SMALL, "query"), id="latest-and-prompt"),
        pytest.param(f"{SMALL}:query:latest", (SMALL, "query"), id="prompt-and-latest"),
        pytest.param(TAGGED, (SMALL, None), id="tag"),
        pytest.param(f"{TAGGED}:query", (SMALL, "query"), id="tag-and-prompt"),
        pytest.param(f"{TAGGED}:latest", (SMALL, None), id="tag-and-latest"),
        pytest.param("nomic-embed-text", None, id="no-tag"),
        pytest.param("nomic-embed-text:latest", None, id="another-tag"),
        pytest.param(f"{SMALL}:v1.5", None, id="no-such-prompt"),
        pytest.param(f"{SMALL}:LATEST", None, id="upper-case"),
        pytest.param("latest", None, id="only-the-word"),
        pytest.param(":latest", None, id="only-the-tag"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_what_a_name_means(
    listed: Callable[..., Catalog], name: str, expected: tuple[str, str | None] | None
) -> None:
    catalog = listed(MINILM, f"./checkpoint name={SMALL} alias=team/tiny,{TAGGED}")

    assert expected == meaning(catalog, name)


def test_an_alias_called_latest_is_another_model(listed: Callable[..., Catalog]) -> None:
    """A name that stands in models.txt is that, whatever ``:latest`` may mean elsewhere."""
    catalog = listed(f"{MINILM} alias={SMALL}:latest", f"./checkpoint name={SMALL}")

    assert (SMALL, None) == meaning(catalog, SMALL)
    assert (MINILM, None) == meaning(catalog, f"{SMALL}:latest")
    assert (MINILM, "query") == meaning(catalog, f"{SMALL}:latest:query")


def test_a_prompt_called_latest_is_a_prompt(listed: Callable[..., Catalog]) -> None:
    catalog = listed(
        MINILM, f"./checkpoint name={SMALL}", prompts={"latest": "as of now: ", "document": "text: "}
    )

    assert (SMALL, "latest") == meaning(catalog, f"{SMALL}:latest")
    assert (SMALL, "latest") == meaning(catalog, f"{SMALL}:latest:latest")
    assert (MINILM, None) == meaning(catalog, f"{MINILM}:latest")


def test_an_alias_that_hides_a_prompt_is_logged(
    listed: Callable[..., Catalog], caplog: pytest.LogCaptureFixture
) -> None:
    """The alias counts, as it was written down; and the log says what it hides."""
    with caplog.at_level(logging.WARNING):
        plain = listed(MINILM, f"./checkpoint name={SMALL} alias={TAGGED}")
    quiet = caplog.text
    with caplog.at_level(logging.WARNING):
        hiding = listed(f"{MINILM} alias={SMALL}:query", f"./checkpoint name={SMALL}")

    assert (SMALL, "query") == meaning(plain, f"{SMALL}:query")
    assert (MINILM, None) == meaning(hiding, f"{SMALL}:query")
    assert "" == quiet
    assert f"does not mean the prompt 'query' of {SMALL}" in caplog.text


def test_an_entry_a_name(listed: Callable[..., Catalog]) -> None:
    """Models in their order, then aliases and repositories; each once."""
    catalog = listed(f"{MINILM} alias=one", f"./checkpoint name={SMALL} alias=team/tiny,{TAGGED}")

    assert [
        (MINILM, MINILM),
        (SMALL, SMALL),
        ("one", MINILM),
        ("team/tiny", SMALL),
        (TAGGED, SMALL),
        (f"sentence-transformers/{MINILM}", MINILM),
    ] == [(match.name, match.served) for match in catalog.entries()]


# Over HTTP
@pytest.mark.parametrize("name", [SMALL, f"{SMALL}:latest", "team/tiny:latest", f"{SMALL}:latest:document"])
def test_every_route_takes_every_name(server: Server, name: str) -> None:
    bodies = {
        "/v1/embeddings": {"input": "x"},
        "/embeddings": {"input": "x"},
        "/tokenize": {"input": "x"},
        "/api/embed": {"input": "x"},
        "/api/embeddings": {"prompt": "x"},
        "/api/show": {},
        "/api/pull": {"stream": False},
    }
    answers = {
        path: WEB.post(server.url + path, json={"model": name, **body}) for path, body in bodies.items()
    }
    cards = [WEB.get(f"{server.url}{base}/models/{name}") for base in ("/v1", "")]

    assert dict.fromkeys(bodies, 200) == {path: answer.status_code for path, answer in answers.items()}
    assert [SMALL] * 2 == [card.json()["root"] for card in cards]
    plain = WEB.post(f"{server.url}/v1/embeddings", json={"model": SMALL, "input": "x"}).json()
    assert plain["data"] == answers["/v1/embeddings"].json()["data"]


def test_the_list_has_an_entry_a_name(server: Server) -> None:
    """An alias is described as its model is, under its own name, and every name that is listed is served."""
    cards = WEB.get(f"{server.url}/v1/models").json()["data"]
    by_id = {card["id"]: card for card in cards}
    names = [MINILM, SMALL, "text-embedding-3-small", "team/tiny", f"sentence-transformers/{MINILM}"]

    assert names == [card["id"] for card in cards]
    assert [MINILM, SMALL, MINILM, SMALL, MINILM] == [card["root"] for card in cards]
    assert by_id[SMALL] | {"id": "team/tiny"} == by_id["team/tiny"]
    assert ["team/tiny"] == by_id[SMALL]["aliases"]
    for name in names:
        assert by_id[name] == WEB.get(f"{server.url}/v1/models/{name}").json()
        assert 200 == WEB.post(f"{server.url}/v1/embeddings", json={"model": name, "input": "x"}).status_code


@pytest.mark.parametrize("base", ["", "/v1"])
def test_openai_clients_list_models_at_either_url(server: Server, base: str) -> None:
    """``/models`` is the list for them, and a page that a cache must not give to others."""
    with openai.OpenAI(base_url=server.url + base, api_key="unused") as client:
        listed = [model.id for model in client.models.list()]
        one = client.models.retrieve("team/tiny")

    assert [MINILM, SMALL, "text-embedding-3-small", "team/tiny"] == listed[:4]
    assert ("team/tiny", SMALL) == (one.id, one.model_extra["root"])


@pytest.mark.parametrize(
    ("headers", "is_list"),
    [
        pytest.param({}, False, id="httpx"),
        pytest.param({"user-agent": "curl/8.5.0", "accept": "*/*"}, False, id="curl"),
        pytest.param({"user-agent": "Mozilla/5.0", "x-stainless-lang": "js"}, True, id="openai-in-a-browser"),
        pytest.param({"user-agent": "AsyncOpenAI/Python 1.3.0"}, True, id="openai-python"),
        pytest.param({"user-agent": "OpenAI/2.1.0 (.NET 8.0.2; Linux)"}, True, id="openai-dotnet"),
        pytest.param({"user-agent": "OpenAI/v1 PythonBindings/0.28.1"}, True, id="openai-python-0"),
        pytest.param({"user-agent": "OpenAIsomething"}, False, id="another"),
    ],
)
def test_who_gets_the_simple_form(server: Server, headers: dict[str, str], is_list: bool) -> None:
    answer = WEB.get(f"{server.url}/models", headers=headers)

    assert is_list == isinstance(answer.json()["data"], list)
    assert "x-stainless-lang, user-agent" == answer.headers["vary"]
    if not is_list:
        assert {MINILM: {"dim": 384}, SMALL: {"dim": 32}} == answer.json()["data"]["models"]
        assert {"data", "generated", "id"} == set(answer.json())
