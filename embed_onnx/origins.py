"""Origins of web pages, in the form in which browsers send them."""

from urllib.parse import urlsplit

ANY = "*"
OPAQUE = "null"
"""What browsers send for pages without an origin, such as files."""
EXAMPLES = "write one such as https://app.example or http://localhost:3000"
DEFAULT_PORTS = {"http": 80, "https": 443}


def normalized(word: str) -> str:
    """An origin in lower case, without a slash at its end and without the port that its scheme has anyway.

    A ``*`` may stand for any part of a host, or for the port.

    Raises:
        ValueError: It is not an origin; the message has no value and says how to write one.
    """
    if word.lower() in (ANY, OPAQUE):
        return word.lower()
    any_port = word.rstrip("/").endswith(":*")
    try:
        parts = urlsplit(word.rstrip("/").removesuffix(":*") if any_port else word)
    except ValueError:
        raise ValueError(f"is not an origin; {EXAMPLES}") from None
    if not parts.scheme or "://" not in word:
        raise ValueError(f"has no scheme; write https://{word} or http://{word}")
    if any(sign.isspace() for sign in word):
        raise ValueError(f"is not an origin; {EXAMPLES}")
    if parts.path not in ("", "/") or parts.query or parts.fragment or "?" in word or "#" in word:
        raise ValueError(f"has more than an origin; write {parts.scheme}://{parts.netloc}")
    try:
        host, port = parts.hostname, parts.port
        name = (host or "").encode("ascii" if ":" in (host or "") else "idna").decode()
    except ValueError:
        name, port = "", None
    if not name or "@" in parts.netloc:
        raise ValueError(f"is not an origin; {EXAMPLES}")
    if ":" in name:
        name = f"[{name}]"
    suffix = "" if port is None or port == DEFAULT_PORTS.get(parts.scheme) else f":{port}"
    return f"{parts.scheme}://{name}{':*' if any_port else suffix}"
