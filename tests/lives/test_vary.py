"""What an answer depends on, where there is CORS."""

from collections.abc import Callable

from harness import WEB, Server


def test_both_reasons_to_vary_are_said(serve: Callable[..., Server]) -> None:
    """With CORS the answer depends on the origin as well."""
    server = serve("--cors-origins", "https://app.example")
    answer = WEB.get(f"{server.url}/models", headers={"origin": "https://app.example"})

    assert {"origin", "x-stainless-lang", "user-agent"} == {
        name.strip().lower() for name in answer.headers["vary"].split(",")
    }
