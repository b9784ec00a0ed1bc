"""The tokens of one text: what is queued, packed and run."""

from collections.abc import Sequence

import msgspec


class TokenSequence(msgspec.Struct, frozen=True):
    """Token ids, special tokens included; the first ``prompt`` of them are not pooled."""

    ids: Sequence[int]
    prompt: int = 0

    def __len__(self) -> int:
        """Tokens."""
        return len(self.ids)
