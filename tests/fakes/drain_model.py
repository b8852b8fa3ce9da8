"""An explicit-state check of the drain protocol, driven by the code that runs in production.

The successor functions call the real `RunnerLink` with its barrier, and the real controller rules;
what is modelled is the world around them, as hostile as it may be:

* two operators with a cached copy each, which either may act on after any pause;
* an orchestrator that assigns whenever it likes, and forgets or miscounts runners;
* a network that loses, repeats and reorders: what was sent stays deliverable for ever, and need
  never be delivered;
* restarts of the runner's container, a disk that stores nothing while it is full, and somebody
  else's request that the runner leave.

A call is live from the moment the runner answered "accepted". It is a violation if a runner that
was ended by a commit has a live call, then or at any time after.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from fakes.pools import SETTINGS
from paddock.protocol import control, features
from paddock.protocol.barrier import Barrier, Report
from paddock.protocol.permits import Permits
from paddock.protocol.runner_link import Output, Remember, Reply, RunnerLink
from paddock.protocol.words import Mode, Refusal
from paddock_operator.plan.actions import Commit, WriteIntent
from paddock_operator.plan.drain import RULES, DrainRules
from paddock_operator.plan.view import BarrierReport, DrainReason, Intent, Phase, RunnerView

NOW = 0.0


def _link(barrier: Barrier, durable: int | None = None) -> tuple[RunnerLink, list[Output]]:
    """A runner's end of a new control socket, and what it says at first.

    `durable` is the epoch that is stored, if it is not the barrier's.
    """
    link = RunnerLink("r", "i", "a", "a", 100, Permits(100, 1.0), barrier)
    if durable is not None:
        link.stored_epoch = durable
    return link, link.receive(_WELCOME, 0.0)


_WELCOME = control.Welcomed(heartbeat_interval_s=5, features=[features.DRAIN])


def _book(barrier: Barrier, job: str) -> Refusal | None:
    assign = control.JobAssign(job_id=job, call_id=job, agent_id="a", bridge_url="", call_token="")
    link, _ = _link(barrier)
    ack = link.receive(assign, 0.0)[0]
    assert isinstance(ack, Reply)
    assert isinstance(ack.frame, control.JobAck)
    return None if ack.frame.accepted else Refusal(ack.frame.reason or "")


def _obey(barrier: Barrier, epoch: int, mode: Mode) -> Report | None:
    frame = control.Drain if mode is Mode.DRAIN else control.Serve
    link, _ = _link(barrier)
    outputs = link.receive(frame(drain_epoch=epoch), 0.0)
    for output in list(outputs):
        if isinstance(output, Remember):
            outputs += link.remembered(output.drain_epoch)
    return _said(outputs)


def _obey_unstored(barrier: Barrier, epoch: int, mode: Mode, durable: int) -> Report | None:
    """The same while nothing can be stored."""
    frame = control.Drain if mode is Mode.DRAIN else control.Serve
    link, _ = _link(barrier, durable)
    return _said([*link.receive(frame(drain_epoch=epoch), 0.0), *link.beat()])


def _report(barrier: Barrier, active: int, durable: int) -> Report | None:
    return _said(_link(barrier, durable)[1])


def _said(outputs: list[Output]) -> Report | None:
    for output in outputs:
        if isinstance(output, Reply) and isinstance(output.frame, control.DrainReport):
            return Report(output.frame.drain_epoch, output.frame.mode, output.frame.booked)
    return None


@dataclass(frozen=True, slots=True)
class RunnerRules:
    """The runner's end: by default what `RunnerLink` does with frames, on its barrier."""

    book: Callable[[Barrier, str], Refusal | None] = _book
    obey: Callable[[Barrier, int, Mode], Report | None] = _obey
    obey_unstored: Callable[[Barrier, int, Mode, int], Report | None] = _obey_unstored
    report: Callable[[Barrier, int, int], Report | None] = _report
    """Given the number of calls that are past dialling, and the epoch that is stored."""
    restarted: Callable[[int, Mode], Barrier] = lambda epoch, mode: _restored(epoch, mode)
    """The barrier of a restarted container, from what was stored."""


REAL_RUNNER = RunnerRules()


@dataclass(frozen=True, slots=True)
class Model:
    drain: DrainRules = RULES
    runner: RunnerRules = REAL_RUNNER
    epochs: int = 4
    sessions: int = 2
    full_disk: bool = False
    """What the runner obeys may not be stored, or only later."""
    statistics: bool = False
    """Operators also see the orchestrator's counts, however old."""


FREE, DIALLING, ACTIVE = 0, 1, 2


class Operator(Struct, frozen=True):
    """Its cached copy of the intent, and the count it last saw (None: not in the registry)."""

    seen: Intent
    count: int | None = None


