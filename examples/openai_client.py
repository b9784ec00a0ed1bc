"""OpenAI's client for Python; it reads OPENAI_BASE_URL and OPENAI_API_KEY.

OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=unused python examples/openai_client.py
"""

from openai import OpenAI

client = OpenAI()
response = client.embeddings.create(
    model="all-MiniLM-L6-v2",
    input=["A cat sleeps.", "A kitten naps."],
    dimensions=256,
    extra_body={"truncate": False},  # a field of this server's own: refuse what is too long
)
first, second = (item.embedding for item in response.data)
print("dimensions:", len(first))
print("similarity:", round(sum(a * b for a, b in zip(first, second, strict=True)), 2))
print("tokens:", response.usage.total_tokens)
