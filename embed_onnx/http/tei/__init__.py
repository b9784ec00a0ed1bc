"""The wire of Hugging Face's text-embeddings-inference."""
