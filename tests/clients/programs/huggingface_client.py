"""The hub's client for inference, as users of text-embeddings-inference have it."""

from typing import Any

from cases import KEY, TEXTS, TOO_LONG, URL, run
from huggingface_hub import AsyncInferenceClient, InferenceClient


def client(path: str = "", key: str = KEY) -> InferenceClient:
    return InferenceClient(model=f"{URL}{path}", token=key)


def answer(array: Any) -> list[list[float]]:
    return array.tolist()


def one_text() -> list[list[float]]:
    return answer(client().feature_extraction(TEXTS[0]))


def texts() -> list[list[float]]:
    return answer(client().feature_extraction(TEXTS))


def texts_of_embed() -> list[list[float]]:
    return answer(client("/embed").feature_extraction(TEXTS))


async def texts_async() -> list[list[float]]:
    return answer(await AsyncInferenceClient(model=URL, token=KEY).feature_extraction(TEXTS))


def normalized() -> list[list[float]]:
    return answer(client().feature_extraction(TEXTS, normalize=True))


def not_normalized() -> list[list[float]]:
    return answer(client().feature_extraction(TEXTS, normalize=False))


def dimensions() -> list[list[float]]:
    return answer(client().feature_extraction(TEXTS, dimensions=8))


def cut_on_the_left() -> list[list[float]]:
    words = f"{TOO_LONG}the end is what is left"
    return answer(client().feature_extraction(words, truncate=True, truncation_direction="left"))


def similarity() -> list[float]:
    return client("/similarity").sentence_similarity(TEXTS[0], other_sentences=TEXTS[1:])


def wrong_key() -> None:
    client(key="wrong").feature_extraction("x")


def too_long() -> None:
    client().feature_extraction(TOO_LONG, truncate=False)


def unknown_prompt() -> None:
    client().feature_extraction("x", prompt_name="nope")


if __name__ == "__main__":
    run(
        one_text,
        texts,
        texts_of_embed,
        texts_async,
        normalized,
        not_normalized,
        dimensions,
        cut_on_the_left,
        similarity,
        wrong_key,
        too_long,
        unknown_prompt,
    )
