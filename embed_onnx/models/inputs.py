"""What a caller may pass as inputs, and how long lists of them are parted."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from embed_onnx.errors import InvalidRequest

INPUTS_A_SLICE = 64
LENGTH_A_SLICE = 30_000
"""Inputs, and their characters, tokenized in one go, about 10 ms; between the slices of a long list, other
requests have their turn."""

Inputs = Sequence[str | list[int]]
"""Texts, or token ids of the model's own; one kind at a time."""
OneOrMore = str | list[int] | Inputs
"""An input, or a list of them."""
Pair = tuple[str, str]
Item = str | Pair
"""What is scored."""
T = TypeVar("T")


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


def texts(values: Iterable[str], field: str) -> list[str]:
    """A list of texts, of which none is empty; errors call it ``field``.

    Raises:
        InvalidRequest: It is one text, something else is in it or nothing at all, or a text is empty.
    """
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise InvalidRequest(f"{field} is of type {type(values).__name__}; give a list of texts", param=field)
    items = list(values)
    if not items:
        raise InvalidRequest(f"{field} is an empty list; send at least one text", param=field)
    for index, item in enumerate(items):
        check_text(item, f"{field}[{index}]", field)
    return items


def items(values: Item | Sequence[Item]) -> tuple[list[Item], bool]:
    """Texts and pairs of texts as a list, and whether it was one alone. A pair is a tuple.

    Raises:
        InvalidRequest: Something is neither, or a text is empty.
    """
    alone = isinstance(values, str) or _is_pair(values)
    if alone:
        checked: list[Any] = [values]
    elif isinstance(values, Iterable) and not isinstance(values, bytes):
        checked = list(values)
    else:
        kind = type(values).__name__
        raise InvalidRequest(f"input is of type {kind}; give a text or a list of texts", param="input")
    for index, item in enumerate(checked):
        for text in item if _is_pair(item) else (item,):
            check_text(text, f"input[{index}]", "input")
    return checked, alone


def _is_pair(value: object) -> bool:
    """Whether it is a tuple of two texts."""
    return isinstance(value, tuple) and len(value) == 2 and all(isinstance(text, str) for text in value)


def check_text(value: object, name: str, field: str) -> None:
    """Refuse what is not a text, or is empty.

    Raises:
        InvalidRequest: It is; ``field`` is its ``param``.
    """
    if not isinstance(value, str):
        raise InvalidRequest(f"{name} is of type {type(value).__name__}; give a text", param=field)
    _check_unicode(value, name, field)
    if not value:
        raise InvalidRequest(f"{name} is empty; leave it out", param=field)


def slices(
    inputs: Sequence[T],
    prompt_length: int,
    length_of: Callable[[T], int] = len,  # type: ignore[assignment]
) -> Iterator[Sequence[T]]:
    """The inputs, each behind a prompt of so many characters, parted into lists for one go each."""
    first = length = 0
    for index, item in enumerate(inputs):
        length += prompt_length + length_of(item)
        if (length > LENGTH_A_SLICE and index > first) or index - first == INPUTS_A_SLICE:
            yield inputs[first:index]
            first, length = index, prompt_length + length_of(item)
    yield inputs[first:]


def _are_ids(items: list[Any]) -> bool:
    return all(isinstance(item, int) for item in items)


def _check_kind(item: object, index: int) -> None:
    """Refuse what is neither a text nor token ids, which over HTTP the wire's types do."""
    if isinstance(item, str):
        _check_unicode(item, f"input[{index}]", "input")
    elif not (isinstance(item, list) and _are_ids(item)):
        raise InvalidRequest(
            f"input[{index}] is of type {type(item).__name__}; give a text, or a list of token ids",
            param="input",
        )


def _check_unicode(text: str, name: str, field: str) -> None:
    """Refuse halves of surrogate pairs, which the tokenizer does not take."""
    try:
        text.encode()
    except UnicodeEncodeError as err:
        raise InvalidRequest(
            f"{name} is not valid Unicode: character {err.start} is half of a surrogate pair; decode it with "
            "errors='replace'",
            param=field,
        ) from None
