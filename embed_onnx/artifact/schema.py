"""The base of manifest.json's structs, and a type that they share."""

from typing import Annotated

import msgspec

Positive = Annotated[int, msgspec.Meta(ge=1)]


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an export wrote: an unknown field is an error."""
