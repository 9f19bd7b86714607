"""What a container sees of the machine, and what is left of it afterwards."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from launcher.local.node import Bubblewrap, Rewriting
from launcher.local.node.isolation import Bind, choose
from launcher.local.node.rewriting import rewriter
from tests.local.node_lab import Lab, laboratory, pod_spec, terminated


def mounting(folder: Path, at: str = "/data/in", **mount: Any) -> dict[str, Any]:
    """The host folder ``folder``, mounted at ``at``."""
    return {
        "volumes": [{"name": "v", "hostPath": {"path": str(folder)}}],
        "volumeMounts": [{"name": "v", "mountPath": at, **mount}],
    }


async def test_trial_run_chooses_bubblewrap_here() -> None:
    """Where user namespaces work, the trial run says so and bubblewrap is taken."""
    assert isinstance(await choose(), Bubblewrap)


async def test_broken_program_falls_back(tmp_path: Path) -> None:
    """A bubblewrap that can't run here is found out by the trial run."""
    program = tmp_path / "bwrap"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    assert not await Bubblewrap(program).works()
    assert not await Bubblewrap(tmp_path / "missing").works()


async def test_mount_is_at_its_path(either: Lab, tmp_path: Path) -> None:
    """A mounted folder is found at the declared path, through the arguments, and what is written lands in it."""
    (tmp_path / "word").write_text("hello")
    spec = mounting(tmp_path)
    code, text = await either.run("sh", "-c", "cat /data/in/word; echo back > /data/in/answer", **spec)
    assert (code, text) == (0, "hello")
    assert (tmp_path / "answer").read_text() == "back\n"


async def test_read_only_is_refused_by_the_kernel(lab: Lab, tmp_path: Path) -> None:
    """A read-only mount can't be written to, nor remounted, by a process that is root."""
    script = "touch /data/in/x || mount -o remount,rw /data/in && touch /data/in/x"
    code, text = await lab.run("sh", "-c", script, **mounting(tmp_path, readOnly=True))
    assert code != 0
    assert "Read-only file system" in text
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("place", ["/etc", "/usr", "/root", "/var/lib", "/"])
async def test_the_machine_is_read_only(lab: Lab, place: str) -> None:
    """The machine's own folders can't be written to."""
    code, text = await lab.run("sh", "-c", f"touch {place}/podlauncher-was-here")
    assert code != 0
    # Who isn't root is refused by the files' own modes first.
    assert "Read-only file system" in text or os.geteuid()


async def test_other_pods_data_is_hidden(lab: Lab) -> None:
    """The node's folder, with the data of other pods, isn't there."""
    code, text = await lab.run("sh", "-c", f"ls {lab.folder}/node")
    assert code == 2
    assert "No such file" in text


async def test_hidden_outside_tmp(lab: Lab, tmp_path: Path) -> None:
    """A node's folder that isn't below /tmp is hidden too."""
    from launcher.local.node.isolation import Launch
    from launcher.local.node.rootfs import filesystem

    launch = Launch(("true",), {}, "/", (), tmp_path, Path("/usr/share"))
    arguments = " ".join(filesystem(launch))
    assert "--tmpfs /usr/share --remount-ro /usr/share" in arguments


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home folder outside /tmp, with a key and a netrc, and with work."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        home = Path(folder)
        (home / ".ssh").mkdir()
        for name in (".ssh/key", ".netrc", "work"):
            (home / name).write_text(f"content of {name}\n")
        monkeypatch.setenv("HOME", folder)
        yield home


async def test_home_is_hidden(lab: Lab, home: Path) -> None:
    """A job finds nothing in the user's home folder, and can't write to it."""
    code, text = await lab.run("sh", "-c", f"ls -A {home}; touch {home}/x")
    assert code == 1
    assert text.endswith("Read-only file system")
    assert len(text.splitlines()) == 1


async def test_credentials_are_hidden_in_a_home_that_is_needed(lab: Lab, home: Path, tmp_path: Path) -> None:
    """With a mount in the home folder the rest of it is there, but for credentials that aren't mounted themselves."""
    (tmp_path / "word").write_text("mounted")
    script = f"cat {home}/.ssh/key {home}/.netrc {home}/work {home}/data/word"
    code, text = await lab.run("sh", "-c", script, **mounting(tmp_path, f"{home}/data"))
    assert "mounted" in text
    assert "content of work" in text
    assert text.count("content of") == 1
    assert code == 1
    code, text = await lab.run("cat", f"{home}/.ssh/key", **mounting(home / ".ssh", f"{home}/.ssh"))
    assert (code, text) == (0, "content of .ssh/key")


