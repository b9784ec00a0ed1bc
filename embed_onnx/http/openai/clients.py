"""How OpenAI's own clients are known, where they need another answer than others."""

from typing import Any

from litestar import Request

HEADERS = ("x-stainless-lang", "user-agent")
"""By which they are known: they all send the first but for the oldest ones and .NET's."""
NAME = "OpenAI/"
"""In the user agent of those that do not."""


def is_openai(request: Request[Any, Any, Any]) -> bool:
    """Whether one of OpenAI's clients sent a request."""
    language, agent = (request.headers.get(name, "") for name in HEADERS)
    return bool(language) or NAME in agent
