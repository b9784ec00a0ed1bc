"""From the inputs of one request to the tokens that the model sees of them, or why it cannot take them.

Texts are tokenized in threads of their own, as an event loop must not wait for them.
"""

import asyncio
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import msgspec

from embed_onnx.artifact.manifest import Manifest
from embed_onnx.artifact.outputs import Dense, TokenRole, TokenVectors
from embed_onnx.errors import InvalidRequest, TextTooLong
from embed_onnx.models import prompts, windows
from embed_onnx.models.inputs import Inputs, slices
from embed_onnx.models.options import Options
from embed_onnx.models.tokenizer import NO_TEMPLATE, Limit, Tokenizer, Tokens
from embed_onnx.system import cpu, forks

LENGTH_AT_ONCE = 500
"""Characters tokenized on the event loop, about 0.1 ms."""

TOKENIZERS = 4
"""Threads that tokenize for event loops."""
_threads = forks.Pool(TOKENIZERS, "tokenize", cpu.lower_priority)
"""Of our own, so that whatever texts hold, it delays nothing but texts."""

LANGCHAIN = "If LangChain sent it, set check_embedding_ctx_length=False so that it sends texts"
"""It sends ids of OpenAI's vocabulary by default."""

T = TypeVar("T")


async def in_tokenizer_thread(work: Callable[[], T]) -> T:
    """Call what takes a while in a thread that is there for texts."""
    return await asyncio.get_running_loop().run_in_executor(_threads.executor, work)


async def off_loop(work: Callable[[], T], *, quick: bool) -> T:
    """Call what takes a while in such a thread, but at once what is ``quick``: the way there takes 0.1 ms."""
    return work() if quick else await in_tokenizer_thread(work)


