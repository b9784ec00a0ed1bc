"""How log lines look: for people, or one JSON object a line. Never a user's text."""

import json
import logging
from typing import Literal

FIELDS = ("request_id", "key", "timing")
"""What a line may carry besides its message."""


class TextFormatter(logging.Formatter):
    """``2026-01-31 12:00:00 INFO POST /v1/embeddings 200 request_id=...``."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """The line, and its fields at the end."""
        line = super().formatMessage(record)
        return " ".join([line, *(f"{name}={value}" for name, value in _fields(record).items())])


class JsonFormatter(logging.Formatter):
    """``{"time": ..., "level": ..., "logger": ..., "message": ..., "request_id": ...}``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line as JSON."""
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def configure(log_format: Literal["text", "json"]) -> None:
    """Send the package's log, and warnings of the libraries, to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("embed_onnx").setLevel(logging.INFO)


def _fields(record: logging.LogRecord) -> dict[str, str]:
    return {name: value for name in FIELDS if (value := getattr(record, name, ""))}
