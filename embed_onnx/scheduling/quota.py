"""How much of a limit one tenant may hold, so that there is always some of it for the others."""

from collections.abc import Callable

import msgspec

from embed_onnx.errors import Overloaded


class Quota(msgspec.Struct, frozen=True):
    """A limit on what all tenants hold together. ``held_words`` say of a number what is held: "tokens wait".

    A tenant that holds something may hold no more than there is room left (dynamic thresholds: Choudhury and
    Hahne, 1998).
    """

    limit: int
    held_words: str

    def check(self, more: int, *, held: int, own: int, retry_after: Callable[[], float]) -> None:
        """Refuse ``more`` of a tenant that does not fit, beside what is held, ``own`` of it the tenant's.

        Where nothing is held, anything fits. ``retry_after`` gives the seconds after which it may.

        Raises:
            Overloaded: It does not fit.
        """
        if not held or held + own + more <= self.limit:
            return
        yours, share = (f", {own} of them yours", "your share of ") if own else ("", "")
        raise Overloaded(
            f"{held} {self.held_words}{yours}, and {more} more exceed {share}the limit of {self.limit}; "
            "try later",
            retry_after=retry_after(),
        )
