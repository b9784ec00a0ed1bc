"""OpenAI's asynchronous client: many requests at a time, and one for each hundred texts.

OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=unused python examples/openai_async.py
"""

import asyncio

from openai import AsyncOpenAI

TEXTS = [f"This is text number {number}." for number in range(1000)]
TEXTS_A_REQUEST = 100  # up to 2,048; several requests at a time keep all cores of the server busy


async def main() -> None:
    async with AsyncOpenAI() as client:
        parts = [TEXTS[first : first + TEXTS_A_REQUEST] for first in range(0, len(TEXTS), TEXTS_A_REQUEST)]
        requests = (client.embeddings.create(model="all-MiniLM-L6-v2", input=part) for part in parts)
        answers = await asyncio.gather(*requests)
    vectors = [item.embedding for answer in answers for item in answer.data]
    print("vectors:", len(vectors), "of", len(vectors[0]))


asyncio.run(main())
