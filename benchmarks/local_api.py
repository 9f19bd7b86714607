"""How fast the local cluster's API is: creates and gets a second, and the time of a list of 500 pods.

Run it with `python benchmarks/local_api.py`. The server runs in this process and the clients in another, so
that on two cores each has its own. The clients write HTTP by hand: a client library would be the limit.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time

from launcher.local.api import ApiServer

PODS = 500
REQUESTS = 4000
CONNECTIONS = 16
PODS_PATH = "/api/v1/namespaces/default/pods"


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


async def ask(
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], token: str, method: str, path: str, body: bytes
) -> bytes:
    reader, writer = streams
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
    writer.write(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    answer = await reader.readuntil(b"\r\n\r\n")
    if not answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 201")):
        raise RuntimeError(answer.decode())
    length = int(answer.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    return await reader.readexactly(length)


async def rate(port: int, token: str, requests: list[tuple[str, str, bytes]]) -> float:
    """Requests a second, over several connections at once."""
    todo = iter(requests)

    async def work() -> None:
        streams = await asyncio.open_connection("127.0.0.1", port)
        for method, path, body in todo:
            await ask(streams, token, method, path, body)
        streams[1].close()
        await streams[1].wait_closed()

    begin = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
    return len(requests) / (time.perf_counter() - begin)


async def client(port: int, token: str) -> None:
    await rate(port, token, [("POST", "/api/v1/namespaces", b'{"metadata":{"name":"default"}}')])
    await rate(port, token, [("POST", PODS_PATH, pod(f"p-{number:04}")) for number in range(PODS)])
    streams = await asyncio.open_connection("127.0.0.1", port)
    times = []
    for _ in range(20):
        begin = time.perf_counter()
        size = len(await ask(streams, token, "GET", PODS_PATH, b""))
        times.append(time.perf_counter() - begin)
    streams[1].close()
    await streams[1].wait_closed()
    gets = await rate(port, token, [("GET", f"{PODS_PATH}/p-{n % PODS:04}", b"") for n in range(REQUESTS)])
    creates = await rate(port, token, [("POST", PODS_PATH, pod(f"q-{n:04}")) for n in range(REQUESTS)])
    print(f"creates a second                {creates:8.0f}")
    print(f"gets a second                   {gets:8.0f}")
    print(f"list of {PODS} pods ({size // 1024} kB), ms   {sorted(times)[len(times) // 2] * 1000:8.1f}")


async def server() -> None:
    token = secrets.token_urlsafe()
    async with ApiServer(token=token) as api:
        port = api.url.rpartition(":")[2]
        # The token goes through a pipe: arguments are for everybody to see.
        process = await asyncio.create_subprocess_exec(sys.executable, __file__, port, stdin=asyncio.subprocess.PIPE)
        await process.communicate(token.encode())


if __name__ == "__main__":
    asyncio.run(client(int(sys.argv[1]), sys.stdin.read()) if len(sys.argv) > 1 else server())
