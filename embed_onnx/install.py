"""How to install an extra of this package: from where the package itself was installed."""

import json
import shlex
import shutil
import sys
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

PACKAGE = "embed-onnx"


def command(extra: str) -> str:
    """What to run, by the pip of this environment."""
    pip = shutil.which("pip", path=str(Path(sys.executable).parent))
    words = [pip] if pip else [sys.executable, "-m", "pip"]
    return f"{shlex.join(words)} install {requirement(extra)}"


def requirement(extra: str) -> str:
    """What to give to pip: the checkout or wheel that was installed, or the package's name."""
    try:
        direct_url = metadata.distribution(PACKAGE).read_text("direct_url.json")
    except metadata.PackageNotFoundError:  # run from a source tree that is not installed
        direct_url = None
    return requirement_of(extra, direct_url)


def requirement_of(extra: str, direct_url: str | None) -> str:
    """``direct_url`` is the file that pip writes for what does not come from an index (PEP 610)."""
    origin = json.loads(direct_url) if direct_url else {}
    url = urlsplit(origin.get("url", ""))
    path = unquote(url.path)
    source = path if url.scheme == "file" and Path(path).exists() else PACKAGE
    option = "--editable " if source == path and origin.get("dir_info", {}).get("editable") else ""
    return f"{option}'{source}[{extra}]'"
