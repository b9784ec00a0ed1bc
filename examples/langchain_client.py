"""LangChain, over HTTP: a vector store filled and searched.

OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=unused python examples/langchain_client.py
"""

from langchain_core.vectorstores import InMemoryVectorStore
from langchain_openai import OpenAIEmbeddings

embeddings = OpenAIEmbeddings(
    model="all-MiniLM-L6-v2",
    check_embedding_ctx_length=False,  # else it sends token ids of OpenAI's vocabulary, which are refused
)
store = InMemoryVectorStore(embeddings)
store.add_texts(["The cat sleeps on the sofa.", "Interest rates rose again.", "The soup needs more salt."])
for document, score in store.similarity_search_with_score("money and banks", k=1):
    print("found:", document.page_content, round(score, 2))
