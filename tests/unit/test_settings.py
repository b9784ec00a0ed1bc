"""Settings: from words to values, one sentence for a bad word, and the README's table."""

from pathlib import Path

import msgspec
import pytest
from harness import ROOT

from embed_onnx import setting_words, settings
from embed_onnx.errors import SetupError
from embed_onnx.settings import RaySettings, Settings

NAMES = [field.name for field in msgspec.structs.fields(Settings)]


def test_no_words_give_the_defaults():
    assert Settings() == setting_words.from_words({})


def test_none_keeps_a_default():
    assert Settings() == setting_words.from_words(dict.fromkeys(NAMES))


@pytest.mark.parametrize(
    ("name", "word", "expected"),
    [
        pytest.param("host", "::1", "::1", id="text"),
        pytest.param("host", "8080", "8080", id="text-of-digits"),
        pytest.param("port", "0", 0, id="number"),
        pytest.param("request_timeout", "0.5", 0.5, id="seconds"),
        pytest.param("drain_timeout", "3", 3.0, id="whole-seconds"),
        pytest.param("truncate", False, False, id="flag"),
        pytest.param("truncate", "false", False, id="flag-as-a-word"),
        pytest.param("artifacts", "a/b", Path("a/b"), id="folder"),
        pytest.param("api_keys_file", "keys", Path("keys"), id="folder-without-default"),
        pytest.param("api_keys", "one", ("one",), id="list-of-one"),
        pytest.param("api_keys", " one, two ,,three,", ("one", "two", "three"), id="list"),
        pytest.param("cors_origins", "*", ("*",), id="origin"),
        pytest.param("log_format", "json", "json", id="choice"),
    ],
)
def test_a_word_becomes_its_type(name, word, expected):
    selection = setting_words.from_words({name: word})

    assert msgspec.structs.replace(Settings(), **{name: expected}) == selection
    assert type(expected) is type(getattr(selection, name))


@pytest.mark.parametrize(
    ("name", "word", "item"),
    [
        pytest.param("port", "http", "--port 'http': ", id="no-number"),
        pytest.param("port", "", "--port '': ", id="empty"),
        pytest.param("port", "65536", "--port '65536': ", id="port-too-large"),
        pytest.param("port", "-1", "--port '-1': ", id="port-too-small"),
        pytest.param("threads", "1.5", "--threads '1.5': ", id="half-a-thread"),
        pytest.param("threads", "-1", "--threads '-1': ", id="negative"),
        pytest.param("queue_tokens", "0", "--queue-tokens '0': ", id="no-queue"),
        pytest.param("max_inputs", "0", "--max-inputs '0': ", id="no-inputs"),
        pytest.param("max_body", "1MB", "--max-body '1MB': ", id="unit"),
        pytest.param("truncate", "perhaps", "--truncate 'perhaps': ", id="neither-true-nor-false"),
        pytest.param("request_timeout", "0", "--request-timeout '0': ", id="no-time"),
        pytest.param("request_timeout", "nan", "--request-timeout 'nan': ", id="not-a-number"),
        pytest.param("drain_timeout", "-0.1", "--drain-timeout '-0.1': ", id="negative-seconds"),
        pytest.param("log_format", "XML", "--log-format 'XML': ", id="unknown-choice"),
    ],
)
def test_a_bad_word_is_one_sentence_that_names_the_flag(name, word, item):
    with pytest.raises(SetupError) as caught:
        setting_words.from_words({name: word})

    sentence = str(caught.value)
    assert sentence.startswith(item)
    assert len(sentence) > len(item)
    assert "\n" not in sentence
    assert "$." not in sentence


def test_a_knob_names_its_flag_and_its_variable():
    (knob,) = [knob for knob in settings.knobs() if knob.name == "queue_tokens"]

    assert (knob.flag, knob.variable) == ("--queue-tokens", "EMBED_ONNX_QUEUE_TOKENS")


def test_every_field_is_a_knob_with_its_default_and_help():
    knobs = settings.knobs()

    assert [knob.name for knob in knobs] == NAMES
    assert [getattr(Settings(), name) for name in NAMES] == [knob.default for knob in knobs]
    assert all(knob.help.endswith(".") for knob in knobs)


def test_the_markdown_table_has_a_row_of_four_cells_for_each_field():
    head, rule, *rows = settings.markdown_table().splitlines()
    cells = [row.removeprefix("| ").removesuffix(" |").split(" | ") for row in rows]

    assert (head, rule) == ("| flag | variable | default | what it does |", "| --- | --- | --- | --- |")
    assert [f"`--{name.replace('_', '-')}`" for name in NAMES] == [row[0] for row in cells]
    assert {4} == {len(row) for row in cells}


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(
            "| `--port` | `EMBED_ONNX_PORT` | `8000` | Port to listen on; 0 takes a free one. |", id="number"
        ),
        pytest.param("| `--truncate` | `EMBED_ONNX_TRUNCATE` | `true` | Cut", id="flag"),
        pytest.param("| `--api-keys` | `EMBED_ONNX_API_KEYS` |  | Keys", id="empty-list"),
        pytest.param("| `--api-keys-file` | `EMBED_ONNX_API_KEYS_FILE` |  | File", id="no-default"),
        pytest.param("| `--threads` | `EMBED_ONNX_THREADS` | `0` | Sequences", id="zero"),
    ],
)
def test_the_markdown_table_shows_defaults_as_they_are_typed(row):
    assert row in settings.markdown_table()


@pytest.mark.parametrize("word", ["", ",", " , "])
def test_a_list_of_keys_that_is_given_and_empty_is_refused(word):
    """A variable that was left blank must not open the server to all."""
    with pytest.raises(SetupError, match="--api-keys is given and names nothing"):
        setting_words.from_words({"api_keys": word})


def test_words_come_before_variables(monkeypatch):
    """A blank variable is none."""
    monkeypatch.setenv("EMBED_ONNX_REPLICAS", "3")
    monkeypatch.setenv("EMBED_ONNX_QUEUE_TOKENS", "99")
    monkeypatch.setenv("EMBED_ONNX_MAX_INPUTS", "")

    selection = setting_words.from_environment(RaySettings, queue_tokens="7")

    assert RaySettings(replicas=3, queue_tokens=7) == selection


def test_a_list_may_be_one():
    """As in the YAML of Ray Serve."""
    assert ("a", "b") == setting_words.from_words({"api_keys": ["a", "b"]}).api_keys


def test_an_unknown_choice_is_told_what_there_is():
    with pytest.raises(SetupError, match=r"Invalid enum value 'xml'\. How log lines look: text or json\."):
        setting_words.from_words({"log_format": "xml"})


def test_a_word_that_is_no_setting():
    with pytest.raises(SetupError, match="there is no setting thread, wokers; there are host, port, "):
        setting_words.from_environment(Settings, wokers="1", thread="2")


def test_settings_of_ray_in_the_docs():
    page = (ROOT / "docs" / "ray.md").read_text(encoding="utf-8")
    added = settings.knobs(RaySettings)[len(settings.knobs()) :]

    rows = [f"| `{knob.variable}` | `{knob.default_text}` | {knob.help} |" for knob in added]
    assert rows == page.split("<!-- settings -->")[1].split("<!--")[0].strip().splitlines()[2:]
