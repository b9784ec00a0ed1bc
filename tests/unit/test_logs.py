"""Log lines for people and for machines."""

import json
import logging
import subprocess
import sys
import time
from datetime import datetime
from typing import Any

import pytest

from embed_onnx.observe.logs import LINES_WAITING, JsonFormatter, TextFormatter, frames

CREATED = 1_750_000_000.0


def record(message: str, *args: object, **fields: Any) -> logging.LogRecord:
    """A record of a known time; ``exc_info`` and other fields by keyword."""
    result = logging.LogRecord("embed_onnx.http.app", logging.INFO, __file__, 1, message, args, None)
    result.created = CREATED
    vars(result).update(fields)
    return result


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
        "logger": "embed_onnx.http.app",
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


def test_a_text_line_quotes_what_would_look_like_several_fields():
    line = TextFormatter().format(record("GET /", request_id='r1 key=admin "x"', inputs=2))

    assert line.endswith(r' GET / request_id="r1 key=admin \"x\"" inputs=2')


def test_a_text_line_does_not_say_twice_what_its_message_says():
    line = TextFormatter().format(record("GET /health 200", method="GET", route="/health", status=200))

    assert line.endswith(" INFO GET /health 200")


def test_frames_leave_out_what_errors_say():
    """Types and places of an error and of its cause, and none of their words."""

    def read() -> None:
        try:
            int("marker")
        except ValueError as err:
            raise KeyError("marker") from err

    with pytest.raises(KeyError) as caught:
        read()

    log = frames(caught.value)
    assert ["ValueError", "KeyError"] == [line for line in log.splitlines() if not line.startswith(" ")]
    assert "in read" in log
    assert "marker" not in log.replace('int("marker")', "").replace('KeyError("marker")', "")


LOGGING = """
import logging, sys, time
from embed_onnx.observe import logs
with logs.to_stderr("text", "info"):
    for number in range(int(sys.argv[1])):
        logging.getLogger("embed_onnx").info("line %d %s", number, "x" * 200)
    print(logs.lines_dropped(), flush=True)
"""


def test_lines_before_the_end_are_written():
    done = subprocess.run([sys.executable, "-c", LOGGING, "500"], capture_output=True, text=True, check=True)

    assert "0\n" == done.stdout
    assert [f"line {number}" for number in range(500)] == [
        " ".join(line.split()[3:5]) for line in done.stderr.splitlines()
    ]


def test_nobody_reads():
    """Lines beyond the queue are dropped and counted, and the process ends by itself."""
    process = subprocess.Popen(
        [sys.executable, "-c", LOGGING, "10000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    dropped = int(process.stdout.readline())
    code = process.wait(60)
    read = process.stderr.read().splitlines()
    process.stdout.close()
    process.stderr.close()

    assert 0 == code
    assert 10_000 - LINES_WAITING - 500 <= dropped < 10_000 - LINES_WAITING
    assert "line 0" in read[0]


def test_closed_standard_error(tmp_path):
    """Lines go nowhere: not into what was opened next and has the number of standard error now."""
    code = f"import os; opened = os.open('next', os.O_CREAT | os.O_RDWR); assert opened == 2{LOGGING}"

    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" 5 2>&-', sys.executable, code],
        stdout=subprocess.PIPE,
        check=True,
        cwd=tmp_path,
    )

    assert (b"0\n", "") == (done.stdout, (tmp_path / "next").read_text())


def test_a_reader_that_goes_away():
    """Writing to nobody fails and ends nothing."""
    process = subprocess.Popen(
        [sys.executable, "-c", LOGGING, "5000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    process.stderr.close()
    process.communicate(timeout=60)

    assert 0 == process.returncode


LEVELS = """
import logging, sys
from embed_onnx.observe import logs
with logs.to_stderr("text", sys.argv[1]):
    for level in ("debug", "info", "warning", "error"):
        for name in ("embed_onnx", "another.library"):
            getattr(logging.getLogger(name), level)("%s of %s", level, name)
"""


@pytest.mark.parametrize(
    ("level", "ours", "others"),
    [
        pytest.param("debug", ["debug", "info", "warning", "error"], ["warning", "error"], id="debug"),
        pytest.param("info", ["info", "warning", "error"], ["warning", "error"], id="info"),
        pytest.param("warning", ["warning", "error"], ["warning", "error"], id="warning"),
        pytest.param("error", ["error"], ["error"], id="error"),
    ],
)
def test_what_a_level_lets_through(level: str, ours: list[str], others: list[str]) -> None:
    """Of other libraries never more than warnings."""
    done = subprocess.run([sys.executable, "-c", LEVELS, level], capture_output=True, text=True, check=True)

    lines = [line.split()[3:] for line in done.stderr.splitlines()]
    assert ours == [words[0] for words in lines if words[2] == "embed_onnx"]
    assert others == [words[0] for words in lines if words[2] != "embed_onnx"]