class State(Struct, frozen=True, gc=False):
    stored: Intent
    gone: str
    """"" | "commit" | "evicted": on its way out; nothing more can be written."""
    epoch: int
    mode: Mode
    durable: tuple[int, Mode]
    """What a restarted container finds."""
    booked: frozenset[str]
    calls: tuple[int, ...]
    """Per session: FREE, or accepted by the runner and then DIALLING or ACTIVE."""
    commands: frozenset[tuple[int, Mode]]
    reports: frozenset[BarrierReport]
    operators: tuple[Operator, Operator]

    @property
    def is_violated(self) -> bool:
        return self.gone == "commit" and any(self.calls)


Step = tuple[str, State]
Held = tuple[int, Mode, frozenset[str]]
"""What a barrier is made of."""


@dataclass(frozen=True, slots=True)
class Verdict:
    states: int
    trace: tuple[str, ...]
    """The shortest way to a violation; empty when there is none."""
    reached: frozenset[str]
    """Kinds of steps that were taken at all: what was reachable."""

    @property
    def holds(self) -> bool:
        return not self.trace


def check(model: Model, limit: int = 3_000_000) -> Verdict:
    """Every reachable state, breadth first; stops at the first violation."""
    start = _first(model)
    came_from: dict[State, tuple[str, State] | None] = {start: None}
    todo = deque([start])
    reached: set[str] = set()
    while todo:
        state = todo.popleft()
        for step, after in successors(model, state):
            reached.add(step)
            if after in came_from:
                continue
            came_from[after] = (step, state)
            if after.is_violated:
                return Verdict(len(came_from), _trace(came_from, after), frozenset(reached))
            todo.append(after)
        if len(came_from) > limit:
            raise RuntimeError(f"more than {limit} states")
    return Verdict(len(came_from), (), frozenset(reached))


def successors(model: Model, state: State) -> Iterator[Step]:
    """What may happen next. Once somebody else made the runner leave nothing of ours can follow:
    every write and every commit fails, so those states are one, and not looked into."""
    if state.gone == "evicted":
        return
    yield from _calls(model, state)
    yield from _runner(model, state)
    yield from _operators(model, state)
    if not state.gone:
        yield "evicted", replace(_first(model), gone="evicted")


def _first(model: Model) -> State:
    intent = Intent()
    return State(
        stored=intent,
        gone="",
        epoch=0,
        mode=Mode.SERVE,
        durable=(0, Mode.SERVE),
        booked=frozenset(),
        calls=(FREE,) * model.sessions,
        commands=frozenset(),
        reports=frozenset(),
        operators=(Operator(intent), Operator(intent)),
    )


def _trace(came_from: dict[State, tuple[str, State] | None], state: State) -> tuple[str, ...]:
    steps: list[str] = []
    back = came_from[state]
    while back is not None:
        steps.append(back[0])
        back = came_from[back[1]]
    return tuple(reversed(steps))


def _restored(epoch: int, mode: Mode) -> Barrier:
    barrier = Barrier()
    barrier.restore(epoch, mode)
    return barrier


@lru_cache(maxsize=1 << 16)
def _tried(rule: Callable[..., Any], state: Held, *told: object) -> tuple[Any, Barrier]:
    """What a rule of the runner's says, and the barrier after it. Neither depends on more."""
    barrier = Barrier(*state)
    return rule(barrier, *told), barrier


def _held(state: State) -> Held:
    return state.epoch, state.mode, state.booked


def _with(state: State, barrier: Barrier) -> State:
    return replace(state, epoch=barrier.drain_epoch, mode=barrier.mode, booked=barrier.booked)


def _calls(model: Model, state: State) -> Iterator[Step]:
    """The orchestrator assigns, calls are dialled, answered and ended, at any time.

    Sessions are interchangeable, so only the first free one is assigned.
    """
    assigned = False
    for index, stage in enumerate(state.calls):
        job = f"job{index}"
        if stage == FREE and not assigned:
            assigned = True
            refusal, barrier = _tried(model.runner.book, _held(state), job)
            if refusal is None:
                yield f"accepted in {state.mode}", _call(_with(state, barrier), index, DIALLING)
        elif stage == DIALLING:
            # A rule that did not book when it accepted does so now.
            booked = Barrier(state.epoch, state.mode, state.booked | {job})
            yield "answered", _call(_with(state, booked), index, ACTIVE)
        if stage != FREE:
            barrier = Barrier(*_held(state))
            barrier.unbook(job)
            yield "ended", _call(_with(state, barrier), index, FREE)


def _call(state: State, index: int, stage: int) -> State:
    stages = (*state.calls[:index], stage, *state.calls[index + 1 :])
    held = [(stage, f"job{number}" in state.booked) for number, stage in enumerate(stages)]
    # Sessions are alike, so which is which makes no new state.
    held.sort(reverse=True)
    booked = frozenset(f"job{number}" for number, (_, is_held) in enumerate(held) if is_held)
    return replace(state, calls=tuple(stage for stage, _ in held), booked=booked)


