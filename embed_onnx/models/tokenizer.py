"""Texts to token ids, and how much of each was cut. Wraps Hugging Face's ``tokenizers``."""

import copy
import itertools
import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple, Self

import msgspec
import tokenizers
from msgspec import Meta

from embed_onnx.artifact.manifest import TruncationSide
from embed_onnx.errors import ArtifactError
from embed_onnx.models import literal_tokens

# Texts are tokenized beside inference, which has the cores; a thread pool of the library's own
# would take them away and, being sized from the host, ignore container quotas.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

PREFIX_CHARACTERS_PER_TOKEN = 16
"""How much of a very long text is looked at first; most languages need under 6."""

MARGIN_CHARACTERS = 16
"""How far from the end of a prefix its characters are what they would be in the whole text, at the least:
those that combine have combined."""

NO_ID = 2**32 - 1
"""The highest number that the tokenizers library takes as an id."""


class Tokens(msgspec.Struct, frozen=True):
    """One input as the model sees it.

    ``full_length`` counts its tokens before the cut. Of a text far over the limit only as much is
    tokenized as the limit needs; ``full_length`` is then a lower bound and not ``exact``. Its first
    ``prompt`` tokens are those of a prompt that is not pooled. From ``second`` on, tokens are of type 1. The
    last ``unattended`` ones are an expansion that nothing attends to.
    """

    ids: list[int]
    full_length: int
    exact: bool = True
    prompt: int = 0
    second: int | None = None
    unattended: int = 0

    @property
    def num_tokens(self) -> int:
        """Special tokens included."""
        return len(self.ids)

    @property
    def truncated(self) -> bool:
        """Whether tokens were cut off."""
        return self.full_length > len(self.ids)


class Content(msgspec.Struct, frozen=True):
    """The tokens of a text without those that a model puts around it; fewer than ``full_length`` if cut.

    ``full_length`` is a lower bound where it is not ``exact``.
    """

    ids: list[int]
    full_length: int
    exact: bool

    def cut(self, length: int, side: TruncationSide) -> list[int]:
        """So many of its tokens, or all, at its start or where the left side is cut at its end."""
        return self.ids[:length] if side == "right" else self.ids[max(0, len(self.ids) - length) :]


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """A token and the part of its text that it stands for, in bytes of UTF-8; a special one for none."""

    id: Annotated[int, Meta(description="Its id.")]
    text: Annotated[str, Meta(description="The vocabulary's entry.")]
    special: Annotated[bool, Meta(description="Whether it stands for no part of the text.")]
    start: Annotated[
        int | None, Meta(description="Where its part of the text begins, in bytes; null of a special one.")
    ] = None
    stop: Annotated[int | None, Meta(description="Where it ends.")] = None


class Limit(NamedTuple):
    """The most tokens of a text, special tokens included, and the side that a longer one is cut at."""

    max_tokens: int
    side: TruncationSide


class Template(msgspec.Struct, frozen=True):
    """The special tokens that a model puts before and after every text; there may be none."""

    before: list[int]
    after: list[int]

    def __len__(self) -> int:
        return len(self.before) + len(self.after)

    def is_around(self, ids: list[int]) -> bool:
        """Whether ids begin and end as those of a text do."""
        end = len(ids) - len(self.after)
        return len(ids) >= len(self) and ids[: len(self.before)] == self.before and ids[end:] == self.after


NO_TEMPLATE = Template([], [])
"""Of token ids that are taken as they are."""


def _template(tokenizer: tokenizers.Tokenizer) -> Template:
    """What the post-processor of a tokenizer puts around a text, seen on one that no vocabulary has."""
    encoding = tokenizer.encode("", add_special_tokens=False)
    length = len(encoding)
    encoding.pad(length + 1, pad_id=NO_ID)
    ids = tokenizer.post_process(encoding).ids
    place = ids.index(NO_ID)
    return Template(ids[: place - length], ids[place + 1 :])


def num_ids(tokenizer: tokenizers.Tokenizer) -> int:
    """One more than the highest id: as many as tokens, unless there are holes. Takes a microsecond each."""
    return 1 + max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)


