"""Starts of a server: bad ones end with a sentence before the port opens, and artifacts alone will do."""

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from harness import MINILM, WEB, Server, at_start, run

from embed_onnx import install


def test_a_busy_port(serve: Callable[..., Server], home: Path) -> None:
    port = serve().url.rpartition(":")[2]

    done = run("serve", "--port", port, cwd=home)

    assert (1, f"embed-onnx: 127.0.0.1 port {port} is in use") == (done.returncode, done.stderr.split(";")[0])


def without_export_extra(tmp_path: Path) -> dict[str, str]:
    """An environment without the extras for exporting, as on an edge box."""
    return at_start(
        tmp_path,
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, package=None: None if name == 'onnx' else find(name, package)\n",
    )


@pytest.mark.parametrize(
    ("models", "sentence"),
    [
        pytest.param("no-such-model\n", install.command("convert"), id="missing-artifact"),
        pytest.param("a b=c\n", "line 1: 'b=c' is not an option", id="bad-line"),
        pytest.param("# nothing\n", "lists no model", id="no-model"),
        pytest.param(None, "name a model with --model OWNER/NAME", id="nothing-at-all"),
    ],
)
def test_bad_starts(tmp_path: Path, models: str | None, sentence: str) -> None:
    """One sentence and exit code 1, without a traceback."""
    if models is not None:
        (tmp_path / "models.txt").write_text(models)

    done = run("serve", "--port", "0", cwd=tmp_path, environment=without_export_extra(tmp_path))

    assert 1 == done.returncode
    assert sentence in done.stderr
    assert 1 == len(done.stderr.splitlines())


def test_damage_is_found_before_the_port_opens(copied: Path) -> None:
    with (copied / "artifacts/small/model.onnx").open("ab") as file:
        file.write(b"x")

    done = run("serve", "--port", "0", cwd=copied)

    assert (1, 1) == (done.returncode, len(done.stderr.splitlines()))
    assert "model.onnx is damaged" in done.stderr


def test_an_artifact_of_a_newer_format(copied: Path) -> None:
    path = copied / "artifacts/small/manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99, "new": True}))

    done = run("serve", "--port", "0", cwd=copied)

    assert (1, 1) == (done.returncode, len(done.stderr.splitlines()))
    assert "format 99" in done.stderr
    assert "upgrade" in done.stderr


def test_a_model_that_does_not_load_ends_the_server(copied: Path) -> None:
    """Whole by its hashes but no model: one sentence, exit code 1, no traceback."""
    from embed_onnx.artifact import manifest

    folder = copied / "artifacts/small"
    (folder / "model.onnx").write_bytes(b"no model")
    actual = manifest.read(folder)
    hashes = actual.sha256 | {"model.onnx": manifest.sha256(folder / "model.onnx")}
    manifest.write(msgspec.structs.replace(actual, sha256=hashes), folder)

    done = run("serve", "--port", "0", cwd=copied)

    assert 1 == done.returncode
    assert "embed-onnx: artifacts/small/model.onnx cannot be loaded" in done.stderr
    assert "Traceback" not in done.stderr


def test_artifacts_alone_are_served(copied: Path, serve: Callable[..., Server]) -> None:
    """An edge box needs no models.txt: it serves every artifact it was given."""
    server = serve("--models", str(copied / "none.txt"), "--artifacts", str(copied / "artifacts"))

    assert ["small"] == [card["id"] for card in WEB.get(f"{server.url}/v1/models").json()["data"]]
    assert MINILM not in WEB.get(f"{server.url}/models").text
