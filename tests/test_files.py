"""The local files that travel with a job: what does, what doesn't, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from launcher import InvalidSpec, Job, Launcher, Settings
from launcher.files import LIMIT, File, gather

REGULAR = 0o644


def job(folder: Path, *files: str) -> Job:
    return Job(name="j", image="i", files=files, folder=folder)


def write(path: Path, text: str = "x", mode: int = REGULAR) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def gathered(folder: Path, *files: str) -> dict[str, File]:
    found, problems = gather(job(folder, *files))
    assert problems == []
    return {file.path: file for file in found}


def refused(folder: Path, *files: str) -> str:
    _found, problems = gather(job(folder, *files))
    assert problems
    return "\n".join(map(str, problems))


def test_folder_travels_whole(tmp_path: Path) -> None:
    """A folder's files travel with their paths below it, sorted, with content and the executable bit."""
    write(tmp_path / "count.py", "print()")
    write(tmp_path / "lib" / "deep" / "x.py", "x")
    write(tmp_path / "run.sh", "#!/bin/sh", 0o755)
    write(tmp_path / "empty", "")
    found = gathered(tmp_path, ".")
    assert list(found) == ["count.py", "empty", "lib/deep/x.py", "run.sh"]
    assert found["count.py"].data == b"print()"
    assert [path for path, file in found.items() if file.executable] == ["run.sh"]


def test_hidden_files_stay(tmp_path: Path) -> None:
    """Hidden files and folders, caches and installed node modules don't travel."""
    for path in (".git/config", ".env", "a/.hidden", "__pycache__/a.pyc", "a/node_modules/x.js", "a/b.py"):
        write(tmp_path / path)
    assert list(gathered(tmp_path, ".")) == ["a/b.py"]


def test_hidden_file_that_is_named(tmp_path: Path) -> None:
    """A hidden file that is named itself does travel."""
    write(tmp_path / ".config")
    assert list(gathered(tmp_path, ".config")) == [".config"]


def test_single_file_stands_in_the_working_directory(tmp_path: Path) -> None:
    """A file that is named by itself stands in the working directory under its own name."""
    write(tmp_path / "src" / "count.py")
    assert list(gathered(tmp_path, "src/count.py")) == ["count.py"]
    assert list(gathered(tmp_path, str(tmp_path / "src" / "count.py"))) == ["count.py"]


@pytest.mark.parametrize("given", [("a/x.py", "b/x.py"), ("a", "b"), ("a", "b/x.py")])
def test_two_files_of_one_name(tmp_path: Path, given: tuple[str, str]) -> None:
    """Two files that would stand in one place are refused, both named."""
    write(tmp_path / "a" / "x.py")
    write(tmp_path / "b" / "x.py")
    assert "'x.py' comes from 'a" in refused(tmp_path, *given)


@pytest.mark.parametrize(
    "name", ["ü.txt", "日本.txt", "a b.txt", "a\nb.txt", "-rf", "a'b\".txt", "$(A).txt", "a:b", "a\\b"]
)
def test_odd_names(tmp_path: Path, name: str) -> None:
    """A file may have any name that is text."""
    write(tmp_path / name, name)
    assert gathered(tmp_path, ".")[name].data.decode() == name


def test_name_that_is_not_text(tmp_path: Path) -> None:
    """A file name that isn't UTF-8 is refused, since it can't be sent."""
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt")).write_text("x")
    assert "isn't UTF-8" in refused(tmp_path, ".")


def test_too_large_names_the_largest(tmp_path: Path) -> None:
    """Files over the limit are refused with the largest among them, largest first."""
    write(tmp_path / "small.py", "x" * 10)
    write(tmp_path / "big.bin", "x" * 500_000)
    write(tmp_path / "bigger.bin", "x" * 600_000)
    said = refused(tmp_path, ".")
    assert said.index("bigger.bin (600,000 bytes)") < said.index("big.bin (500,000 bytes)") < said.index("small.py")
    assert "files[0]" in said


def test_just_fits(tmp_path: Path) -> None:
    """Files of exactly the limit travel; one byte more doesn't."""
    write(tmp_path / "a.bin", "x" * LIMIT)
    assert list(gathered(tmp_path, ".")) == ["a.bin"]
    write(tmp_path / "b.bin", "x")
    assert "more than 900,000 bytes" in refused(tmp_path, ".")


def test_too_many(tmp_path: Path) -> None:
    """More files than a config map should hold are refused."""
    for number in range(2001):
        (tmp_path / f"{number}.txt").touch()
    assert "2,000 files" in refused(tmp_path, ".")


