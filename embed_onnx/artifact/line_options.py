r"""The options of a line of models.txt: ``key=value``, each once.

    alias=ONE,TWO  name=NAME  precision=int8|float32  exporter=native|torch|optimum
    prompt.NAME="TEXT "  default_prompt=NAME  max_tokens=N  dimensions=N  pooling=MODE,MODE
    task=embed|rerank|classify|sparse

A value in double quotes may have spaces and is a string of JSON: a line end in a prompt is ``\n``.
"""

import json
import re
from typing import Any, get_args

import msgspec

from embed_onnx.artifact.manifest import NO_OVERRIDES, Exporter, Overrides, Precision, Purpose, is_name
from embed_onnx.artifact.outputs import PoolingMode

CHARACTERS = "letters, digits, '.', '_', '-' and '/'"
PROMPT = "prompt."
"""What the key of a prompt begins with, before the prompt's name."""
KEYS = (
    "alias", "name", "precision", "exporter", "default_prompt", "max_tokens", "dimensions", "pooling", "task",
)  # fmt: skip
QUOTED = r'[A-Za-z0-9_.-]+="(?:[^"\\]|\\.)*"'
"""An option whose value is in quotes."""
NUMBER = re.compile(r"[1-9][0-9]{0,8}")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the options of a line say; ``name`` is None where the source has it.

    ``exporter`` is None where the line has none.
    """

    name: str | None = None
    aliases: tuple[str, ...] = ()
    precision: Precision = "int8"
    exporter: Exporter | None = None
    overrides: Overrides = NO_OVERRIDES


def read(pairs: list[str]) -> Options:
    """The options of a line, from its words after the first.

    Raises:
        ValueError: One of them is unknown, stands twice, or has a value that it cannot have.
    """
    values = _values(pairs)
    prompts = {key.removeprefix(PROMPT): value for key, value in values.items() if key.startswith(PROMPT)}
    return Options(
        name=values.get("name"),
        aliases=_aliases(values),
        precision=_one_of(values.get("precision", "int8"), "precision", Precision),
        exporter=_one_of(values["exporter"], "exporter", Exporter) if "exporter" in values else None,
        overrides=Overrides(
            prompts=prompts,
            default_prompt=values.get("default_prompt"),
            max_tokens=_number(values, "max_tokens"),
            dimensions=_number(values, "dimensions"),
            pooling=_pooling(values),
            task=_one_of(values["task"], "task", Purpose) if "task" in values else None,
        ),
    )


def _values(pairs: list[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        value = _unquoted(text) if re.fullmatch(QUOTED, pair) else text
        known = key in KEYS or (key.startswith(PROMPT) and is_name(key.removeprefix(PROMPT)))
        empty = not text if key.startswith(PROMPT) else not value
        if not known or not equals or empty:
            raise ValueError(
                f"{pair!r} is not an option; options are {'=, '.join((*KEYS, 'prompt.NAME'))}= "
                "each with a value, and a value or a folder with a space in it stands in double quotes"
            )
        if key in values:
            several = (
                "; for several aliases write alias=ONE,TWO" if key == "alias" else "; take one of them away"
            )
            raise ValueError(f"{key}= stands twice{several}")
        values[key] = value
    return values


def _unquoted(text: str) -> str:
    try:
        value: str = json.loads(text, strict=False)
    except ValueError:
        raise ValueError(
            f"{text} has a backslash that means nothing in JSON; write \\\\ for one, and \\n for a line end"
        ) from None
    return value


def _aliases(values: dict[str, str]) -> tuple[str, ...]:
    aliases = tuple(values["alias"].split(",")) if "alias" in values else ()
    for alias in aliases:
        if not _is_alias(alias):
            raise ValueError(f"{alias!r} cannot be an alias; use {CHARACTERS}, and one ':' before a tag")
    return aliases


def _is_alias(text: str) -> bool:
    """Whether it is a name, perhaps with a tag as Ollama's have: ``nomic-embed-text:v1.5``."""
    name, colon, tag = text.partition(":")
    return is_name(name) and (not colon or (is_name(tag) and "/" not in tag))


def _pooling(values: dict[str, str]) -> tuple[PoolingMode, ...]:
    modes = values["pooling"].split(",") if "pooling" in values else []
    return tuple(_one_of(mode, "pooling", PoolingMode) for mode in modes)


def _one_of(word: str, key: str, choices: Any) -> Any:
    if word not in get_args(choices):
        raise ValueError(f"{key}={word} is unknown; known are {', '.join(get_args(choices))}")
    return word


def _number(values: dict[str, str], key: str) -> int | None:
    word = values.get(key)
    if word is None:
        return None
    if not NUMBER.fullmatch(word):
        raise ValueError(f"{key}={word} is not a whole number from 1 to 999999999")
    return int(word)
