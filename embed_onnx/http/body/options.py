"""The fields that requests on every wire share; other APIs' names for them are in ``words``."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from embed_onnx.artifact.manifest import TruncationSide
from embed_onnx.errors import InvalidRequest
from embed_onnx.http.body.words import SCORE_WORDS, SPARSE_WORDS, TEXT_WORDS, TOKEN_WORDS, WORDS, Word
from embed_onnx.models.options import InputType, LongTexts, Options
from embed_onnx.settings import Settings

Truncate = bool | Literal["END", "START", "NONE"]
"""Cut or refuse a text that is too long; ``START`` cuts its beginning."""
Direction = Literal["Right", "Left"]
"""The side of a long text that is cut."""

User = Annotated[str | None, Meta(description="Accepted and ignored.")]
ModelName = Annotated[str | None, Meta(description="Left out: the first model that can do this.")]
RawScores = Annotated[
    bool | None,
    Meta(
        description="`true`: logits, in place of scores from 0 to 1. Those of a model of token vectors "
        "are sums of maxima in any case."
    ),
]

SIDES: dict[Direction, TruncationSide] = {"Right": "right", "Left": "left"}
PROMPT_FIELDS = ("prompt", "prompt_name", "input_type")
"""Each chooses the prompt, so a request may have one of them."""


class CutOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What becomes of texts that are too long; None leaves it to the server and the model.

    The words of enums are taken in any case. A decoder stops at a field that it does not know; ``reading``
    decides what becomes of such a field, by the route's ``words``, and tolerates most.
    """

    words: ClassVar[Mapping[str, Word | None]] = TEXT_WORDS

    truncate: Annotated[
        Truncate | None,
        Meta(
            description="`true` or `END` cuts a text that is too long, `START` its beginning, `false` or "
            "`NONE` refuses it; default: the server's."
        ),
    ] = None
    truncation_direction: Annotated[
        Direction | None, Meta(description="`Left` cuts the beginning of a text that is too long.")
    ] = None
    max_tokens: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="A limit of tokens that is lower than the model's, special tokens included."),
    ] = None


class TextOptions(CutOptions, frozen=True, kw_only=True):
    """What decides the tokens of texts; None leaves a thing to the model."""

    prompt_name: Annotated[
        str | None, Meta(description="One of the model's prompts, put before each text.")
    ] = None
    prompt: Annotated[str | None, Meta(description="A literal prefix; not together with `prompt_name`.")] = (
        None
    )
    input_type: Annotated[
        InputType | None,
        Meta(description="What the texts are for, which chooses the prompt; in place of `prompt_name`."),
    ] = None
    add_special_tokens: Annotated[
        bool | None,
        Meta(
            description="`false` beside token ids: they are taken as they are, without the special tokens "
            "that the model puts around a text. Texts always get them."
        ),
    ] = None


class EmbeddingOptions(TextOptions, frozen=True, kw_only=True):
    """The fields that requests for dense vectors have in common, on every wire."""

    words = WORDS

    dimensions: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Cut vectors to this length, and normalise them again where they were."),
    ] = None
    normalize: Annotated[
        bool | None,
        Meta(
            description="`false`: the vector before the Normalize that a model ends with; "
            "`true`: of length 1, whatever the model does."
        ),
    ] = None
    long_texts: Annotated[
        LongTexts | None,
        Meta(
            description="`mean`: a text that is too long has the mean of the vectors of its windows; `cut`: "
            "it is cut, or refused, as `truncate` says. Default: the server's, or `cut` beside `truncate`."
        ),
    ] = None
    pooling: Annotated[str | None, Meta(description="Refused unless it is the model's own.")] = None


class ScoringOptions(CutOptions, frozen=True, kw_only=True):
    """Those of requests for scores; ``max_tokens`` is of a whole pair."""

    words = SCORE_WORDS


class SparseOptions(TextOptions, frozen=True, kw_only=True):
    """Those of requests for sparse vectors."""

    words = SPARSE_WORDS


class TokenOptions(TextOptions, frozen=True, kw_only=True):
    """Those of requests for token vectors."""

    words = TOKEN_WORDS


NO_VECTORS = EmbeddingOptions()
"""Of requests without vectors."""


