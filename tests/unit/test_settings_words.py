"""Words from files of variables and from Kubernetes: what has an effect, and what is refused at the start."""

from pathlib import Path

import pytest
from harness import run

from embed_onnx import setting_words, settings
from embed_onnx.errors import SetupError
from embed_onnx.settings import Settings

NAMES = [knob.name for knob in settings.knobs()]
LISTS = {"api_keys", "cors_origins", "model"}


def refused(**words: object) -> str:
    with pytest.raises(SetupError) as caught:
        setting_words.from_words(words)
    return str(caught.value)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        pytest.param("https://app.example/", "https://app.example", id="slash"),
        pytest.param("HTTPS://App.EXAMPLE", "https://app.example", id="upper-case"),
        pytest.param("https://app.example:443", "https://app.example", id="port-of-https"),
        pytest.param("http://app.example:80/", "http://app.example", id="port-of-http"),
        pytest.param("https://app.example:80", "https://app.example:80", id="another-port"),
        pytest.param("http://localhost:3000/", "http://localhost:3000", id="localhost"),
        pytest.param("http://[::1]:3000", "http://[::1]:3000", id="ipv6"),
        pytest.param("https://b\u00fccher.example", "https://xn--bcher-kva.example", id="not-ascii"),
        pytest.param("https://*.app.example/", "https://*.app.example", id="any-host-below"),
        pytest.param("http://localhost:*", "http://localhost:*", id="any-port"),
        pytest.param("chrome-extension://abcdef", "chrome-extension://abcdef", id="extension"),
        pytest.param(" * ", "*", id="any"),
        pytest.param("NULL", "null", id="files"),
    ],
)
def test_origins_are_as_browsers_send_them(word: str, expected: str) -> None:
    assert (expected,) == setting_words.from_words({"cors_origins": word}).cors_origins
    assert (expected,) == setting_words.from_words({"cors_origins": [word]}).cors_origins


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        pytest.param("app.example", "has no scheme; write https://app.example", id="no-scheme"),
        pytest.param("localhost:3000", "has no scheme; write https://localhost:3000", id="host-and-port"),
        pytest.param("https://app.example/page", "write https://app.example", id="path"),
        pytest.param("https://app.example?a=b", "has more than an origin", id="query"),
        pytest.param("https://me:secret@app.example", "is not an origin", id="user"),
        pytest.param("https://app.example https://b.example", "is not an origin", id="blank-between"),
        pytest.param("https://a.example:99999", "is not an origin", id="no-such-port"),
        pytest.param("http://[::1", "is not an origin", id="half-a-bracket"),
        pytest.param("https://", "is not an origin", id="no-host"),
        pytest.param('"*"', "has quotes", id="quotes"),
        pytest.param("'https://a.example','https://b.example'", "has quotes", id="quotes-around-each"),
        pytest.param('"https://a.example,https://b.example"', "has quotes", id="quotes-around-all"),
    ],
)
def test_what_cannot_be_an_origin_is_refused(word: str, sentence: str) -> None:
    """Rather than never be equal to what a browser sends."""
    assert sentence in refused(cors_origins=word)
    assert "--cors-origins" in refused(cors_origins=word)


@pytest.mark.parametrize("quote", ['"', "'"])
@pytest.mark.parametrize("name", NAMES)
def test_quotes_that_a_file_of_variables_keeps(name: str, quote: str) -> None:
    """Of any setting; a key is not repeated."""
    sentence = refused(**{name: f"{quote}8000{quote}"})

    assert f"--{name.replace('_', '-')}" in sentence
    assert "take them away" in sentence
    assert ("8000" in sentence) == (name not in LISTS)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in LISTS])
def test_blanks_around_a_word_are_not_part_of_it(name: str) -> None:
    is_flag = isinstance(getattr(Settings(), name), bool)
    words = {"empty_texts": "zero", "kernels": "off", "log_format": "json", "log_level": "debug"}
    words["long_texts"] = "mean"
    word = "false" if is_flag else words.get(name, "7")

    assert setting_words.from_words({name: word}) == setting_words.from_words({name: f" {word}\r\n"})


@pytest.mark.parametrize("name", [name for name in NAMES if name not in LISTS])
def test_a_blank_word_is_refused(name: str) -> None:
    """An empty host would be every address of the machine."""
    assert "is blank" in refused(**{name: " "})
    assert "is blank" in refused(**{name: ""})