class Tokenizer:
    """A model's tokenizer and its limit of ``max_tokens``, special tokens included, if any. Thread-safe.

    ``literal_special_tokens``: special tokens that are written in a text are ordinary text, but for those
    that ``prompts`` begin with.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_tokens: int | None,
        truncation_side: TruncationSide = "right",
        literal_special_tokens: bool = False,
        prompts: Collection[str] = (),
    ) -> None:
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        except Exception as err:  # the library raises bare Exception
            raise ArtifactError(f"{path} cannot be loaded: {err}; export the model again") from None
        self.template = _template(self._tokenizer)
        """What is put around every text."""
        added = self._tokenizer.get_added_tokens_decoder()
        self._special_ids = {token_id for token_id, token in added.items() if token.special}
        self._special_words = {
            token_id: str(self._tokenizer.id_to_token(token_id))
            for token_id in self._special_ids.union(self.template.before, self.template.after)
        }
        if literal_special_tokens:
            words = [
                word
                for word in self._special_words.values()
                if not any(prompt.startswith(word) for prompt in prompts)
            ]
            renamed = literal_tokens.rename(path.read_bytes(), words)
            self._tokenizer = tokenizers.Tokenizer.from_buffer(renamed)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.max_tokens = sys.maxsize if max_tokens is None else max_tokens
        self._side = truncation_side
        self._num_ids: int | None = None
        in_texts = (token for token in added.values() if not (literal_special_tokens and token.special))
        # Twice: an added token may also stand for text that normalization has made shorter.
        longest = max((len(token.content) for token in in_texts), default=0)
        self._margin = MARGIN_CHARACTERS + 2 * longest

    @property
    def num_ids(self) -> int:
        """One more than the highest id. Counted when token ids first come, as that takes 15 ms and 4 MB."""
        if self._num_ids is None:
            self._num_ids = num_ids(self._tokenizer)
        return self._num_ids

    def with_limit(self, max_tokens: int) -> Self:
        """The same tokenizer with another limit."""
        other = copy.copy(self)
        other.max_tokens = max_tokens
        return other

    def limit(self, *, max_tokens: int | None = None, side: TruncationSide | None = None) -> Limit:
        """A limit that is lower than the model's, or cuts another side; None is the model's."""
        most = self.max_tokens if max_tokens is None else min(max_tokens, self.max_tokens)
        return Limit(most, side or self._side)

    def encode(self, texts: Sequence[str], limit: Limit | None = None) -> list[Tokens]:
        """The texts' token ids, each cut at the model's limit, or one that has room for a token at least."""
        limit = limit or self.limit()
        long = limit.max_tokens * PREFIX_CHARACTERS_PER_TOKEN
        short_texts = [text for text in texts if len(text) <= long]
        short = iter(self._tokenizer.encode_batch_fast(short_texts, add_special_tokens=False))
        return [
            self._encode_long(text, limit) if len(text) > long else self._cut(next(short), limit)
            for text in texts
        ]

    def pair_of(self, first: int, second: int) -> tuple[list[int], list[int]]:
        """The ids and token types of two texts of an id each, as the post-processor puts them together."""
        encodings = []
        for token_id in (first, second):
            encoding = self._tokenizer.encode("", add_special_tokens=False)
            encoding.pad(len(encoding) + 1, pad_id=token_id)
            encoding.truncate(1, direction="left")
            encodings.append(encoding)
        pair = self._tokenizer.post_process(encodings[0], encodings[1])
        return pair.ids, pair.type_ids

    def contents(self, texts: Sequence[str], limit: Limit, most: int | None) -> list[Content]:
        """The texts' tokens without special ones around them, ``most`` of each, cut at the limit's side."""
        room = sys.maxsize if most is None else most + len(self.template)
        start, end = len(self.template.before), len(self.template.after)
        return [
            Content(item.ids[start : len(item.ids) - end], item.full_length - len(self.template), item.exact)
            for item in self.encode(texts, Limit(room, limit.side))
        ]

    def cut_ids(self, ids: list[int], limit: Limit | None = None, *, raw: bool = False) -> Tokens:
        """Ids that a client tokenized itself, cut at the limit as a text is: within the template.

        ``raw`` ids have none, and are cut as they are.
        """
        limit = limit or self.limit()
        template = NO_TEMPLATE if raw else self.template
        start, end = len(template.before), len(ids) - len(template.after)
        text, room = ids[start:end], limit.max_tokens - len(template)
        kept = text[:room] if limit.side == "right" else text[max(0, len(text) - room) :]
        return Tokens(ids[:start] + kept + ids[max(0, end) :], len(ids))

    def parted(self, prompt: str, text: str) -> tuple[list[int], list[int]]:
        """The ids of a prompt and those of the text after it, all of them, without special tokens around.

        A token that stands for both the end of the prompt and the beginning of the text is the text's.
        """
        if not prompt:
            (encoding,) = self._tokenizer.encode_batch_fast([text], add_special_tokens=False)
            return [], encoding.ids
        # ``encode`` would hold the GIL; the fast form of the batch gives no offsets.
        (encoding,) = self._tokenizer.encode_batch([prompt + text], add_special_tokens=False)
        beyond = (place for place, (_, stop) in enumerate(encoding.offsets) if stop > len(prompt))
        ids, first = encoding.ids, next(beyond, len(encoding.ids))
        return ids[:first], ids[first:]

    def prompt_length(self, prompt: str, limit: Limit | None = None) -> int:
        """The tokens that a prompt puts before a text: those it has alone, but for a special one at its end.

        So sentence-transformers counts what is left out of the pooling where ``include_prompt`` is false.
        """
        limit = limit or self.limit()
        (tokens,) = self.encode([prompt], limit)
        if tokens.num_tokens >= limit.max_tokens:
            return tokens.num_tokens  # after it, there is room for special tokens alone
        ends_specially = bool(tokens.ids) and tokens.ids[-1] in self._special_ids
        return tokens.num_tokens - ends_specially

    def words(self, ids: Sequence[int]) -> list[str]:
        """The vocabulary's entries for ids; "" where it has a hole."""
        special = self._special_words
        return [special.get(token_id) or self._tokenizer.id_to_token(token_id) or "" for token_id in ids]

    def pieces(self, text: str, *, add_special_tokens: bool) -> list[Piece]:
        """All tokens of a text, without a cut, and where in its UTF-8 they come from."""
        (encoding,) = self._tokenizer.encode_batch([text], add_special_tokens=add_special_tokens)
        # The library counts characters.
        starts = [0, *itertools.accumulate(len(character.encode()) for character in text)]
        return [
            Piece(id=token_id, text=word, special=True)
            if special
            else Piece(
                id=token_id, text=text[start:stop], special=False, start=starts[start], stop=starts[stop]
            )
            for token_id, word, special, (start, stop) in zip(
                encoding.ids,
                self.words(encoding.ids),
                encoding.special_tokens_mask,
                encoding.offsets,
                strict=True,
            )
        ]

    def _cut(self, encoding: tokenizers.Encoding, limit: Limit) -> Tokens:
        full_length = len(self.template) + len(encoding)
        return Tokens(self._finish(encoding, limit), full_length)

    def _finish(self, encoding: tokenizers.Encoding, limit: Limit) -> list[int]:
        """Cut an encoding at the limit and put the special tokens around it."""
        encoding.truncate(limit.max_tokens - len(self.template), direction=limit.side)
        ids: list[int] = self._tokenizer.post_process(encoding).ids
        return ids

    def _encode_long(self, text: str, limit: Limit) -> Tokens:
        """Tokenize as much of a long text as decides its first ``max_tokens`` tokens.

        So the prefix grows until the tokens in it that are certain fill the limit; a text that is one
        word is tokenized whole, and so is one that is cut at the left.
        """
        size = limit.max_tokens * PREFIX_CHARACTERS_PER_TOKEN
        while size < len(text) and limit.side == "right":
            # ``encode`` would hold the GIL, the batch forms do not; the fast one gives no words.
            (encoding,) = self._tokenizer.encode_batch([text[:size]], add_special_tokens=False)
            certain = self._certain(text[:size], encoding)
            if len(self.template) + certain >= limit.max_tokens:
                # What is not certain is at least one token more.
                return Tokens(self._finish(encoding, limit), len(self.template) + certain + 1, exact=False)
            size *= 4
        (encoding,) = self._tokenizer.encode_batch_fast([text], add_special_tokens=False)
        return self._cut(encoding, limit)

    def _certain(self, prefix: str, encoding: tokenizers.Encoding) -> int:
        """How many of a prefix's tokens every text has that begins with it.

        Near its end, what follows may make an added token of the text, or other words of a run of white
        space. Before that, words are certain if they end there. Words are those of the pre-tokenizer.
        """
        words: list[int | None] = encoding.word_ids
        if not words:
            return 0
        end = len(prefix[: -self._margin].rstrip())
        beyond = (place for place, (_, stop) in enumerate(encoding.offsets) if stop > end)
        return words.index(words[next(beyond, len(words) - 1)])
