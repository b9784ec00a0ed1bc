"""Artifacts that travel: through tars over HTTP, folders, and repositories of a hub."""

import hashlib
import io
import signal
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from harness import SMALL, clean_environment, run, until
from hub import Hub

from embed_onnx import Model, install
from embed_onnx.artifact import manifest, transfer
from embed_onnx.artifact.manifest import Manifest, Source
from embed_onnx.artifact.outputs import Dense
from embed_onnx.artifact.parity import Parity
from embed_onnx.errors import ArtifactError, SetupError

WEIGHTS = b"weights " * 100_000


class Site:
    """A web server of files by name, of which ``limit`` bytes are sent before it breaks off or waits."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.limit: int | None = None
        self.ranges: list[str | None] = []
        self.release = threading.Event()
        self.release.set()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = site.files.get(self.path[1:])
                if content is None:
                    return self.send_error(404)
                site.ranges.append(self.headers["Range"])
                start = int((self.headers["Range"] or "bytes=0-")[6:-1])
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(content) - start))
                self.end_headers()
                self.wfile.write(content[start : site.limit])
                self.wfile.flush()
                site.release.wait()
                return None

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def address(self, name: str, content: bytes) -> str:
        self.files[name] = content
        return f"{self.url}/{name}#sha256={hashlib.sha256(content).hexdigest()}"


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    thread = threading.Thread(target=site.server.serve_forever)
    thread.start()
    yield site
    site.release.set()
    site.server.shutdown()
    site.server.server_close()
    thread.join()


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    """A whole artifact, as far as its files and digests go."""
    folder = tmp_path / "built" / "team" / "m"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(WEIGHTS)
    (folder / "tokenizer.json").write_text("{}")
    (folder / "report.md").write_text("of this machine")
    described = Manifest(
        name="team/m",
        created=1_750_000_000,
        source=Source(repo="team/m", files={}),
        recipe=1,
        output=Dense(dimensions=4, pooling=("mean",), normalize=True),
        max_tokens=8,
        precision="float32",
        parity=Parity(texts=1, cosine_mean=1.0, cosine_min=1.0),
        float32_bytes=8,
        sha256={name: manifest.sha256(folder / name) for name in ("model.onnx", "tokenizer.json")},
    )
    manifest.write(described, folder)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def packed(members: dict[str, bytes], change: Callable[[tarfile.TarInfo], None] = lambda _: None) -> bytes:
    """A tar of those files, each member changed."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            change(member)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def members(artifact: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in artifact.iterdir()}


WHOLE = ["team/m/manifest.json", "team/m/model.onnx", "team/m/tokenizer.json"]


def test_through_a_tar(artifact: Path, site: Site, tmp_path: Path) -> None:
    """The same tar of the same artifact; the files of the manifest and no others arrive."""
    built = artifact.parents[1]

    printed = transfer.push("team/m", str(tmp_path / "m.tar"), built)
    transfer.push("team/m", str(tmp_path / "again.tar"), built)
    address = site.address("m.tar", (tmp_path / "m.tar").read_bytes())
    pulled = run("pull", address, "--artifacts", "here", cwd=tmp_path)

    assert (tmp_path / "m.tar").read_bytes() == (tmp_path / "again.tar").read_bytes()
    assert printed.replace("https://HOST", site.url) == address
    assert (0, "here/team/m\n") == (pulled.returncode, pulled.stdout), pulled.stderr
    assert WHOLE == names(tmp_path / "here")
    manifest.verify(manifest.read(tmp_path / "here" / "team" / "m"), tmp_path / "here" / "team" / "m")


def test_through_a_folder(artifact: Path, tmp_path: Path) -> None:
    transfer.push("team/m", str(tmp_path / "share" / "m"), artifact.parents[1])

    target = transfer.pull(str(tmp_path / "share" / "m"), tmp_path / "here", "other")

    assert tmp_path / "here" / "other" == target
    assert ["manifest.json", "model.onnx", "tokenizer.json"] == names(target)


