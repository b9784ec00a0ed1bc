"""Downloads from a hub that needs a token, is a mirror or behind a proxy, lacks things, or breaks off."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import clean_environment, free_port
from hub import REVISION, Hub

REPO = "somebody/tiny"
WEIGHTS = b"0123456789" * 1_500_000
"""More than the 10 MB that the client writes at once."""
CODE = """
import sys
from embed_onnx.artifact import hub
from embed_onnx.errors import HubError
try:
    print(hub.download(sys.argv[1], sys.argv[2] or None, patterns=["*.json", "*.safetensors"]))
except HubError as err:
    print(err)
"""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    with Hub({REPO: folder}) as running:
        yield running


@pytest.fixture
def environment(hub: Hub, tmp_path: Path) -> dict[str, str]:
    return hub.environment(tmp_path / "cache")


def download(environment: dict[str, str], repo: str = REPO, revision: str = "") -> str:
    """What a new process prints, as the client reads variables at its import: a folder, or a sentence."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, repo, revision],
        env=clean_environment() | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_a_mirror(hub: Hub, environment: dict[str, str]) -> None:
    """HF_ENDPOINT is where everything comes from; only what is read is downloaded."""
    folder = Path(download(environment))

    assert REVISION == folder.name
    assert ["config.json", "model.safetensors"] == sorted(path.name for path in folder.iterdir())
    assert WEIGHTS == (folder / "model.safetensors").read_bytes()


def test_a_token(hub: Hub, environment: dict[str, str]) -> None:
    """A private repository is like none without HF_TOKEN."""
    hub.token = "secret"

    refused = download(environment)
    folder = download(environment | {"HF_TOKEN": "secret"})

    assert f"{REPO} cannot be downloaded: {hub.url} has no such repository, or it is private" in refused
    assert "set HF_TOKEN to a token that may use it" in refused
    assert REVISION == Path(folder).name


def test_a_gated_repository(hub: Hub, environment: dict[str, str]) -> None:
    hub.gated.add(REPO)

    sentence = download(environment)

    assert f"it is gated; accept its terms at {hub.url}/{REPO}, and set HF_TOKEN" in sentence


def test_a_revision_that_is_not_there(environment: dict[str, str]) -> None:
    sentence = download(environment, revision="absent")

    assert f"{REPO}@absent cannot be downloaded: {REPO} has no such revision; write a branch" in sentence


def test_a_proxy(hub: Hub, environment: dict[str, str]) -> None:
    """Of both schemes, by the variables that other programs read."""
    variables = {"HTTP_PROXY": hub.url, "HTTPS_PROXY": hub.url, "NO_PROXY": "", "no_proxy": ""}

    folder = download(environment | variables | {"HF_ENDPOINT": "http://mirror.invalid"})
    sentence = download(environment | variables | {"HF_ENDPOINT": "https://mirror.invalid"}, revision="b")

    assert REVISION == Path(folder).name
    assert {"mirror.invalid", "mirror.invalid:443"} == hub.hosts
    assert "check that https://mirror.invalid can be reached from here (HF_ENDPOINT, HTTPS_PROXY)" in sentence


def test_a_hub_that_is_not_there(environment: dict[str, str]) -> None:
    url = f"http://127.0.0.1:{free_port()}"

    sentence = download(environment | {"HF_ENDPOINT": url})

    assert f"{REPO} cannot be downloaded: " in sentence
    assert f"check that {url} can be reached" in sentence


def test_a_download_that_breaks_off_is_resumed(hub: Hub, environment: dict[str, str]) -> None:
    """From where it stopped: by the next run, or at once, as later versions of the client try again."""
    hub.broken["model.safetensors"] = 12_000_000

    sentence = download(environment)
    hub.broken.clear()
    folder = download(environment)

    assert f"{REPO} cannot be downloaded: " in sentence
    assert "run it again, which keeps what is there" in sentence
    assert WEIGHTS == (Path(folder) / "model.safetensors").read_bytes()
    assert hub.ranges
    assert min(int(words.removeprefix("bytes=").partition("-")[0]) for words in hub.ranges) >= 1_000_000