async def test_tmp_is_private(lab: Lab) -> None:
    """/tmp is empty, writable for all, and gone with the container."""
    code, text = await lab.run("sh", "-c", "ls -A /tmp; touch /tmp/mine; stat -c %a /tmp")
    *listed, mode = text.split()
    # A Python that is itself installed below /tmp must still be found there.
    python = Path(sys.prefix)
    assert set(listed) <= ({python.parts[2]} if python.is_relative_to("/tmp") else set())
    assert (code, mode) == (0, "1777")
    assert not Path("/tmp/mine").exists()


async def test_mount_points_that_the_machine_lacks(lab: Lab, tmp_path: Path) -> None:
    """A mount point in an existing folder of the machine is made, and that folder's other entries stay."""
    code, text = await lab.run("sh", "-c", "ls /etc/passwd; stat -c %a /etc/new", **mounting(tmp_path, "/etc/new/deep"))
    assert (code, text) == (0, "/etc/passwd\n755")
    assert not Path("/etc/new").exists()


async def test_symlinked_mount_path(lab: Lab, tmp_path: Path) -> None:
    """A mount path over a symlink of the machine, as /var/run is, leads to the mount by either name."""
    (tmp_path / "word").write_text("hello")
    spec = mounting(tmp_path, "/var/run/secrets/podlauncher")
    code, text = await lab.run("cat", "/var/run/secrets/podlauncher/word", **spec)
    assert (code, text) == (0, "hello")


async def test_symlink_in_a_volume_is_no_mount_point(lab: Lab, tmp_path: Path) -> None:
    """A volume can't send a nested mount elsewhere with a symlink."""
    (tmp_path / "outer").mkdir()
    (tmp_path / "outer" / "inner").symlink_to("../../oldroot/etc")
    spec = {
        "volumes": [
            {"name": "outer", "hostPath": {"path": str(tmp_path / "outer")}},
            {"name": "inner", "emptyDir": {}},
        ],
        "volumeMounts": [{"name": "outer", "mountPath": "/o"}, {"name": "inner", "mountPath": "/o/inner"}],
    }
    name = await lab.create(pod_spec("true", **spec))
    ended = terminated(await lab.ended(name))
    assert (ended["reason"], ended["exitCode"]) == ("StartError", 128)
    assert "a symlink is in the way" in ended["message"]


@pytest.mark.parametrize("at", ["/", "/proc/sys", "/a/../../b"])
async def test_mount_paths_that_make_no_sense(lab: Lab, tmp_path: Path, at: str) -> None:
    """Paths that nothing can be mounted over are a start error, not a surprise."""
    from launcher.local.node.isolation import Launch
    from launcher.local.node.process import StartFailed
    from launcher.local.node.rootfs import filesystem

    launch = Launch(("true",), {}, "/", (Bind(tmp_path, at, read_only=False),), tmp_path, tmp_path)
    with pytest.raises(StartFailed, match="can't mount at"):
        filesystem(launch)


async def test_exit_codes(either: Lab) -> None:
    """The command's exit code is the container's, and 128 + n where signal n ended it."""
    assert (await either.run("sh", "-c", "exit 42"))[0] == 42
    name = await either.create(pod_spec("sh", "-c", "sh -c 'kill -SEGV $$$$'; exit $?"))
    assert terminated(await either.ended(name))["exitCode"] == 139


