"""Kubernetes' manifests: their schema, and what they promise of pods."""

from pathlib import Path

import httpx
import kubernetes_validate
import pytest
import yaml
from deployment import DEFAULTS, DEPLOY, IMAGE, STOP_SECONDS, VARIABLES
from image import instructions

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
