"""The story of a run, from a job to its result. Reading this file is reading DESIGN.md's one line:

Job ─needs─▶ Facts ─plan─▶ Plan ─build─▶ Manifest ─submit─▶ PodRef ─follow─▶ Outcome ─collect─▶ Result
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import AsyncExitStack
from typing import Self

import attrs

from launcher import codec, files, names
from launcher.catalog import Catalog, Resolved, resolve
from launcher.cluster import DEFAULT_NAMESPACE, Choice, choose
from launcher.collect import Result, recall
from launcher.connection import Connection
from launcher.errors import Conflict, InvalidSpec, LauncherError, Missing, Problem, RunNotFound
from launcher.facts import Facts, Lookup
from launcher.job import Job
from launcher.kube.feed import Feed
from launcher.kube.podstate import PodRef, PodState
from launcher.kube.session import Session
from launcher.phases import Phase, phase_of
from launcher.plan import Circumstances, Plan, plan, wanted
from launcher.pod import labels
from launcher.pod.manifest import Manifest, build
from launcher.record import RunRecord, loads
from launcher.registry import Registry
from launcher.running import PastRun, Run, Surround
from launcher.settings import NODE_STORE, Settings
from launcher.store import Store
from launcher.submit import submit

# Seconds that a run which was interrupted while it was being submitted may take to be undone.
UNDO = 30.0


@attrs.frozen(kw_only=True)
class RunInfo:
    """A run that the cluster knows, in a line."""

    run_id: str
    job: str
    phase: Phase
    status: str
    state: PodState = attrs.field(repr=False)


class Launcher:
    """Starts jobs and follows them. An async context manager: leaving it detaches from runs that still go on.

    Example::

        async with Launcher() as pad:
            runs = [await pad.submit(job.evolve(args=[name])) for name in names]
            results = [await run.wait() for run in runs]
    """

    def __init__(self, settings: Settings | None = None, *, registry: Registry | None = None) -> None:
        """Raises ``InvalidSpec`` when a connection of the settings is wrong."""
        self.settings = _checked(settings) if settings is not None else Settings.load()
        self.registry = registry if registry is not None else Registry.installed()
        self.catalog = Catalog.of(self.settings, self.registry)
        self._id = secrets.token_hex(5)
        self._runs: list[Run] = []
        self._feed: Feed | None = None
        self._opening = asyncio.Lock()
        self._choice: Choice | None = None
        self._in_process = False

    async def __aenter__(self) -> Self:
        """Raises ``ClusterUnreachable`` when the configured cluster doesn't answer."""
        async with AsyncExitStack() as stack:
            self._choice = await self._chosen(stack)
            assert self.cluster.target is not None  # _chosen started one where there was none  # noqa: S101
            self.session = await stack.enter_async_context(Session(self.cluster.target))
            await self.session.get("/version")
            if self.cluster.local:
                await self._ensure_namespace()
            self._lookup = Lookup(
                self.session, self.namespace, self.registry, local=self.cluster.local, cluster=self.cluster.name
            )
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, exc_type: object, *rest: object) -> None:
        try:
            if self._in_process and exc_type is None:
                # These pods end with this process, so leaving waits for them.
                await asyncio.gather(*(run.wait() for run in self._runs), return_exceptions=True)
        finally:
            await asyncio.gather(*(run.close() for run in self._runs))
            await self._stack.aclose()

    @property
    def cluster(self) -> Choice:
        """The cluster that jobs go to, and why. Only inside ``async with``."""
        if self._choice is None:
            raise RuntimeError("a Launcher is used inside `async with`; only render works outside")
        return self._choice

    @property
    def namespace(self) -> str:
        """The namespace that runs go to."""
        return self.cluster.namespace

    async def run(self, job: Job, *, run_id: str | None = None, check: bool = True) -> Result:
        """Run a job to its end. Cancelling the task that awaits this cancels the run and removes its pod.

        Raises ``JobFailed`` when it didn't succeed, unless ``check`` is False; and what ``submit`` raises.
        """
        started = asyncio.create_task(self.submit(job, run_id=run_id), name=f"submit {job.name[:40]}")
        try:
            run = await asyncio.shield(started)
            result = await run.wait()
            await run.settled()
        except BaseException:
            await self._undo(started)
            raise
        return result.raise_for_failure() if check else result

    async def submit(self, job: Job, *, run_id: str | None = None) -> Run:
        """Start a job and return at once; the run goes on whatever happens to this process.

        Raises ``InvalidSpec`` with everything that is wrong, ``PluginError``, ``Forbidden``, ``ClusterError``.
        """
        decided, facts = await self._planned(job, run_id)
        feed = await self._opened_feed()
        ref = await submit(self.session, build(decided))
        return self._follow(ref, decided.record, feed, facts, decided.warnings)

    def render(self, job: Job, *, run_id: str | None = None) -> Manifest:
        """What ``submit`` would send, without asking any cluster: what can't be known is taken to be well.

        Raises ``InvalidSpec``, ``PluginError``.
        """
        local = self._choice.local if self._choice else self.settings.cluster == "local"
        around = self._circumstances(job, run_id, local=local)
        return build(plan(self.settings.with_defaults(job), around, Facts.assume(local=local)))

    async def attach(self, run_id: str) -> Run | PastRun:
        """A run that somebody started, by its id. Raises ``RunNotFound``."""
        if not names.is_run_id(run_id):
            raise RunNotFound(f"no run {run_id!r}: that can't be the id of one (`launcher ps` lists runs)")
        if not await self._pods(labels.of_run(run_id)):
            return await self._past(run_id)
        # The feed first, then the pod once more: what ends from here on is seen.
        feed = await self._stack.enter_async_context(Feed(self.session, self.namespace, labels.of_run(run_id)))
        pods = await self._pods(labels.of_run(run_id))
        if not pods:
            return await self._past(run_id)
        record = loads(pods[-1].annotations.get(labels.RECORD, "{}"), RunRecord)
        facts = Facts(local=self.cluster.local, cluster=self.cluster.name, user=record.user)
        return self._follow(pods[-1].ref, record, feed, facts, (), resumed=True)

    async def runs(self) -> list[RunInfo]:
        """The runs that the namespace knows, the newest last."""
        return [_info(state) for state in await self._pods(labels.RUN)]

    async def past_runs(self) -> list[str]:
        """The ids of the runs whose history is in the store. Raises ``AccessError``."""
        store = self._store_of_settings()
        if store is None:
            return []
        async with store.open() as stored:
            return await stored.runs()

    # One stage a function, in the order of the story.

    async def _planned(self, job: Job, run_id: str | None) -> tuple[Plan, Facts]:
        job = self.settings.with_defaults(job)
        around = self._circumstances(job, run_id, local=self.cluster.local)
        facts = Facts(local=self.cluster.local, cluster=self.cluster.name)
        if self.settings.preflight:
            needed = wanted(job, self.catalog, around.store, store_is_default=around.store_is_default)
            facts = await self._lookup.facts(needed)
        return plan(job, around, facts), facts

    def _circumstances(self, job: Job, run_id: str | None, *, local: bool) -> Circumstances:
        if run_id is not None and not names.is_run_id(run_id):
            raise InvalidSpec([Problem("run_id", f"{run_id!r} can't name a pod", "lower case, digits and '-'")])
        chosen = self._choice
        gathered, problems = files.gather(job)
        return Circumstances(
            run_id=run_id or names.new_run_id(job.name),
            namespace=chosen.namespace if chosen else self.settings.namespace or DEFAULT_NAMESPACE,
            launcher_id=self._id,
            catalog=self.catalog,
            store=self._store(local=local),
            store_is_default=self.settings.artifacts_store is None,
            agent_image=self.settings.agent_image,
            files=gathered,
            problems=tuple(problems),
        )

    def _follow(
        self,
        ref: PodRef,
        record: RunRecord,
        feed: Feed,
        facts: Facts,
        warnings: tuple[str, ...],
        *,
        resumed: bool = False,
    ) -> Run:
        around = Surround(
            session=self.session,
            feed=feed,
            facts=facts,
            store=self._store_of(record),
            cleanup=self.settings.cleanup,
            warnings=warnings,
        )
        run = Run(ref, record, around, resumed=resumed)
        self._runs.append(run)
        return run

    async def _undo(self, started: asyncio.Task[Run]) -> None:
        """Leave nothing of a run whose task was interrupted; bounded, whatever the cluster does."""

        async def undo() -> None:
            run = await started
            await run.cancel()

        try:
            await asyncio.wait_for(asyncio.shield(asyncio.gather(undo(), return_exceptions=True)), UNDO)
        except TimeoutError:
            return

    # What a launcher is made of.

    async def _chosen(self, stack: AsyncExitStack) -> Choice:
        choice = choose(self.settings)
        if choice.target is not None:
            return choice
        from launcher.local.cluster import LocalCluster
        from launcher.local.node.isolation import choose as choose_isolation

        isolation = await choose_isolation(self.settings.local_isolation)
        objects = self.settings.objects()
        started = await stack.enter_async_context(LocalCluster(isolation=isolation, objects=objects))
        self._in_process = True
        return attrs.evolve(choice, target=started.address)

    async def _ensure_namespace(self) -> None:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        try:
            await self.session.create("/api/v1/namespaces", body)
        except Conflict:
            return

    async def _opened_feed(self) -> Feed:
        async with self._opening:
            if self._feed is None:
                feed = Feed(self.session, self.namespace, labels.selector(self._id))
                self._feed = await self._stack.enter_async_context(feed)
        return self._feed

    async def _pods(self, selector: str) -> list[PodState]:
        listed = await self.session.get(f"/api/v1/namespaces/{self.namespace}/pods", labelSelector=selector)
        states = [PodState.of(item) for item in listed.get("items") or []]
        return sorted(states, key=lambda s: (s.created.isoformat() if s.created else "", s.ref.name))

    async def _past(self, run_id: str) -> PastRun:
        store = self._store_of_settings()
        if store is None or store.out_of_reach or not names.is_run_id(run_id):
            reason = f"; {store.out_of_reach}" if store and store.out_of_reach else ""
            raise RunNotFound(f"no run {run_id!r} in namespace {self.namespace}{reason} (`launcher ps` lists runs)")
        try:
            return PastRun(await recall(run_id, store), store)
        except (Missing, InvalidSpec) as exc:
            raise RunNotFound(
                f"no run {run_id!r}, neither in namespace {self.namespace} nor in the store (`launcher ps --all`)"
            ) from exc

    def _store(self, *, local: bool) -> Resolved | None:
        configured = self.settings.artifacts_store
        if configured is not None:
            entry = self.catalog.entries[configured.name]
            if isinstance(entry, LauncherError):
                raise entry
            return entry
        folder = str(self.settings.surroundings.data / "artifacts") if local else NODE_STORE
        schema = {"hostPath": folder, "mountPath": "/artifacts"}
        return resolve(Connection(name="artifacts", kind="host_path", schema=schema), self.registry)

    def _store_of(self, record: RunRecord) -> Store | None:
        if record.store is None or self.cluster.target is None:
            return None
        local = self.cluster.local
        return Store.of(record.store, self.registry, self.cluster.target, self.namespace, local=local)

    def _store_of_settings(self) -> Store | None:
        resolved = self._store(local=self.cluster.local)
        if resolved is None or self.cluster.target is None:
            return None
        return Store(resolved, self.cluster.target, self.namespace, self.cluster.local)


async def run(job: Job, settings: Settings | None = None, *, check: bool = True) -> Result:
    """Run one job to its end: ``result = asyncio.run(launcher.run(job))``.

    Raises ``JobFailed`` when it didn't succeed, unless ``check`` is False; ``InvalidSpec`` with everything that is
    wrong; ``PluginError``, ``ClusterError`` and ``AccessError`` for what stands in the way.
    """
    async with Launcher(settings) as pad:
        return await pad.run(job, check=check)


def _checked(settings: Settings) -> Settings:
    """Settings that were made in Python, held to the same rules as a file's."""
    settings, problems = codec.sound(settings)
    problems += settings.problems()
    if problems:
        raise InvalidSpec(problems, "the settings")
    return settings


def _info(state: PodState) -> RunInfo:
    return RunInfo(
        run_id=state.labels.get(labels.RUN, state.ref.name),
        job=state.annotations.get(labels.RAW_JOB, ""),
        phase=phase_of(state),
        status="ending" if state.deleting else state.phase.lower(),
        state=state,
    )
