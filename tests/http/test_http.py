"""The contract of HTTP, of the plain server."""

import httpx
from contract import post
from contract.embeddings import EmbeddingsContract
from contract.openai_client import OpenAIClientContract
from contract.refusals import RefusalsContract
from contract.routes import RoutesContract
from harness import MINILM


class TestEmbeddings(EmbeddingsContract):
    pass


class TestRoutes(RoutesContract):
    pass


class TestRefusals(RefusalsContract):
    pass


class TestOpenAIClient(OpenAIClientContract):
    pass


def test_health_ready_metrics(client: httpx.Client) -> None:
    """Probes answer, and the metrics count requests, tokens, cuts, the queue and memory."""
    post(client, input="count me " * 500)

    page = client.get("/metrics").text

    assert [200, 200] == [client.get(path).status_code for path in ("/health", "/ready")]
    for name in [
        'embed_onnx_requests_total{method="POST",route="/v1/embeddings",status="200"}',
        f'embed_onnx_tokens_total{{model="{MINILM}",task="embed"}}',
        f'embed_onnx_truncated_inputs_total{{model="{MINILM}",task="embed"}}',
        "embed_onnx_queue_tokens 0.0",
        "embed_onnx_queue_size 0.0",
        f'embed_onnx_request_tokenization_duration_seconds_count{{model="{MINILM}",task="embed"}}',
        f'embed_onnx_request_queue_duration_seconds_count{{model="{MINILM}",task="embed"}}',
        f'embed_onnx_request_inference_duration_seconds_count{{model="{MINILM}",task="embed"}}',
        "process_resident_memory_bytes",
    ]:
        assert name in page
