"""The fields that requests for scores have in common, on every wire, and what models are asked of them."""

from typing import Annotated

import msgspec
from msgspec import Meta

from embed_onnx.http.body.options import CutOptions

ModelName = Annotated[str | None, Meta(description="Left out: the first model that can do this.")]
RawScores = Annotated[
    bool | None,
    Meta(
        description="`true`: logits, in place of scores from 0 to 1. Those of a model of token vectors "
        "are sums of maxima in any case."
    ),
]
NotServed = Annotated[None, Meta(description="Not served: it would change a score.")]


class ScoringOptions(CutOptions, frozen=True, kw_only=True):
    """Fields that decide the tokens of texts and pairs; ``max_tokens`` is of a whole pair.

    Unknown fields are ignored, but for those that would change a score.
    """

    truncate_prompt_tokens: Annotated[
        Annotated[int, Meta(ge=-1)] | None,
        Meta(description="vLLM's name of `max_tokens`, which cuts; -1 is the model's own limit."),
    ] = None
    instruction: NotServed = None
    long_texts: NotServed = None
    prompt: NotServed = None
    prompt_name: NotServed = None

    def cut(self) -> CutOptions:
        """With vLLM's limit in place of ours."""
        limit = self.truncate_prompt_tokens
        if limit is None:
            return self
        limits = [each for each in (self.max_tokens, limit) if each is not None and each > 0]
        return msgspec.structs.replace(
            self,
            max_tokens=min(limits, default=None),
            truncate=True if self.truncate is None else self.truncate,
        )