def check_prompt(options: TextOptions, max_characters: int) -> None:
    """Refuse a prompt that is too long, and several ways of naming one.

    Raises:
        InvalidRequest: The prompt is too long, or two fields choose it. A prompt in the model's name does
            not count: a field overrides it.
    """
    fields = [name for name in PROMPT_FIELDS if getattr(options, name) is not None]
    if len(fields) > 1:
        raise InvalidRequest(f"{' and '.join(fields)} are both given; send one of them", param=fields[0])
    if options.prompt is not None and len(options.prompt) > max_characters:
        raise InvalidRequest(
            f"prompt has {len(options.prompt)} characters and at most {max_characters} are taken; shorten it",
            param="prompt",
        )


def check_prompt_before(inputs: int, prompt: str, max_body: int) -> None:
    """Refuse a prompt that comes, before each of the inputs, to more text than a body may hold.

    Raises:
        InvalidRequest: It does.
    """
    characters = len(prompt) * inputs
    if characters > max_body:
        raise InvalidRequest(
            f"prompt has {len(prompt)} characters, which are {characters} before {inputs} inputs, and at "
            f"most {max_body} are taken; shorten it, or send fewer inputs",
            param="prompt",
        )


def check_pooling(pooling: str | None, model: str, modes: tuple[str, ...]) -> None:
    """Refuse any pooling but the model's own modes, in the spelling of any API.

    Raises:
        InvalidRequest: It is another.
    """
    if pooling is None:
        return
    plain = "".join(filter(str.isalpha, pooling.lower())).removesuffix("tokens").removesuffix("token")
    own = "".join(modes).removesuffix("token")
    if {"average": "mean", "avg": "mean"}.get(plain, plain) != own:
        raise InvalidRequest(
            f"pooling is {pooling[:80]!r}, and {model} pools by {'+'.join(modes)}; leave it out",
            param="pooling",
        )


def cutting(options: CutOptions, truncate: bool) -> tuple[bool, TruncationSide | None]:
    """Whether texts that are too long are cut, and at which side; ``truncate`` is the server's default.

    Raises:
        InvalidRequest: Two fields contradict each other.
    """
    word = truncate if options.truncate is None else options.truncate
    directions = [options.truncation_direction] if options.truncation_direction else []
    if isinstance(word, str) and word != "NONE":
        directions.append("Left" if word == "START" else "Right")
    if len(set(directions)) > 1:
        raise InvalidRequest(
            f"truncate is {word} and truncation_direction is {directions[0]}, which is the other side; send "
            "one of them",
            param="truncation_direction",
        )
    return word not in (False, "NONE"), SIDES[directions[0]] if directions else None


def long_texts(options: EmbeddingOptions, default: LongTexts) -> LongTexts:
    """What becomes of texts that are too long; ``default`` is the server's.

    Raises:
        InvalidRequest: Two fields contradict each other.
    """
    fields = {"truncate": options.truncate, "truncation_direction": options.truncation_direction}
    name, value = next((item for item in fields.items() if item[1] is not None), ("", None))
    if options.long_texts == "mean" and name:
        raise InvalidRequest(
            f"long_texts is mean, so no text is cut or refused for its length, and {name} is "
            f"{msgspec.json.encode(value).decode()}; send one of them",
            param="long_texts",
        )
    return options.long_texts or ("cut" if name else default)


def for_model(
    options: TextOptions,
    settings: Settings,
    *,
    prompt_name: str | None,
    zeros: bool,
    ranged: bool = False,
) -> Options:
    """The options in the words of a model; ``settings`` has the server's defaults.

    ``prompt_name`` is that in the model's name, for requests that name no prompt; ``zeros`` gives inputs
    without tokens vectors of zeros; ``ranged`` is that of a model's ``Options``.

    Raises:
        InvalidRequest: Two fields contradict each other.
    """
    cut, side = cutting(options, settings.truncate)
    of_vectors = options if isinstance(options, EmbeddingOptions) else NO_VECTORS
    return Options(
        prompt=options.prompt,
        prompt_name=prompt_name if options.prompt_name is None else options.prompt_name,
        input_type=options.input_type,
        dimensions=of_vectors.dimensions,
        normalize=of_vectors.normalize,
        truncate=cut,
        truncation_side=side,
        max_tokens=options.max_tokens,
        long_texts=long_texts(options, settings.long_texts) if options is of_vectors else "cut",
        zeros=zeros,
        ranged=ranged,
        add_special_tokens=options.add_special_tokens is not False,
    )