def _runner(model: Model, state: State) -> Iterator[Step]:
    for epoch, mode in state.commands:
        said, barrier = _tried(model.runner.obey, _held(state), epoch, mode)
        if said is not None:
            stored = replace(_with(state, barrier), durable=(epoch, mode))
            yield f"obeyed {mode}", _reported(model, stored)
        if model.full_disk:
            yield from _unstored(model, state, epoch, mode)
    if state.durable[0] != state.epoch:
        yield "stored at last", replace(state, durable=(state.epoch, state.mode))
    if state.mode is Mode.DRAIN:
        yield "reported", _reported(model, state)
    # The calls of a container die with it and are counted as lost, which no drain can prevent.
    barrier = model.runner.restarted(*state.durable)
    after = replace(_with(state, barrier), durable=(barrier.drain_epoch, barrier.mode))
    yield "restarted", replace(after, calls=(FREE,) * model.sessions)


def _unstored(model: Model, state: State, epoch: int, mode: Mode) -> Iterator[Step]:
    rule = model.runner.obey_unstored
    said, barrier = _tried(rule, _held(state), epoch, mode, state.durable[0])
    after = _with(state, barrier)
    if said is not None and not state.gone:
        heard = BarrierReport(said.drain_epoch, said.booked)
        after = replace(after, reports=state.reports | {heard})
    if after != state:
        yield f"obeyed {mode}, not stored", after


def _reported(model: Model, state: State) -> State:
    if state.gone:
        return state  # Nobody decides on it any more.
    active = state.calls.count(ACTIVE)
    said, _ = _tried(model.runner.report, _held(state), active, state.durable[0])
    if said is None:
        return state
    return replace(state, reports=state.reports | {BarrierReport(said.drain_epoch, said.booked)})


def _operators(model: Model, state: State) -> Iterator[Step]:
    for index in (0, 1):
        operator = state.operators[index]
        if not state.gone and operator.seen != state.stored:
            yield "read", _operator(state, index, replace(operator, seen=state.stored))
        if model.statistics:
            for count in {None, len(state.booked)} - {operator.count}:
                yield "counted", _operator(state, index, replace(operator, count=count))
        yield from _write(model, state, index)
        yield from _tell(model, state, operator)
        yield from _end(model, state, operator)


def _operator(state: State, index: int, operator: Operator) -> State:
    pair = (operator, state.operators[1 - index])
    # The two are alike, so which is which makes no new state.
    low, high = sorted(pair, key=lambda o: (o.seen.drain_epoch, -1 if o.count is None else o.count))
    return replace(state, operators=(low, high))


def _next_write(model: Model, operator: Operator) -> WriteIntent | None:
    seen = operator.seen
    if seen.drain_epoch >= model.epochs:
        return None
    mode, reason = Mode.SERVE, None
    if seen.mode is Mode.SERVE:
        mode, reason = Mode.DRAIN, DrainReason.SCALE_DOWN
    elif not model.drain.may_undrain(_view(seen, None, None), NOW, SETTINGS, True):
        return None
    after = model.drain.next_intent(seen, mode, reason, NOW, SETTINGS.drain_timeout_s)
    return WriteIntent("runner", seen, after)


def _write(model: Model, state: State, index: int) -> Iterator[Step]:
    operator = state.operators[index]
    write = _next_write(model, operator)
    if write is None:
        return
    if model.drain.may_tell(operator.seen, write.after):
        yield f"told {write.after.mode} first", _told(state, write.after)
    if not state.gone and model.drain.write_holds(state.stored, write):
        written = replace(state, stored=write.after)
        after = _operator(written, index, replace(operator, seen=write.after))
        yield f"wrote {write.after.mode}", after


def _told(state: State, intent: Intent) -> State:
    return replace(state, commands=state.commands | {(intent.drain_epoch, intent.mode)})


def _tell(model: Model, state: State, operator: Operator) -> Iterator[Step]:
    """An operator that holds no report yet, which may be so at any time, repeats its command."""
    seen = operator.seen
    if model.drain.needs_telling(_view(seen, None, None)) and model.drain.may_tell(seen, seen):
        yield f"told {seen.mode}", _told(state, seen)


def _end(model: Model, state: State, operator: Operator) -> Iterator[Step]:
    """It may hold any report ever sent: which one it heard last is the network's choice."""
    if state.gone:
        return
    for report in (None, *state.reports):
        commit = _may_commit(model.drain, operator.seen, report, operator.count)
        if commit is not None and model.drain.commit_holds(state.stored, commit):
            yield "ended for good", replace(state, gone="commit")
            return


@lru_cache(maxsize=4096)
def _may_commit(
    rules: DrainRules, seen: Intent, report: BarrierReport | None, count: int | None
) -> Commit | None:
    return rules.may_commit(_view(seen, report, count), NOW, SETTINGS, True)


def _view(seen: Intent, report: BarrierReport | None, count: int | None) -> RunnerView:
    return RunnerView(
        runner_id="runner",
        revision=SETTINGS.revision,
        phase=Phase.READY,
        created_at=NOW,
        capacity=2,
        intent=seen,
        report=report,
        booked=count,
    )
