"""The image and compose: what is in them, and what they run."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml
from deployment import DEFAULTS, DEPLOY, HOME, IMAGE, REQUEST, STOP_SECONDS
from harness import ROOT, START_SECONDS, Server, clean_environment, free_port, until
from image import INSTRUCTIONS, instructions, stages


def copied(stage: str) -> list[str]:
    """What a stage takes from the repository."""
    return [word for copy in instructions(stage, "COPY") if not copy.flags for word in copy.value[:-1]]


def run_environment() -> dict[str, str]:
    pairs = [word for env in instructions("serve", "ENV") for word in env.value]
    return dict(zip(pairs[::2], pairs[1::2], strict=True))


def health_check() -> list[str]:
    (check,) = instructions("serve", "HEALTHCHECK")
    return list(check.value[1:])


def compose_health_check() -> list[str]:
    (service,) = yaml.safe_load((DEPLOY / "docker-compose.yml").read_text())["services"].values()
    kind, *command = service["healthcheck"]["test"]
    assert "CMD" == kind
    return command


def test_dockerfile_follows_hadolint() -> None:
    """Pinned bases and packages, clean lists, no sudo, no cd, valid labels, and a shell's own pitfalls."""
    hadolint = Path(sys.executable).with_name("hadolint")

    done = subprocess.run([hadolint, "--failure-threshold", "style", DEPLOY / "Dockerfile"], check=False)

    assert 0 == done.returncode


def test_one_base_in_one_version() -> None:
    """Every stage stands on the same full version of Python and release of Debian, or on a stage before."""
    bases = [stage[0].value[0] for stage in stages().values()]
    (default,) = (argument.value[0] for argument in INSTRUCTIONS if argument.original.startswith("ARG BASE="))

    assert re.fullmatch(r"BASE=python:3\.\d+\.\d+-slim-[a-z]+", default)
    assert ["${BASE}", "base", "base", "base", "serve"] == bases


def test_what_runs_is_not_root_and_gets_the_signals() -> None:
    """A user by number, as Kubernetes asks for, and a server that is process 1 itself, without a shell."""
    final = stages()["serve"] + stages()[""]
    users = [instruction.value for instruction in final if instruction.cmd == "USER"]
    starts = [instruction for instruction in final if instruction.cmd in ("ENTRYPOINT", "CMD")]

    assert [("10001:10001",)] == users
    assert [(True, ("embed-onnx", "serve"))] == [(start.json, start.value) for start in starts]
    assert [("SIGTERM",)] == [stop.value for stop in instructions("serve", "STOPSIGNAL")]
    assert [True] == [check.json for check in instructions("serve", "HEALTHCHECK")]


def test_what_runs_has_no_compiler_and_no_torch() -> None:
    """Both are in stages of which only the wheel and the artifacts are taken."""
    words = " ".join(instruction.original for instruction in stages()["serve"] + stages()[""])

    assert not re.search(r"apt-get|g\+\+|torch|\[export\]", words)
    assert [(f"{HOME}/artifacts", "artifacts")] == [
        copy.value for copy in instructions("", "COPY") if copy.flags
    ]


def test_what_is_copied_is_sent_and_nothing_else_is() -> None:
    """The builder gets the files that are copied, which exist, and no others: no keys, no history."""
    sent = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    allowed = {line.removeprefix("!") for line in sent if line.startswith("!")}
    sources = {source for stage in stages() for source in copied(stage)}

    assert "*" == next(line for line in sent if not line.startswith("#"))
    assert sources == allowed
    assert all((ROOT / source).exists() for source in sources)
    assert not [instruction for instruction in INSTRUCTIONS if instruction.cmd == "ADD"]


def test_image_knows_its_version_and_settings() -> None:
    """The label is the version of the build, variables are settings, the torch is the one of the tests."""
    labels = " ".join(instructions("serve", "LABEL")[0].value)
    torch = re.search(r"torch==\S+", (ROOT / "Makefile").read_text())

    assert 'org.opencontainers.image.version "${VERSION}"' in labels
    assert {"EMBED_ONNX_HOST": "0.0.0.0", "EMBED_ONNX_PORT": str(DEFAULTS.port)} == run_environment()
    assert [(str(DEFAULTS.port),)] == [expose.value for expose in instructions("serve", "EXPOSE")]
    assert torch
    assert torch[0] in " ".join(run.original for run in instructions("export", "RUN"))