@pytest.mark.parametrize("key", ["one two", "one\ntwo", "one\ttwo", "o\u00a0ne", "o\u200bne"])
def test_keys_that_no_client_can_send(key: str) -> None:
    sentence = refused(api_keys=f"good,{key}")

    assert "--api-keys: key 2 has a blank or a line end in it" in sentence
    assert key not in sentence


def test_keys_may_have_blanks_around_them() -> None:
    assert ("one", "zw\u00f6lf") == setting_words.from_words({"api_keys": " one ,\nzw\u00f6lf\r\n"}).api_keys


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("[::1]", "::1"),
        ("::1", "::1"),
        ("localhost", "localhost"),
        ("unix:/run/a.sock", "unix:/run/a.sock"),
        ("unix:///run/a.sock", "unix:/run/a.sock"),
        ("unix:a.sock", "unix:a.sock"),
    ],
)
def test_hosts(word: str, expected: str) -> None:
    assert expected == setting_words.from_words({"host": word}).host


def test_a_unix_socket_has_a_path() -> None:
    assert "has no path" in refused(host="unix:")


@pytest.mark.parametrize("word", ["tcp://10.0.0.1:8000", "udp://10.0.0.1:53", "tcp://[fd00::1]:8000"])
def test_the_port_of_a_service_of_kubernetes(word: str) -> None:
    sentence = refused(port=word)

    assert f"EMBED_ONNX_PORT is {word}, which Kubernetes sets for a Service named embed-onnx" in sentence
    assert "enableServiceLinks: false" in sentence


def test_the_port_of_a_service_ends_the_command(tmp_path: Path) -> None:
    done = run("serve", cwd=tmp_path, environment={"EMBED_ONNX_PORT": "tcp://10.0.0.1:8000"})

    assert 1 == done.returncode
    assert done.stderr.startswith("embed-onnx: EMBED_ONNX_PORT is tcp://10.0.0.1:8000, which Kubernetes sets")
    assert 1 == len(done.stderr.splitlines())


def test_what_kubernetes_sets_besides_is_not_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its variables are ignored; anything else of our prefix is named, with the setting that is near."""
    for name in (
        "SERVICE_HOST",
        "SERVICE_PORT",
        "SERVICE_PORT_HTTP",
        "PORT_8000_TCP",
        "PORT_8000_TCP_PROTO",
        "PORT_8000_TCP_PORT",
        "PORT_8000_TCP_ADDR",
        "CANARY_SERVICE_HOST",
        "CANARY_PORT_53_UDP_ADDR",
    ):
        monkeypatch.setenv(f"EMBED_ONNX_{name}", "10.0.0.1")
    monkeypatch.setenv("EMBED_ONNX_CANARY_PORT", "tcp://10.0.0.1:8000")
    monkeypatch.setenv("EMBED_ONNX_REPLICAS", "2")
    monkeypatch.setenv("EMBED_ONNX_THREADS", "2")
    assert [] == setting_words.warnings()

    monkeypatch.setenv("EMBED_ONNX_PROT", "8000")
    monkeypatch.setenv("EMBED_ONNX_CORS_ORIGIN", "*")
    monkeypatch.setenv("EMBED_ONNX_XYZ", "1")

    assert [
        "EMBED_ONNX_CORS_ORIGIN is not a setting and has no effect; did you mean EMBED_ONNX_CORS_ORIGINS?",
        "EMBED_ONNX_PROT is not a setting and has no effect; did you mean EMBED_ONNX_PORT?",
    ] == setting_words.warnings()[:2]
    assert "EMBED_ONNX_XYZ is not a setting and has no effect" in setting_words.warnings()[2]


def test_a_key_file_in_quotes(tmp_path: Path) -> None:
    """The commands for keys read the same variable."""
    done = run("key", "new", "alice", cwd=tmp_path, environment={"EMBED_ONNX_API_KEYS_FILE": '"keys.txt"'})

    assert 1 == done.returncode
    assert "is in quotes" in done.stderr
    assert [] == list(tmp_path.iterdir())


def test_the_defaults_are_as_they_would_be_written() -> None:
    words = {knob.name: knob.default_text for knob in settings.knobs() if knob.default_text}

    assert Settings() == setting_words.from_words(words)
