"""Cohere's wire, of which others have the first version of its ranks."""
