"""Model2Vec: a table of static embeddings distilled from a checkpoint, whose vectors differ from its."""

import protocol
from model2vec import StaticModel


def load(folder: str) -> protocol.Encode:
    """A distilled folder."""
    return StaticModel.from_pretrained(folder).encode


if __name__ == "__main__":
    protocol.serve(load, ["model2vec", "tokenizers", "numpy"])
