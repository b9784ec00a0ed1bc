"""Kubernetes' manifests: their schema, what they promise of pods, and what is made of them."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import kubernetes_validate
import pytest
import yaml
from deployment import DEFAULTS, DEPLOY, IMAGE, STOP_SECONDS, VARIABLES
from image import instructions

FOLDER = DEPLOY / "kubernetes"
COMPONENTS = ("monitoring", "autoscaling", "keda")
OF_OTHERS = {"ServiceMonitor", "PrometheusRule", "ScaledObject"}
"""Kinds that are not Kubernetes' own."""


def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    return content


BASE = [read(f"base/{name}") for name in read("base/kustomization.yaml")["resources"]]
MANIFESTS = {manifest["kind"]: manifest for manifest in [*BASE, read("autoscaling/autoscaler.yaml")]}
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
    (generated,) = read("base/kustomization.yaml")["configMapGenerator"]

    assert labels == spec["selector"]["matchLabels"]
    assert labels == MANIFESTS["Service"]["spec"]["selector"]
    assert labels == MANIFESTS["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"]
    assert labels == MANIFESTS["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"]
    spread = POD["spec"]["topologySpreadConstraints"]
    assert [labels] * 2 == [constraint["labelSelector"]["matchLabels"] for constraint in spread]
    assert generated["name"] == models["configMap"]["name"]
    assert ["http"] == [port["targetPort"] for port in MANIFESTS["Service"]["spec"]["ports"]]
    assert [{"name": "http", "containerPort": DEFAULTS.port}] == CONTAINER["ports"]
    assert {"name": "EMBED_ONNX_PORT", "value": str(DEFAULTS.port)} in CONTAINER["env"]
    assert str(DEFAULTS.port) == POD["metadata"]["annotations"]["prometheus.io/port"]
    assert spec["replicas"] > MANIFESTS["PodDisruptionBudget"]["spec"]["maxUnavailable"]


def test_pods_are_confined_to_what_the_image_is() -> None:
    """The image's user, nothing to write to, no capabilities, no credentials of the cluster."""
    (user,) = (instruction.value[0] for instruction in instructions("serve", "USER"))
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
    source = {variable["name"]: variable["value"] for variable in CONTAINER["env"]}
    mounted = {mount["mountPath"] for mount in CONTAINER["volumeMounts"]}

    assert source.keys() <= VARIABLES
    assert mounted - {"/tmp"} == {
        str(Path(value).parent) for value in source.values() if value.startswith("/")
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


def kustomize(folder: Path) -> dict[str, dict[str, Any]]:
    """What `kubectl apply -k` would apply, by kind."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("there is no kubectl")
    command = [kubectl, "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return {manifest["kind"]: manifest for manifest in yaml.safe_load_all(done.stdout)}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The folder, to be changed as its user changes it."""
    return Path(shutil.copytree(FOLDER, tmp_path / "kubernetes"))


def choose(folder: Path, component: str) -> None:
    """Take the comment sign from the line of a component."""
    path = folder / "kustomization.yaml"
    text = path.read_text()
    assert f"  # - {component}\n" in text
    path.write_text(text.replace(f"  # - {component}\n", f"  - {component}\n"))


def test_a_changed_list_of_models_replaces_the_pods(copy: Path) -> None:
    """The pods mount a config map whose name depends on its content."""
    before = kustomize(copy)
    (copy / "base" / "models.txt").write_text("another-model\n")
    after = kustomize(copy)

    for manifests in (before, after):
        volumes = manifests["Deployment"]["spec"]["template"]["spec"]["volumes"]
        mounted = [volume["configMap"]["name"] for volume in volumes if "configMap" in volume]
        assert [manifests["ConfigMap"]["metadata"]["name"]] == mounted
    assert before["ConfigMap"]["metadata"]["name"] != after["ConfigMap"]["metadata"]["name"]


@pytest.mark.parametrize("component", COMPONENTS)
def test_components(copy: Path, component: str) -> None:
    """Each adds its manifests; what scales the deployment alone sets its number of pods."""
    choose(copy, component)

    manifests = kustomize(copy)

    assert set(manifests) > {"Deployment", "Service", "ConfigMap", "NetworkPolicy", "PodDisruptionBudget"}
    assert {IMAGE} == {
        container["image"] for container in manifests["Deployment"]["spec"]["template"]["spec"]["containers"]
    }
    scaled = set(manifests) & {"HorizontalPodAutoscaler", "ScaledObject"}
    assert bool(scaled) != ("replicas" in manifests["Deployment"]["spec"])
    for kind in set(manifests) - OF_OTHERS:
        kubernetes_validate.validate(manifests[kind], "1.37", strict=True)


def test_monitoring_finds_the_service() -> None:
    monitor = read("monitoring/service-monitor.yaml")["spec"]
    service = MANIFESTS["Service"]

    assert monitor["selector"]["matchLabels"] == service["metadata"]["labels"]
    assert [monitor["endpoints"][0]["port"]] == [port["name"] for port in service["spec"]["ports"]]
