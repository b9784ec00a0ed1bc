"""What callers of a model may say a text is embedded for."""

from typing import Literal

InputType = Literal[
    "search_query", "search_document", "query", "document", "passage", "classification", "clustering"
]
"""What a text is embedded for: Cohere's words, and those of Voyage's, NVIDIA's and Jina's clients."""
