"""A client that openapi-python-client generates from the server's schema."""

import subprocess
import sys
from pathlib import Path

from cases import KEY, MODEL, TEXTS, URL, run

COMMAND = [str(Path(sys.executable).parent / "openapi-python-client"), "generate", "--fail-on-warning"]

Path("config.yaml").write_text("post_hooks: []")  # nobody reads the code, so that it need not be formatted
generated = subprocess.run(
    [
        *COMMAND,
        "--url",
        f"{URL}/openapi.json",
        "--meta",
        "none",
        "--config",
        "config.yaml",
        "--output-path",
        "generated",
    ],
    capture_output=True,
    text=True,
    check=False,
)
sys.path.insert(0, str(Path.cwd()))

from generated import AuthenticatedClient  # noqa: E402 - it was just made
from generated.api.embeddings import post_v1_embeddings  # noqa: E402
from generated.api.models import get_v1_models  # noqa: E402
from generated.models import EmbeddingRequest  # noqa: E402

client = AuthenticatedClient(base_url=URL, token=KEY)


def generator() -> tuple[int, str]:
    return generated.returncode, generated.stdout + generated.stderr


def texts() -> list[list[float]]:
    answer = post_v1_embeddings.sync(client=client, body=EmbeddingRequest(input_=TEXTS, model=MODEL))
    return [item.embedding for item in answer.data]


def models() -> list[str]:
    return [card.id for card in get_v1_models.sync(client=client).data]


def unknown_model() -> tuple[int, str]:
    body = EmbeddingRequest(input_=TEXTS, model="no-such-model")
    answer = post_v1_embeddings.sync_detailed(client=client, body=body)
    return answer.status_code, answer.parsed.error.code


run(generator, texts, models, unknown_model)
