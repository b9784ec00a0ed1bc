"""API keys: the file, the commands that write it, and what a server with keys lets whom do."""

import asyncio
import contextlib
import hashlib
import json
import os
import re
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from harness import MINILM, SMALL, START_SECONDS, Server, run
from litestar import Litestar, Request, get
from litestar.datastructures import State

from embed_onnx.errors import SetupError
from embed_onnx.http import keys, operations
from embed_onnx.http.access import require_admin, require_key
from embed_onnx.http.app import compose
from embed_onnx.http.keys import Key, Keys
from embed_onnx.http.record import current_record
from embed_onnx.models import registry
from embed_onnx.settings import Settings

A, B = "a" * 64, "b" * 64
"""Digests."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a key file will be."""
    return tmp_path / "keys.txt"


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def refusal(attempt: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    with pytest.raises(SetupError) as caught:
        attempt(*arguments, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(f"a sha256:{A}\nb sha256:{B}\n", [("a", False), ("b", False)], id="one-a-line"),
        pytest.param(f"a sha256:{A} admin", [("a", True)], id="admin-and-no-line-end"),
        pytest.param(f"# ours\r\n\r\n \ta  sha256:{A}\t# his\r\n", [("a", False)], id="comments-and-spaces"),
        pytest.param(f"a sha256:{A} # admin\n", [("a", False)], id="admin-in-a-comment"),
        pytest.param(f"\ufeffTeam.A_1-b sha256:{A.upper()}", [("Team.A_1-b", False)], id="mark-and-capitals"),
        pytest.param("# none yet\n", [], id="no-key"),
    ],
)
def test_a_file_has_a_key_a_line(path: Path, text: str, expected: list[tuple[str, bool]]) -> None:
    actual = keys.read(write(path, text))

    assert expected == [(key.name, key.admin) for key in actual]
    assert all(key.digest in (bytes.fromhex(A), bytes.fromhex(B)) for key in actual)


SECRET = keys.PREFIX + "mJ3vW-kUq0m1yYp2l4Hc9_ZtXr8sQnB7aEoGdVfKiTw"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        pytest.param(SECRET, "embed-onnx key new NAME --file", id="plain-key"),
        pytest.param("some plain secret", "embed-onnx key new NAME --file", id="plain-words"),
        pytest.param(f"b {SECRET}", "embed-onnx key new NAME --file", id="plain-key-with-a-name"),
        pytest.param(f"b sha256:{B[1:]}", "is not sha256: and 64 hex digits", id="short-hash"),
        pytest.param(f"b sha256:{B}0", "is not sha256: and 64 hex digits", id="long-hash"),
        pytest.param(f"b sha256:{'x' * 64}", "is not sha256: and 64 hex digits", id="no-hex"),
        pytest.param(f"b {B}", "is not sha256: and 64 hex digits", id="no-kind-of-hash"),
        pytest.param(f"b md5:{B[:32]}", "is not sha256: and 64 hex digits", id="other-hash"),
        pytest.param(f"{SECRET} sha256:{B}", "does not begin with eo_", id="key-as-name"),
        pytest.param(f"é sha256:{B}", "up to 64 letters", id="letter-outside-ascii"),
        pytest.param(f"{'n' * 65} sha256:{B}", "up to 64 letters", id="long-name"),
        pytest.param(f"b sha256:{B} root", "the word admin and nothing else", id="unknown-word"),
        pytest.param(f"b sha256:{B} admin admin", "the word admin and nothing else", id="too-many-words"),
        pytest.param(f"a sha256:{B}", "the same name as in line 1; remove one", id="name-twice"),
        pytest.param(f"b sha256:{A} admin", "the same key as in line 1; remove one", id="key-twice"),
    ],
)
def test_a_wrong_line_is_named_and_not_repeated(path: Path, line: str, reason: str) -> None:
    """The sentence says where and what to do, and shows nothing of a line that may be a key."""
    sentence = refusal(keys.read, write(path, f"a sha256:{A}\n\n{line}\n"))

    assert sentence.startswith(f"{path}, line 3: ")
    assert reason in sentence
    assert not any(word in sentence for word in line.split() if len(word) > 6)


@pytest.mark.parametrize("text", ["", "\n \n", "# no key yet\n"], ids=["empty", "blank", "comment"])
def test_a_file_without_a_key_does_not_open_the_server_to_all(path: Path, text: str) -> None:
    """Not even where keys are given otherwise: the file was meant to hold some."""
    settings = Settings(api_keys=("a",), api_keys_file=write(path, text))

    expected = f"{path} holds no key; make one with `embed-onnx key new NAME --file {path}`"
    assert expected == refusal(keys.load, settings)


