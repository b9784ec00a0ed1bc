"""From the texts and pairs of texts of one request to the tokens that a model which scores sees of them."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby

import msgspec

from embed_onnx.artifact.manifest import Manifest, TruncationSide
from embed_onnx.errors import InvalidRequest, TextTooLong
from embed_onnx.models.inputs import Item, slices
from embed_onnx.models.model_files import Parts
from embed_onnx.models.pairs import PairTokenizer
from embed_onnx.models.request_tokenizer import LENGTH_AT_ONCE, in_tokenizer_thread
from embed_onnx.models.tokenizer import Content, Tokens

LEAST = 2
"""Tokens that a limit leaves beside the special ones: one of each text."""


class ScoreOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a request may ask of a model that scores; None leaves a thing to the model.

    ``max_tokens`` is a limit of a whole pair that counts where it is lower than the model's, and
    ``max_tokens_per_doc`` one of second texts, without special tokens. ``field`` is how errors name the list
    of items.
    """

    truncate: bool = True
    truncation_side: TruncationSide | None = None
    max_tokens: int | None = None
    max_tokens_per_doc: int | None = None
    field: str = "input"


class RequestPairs:
    """Tokenizes the items of a request, all at once or in slices. Its options are resolved once."""

    def __init__(self, parts: Parts, manifest: Manifest, options: ScoreOptions) -> None:
        self._tokenizer = parts.tokenizer
        self._pairs = parts.pairs
        self._manifest = manifest
        self._options = options
        self._limit = self._tokenizer.limit(max_tokens=options.max_tokens, side=options.truncation_side)
        self._first: tuple[str, Content] | None = None
        """The first text of the last pair, as the pairs of a request mostly have the same."""
        self._check_limit()

    def _check_limit(self) -> None:
        """Refuse a limit that leaves no room for texts."""
        limit = self._options.max_tokens
        template = self._tokenizer.template if self._pairs is None else self._pairs.template
        least = len(template) + LEAST
        if limit is not None and limit < least:
            raise InvalidRequest(
                f"max_tokens is {limit}, and this model puts {len(template)} special tokens around texts; "
                f"send at least {least}",
                param="max_tokens",
            )

    def slices(self, items: Sequence[Item]) -> Iterator[Sequence[Item]]:
        """The items, parted into lists for one go each."""
        return slices(items, 0, length)

    async def tokens_async(self, items: Sequence[Item], *, first: int = 0) -> list[Tokens]:
        """``tokens``, off the event loop; a few words take less time than the way to another thread."""
        if sum(map(length, items)) <= LENGTH_AT_ONCE:
            return self.tokens(items, first=first)
        return await in_tokenizer_thread(partial(self.tokens, items, first=first))

    def tokens(self, items: Sequence[Item], *, first: int = 0) -> list[Tokens]:
        """What the model sees of each item; errors count items from ``first``.

        Raises:
            InvalidRequest: The model takes no pairs, and one of them is.
            TextTooLong: An item is over the limit and must not be cut.
        """
        tokens: list[Tokens] = []
        for query, group in groupby(items, lambda item: None if isinstance(item, str) else item[0]):
            same = list(group)
            tokens += self._of_texts(same) if query is None else self._of_pairs(query, same)
        if not self._options.truncate:
            for index, (item, its_tokens) in enumerate(zip(items, tokens, strict=True), start=first):
                self._check_length(item, its_tokens, index)
        return tokens

    def _of_texts(self, texts: Sequence[Item]) -> list[Tokens]:
        return self._tokenizer.encode([text for text in texts if isinstance(text, str)], self._limit)

    def _of_pairs(self, query: str, pairs: Sequence[Item]) -> list[Tokens]:
        """The tokens of pairs with the same first text, which is tokenized once in a request."""
        tokenizer = self._pair_tokenizer()
        if self._first is None or self._first[0] != query:
            self._first = query, tokenizer.first(query, self._limit)
        seconds = [pair[1] for pair in pairs]
        return tokenizer.pairs(self._first[1], seconds, self._limit, most=self._options.max_tokens_per_doc)

    def _pair_tokenizer(self) -> PairTokenizer:
        if self._pairs is None:
            raise InvalidRequest(
                f"{self._options.field} has a pair of texts, and {self._manifest.name} takes single texts "
                "alone; send texts",
                param=self._options.field,
            )
        return self._pairs

    def _check_length(self, item: Item, tokens: Tokens, index: int) -> None:
        """Refuse what would be cut. Clients know a text that is too long by OpenAI's words for it."""
        if not tokens.truncated:
            return
        options, most = self._options, self._manifest.max_tokens
        kind = "tokens" if isinstance(item, str) else "tokens as a pair"
        at_least = "" if tokens.exact else "at least "
        limit = f"this model's maximum context length is {most} tokens"
        if options.max_tokens is not None and (most is None or options.max_tokens < most):
            limit = f"max_tokens is {options.max_tokens}"
        if options.max_tokens_per_doc is not None and tokens.full_length <= self._limit.max_tokens:
            limit = f"max_tokens_per_doc is {options.max_tokens_per_doc}"
        raise TextTooLong(
            f"{options.field}[{index}] has {at_least}{tokens.full_length} {kind}, and {limit}; shorten it, "
            "or send truncate=true to have it cut",
            param=options.field,
        )


def length(item: Item) -> int:
    """The characters of a text, or of both texts of a pair."""
    return len(item) if isinstance(item, str) else len(item[0]) + len(item[1])
