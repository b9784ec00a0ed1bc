"""Every knob, once: name, type, default and help.

``embed-onnx serve`` makes its flags, the ``EMBED_ONNX_*`` variables and the table in docs/operating.md of
these fields; ``RaySettings`` are for ``ray.serve``. The environment is read by ``setting_words``, and besides
by ``native.find``, as a model in process has no flags, and by those who read the variables of others:
OpenTelemetry's (``observe.tracing``), PROMETHEUS_MULTIPROC_DIR (``observe.metrics``) and Ray's (``ray.env``,
``ray.proxy``).
"""

from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

PREFIX = "EMBED_ONNX_"
UNIX = "unix:"
"""What a host that is the path of a Unix socket begins with."""

KINDS = {bool: "", int: "NUMBER", float: "SECONDS"}
VALUES = {
    "host": "ADDRESS",
    "artifacts": "FOLDER",
    "models": "FILE",
    "model": "LINE",
    "api_keys": "KEY,...",
    "api_keys_file": "FILE",
    "cors_origins": "ORIGIN,...",
}
"""What settings take, by their type, and by name where that does not say it."""
GROUPS = {
    "Where it listens": ("host", "port", "cors_origins"),
    "Models": (
        "artifacts",
        "models",
        "model",
        "truncate",
        "long_texts",
        "literal_special_tokens",
        "empty_texts",
    ),
    "Speed and memory": ("threads", "workers", "kernels", "idle_unload", "cache_bytes", "shared_cache"),
    "Limits": ("queue_tokens", "max_inputs", "max_body", "max_pending", "max_characters"),
    "Time": ("header_timeout", "request_timeout", "lane_timeout", "drain_timeout"),
    "Keys": ("api_keys", "api_keys_file"),
    "Log": ("log_format", "log_level"),
}
"""The settings as a reader looks for them."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to serve. The defaults suit one person on one machine."""

    host: Annotated[
        str,
        Meta(
            description="Address to listen on; of a name, all that it has; `unix:PATH` is a Unix socket, for "
            "its owner and group."
        ),
    ] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port to listen on; 0 takes a free one.")] = 8000
    artifacts: Annotated[Path, Meta(description="Folder of exported models.")] = Path("artifacts")
    models: Annotated[
        Path,
        Meta(description="File that lists the models; where there is none, every artifact is served."),
    ] = Path("models.txt")
    model: Annotated[
        tuple[str, ...],
        Meta(
            description="A model to serve, as a line of that file (`--model 'BAAI/bge-small-en-v1.5 "
            "precision=float32'`), in place of the file; may be repeated. In the variable, a line each."
        ),
    ] = ()
    threads: Annotated[
        int,
        Meta(
            ge=0,
            le=1024,
            description="Sequences embedded at the same time; 0: the cores this process may use.",
        ),
    ] = 0
    workers: Annotated[
        int,
        Meta(
            ge=1,
            le=256,
            description="Server processes on the port, which share out the threads; each has its own queue "
            "and its own copy of the models.",
        ),
    ] = 1
    kernels: Annotated[
        Literal["auto", "off", "amx", "avx512vnni", "avxvnni", "avx2", "neon"],
        Meta(
            description="Native kernels: auto, the best that this processor runs; amx, avx512vnni, avxvnni, "
            "avx2 or neon; or off, which leaves the work to ONNX Runtime's operators."
        ),
    ] = "auto"
    queue_tokens: Annotated[
        int,
        Meta(
            ge=1,
            description="Tokens that may wait; a request that does not fit now is a 429, one that never can "
            "a 400.",
        ),
    ] = 1_048_576
    max_inputs: Annotated[int, Meta(ge=1, description="Inputs in one request.")] = 2048
    max_body: Annotated[int, Meta(ge=1, description="Bytes in the body of one request.")] = 16_777_216
    max_pending: Annotated[
        int,
        Meta(
            ge=1,
            description="Bytes in the bodies of all requests at a time, of which those of an API key may be "
            "as many as there is room left; one beyond that is a 429.",
        ),
    ] = 67_108_864
    max_characters: Annotated[
        int, Meta(ge=1, description="Characters in one text of a request, or token ids in one input.")
    ] = 1_000_000
    truncate: Annotated[
        bool,
        Meta(description="Cut a text that is too long at the model's limit; `--no-truncate` refuses it."),
    ] = True
    long_texts: Annotated[
        Literal["cut", "mean"],
        Meta(
            description="Texts that are too long for a model that makes vectors: cut or refused, as "
            "`--truncate` says (cut), or embedded in windows, of whose vectors they have the mean (mean)."
        ),
    ] = "cut"
    literal_special_tokens: Annotated[
        bool,
        Meta(description="Take special tokens that are written in a text, such as [SEP], as ordinary text."),
    ] = False
    empty_texts: Annotated[
        Literal["refuse", "zero"],
        Meta(
            description="Texts that are empty, or without a token for the model, in a request to "
            "`/v1/embeddings`: refuse them, or give them vectors of zeros (zero)."
        ),
    ] = "refuse"
    header_timeout: Annotated[
        float,
        Meta(gt=0, le=86_400, description="Seconds a client may take to send the headers of a request."),
    ] = 10.0
    request_timeout: Annotated[
        float,
        Meta(
            gt=0,
            le=86_400,
            description="Seconds a request's body may take to arrive (408), its work (503, or 429 at once if "
            "what waits would make it late), and its answer to be fetched.",
        ),
    ] = 300.0
    lane_timeout: Annotated[
        float,
        Meta(
            gt=0,
            le=86_400,
            description="Seconds that a lane may wait within one pack before it counts as hung and is "
            "replaced; one that computes has ten times as long, and longer for long texts and slow models.",
        ),
    ] = 120.0
    drain_timeout: Annotated[
        float,
        Meta(ge=0, le=86_400, description="Seconds for accepted requests to finish once asked to stop."),
    ] = 30.0
    idle_unload: Annotated[
        float,
        Meta(
            ge=0,
            description="Seconds after which a model that nobody uses leaves the memory, until its next "
            "request; 0: never.",
        ),
    ] = 0.0
    cache_bytes: Annotated[
        int,
        Meta(
            ge=0,
            description="Bytes of results that each process keeps, so that a text which comes again costs "
            "nothing; 0: none. A vector of 384 dimensions takes 1,792.",
        ),
    ] = 0
    shared_cache: Annotated[
        bool,
        Meta(
            description="Results that are kept serve all API keys. Otherwise each key has its own, as a "
            "quick answer shows that somebody has sent the text before."
        ),
    ] = False
    api_keys: Annotated[
        tuple[str, ...], Meta(description="Keys of which clients must send one, separated by commas.")
    ] = ()
    api_keys_file: Annotated[
        Path | None, Meta(description="File of hashed keys, as `embed-onnx key new` makes it.")
    ] = None
    cors_origins: Annotated[
        tuple[str, ...], Meta(description="Origins whose pages may call the API, separated by commas.")
    ] = ()
    log_format: Annotated[Literal["text", "json"], Meta(description="How log lines look: text or json.")] = (
        "text"
    )
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(
            description="The least that is logged: info has a line a request, but for probes and the files "
            "of pages, which debug has."
        ),
    ] = "info"


class RaySettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to serve, and on how much of a Ray cluster."""

    replicas: Annotated[
        int, Meta(ge=1, le=10_000, description="Servers, each with `threads` cores (0: one) and all models.")
    ] = 1
    max_replicas: Annotated[
        int,
        Meta(ge=0, le=10_000, description="Servers at most, as requests come; 0: `replicas` at all times."),
    ] = 0


class Knob(msgspec.Struct, frozen=True):
    """One setting as the command line and docs/operating.md show it."""

    name: str
    default: Any
    help: str
    value: str
    """What it takes, for people: a kind in capitals, or the choices; nothing where it is on or off."""

    @property
    def flag(self) -> str:
        """As in ``--queue-tokens``."""
        return "--" + self.name.replace("_", "-")

    @property
    def separator(self) -> str:
        """What is between the values of a variable that has several: options of a model have commas."""
        return "\n" if self.name == "model" else ","

    @property
    def default_text(self) -> str:
        """The default as one would write it; empty where there is none."""
        if isinstance(self.default, tuple):
            return ",".join(self.default)
        if isinstance(self.default, bool):
            return str(self.default).lower()
        return "" if self.default is None else str(self.default)

    @property
    def variable(self) -> str:
        """As in ``EMBED_ONNX_QUEUE_TOKENS``."""
        return PREFIX + self.name.upper()


def knobs(kind: type[Settings] = Settings) -> list[Knob]:
    """Every setting, in the order of the struct."""
    hints = msgspec.inspect.type_info(kind)
    assert isinstance(hints, msgspec.inspect.StructType)  # noqa: S101 - narrows the type
    kinds = get_type_hints(kind)
    result = []
    for field in hints.fields:
        assert isinstance(field.type, msgspec.inspect.Metadata)  # noqa: S101 - every field is annotated
        description = (field.type.extra_json_schema or {})["description"]
        result.append(Knob(field.name, field.default, description, _value_of(field.name, kinds[field.name])))
    return result


def _value_of(name: str, kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "|".join(get_args(kind))
    return VALUES.get(name, "") or KINDS[kind]


def markdown_table() -> str:
    """The table of settings in docs/operating.md."""
    rows = ["| flag | variable | default | what it does |", "| --- | --- | --- | --- |"]
    for knob in knobs():
        default = f"`{knob.default_text}`" if knob.default_text else ""
        rows.append(f"| `{knob.flag}` | `{knob.variable}` | {default} | {knob.help} |")
    return "\n".join(rows)
