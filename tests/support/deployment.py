"""What the files in deploy/ agree on, for the tests of each."""

import shutil

import pytest
from harness import MINILM, ROOT

from embed_onnx.http.server import GRACE_SECONDS
from embed_onnx.settings import Settings, knobs

DEPLOY = ROOT / "deploy"
IMAGE = "embed-onnx:models"
HOME = "/srv/embed-onnx"
DEFAULTS = Settings()
STOP_SECONDS = DEFAULTS.drain_timeout + GRACE_SECONDS
"""The longest that a server takes to stop; a supervisor must wait longer."""
VARIABLES = {knob.variable for knob in knobs()}
REQUEST = {"model": MINILM, "input": "Hello", "encoding_format": "base64"}


def needs(program: str) -> pytest.MarkDecorator:
    """Skip a test where a program is absent."""
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")
