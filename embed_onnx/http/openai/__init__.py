"""OpenAI's wire and its spellings, and what this server adds to it."""