class RequestTokenizer:
    """Tokenizes the inputs of a request, all at once or in slices. Its options are resolved once.

    The windows of a long text may have ``most_tokens`` together.
    """

    def __init__(
        self, tokenizer: Tokenizer, manifest: Manifest, options: Options, *, most_tokens: int = sys.maxsize
    ) -> None:
        self._tokenizer = tokenizer
        self._manifest = manifest
        self._options = options
        self._most_tokens = most_tokens
        # Not cached_property: up to Python 3.11 it has one lock for all requests, which a fork may copy held.
        self._resolved_prompt: str | None = None
        self._resolved_prompt_tokens: int | None = None
        self._resolved_limit: Limit | None = None
        output = manifest.output
        self._role = role_of(output, options) if isinstance(output, TokenVectors) else None

    @property
    def prompt(self) -> str:
        """What is put before each text.

        Raises:
            InvalidRequest: The model has no prompt of that name.
        """
        if self._resolved_prompt is None:
            self._resolved_prompt = prompts.resolve(self._manifest, self._options)
        return self._resolved_prompt

    @property
    def _prompt_tokens(self) -> int:
        """Tokens of the prompt that are not pooled."""
        output = self._manifest.output
        if not self.prompt or not isinstance(output, Dense) or output.include_prompt:
            return 0
        if self._resolved_prompt_tokens is None:
            self._resolved_prompt_tokens = self._tokenizer.prompt_length(self.prompt, self._limit)
        return self._resolved_prompt_tokens

    @property
    def _limit(self) -> Limit:
        """The limit of a text, which must leave room for a token beside the special ones."""
        if self._resolved_limit is not None:
            return self._resolved_limit
        limit = self._options.max_tokens
        special = len(self._tokenizer.template) if self._options.add_special_tokens else 0
        if limit is not None and limit <= special:
            raise InvalidRequest(
                f"max_tokens is {limit}, and this model puts {special} special tokens around each text; send "
                f"at least {special + 1}",
                param="max_tokens",
            )
        limits = [each for each in (limit, self._own_limit) if each is not None]
        self._resolved_limit = self._tokenizer.limit(
            max_tokens=min(limits, default=None), side=self._options.truncation_side
        )
        return self._resolved_limit

    @property
    def _own_limit(self) -> int | None:
        """The model's limit for texts of this role."""
        return self._manifest.max_tokens if self._role is None else self._role.max_tokens

    def slices(self, inputs: Inputs) -> Iterator[Inputs]:
        """The inputs, parted into lists for one go each."""
        return slices(inputs, len(self.prompt))

    async def tokens_async(self, inputs: Inputs, *, first: int = 0) -> list[Tokens]:
        """``tokens``, off the event loop; a few words take less time than the way to another thread."""
        return await off_loop(partial(self.tokens, inputs, first=first), quick=self.is_quick(inputs))

    def is_quick(self, inputs: Inputs) -> bool:
        """Whether inputs are tokenized in less time than the way to another thread takes."""
        return sum(len(self.prompt) + len(item) for item in inputs) <= LENGTH_AT_ONCE

    def tokens(self, inputs: Inputs, *, first: int = 0) -> list[Tokens]:
        """What the model sees of each input; errors count inputs from ``first``.

        Raises:
            InvalidRequest: The prompt is unknown, an id is outside the vocabulary, or an input has no tokens.
            TextTooLong: An input is over the limit and must not be cut.
        """
        if isinstance(inputs, str):
            raise InvalidRequest("inputs is one text; give a list of texts", param="input")
        limit = self._limit
        texts = [item for item in inputs if isinstance(item, str)]
        if len(texts) == len(inputs):
            tokens = self._of_texts(texts, limit)
        elif texts:
            raise InvalidRequest("input mixes texts and token ids; send one kind in a request", param="input")
        else:
            tokens = self._of_ids([ids for ids in inputs if not isinstance(ids, str)], limit, first)
        if self._options.long_texts == "mean":
            pairs = enumerate(zip(inputs, tokens, strict=True), start=first)
            tokens = [self._whole(source, item, index) for index, (source, item) in pairs]
        for index, item in enumerate(tokens, start=first):
            self._check_length(item, index)
        return tokens

    def _of_texts(self, texts: list[str], limit: Limit) -> list[Tokens]:
        if texts and not self._options.add_special_tokens:
            raise InvalidRequest(
                "add_special_tokens is false, and texts always get the model's special tokens; leave it "
                "out, or send token ids",
                param="add_special_tokens",
            )
        tokens = self._tokenizer.encode([self.prompt + text for text in texts], limit)
        if self._role is not None:
            tokens = [expanded(item, self._role) for item in tokens]
        if self._options.zeros:
            tokens = [item if text else Tokens([], 0) for item, text in zip(tokens, texts, strict=True)]
        if self._prompt_tokens:
            tokens = [msgspec.structs.replace(item, prompt=self._prompt_tokens) for item in tokens]
        return tokens

    def _of_ids(self, inputs: list[list[int]], limit: Limit, first: int) -> list[Tokens]:
        for index, ids in enumerate(inputs, start=first):
            self._check_ids(ids, index)
        raw = not self._options.add_special_tokens
        return [self._tokenizer.cut_ids(ids, limit, raw=raw) for ids in inputs]

    def _whole(self, source: str | list[int], tokens: Tokens, index: int) -> Tokens:
        """The tokens of an input, in windows if they were cut."""
        if not isinstance(self._manifest.output, Dense):
            raise InvalidRequest(
                f"long_texts is mean, and {self._manifest.name} does not make one dense vector of a text; "
                "leave it out",
                param="long_texts",
            )
        if not tokens.truncated:
            return tokens
        template = self._tokenizer.template if self._options.add_special_tokens else NO_TEMPLATE
        if isinstance(source, str):
            prompt, own = self._tokenizer.parted(self.prompt, source)
        else:
            prompt, own = [], source[len(template.before) : len(source) - len(template.after)]
        around = len(template) + len(prompt)
        room = self._limit.max_tokens - around
        if room < windows.LEAST_ROOM:
            raise InvalidRequest(
                f"long_texts is mean, and {around} of the {self._limit.max_tokens} tokens of a window are of "
                f"the prompt or special ones; at least {windows.LEAST_ROOM} must be left for input[{index}]: "
                "shorten the prompt, raise max_tokens, or send long_texts=cut",
                param="long_texts",
            )
        number = windows.count(len(own), room)
        total = len(own) + number * around
        if total > self._most_tokens:
            raise InvalidRequest(
                f"input[{index}] has {total} tokens in {number} windows and the queue holds "
                f"{self._most_tokens}; shorten it, or raise the server's --queue-tokens",
                param="input",
            )
        return windows.parted(prompt, own, number, template, unpooled=tokens.prompt)

    def _check_ids(self, ids: list[int], index: int) -> None:
        """Refuse what cannot be this model's token ids; a prompt is text and cannot be put before them."""
        for name in ("prompt", "prompt_name", "input_type"):
            if getattr(self._options, name) is not None:
                raise InvalidRequest(
                    f"{name} puts a prompt before texts, and input is token ids; send texts", param=name
                )
        num_ids = self._tokenizer.num_ids
        for token_id in ids:
            if not 0 <= token_id < num_ids:
                raise InvalidRequest(
                    f"input[{index}] has the token id {token_id}, and this model's vocabulary ends at "
                    f"{num_ids - 1}. {LANGCHAIN}",
                    param="input",
                )
        if ids and self._options.add_special_tokens and not self._tokenizer.template.is_around(ids):
            raise InvalidRequest(
                f"input[{index}] lacks the special tokens that this model puts around a text, "
                f"{_described(self._tokenizer)}, so its ids are probably another model's; send texts or what "
                "POST /tokenize gives, or add_special_tokens=false if the ids are meant as they are. "
                f"{LANGCHAIN}",
                param="input",
            )

    def _check_length(self, tokens: Tokens, index: int) -> None:
        if not tokens.ids:
            if self._options.zeros:
                return
            raise InvalidRequest(f"input[{index}] has no tokens for this model; leave it out", param="input")
        if tokens.num_tokens <= tokens.prompt:
            raise InvalidRequest(
                f"input[{index}] has {tokens.num_tokens} tokens with its prompt, whose {tokens.prompt} this "
                "model does not pool, so nothing is left to embed; shorten the prompt",
                param="input",
            )
        if tokens.truncated and not self._options.truncate:
            raise self._too_long(tokens, index)

    def _too_long(self, tokens: Tokens, index: int) -> TextTooLong:
        """Clients know a text that is too long for a model by OpenAI's words for it."""
        length = f"input[{index}] has {'' if tokens.exact else 'at least '}{tokens.full_length} tokens"
        most, own = self._own_limit, self._options.max_tokens
        limit = f"this model's maximum context length is {most} tokens"
        if own is not None and (most is None or own < most):
            limit = f"max_tokens is {own}"
        return TextTooLong(
            f"{length}, and {limit}; shorten it, or send truncate=true to have it cut", param="input"
        )


def role_of(output: TokenVectors, options: Options) -> TokenRole:
    """How a model of token vectors reads the texts of a request."""
    return output.query if prompts.are_queries(options) else output.document


def expanded(tokens: Tokens, role: TokenRole) -> Tokens:
    """The tokens of a text with those that are put after it."""
    expansion = role.expansion
    missing = 0 if expansion is None else expansion.length - len(tokens.ids)
    if expansion is None or missing <= 0:
        return tokens
    return msgspec.structs.replace(
        tokens,
        ids=tokens.ids + [expansion.token_id] * missing,
        full_length=tokens.full_length + missing,
        unattended=0 if expansion.attended else missing,
    )


def _described(tokenizer: Tokenizer) -> str:
    """The special tokens around a text, in words."""
    sides = {"before": tokenizer.template.before, "after": tokenizer.template.after}
    return " and ".join(f"{_named(tokenizer, ids)} {side} it" for side, ids in sides.items() if ids)


def _named(tokenizer: Tokenizer, ids: list[int]) -> str:
    words = tokenizer.words(ids)
    return ", ".join(f"{word} ({token_id})" for word, token_id in zip(words, ids, strict=True))
