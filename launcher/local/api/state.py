"""The objects on disk: every write is in the folder's database before its answer is given.

SQLite keeps it, in one file and its write-ahead log. What was committed has been handed to the kernel, so it outlives
``kill -9`` of this process at any moment; a commit that was under way is there whole or not at all. The log reaches the
disk itself only now and then (``synchronous = NORMAL``): a loss of power may cost the latest writes, never the
database. A commit takes some 30 µs, less than a change of threads would, so it is done on the event loop.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import attrs

from launcher.errors import LauncherError

FILE = "objects.sqlite"

# Marks the file as ours: "podl" in ASCII.
APPLICATION = 0x706F646C

# Of the tables below. A file with a higher one was written by a later podlauncher.
LAYOUT = 1

_TABLES = (
    # Rows keep their place when they are written again: in the order of rowid, older objects come first.
    "CREATE TABLE objects (resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,"
    " version INTEGER NOT NULL, encoded BLOB NOT NULL, UNIQUE (resource, namespace, name)) STRICT",
    "CREATE TABLE kept (what TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
)
_PUT = (
    "INSERT INTO objects VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (resource, namespace, name)"
    " DO UPDATE SET version = ?4, encoded = ?5"
)
_REMOVE = "DELETE FROM objects WHERE resource = ? AND namespace = ? AND name = ?"
_KEEP = "INSERT INTO kept VALUES (?1, ?2) ON CONFLICT (what) DO UPDATE SET value = ?2"


@attrs.frozen
class Row:
    """An object as it is kept. ``encoded`` is None for one that was removed."""

    resource: str
    namespace: str
    name: str
    version: int
    encoded: bytes | None = attrs.field(repr=False)


class State:
    """A cluster's database, open and locked. ``folder`` is where it is."""

    def __init__(self, folder: Path, database: sqlite3.Connection) -> None:
        self.folder = folder
        self._database = database

    @property
    def version(self) -> int:
        """The version of the newest write, 0 when there was none."""
        return int(self.kept("version") or 0)

    def rows(self) -> Iterator[Row]:
        """Every object, the one that was created first first. Raises ``LauncherError``."""
        with _told(self.folder):
            for values in self._database.execute("SELECT * FROM objects ORDER BY rowid"):
                yield Row(*values)

    def commit(self, rows: Iterable[Row], version: int) -> None:
        """Keep all that one request has written, with the version it has come to. Raises ``sqlite3.Error``."""
        with _transaction(self._database):
            for row in rows:
                if row.encoded is None:
                    self._database.execute(_REMOVE, (row.resource, row.namespace, row.name))
                else:
                    self._database.execute(_PUT, (row.resource, row.namespace, row.name, row.version, row.encoded))
            self._database.execute(_KEEP, ("version", str(version)))

    def kept(self, what: str) -> str | None:
        """A word about the cluster itself, such as its token. Raises ``LauncherError``."""
        with _told(self.folder):
            row = self._database.execute("SELECT value FROM kept WHERE what = ?", (what,)).fetchone()
        return None if row is None else str(row[0])

    def keep(self, what: str, value: str) -> None:
        """Remember a word about the cluster itself. Raises ``LauncherError``."""
        with _told(self.folder):
            self._database.execute(_KEEP, (what, value))


@contextmanager
def opened(folder: Path) -> Iterator[State]:
    """The state in ``folder``, made when there is none, readable by its owner alone, locked for this cluster.

    Raises ``LauncherError`` for a folder that another cluster uses, that holds something else, that a later version
    wrote, or that can't be read and written.
    """
    with _told(folder):
        file = _private(folder)
        # isolation_level None: transactions begin where we say so. timeout 0: a cluster keeps its lock for hours.
        database = sqlite3.connect(file, isolation_level=None, timeout=0)
    with closing(database):
        with _told(folder):
            _prepare(folder, database)
        yield State(folder, database)


def _private(folder: Path) -> Path:
    if folder.exists() and not folder.is_dir():
        raise LauncherError(f"{folder} isn't a folder: name a new or an empty one")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / FILE
    if not file.exists() and any(folder.iterdir()):
        raise LauncherError(f"{folder} holds other files and no cluster's state: name a new or an empty folder")
    folder.chmod(0o700)
    os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    file.chmod(0o600)
    return file


def _prepare(folder: Path, database: sqlite3.Connection) -> None:
    # Held until the connection is closed or its process is gone: two clusters would overwrite each other.
    database.execute("PRAGMA locking_mode = EXCLUSIVE")
    with _transaction(database):
        if database.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
            for statement in (*_TABLES, f"PRAGMA application_id = {APPLICATION}", f"PRAGMA user_version = {LAYOUT}"):
                database.execute(statement)
        if _number(database, "application_id") != APPLICATION:
            raise LauncherError(f"{folder / FILE} is a database of something else: name another folder")
        if (layout := _number(database, "user_version")) > LAYOUT:
            raise LauncherError(
                f"{folder} was written by a later podlauncher (layout {layout}, this one knows {LAYOUT}): update"
                " podlauncher, or name another folder"
            )
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")


def _number(database: sqlite3.Connection, pragma: str) -> int:
    return int(database.execute(f"PRAGMA {pragma}").fetchone()[0])


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        # Some failures have rolled it back already.
        with suppress(sqlite3.Error):
            database.execute("ROLLBACK")
        raise


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """What goes wrong with the folder, as a sentence about it."""
    try:
        yield
    except OSError as exc:
        raise LauncherError(f"the state folder {folder} can't be used: {exc.strerror}") from exc
    except sqlite3.Error as exc:
        # Python's own errors, such as a closed connection, have no code.
        if getattr(exc, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
            raise LauncherError(f"another cluster uses the state folder {folder}: stop it, or name another") from exc
        raise LauncherError(
            f"the state in {folder / FILE} can't be used: {exc} (move the folder away to begin anew)"
        ) from exc
