"""The official client at a server that asks for keys."""

import openai
import pytest
from harness import MINILM, WEB


def test_a_key_is_asked_for_and_taken(serve) -> None:
    """With keys set, the client's api_key is what opens the door; probes stay open."""
    server = serve(EMBED_ONNX_API_KEYS="first-key, second-key")
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="wrong") as client:
        with pytest.raises(openai.AuthenticationError) as refused:
            client.embeddings.create(model=MINILM, input="x")
        taken = client.with_options(api_key="second-key").embeddings.create(model=MINILM, input="x")

    assert "invalid_api_key" == refused.value.code
    assert "Bearer" == refused.value.response.headers["www-authenticate"]
    assert 384 == len(taken.data[0].embedding)
    assert 401 == WEB.get(f"{server.url}/v1/models").status_code
    open_to_all = ["/health", "/ready", "/metrics", "/docs", "/openapi.json"]
    assert [200] * 5 == [WEB.get(server.url + path).status_code for path in open_to_all]
