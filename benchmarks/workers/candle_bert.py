"""Candle's BERT, which text-embeddings-inference runs on CPUs too, by candding, from the hub's cache.

EmbedAnything, Candle with MKL, was slower here.
"""

import candding
import protocol


def load(name: str, max_tokens: int) -> protocol.Encode:
    """A model of candding's catalog; lists are cut into batches of like lengths by itself."""
    return candding.TextEmbedding(name, device="cpu", max_length=max_tokens).embed


if __name__ == "__main__":
    protocol.serve(load, ["candding", "numpy"])
