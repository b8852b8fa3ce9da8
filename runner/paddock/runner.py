"""The long-lived process that takes calls."""

import asyncio
import logging
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from paddock import logs
from paddock._barrier_file import restored_barrier, store_barrier
from paddock._bridge import Ending
from paddock._call import Call, utc_ms
from paddock._control import ControlSocket
from paddock._deadline import DrainDeadline
from paddock._exits import run_to_its_end
from paddock._host import describe_host
from paddock._process import age_ms, stop_signals, touch_heartbeat
from paddock.context import CallContext
from paddock.errors import ConfigurationError, PaddockError
from paddock.exposition import Page
from paddock.hooks import Hooks
from paddock.options import environment, resolve
from paddock.protocol import control, features
from paddock.protocol.codec import encode
from paddock.protocol.permits import Permits
from paddock.protocol.runner_link import (
    DrainChanged,
    EndJob,
    Output,
    Remember,
    Reply,
    RunJob,
    RunnerLink,
)
from paddock.protocol.words import EndReason
from paddock.runner_metrics import RunnerMetrics, show_metrics
from paddock.stats import RunnerStats

log = logging.getLogger("paddock.runner")

DRAIN_CLEANUP_S = 5.0
"""After the drain deadline: how long ended calls may take to clean up."""
_HOUR_S = 3600.0
_FAILED = frozenset({"error", "runner_lost"})


