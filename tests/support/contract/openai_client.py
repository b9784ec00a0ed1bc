"""The official client, in all the ways its users call it."""

import asyncio

import numpy as np
import openai
import pytest
from harness import MINILM, SMALL, Server, numbered

from embed_onnx import Model

TEXTS = ["Hello", "a second, somewhat longer text", "third"]


class OpenAIClientContract:
    """Calls of the ``openai`` package."""

    @pytest.fixture
    def openai_client(self, server: Server):
        with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused") as client:
            yield client

    def test_default_call_is_base64_and_exact(self, openai_client: openai.OpenAI, minilm: Model) -> None:
        """Named no format, the client asks for base64 and decodes it to the very same floats."""
        response = openai_client.embeddings.create(model=MINILM, input=TEXTS)

        vectors = np.array([item.embedding for item in response.data], np.float32)
        assert np.array_equal(minilm.encode(TEXTS), vectors)
        assert [0, 1, 2] == [item.index for item in response.data]
        assert response.usage.total_tokens == response.usage.prompt_tokens > 0

    def test_float_format_gives_the_same(self, openai_client: openai.OpenAI) -> None:
        as_base64 = openai_client.embeddings.create(model=MINILM, input="same")
        as_floats = openai_client.embeddings.create(model=MINILM, input="same", encoding_format="float")

        assert np.array_equal(
            np.array(as_base64.data[0].embedding, np.float32),
            np.array(as_floats.data[0].embedding, np.float32),
        )

    def test_token_ids_dimensions_and_extra_fields(self, openai_client: openai.OpenAI) -> None:
        """Ids, a cut vector and our own fields through the client's typed call."""
        ids = openai_client.embeddings.create(model=MINILM, input=[[101, 7592, 102]], dimensions=8)
        prompted = openai_client.embeddings.create(
            model=SMALL, input=["a"], extra_body={"prompt_name": "query", "truncate": False}
        )

        assert 8 == len(ids.data[0].embedding)
        assert 32 == len(prompted.data[0].embedding)

    def test_a_base_url_without_a_version(self, server: Server, minilm: Model) -> None:
        """As clients of Infinity have it."""
        with openai.OpenAI(base_url=server.url, api_key="unused") as client:
            response = client.embeddings.create(model=MINILM, input=TEXTS)

        assert np.array_equal(
            minilm.encode(TEXTS), np.array([item.embedding for item in response.data], np.float32)
        )

    def test_input_type_through_the_client(self, openai_client: openai.OpenAI, small: Model) -> None:
        """Cohere's field is an extra of the body, as our own are."""
        response = openai_client.embeddings.create(
            model=SMALL, input=["a"], extra_body={"input_type": "search_query"}
        )

        expected = small.encode(["a"], prompt_name="query")[0]
        assert np.array_equal(expected, np.array(response.data[0].embedding, np.float32))

    def test_models(self, openai_client: openai.OpenAI) -> None:
        assert [model.id for model in openai_client.models.list()][:2] == [MINILM, SMALL]
        assert openai_client.models.retrieve("team/tiny").model_extra["root"] == SMALL

    def test_errors_are_the_clients_own(self, openai_client: openai.OpenAI) -> None:
        """The client maps our errors to its exceptions, with message, code and request id."""
        with pytest.raises(openai.NotFoundError) as unknown:
            openai_client.embeddings.create(model="nope", input="x")
        with pytest.raises(openai.BadRequestError) as empty:
            openai_client.embeddings.create(model=MINILM, input="")

        assert "model_not_found" == unknown.value.code
        assert unknown.value.request_id
        assert "input" == empty.value.param

    def test_async_client_with_many_at_once(self, server: Server, minilm: Model) -> None:
        """Fifty concurrent calls each get their own vector, as if alone."""
        texts = [f"text number {number} " + "and more " * (number % 7) for number in range(50)]

        async def embed_all() -> list[list[float]]:
            async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="unused") as client:
                calls = [client.embeddings.create(model=MINILM, input=text) for text in texts]
                return [response.data[0].embedding for response in await asyncio.gather(*calls)]

        vectors = np.array(asyncio.run(embed_all()), np.float32)

        assert np.array_equal(minilm.encode(texts), vectors)

    def test_two_thousand_and_forty_eight_inputs(self, server: Server) -> None:
        """The largest list that OpenAI takes is taken."""
        with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused") as client:
            response = client.embeddings.create(model=SMALL, input=numbered("tiny text", 2048))

        assert 2048 == len(response.data)
        assert list(range(2048)) == [item.index for item in response.data]
