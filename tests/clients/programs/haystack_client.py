"""Haystack's embedders, 2 or 3, for text-embeddings-inference and for OpenAI."""

from cases import KEY, MODEL, TEXTS, URL, run
from haystack import Document
from haystack.components.embedders import OpenAIDocumentEmbedder, OpenAITextEmbedder
from haystack.utils import Secret

try:
    from haystack_integrations.components.embedders.huggingface_api import (
        HuggingFaceAPIDocumentEmbedder,
        HuggingFaceAPITextEmbedder,
    )
except ImportError:  # Haystack 2 has them itself
    from haystack.components.embedders import HuggingFaceAPIDocumentEmbedder, HuggingFaceAPITextEmbedder

TOKEN = Secret.from_token(KEY)
TEI = {"api_type": "text_embeddings_inference", "api_params": {"url": URL}, "token": TOKEN}
OPENAI = {"model": MODEL, "api_base_url": f"{URL}/v1", "api_key": TOKEN}


def documents(texts: list[str]) -> list[Document]:
    return [Document(id=str(number), content=text) for number, text in enumerate(texts)]


def vectors(answer: dict[str, list[Document]]) -> list[list[float]]:
    return [document.embedding for document in answer["documents"]]


def tei_text() -> list[float]:
    """Its default asks for vectors that are not normalised."""
    return HuggingFaceAPITextEmbedder(**TEI).run(TEXTS[0])["embedding"]


def tei_documents() -> list[list[float]]:
    return vectors(HuggingFaceAPIDocumentEmbedder(**TEI).run(documents(TEXTS)))


async def tei_documents_async() -> list[list[float]]:
    return vectors(await HuggingFaceAPIDocumentEmbedder(**TEI).run_async(documents(TEXTS)))


def tei_text_normalized() -> list[float]:
    return HuggingFaceAPITextEmbedder(**TEI, normalize=True).run(TEXTS[0])["embedding"]


def tei_documents_normalized() -> list[list[float]]:
    return vectors(HuggingFaceAPIDocumentEmbedder(**TEI, normalize=True).run(documents(TEXTS)))


def tei_an_empty_document() -> list[list[float]]:
    """A file without text is common in an index."""
    embedder = HuggingFaceAPIDocumentEmbedder(**TEI, normalize=True)
    return vectors(embedder.run(documents([TEXTS[0], "", TEXTS[1]])))


def openai_text() -> list[float]:
    return OpenAITextEmbedder(**OPENAI).run(TEXTS[0])["embedding"]


def openai_documents() -> list[list[float]]:
    return vectors(OpenAIDocumentEmbedder(**OPENAI).run(documents(TEXTS)))


def openai_an_empty_document() -> list[list[float] | None]:
    return vectors(OpenAIDocumentEmbedder(**OPENAI).run(documents([TEXTS[0], "", TEXTS[1]])))


def tei_wrong_key() -> None:
    embedder = HuggingFaceAPITextEmbedder(**TEI | {"token": Secret.from_token("wrong")})
    embedder.run(TEXTS[0])


if __name__ == "__main__":
    run(
        tei_text,
        tei_documents,
        tei_documents_async,
        tei_text_normalized,
        tei_documents_normalized,
        tei_an_empty_document,
        openai_text,
        openai_documents,
        openai_an_empty_document,
        tei_wrong_key,
    )
