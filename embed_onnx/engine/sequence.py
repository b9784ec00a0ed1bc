"""The tokens of one text: what is queued, packed and run."""

from collections.abc import Sequence

import msgspec


class TokenSequence(msgspec.Struct, frozen=True):
    """Token ids, special tokens included; the first ``prompt`` of them are not pooled.

    From ``second`` on, they are of token type 1, where the model has types; None: all are of type 0. The last
    ``unattended`` ones attend to those before them, and nothing attends to them.
    """

    ids: Sequence[int]
    prompt: int = 0
    second: int | None = None
    unattended: int = 0

    def __len__(self) -> int:
        """Tokens."""
        return len(self.ids)