def test_through_a_hub(artifact: Path, tmp_path: Path) -> None:
    """A repository that others can pull; one without a manifest is refused."""
    (tmp_path / "repository").mkdir()
    with Hub({"team/served": tmp_path / "repository"}) as hub:
        environment = hub.environment(tmp_path / "cache") | {"HF_TOKEN": "secret"}

        empty = run("pull", "team/served", cwd=tmp_path, environment=environment)
        pushed = run(
            "push", "team/m", "team/served", "--artifacts", "built", cwd=tmp_path, environment=environment
        )
        pulled = run("pull", "team/served", "--artifacts", "here", cwd=tmp_path, environment=environment)

    assert 1 == empty.returncode
    assert "holds no manifest.json" in empty.stderr
    assert (0, "team/served\n") == (pushed.returncode, pushed.stdout), pushed.stderr
    assert (0, "here/team/m\n") == (pulled.returncode, pulled.stdout), pulled.stderr
    assert WHOLE == names(tmp_path / "here")


def test_what_was_pulled_is_served_without_pytorch(home: Path, site: Site, tmp_path: Path) -> None:
    """The same vectors as where it was exported."""
    transfer.push(SMALL, str(tmp_path / "m.tar"), home / "artifacts")
    address = site.address("m.tar", (tmp_path / "m.tar").read_bytes())
    code = (
        "import sys\nfrom pathlib import Path\nfrom embed_onnx.artifact import transfer\n"
        "from embed_onnx import Model\n"
        "with Model.load(transfer.pull(sys.argv[1], Path('here'))) as model:\n"
        "    model.encode('a text').tofile('vector')\n"
        "print(sorted({'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, address], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert (0, "[]\n") == (done.returncode, done.stdout), done.stderr
    with Model.load(home / "artifacts" / SMALL) as model:
        assert np.array_equal(model.encode("a text"), np.fromfile(tmp_path / "vector", np.float32))


def link(member: tarfile.TarInfo) -> None:
    if member.name == "model.onnx":
        member.type, member.linkname, member.size = tarfile.SYMTYPE, "/etc/passwd", 0


def hard_link(member: tarfile.TarInfo) -> None:
    if member.name == "model.onnx":
        member.type, member.linkname, member.size = tarfile.LNKTYPE, "../secret", 0


def device(member: tarfile.TarInfo) -> None:
    if member.name == "model.onnx":
        member.type, member.size = tarfile.CHRTYPE, 0


def above(member: tarfile.TarInfo) -> None:
    if member.name == "report.md":
        member.name = "../report.md"


def absolute(member: tarfile.TarInfo) -> None:
    if member.name == "report.md":
        member.name = "/tmp/report.md"


def twice(member: tarfile.TarInfo) -> None:
    if member.name == "report.md":
        member.name = "model.onnx"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param(link, "holds 'model.onnx', which is not a plain file", id="link"),
        pytest.param(hard_link, "holds 'model.onnx', which is not a plain file", id="hard-link"),
        pytest.param(device, "holds 'model.onnx', which is not a plain file", id="device"),
        pytest.param(above, "holds '../report.md', which is not a plain file", id="above"),
        pytest.param(absolute, "report.md', which is not a plain file", id="absolute"),
        pytest.param(twice, "holds 'model.onnx' twice", id="twice"),
    ],
)
def test_a_tar_that_is_more_than_files(
    artifact: Path, site: Site, tmp_path: Path, change: Callable[[tarfile.TarInfo], None], sentence: str
) -> None:
    """It is refused before anything of it is written."""
    address = site.address("m.tar", packed(members(artifact), change))

    with pytest.raises(ArtifactError) as refused:
        transfer.pull(address, tmp_path / "here")

    assert sentence in str(refused.value)
    assert not (tmp_path / "here" / "team").exists()
    assert [] == [name for name in names(tmp_path / "here") if not name.endswith(".tar")]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        pytest.param({"model.onnx": b"other"}, "model.onnx is damaged", id="another-file"),
        pytest.param({"model.onnx": None}, "lacks model.onnx", id="a-file-is-absent"),
        pytest.param({"manifest.json": None}, "lacks manifest.json", id="no-manifest"),
        pytest.param(
            {"manifest.json": b'{"format": 99}'}, "has format 99 and this version reads up to", id="newer"
        ),
        pytest.param({"manifest.json": b"{"}, "manifest.json cannot be read", id="not-a-manifest"),
    ],
)
def test_a_tar_that_is_not_a_whole_artifact(
    artifact: Path, site: Site, tmp_path: Path, changes: dict[str, bytes | None], sentence: str
) -> None:
    """The artifact that is there stays."""
    transfer.pull(str(artifact), tmp_path / "here")
    contents = {name: body for name, body in (members(artifact) | changes).items() if body is not None}

    with pytest.raises(ArtifactError) as refused:
        transfer.pull(site.address("m.tar", packed(contents)), tmp_path / "here")

    assert sentence in str(refused.value)
    target = tmp_path / "here" / "team" / "m"
    manifest.verify(manifest.read(target), target)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        pytest.param("{site}/m.tar", "is not an address such as https://", id="no-digest"),
        pytest.param("{site}/m.tar#sha256=" + "0" * 64, "and " + "0" * 64 + " was expected", id="digest"),
        pytest.param("{site}/none.tar#sha256=" + "0" * 64, "answers 404 Not Found", id="absent"),
        pytest.param("http://127.0.0.1:1/m.tar#sha256=" + "0" * 64, "cannot be downloaded", id="nobody"),
        pytest.param("ftp://host/m.tar#sha256=" + "0" * 64, "is not an address such as https://", id="ftp"),
        pytest.param("name", "'name' is none of OWNER/NAME", id="a-word"),
        pytest.param("./none", "holds no manifest.json", id="no-folder"),
    ],
)
def test_a_source_that_cannot_be(site: Site, tmp_path: Path, source: str, sentence: str) -> None:
    site.files["m.tar"] = b"no tar"

    with pytest.raises(SetupError) as refused:
        transfer.pull(source.format(site=site.url), tmp_path / "here")

    assert sentence in str(refused.value)