@pytest.mark.parametrize("content", [None, b"\xff"], ids=["missing", "not-utf8"])
def test_a_file_that_cannot_be_read(path: Path, content: bytes | None) -> None:
    if content is not None:
        path.write_bytes(content)

    assert refusal(keys.read, path).startswith(f"the key file {path} ")


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_refused(path: Path, mode: int) -> None:
    """Anyone who can write to it can add a key, as an admin too."""
    sentence = refusal(keys.read, write(path, f"a sha256:{A}\n", mode))

    assert f"(mode {mode:04o})" in sentence
    assert sentence.endswith(f"run `chmod go-w {path}`")


@pytest.mark.parametrize(("mode", "warned"), [(0o644, True), (0o640, False), (0o400, False)])
def test_a_file_that_everybody_can_read_is_warned_of(
    path: Path, mode: int, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Hashes open no door, so that a warning will do; a group may be meant to read them."""
    keys.read(write(path, f"a sha256:{A}\n", mode))

    assert warned == (f"everybody can read the key file {path} (mode 0644); run `chmod o-r" in caplog.text)


def test_plain_keys_of_the_setting_have_numbers_and_no_rights(path: Path) -> None:
    """They are joined by those of the file."""
    key = keys.add(path, "boss", admin=True)

    actual = keys.load(Settings(api_keys=("one", "zwölf"), api_keys_file=path))

    named = [actual.find(value) for value in ("one", "zwölf", key, "three", "")]
    assert [("key-1", False), ("key-2", False), ("boss", True), None, None] == [
        key and (key.name, key.admin) for key in named
    ]
    assert (3, True) == (len(actual), actual.has_admin)


def test_a_name_of_the_file_that_a_plain_key_has(path: Path) -> None:
    settings = Settings(api_keys=("one",), api_keys_file=write(path, f"key-1 sha256:{A}\n"))

    assert "names a key 'key-1'" in refusal(keys.load, settings)


def test_without_keys_there_is_nobody_to_find() -> None:
    actual = keys.load(Settings())

    assert (0, False, None) == (len(actual), actual.has_admin, actual.find(""))


@pytest.mark.parametrize("value", ["first", "last", "none"])
def test_every_key_is_compared_in_constant_time(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the key stands, all digests are compared, by the function that is made for it."""
    compared: list[tuple[bytes, bytes]] = []
    real = keys.hmac.compare_digest

    def watched(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return real(one, other)

    digests = [hashlib.sha256(name.encode()).digest() for name in ("first", "second", "last")]
    monkeypatch.setattr(keys.hmac, "compare_digest", watched)

    actual = Keys(Key(f"k{place}", digest) for place, digest in enumerate(digests)).find(value)

    assert {"first": "k0", "last": "k2"}.get(value) == (actual and actual.name)
    assert [(hashlib.sha256(value.encode()).digest(), digest) for digest in digests] == compared


def test_key_new_prints_the_key_once_and_stores_its_hash(path: Path, tmp_path: Path) -> None:
    """What is on standard output opens the door; what is in the file does not."""
    done = run("key", "new", "alice", "--file", str(path), cwd=tmp_path)
    boss = run("key", "new", "boss", "--admin", "--file", str(path), cwd=tmp_path)

    key = done.stdout.strip()
    assert (0, 0, "", "") == (done.returncode, boss.returncode, done.stderr, boss.stderr)
    assert re.fullmatch(r"eo_[A-Za-z0-9_-]{43}", key)
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert [path] == list(tmp_path.iterdir())
    assert key not in path.read_text()
    assert key[len(keys.PREFIX) :] not in path.read_text()
    assert hashlib.sha256(key.encode()).hexdigest() in path.read_text()
    actual = keys.load(Settings(api_keys_file=path))
    names = [actual.find(value) for value in (key, boss.stdout.strip(), path.read_text().split()[1])]
    assert [("alice", False), ("boss", True), None] == [one and (one.name, one.admin) for one in names]


def test_key_list_and_remove(path: Path, tmp_path: Path) -> None:
    """The file is found by the server's own variable; comments and other keys stay as they are."""
    write(path, f"# ours\na sha256:{A}  # his\nab sha256:{B} admin")
    environment = {"EMBED_ONNX_API_KEYS_FILE": str(path)}

    listed = run("key", "list", cwd=tmp_path, environment=environment)
    removed = run("key", "remove", "a", cwd=tmp_path, environment=environment)
    again = run("key", "remove", "a", cwd=tmp_path, environment=environment)

    assert "a\nab admin\n" == listed.stdout
    assert (0, f"# ours\nab sha256:{B} admin") == (removed.returncode, path.read_text())
    assert (1, f"embed-onnx: {path} has no key 'a'; it has ab\n") == (again.returncode, again.stderr)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("a", "has a key 'a'; choose another name, or remove it with", id="taken"),
        pytest.param("", "'' cannot name a key; a name is up to 64", id="empty"),
        pytest.param("two words", "cannot name a key", id="space"),
        pytest.param("a#b", "cannot name a key", id="comment"),
        pytest.param("a\nb", "cannot name a key", id="line-end"),
        pytest.param("eo_a", "does not begin with eo_", id="prefix"),
    ],
)
def test_a_name_that_is_taken_or_malformed(path: Path, name: str, reason: str) -> None:
    """Nothing is written then."""
    write(path, f"a sha256:{A}\n")

    assert reason in refusal(keys.add, path, name)
    assert f"a sha256:{A}\n" == path.read_text()


