"""Results of sequences that were computed before: the vectors of texts, the logits of pairs.

Bounded in bytes; what was not used for longest goes first. An entry is found by a digest of all that decides
its bits: the artifact, the kind of result, and the sequence. A digest of 256 bits stands for what it is made
of: nobody can find two sequences with the same one.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Literal

import msgspec

from embed_onnx.artifact.manifest import Manifest

Kind = Literal["vectors", "raw_vectors", "logits", "sparse", "token_vectors"]
"""Of results. Raw vectors are those before the Normalize at a model's end."""

DIGEST_BYTES = 32
ENTRY_BYTES = 256
"""What an entry takes beside its result: the digest, two objects, and its part of the dictionary."""


class ResultCache:
    """``most_bytes`` of results, for all models of a process. Thread-safe.

    Tenants have entries of their own unless ``shared``: by the time that an answer takes, one could tell what
    others have embedded.
    """

    def __init__(self, most_bytes: int, *, shared: bool = False) -> None:
        self.most_bytes = most_bytes
        self.bytes = 0
        """What its entries take now."""
        self._shared = shared
        self._lock = threading.Lock()
        self._results: OrderedDict[bytes, bytes] = OrderedDict()

    def of(self, described: Manifest) -> "ModelCache":
        """The part for one artifact; another export of the same model has another."""
        return ModelCache(self, hashlib.sha256(msgspec.json.encode(described)).digest(), shared=self._shared)

    def get(self, digest: bytes) -> bytes | None:
        """A result, which counts as used now."""
        with self._lock:
            result = self._results.get(digest)
            if result is not None:
                self._results.move_to_end(digest)
            return result

    def put(self, results: Mapping[bytes, bytes]) -> None:
        """Keep results by their digests, and drop those that were not used for longest."""
        with self._lock:
            for digest, result in results.items():
                self._drop(self._results.pop(digest, None))
                self._results[digest] = result
                self.bytes += len(result) + ENTRY_BYTES
            while self.bytes > self.most_bytes:
                self._drop(self._results.popitem(last=False)[1])

    def _drop(self, result: bytes | None) -> None:
        if result is not None:
            self.bytes -= len(result) + ENTRY_BYTES


class ModelCache:
    """The entries for one artifact, by the digest of its manifest, which has those of its files."""

    def __init__(self, cache: ResultCache, artifact: bytes, *, shared: bool) -> None:
        self._cache = cache
        self._artifact = artifact
        self._shared = shared

    def compartment(self, kind: Kind, tenant: str) -> "Compartment":
        """The entries that a tenant's request for results of a kind may use."""
        owner = "" if self._shared else tenant
        return Compartment(self._cache, self._artifact + f"{kind} {owner}".encode())


class Compartment:
    """The entries of a cache under a name, whose digests no other name has."""

    def __init__(self, cache: ResultCache, name: bytes) -> None:
        self.get = cache.get
        self.put = cache.put
        self._name = hashlib.blake2b(name).digest()

    def key(self, sequence: bytes) -> bytes:
        """The digest of a sequence, keyed with that name."""
        return hashlib.blake2b(sequence, key=self._name, digest_size=DIGEST_BYTES).digest()
