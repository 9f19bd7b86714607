"""From the outcome of a pod to the result of its run: outputs, log, status, and what is left for later."""

from __future__ import annotations

import asyncio
import enum
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import overload

import attrs

from launcher.backend import frozen_mapping
from launcher.diagnosis import Diagnosis
from launcher.errors import AccessError, InvalidSpec, JobFailed, LauncherError, Missing
from launcher.facts import Facts
from launcher.follow import Outcome, Why
from launcher.kube.errors import clean
from launcher.kube.podstate import ContainerState
from launcher.phases import Phase
from launcher.record import (
    HISTORY,
    LOG,
    MANIFEST,
    OUTPUTS,
    FetchReport,
    History,
    RunRecord,
    SavedFile,
    SavedManifest,
    SaveReport,
    UseRecord,
    dumps,
    loads,
)
from launcher.runlog import RunLog
from launcher.store import Files, Store, safe_path

# Files that are copied at once by a download: enough to hide a bucket's latency.
AT_ONCE = 16

# Bytes read at once for a digest.
_BLOCK = 1024 * 1024


class Status(enum.StrEnum):
    """How a run ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNSAVED = "unsaved"
    LOST = "lost"


@attrs.frozen
class Outputs(Sequence[SavedFile]):
    """The files that a run left, as a list; ``url`` is where they are.

    Example: ``await result.outputs.download("here")``
    """

    files: tuple[SavedFile, ...] = ()
    url: str = ""
    _store: Store | None = attrs.field(default=None, repr=False, eq=False)
    _run: str = attrs.field(default="", repr=False)

    @overload
    def __getitem__(self, index: int) -> SavedFile: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[SavedFile, ...]: ...
    def __getitem__(self, index: int | slice) -> SavedFile | tuple[SavedFile, ...]:
        return self.files[index]

    def __len__(self) -> int:
        return len(self.files)

    async def download(self, folder: str | Path) -> list[Path]:
        """Copy every saved file below ``folder``, and return where they are.

        Raises ``AccessError`` when the store is out of the client's reach or refuses, ``Missing`` when a file is
        no longer there.
        """
        if self._store is None:
            raise AccessError("the run kept no outputs: no store was configured for it")
        saved = [(file, Path(folder) / safe_path(file.path)) for file in self.files if file.state == "saved"]
        room = asyncio.Semaphore(AT_ONCE)
        async with self._store.open() as files:
            await asyncio.gather(*(self._one(files, file, target, room) for file, target in saved))
        return [target for _, target in saved]

    async def _one(self, files: Files, file: SavedFile, target: Path, room: asyncio.Semaphore) -> None:
        async with room:
            await files.fetch(f"{self._run}/{OUTPUTS}/{file.path}", target)


@attrs.frozen(kw_only=True)
class Result:
    """How a run ended and what it left.

    ``durations`` are seconds by phase; ``log`` is the end of the log of the job's container (up to 256 KiB), all
    of it is at ``log_url``; ``connections`` are those that were used, and how.
    """

    run_id: str
    status: Status
    exit_code: int | None = None
    diagnosis: Diagnosis | None = None
    durations: Mapping[Phase, float] = attrs.field(factory=dict, converter=frozen_mapping)
    outputs: Outputs = Outputs()
    log: str = attrs.field(default="", repr=False)
    log_url: str = ""
    connections: tuple[UseRecord, ...] = ()
    warnings: tuple[str, ...] = ()
    node: str = ""

    @property
    def ok(self) -> bool:
        """Whether the job succeeded, nothing disturbed it, and all that it left is saved."""
        return self.status is Status.SUCCEEDED

    def raise_for_failure(self) -> Result:
        """This result, or ``JobFailed`` when it isn't ok."""
        if not self.ok:
            raise JobFailed(self)
        return self


@attrs.frozen(kw_only=True)
class Collected:
    """The result, and whether everything that the pod held is in the store, so that it may be removed."""

    result: Result
    all_saved: bool