def test_a_key_is_not_added_to_a_file_that_is_wrong(path: Path) -> None:
    write(path, f"a sha256:{A}\nplain\n")

    assert f"{path}, line 2: " in refusal(keys.add, path, "b")
    assert f"a sha256:{A}\nplain\n" == path.read_text()


def test_a_key_file_in_a_folder_that_is_absent(tmp_path: Path) -> None:
    sentence = refusal(keys.add, tmp_path / "none" / "keys", "a")

    assert f"{tmp_path / 'none' / 'keys'} cannot be written: No such file or directory; " in sentence


def test_a_key_file_whose_links_go_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "keys").symlink_to("keys")

    sentence = refusal(keys.add, tmp_path / "keys", "a")

    assert "Too many levels of symbolic links" in sentence
    assert (tmp_path / "keys").is_symlink()


def test_a_failed_write_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk costs no key, and leaves nothing beside the file."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    write(path, f"a sha256:{A}\n")
    monkeypatch.setattr(os, "fsync", full)

    assert "cannot be written: No space left on device" in refusal(keys.add, path, "b")
    assert f"a sha256:{A}\n" == path.read_text()
    assert [path] == list(path.parent.iterdir())


def test_a_file_keeps_its_mode_its_last_line_and_its_link(path: Path, tmp_path: Path) -> None:
    """A server that reads the file through a group or a link goes on reading it."""
    write(path, f"a sha256:{A}", mode=0o640)
    (tmp_path / "link").symlink_to(path)

    keys.add(tmp_path / "link", "b")

    assert (tmp_path / "link").is_symlink()
    assert 0o640 == stat.S_IMODE(path.stat().st_mode)
    assert ["a", "b"] == [key.name for key in keys.read(path)]


