"""The local cluster's API: creates, gets, a list of 500 pods and a watch event to 50 watchers.

The server runs in this process and its clients in another, so that on two cores each has its own. The clients write
HTTP by hand: a client library would be the limit. What a figure stands beside is asked in the same way of the same
server: an answer that needs no object (``/healthz``), or the same with a state folder.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.rows import row
from launcher.local.api import ApiServer
from launcher.local.api.state import opened

PODS = 500
REQUESTS = 4000
CONNECTIONS = 16
WATCHERS = 50
EVENTS = 40
PODS_PATH = "/api/v1/namespaces/default/pods"

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Request = tuple[str, str, bytes]


def pod(name: str) -> bytes:
    """A pod as the launcher makes them: about 2 kB as stored."""
    env = [{"name": f"LAUNCHER_{number}", "value": "x" * 20} for number in range(8)]
    container = {"name": "main", "image": "python:3.12-slim", "command": ["python", "count.py"], "env": env}
    mounts = [{"name": "data", "mountPath": "/data", "readOnly": True}, {"name": "out", "mountPath": "/out"}]
    volumes = [{"name": "data", "hostPath": {"path": "/data"}}, {"name": "out", "emptyDir": {}}]
    limits = {"limits": {"cpu": "1", "memory": "1Gi"}}
    spec = {
        "restartPolicy": "Never",
        "containers": [{**container, "volumeMounts": mounts, "resources": limits}],
        "volumes": volumes,
    }
    return json.dumps({"metadata": {"name": name, "labels": {"podlauncher.dev/run": name}}, "spec": spec}).encode()


def request(token: str, method: str, path: str, body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def ask(streams: Streams, data: bytes) -> bytes:
    reader, writer = streams
    writer.write(data)
    answer = await reader.readuntil(b"\r\n\r\n")
    if not answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 201")):
        raise RuntimeError(answer.decode())
    length = int(answer.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    return await reader.readexactly(length)


async def rate(port: int, token: str, requests: list[Request]) -> float:
    """Requests a second, over several connections at once."""
    todo = iter([request(token, *asked) for asked in requests])

    async def work() -> None:
        streams = await asyncio.open_connection("127.0.0.1", port)
        for data in todo:
            await ask(streams, data)
        streams[1].close()
        await streams[1].wait_closed()

    begin = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
    return len(requests) / (time.perf_counter() - begin)


async def median(streams: Streams, data: bytes, *, times: int = 21) -> float:
    """Milliseconds of one request after the other."""
    took = []
    for _ in range(times):
        begin = time.perf_counter()
        await ask(streams, data)
        took.append((time.perf_counter() - begin) * 1000)
    return sorted(took)[times // 2]


async def event_to_all(port: int, token: str, streams: Streams) -> float:
    """Milliseconds from a patch's sending until the last of the watchers has its event: the median."""
    watchers = []
    for _ in range(WATCHERS):
        # Lines of 2 kB come in pieces of any size.
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
        writer.write(request(token, "GET", "/api/v1/configmaps?watch=1&resourceVersion=0"))
        await reader.readuntil(b"\r\n\r\n")
        watchers.append((reader, writer))
    took = []
    for number in range(EVENTS):
        begin = time.perf_counter()
        body = json.dumps({"metadata": {"name": f"c-{number}"}, "data": {"a": "x" * 2000}}).encode()
        await ask(streams, request(token, "POST", "/api/v1/namespaces/default/configmaps", body))
        await asyncio.gather(*(reader.readuntil(b"}\n\r\n") for reader, _ in watchers))
        took.append((time.perf_counter() - begin) * 1000)
    for _, writer in watchers:
        writer.close()
        await writer.wait_closed()
    return sorted(took)[EVENTS // 2]


async def client(port: int, token: str) -> dict[str, float]:
    await rate(port, token, [("POST", "/api/v1/namespaces", b'{"metadata":{"name":"default"}}')])
    await rate(port, token, [("POST", PODS_PATH, pod(f"p-{number:04}")) for number in range(PODS)])
    streams = await asyncio.open_connection("127.0.0.1", port)
    figures = {
        "list": await median(streams, request(token, "GET", PODS_PATH)),
        "round": await median(streams, request(token, "GET", "/healthz")),
        "event": await event_to_all(port, token, streams),
    }
    streams[1].close()
    await streams[1].wait_closed()
    figures["healthz"] = await rate(port, token, [("GET", "/healthz", b"")] * REQUESTS)
    figures["gets"] = await rate(port, token, [("GET", f"{PODS_PATH}/p-{n % PODS:04}", b"") for n in range(REQUESTS)])
    figures["creates"] = await rate(port, token, [("POST", PODS_PATH, pod(f"q-{n:04}")) for n in range(REQUESTS)])
    return figures


async def measured(folder: Path | None) -> dict[str, float]:
    """The figures of a server with or without a state folder."""
    token = secrets.token_urlsafe()
    with ExitStack() as stack:
        state = stack.enter_context(opened(folder)) if folder else None
        async with ApiServer(token=token, state=state) as api:
            words = [sys.executable, "-m", "benchmarks.local_api", api.url.rpartition(":")[2]]
            pipe = subprocess.PIPE
            # The token goes through a pipe: arguments are for everybody to see.
            process = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe)
            out, _ = await process.communicate(token.encode())
    figures: dict[str, float] = json.loads(out)
    return figures


def main() -> None:
    """Print the rows."""
    memory = asyncio.run(measured(None))
    with tempfile.TemporaryDirectory() as folder:
        disk = asyncio.run(measured(Path(folder) / "state"))
    row("creates", memory["creates"], "/s", "answers without an object", memory["healthz"], "2000/s")
    row("creates with a state folder", disk["creates"], "/s", "in memory", memory["creates"], "x0.5")
    row("gets", memory["gets"], "/s", "answers without an object", memory["healthz"], "4000/s")
    row(f"list of {PODS} pods", memory["list"], "ms", "one answer without an object", memory["round"], "< 10 ms")
    row(
        f"event to {WATCHERS} watchers",
        memory["event"],
        "ms",
        "one answer without an object",
        memory["round"],
        "< 5 ms",
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(asyncio.run(client(int(sys.argv[1]), sys.stdin.read()))))
    else:
        main()