async def test_exit_codes_of_all_signals(either: Lab) -> None:
    """A command that a signal ends has 128 + its number, whichever it is."""
    ignored = {signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH}
    stopping = {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
    ends = sorted(set(signal.Signals) - ignored - stopping)
    names = [await either.create(pod_spec("sh", "-c", f"sh -c 'kill -{int(n)} $$$$'; exit $?")) for n in ends]
    codes = [terminated(await either.ended(name))["exitCode"] for name in names]
    assert codes == [128 + int(number) for number in ends]


async def test_command_is_process_one(lab: Lab) -> None:
    """As in a container, the command is process 1 and sees no process but its own."""
    assert (await lab.run("sh", "-c", "echo $$$$; cat /proc/[0-9]*/comm"))[1] == "1\nsh"


@pytest.mark.parametrize("context", [{}, {"runAsUser": 0}, {"runAsUser": 0, "runAsGroup": 5}])
async def test_few_capabilities(lab: Lab, context: dict[str, int]) -> None:
    """A root process keeps what a container runtime would leave it, without the right to mount."""
    script = "import re; print(int(re.search('CapEff:\\t(.*)', open('/proc/self/status').read())[1], 16) >> 21 & 1)"
    assert await lab.run("python", "-c", script, securityContext=context) == (0, "0")


async def test_no_descriptor_leaks(either: Lab) -> None:
    """A container gets its three standard streams and nothing else that the launcher has open."""
    code, text = await either.run("python", "-c", "import os; print(sorted(os.listdir('/proc/self/fd')))")
    assert (code, text) == (0, "['0', '1', '2', '3']")  # 3 is the listing itself


async def test_non_root(lab: Lab) -> None:
    """A job for a uid of its own runs as that uid, even when the launcher is root."""
    spec = pod_spec(
        "sh", "-c", "id -u; id -g", securityContext={"runAsUser": 1234, "runAsGroup": 99, "runAsNonRoot": True}
    )
    name = await lab.create(spec)
    assert terminated(await lab.ended(name))["exitCode"] == 0
    assert await lab.log(name) == "1234\n99"


async def test_environment_cannot_reach_bubblewrap(lab: Lab, tmp_path: Path) -> None:
    """LD_PRELOAD and the like change the container's process, not the program that builds its walls."""
    env = [{"name": "LD_PRELOAD", "value": str(tmp_path / "evil.so")}, {"name": "PATH", "value": os.defpath}]
    code, text = await lab.run("sh", "-c", "echo $LD_PRELOAD", env=env)
    assert code == 0
    # The loader complains once for sh itself; a second time would be bubblewrap.
    assert text.count("cannot be preloaded") == 1


async def test_nul_is_no_way_out(lab: Lab) -> None:
    """A NUL in a variable can't add an argument to bubblewrap's."""
    await lab.put("secrets", "nul", data={"key": "YQAtLWJpbmQALwAv"})
    env = [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "nul", "key": "key"}}}]
    name = await lab.create(pod_spec("true", env=env))
    assert "NUL" in terminated(await lab.ended(name))["message"]


async def test_missing_command_message(either: Lab) -> None:
    """A command that isn't on the path is worded as a container runtime words it."""
    name = await either.create(pod_spec("no-such-command"))
    ended = terminated(await either.ended(name))
    assert (ended["reason"], ended["exitCode"]) == ("StartError", 128)
    assert 'exec: "no-such-command": executable file not found in $PATH: unknown' in ended["message"]


async def test_without_command(lab: Lab) -> None:
    """A container that relies on its image's entrypoint is told that images mean nothing here."""
    spec = pod_spec()
    del spec["containers"][0]["command"]
    assert "give container c a `command`" in terminated(await lab.ended(await lab.create(spec)))["message"]


async def test_rewriting_warns(tmp_path: Path, either: Lab) -> None:
    """Only where paths are rewritten, a pod with mounts gets a warning."""
    name = await either.create(pod_spec("true", **mounting(tmp_path)))
    await either.ended(name)
    if isinstance(either.node.isolation, Rewriting):
        assert "literal paths in code won't resolve" in await either.event(name, "PathsRewritten")
    else:
        assert not either.node.isolation.warning


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("/data", "/real"),
        ("/data/x", "/real/x"),
        ("--in=/data/x,/data/y", "--in=/real/x,/real/y"),
        ('{"path": "/data"}', '{"path": "/real"}'),
        ("file:///data/x", "file:///real/x"),
        ("/data/deep/x", "/other/x"),
        ("/database /data-2 /data.bak", "/database /data-2 /data.bak"),
        ("s3://data/data /my/data", "s3://data/data /my/data"),
    ],
)
def test_rewriting(text: str, wanted: str) -> None:
    """Mount paths are replaced where they stand as whole paths, the innermost first."""
    binds = [Bind(Path("/real"), "/data", read_only=False), Bind(Path("/other"), "/data/deep", read_only=False)]
    assert rewriter(binds)(text) == wanted


