"""What SECURITY.md promises and no other test proves."""

import ast
import os
import platform
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import msgspec
import no_network
import openai
import pytest
from harness import MINILM, ROOT, SMALL, START_SECONDS, Server, at_start, run
from proofs import PROOF, exists

from embed_onnx import Model
from embed_onnx.artifact import manifest
from embed_onnx.errors import ArtifactError
from embed_onnx.http import server as server_module
from embed_onnx.models import registry
from embed_onnx.models.registry import Registry
from embed_onnx.settings import Settings

TESTS = ROOT / "tests"
SECURITY = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


@pytest.fixture
def isolated(tmp_path: Path) -> dict[str, str]:
    """Variables with which a Python process forbids itself the network before it does anything else."""
    (tmp_path / "no_network.py").symlink_to(TESTS / "support" / "no_network.py")
    return at_start(tmp_path, "import no_network\n\nno_network.forbid()\n")


needs_filter = pytest.mark.skipif(
    platform.machine() not in no_network.CALLS, reason="the filter knows x86-64 and 64-bit Arm"
)


@needs_filter
def test_serving_makes_no_connection(serve: Callable[..., Server], isolated: dict[str, str]) -> None:
    """A server that the kernel would kill at its first attempt starts, does all it can do, and ends well."""
    server = serve(**isolated)
    with httpx.Client(base_url=server.url, timeout=START_SECONDS) as client:
        posts = [
            client.post(route, json={"input": ["a text", "another " * 400], "model": model}).status_code
            for route in ("/v1/embeddings", "/tokenize")
            for model in (MINILM, SMALL)
        ]
        pages = ["/v1/models", "/models", "/health", "/ready", "/metrics", "/docs", "/openapi.json"]
        files = re.findall(r'(?:src|href)="([^"]+)"', client.get("/docs").text)
        gets = [client.get(path).status_code for path in pages + files]
        failures = [client.post("/v1/embeddings", json={"input": "x", "model": "somebody/other"}).status_code]
        failures.append(client.get("/nowhere").status_code)
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused") as official:
        official.embeddings.create(model=MINILM, input="x")
    log = server.stop()

    assert [200] * 4 == posts
    assert [200] * (7 + 3) == gets
    assert [404, 404] == failures
    assert 0 == server.process.returncode, log


