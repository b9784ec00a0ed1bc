"""Log lines for people and for machines."""

import json
import logging
import sys
import time
from datetime import datetime
from typing import Any

import pytest

from embed_onnx.logs import JsonFormatter, TextFormatter

CREATED = 1_750_000_000.0


def record(message: str, *args: object, **fields: Any) -> logging.LogRecord:
    """A record of a known time; ``exc_info`` and other fields by keyword."""
    made = logging.LogRecord("embed_onnx.app", logging.INFO, __file__, 1, message, args, None)
    made.created = CREATED
    vars(made).update(fields)
    return made


@pytest.fixture
def failure() -> Any:
    """What ``sys.exc_info`` says in an ``except`` block."""
    try:
        int("nowhere")
    except ValueError:
        return sys.exc_info()


def test_a_text_line_ends_with_its_fields():
    line = TextFormatter().format(
        record("GET %s %d", "/health", 200, timing="infer=3ms", key="team-a", request_id="r1")
    )

    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(CREATED))
    assert f"{moment} INFO GET /health 200 request_id=r1 key=team-a timing=infer=3ms" == line


def test_a_text_line_without_fields_ends_with_its_message():
    line = TextFormatter().format(record("ready"))

    assert line.endswith(" INFO ready")


def test_a_text_line_has_its_fields_before_its_traceback(failure):
    lines = TextFormatter().format(record("failed", request_id="r1", exc_info=failure)).splitlines()

    assert lines[0].endswith(" INFO failed request_id=r1")
    assert lines[1] == "Traceback (most recent call last):"
    assert lines[-1] == "ValueError: invalid literal for int() with base 10: 'nowhere'"


def test_a_json_line_has_its_fields_as_keys():
    line = json.loads(JsonFormatter().format(record("GET %s", "/", request_id="r1", timing="infer=3ms")))

    assert datetime.fromisoformat(line.pop("time")).timestamp() == CREATED
    assert line == {
        "level": "INFO",
        "logger": "embed_onnx.app",
        "message": "GET /",
        "request_id": "r1",
        "timing": "infer=3ms",
    }


def test_a_json_line_leaves_out_the_fields_it_has_not():
    line = json.loads(JsonFormatter().format(record("ready", request_id="", key="", color_message="ready!")))

    assert list(line) == ["time", "level", "logger", "message"]


def test_a_json_line_carries_its_traceback_and_stays_one_line(failure):
    text = JsonFormatter().format(record("failed:\n%s", 'é "', exc_info=failure))

    line = json.loads(text)
    assert "\n" not in text
    assert line["message"] == 'failed:\né "'
    assert line["traceback"].startswith("Traceback (most recent call last):\n")
    assert line["traceback"].endswith("ValueError: invalid literal for int() with base 10: 'nowhere'")