def _long_sleep() -> str:
    """A command that nothing else on this machine runs."""
    return f"sleep 3000.{os.getpid()}{secrets.randbelow(10**9):09}"


async def test_nothing_of_a_container_is_left(either: Lab) -> None:
    """What the command left running dies with it."""
    sleep = _long_sleep()
    assert (await either.run("sh", "-c", f"{sleep} & echo started")) == (0, "started")
    assert not _processes(sleep)


async def test_leaving_the_node_kills_its_processes(tmp_path: Path) -> None:
    """A node that is left while pods run leaves no process and no task behind."""
    sleep, before = _long_sleep(), asyncio.all_tasks()
    async with laboratory(tmp_path) as lab:
        name = await lab.create(pod_spec("sh", "-c", f"trap '' TERM; {sleep}; {sleep}"))
        await lab.running(name)
    assert not _processes(sleep)
    assert asyncio.all_tasks() == before


HOLDER = """
import asyncio, tempfile
from launcher.kube.session import Session
from launcher.kube.target import Address
from launcher.local.api import ApiServer
from launcher.local.node import Bubblewrap, Node, Rewriting

async def main():
    tempfile.tempdir = {folder!r}
    async with ApiServer(token="x") as server, Session(Address(server.url, "x")) as session:
        await session.create("/api/v1/namespaces", {{"metadata": {{"name": "default"}}}})
        async with Node(session, None, isolation={isolation}) as node:
            server.logs = node.logs
            container = {{"name": "c", "image": "x", "command": ["sh", "-c", {script!r}]}}
            container["volumeMounts"] = [{{"name": "v", "mountPath": "/v"}}]
            spec = {{"restartPolicy": "Never", "containers": [container]}}
            spec["volumes"] = [{{"name": "v", "emptyDir": {{}}}}]
            await session.create("/api/v1/namespaces/default/pods", {{"metadata": {{"name": "p"}}, "spec": spec}})
            async with asyncio.timeout(10):
                while True:
                    try:
                        async with session.lines("/api/v1/namespaces/default/pods/p/log", {{"follow": "1"}}) as lines:
                            print((await anext(lines)).decode(), flush=True)
                            break
                    except Exception:
                        await asyncio.sleep(0.01)
            await asyncio.to_thread(input)

asyncio.run(main())
"""


@pytest.mark.parametrize("end", ["kill -9", "orderly"])
@pytest.mark.parametrize("isolation", ["Bubblewrap.installed()", "Rewriting()"])
async def test_whatever_ends_the_launcher_nothing_is_left(isolation: str, end: str, tmp_path: Path) -> None:
    """Processes in sessions of their own die with the launcher, and its temporary folder is removed."""
    sleep = _long_sleep()
    # The shell ends, so that only what it started is left; a folder that can't be entered is in the way.
    script = f"mkdir -m 0 /v/shut; (setsid sh -c '{sleep} & {sleep} & wait' >/dev/null 2>&1 &); echo begun; {sleep}"
    program = HOLDER.format(folder=str(tmp_path), isolation=isolation, script=script)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdin=pipe, stdout=pipe)
    assert process.stdout is not None
    assert process.stdin is not None
    assert await process.stdout.readline() == b"begun\n"
    assert len(list(tmp_path.iterdir())) == 1
    async with asyncio.timeout(10):
        while len(left := _processes(sleep)) < 3:
            await asyncio.sleep(0.01)  # nobody tells of an exec
    process.send_signal(signal.SIGKILL) if end == "kill -9" else process.stdin.write(b"\n")
    await process.wait()
    async with asyncio.timeout(10):
        for pid in left:
            await _ended(pid)
        while list(tmp_path.iterdir()):
            await asyncio.sleep(0.01)  # nobody tells of a folder's end
    assert not _processes(sleep)


def _processes(command: str) -> list[int]:
    """The pids of processes with this very command line, not counting the dead."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode()
            except OSError:
                continue
            if line.endswith(command):
                found.append(int(entry.name))
    return found


async def _ended(pid: int) -> None:
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(fd, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(fd)
        os.close(fd)
