"""The files of deploy/, held to the rules of their tools, and run as far as that goes without an engine."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import dockerfile
import httpx
import kubernetes_validate
import pytest
import yaml
from harness import MINILM, PROGRAM, ROOT, START_SECONDS, Server, clean_environment, free_port, until

from embed_onnx import __version__
from embed_onnx.http.server import GRACE_SECONDS
from embed_onnx.settings import Settings, knobs

DEPLOY = ROOT / "deploy"
IMAGE = f"embed-onnx:{__version__}"
HOME = "/srv/embed-onnx"
DEFAULTS = Settings()
STOP_SECONDS = DEFAULTS.drain_timeout + GRACE_SECONDS
"""The longest that a server takes to stop; who waits for it must wait longer."""
VARIABLES = {knob.variable for knob in knobs()}
REQUEST = {"model": MINILM, "input": "Hello", "encoding_format": "base64"}


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


# ---- the image


INSTRUCTIONS = dockerfile.parse_file(str(DEPLOY / "Dockerfile"))


def stages() -> dict[str, list[dockerfile.Command]]:
    """The instructions of each stage by its name; the last one's name is empty."""
    found: dict[str, list[dockerfile.Command]] = {}
    for instruction in INSTRUCTIONS:
        if instruction.cmd == "FROM":
            found[name := instruction.value[2] if len(instruction.value) > 1 else ""] = []
        found[name].append(instruction)
    return found


def of(stage: str, cmd: str) -> list[dockerfile.Command]:
    """The instructions of one kind in a stage."""
    return [instruction for instruction in stages()[stage] if instruction.cmd == cmd]


def copied(stage: str) -> list[str]:
    """What a stage takes from the repository."""
    return [word for copy in of(stage, "COPY") if not copy.flags for word in copy.value[:-1]]


def run_environment() -> dict[str, str]:
    pairs = [word for env in of("serve", "ENV") for word in env.value]
    return dict(zip(pairs[::2], pairs[1::2], strict=True))


def health_check() -> list[str]:
    (check,) = of("serve", "HEALTHCHECK")
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

    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", bases[0])
    assert ["base", "base", "base", "serve"] == bases[1:]


def test_what_runs_is_not_root_and_gets_the_signals() -> None:
    """A user by number, as Kubernetes asks for, and a server that is process 1 itself, without a shell."""
    final = stages()["serve"] + stages()[""]
    users = [instruction.value for instruction in final if instruction.cmd == "USER"]
    starts = [instruction for instruction in final if instruction.cmd in ("ENTRYPOINT", "CMD")]

    assert [("10001:10001",)] == users
    assert [(True, ("embed-onnx", "serve"))] == [(start.json, start.value) for start in starts]
    assert [("SIGTERM",)] == [stop.value for stop in of("serve", "STOPSIGNAL")]
    assert [True] == [check.json for check in of("serve", "HEALTHCHECK")]


def test_what_runs_has_no_compiler_and_no_torch() -> None:
    """Both are in stages of which only the wheel and the artifacts are taken."""
    words = " ".join(instruction.original for instruction in stages()["serve"] + stages()[""])

    assert not re.search(r"apt-get|g\+\+|torch|\[export\]", words)
    assert [(f"{HOME}/artifacts", "artifacts")] == [copy.value for copy in of("", "COPY") if copy.flags]


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
    """The label is this version, variables are settings, and the torch is the one that tests run with."""
    labels = " ".join(of("serve", "LABEL")[0].value)
    torch = re.search(r"torch==\S+", (ROOT / "Makefile").read_text())

    assert f'org.opencontainers.image.version "{__version__}"' in labels
    assert {"EMBED_ONNX_HOST": "0.0.0.0", "EMBED_ONNX_PORT": str(DEFAULTS.port)} == run_environment()
    assert [(str(DEFAULTS.port),)] == [expose.value for expose in of("serve", "EXPOSE")]
    assert torch
    assert torch[0] in " ".join(run.original for run in of("export", "RUN"))


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
    building.run(of("build", "RUN")[-1].value[0], source, wheels=folder / "wheels")
    (install,) = of("serve", "RUN")
    running.run(install.value[0], folder, wheels=folder / "wheels")
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
    (start,) = of("serve", "ENTRYPOINT")
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


