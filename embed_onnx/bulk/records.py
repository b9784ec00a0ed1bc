"""What a file of texts is read as: a record each, with a text or the reason why there is none."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple


class Record(NamedTuple):
    """``text`` is whatever stands in its place; with a reason, there is nothing to look at."""

    line: int
    text: Any
    columns: Sequence[Any] = ()
    reason: str = ""


Units = tuple[Iterator[Any], Callable[[Any], Record]]
"""What makes up the records of a file, which can be passed over, and how one becomes a record."""


def is_unicode(text: str) -> bool:
    """Whether it holds no lone surrogate, which stands for a byte that is not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
