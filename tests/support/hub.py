"""A model hub on this machine: what the real client needs to download and upload a repository."""

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

REVISION = "0123456789abcdef0123456789abcdef01234567"
"""The commit of every repository until something is uploaded."""


class Hub:
    """Serves folders as repositories by their names, and is also the proxy of who asks for other hosts.

    ``token`` is what a client must send, ``gated`` are repositories whose files nobody may have, and of the
    files in ``broken`` nothing comes after so many bytes. ``paths`` and ``ranges`` are what was requested.
    ``revision`` is the present commit: clients remember what files one has.
    """

    def __init__(self, repositories: dict[str, Path]) -> None:
        self.repositories = repositories
        self.revision = REVISION
        self.token: str | None = None
        self.gated: set[str] = set()
        self.broken: dict[str, int] = {}
        self.paths: list[str] = []
        self.ranges: list[str] = []
        self.hosts: set[str] = set()
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self._thread = threading.Thread(target=self.server.serve_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()

    def environment(self, cache: Path) -> dict[str, str]:
        """Variables that point the hub's client here, with an empty cache."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(cache),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_TOKEN": "",
        }


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_CONNECT(self) -> None:
        self.hub.hosts.add(self.path)
        self.close_connection = True
        self._answer(502)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self._path()
        repo = next((name for name in self.hub.repositories if f"/{name}/" in f"{path}/"), None)
        if repo is None or not self._is_allowed():
            return self._answer(401 if repo else 404, error="RepoNotFound")
        before, _, after = path.partition(f"/{repo}/")
        if before == "/api/models":
            return self._describe(repo, after)
        if repo in self.hub.gated:
            return self._answer(403, error="GatedRepo")
        return self._send_file(
            self.hub.repositories[repo] / after.removeprefix(f"resolve/{self.hub.revision}/")
        )

    def do_POST(self) -> None:
        path = self._path()
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if not self._is_allowed():
            return self._answer(401)
        if path == "/api/repos/create":
            fields = json.loads(body)
            name = "/".join(filter(None, (fields.get("organization"), fields["name"])))
            return self._answer(200, json.dumps({"url": f"{self.hub.url}/{name}", "id": name}).encode())
        repo = next(name for name in self.hub.repositories if f"/{name}/" in path)
        if "/preupload/" in path:
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            return self._answer(200, json.dumps({"files": files}).encode())
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                target = self.hub.repositories[repo] / line["value"]["path"]
                target.write_bytes(base64.b64decode(line["value"]["content"]))
        self.hub.revision = hashlib.sha1(body).hexdigest()
        commit = {
            "commitUrl": f"{self.hub.url}/{repo}/commit/{self.hub.revision}",
            "commitOid": self.hub.revision,
            "success": True,
        }
        return self._answer(200, json.dumps(commit).encode())

    def _path(self) -> str:
        """Without a query, and without the host where this is its proxy."""
        path = self.path.partition("?")[0]
        if path.startswith("http://"):
            host, _, path = path.removeprefix("http://").partition("/")
            self.hub.hosts.add(host)
            path = f"/{path}"
        self.hub.paths.append(path)
        return path

    def _is_allowed(self) -> bool:
        return self.hub.token is None or self.headers["Authorization"] == f"Bearer {self.hub.token}"

    def _describe(self, repo: str, path: str) -> None:
        folder = self.hub.repositories[repo]
        names = sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())
        if path.startswith("tree/"):
            tree = [
                {"type": "file", "path": name, "size": (folder / name).stat().st_size, "oid": "0" * 40}
                for name in names
            ]
            return self._answer(200, json.dumps(tree).encode())
        if path == "revision/absent":
            return self._answer(404, error="RevisionNotFound")
        siblings = [{"rfilename": name} for name in names]
        return self._answer(
            200, json.dumps({"id": repo, "sha": self.hub.revision, "siblings": siblings}).encode()
        )

    def _send_file(self, path: Path) -> None:
        if not path.is_file():
            return self._answer(404, error="EntryNotFound")
        content = path.read_bytes()
        etag = hashlib.sha256(content).hexdigest()
        start = 0
        if "Range" in self.headers and self.command == "GET":
            self.hub.ranges.append(self.headers["Range"])
            start = int(self.headers["Range"].removeprefix("bytes=").partition("-")[0])
        headers: dict[str, Any] = {"ETag": f'"{etag}"'}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        end = self.hub.broken.get(path.name)
        end = None if end is None else max(0, end - start)
        return self._answer(206 if start else 200, content[start:], headers=headers, end=end)

    def _answer(
        self,
        status: int,
        body: bytes = b"{}",
        *,
        error: str = "",
        headers: dict[str, str] | None = None,
        end: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Repo-Commit", self.hub.revision)
        if error:
            self.send_header("X-Error-Code", error)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:end])
            self.close_connection |= end is not None

    def log_message(self, *_: object) -> None:
        pass
