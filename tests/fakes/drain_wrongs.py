"""Rules of the drain, each broken in one way: to see that what checks the right ones finds it."""

from msgspec import structs

from paddock.protocol.barrier import Barrier, Report
from paddock.protocol.words import Mode, Refusal
from paddock_operator.plan.actions import Commit
from paddock_operator.plan.drain import may_commit
from paddock_operator.plan.view import BarrierReport, Intent, PlanSettings, RunnerView


def commit_without_epoch(
    runner: RunnerView, now: float, settings: PlanSettings, fresh: bool
) -> Commit | None:
    """An empty report counts whichever drain it answers."""
    report = runner.report
    if report is not None and report.booked == 0:
        runner = structs.replace(runner, report=BarrierReport(runner.intent.drain_epoch, 0))
    return may_commit(runner, now, settings, fresh)


def commit_when_absent(
    runner: RunnerView, now: float, settings: PlanSettings, fresh: bool
) -> Commit | None:
    """Whoever is not in the registry is taken for idle."""
    return None if runner.booked is not None else Commit(runner.runner_id, runner.intent, "done")


def commit_on_idle_statistics(
    runner: RunnerView, now: float, settings: PlanSettings, fresh: bool
) -> Commit | None:
    """Whoever was last seen idle is ended, without asking it to stop first."""
    return Commit(runner.runner_id, runner.intent, "done") if runner.booked == 0 else None


def undrain_ahead(written: Intent, command: Intent) -> bool:
    """A drain is called off first, and the write follows."""
    return command.mode is Mode.SERVE or written == command


def obey_anything(barrier: Barrier, epoch: int, mode: Mode) -> Report | None:
    """A command delivered again is obeyed again, however old."""
    barrier.__init__(epoch, mode, barrier.booked)  # type: ignore[misc]
    return barrier.report()


def book_later(barrier: Barrier, job_id: str) -> Refusal | None:
    """The mode is checked, but the job is not yet held when "accepted" is answered."""
    return None if barrier.mode is Mode.SERVE else Refusal.DRAINING


def book_while_draining(barrier: Barrier, job_id: str) -> Refusal | None:
    serving = Barrier(barrier.drain_epoch, Mode.SERVE, barrier.booked)
    refusal = serving.book(job_id)
    barrier.__init__(barrier.drain_epoch, barrier.mode, serving.booked)  # type: ignore[misc]
    return refusal


def obey_and_report_unstored(
    barrier: Barrier, epoch: int, mode: Mode, durable: int
) -> Report | None:
    """What could not be stored is answered all the same."""
    return barrier.obey(epoch, mode)


def report_active(barrier: Barrier, active: int, durable: int) -> Report:
    """A call that is still being dialled is not counted."""
    return Report(barrier.drain_epoch, barrier.mode, active)


def forget_barrier(epoch: int, mode: Mode) -> Barrier:
    return Barrier()