class AgentRunner:
    """Takes the calls of one agent.

    Holds a control socket to the orchestrator and invokes `entrypoint` once for each call, for up
    to `max_sessions` calls at a time. Calls go on while that socket, a call's own socket, or the
    whole orchestrator is away.
    """

    def __init__(
        self,
        entrypoint: Callable[[CallContext], Awaitable[None]],
        agent_id: str | None = None,
        api_key: str | None = None,
        max_sessions: int = 50,
        max_concurrent_calls: int | None = None,
        permits_per_minute: int = 120,
        drain_timeout_s: float = 60,
        dev_mode: bool = False,
        base_url: str | None = None,
        serving_url: str | None = None,
        agent_secret: str | None = None,
    ) -> None:
        """`agent_id`, `api_key` and `base_url` fall back to PADDOCK_AGENT_ID, PADDOCK_API_KEY and
        PADDOCK_BASE_URL. `max_concurrent_calls` is another name for `max_sessions`.

        Raises `ConfigurationError`, a ValueError.
        """
        if not callable(entrypoint):
            raise ConfigurationError(f"entrypoint: got {entrypoint!r}, expected an async function")
        if serving_url is not None or agent_secret is not None:
            raise ConfigurationError(
                "serving_url and agent_secret belong to runners that are dialled; "
                "this runner dials out: leave them away"
            )
        self.options = resolve(
            agent_id=agent_id,
            api_key=api_key,
            max_sessions=max_sessions if max_concurrent_calls is None else max_concurrent_calls,
            permits_per_minute=permits_per_minute,
            drain_timeout_s=drain_timeout_s,
            dev_mode=dev_mode,
            base_url=base_url,
            env=environment(),
        )
        options = self.options
        self._entrypoint = entrypoint
        self._hooks = Hooks(("call_start", "call_end"))
        self._link = RunnerLink(
            worker_id=options.runner_id,
            instance=options.instance,
            agent_id=options.agent_id,
            pool=options.pool,
            capacity=options.max_sessions,
            permits=Permits(options.permits_per_minute, 60.0),
            barrier=restored_barrier(options.barrier_file),
        )
        self._host = describe_host(environment())
        self._startup_ms: int | None = None
        self._socket: ControlSocket | None = None
        self._calls: dict[str, tuple[Call, asyncio.Task[Ending]]] = {}
        self._finished: deque[tuple[float, bool, float]] = deque()
        self._metrics = RunnerMetrics(options.pool)
        self._deadline = DrainDeadline(self._at_deadline, self._warn)
        # Made once: whoever stops this runner waits on them, also before `run` has begun.
        self._stopping, self._idle, self._stopped = (asyncio.Event() for _ in range(3))
        self._idle.set()
        self._stopped.set()
        self._signals = 0
        self._forced = False
        self._background: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Run until told to stop; blocks. Returns after a clean drain, exits with 1 otherwise."""
        if not logging.getLogger().handlers:
            logs.configure("text", "info")
        try:
            run_to_its_end(self.run())
        except PaddockError as why:
            sys.exit(f"paddock: {why}")
        if self._forced:
            sys.exit(1)

    async def run(self) -> None:
        """As `start`, in a running event loop. Cancelling it ends the calls that are on.

        Returns at once when `shutdown` was called before.
        """
        self._stopped.clear()
        try:
            if not self._stopping.is_set():
                await self._serve()
        finally:
            self._deadline.clear()
            self._stopped.set()

    async def _serve(self) -> None:
        self._socket = ControlSocket(
            base_url=self.options.base_url,
            api_key=self.options.api_key,
            link=self._link,
            capabilities=self._capabilities,
            on_output=self._take,
        )
        with stop_signals(self._signalled):
            connecting = asyncio.create_task(self._socket.run())
            extra = self._beside()
            try:
                await self._until_stopped(connecting)
            finally:
                for task in (connecting, *extra):
                    task.cancel()
                await self._end_all("terminated", "the runner was stopped", 0.0)
                await asyncio.gather(connecting, *extra, return_exceptions=True)

    async def shutdown(self) -> None:
        """Take nothing new, wait for the calls, end what is left at the deadline, then stop.

        Safe to call more than once and from several tasks; each returns when `run` is over, or at
        once when it has not begun, which then takes nothing.
        """
        self._leave()
        await self._stopped.wait()

    def stats(self) -> RunnerStats:
        """A snapshot of this runner's figures."""
        since = time.monotonic() - _HOUR_S
        while self._finished and self._finished[0][0] < since:
            self._finished.popleft()
        failed = sum(not ok for _, ok, _ in self._finished)
        lengths = [length for _, _, length in self._finished]
        return RunnerStats(
            in_flight=self._link.in_flight,
            queued=self._link.queued,
            capacity=self.options.max_sessions,
            completed_last_hour=len(lengths) - failed,
            failed_last_hour=failed,
            mean_call_duration_s=sum(lengths) / len(lengths) if lengths else 0.0,
        )

    def on(self, event: str) -> Any:
        """Decorator: `call_start` is called with `(ctx)`, `call_end` with `(ctx, final_state)`."""
        return self._hooks.on(event)

    # -- stopping ---------------------------------------------------------------------------

    def _signalled(self) -> None:
        self._signals += 1
        if self._signals == 1:
            log.info("stopping", extra={"in_flight": self._link.in_flight})
            self._leave()
        else:
            log.warning("forced", extra={"in_flight": self._link.in_flight})
            self._forced = True
            for call, task in self._calls.values():
                call.end("terminated", "the runner was forced to stop")
                task.cancel()

    def _leave(self) -> None:
        """From now on nothing is taken; the orchestrator hears it at once."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._deadline.signalled(self.options.drain_timeout_s)
        self._link.leaving = True
        if self._socket is not None:
            self._socket.send(encode(self._link.heartbeat()))

    async def _until_stopped(self, connecting: "asyncio.Task[None]") -> None:
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((stopping, connecting), return_when=asyncio.FIRST_COMPLETED)
            if connecting.done():
                # Refused for good. The calls that are on have sockets of their own, and no
                # deadline until somebody asks for the runner's end.
                self._link.leaving = True
                await self._idle.wait()
                connecting.result()
                return
            await self._idle.wait()
        finally:
            stopping.cancel()
        if self._socket is not None and not connecting.done():
            self._socket.send(encode(control.Bye(reason="drained")))
            await self._socket.flush()

    def _at_deadline(self) -> None:
        self._background_task(
            self._end_all("drain_timeout", "the drain deadline passed", DRAIN_CLEANUP_S)
        )

    def _warn(self, seconds: float) -> None:
        for call, _ in self._calls.values():
            self._background_task(call.warn(seconds))

    def _background_task(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _end_all(self, reason: str, detail: str, cleanup_s: float) -> None:
        calls = list(self._calls.values())
        if not calls:
            return
        for call, _ in calls:
            call.end(reason, detail)
        tasks = [task for _, task in calls]
        _, left = await asyncio.wait(tasks, timeout=cleanup_s)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _beside(self) -> "list[asyncio.Task[None]]":
        """What shows the outside how this process does."""
        options = self.options
        tasks = []
        if options.state_dir is not None:
            touching = touch_heartbeat(options.state_dir, options.runner_id)
            tasks.append(asyncio.create_task(touching))
        if options.metrics_port is not None:
            showing = show_metrics(options.metrics_port, self._figures)
            tasks.append(asyncio.create_task(showing))
        return tasks

    def _figures(self) -> Page:
        return self._metrics.take(
            self.stats(), connected=self._link.registered, draining=self._link.draining
        )

    # -- calls ------------------------------------------------------------------------------

    def _capabilities(self) -> control.Capabilities:
        if self._startup_ms is None:
            self._startup_ms = age_ms()
        return control.Capabilities(
            max_concurrent=self.options.max_sessions,
            agent_id=self.options.agent_id,
            transport=control.DIAL_OUT,
            features=list(features.ALL),
            instance=self._link.instance,
            permits_per_minute=self.options.permits_per_minute,
            revision=self.options.revision,
            startup_ms=self._startup_ms,
            hostname=self._host.hostname,
            address=self._host.address,
            region=self._host.region,
            deployment=self._host.deployment,
        )

    def _take(self, output: Output) -> None:
        match output:
            case Reply(frame):
                if self._socket is not None:
                    self._socket.send(encode(frame))
            case RunJob(assign):
                self._run_job(assign)
            case EndJob(job_id, reason, verb_id):
                held = self._calls.get(job_id)
                if held is not None:
                    held[0].end(reason, "")
                if verb_id and self._socket is not None:
                    result = control.VerbResult(verb_id=verb_id, ok=held is not None)
                    self._socket.send(encode(result))
            case Remember(drain_epoch, mode):
                file = self.options.barrier_file
                if file is None or store_barrier(file, drain_epoch, mode):
                    self._take_all(self._link.remembered(drain_epoch))
            case DrainChanged(draining=True):
                log.info("draining", extra={"reason": output.reason})
                self._deadline.told(output.deadline_s, output.warn_before_s)
            case DrainChanged():
                log.info("serving_again")
                self._deadline.clear()

    def _take_all(self, outputs: list[Output]) -> None:
        for output in outputs:
            self._take(output)

    def _run_job(self, assign: control.JobAssign) -> None:
        call = Call(assign, self._entrypoint, self._hooks, self.options.runner_id, self._happened)
        began = time.monotonic()
        task = asyncio.get_running_loop().create_task(call.run())
        self._calls[assign.job_id] = (call, task)
        self._idle.clear()

        def over(done: "asyncio.Task[Ending]") -> None:
            del self._calls[assign.job_id]
            reason = EndReason.TERMINATED if done.cancelled() else done.result().reason
            now = time.monotonic()
            failed = done.cancelled() or reason in _FAILED
            self._finished.append((now, not failed, now - began))
            self._metrics.ended(reason, call.session.metrics.replies_ms)
            if not self._calls:
                self._idle.set()

        task.add_done_callback(over)

    def _happened(self, kind: str, job_id: str, ending: Ending) -> None:
        at_ms = utc_ms()
        if kind == "active":
            outputs = self._link.active(job_id, at_ms)
        elif kind == "ending":
            outputs = self._link.ending(job_id, at_ms)
        else:
            outputs = self._link.ended(job_id, ending.reason, ending.detail, at_ms)
        self._take_all(outputs)