def test_keys_that_are_made_at_the_same_time_are_all_kept(path: Path) -> None:
    names = [f"k{number}" for number in range(16)]
    threads = [threading.Thread(target=keys.add, args=(path, name)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(names) == sorted(key.name for key in keys.read(path))


PLAIN = "plain-key-of-the-setting"
WRONG = keys.PREFIX + "w" * 43


@pytest.fixture
def key_by_name(path: Path) -> dict[str, str]:
    """A key of each kind, by name."""
    return {"alice": keys.add(path, "alice"), "boss": keys.add(path, "boss", admin=True), "key-1": PLAIN}


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


GUARDED = [
    ("POST", "/v1/embeddings"),
    ("POST", "/embeddings"),
    ("POST", "/tokenize"),
    ("GET", "/v1/models"),
    ("GET", f"/v1/models/{SMALL}"),
    ("GET", "/models"),
]
OPEN = ["/health", "/ready", "/metrics", "/docs", "/openapi.json"]


def test_a_server_with_keys(path: Path, key_by_name: dict[str, str], serve: Callable[..., Server]) -> None:
    """Every route but probes, metrics and docs asks for a key. The log names it; nothing ever tells it."""
    server = serve("--api-keys-file", str(path), "--log-format", "json", EMBED_ONNX_API_KEYS=PLAIN)
    answers: list[httpx.Response] = []

    def status(method: str, route: str, headers: dict[Any, Any], content: bytes = b"") -> int:
        headers = headers | {"content-type": "application/json"}
        answers.append(client.request(method, route, content=content, headers=headers))
        return answers[-1].status_code

    with httpx.Client(base_url=server.url, timeout=START_SECONDS) as client:
        strange = {"authorization": "Bearer \xe9".encode("latin-1")}
        for method, route in GUARDED:
            refused = [
                {},
                bearer(WRONG),
                {"authorization": "Bearer"},
                strange,
                {"authorization": f"Basic {key_by_name['alice']}"},
            ]
            body = b'{"input": "a"}' if method == "POST" else b""
            assert [401] * 5 == [status(method, route, headers, body) for headers in refused]
            assert [200] * 3 == [status(method, route, bearer(key), body) for key in key_by_name.values()]
        assert 401 == status("POST", "/v1/embeddings", bearer(WRONG), b"no JSON")
        assert 400 == status("POST", "/v1/embeddings", bearer(key_by_name["alice"]), b"no JSON")
        assert [200] * 5 == [status("GET", route, bearer(key_by_name["boss"])) for route in OPEN]
    lines = [json.loads(line) for line in server.stop().splitlines()]

    log = json.dumps(lines) + "".join(f"{answer.text}{answer.headers}" for answer in answers)
    assert not any(key in log for key in (*key_by_name.values(), WRONG))
    by_key = {name: [line for line in lines if line.get("key") == name] for name in key_by_name}
    assert [len(GUARDED) + 1, len(GUARDED), len(GUARDED)] == [len(actual) for actual in by_key.values()]
    assert {"invalid_api_key"} == {a.json()["error"]["code"] for a in answers if a.status_code == 401}
    assert {"Bearer"} == {a.headers["www-authenticate"] for a in answers if a.status_code == 401}


def test_the_openai_client_with_keys_of_a_file(
    path: Path, key_by_name: dict[str, str], serve: Callable[..., Server]
) -> None:
    """Keys of ours are keys to the official client; a wrong one is its AuthenticationError."""
    server = serve("--api-keys-file", str(path))

    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=key_by_name["alice"]) as client:
        taken = client.embeddings.create(model=MINILM, input="x")
        with pytest.raises(openai.AuthenticationError) as refused:
            client.with_options(api_key=PLAIN).embeddings.create(model=MINILM, input="x")

    assert 384 == len(taken.data[0].embedding)
    assert "invalid_api_key" == refused.value.code
    assert PLAIN not in str(refused.value)


@get("/guarded", guards=[require_admin])
async def for_admins() -> operations.Status:
    """A route of administrators."""
    return operations.Status("done")


@get("/named", guards=[require_key])
async def name_of_key(request: Request[Any, Any, State]) -> str:
    """The name of the caller's key, as handlers see it."""
    return str(current_record(request.scope).key)


@pytest.fixture
def app_of(home: Path) -> Iterator[Callable[..., Litestar]]:
    """Apps with those two routes, of settings of the test's own; nothing is loaded."""
    with contextlib.ExitStack() as stack:

        def app(**settings: Any) -> Litestar:
            selection = Settings(
                models=home / "models.txt", artifacts=home / "artifacts", threads=1, **settings
            )
            service = compose(registry.entries_to_serve(selection), selection)
            stack.enter_context(service.registry)
            app = service.app
            for handler in (for_admins, name_of_key):
                app.register(handler)
            return app

        yield app


def ask(app: Litestar, route: str, key: str | None = None) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            return await client.get(route, headers=bearer(key) if key else {})

    return asyncio.run(send())


def test_admin_routes_are_for_admin_keys(
    path: Path, key_by_name: dict[str, str], app_of: Callable[..., Litestar]
) -> None:
    """401 without a key, 403 with one of a user, whatever file or setting it is from."""
    app = app_of(api_keys_file=path, api_keys=(PLAIN,))

    actual = {
        name: ask(app, "/guarded", key) for name, key in {**key_by_name, "wrong": WRONG, "no": None}.items()
    }

    assert {"alice": 403, "boss": 200, "key-1": 403, "wrong": 401, "no": 401} == {
        name: answer.status_code for name, answer in actual.items()
    }
    assert {
        "message": "this API key is not an admin's; ask the server's administrator for one that is",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    } == actual["alice"].json()["error"]


@pytest.mark.parametrize("plain", [(), (PLAIN,)], ids=["no-key", "plain-key"])
def test_without_an_admin_key_nobody_is_let_in(
    plain: tuple[str, ...], app_of: Callable[..., Litestar]
) -> None:
    """A server that asks nobody for a key has no open admin routes; the error says how to make a key."""
    answer = ask(app_of(api_keys=plain), "/guarded", PLAIN)

    assert 403 == answer.status_code
    assert "`embed-onnx key new NAME --admin --file FILE`" in answer.json()["error"]["message"]


def test_handlers_know_the_name_of_the_key(
    path: Path, key_by_name: dict[str, str], app_of: Callable[..., Litestar]
) -> None:
    assert "boss" == ask(app_of(api_keys_file=path), "/named", key_by_name["boss"]).text
    assert "" == ask(app_of(), "/named").text


def test_keys_are_taken_up_while_serving(
    path: Path, key_by_name: dict[str, str], app_of: Callable[..., Litestar]
) -> None:
    """What ``keys.load`` gives takes the place of ``app.state.api_keys``, for the very next request."""
    settings = Settings(api_keys_file=path)
    app = app_of(api_keys_file=path)
    keys.remove(path, "alice")
    new = keys.add(path, "carol")
    before = [ask(app, "/named", key).status_code for key in (key_by_name["alice"], new)]

    app.state.api_keys = keys.load(settings)

    assert [200, 401] == before
    assert [401, 200] == [ask(app, "/named", key).status_code for key in (key_by_name["alice"], new)]
