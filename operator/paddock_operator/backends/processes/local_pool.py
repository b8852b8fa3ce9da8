"""`paddock up`: one pool on one machine, supervised."""

import asyncio
import contextlib
import json
import logging
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paddock.client.contexts import Context
from paddock.pages import metrics_page, serve_pages
from paddock_operator.autoscale.policy import policy_for
from paddock_operator.backends.processes.backend import ProcessBackend
from paddock_operator.backends.processes.claim import claimed
from paddock_operator.backends.processes.orchestrator_child import OrchestratorChild
from paddock_operator.backends.processes.status import pool_status
from paddock_operator.backends.processes.template import ProcessTemplate, process_template
from paddock_operator.model.manifest import AgentDeployment
from paddock_operator.model.parse import (
    ManifestError,
    check_transition,
    decoded,
    parse_manifest,
)
from paddock_operator.observe.facts import facts_of
from paddock_operator.observe.metrics import PoolKey, PoolMetrics
from paddock_operator.observe.scene import Scene
from paddock_operator.reconcile.passes import Pass
from paddock_operator.reconcile.reconciler import Reconciler
from paddock_operator.signals.link import OrchestratorLink

log = logging.getLogger("paddock.up")

WATCH_S = 0.5
LEARNED_S = 60.0
SECOND_WALL_S = 60.0
"""Beyond the drain timeout: how long a runner that reported itself empty may take to exit."""


class StartCalledOff(Exception):
    """It was told to stop before there was a pool to drain."""


class PortTaken(Exception):
    """The port of `/metrics` is somebody else's."""


@dataclass(frozen=True, slots=True)
class Options:
    manifest_path: Path
    state_dir: Path
    port: int
    env: Mapping[str, str]
    given: Mapping[str, str]
    """Variables of `--env-file`."""
    keep_orchestrator: bool = False
    """Leave the orchestrator running after the pool is drained."""
    metrics_port: int | None = None
    """Where the pool's metrics are shown; 0: any free port. None: nowhere."""


