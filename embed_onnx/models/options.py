"""What every route that embeds takes besides its texts; other APIs' names for it are in ``foreign``."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

InputType = Literal[
    "search_query", "search_document", "query", "document", "passage", "classification", "clustering"
]
"""What a text is embedded for: Cohere's words, and those of Voyage's, NVIDIA's and Jina's clients."""
Truncate = bool | Literal["END", "START", "NONE"]
"""Cut or refuse a text that is too long; ``START`` cuts its beginning."""
Direction = Literal["Right", "Left"]
"""The side of a long text that is cut."""


class TextOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What decides the tokens of texts; None leaves a thing to the model.

    The words of enums are taken in any case. A decoder stops at a field that it does not know; ``body`` says
    what becomes of that, and tolerates most.
    """

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

    def as_dict(self) -> dict[str, Any]:
        """The options by name, without what a route has besides them, for a request of another route."""
        names = EmbeddingOptions.__struct_fields__
        return {name: getattr(self, name) for name in names if name in self.__struct_fields__}


class EmbeddingOptions(TextOptions, frozen=True, kw_only=True):
    """The fields that requests for vectors have in common, on whatever route."""

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
    pooling: Annotated[str | None, Meta(description="Refused unless it is the model's own.")] = None
