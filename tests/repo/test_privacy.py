"""Nothing of what happens here is sent anywhere."""

import os
import subprocess
import sys
from pathlib import Path

from harness import SMALL


def test_onnxruntime_keeps_to_itself(artifacts: Path, tmp_path: Path) -> None:
    """ONNX Runtime writes an identifier to the home folder before it sends anything: there is none.

    The environment is made anew: on build servers it would not send in any case.
    """
    environment = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    code = f"from embed_onnx import Model; Model.load({str(artifacts / SMALL)!r}).close()"

    subprocess.run([sys.executable, "-c", code], env=environment | {"HOME": str(tmp_path)}, check=True)

    assert [] == list(tmp_path.rglob("*"))
