"""Pairs of texts as a model sees them: its special tokens around the two, cut where they are too long.

A pair is put together as tokenizers' post-processor does, and cut ``longest_first`` as tokenizers cuts it for
Sentence-Transformers, so that the first text of many pairs is tokenized once.
"""

from collections.abc import Sequence

import msgspec

from embed_onnx.errors import ArtifactError
from embed_onnx.models.tokenizer import NO_ID, Content, Limit, Tokenizer, Tokens

FIRST, SECOND = NO_ID, NO_ID - 1
"""Ids that no vocabulary has, in the places of the two texts."""


class PairTemplate(msgspec.Struct, frozen=True):
    """The special tokens before, between and after two texts.

    The first ``plain`` of those between are of token type 0, and what follows is of type 1. None: all are of
    type 0.
    """

    before: list[int]
    between: list[int]
    after: list[int]
    plain: int | None

    def __len__(self) -> int:
        return len(self.before) + len(self.between) + len(self.after)

    def around(self, first: list[int], second: list[int], full_length: int, *, exact: bool) -> Tokens:
        """The tokens of a pair, whose texts have been cut."""
        start = len(self.before) + len(first)
        return Tokens(
            self.before + first + self.between + second + self.after,
            full_length,
            exact,
            second=None if self.plain is None else start + self.plain,
        )


def template(tokenizer: Tokenizer) -> PairTemplate | None:
    """What is put around two texts, seen on texts that no vocabulary has.

    None if that is not served: a text is left out or there twice, the second one comes first, or token types
    are not 0 and then 1.
    """
    ids, types = tokenizer.pair_of(FIRST, SECOND)
    if ids.count(FIRST) != 1 or ids.count(SECOND) != 1:
        return None
    first, second = ids.index(FIRST), ids.index(SECOND)
    if first > second or types != sorted(types) or set(types) - {0, types[second]} or types[first] != 0:
        return None
    if types[second] not in (0, 1):
        return None
    return PairTemplate(
        before=ids[:first],
        between=ids[first + 1 : second],
        after=ids[second + 1 :],
        plain=types.index(1) - first - 1 if types[second] == 1 else None,
    )


def lengths(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens are left of two texts for which there is so much room, as tokenizers cuts them.

    The longer one is cut down to the shorter, then both to a half; an odd token is the longer one's, or of
    two equal ones, the second's.
    """
    if first + second <= room:
        return first, second
    shorter = min(first, second)
    longer = max(shorter, room - shorter)
    if shorter + longer > room:
        shorter = room // 2
        longer = room - shorter
    return (longer, shorter) if first > second else (shorter, longer)


class PairTokenizer:
    """Makes the pairs of one model. Thread-safe.

    Raises:
        ArtifactError: Its tokenizer has no pairs that are served.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        served = template(tokenizer)
        if served is None:
            raise ArtifactError(
                "its tokenizer puts pairs of texts together in a way that is not served; export it again"
            )
        self._tokenizer = tokenizer
        self.template = served

    def first(self, text: str, limit: Limit) -> Content:
        """The tokens of a text for ``pairs`` of it with others under the same limit."""
        (content,) = self._tokenizer.contents([text], limit, self._room(limit))
        if not content.exact:
            (content,) = self._tokenizer.contents([text], limit, None)
        return content

    def pairs(
        self, first: Content, seconds: Sequence[str], limit: Limit, *, most: int | None = None
    ) -> list[Tokens]:
        """The tokens of one text with each of others, each pair cut at a limit.

        A limit leaves room for the special tokens and two more. Of the others, ``most`` tokens count.
        """
        room = self._room(limit)
        # Beside a text that fills the room by itself, which of the two is longer decides an odd token.
        decisive = room if first.full_length <= room else None
        counted = min((number for number in (decisive, most) if number is not None), default=None)
        documents = self._tokenizer.contents(seconds, limit, counted)
        return [self._pair(first, document, room, limit, most) for document in documents]

    def _room(self, limit: Limit) -> int:
        """Tokens of two texts for which a limit leaves room."""
        return limit.max_tokens - len(self.template)

    def _pair(self, first: Content, second: Content, room: int, limit: Limit, most: int | None) -> Tokens:
        length = second.full_length if most is None else min(second.full_length, most)
        kept = lengths(first.full_length, length, room)
        full_length = first.full_length + second.full_length + len(self.template)
        return self.template.around(
            first.cut(kept[0], limit.side),
            second.cut(kept[1], limit.side),
            full_length,
            exact=first.exact and second.exact,
        )
