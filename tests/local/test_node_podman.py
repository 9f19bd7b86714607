"""Containers from real images: podman as the node's isolation.

The image is made here, of this machine's busybox; podman's storage is the test's own, and nobody else's is touched.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from launcher.errors import LauncherError
from launcher.local.node.images import Images, ran, reference
from launcher.local.node.isolation import Bind, Image, ImageFailed, Launch, choose
from launcher.local.node.podman import LABEL, Podman, _by_name, _owner
from launcher.local.node.process import Pipes, Process, StartFailed
from tests.local.node_lab import Lab, laboratory, terminated

PODMAN, BUSYBOX = shutil.which("podman"), shutil.which("busybox")

pytestmark = pytest.mark.skipif(
    PODMAN is None or BUSYBOX is None, reason="podman and a static busybox aren't installed"
)

TINY = "localhost/tiny:1"

# Lower limits of processes and files than podman's own defaults, which a sandbox may not raise to.
CONFIGURATION = """
[engine]
runtime = "{runtime}"
cgroup_manager = "cgroupfs"
events_logger = "none"
tmp_dir = "{folder}/libpod"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
"""

STORAGE = """
[storage]
driver = "vfs"
graphroot = "{folder}/root"
runroot = "{folder}/run"
"""


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """A podman with storage of its own and one image, whose entrypoint is a shell."""
    folder = tmp_path_factory.mktemp("podman")
    runtime = "runc" if shutil.which("runc") else "crun"
    (folder / "containers.conf").write_text(CONFIGURATION.format(folder=folder, runtime=runtime))
    (folder / "storage.conf").write_text(STORAGE.format(folder=folder))
    (folder / "tiny.tar").write_bytes(rootfs())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONTAINERS_CONF", str(folder / "containers.conf"))
        patch.setenv("CONTAINERS_STORAGE_CONF", str(folder / "storage.conf"))
        changes = ['ENTRYPOINT ["/bin/sh", "-c"]', 'CMD ["echo from the image in $PWD; echo $OF_IMAGE >&2"]']
        changes += ["ENV OF_IMAGE=here", "WORKDIR /work"]
        options = [word for change in changes for word in ("--change", change)]
        program = str(PODMAN)
        try:
            subprocess.run(
                [program, "import", *options, str(folder / "tiny.tar"), TINY], check=True, capture_output=True
            )
            tried = subprocess.run(
                [program, "run", "--rm", "--network", "host", TINY, "true"], check=False, capture_output=True
            )
            if tried.returncode:
                pytest.skip(f"podman can't run a container on this machine: {tried.stderr.decode()}")
            yield Podman(Path(program))
            left = subprocess.run([program, "ps", "--all", "--quiet"], check=True, capture_output=True).stdout
            assert not left, "containers are left"
        finally:
            subprocess.run([program, "rm", "--all", "--force", "--time", "0"], check=False, capture_output=True)
            subprocess.run([program, "rmi", "--all", "--force"], check=False, capture_output=True)


def rootfs() -> bytes:
    """The layer of an image: busybox, its names and a folder."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as layer:
        layer.add(os.path.realpath(str(BUSYBOX)), "bin/busybox")
        for name in ("sh", "cat", "echo", "env", "id", "kill", "sleep", "touch", "true"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            layer.addfile(link)
        for name in ("work", "tmp", "proc", "dev", "sys", "etc"):
            made = tarfile.TarInfo(name)
            made.type, made.mode = tarfile.DIRTYPE, 0o777
            layer.addfile(made)
    return packed.getvalue()


def launch(
    folder: Path, *args: str, command: tuple[str, ...] = (), env: Mapping[str, str] | None = None, **changes: object
) -> Launch:
    about = {key: changes.pop(key) for key in ("working_dir", "read_only_root") if key in changes}
    values: dict[str, object] = {
        "argv": (),
        "env": env or {},
        "cwd": "/",
        "binds": (),
        "scratch": folder,
        "hidden": folder,
        "image": Image(TINY, "Never", command, args, **about),  # type: ignore[arg-type]
        **changes,
    }
    return Launch(**values)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def started(podman: Podman, what: Launch) -> AsyncIterator[tuple[Process, Pipes]]:
    pipes = Pipes.open()
    try:
        try:
            process = await podman.start(what, pipes)
        finally:
            pipes.close_child_ends()
        try:
            yield process, pipes
        finally:
            process.close()
    finally:
        pipes.close()


async def outcome(podman: Podman, what: Launch) -> tuple[int, str, str]:
    """Exit code, and what is in its two pipes at the end."""
    async with started(podman, what) as (process, pipes):
        code = await process.wait()
        return code, os.read(pipes.stdout, 65536).decode(), pipes.said()


async def line(pipes: Pipes) -> str:
    """The first thing that a container says."""
    said, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(pipes.stdout, said.set)
    try:
        await said.wait()
    finally:
        loop.remove_reader(pipes.stdout)
    return os.read(pipes.stdout, 65536).decode()


async def containers(podman: Podman) -> str:
    return (await ran(podman.program, "ps", "--all", "--quiet")).output


async def test_an_images_own_command(podman: Podman, tmp_path: Path) -> None:
    """Without command and arguments the image's run, in its folder, with its variables, each stream in its pipe."""
    assert await outcome(podman, launch(tmp_path)) == (0, "from the image in /work\n", "here")


async def test_arguments_alone_replace_the_images_arguments(podman: Podman, tmp_path: Path) -> None:
    """``args`` without ``command`` go to the image's entrypoint."""
    assert await outcome(podman, launch(tmp_path, "echo arguments; exit 125")) == (125, "arguments\n", "")


async def test_a_command_replaces_entrypoint_and_arguments(podman: Podman, tmp_path: Path) -> None:
    """``command`` is the entrypoint, and the image's arguments don't follow it."""
    assert await outcome(podman, launch(tmp_path, command=("/bin/echo", "a  b"))) == (0, "a  b\n", "")
    assert await outcome(podman, launch(tmp_path, "d", command=("/bin/echo", "c"))) == (0, "c d\n", "")


async def test_environment_folder_and_user(podman: Podman, tmp_path: Path) -> None:
    """Variables come unchanged whatever is in them, and working directory and user are those asked for."""
    env = {"MANY": "one\ntwo = 'three' ", "PATH": "/bin", "LD_AUDIT": "/nope", "a.b*": "dotted"}
    script = 'echo "$MANY|$PATH|$LD_AUDIT|$PWD|$(id -u):$(id -g)"'
    what = launch(tmp_path, script, env=env, working_dir="/tmp", uid=1234, gid=5)
    code, out, _ = await outcome(podman, what)
    assert (code, out) == (0, f"{env['MANY']}|/bin|/nope|/tmp|1234:5\n")
    # A shell drops a variable of such a name, so the command is asked.
    code, out, _ = await outcome(podman, launch(tmp_path, "env", command=("/bin/busybox",), env=env))
    assert code == 0
    assert "a.b*=dotted" in out.splitlines()


def test_secrets_stay_out_of_the_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable is told to podman by its name alone, unless podman or its helpers would heed it themselves."""
    monkeypatch.setenv("TAKEN", "by us")
    asked = {
        name: "x" for name in ("DB_PASSWORD", "STORAGE_KEY", "TAKEN", "LD_PRELOAD", "CONTAINERS_CONF", "a*", "PATH")
    }
    assert set(_by_name(asked)) == {"DB_PASSWORD", "STORAGE_KEY"}


async def test_mounts(podman: Podman, tmp_path: Path) -> None:
    """Mounts are at their paths whatever their names, read-only ones are so for the kernel, and an inode held
    open is mounted though its name now leads elsewhere."""
    odd = tmp_path / 'comma, colon: and "quote"'
    odd.mkdir()
    held = tmp_path / "held"
    held.mkdir()
    (held / "in").write_text("the folder held")
    fd = os.open(held, os.O_PATH)
    held.rename(tmp_path / "away")
    held.symlink_to("/etc")
    binds = (
        Bind(odd, "/mnt/a,b", read_only=False),
        Bind(odd, "/mnt/ro", read_only=True),
        Bind(held, "/held", read_only=True, fd=fd),
    )
    script = "echo written > '/mnt/a,b/file'; cat /mnt/ro/file /held/in; touch /mnt/ro/other"
    try:
        code, out, error = await outcome(podman, launch(tmp_path, script, binds=binds))
    finally:
        os.close(fd)
    assert (code, out) == (1, "written\nthe folder held")
    assert "Read-only file system" in error
    assert (odd / "file").read_text() == "written\n"


async def test_read_only_root(podman: Podman, tmp_path: Path) -> None:
    """``readOnlyRootFilesystem`` is honoured by the kernel."""
    code, _, error = await outcome(podman, launch(tmp_path, "touch /file", read_only_root=True))
    assert code == 1
    assert "Read-only file system" in error


@pytest.mark.parametrize(
    ("script", "number", "code"),
    [
        ("trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.05; done", signal.SIGTERM, 7),
        ("echo up; sleep 60; echo over", signal.SIGKILL, 137),
    ],
)
async def test_signals(podman: Podman, tmp_path: Path, script: str, number: int, code: int) -> None:
    """A signal reaches the command itself, and its exit code says what came of it."""
    async with started(podman, launch(tmp_path, script)) as (process, pipes):
        assert await line(pipes) == "up\n"
        process.signal(number)
        async with asyncio.timeout(20):
            assert await process.wait() == code
    assert not await containers(podman)


async def test_closed_while_it_runs(podman: Podman, tmp_path: Path) -> None:
    """Closing a container that still runs ends it."""
    async with started(podman, launch(tmp_path, "echo up; sleep 60")) as (_, pipes):
        await line(pipes)
        running = command_of(tmp_path)
    async with asyncio.timeout(20):
        await gone(running)
    await emptied(podman)


async def test_interrupted_start(podman: Podman, tmp_path: Path) -> None:
    """A start that is cancelled leaves no container and no process, wherever it stood."""
    for seconds in (0.0, 0.04, 0.06, 0.08, 0.1, 0.12, 0.15):
        what, pipes = launch(tmp_path, "sleep 60"), Pipes.open()
        task = asyncio.create_task(podman.start(what, pipes))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(task), seconds)
        if not task.done():
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            task.result().close()
        pipes.close_child_ends()
        pipes.close()
        await emptied(podman)
    assert not conmons(tmp_path)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("nope",), 'exec: "nope": executable file not found in $PATH'),
        (("/work",), "permission denied"),
        (("/bin/true", "a\0b"), "NUL"),
    ],
)
async def test_commands_that_cannot_be_started(
    podman: Podman, tmp_path: Path, command: tuple[str, ...], told: str
) -> None:
    """A command that isn't in the image is a failed start in a runtime's words, and leaves nothing."""
    with pytest.raises(StartFailed, match="unable to start container process") as caught:
        await outcome(podman, launch(tmp_path, command=command))
    assert told in str(caught.value)
    assert not await containers(podman)


async def test_images_that_are_not_there(podman: Podman) -> None:
    """Each way of not having an image is the state that a kubelet reports, with the image's name."""
    pulled: list[str] = []
    images = Images(podman.program)

    async def failed(name: str, pull: str) -> tuple[str, str]:
        with pytest.raises(ImageFailed) as caught:
            await images.have(Image(name, pull), lambda: pulled.append(name))
        return caught.value.reason, str(caught.value)

    assert not await images.have(Image(TINY, "IfNotPresent"), lambda: pulled.append(TINY))
    assert await failed("localhost/nope:1", "Never") == (
        "ErrImageNeverPull",
        'Container image "localhost/nope:1" is not present with pull policy of Never',
    )
    reason, message = await failed("Not An Image!", "IfNotPresent")
    assert reason == "InvalidImageName"
    assert message.startswith('Failed to apply default image tag "Not An Image!": couldn\'t parse image name')
    assert message.endswith("repository name (library/Not An Image!) must be lowercase")
    assert not pulled


@pytest.mark.parametrize("name", ["--privileged", "-v/:/host", "dir:/etc", "docker://x", "a b", "", "A"])
def test_an_image_is_no_option_and_no_transport(name: str) -> None:
    """What isn't an image's name never gets to podman."""
    with pytest.raises(ImageFailed, match="invalid reference format"):
        reference(name)


async def test_kill_9_leaves_nothing(podman: Podman, tmp_path: Path) -> None:
    """When the launcher is killed, its containers end with all their processes, and are removed."""
    program = f"""
import asyncio, sys
from pathlib import Path
from launcher.local.node.isolation import Image, Launch
from launcher.local.node.podman import Podman
from launcher.local.node.process import Pipes
async def main():
    folder = Path({str(tmp_path)!r})
    image = Image({TINY!r}, "Never", (), ("sleep 60 & sleep 60",))
    what = Launch((), {{}}, "/", (), folder, folder, image=image)
    process = await Podman(Path({str(podman.program)!r})).start(what, Pipes.open())
    print("up", flush=True)
    await process.wait()
asyncio.run(main())
"""
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    try:
        assert await child.stdout.readline() == b"up\n"
        running = command_of(tmp_path)
    finally:
        child.kill()
        await child.wait()
    async with asyncio.timeout(20):
        await gone(running)
    await emptied(podman)


async def test_sweep(podman: Podman) -> None:
    """Containers of launchers that are gone are removed at the next start; those of one that lives stay."""
    mine, other = _owner(os.getpid()), f"{os.getpid()}-1-{Path('/proc/self/ns/pid').stat().st_ino}"
    for owner in (mine, other):
        made = await ran(podman.program, "create", "--network", "host", "--label", f"{LABEL}={owner}", TINY)
        assert made.code == 0, made.error
        if owner == mine:
            kept = made.output
    try:
        assert isinstance(await choose("podman"), Podman)
        assert kept.startswith(await containers(podman))
    finally:
        await ran(podman.program, "rm", kept)


async def test_podman_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A podman that is asked for and isn't found, or doesn't work, is an error with a remedy."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LauncherError, match=r"no such program: install podman, or set localIsolation to auto"):
        await choose("podman")
    (tmp_path / "podman").write_text("#!/bin/sh\necho Error: out of order >&2\nexit 1\n")
    (tmp_path / "podman").chmod(0o755)
    with pytest.raises(LauncherError, match=r"podman doesn't work here: Error: out of order; install podman"):
        await choose("podman")


def command_of(scratch: Path) -> int:
    """A descriptor of the container's first process."""
    return os.pidfd_open(int((scratch / "pid").read_text()))


def conmons(scratch: Path) -> list[str]:
    """Processes of containers of this folder, also of those that podman has forgotten."""
    lines = subprocess.run(["ps", "-ww", "-eo", "args"], check=True, capture_output=True, text=True).stdout.splitlines()
    return [line for line in lines if f"{scratch}/pid" in line]


async def gone(process: int) -> None:
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(process, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(process)
        os.close(process)


async def emptied(podman: Podman) -> None:
    """Wait until podman has no container: it removes them in a process of its own."""
    async with asyncio.timeout(20):
        while await containers(podman):
            pass


@pytest.fixture
async def lab(podman: Podman, tmp_path: Path) -> AsyncIterator[Lab]:
    async with laboratory(tmp_path, podman, 0.01) as lab:
        yield lab


async def test_a_pod_of_an_image(lab: Lab) -> None:
    """A pod without a command runs its image's, with the image's variables, and mounts as in a cluster."""
    mount = {"name": "shared", "mountPath": "/shared"}
    first = {"name": "i", "image": TINY, "args": ["echo from init > /shared/file"], "volumeMounts": [mount]}
    main = {"name": "c", "image": TINY, "args": ["cat /shared/file; echo $OF_IMAGE; echo last > /dev/termination-log"]}
    name = await lab.create(
        {
            "restartPolicy": "Never",
            "volumes": [{"name": "shared", "emptyDir": {}}],
            "initContainers": [first],
            "containers": [{**main, "volumeMounts": [{**mount, "readOnly": True}]}],
        }
    )
    ended = terminated(await lab.ended(name))
    assert (ended["exitCode"], ended["message"], await lab.log(name)) == (0, "last\n", "from init\nhere")


@pytest.mark.parametrize(
    ("recorded", "image", "policy"),
    [
        ("image-never-pulled", "localhost/nope:1", "Never"),
        ("image-pull-fails", "127.0.0.1:9/nope:1", "IfNotPresent"),
        ("image-name-invalid", "Not An Image!", "IfNotPresent"),
    ],
)
async def test_a_pod_without_its_image_as_recorded(lab: Lab, recorded: str, image: str, policy: str) -> None:
    """The states that a container waits in, and the warnings, are those that a kubelet reported."""
    lines = (Path(__file__).parents[1] / "recordings" / "timeline.jsonl").read_text().splitlines()
    pod = next(found for found in map(json.loads, lines) if found["name"] == recorded)
    reasons = [reason for reason in map(waits, (state["object"] for state in pod["states"])) if reason]
    name = await lab.create(
        {"restartPolicy": "Never", "containers": [{"name": "c", "image": image, "imagePullPolicy": policy}]}
    )
    seen: list[str] = []
    wanted = list(dict.fromkeys(reasons))

    def all_seen(found: dict[str, Any]) -> bool:
        seen.append(waits(found))
        return [reason for reason in dict.fromkeys(seen) if reason] == wanted

    assert (await lab.until(name, all_seen, 20))["status"]["phase"] == "Pending"
    told = pod["notes"][0]["message"] if recorded != "image-pull-fails" else f'failed to pull image "{image}": '
    assert (await lab.event(name, pod["notes"][0]["reason"])).startswith(told)


def waits(pod: dict[str, Any]) -> str:
    statuses = pod["status"].get("containerStatuses") or [{}]
    return str(statuses[0].get("state", {}).get("waiting", {}).get("reason", ""))
