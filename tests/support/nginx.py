"""A real nginx with a site of deploy/."""

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness import START_SECONDS, free_port, until

DEPLOY = Path(__file__).parents[2] / "deploy"


class Nginx:
    """A site of deploy/ in a real nginx, which runs without privileges."""

    MAIN = """
        pid {folder}/nginx.pid;
        daemon off;
        worker_processes 1;
        error_log {folder}/error.log;
        events {{}}
        http {{
            access_log {folder}/access.log;
            client_body_temp_path {folder}/body;
            proxy_temp_path {folder}/proxy;
            fastcgi_temp_path {folder}/fastcgi;
            uwsgi_temp_path {folder}/uwsgi;
            scgi_temp_path {folder}/scgi;
            include {folder}/site.conf;
        }}
    """

    def __init__(self, folder: Path, name: str, upstreams: dict[str, str], prefix: str = "") -> None:
        """``upstreams`` are the servers, by the addresses that the site has in their place.

        With a prefix, they are below that path, of which they see nothing.
        """
        self.folder = folder
        self.port = free_port()
        self._certify()
        site = (DEPLOY / name).read_text()
        ours = {
            "listen 443 ssl;": f"listen 127.0.0.1:{self.port} ssl;",
            "listen [::]:443 ssl;": "",
            "server_name embeddings.example.org;": "server_name localhost;",
            "/etc/embed-onnx/tls/server.crt;": f"{folder}/server.crt;",
            "/etc/embed-onnx/tls/server.key;": f"{folder}/server.key;",
        } | {f"server {address} ": f"server {own} " for address, own in upstreams.items()}
        if prefix:
            ours |= {"location / {": f"location {prefix}/ {{", "http://embed_onnx;": "http://embed_onnx/;"}
        for theirs, own in ours.items():
            assert 1 == site.count(theirs)
            site = site.replace(theirs, own)
        (folder / "site.conf").write_text(site)
        (folder / "nginx.conf").write_text(self.MAIN.format(folder=folder))
        nobody: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = {"user": "nobody", "group": "nogroup", "extra_groups": []}
            for path in (folder, *folder.iterdir()):
                shutil.chown(path, "nobody", "nogroup")
        command = ["nginx", "-c", folder / "nginx.conf", "-e", folder / "error.log", "-p", folder]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL, **nobody)
        self.tls = ssl.create_default_context(cafile=folder / "server.crt")

    def _certify(self) -> None:
        """A certificate of its own."""
        command = "openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -days 2 "
        command += "-subj /CN=localhost -addext subjectAltName=DNS:localhost "
        command += f"-keyout {self.folder}/server.key -out {self.folder}/server.crt"
        subprocess.run(command.split(), check=True, capture_output=True)

    def listens(self) -> bool:
        assert self.process.poll() is None, (self.folder / "error.log").read_text()
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", self.port)).close()
            return True
        return False

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=f"https://localhost:{self.port}", verify=self.tls, timeout=120)

    def connect(self) -> ssl.SSLSocket:
        return self.tls.wrap_socket(
            socket.create_connection(("127.0.0.1", self.port)), server_hostname="localhost"
        )

    def warnings(self) -> list[str]:
        """Its log, without what it says of each connection at the lowest level."""
        lines = (self.folder / "error.log").read_text().splitlines()
        return [line for line in lines if "[notice]" not in line and "[info]" not in line]

    def answers(self) -> list[str]:
        """Its access log."""
        return (self.folder / "access.log").read_text().splitlines()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(START_SECONDS)


@contextlib.contextmanager
def running(name: str, upstreams: dict[str, str], prefix: str = "") -> Iterator[Nginx]:
    """Run a site before these servers, in a folder that every user may get to."""
    if not shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") or not shutil.which("openssl"):
        pytest.skip("nginx or openssl is not installed")
    with tempfile.TemporaryDirectory(prefix="embed-onnx-nginx-") as folder:
        nginx = Nginx(Path(folder), name, upstreams, prefix)
        try:
            until(nginx.listens)
            yield nginx
        finally:
            nginx.stop()
