"""A file at an address, whose sha256 stands behind it: ``https://HOST/FILE.tar#sha256=HEX``.

A download that breaks off, or whose process is killed, leaves its beginning beside the artifacts; the next
one asks the server for the rest. Nothing reads a file before its digest is right.
"""

import contextlib
import http.client
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from embed_onnx import files
from embed_onnx.artifact import manifest
from embed_onnx.errors import ArtifactError, SetupError

DIGEST = "#sha256="
ADDRESS = re.compile(rf"(https?://[^#\s]+){DIGEST}([0-9a-f]{{64}})")
SECONDS = 60
"""Without a byte from the server."""
PARTIAL, RANGE_NOT_SATISFIABLE = 206, 416


def is_address(text: str) -> bool:
    """Whether it is an address, and no folder or repository."""
    return "://" in text


@contextlib.contextmanager
def fetched(address: str, folder: Path) -> Iterator[Path]:
    """The file at an address, in a folder of which one download at a time has the lock; removed afterwards.

    Raises:
        SetupError: The address has no sha256, or its server does not give the file.
        ArtifactError: The file has another sha256.
    """
    match = ADDRESS.fullmatch(address)
    if match is None:
        raise SetupError(f"{address!r} is not an address such as https://HOST/FILE.tar{DIGEST}HEX, 64 digits")
    url, digest = match.groups()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f".pull-{digest[:16]}.tar"
    with files.locked(folder):
        _download(url, path)
        actual = manifest.sha256(path)
        if actual != digest:
            path.unlink()
            raise ArtifactError(
                f"{url} has the sha256 {actual}, and {digest} was expected; get the digest from who packed it"
            )
        yield path
        path.unlink()


def _download(url: str, path: Path) -> None:
    """Append to a file what it lacks of the one at a URL."""
    start = path.stat().st_size if path.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})  # noqa: S310 - http(s)
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310 - only http and https
            _append(answer, path, start if answer.status == PARTIAL else 0)
    except urllib.error.HTTPError as err:
        err.close()
        if err.code != RANGE_NOT_SATISFIABLE:  # all of it is there
            raise SetupError(f"{url} answers {err.code} {err.reason}; check the address") from None
    except (OSError, http.client.HTTPException) as err:
        raise SetupError(
            f"{url} cannot be downloaded: {err}; run it again, and it goes on where it stopped"
        ) from None


def _append(answer: Any, path: Path, start: int) -> None:
    with path.open("ab") as file:
        file.truncate(start)
        shutil.copyfileobj(answer, file)
    missing = answer.length
    if missing:
        raise http.client.HTTPException(f"the server broke off with {missing:,} bytes to come")
