"""Turns between tenants, over a fair queue of requests for each. Pure data, as ``fair_queue``.

A tenant is the holder of an API key. Those that have work get equal shares of the tokens that are
handed out, however many requests each sends: the next pack is of the tenant that has had the least
(start-time fair queueing: Goyal, Vin and Cheng, 1996). Who had nothing waiting for a while does not save
up a claim. No pack mixes tenants.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Generic

from embed_onnx.scheduling.fair_queue import FairQueue, Request


class TenantQueue(Generic[Request]):
    """Sequences of many requests of many tenants, handed out in packs to ``lanes``."""

    def __init__(self, lanes: int = 1) -> None:
        self._lanes = lanes
        self._tenants: dict[Request, str] = {}
        """Of every request that waits."""
        self._queues: dict[str, FairQueue[Request]] = {}
        """Of every tenant that has something waiting."""
        self._handed_out: dict[str, float] = {}
        """Tokens handed out to each tenant, or what it would have had if it had always had work."""
        self._clock = 0.0
        """Where newcomers begin: what the tenant with the least had had at the last turn. The turn may have
        been another's, if it was a quick one."""

    def __len__(self) -> int:
        """Requests that wait."""
        return len(self._tenants)

    @property
    def tokens(self) -> int:
        """Tokens that wait. Like ``sequences``, it may be read while another thread changes the queue."""
        return sum(queue.tokens for queue in list(self._queues.values()))

    @property
    def sequences(self) -> int:
        """Sequences that wait."""
        return sum(queue.sequences for queue in list(self._queues.values()))

    def tokens_of(self, tenant: str) -> int:
        """Tokens of one tenant that wait."""
        queue = self._queues.get(tenant)
        return queue.tokens if queue else 0

    @property
    def has_quick(self) -> bool:
        """Whether a quick request waits."""
        return any(queue.has_quick for queue in self._queues.values())

    def add(
        self,
        request: Request,
        lengths: Sequence[int],
        *,
        tenant: str = "",
        key: Hashable = None,
        pack_tokens: int = 0,
    ) -> None:
        """Let a new request of a tenant wait; the rest is as in ``FairQueue.add``."""
        if tenant not in self._queues:
            self._queues[tenant] = FairQueue(self._lanes)
            self._handed_out[tenant] = max(self._handed_out.get(tenant, 0.0), self._clock)
        self._tenants[request] = tenant
        self._queues[tenant].add(request, lengths, key=key, pack_tokens=pack_tokens)

    def orders(self) -> list[list[Request]]:
        """The long of each tenant, in the order in which they would be served if nobody else came."""
        return [queue.order() for queue in self._queues.values()]

    def order_of(self, tenant: str) -> list[Request]:
        """The same, of one tenant."""
        queue = self._queues.get(tenant)
        return queue.order() if queue else []

    def take(self) -> list[tuple[Request, int]]:
        """The next pack, as requests and places in them; empty if nothing waits."""
        return self._take(list(self._queues), FairQueue.take)

    def take_quick(self) -> list[tuple[Request, int]]:
        """The next pack of quick requests; empty if none waits."""
        tenants = [tenant for tenant, queue in self._queues.items() if queue.has_quick]
        return self._take(tenants, FairQueue.take_quick)

    def remove(self, request: Request) -> None:
        """Forget what still waits of a request, if anything does."""
        tenant = self._tenants.pop(request, None)
        if tenant is None:
            return
        self._queues[tenant].remove(request)
        self._forget_empty(tenant)

    def _take(
        self, tenants: list[str], take: Callable[[FairQueue[Request]], list[tuple[Request, int]]]
    ) -> list[tuple[Request, int]]:
        if not tenants:
            return []
        tenant = min(tenants, key=self._handed_out.__getitem__)
        queue = self._queues[tenant]
        before = queue.tokens
        self._clock = max(self._clock, min(self._handed_out[name] for name in self._queues))
        pack = take(queue)
        self._handed_out[tenant] += before - queue.tokens
        for request in dict(pack):
            if request not in queue:
                del self._tenants[request]
        self._forget_empty(tenant)
        return pack

    def _forget_empty(self, tenant: str) -> None:
        if not self._queues[tenant]:
            del self._queues[tenant]
