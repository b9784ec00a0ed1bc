"""Settings that are options of Ray; no cluster is needed to read them."""

import pytest

from embed_onnx.errors import SetupError
from embed_onnx.settings import RaySettings


@pytest.mark.filterwarnings("ignore:Using extra keyword arguments on `Field`:DeprecationWarning")  # Ray's
def test_settings_are_options_of_ray() -> None:
    """Cores, replicas and the time to drain."""
    from embed_onnx.ray import serve

    fixed = serve.options(RaySettings(replicas=2, drain_timeout=7))
    scaled = serve.options(RaySettings(replicas=2, max_replicas=8, threads=3))

    assert {"num_cpus": 1} == fixed["ray_actor_options"]
    assert (2, 7) == (fixed["num_replicas"], fixed["graceful_shutdown_timeout_s"])
    assert {"num_cpus": 3} == scaled["ray_actor_options"]
    assert {"min_replicas": 2, "max_replicas": 8, "target_ongoing_requests": 6} == scaled[
        "autoscaling_config"
    ]
    with pytest.raises(SetupError, match="max_replicas is 1 and replicas 2"):
        serve.options(RaySettings(replicas=2, max_replicas=1))