class LocalPool:
    """Supervises one pool until it is told to drain and is empty."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._source = str(options.manifest_path)
        self._manifest = self._read()
        self._seen = _stamp(options.manifest_path)
        self.name = self._manifest.name
        self.folder = options.state_dir / self.name
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._template = self._resolved(self._manifest)
        self._context = Context("", "")
        self._orchestrator = OrchestratorChild(
            name=self.name, folder=self.folder, port=options.port, env=options.env
        )
        self._backend = ProcessBackend(
            name=self.name,
            folder=self.folder,
            template=lambda: self._template,
            env=self._runner_env,
            grace_s=self._manifest.spec.drain.timeout_seconds + SECOND_WALL_S,
        )
        self._reconciler: Reconciler | None = None
        self._metrics = PoolMetrics(time.time)
        self._key = PoolKey(self._manifest.metadata.namespace or "local", self.name)
        self._said = ""
        self._desired = -1
        self._signals = 0
        self._adopted = 0
        """Runners that an earlier `paddock up` left."""
        self._starting: asyncio.Task[Context] | None = None
        self._failing: dict[str, str] = {}
        """Steps beside the passes that fail, with what was said of it."""

    @property
    def manifest(self) -> AgentDeployment:
        return self._manifest

    def _read(self) -> AgentDeployment:
        text = decoded(self._options.manifest_path.read_bytes(), source=self._source)
        return parse_manifest(text, source=self._source)

    def _resolved(self, manifest: AgentDeployment) -> ProcessTemplate:
        folder = self._options.manifest_path.resolve().parent
        return process_template(
            manifest, source=self._source, folder=folder, given=self._options.given
        )

    async def run(self, *, draining: bool = False) -> None:
        """Until the pool was told to go and every runner has left.

        Raises `AlreadyUp`, `PortTaken`, `StartCalledOff`, and `OrchestratorFailed` if there is no
        orchestrator to be had.
        """
        with claimed(self.folder, self.name):
            async with self._shown():
                with _on_signals(self._told_to_stop):
                    await self._run(draining)

    async def _run(self, draining: bool) -> None:
        self._adopted = self._backend.adopt()
        await self._start()
        log.info("up", extra={"pool": self.name, "url": self._context.url})
        for note in self._template.notes:
            log.info("manifest_note", extra={"note": note})
        if self._adopted:
            log.info("runners_adopted", extra={"count": self._adopted})
        await self._supervise(draining)
        if not self._options.keep_orchestrator:
            await asyncio.to_thread(self._orchestrator.stop)
        log.info("down", extra={"pool": self.name})

    async def _start(self) -> None:
        """Have an orchestrator that answers. One that was started for nothing does not stay."""
        try:
            self._orchestrator.ensure()
            self._starting = asyncio.create_task(self._orchestrator.wait_ready())
            self._context = await self._starting
        except BaseException as why:
            if self._orchestrator.started_here:
                await asyncio.to_thread(self._orchestrator.stop)
            if self._signals and isinstance(why, asyncio.CancelledError):
                raise StartCalledOff(self._called_off()) from None
            raise

    def _called_off(self) -> str:
        said = f"stopped before pool {self.name!r} was up"
        if not self._adopted:
            return said
        left = f"{self._adopted} runners of an earlier `paddock up` go on"
        return f"{said}; {left}, `paddock down {self.name}` ends them"

    @contextlib.asynccontextmanager
    async def _shown(self) -> AsyncIterator[None]:
        """With the pool's metrics, where they are asked for."""
        port, pages = self._options.metrics_port, {"/metrics": metrics_page(self._metrics.take)}
        async with contextlib.AsyncExitStack() as stack:
            if port is not None:
                try:
                    serving = serve_pages(pages, "127.0.0.1", port)
                    bound = await stack.enter_async_context(serving)
                except OSError as why:
                    raise PortTaken(f"--metrics-port {port}: {why.strerror or why}") from None
                log.info("metrics", extra={"url": f"http://127.0.0.1:{bound}/metrics"})
            yield

    async def _supervise(self, draining: bool) -> None:
        link = OrchestratorLink(self._context.url, self._context.private_key)
        reconciler = self._reconciler = Reconciler(
            self._manifest,
            self._backend,
            link,
            policy_for(self._manifest, self._learned(), adopted=self._adopted > 0),
            on_pass=self._passed,
            status=lambda last: pool_status(last, self._backend, link.problem),
            deleting=draining or self._signals > 0,
        )
        try:
            async with asyncio.TaskGroup() as group:
                beside = [
                    group.create_task(self._watch()),
                    group.create_task(_followed(link, reconciler)),
                ]
                await reconciler.run()
                for task in beside:
                    task.cancel()
        finally:
            self._attempt("save what was learned", self._save_learned)
            await link.close()

    def _told_to_stop(self) -> None:
        self._signals += 1
        reconciler = self._reconciler
        if reconciler is None:
            # Runners that are there are drained, which takes an orchestrator.
            if self._starting is not None and (not self._adopted or self._signals > 1):
                self._starting.cancel()
            return
        if self._signals == 1:
            log.info("draining_pool", extra={"hint": "again to force"})
            reconciler.deleting = True
            reconciler.wake()
        else:
            log.warning("forced")
            self._backend.force()
            reconciler.wake()

    def _passed(self, last: Pass) -> None:
        """Count it, and log its decision when that differs and does something.

        Figures alone change all the time.
        """
        assert self._reconciler is not None
        now = time.time()
        scene = Scene(last, facts_of(self._reconciler, now=now, mono=time.monotonic()), now)
        self._metrics.record_pass(self._key, scene, self._manifest)
        deleting = self._reconciler.deleting
        desired = 0 if deleting else last.decision.target
        if last.plan.reason != self._said and (last.plan.actions or desired != self._desired):
            log.info("decided", extra={"desired": desired, "why": last.plan.reason})
        self._said, self._desired = last.plan.reason, desired

    async def _watch(self) -> None:
        saved_at = time.monotonic()
        while True:
            await asyncio.sleep(WATCH_S)
            self._attempt("keep the orchestrator", self._orchestrator.ensure)
            self._attempt("follow the manifest", self._reread)
            if time.monotonic() - saved_at >= LEARNED_S:
                self._attempt("save what was learned", self._save_learned)
                self._attempt("discard old logs", self._backend.discard_old_logs)
                saved_at = time.monotonic()

    def _attempt(self, what: str, step: Callable[[], object]) -> None:
        """A step that fails is told of, once while it fails alike, and is no other step's end."""
        try:
            step()
        except Exception as why:
            if self._failing.get(what) != str(why):
                known = isinstance(why, OSError)
                log.error(
                    "step_failed", extra={"step": what, "why": str(why)},
                    exc_info=None if known else why,
                )  # fmt: skip
            self._failing[what] = str(why)
        else:
            self._failing.pop(what, None)

    def _reread(self) -> None:
        """Follow the manifest's file. One that is wrong changes nothing, and is complained of."""
        stamp = _stamp(self._options.manifest_path)
        if stamp is None or stamp == self._seen or self._reconciler is None:
            return
        self._seen = stamp
        try:
            manifest = self._read()
            problems = check_transition(self._manifest, manifest, source=self._source)
            if manifest.name != self.name:
                log.error("manifest_refused", extra={"why": "metadata.name cannot change"})
                return
            if problems:
                raise ManifestError(problems)
            template = self._resolved(manifest)
        except (ManifestError, OSError) as why:
            log.error("manifest_refused", extra={"why": str(why)})
            return
        self._manifest, self._template = manifest, template
        self._reconciler.change(manifest)
        log.info("manifest_changed", extra={"file": self._source})

    def _runner_env(self, runner_id: str, revision: str) -> dict[str, str]:
        spec = self._manifest.spec
        heartbeats = self.folder / "heartbeats"
        heartbeats.mkdir(mode=0o700, exist_ok=True)
        values = {
            "BASE_URL": self._context.url,
            "API_KEY": self._context.runner_key,
            "AGENT_ID": self._manifest.agent_id,
            "RUNNER_ID": runner_id,
            "MAX_SESSIONS": str(spec.sessions_per_runner),
            "DRAIN_TIMEOUT_S": str(spec.drain.timeout_seconds),
            "REVISION": revision,
            "STATE_DIR": str(heartbeats),
        }
        env = {f"PADDOCK_{name}": value for name, value in values.items()}
        return env | {
            "UNPOD_API_KEY": values["API_KEY"],
            "UNPOD_BASE_URL": values["BASE_URL"],
            "UNPOD_WORKER_HOSTNAME": runner_id,
            "PYTHONUNBUFFERED": "1",
        }

    def _learned(self) -> dict[str, Any] | None:
        with contextlib.suppress(OSError, ValueError):
            learned: dict[str, Any] = json.loads((self.folder / "learned.json").read_text())
            return learned
        return None

    def _save_learned(self) -> None:
        if self._reconciler is not None:
            draft = self.folder / ".learned.tmp"
            draft.write_text(json.dumps(self._reconciler.policy.export()))
            draft.replace(self.folder / "learned.json")


async def _followed(link: OrchestratorLink, reconciler: Reconciler) -> None:
    """Statistics, until cancelled: a pool that hears no more does not follow its calls."""
    while True:
        try:
            await link.follow(reconciler.heard)
        except Exception as why:
            log.error("statistics_failed", extra={"why": str(why)}, exc_info=why)
        await asyncio.sleep(WATCH_S)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size


@contextlib.contextmanager
def _on_signals(told: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