@needs_filter
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        pytest.param("socket.create_connection(('127.0.0.1', 9))", -signal.SIGSYS, id="connect"),
        pytest.param("ctypes.CDLL(None).connect(0, None, 0)", -signal.SIGSYS, id="connect-of-native-code"),
        pytest.param(
            "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
            -signal.SIGSYS,
            id="datagram",
        ),
        pytest.param("socket.socketpair()[0].sendmsg([b'x'])", -signal.SIGSYS, id="message"),
        pytest.param("one, other = socket.socketpair(); one.send(b'x')", 0, id="answer"),
    ],
)
def test_the_filter_kills_who_reaches_out(code: str, expected: int, isolated: dict[str, str]) -> None:
    """The control of the test above: the same variables, and a process that does connect."""
    done = subprocess.run(
        [sys.executable, "-c", f"import ctypes, socket; {code}"],
        env=os.environ | isolated,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (expected, "") == (done.returncode, done.stderr)


@needs_filter
def test_embedding_without_a_server_makes_no_connection(home: Path, isolated: dict[str, str]) -> None:
    done = run("embed", "--text", "a text", cwd=home, environment=isolated)

    assert (0, 1) == (done.returncode, len(done.stdout.splitlines())), done.stderr


@pytest.fixture
def artifact(copied: Path) -> Path:
    """A copy of the small model's artifact, for a test to spoil."""
    return copied / "artifacts" / SMALL


def flip(path: Path, place: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[place] ^= 1
    path.write_bytes(raw)


@pytest.mark.parametrize("place", [0, 1000, -1], ids=["first", "inside", "last"])
@pytest.mark.parametrize("name", [manifest.MODEL, manifest.TOKENIZER, manifest.MANIFEST])
def test_a_flipped_bit_of_an_artifact_is_refused(artifact: Path, name: str, place: int) -> None:
    """By a server and in process alike, before anything of it is loaded; the sentence names the file."""
    settings = Settings(models=artifact / "none", artifacts=artifact.parent, threads=1)
    entries = registry.entries_to_serve(settings)
    flip(artifact / name, place)

    with pytest.raises(ArtifactError) as served:
        Registry(entries, settings)
    with pytest.raises(ArtifactError) as loaded:
        Model.load(artifact)

    assert str(served.value) == str(loaded.value)
    assert str(served.value).startswith(f"{artifact / name} ")
    assert "export the model again" in str(served.value)


def test_every_bit_of_a_manifest_counts(artifact: Path, tmp_path: Path) -> None:
    """No figure, prompt or limit of it can change unnoticed."""
    small = tmp_path / "small"
    small.mkdir()
    for name in (manifest.MODEL, manifest.TOKENIZER):
        (small / name).write_bytes(b"content")
    hashes = {path.name: manifest.sha256(path) for path in small.iterdir()}
    manifest.write(msgspec.structs.replace(manifest.read(artifact), sha256=hashes), small)
    whole = (small / manifest.MANIFEST).read_bytes()
    manifest.verify(manifest.read(small), small)

    unnoticed = []
    for bit in range(8 * len(whole)):
        raw = bytearray(whole)
        raw[bit // 8] ^= 1 << bit % 8
        (small / manifest.MANIFEST).write_bytes(raw)
        try:
            manifest.verify(manifest.read(small), small)
        except ArtifactError:
            continue
        unnoticed.append(bit)

    assert [] == unnoticed


UNSAFE_IMPORTS = {"pickle", "_pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
UNSAFE_CALLS = {"eval", "exec", "__import__"}


def unsafe(source: str) -> list[str]:
    """What code does that could run what a file says: pickles, remote code, evaluated text, shells."""
    result = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            result += [item.name for item in node.names if item.name.split(".")[0] in UNSAFE_IMPORTS]
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in UNSAFE_IMPORTS:
            result.append(str(node.module))
        if isinstance(node, ast.Call):
            result += _unsafe_call(node)
    return result


def _unsafe_call(node: ast.Call) -> list[str]:
    name = ast.unparse(node.func)
    words = {word.arg: ast.unparse(word.value) for word in node.keywords}
    is_unsafe = [
        name in UNSAFE_CALLS,
        name.endswith("torch.load") and words.get("weights_only") != "True",
        words.get("trust_remote_code", "False") != "False",
        words.get("allow_pickle", "False") != "False",
        words.get("use_safetensors", "True") != "True",
        words.get("shell", "False") != "False",
    ]
    return [ast.unparse(node)] if any(is_unsafe) else []


@pytest.mark.parametrize(
    "path",
    [path for folder in ("embed_onnx", "export") for path in sorted((ROOT / folder).rglob("*.py"))],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_no_file_is_ever_run(path: Path) -> None:
    """Neither serving nor exporting unpickles, evaluates text, or runs a checkpoint's code."""
    assert [] == unsafe(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "def f():\n    import joblib",
        "eval('1')",
        "exec(text)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "AutoModel.from_pretrained(x, trust_remote_code=True)",
        "AutoModel.from_pretrained(x, trust_remote_code=flag)",
        "np.load(path, allow_pickle=True)",
        "subprocess.run(line, shell=True)",
    ],
)
def test_what_would_run_a_file_is_seen(source: str) -> None:
    """The control of the test above."""
    assert 1 == len(unsafe(source))


@pytest.mark.parametrize(
    "source",
    ["torch.load(path, weights_only=True)", "f(trust_remote_code=False)", "model.eval()", "np.load(path)"],
)
def test_what_runs_no_file_is_let_be(source: str) -> None:
    assert [] == unsafe(source)


def test_only_this_machine_is_served_by_default(server: Server) -> None:
    """Without settings, the server listens on the loopback address alone."""
    assert "127.0.0.1" == Settings().host
    assert server.url.startswith("http://127.0.0.1:")
    assert not any(f"://{host}" in "".join(server.log) for host in ("0.0.0.0", "[::]"))


def test_no_other_origin_may_call_by_default(client: httpx.Client) -> None:
    """A page from elsewhere gets neither a preflight nor an answer that a browser would show it."""
    headers = {"origin": "https://elsewhere.invalid", "access-control-request-method": "POST"}

    answers = [client.options("/v1/embeddings", headers=headers), client.get("/models", headers=headers)]

    assert () == Settings().cors_origins
    assert not any(name.startswith("access-control") for answer in answers for name in answer.headers)


@pytest.mark.parametrize(("user", "times"), [(0, 1), (1000, 0)], ids=["root", "somebody"])
def test_a_warning_for_root(
    user: int, times: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)

    server_module._warn_of_root()

    assert times == caplog.text.count("running as root; ")


def test_root_is_warned_and_served(server: Server) -> None:
    """The line is in the log of a real server exactly where its user is root."""
    assert int(os.geteuid() == 0) == "".join(server.log).count("running as root; ")


RELIABILITY = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("file", "name"), PROOF.findall(SECURITY + RELIABILITY))
def test_the_proof_of_a_promise_is_there(file: str, name: str) -> None:
    """Each test that SECURITY.md and docs/reliability.md name exists."""
    assert exists(file, name)


def test_every_promise_has_a_proof() -> None:
    """No row of the table is without a test, and no test is named outside of it."""
    rows = [line for line in SECURITY.splitlines() if line.startswith("| ")][1:]
    promises = [row for row in rows if not row.startswith("| ---")]

    assert len(promises) >= 15
    assert [] == [row for row in promises if "::test_" not in row.rpartition("|")[0].split(" | ")[-1]]
    assert len(PROOF.findall(SECURITY)) == "".join(promises).count("::test_")
