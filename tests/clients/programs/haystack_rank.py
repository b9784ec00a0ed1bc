"""Haystack's ranker for text-embeddings-inference."""

from cases import KEY, TEXTS, URL, run
from haystack import Document
from haystack.components.rankers import HuggingFaceTEIRanker
from haystack.utils import Secret

QUERY, *DOCUMENTS = TEXTS


def rank() -> list[list[float]]:
    ranker = HuggingFaceTEIRanker(url=URL, token=Secret.from_token(KEY), top_k=10)
    documents = [Document(content=text, meta={"place": place}) for place, text in enumerate(DOCUMENTS)]
    return [[each.meta["place"], each.score] for each in ranker.run(QUERY, documents)["documents"]]


if __name__ == "__main__":
    run(rank)
