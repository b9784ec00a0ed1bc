"""LlamaIndex: an index of documents, searched.

OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=unused python examples/llamaindex_client.py
"""

import os

from llama_index.core import Document, VectorStoreIndex
from llama_index.embeddings.openai_like import OpenAILikeEmbedding

embedding = OpenAILikeEmbedding(  # OpenAIEmbedding takes no other names of models than OpenAI's
    model_name="all-MiniLM-L6-v2",
    api_base=os.environ["OPENAI_BASE_URL"],
    api_key=os.environ["OPENAI_API_KEY"],
    embed_batch_size=100,
)
texts = ["The cat sleeps on the sofa.", "Interest rates rose again.", "The soup needs more salt."]
index = VectorStoreIndex.from_documents([Document(text=text) for text in texts], embed_model=embedding)
for result in index.as_retriever(similarity_top_k=1).retrieve("money and banks"):
    print("found:", result.text, round(result.score or 0, 2))
