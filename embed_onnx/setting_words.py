"""Settings from the words of a command line or from variables; a mistake is an error with a way out."""

import difflib
import os
import re
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from embed_onnx import origins
from embed_onnx.errors import SetupError
from embed_onnx.settings import PREFIX, UNIX, Knob, RaySettings, Settings, knobs

QUOTES = "\"'"
SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://")
"""What Kubernetes makes a variable NAME_PORT of, for a service of that name."""
SERVICE_VARIABLE = re.compile(
    r"(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
"""The others that it makes, after NAME\\_."""

AnySettings = TypeVar("AnySettings", bound=Settings)


def from_environment(kind: type[AnySettings], **words: Any) -> AnySettings:
    """Settings from the variables; ``words`` come before them. A blank variable counts as not set.

    Raises:
        SetupError: A value is outside its type or limits, or there is no setting of that name.
    """
    refuse_blank_keys()
    own = knobs(kind)
    unknown = words.keys() - {knob.name for knob in own}
    if unknown:
        known = ", ".join(knob.name for knob in own)
        raise SetupError(f"there is no setting {', '.join(sorted(unknown))}; there are {known}")
    return _convert({knob.name: os.environ.get(knob.variable) or None for knob in own} | words, kind)


def refuse_blank_keys() -> None:
    """A variable that is set and blank counts as not set, and for keys that would open the server to all.

    Raises:
        SetupError: That is so.
    """
    for name in ("EMBED_ONNX_API_KEYS", "EMBED_ONNX_API_KEYS_FILE"):
        if os.environ.get(name, "unset").strip() == "":
            raise SetupError(f"{name} is set and blank; give it a value, or unset it to serve without keys")


def from_words(words: dict[str, Any]) -> Settings:
    """Settings from the words of a command line; ``None`` keeps a default, commas part a list.

    Raises:
        SetupError: A value is outside its type or limits.
    """
    return _convert(words, Settings)


def _convert(words: dict[str, Any], kind: type[AnySettings]) -> AnySettings:
    by_name = {knob.name: knob for knob in knobs(kind)}
    values = {name: _value(by_name[name], word) for name, word in words.items() if word is not None}
    try:
        return msgspec.convert(values, kind, strict=False, dec_hook=lambda kind, word: kind(word))
    except msgspec.ValidationError as err:
        reason, _, where = str(err).rpartition(" - at `$.")
        name = where.rstrip("`").partition("[")[0]
        value = "" if name == "api_keys" else f" {words[name]!r}"
        raise SetupError(f"{by_name[name].flag}{value}: {reason}. {by_name[name].help}") from None


def _value(knob: Knob, word: Any) -> Any:
    """What a word stands for; a list, where the setting is one. What is not a word stays as it is.

    Files of variables keep quotes and blanks that a shell would take away.

    Raises:
        SetupError: It is blank, in quotes, or cannot have the effect that was meant.
    """
    if isinstance(knob.default, tuple):
        return _values(knob, word.split(knob.separator) if isinstance(word, str) else word)
    if not isinstance(word, str):
        return word
    word = word.strip()
    if not word:
        raise SetupError(f"{knob.flag} {word!r}: the value is blank; give one, or leave it out")
    if _is_quoted(word):
        raise SetupError(f"{knob.flag} {word} is in quotes, which are part of the value here; take them away")
    if knob.name == "port" and SERVICE_ADDRESS.match(word):
        raise SetupError(
            f"{knob.variable} is {word}, which Kubernetes sets for a Service named embed-onnx; add "
            "enableServiceLinks: false to the pod, give the Service another name, or use --port"
        )
    return _host(word) if knob.name == "host" else word


def _values(knob: Knob, words: Iterable[str]) -> list[str]:
    parts = [word.strip() for word in words if word.strip()]
    if not parts:
        # An empty list of keys, from a variable that was left blank, must not open the server.
        raise SetupError(f"{knob.flag} is given and names nothing; leave it out")
    if any(_has_quotes(knob, part) for part in parts):
        raise SetupError(f"{knob.flag} has quotes, which are part of the value here; take them away")
    if knob.name == "api_keys":
        for number, key in enumerate(parts, start=1):
            if not key.isprintable() or " " in key:
                raise SetupError(
                    f"{knob.flag}: key {number} has a blank or a line end in it, which no client can send; "
                    "put commas between keys"
                )
    return [_origin(knob, part) for part in parts] if knob.name == "cors_origins" else parts


def _has_quotes(knob: Knob, part: str) -> bool:
    """Whether quotes are there that a shell would take away; inside of a model's line they mean something."""
    if knob.name == "model":
        return _is_quoted(part) and part[0] not in part[1:-1]
    return part[0] in QUOTES or part[-1] in QUOTES


def _origin(knob: Knob, word: str) -> str:
    try:
        return origins.normalized(word)
    except ValueError as err:
        raise SetupError(f"{knob.flag}: {word!r} {err}") from None


def _is_quoted(word: str) -> bool:
    return len(word) > 1 and word[0] in QUOTES and word[-1] == word[0]


def _host(word: str) -> str:
    """A host as resolvers take it, without a URL's brackets; of ``unix:///PATH``, with a single slash."""
    if word.startswith(UNIX):
        path = re.sub("^/+", "/", word.removeprefix(UNIX))
        if not path:
            raise SetupError(f"--host {word} has no path; write {UNIX}/run/embed-onnx/api.sock, for example")
        return UNIX + path
    return word[1:-1] if word.startswith("[") and word.endswith("]") else word


def warnings() -> list[str]:
    """A sentence for every variable that looks like a setting of ours and is none, so has no effect."""
    known = [knob.variable for knob in knobs(RaySettings)]
    return [
        f"{name} is not a setting and has no effect"
        + "".join(f"; did you mean {near}?" for near in difflib.get_close_matches(name, known, n=1))
        for name, value in sorted(os.environ.items())
        if name.startswith(PREFIX) and name not in known and not _is_of_kubernetes(name, value)
    ]


def _is_of_kubernetes(name: str, value: str) -> bool:
    return bool(SERVICE_ADDRESS.match(value) or SERVICE_VARIABLE.fullmatch(name.removeprefix(PREFIX)))
