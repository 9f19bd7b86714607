"""A program: waits until nobody holds the other end of its standard input, then sweeps up after a node.

Its arguments are the mark that the node's processes carry in their environment, and a folder to remove, or
nothing. It is started with ``-I -S`` and imports only what an interpreter has loaded anyway, so that it costs
a start of 10 ms and little memory for as long as the node lives.
"""

from __future__ import annotations

import os
import sys

# Seconds between two looks for processes: those that were killed just now are still seen.
LOOK = 0.002

# Seconds after which what doesn't die is left alone: the kernel holds it, and us no longer.
LONGEST = 10.0


def main(mark: str, folder: str) -> None:
    """Wait for the end of standard input, kill, remove."""
    while os.read(0, 1):
        pass
    sweep(mark.encode())
    if folder:
        remove(folder)


def sweep(mark: bytes) -> None:
    """SIGKILL to every process of this user with ``mark`` in its environment, until there is none."""
    import time

    deadline = time.monotonic() + LONGEST
    while kill_all(mark) and time.monotonic() < deadline:
        time.sleep(LOOK)


def kill_all(mark: bytes) -> bool:
    """One round; whether there was any."""
    found = False
    own = os.getpid()
    for name in os.listdir("/proc"):  # noqa: PTH208  pathlib would be most of this program's start
        if name.isdecimal() and int(name) != own:
            found |= _killed(int(name), mark)
    return found


def _killed(pid: int, mark: bytes) -> bool:
    try:
        process = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        # With the process held: its number can't pass to another from here on.
        with open(f"/proc/{pid}/environ", "rb") as environ:  # noqa: PTH123  as above
            if mark not in environ.read().split(b"\0"):
                return False
        import signal

        signal.pidfd_send_signal(process, signal.SIGKILL)
    except OSError:
        # Gone meanwhile, or another user's.
        return False
    finally:
        os.close(process)
    return True


def remove(folder: str) -> None:
    """Remove it with everything in it, also where its owner may not enter."""
    import shutil

    for where, folders, _ in os.walk(folder):
        for name in folders:
            path = f"{where}/{name}"
            if not os.path.islink(path):  # noqa: PTH114  as above
                os.chmod(path, 0o700)  # noqa: PTH101
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