# ---- the compose file


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


# ---- the Kubernetes manifests


MANIFESTS = {
    manifest["kind"]: manifest for manifest in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
}
POD = MANIFESTS["Deployment"]["spec"]["template"]
CONTAINER = POD["spec"]["containers"][0]


@pytest.mark.parametrize("version", ["1.29", "1.37"])
@pytest.mark.parametrize("kind", MANIFESTS)
def test_manifests_fit_the_schema(kind: str, version: str) -> None:
    """Kubernetes' own schemas, which allow no unknown field."""
    kubernetes_validate.validate(MANIFESTS[kind], version, strict=True)


def test_manifests_belong_together() -> None:
    """One label selects the pods everywhere, and what pods mount and ask for is there."""
    labels = POD["metadata"]["labels"]
    spec = MANIFESTS["Deployment"]["spec"]
    models = {volume["name"]: volume for volume in POD["spec"]["volumes"]}["models"]

    assert labels == spec["selector"]["matchLabels"]
    assert labels == MANIFESTS["Service"]["spec"]["selector"]
    assert labels == MANIFESTS["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"]
    assert MANIFESTS["ConfigMap"]["metadata"]["name"] == models["configMap"]["name"]
    assert ["http"] == [port["targetPort"] for port in MANIFESTS["Service"]["spec"]["ports"]]
    assert [{"name": "http", "containerPort": DEFAULTS.port}] == CONTAINER["ports"]
    assert {"name": "EMBED_ONNX_PORT", "value": str(DEFAULTS.port)} in CONTAINER["env"]
    assert str(DEFAULTS.port) == POD["metadata"]["annotations"]["prometheus.io/port"]
    assert spec["replicas"] > MANIFESTS["PodDisruptionBudget"]["spec"]["maxUnavailable"]


def test_pods_are_confined_to_what_the_image_is() -> None:
    """The image's user, nothing to write to, no capabilities, no credentials of the cluster."""
    (user,) = (instruction.value[0] for instruction in of("serve", "USER"))
    pod, own = POD["spec"]["securityContext"], CONTAINER["securityContext"]

    assert IMAGE == CONTAINER["image"]
    assert user == f"{pod['runAsUser']}:{pod['runAsGroup']}"
    assert pod["runAsNonRoot"]
    assert {"type": "RuntimeDefault"} == pod["seccompProfile"]
    assert own["readOnlyRootFilesystem"]
    assert not own["allowPrivilegeEscalation"]
    assert {"drop": ["ALL"]} == own["capabilities"]
    assert not POD["spec"]["automountServiceAccountToken"]
    assert {"cpu", "memory"} == set(CONTAINER["resources"]["limits"])


def test_pods_get_the_servers_variables_and_no_others() -> None:
    """Variables are settings, with files that are mounted; the cluster adds none of that name."""
    given = {variable["name"]: variable["value"] for variable in CONTAINER["env"]}
    mounted = {mount["mountPath"] for mount in CONTAINER["volumeMounts"]}

    assert given.keys() <= VARIABLES
    assert mounted - {"/tmp"} == {
        str(Path(value).parent) for value in given.values() if value.startswith("/")
    }
    assert "/tmp" in mounted  # for --workers
    assert not POD["spec"]["enableServiceLinks"]


def test_pods_have_the_time_to_stop() -> None:
    """Before it is killed, a pod leaves the service, and then drains."""
    sleep, seconds = CONTAINER["lifecycle"]["preStop"]["exec"]["command"]

    assert "sleep" == sleep
    assert POD["spec"]["terminationGracePeriodSeconds"] > int(seconds) + STOP_SECONDS


def test_probes(client: httpx.Client) -> None:
    """A pod gets requests once every model can embed; it is started anew if it does not answer at all."""
    kinds = ("startupProbe", "readinessProbe", "livenessProbe")
    paths = [CONTAINER[kind]["httpGet"]["path"] for kind in kinds]

    assert ["/ready", "/ready", "/health"] == paths
    assert [200] * 3 == [client.get(path).status_code for path in paths]
    assert 200 == client.get(POD["metadata"]["annotations"]["prometheus.io/path"]).status_code


