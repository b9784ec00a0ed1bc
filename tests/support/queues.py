"""Requests of a fair queue, and the packs that come out of it."""

from embed_onnx.scheduling.fair_queue import FairQueue


def add(queue: FairQueue, request: object, lengths: list[int], pack_tokens: int = 256) -> None:
    """Let a request wait; keys go with the number of tokens."""
    queue.add(request, lengths, key=pack_tokens, pack_tokens=pack_tokens)


def packs(queue: FairQueue) -> list[list[tuple[object, int]]]:
    """All that is left."""
    return list(iter(queue.take, []))


def turns(queue: FairQueue) -> list[object]:
    """Whose sequences are in each pack that is left, where it is one request's."""
    return [request for ((request, _), *_) in packs(queue)]