async def collect(
    outcome: Outcome,
    record: RunRecord,
    facts: Facts,
    store: Store | None,
    log: RunLog,
    warnings: Sequence[str],
) -> Collected:
    """The result of a run that has ended. Never raises for what storage does: that becomes a warning."""
    notes = [*warnings, *([log.failure] if log.failure else [])]
    manifest, unsaved = SavedManifest(run=record.run), ""
    if record.saved_by == "client" and store is not None and store.root is not None:
        manifest, unsaved = await _saved_by_client(store.root, record, log)
    elif record.saved_by == "save":
        manifest, unsaved = await _saved_by_agent(outcome, record, store, notes)
    result = _result(outcome, record, store, manifest, log, unsaved, notes)
    if store is not None and not store.out_of_reach:
        result = await _with_history(result, outcome, record, facts, store, manifest)
    all_saved = record.saved_by != "" and not unsaved and not log.failure
    return Collected(result=result, all_saved=all_saved)


def _result(
    outcome: Outcome,
    record: RunRecord,
    store: Store | None,
    manifest: SavedManifest,
    log: RunLog,
    unsaved: str,
    warnings: list[str],
) -> Result:
    diagnosis = _explained(outcome)
    status = _status(outcome, diagnosis)
    if status is Status.SUCCEEDED and unsaved:
        status = Status.UNSAVED
        diagnosis = Diagnosis(code="unsaved", summary=unsaved, remedy="what is saved is in the store", container="save")
    elif unsaved:
        warnings.append(unsaved)
    main = outcome.state.container("main")
    place = record.store.url if record.store else ""
    kept = bool(place and record.outputs)
    return Result(
        run_id=record.run,
        status=status,
        exit_code=main.exit_code if main else None,
        diagnosis=diagnosis,
        durations=outcome.durations,
        outputs=Outputs(manifest.files, f"{place}/{OUTPUTS}" if kept else "", store if kept else None, record.run),
        log=log.text(),
        log_url=f"{place}/{LOG}" if place and record.saved_by else "",
        connections=record.uses,
        warnings=tuple(dict.fromkeys(warnings)),
        node=outcome.state.node,
    )


def _status(outcome: Outcome, diagnosis: Diagnosis | None) -> Status:
    if outcome.why is Why.CANCELLED:
        return Status.CANCELLED
    if outcome.vanished and outcome.why is Why.NOTHING:
        return Status.LOST
    return Status.FAILED if diagnosis is not None else Status.SUCCEEDED


def _explained(outcome: Outcome) -> Diagnosis | None:
    """The diagnosis, in the words of ``fetch`` where it was fetch that failed."""
    diagnosis = outcome.diagnosis
    fetch = outcome.state.container("fetch")
    if diagnosis is None or diagnosis.container != "fetch" or fetch is None:
        return diagnosis
    try:
        report = loads(fetch.message, FetchReport)
    except InvalidSpec:
        return diagnosis
    code = f"storage_{report.access}" if report.access else "fetch"
    return attrs.evolve(diagnosis, code=code, summary=f"before the job: {clean(report.error)}", remedy="")


async def _saved_by_client(root: Path, record: RunRecord, log: RunLog) -> tuple[SavedManifest, str]:
    folder = root / record.run
    files = await asyncio.to_thread(lambda: tuple(scan(folder / OUTPUTS))) if record.outputs else ()
    bad = [file for file in files if file.state != "saved"]
    manifest = SavedManifest(run=record.run, complete=not bad, files=files, log_bytes=log.bytes)
    return manifest, _list_of_unsaved([f"{file.path}: {file.state}" for file in bad])


def _list_of_unsaved(items: Sequence[str]) -> str:
    return f"{len(items)} of the outputs aren't saved: {'; '.join(items[:3])}" if items else ""