# ---- the systemd unit


def unit(section: str) -> dict[str, list[str]]:
    """The settings of a section; one that stands several times has several values."""
    text = (DEPLOY / "embed-onnx.service").read_text().split(f"[{section}]\n")[1].split("\n[")[0]
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def system_calls(*words: str) -> set[str]:
    """The system calls of names and of systemd's groups of them, which begin with ``@``."""
    found: set[str] = set()
    for word in words:
        if not word.startswith("@"):
            found.add(word)
            continue
        command = ["systemd-analyze", "syscall-filter", word]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        inside = [line.partition("#")[0].strip() for line in listed.splitlines()[1:]]
        found |= system_calls(*[name for name in inside if name])
    return found


def confined() -> list[str]:
    """What runs a command under the unit's rules for system calls, memory and sockets."""
    rules = unit("Service")
    allowed, refused = rules["SystemCallFilter"]
    calls = system_calls(*allowed.split()) - system_calls(*refused.removeprefix("~").split())
    families = rules["RestrictAddressFamilies"][0].split()
    script = str(ROOT / "tests/support/confined.py")
    return [sys.executable, script, ",".join(sorted(calls)), ",".join(families)]


@needs("systemd-analyze")
@pytest.mark.parametrize("keys", [False, True], ids=["without-keys", "with-keys"])
def test_unit_is_understood(tmp_path: Path, keys: bool) -> None:
    """systemd finds nothing wrong with it, whether or not its lines about keys are taken in."""
    text = (DEPLOY / "embed-onnx.service").read_text().replace("/opt/embed-onnx/bin/embed-onnx", "/bin/true")
    copy = tmp_path / "embed-onnx.service"
    copy.write_text(re.sub(r"^#(?=\S+=)", "", text, flags=re.MULTILINE) if keys else text)

    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)

    assert (0, "") == (done.returncode, done.stderr)
    assert keys == ("\nLoadCredential=" in copy.read_text())


@needs("systemd-analyze")
def test_unit_exposes_little() -> None:
    """systemd's own count of what a service could do, from 0 to 10; it calls 2 and less OK."""
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager"]

    done = subprocess.run([*command, DEPLOY / "embed-onnx.service"], capture_output=True, check=False)

    assert 0 == done.returncode


def test_unit_starts_again_and_stops_in_time() -> None:
    service = unit("Service")

    assert ["/opt/embed-onnx/bin/embed-onnx serve"] == service["ExecStart"]
    assert ["/bin/kill -HUP $MAINPID"] == service["ExecReload"]
    assert ["mixed"] == service["KillMode"]
    assert ["on-failure"] == service["Restart"]
    assert int(service["TimeoutStopSec"][0]) > STOP_SECONDS
    assert ["yes"] == service["DynamicUser"]
    assert ["strict"] == service["ProtectSystem"]


@needs("systemd-analyze")
def test_unit_lets_the_server_work(home: Path) -> None:
    """Under its rules the server starts, embeds and stops: no memory is both written and executed."""
    server = Server([], {}, home, (*confined(), *PROGRAM))
    try:
        server.wait_ready()
        answer = httpx.post(f"{server.url}/v1/embeddings", json=REQUEST, timeout=START_SECONDS)
        log = server.stop()
    finally:
        server.kill()

    assert 200 == answer.status_code
    assert "kernels" in log
    assert 0 == server.process.returncode


@needs("systemd-analyze")
@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import mmap; mmap.mmap(-1, 4096, prot=7)", id="writable-code"),
        pytest.param("import socket; socket.socket(socket.AF_NETLINK)", id="other-sockets"),
        pytest.param("import os; os.setuid(os.getuid())", id="privileges"),
    ],
)
def test_the_rules_are_in_force(code: str) -> None:
    """What the last test runs the server under does refuse what it should."""
    command = [*confined(), sys.executable, "-c", code]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert 1 == done.returncode
    assert "PermissionError" in done.stderr