def test_what_is_missing(tmp_path: Path) -> None:
    """Each file or folder that isn't there is named, and those without any file."""
    (tmp_path / "empty").mkdir()
    said = refused(tmp_path, "nope.py", "empty", "a\0b")
    assert "files[0]: " in said and "No such file" in said
    assert "files[1]: 'empty' holds no files" in said
    assert "files[2]" in said


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A file whose reading fails is named with the reason of the system."""
    (tmp_path / "mem").symlink_to("/proc/self/mem")
    said = refused(tmp_path, "mem")
    assert "files[0]" in said and "rror" in said


def test_folder_that_cannot_be_listed(tmp_path: Path) -> None:
    """A file's path that leads through another file isn't a folder, and is told so."""
    write(tmp_path / "file")
    assert "files[0]" in refused(tmp_path, "file/inner.py")


def test_links(tmp_path: Path) -> None:
    """A link to a file travels as that file; loops and dead links among others are passed over."""
    write(tmp_path / "data" / "real.txt", "content")
    inner = tmp_path / "job"
    inner.mkdir()
    (inner / "link.txt").symlink_to(tmp_path / "data" / "real.txt")
    (inner / "loop").symlink_to(inner)
    (inner / "self").symlink_to(inner / "self")
    (inner / "dead").symlink_to("/nonexistent")
    assert {path: file.data for path, file in gathered(tmp_path, "job").items()} == {"link.txt": b"content"}


def test_link_to_itself_that_is_named(tmp_path: Path) -> None:
    """A link that leads to itself is refused when it is named."""
    (tmp_path / "self").symlink_to(tmp_path / "self")
    assert "files[0]" in refused(tmp_path, "self")


@pytest.mark.parametrize("special", ["fifo", "zero", "folder with a fifo"])
def test_special_files_are_never_read(tmp_path: Path, special: str) -> None:
    """A fifo would be waited for and a device read without end: neither is."""
    os.mkfifo(tmp_path / "fifo")
    write(tmp_path / "a.py")
    given = {"fifo": "fifo", "zero": "/dev/zero", "folder with a fifo": "."}[special]
    code = (
        "import sys, pathlib; from launcher import Job; from launcher.files import gather;"
        "found, problems = gather(Job(name='j', image='i', files=[sys.argv[1]], folder=pathlib.Path(sys.argv[2])));"
        "print([f.path for f in found], [str(p) for p in problems])"
    )
    # In a process of its own, so that a failure ends by the time limit and not with this machine's memory.
    done = subprocess.run(
        [sys.executable, "-c", code, given, str(tmp_path)], capture_output=True, text=True, timeout=10, check=True
    )
    if special == "folder with a fifo":
        assert done.stdout.strip() == "['a.py'] []"
    else:
        assert "isn't a regular file" in done.stdout


def test_problems_of_files_beside_all_others(tmp_path: Path) -> None:
    """What is wrong with the files is told together with all that is wrong with the job."""
    wrong = Job(name="j", image="a b", files=["nope.py"], connections=["nonesuch"], folder=tmp_path)
    with pytest.raises(InvalidSpec) as caught:
        Launcher(Settings()).render(wrong)
    assert {problem.path for problem in caught.value.problems} == {"image", "files[0]", "connections[0]"}


def test_files_in_the_manifest(tmp_path: Path) -> None:
    """Files are a config map beside the pod, mounted read-only as the working directory, with their modes."""
    write(tmp_path / "a b" / "ü.sh", "#!/bin/sh", 0o755)
    write(tmp_path / "count.py", "x")
    manifest = Launcher(Settings()).render(job(tmp_path, "."), run_id="j-1")
    (config_map,) = manifest.objects
    volume = next(v for v in manifest.pod["spec"]["volumes"] if v["name"] == "launcher-files")
    main = manifest.pod["spec"]["containers"][0]
    assert config_map["metadata"]["name"] == volume["configMap"]["name"] == "j-1-files"
    items = {item["path"]: item for item in volume["configMap"]["items"]}
    assert {path: item["mode"] for path, item in items.items()} == {"a b/ü.sh": 0o755, "count.py": 0o644}
    assert {item["key"] for item in items.values()} == set(config_map["binaryData"])
    mount = next(m for m in main["volumeMounts"] if m["name"] == "launcher-files")
    assert (main["workingDir"], mount["readOnly"]) == (mount["mountPath"], True)
