"""The wire of Ollama's clients that embed."""
