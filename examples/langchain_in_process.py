"""LangChain, without a server: the model is in this process.

python examples/langchain_in_process.py
"""

from langchain_core.vectorstores import InMemoryVectorStore

from embed_onnx import Model
from embed_onnx.adapters import LangChainEmbeddings

with Model.load("artifacts/all-MiniLM-L6-v2") as model:
    store = InMemoryVectorStore(LangChainEmbeddings(model))
    store.add_texts(
        ["The cat sleeps on the sofa.", "Interest rates rose again.", "The soup needs more salt."]
    )
    for document, score in store.similarity_search_with_score("money and banks", k=1):
        print("found:", document.page_content, round(score, 2))
