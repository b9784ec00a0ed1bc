"""What a caller may pass as inputs, and how long lists of them are parted."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from embed_onnx.errors import InvalidRequest

INPUTS_A_SLICE = 64
LENGTH_A_SLICE = 30_000
"""Inputs, and their characters, tokenized in one go, about 10 ms; between the slices of a long list, other
requests have their turn."""

Inputs = Sequence[str | list[int]]
"""Texts, or token ids of the model's own; one kind at a time."""
OneOrMore = str | list[int] | Inputs
"""An input, or a list of them."""


def listed(inputs: OneOrMore) -> tuple[Inputs, bool]:
    """Inputs as a list, and whether it was one alone.

    Raises:
        InvalidRequest: Something is neither a text nor token ids.
    """
    if isinstance(inputs, str):
        _check_kind(inputs, 0)
        return [inputs], True
    if not isinstance(inputs, Iterable) or isinstance(inputs, bytes):
        raise InvalidRequest(f"inputs is {inputs!r}; give a text or a list of texts", param="input")
    items: list[Any] = list(inputs)
    if items and _are_ids(items):
        return [items], True
    for index, item in enumerate(items):
        _check_kind(item, index)
    return items, False


def slices(inputs: Inputs, prompt_length: int) -> Iterator[Inputs]:
    """The inputs, each behind a prompt of so many characters, parted into lists for one go each."""
    first = length = 0
    for index, item in enumerate(inputs):
        length += prompt_length + len(item)
        if (length > LENGTH_A_SLICE and index > first) or index - first == INPUTS_A_SLICE:
            yield inputs[first:index]
            first, length = index, prompt_length + len(item)
    yield inputs[first:]


def _are_ids(items: list[Any]) -> bool:
    return all(isinstance(item, int) for item in items)


def _check_kind(item: object, index: int) -> None:
    """Refuse what is neither a text nor token ids, which over HTTP the wire's types do."""
    if isinstance(item, str):
        try:
            item.encode()
        except UnicodeEncodeError as err:
            raise InvalidRequest(
                f"input[{index}] is not valid Unicode: character {err.start} is half of a surrogate pair; "
                "decode it with errors='replace'",
                param="input",
            ) from None
    elif not (isinstance(item, list) and _are_ids(item)):
        raise InvalidRequest(
            f"input[{index}] is of type {type(item).__name__}; give a text, or a list of token ids",
            param="input",
        )
