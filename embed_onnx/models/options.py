"""What a request may ask of a model besides its inputs."""

from typing import Literal

import msgspec

from embed_onnx.artifact.manifest import TruncationSide

InputType = Literal[
    "search_query", "search_document", "query", "document", "passage", "classification", "clustering"
]
"""What a text is embedded for: Cohere's words, and those of Voyage's, NVIDIA's and Jina's clients."""


LongTexts = Literal["cut", "mean"]
"""What becomes of texts that are too long: they are cut or refused, or have the mean of their windows."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """None leaves a thing to the model.

    ``max_tokens`` is a limit that counts where it is lower than the model's. ``normalize`` is False for the
    vector before the Normalize that a model ends with, and True for one of length 1 from any model.
    """

    prompt: str | None = None
    prompt_name: str | None = None
    input_type: InputType | None = None
    dimensions: int | None = None
    normalize: bool | None = None
    truncate: bool = True
    truncation_side: TruncationSide | None = None
    max_tokens: int | None = None
    long_texts: LongTexts = "cut"
    """``mean``: ``truncate`` and the side do not matter, as nothing is cut."""
    zeros: bool = False
    """Inputs that are empty, or have no tokens for the model, have vectors of zeros; or else are refused."""
    ranged: bool = False
    """The vectors become int8 or uint8, which takes the ranges of the model's artifact."""
    add_special_tokens: bool = True
    """False: token ids are taken as they are, without the special tokens that are around a text."""