def scan(folder: Path) -> Iterator[SavedFile]:
    """The files below a folder, in order, with their digests. Links and special files are named, not read."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not _is_text(name):
            shown = name.encode("utf-8", "backslashreplace").decode()
            yield SavedFile(path=shown, bytes=0, state="its name isn't UTF-8")
        elif path.is_symlink() and not _leads_inside(path, folder):
            yield SavedFile(path=name, bytes=0, state="a link that leads out of the outputs, or nowhere")
        elif path.is_file():
            yield _digested(path, name)
        elif not path.is_dir():
            yield SavedFile(path=name, bytes=0, state="not a regular file")


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _leads_inside(path: Path, folder: Path) -> bool:
    try:
        return path.resolve(strict=True).is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # a loop is a RuntimeError until Python 3.13
        return False


def _digested(path: Path, name: str) -> SavedFile:
    seen, size = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                seen.update(block)
                size += len(block)
    except OSError as exc:
        return SavedFile(path=name, bytes=size, state=f"it can't be read: {exc.strerror}")
    return SavedFile(path=name, bytes=size, sha256=seen.hexdigest())


async def _saved_by_agent(
    outcome: Outcome, record: RunRecord, store: Store | None, notes: list[str]
) -> tuple[SavedManifest, str]:
    report, trouble = _report(outcome.state.container("save"))
    if report.log not in ("", "saved"):
        notes.append(f"the log: {clean(report.log)}")
    manifest = SavedManifest(run=record.run)
    if store is not None and not store.out_of_reach and report.manifest:
        try:
            async with store.open() as files:
                manifest = loads(await files.read(f"{record.run}/{MANIFEST}"), SavedManifest)
        except LauncherError as exc:
            notes.append(f"the list of outputs can't be read: {exc}")
    return manifest, trouble


def _report(save: ContainerState | None) -> tuple[SaveReport, str]:
    if save is None or save.state != "terminated":
        return SaveReport(), "the outputs aren't saved: the container 'save' never ended"
    try:
        report = loads(save.message, SaveReport)
    except InvalidSpec:
        words = clean(save.message, 300) or f"exit code {save.exit_code}"
        return SaveReport(), f"the outputs aren't saved: {words}"
    if save.exit_code == 0 and report.complete:
        return report, ""
    text = (
        report.error or "; ".join(report.unsaved[:3]) or f"the container 'save' ended with exit code {save.exit_code}"
    )
    return report, f"the outputs aren't all saved: {clean(text, 400)}"


async def _with_history(
    result: Result, outcome: Outcome, record: RunRecord, facts: Facts, store: Store, manifest: SavedManifest
) -> Result:
    try:
        async with store.open() as files:
            if not await _is_told(files, record.run):
                history = _history(result, outcome, record, facts, manifest)
                await files.write(f"{record.run}/{HISTORY}", dumps(history).encode())
            if record.saved_by == "client":
                # Last, as the mark that all is there.
                await files.write(f"{record.run}/{MANIFEST}", dumps(manifest).encode())
    except LauncherError as exc:
        return attrs.evolve(result, warnings=(*result.warnings, f"the history isn't saved: {exc}"))
    return result


async def _is_told(files: Files, run: str) -> bool:
    """Whether another launcher that followed the same run has written how it ended."""
    try:
        return bool(loads(await files.read(f"{run}/{HISTORY}"), History).status)
    except (Missing, InvalidSpec):
        return False


def _history(result: Result, outcome: Outcome, record: RunRecord, facts: Facts, manifest: SavedManifest) -> History:
    state = outcome.state
    main, fetch = state.container("main"), state.container("fetch")
    try:
        fetched = loads(fetch.message, FetchReport) if fetch and fetch.message else FetchReport()
    except InvalidSpec:
        fetched = FetchReport()
    return History(
        record=record,
        cluster=facts.cluster,
        namespace=state.ref.namespace,
        node=state.node,
        image_id=main.image_id if main else "",
        status=result.status.value,
        exit_code=result.exit_code,
        diagnosis=str(result.diagnosis or ""),
        created=state.created.isoformat() if state.created else "",
        started=main.started.isoformat() if main and main.started else "",
        ended=main.finished.isoformat() if main and main.finished else "",
        durations={phase.value: seconds for phase, seconds in result.durations.items()},
        files_in=fetched.files,
        bytes_in=fetched.bytes,
        files_out=len(manifest.files),
        bytes_out=manifest.bytes,
    )


async def recall(run_id: str, store: Store) -> Result:
    """The result of a run whose pod is gone, from what the store holds. Raises ``Missing`` when it holds nothing."""
    async with store.open() as files:
        history = loads(await files.read(f"{run_id}/{HISTORY}"), History)
        try:
            manifest = loads(await files.read(f"{run_id}/{MANIFEST}"), SavedManifest)
        except Missing:
            manifest = SavedManifest(run=run_id)
    record = history.record
    place = record.store.url if record.store else ""
    return Result(
        run_id=run_id,
        status=Status(history.status) if history.status in set(Status) else Status.LOST,
        exit_code=history.exit_code,
        diagnosis=Diagnosis(code="recalled", summary=history.diagnosis) if history.diagnosis else None,
        durations={Phase(k): v for k, v in history.durations.items() if k in set(Phase)},
        outputs=Outputs(manifest.files, f"{place}/{OUTPUTS}" if record.outputs else "", store, run_id),
        log_url=f"{place}/{LOG}" if record.saved_by else "",
        connections=record.uses,
        node=history.node,
    )