def test_what_is_not_a_tar(site: Site, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="is not a tar without compression"):
        transfer.pull(site.address("m.tar", b"something else " * 100), tmp_path / "here")


def test_a_download_that_breaks_off_is_resumed(artifact: Path, site: Site, tmp_path: Path) -> None:
    address = site.address("m.tar", packed(members(artifact)))
    site.limit = 300_000

    with pytest.raises(SetupError, match=r"the server broke off with .* bytes to come; run it again"):
        transfer.pull(address, tmp_path / "here")
    site.limit = None
    transfer.pull(address, tmp_path / "here")

    assert [None, "bytes=300000-"] == site.ranges
    assert WHOLE == names(tmp_path / "here")


def test_a_pull_that_is_killed(artifact: Path, site: Site, tmp_path: Path) -> None:
    """It leaves nothing that is served; the next one goes on from there, and waits for one that runs."""
    address = site.address("m.tar", packed(members(artifact)))
    site.limit = 300_000
    site.release.clear()
    command = [sys.executable, "-m", "embed_onnx", "pull", address, "--artifacts", "here"]

    with subprocess.Popen(command, cwd=tmp_path, env=clean_environment()) as process:
        until(lambda: any(path.stat().st_size > 100_000 for path in (tmp_path / "here").glob(".pull-*.tar")))
        process.kill()
    site.limit = None
    site.release.set()
    pulls = [
        subprocess.Popen(command, cwd=tmp_path, env=clean_environment(), stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    for pull in pulls:
        pull.communicate()

    assert [-signal.SIGKILL, 0, 0] == [process.returncode, *(pull.returncode for pull in pulls)]
    assert WHOLE == names(tmp_path / "here")
    assert ["team"] == [path.name for path in (tmp_path / "here").iterdir()]


def test_the_place_of_something_else(artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "here" / "team" / "m").mkdir(parents=True)
    (tmp_path / "here" / "team" / "m" / "notes.txt").touch()

    with pytest.raises(SetupError, match="exists and is not an artifact"):
        transfer.pull(str(artifact), tmp_path / "here")
    with pytest.raises(SetupError, match="exists; choose another file"):
        transfer.push("team/m", str(tmp_path / "here" / ".." / "m.tar"), _with(tmp_path / "m.tar", artifact))


def _with(file: Path, artifact: Path) -> Path:
    file.touch()
    return artifact.parents[1]


def test_a_damaged_artifact_is_not_pushed(artifact: Path, tmp_path: Path) -> None:
    (artifact / "tokenizer.json").write_text("other")

    with pytest.raises(ArtifactError, match=r"tokenizer\.json is damaged"):
        transfer.push("team/m", str(tmp_path / "m.tar"), artifact.parents[1])


def test_without_the_client_of_hubs(tmp_path: Path) -> None:
    """It is an extra, and a sentence says which."""
    (tmp_path / "huggingface_hub.py").write_text(
        "raise ModuleNotFoundError('No module named huggingface_hub')"
    )

    done = run("pull", "team/m", cwd=tmp_path, environment={"PYTHONPATH": str(tmp_path)})

    assert 1 == done.returncode
    assert "needs huggingface_hub" in done.stderr
    assert install.command("hub") in done.stderr