class Container:
    """Carries a stage's instructions out in a folder, with an environment of Python in it for the base's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "venv/bin"
        folder.mkdir()
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        self.environment = clean_environment() | {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "PYTHONPATH": "",
        }

    def run(self, command: str, cwd: Path, **paths: Path) -> None:
        for name, path in paths.items():
            command = command.replace(f"/{name}", str(path))
        done = subprocess.run(
            command, shell=True, cwd=cwd, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"

    def packages(self) -> set[str]:
        command = [self.bin / "pip", "list", "--format", "json"]
        listed = subprocess.run(
            command, env=self.environment, stdout=subprocess.PIPE, text=True, check=True
        ).stdout
        return {package["name"] for package in json.loads(listed)}


@pytest.fixture(scope="module")
def image(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Container:
    """The last stage, made as the Dockerfile makes it; the exported artifacts are the tests' own."""
    folder = tmp_path_factory.mktemp("image")
    building, running = Container(folder / "build"), Container(folder / "run")
    reachable = subprocess.run(
        [building.bin / "pip", "download", "--no-deps", "--quiet", "hatchling"], cwd=folder, check=False
    )
    if reachable.returncode:
        pytest.skip("pip cannot download packages here")
    if shutil.which("c++") is None:
        pytest.skip("there is no C++ compiler")
    source = folder / "src"
    source.mkdir()
    for name in copied("build"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    for library in source.rglob("*.so"):
        library.unlink()
    building.run(instructions("build", "RUN")[-1].value[0], source, wheels=folder / "wheels")
    (install,) = instructions("serve", "RUN")
    shutil.copy(ROOT / copied("serve")[0], folder)
    running.run(
        install.value[0], folder, wheels=folder / "wheels", **{"requirements.txt": folder / "runtime.txt"}
    )
    (running.folder / "home").mkdir()
    shutil.copy(ROOT / "models.txt", running.folder / "home")
    shutil.copytree(home / "artifacts", running.folder / "home/artifacts")
    return running


def test_image_is_light(image: Container) -> None:
    """Nothing that only exporting needs is installed; the kernels are."""
    heavy = {"torch", "transformers", "optimum", "optimum-onnx", "sentence-transformers", "onnx"}

    assert set() == heavy & image.packages()
    assert [1] == [len(list(image.folder.rglob("embed_onnx_kernels.so")))]


def test_image_serves_and_stops(image: Container) -> None:
    """Its entry point serves, its health check tells so and tells when not, and SIGTERM is a clean end."""
    (start,) = instructions("serve", "ENTRYPOINT")
    program, serve = start.value
    server = Server(
        [], image.environment | run_environment(), image.folder / "home", (str(image.bin / program),)
    )
    try:
        server.wait_ready()
        answer = httpx.post(f"{server.url}/v1/embeddings", json=REQUEST, timeout=START_SECONDS)
        health = [healthy(image, check) for check in (health_check(), compose_health_check())]
        log = server.stop()
        health += [healthy(image, check) for check in (health_check(), compose_health_check())]
    finally:
        server.kill()

    assert "serve" == serve
    assert server.url.startswith("http://0.0.0.0:")
    assert 200 == answer.status_code
    assert [True, True, False, False] == health
    assert "kernels" in log
    assert 0 == server.process.returncode


def healthy(image: Container, check: list[str]) -> bool:
    """What a health check comes to in the image, whose variable has the default port.

    A proxy that is named and not there may not be asked.
    """
    environment = image.environment | run_environment() | {"http_proxy": "http://127.0.0.1:9"}
    return subprocess.run(check, env=environment, capture_output=True, check=False).returncode == 0


def test_health_check_asks_where_the_server_listens(image: Container, tmp_path: Path) -> None:
    """By a variable, a flag before a variable, at a Unix socket, of several processes, behind an init."""
    program = str(image.bin / "embed-onnx")
    starts = [
        ([], {"EMBED_ONNX_PORT": str(free_port())}),
        (["--port", str(free_port())], {"EMBED_ONNX_PORT": str(free_port())}),
        (["--host", f"unix:{tmp_path}/a.sock"], {}),
        (["--port", "0", "--workers", "2"], {}),
        (["--host", "::1", "--port", "0"], {}),
    ]
    for flags, variables in starts:
        environment = image.environment | run_environment() | variables
        command = ["sh", "-c", '"$@" & wait', "init", program, "serve", *flags]
        with subprocess.Popen(
            command, cwd=image.folder / "home", env=environment, stderr=subprocess.DEVNULL, process_group=0
        ) as process:
            try:
                until(lambda: healthy(image, compose_health_check()))
                assert healthy(image, health_check()), flags
            finally:
                os.killpg(process.pid, signal.SIGTERM)
        until(lambda: not healthy(image, health_check()))


def test_compose_confines_the_server() -> None:
    """Read-only, without capabilities, within limits, and given the time that it needs to stop."""
    (service,) = yaml.safe_load((DEPLOY / "docker-compose.yml").read_text())["services"].values()
    build = service["build"]

    assert (DEPLOY / "Dockerfile").samefile(DEPLOY / build["context"] / build["dockerfile"])
    assert IMAGE == service["image"]
    assert [f"127.0.0.1:{DEFAULTS.port}:{DEFAULTS.port}"] == service["ports"]
    assert service["read_only"]
    assert ["/tmp"] == service["tmpfs"]  # for --workers
    assert ["ALL"] == service["cap_drop"]
    assert ["no-new-privileges:true"] == service["security_opt"]
    assert "1g" == service["mem_limit"]
    assert "unless-stopped" == service["restart"]
    assert int(service["stop_grace_period"].removesuffix("s")) > STOP_SECONDS
